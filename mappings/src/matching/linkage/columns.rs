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
    RecordId = "record_id" | "id" | "rec_id" | "unique_id" | "key" | "编号";
    /// Which file or system the record came from. How often a source repeats a customer is learned from the data.
    Source = "source" | "source_system" | "dataset" | "file" | "来源";
    /// A person's given name.
    GivenName = "given_name" | "first_name" | "firstname" | "forename" | "fname" | "given" | "名";
    /// A person's middle names or initials.
    MiddleName = "middle_name" | "middle_initial" | "middlename" | "mname";
    /// A person's family name.
    FamilyName = "family_name" | "last_name" | "lastname" | "surname" | "lname" | "family" | "姓";
    /// A person's whole name in one cell: "Li Lei", "Smith, John", 李雷.
    FullName = "full_name" | "fullname" | "person" | "person_name" | "customer_name" | "姓名";
    /// The name of an organisation, a place, a thing, a title.
    Name = "name" | "organization" | "organisation" | "organization_name" | "company_name" | "site_name" | "title" | "名称" | "公司名称";
    /// A date of birth: 1990-02-28, 19900228, 28/02/1990 or 02/28/1990.
    BirthDate = "birth_date" | "date_of_birth" | "dob" | "birthday" | "birthdate" | "出生日期" | "生日";
    /// The year of birth in a column of its own.
    BirthYear = "birth_year" | "by" | "year_of_birth" | "yob";
    /// The month of birth in a column of its own.
    BirthMonth = "birth_month" | "bm" | "month_of_birth";
    /// The day of birth in a column of its own.
    BirthDay = "birth_day" | "bd" | "day_of_birth";
    /// Sex or gender.
    Sex = "sex" | "gender" | "性别";
    /// An e-mail address.
    Email = "email" | "e_mail" | "mail" | "email_address" | "邮箱" | "电子邮箱";
    /// A telephone number. Several columns of this kind are compared one by one.
    Phone = "phone" | "telephone" | "tel" | "mobile" | "cell" | "phone_number" | "fax" | "手机" | "电话" | "手机号" | "传真";
    /// A whole address line with the house number in it.
    Address = "address" | "addr" | "address_line" | "street_address" | "地址";
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
    City = "city" | "town" | "suburb" | "locality" | "城市" | "市";
    /// State, province.
    Region = "region" | "state" | "province" | "county" | "省" | "省份";
    /// Postal code.
    Postcode = "postcode" | "zip" | "zipcode" | "zip_code" | "postal_code" | "post_code" | "邮编";
    /// The organisation that a record belongs to: an employer, a parent, an agency.
    Company = "company" | "employer" | "employer_name" | "agency" | "单位" | "公司";
    /// A person that a record of an organisation names.
    Contact = "contact" | "contact_name" | "director" | "manager" | "联系人";
    /// A number that one customer alone has: tax id, social security, card. Each column is compared by itself.
    Identifier = "identifier" | "ssn" | "soc_sec_id" | "tax_id" | "national_id" | "social_security_number" | "身份证" | "身份证号" | "统一社会信用代码" | "税号";
    /// The same, but never mistaken and of which one customer has exactly one: records with different ones are never one
    /// customer.
    SoleIdentifier = "sole_identifier";
    /// A web address; its host is compared.
    Url = "url" | "website" | "web" | "homepage" | "网址";
    /// One of few values: a type, a class. Each column is compared by itself.
    Category = "category" | "type" | "class" | "类型";
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
