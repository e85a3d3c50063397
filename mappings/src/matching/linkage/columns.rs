//! What each column of a file is.

use crate::diagnose::suggest;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal $(| $header:literal)*;)*) => {
        /// What a column holds. Several columns of one kind are read as one, joined, unless said otherwise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word for it in a file of columns.
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }

            /// What people call such a column.
            fn headers(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$word, $($header,)*],)* }
            }
        }
    };
}

kinds! {
    /// The record's own key: written beside its cluster, never compared.
    RecordId = "record_id" | "id" | "rec_id" | "unique_id" | "key" | "编号" | "序号" | "客户编号" | "记录编号";
    /// Which file or system the record came from. How often a source repeats a customer is learned from the data.
    Source = "source" | "source_system" | "dataset" | "file" | "来源" | "数据来源" | "来源系统";
    /// A person's given name.
    GivenName = "given_name" | "first_name" | "firstname" | "forename" | "fname" | "given" | "名" | "名字";
    /// A person's middle names or initials.
    MiddleName = "middle_name" | "middle_initial" | "middlename" | "mname";
    /// A person's family name.
    FamilyName = "family_name" | "last_name" | "lastname" | "surname" | "lname" | "family" | "姓" | "姓氏";
    /// A person's whole name in one cell: "Li Lei", "Smith, John", 李雷.
    FullName = "full_name" | "fullname" | "person" | "person_name" | "customer_name" | "姓名" | "客户姓名" | "联系人姓名" | "中文名";
    /// The name of an organisation, a place, a thing, a title.
    Name = "name" | "organization" | "organisation" | "organization_name" | "company_name" | "site_name" | "title" | "名称" | "公司名称" | "企业名称" | "单位名称" | "客户名称" | "公司全称";
    /// A date of birth: 1990-02-28, 19900228, 28/02/1990 or 02/28/1990.
    BirthDate = "birth_date" | "date_of_birth" | "dob" | "born" | "birthday" | "birthdate" | "出生日期" | "生日" | "出生年月" | "出生年月日";
    /// The year of birth in a column of its own.
    BirthYear = "birth_year" | "by" | "year_of_birth" | "yob";
    /// The month of birth in a column of its own.
    BirthMonth = "birth_month" | "bm" | "month_of_birth";
    /// The day of birth in a column of its own.
    BirthDay = "birth_day" | "bd" | "day_of_birth";
    /// Sex or gender.
    Sex = "sex" | "gender" | "性别";
    /// An e-mail address.
    Email = "email" | "e_mail" | "mail" | "email_address" | "邮箱" | "电子邮箱" | "电子邮件" | "邮箱地址";
    /// A telephone number. Several columns of this kind are compared one by one.
    Phone = "phone" | "telephone" | "tel" | "mobile" | "cell" | "phone_number" | "fax" | "手机" | "电话" | "手机号" | "手机号码" | "联系电话" | "联系方式" | "固定电话" | "座机" | "电话号码" | "传真";
    /// A whole address line with the house number in it.
    Address = "address" | "addr" | "address_line" | "street_address" | "地址" | "联系地址" | "详细地址" | "通讯地址" | "通信地址" | "住址" | "家庭住址" | "收货地址" | "注册地址" | "公司地址";
    /// More of an address: a building, a district.
    AddressExtra = "address_extra" | "address_2" | "address2" | "addr2";
    /// The house number alone.
    StreetNumber = "street_number" | "house_number" | "number";
    /// The street without the house number.
    Street = "street" | "street_name" | "address_1" | "address1";
    /// Flat, suite, room.
    Unit = "unit" | "unit_number" | "apartment" | "apt" | "suite";
    /// A post office box.
    PoBox = "po_box" | "pobox" | "postbox";
    /// City, town, suburb.
    City = "city" | "town" | "suburb" | "locality" | "城市" | "市" | "区" | "区县" | "地市";
    /// State, province.
    Region = "region" | "state" | "province" | "county" | "省" | "省份" | "省市";
    /// Postal code.
    Postcode = "postcode" | "zip" | "zipcode" | "zip_code" | "postal_code" | "post_code" | "邮编" | "邮政编码";
    /// The organisation that a record belongs to: an employer, a parent, an agency.
    Company = "company" | "employer" | "employer_name" | "agency" | "单位" | "公司" | "工作单位" | "所在单位" | "所属公司";
    /// A person that a record of an organisation names.
    Contact = "contact" | "contact_name" | "director" | "manager" | "联系人" | "法人" | "法定代表人" | "负责人";
    /// A number that one customer alone has: tax id, social security, card. Each column is compared by itself.
    Identifier = "identifier" | "ssn" | "soc_sec_id" | "tax_id" | "national_id" | "social_security_number" | "身份证" | "身份证号" | "身份证号码" | "证件号码" | "统一社会信用代码" | "信用代码" | "组织机构代码" | "纳税人识别号" | "税号" | "unionid" | "union_id";
    /// The same, but never mistaken and of which one customer has exactly one: records with different ones are never one
    /// customer.
    SoleIdentifier = "sole_identifier";
    /// A web address; its host is compared.
    Url = "url" | "website" | "web" | "homepage" | "网址" | "官网" | "网站";
    /// One of few values: a type, a class. Each column is compared by itself.
    Category = "category" | "type" | "class" | "类型" | "类别" | "客户类型";
    /// A number such as a price. Each column is compared by itself.
    Number = "number_value" | "price" | "amount" | "year" | "价格" | "金额";
    /// Free text. Each column is compared by itself.
    Text = "text" | "description" | "notes" | "comment" | "备注";
    /// Not looked at.
    Ignore = "ignore";
}

impl Kind {
    /// Reads the word of a file of columns, or what people call such a column; the error names the nearest right word.
    pub fn parse(word: &str) -> Result<Self, String> {
        let exact = Self::ALL.iter().copied().find(|kind| kind.word() == word);
        let known = exact.or_else(|| Self::ALL.iter().copied().find(|kind| kind.headers().contains(&word)));
        known.ok_or_else(|| format!("no kind of column is called `{word}`{}", suggest(word, Self::words())))
    }

    /// The words of all kinds.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|kind| kind.word())
    }

    /// What a column of this header most likely holds; `Ignore` if nothing comes to mind.
    pub fn guess(header: &str) -> Self {
        let plain: String = header.trim().to_lowercase().replace([' ', '-', '.'], "_");
        let known = |kind: &Self| kind.headers().contains(&plain.as_str());
        Self::ALL.iter().copied().find(known).unwrap_or(Self::Ignore)
    }
}
