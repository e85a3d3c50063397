//! A mapping file proposed from the headers of a file.

use std::fmt::Write as _;

/// Header words (lower case, no blanks), the canonical field, what the rule adds, and whether it identifies.
const WORDS: &[(&[&str], &str, &str, &str)] = &[
    (&["姓名", "客户姓名", "名字", "联系人", "name", "fullname", "contact"], "display_name", "", ""),
    (&["名", "firstname", "givenname"], "given_name", "", ""),
    (&["姓", "lastname", "familyname", "surname"], "family_name", "", ""),
    (&["邮箱", "电子邮箱", "电子邮件", "email", "e-mail", "mail", "emailaddress"], "emails.main", "", "email"),
    (&["手机", "手机号", "手机号码", "mobile", "mobilephone", "cell"], "phones.mobile", ", region = \"CN\"", "phone"),
    (&["电话", "座机", "固定电话", "phone", "telephone", "tel"], "phones.main", ", region = \"CN\"", "phone"),
    (&["公司", "公司名称", "单位", "企业名称", "company", "organization", "employer"], "company", "", ""),
    (&["职位", "职务", "title", "jobtitle", "position"], "title", "", ""),
    (&["生日", "出生日期", "birthday", "birthdate", "dateofbirth"], "birth_date", "", ""),
    (&["地址", "联系地址", "address"], "addresses.main", "", ""),
    (&["标签", "tags", "tag"], "tags", "", ""),
    (&["备注", "说明", "remark", "note", "notes", "comment"], "remark", "", ""),
    (&["负责人", "跟进人", "owner"], "owner", "", ""),
    (&["统一社会信用代码", "税号", "taxid", "vat"], "tax_id", "", "tax_id"),
    (&["网址", "网站", "website", "url"], "website", "", ""),
];

/// The words under which a column may be the key of its rows.
const KEYS: &[&str] = &["id", "编号", "客户编号", "会员号", "customerid", "memberid", "key"];

/// The text of a mapping file for these headers. Columns that nobody recognised are listed as comments: they stay in
/// the inbox and can be mapped later by replay.
pub fn mapping(headers: &[String]) -> String {
    let mut fields = String::new();
    let mut identities = String::new();
    let mut unknown = String::new();
    let mut used = Vec::new();
    for header in headers {
        let word: String = header.to_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
        let pointer = format!("/{}", header.replace('~', "~0").replace('/', "~1"));
        let quoted = format!("{pointer:?}");
        match WORDS.iter().find(|(words, field, ..)| words.contains(&word.as_str()) && !used.contains(field)) {
            Some((_, field, more, identity)) => {
                used.push(*field);
                let rule = if more.is_empty() { quoted.clone() } else { format!("{{ from = {quoted}{more} }}") };
                let _ = writeln!(fields, "{field} = {rule}");
                if !identity.is_empty() && !identities.contains(&format!("{identity} =")) {
                    let _ = writeln!(identities, "{identity} = {rule}");
                }
            }
            None if KEYS.contains(&word.as_str()) => {}
            None => {
                let _ = writeln!(unknown, "# custom.field = {quoted}");
            }
        }
    }
    format!(
        "[rows]\nentity = \"customer\"\n\n[rows.identities]\n{identities}\n[rows.fields]\n{fields}{}{unknown}",
        if unknown.is_empty() {
            ""
        } else {
            "\n# Columns that no word was known for; name a field and take the mark away:\n"
        }
    )
}

/// The column that names each row, if one does.
pub fn key_column(headers: &[String]) -> Option<&String> {
    headers.iter().find(|header| KEYS.contains(&header.to_lowercase().replace([' ', '_'], "").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use huiliu_mappings::lens::Lens;
    use huiliu_mappings::model::Model;

    #[test]
    fn headers_in_both_languages_make_a_mapping_that_compiles() {
        for headers in ["编号,姓名,手机号,邮箱,公司名称,星座", "ID,Full Name,Mobile,E-mail,Company,Shoe/Size"]
        {
            let headers: Vec<String> = headers.split(',').map(str::to_owned).collect();
            let text = mapping(&headers);
            let lenses = Lens::parse_file("rows.toml", &text, &Model::shipped())
                .unwrap_or_else(|told| panic!("{told:?}\n{text}"));
            assert_eq!(lenses[0].writable_fields().count(), 4, "{text}");
            assert_eq!(text.matches("# custom").count(), 1, "{text}");
            assert_eq!(key_column(&headers), headers.first());
        }
    }
}
