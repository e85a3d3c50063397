//! What is compared of files, and by which keys, in the words of people.

use crate::language::Language;

/// Both languages side by side, as `say!` has them.
macro_rules! both {
    ($word:literal, $en:literal, $zh:literal) => {
        ($word, $en, $zh)
    };
}

/// A word of the program, in English, in Chinese.
type Word = (&'static str, &'static str, &'static str);

const COMPARISONS: &[Word] = &[
    both!("given_name", "given name", "名"),
    both!("family_name", "family name", "姓"),
    both!("middle_name", "middle name", "中间名"),
    both!("birth_date", "birth date", "出生日期"),
    both!("identifier", "identifier", "证件或编号"),
    both!("email", "e-mail", "邮箱"),
    both!("phone", "phone", "电话"),
    both!("address", "address", "地址"),
    both!("locality", "city and postcode", "城市与邮编"),
    both!("name", "name", "名称"),
    both!("words", "company or text", "单位或文字"),
    both!("sex", "sex", "性别"),
    both!("host", "website", "网站"),
    both!("category", "category", "类别"),
    both!("number", "number", "数值"),
];

/// Forms in which values make blocking keys.
const FORMS: &[Word] = &[
    both!("whole", "", ""),
    both!("solid", " without blanks", "（去空格）"),
    both!("sound", " by its sound", "（读音）"),
    both!("first1", ", its first letter", "（首字母）"),
    both!("first3", ", its first 3 letters", "（前 3 位）"),
    both!("first4", ", its first 4 letters", "（前 4 位）"),
    both!("first5", ", its first 5 letters", "（前 5 位）"),
    both!("last4", ", its last 4 letters", "（后 4 位）"),
    both!("sorted", ", its letters in any order", "（字母不计顺序）"),
    both!("month", ", year and month", "（年月）"),
    both!("month_day", ", month and day", "（月日）"),
    both!("year", ", the year", "（年）"),
    both!("year_day", ", year and day", "（年与日）"),
    both!("organization", ", the organisation in it", "（主体代码）"),
    both!("mailbox", ", what stands before the @", "（@ 之前）"),
    both!("domain", ", what stands behind the @", "（@ 之后）"),
    both!("word4", ", the begin of its longest word", "（最长词的开头）"),
    both!("word3", ", the begin of its longest word", "（最长词的开头）"),
    both!("words", ", a rare word", "（少见的词）"),
    both!("words3", ", the begin of a rare word", "（少见词的开头）"),
    both!("brand", ", its brand", "（字号）"),
];

/// Features of blocking keys that are no comparison of that name.
const FEATURES: &[Word] = &[
    both!("names", "both names", "姓和名"),
    both!("place", "house and street", "门牌与道路"),
    both!("street", "street", "道路"),
    both!("street_number", "house number", "门牌号"),
    both!("po_box", "post office box", "邮政信箱"),
    both!("postcode", "postcode", "邮编"),
    both!("city", "city", "城市"),
];

fn known(words: &[Word], word: &str, language: Language) -> Option<&'static str> {
    words.iter().find(|(name, ..)| *name == word).map(|(_, en, zh)| language.pick(en, zh))
}

/// A comparison: `phone`, and `phone 2` for the second of its name.
pub(super) fn comparison(name: &str, number: usize, language: Language) -> String {
    let word = known(COMPARISONS, name, language).unwrap_or(name);
    if number > 1 { format!("{word} {number}") } else { word.to_owned() }
}

/// A level of a comparison; of none, that one of the two says nothing.
pub(super) fn level(comparison: &str, level: Option<&str>, language: Language) -> String {
    match level {
        Some(level) => huiliu_console::words::level(super::known::console(language), comparison, level),
        None => language.pick("nothing said", "缺失").to_owned(),
    }
}

/// A blocking rule: `family_name/sound + birth_date/year`.
pub(super) fn rule(rule: &str, language: Language) -> String {
    let part = |part: &str| {
        let (feature, form) = part.split_once('/').unwrap_or((part, "whole"));
        let (name, number) = feature.split_once('.').unwrap_or((feature, ""));
        let feature = known(FEATURES, name, language).or_else(|| known(COMPARISONS, name, language)).unwrap_or(name);
        let number = if number.is_empty() { String::new() } else { format!(" {number}") };
        format!("{feature}{number}{}", known(FORMS, form, language).unwrap_or(form))
    };
    rule.split(" + ").map(part).collect::<Vec<_>>().join(language.pick(" and ", "与"))
}

#[cfg(test)]
mod tests {
    use huiliu_mappings::matching::linkage;

    use super::*;

    #[test]
    fn every_comparison_has_words_in_both_languages() {
        for name in linkage::comparisons() {
            assert!(!comparison(name, 1, Language::Zh).is_ascii(), "{name}");
            assert!(known(COMPARISONS, name, Language::En).is_some(), "{name}");
        }
    }

    #[test]
    fn a_rule_is_told_part_by_part() {
        let told = |language| rule("family_name/sound + phone.2/last4 + birth_date/whole", language);
        assert_eq!(told(Language::En), "family name by its sound and phone 2, its last 4 letters and birth date");
        assert_eq!(told(Language::Zh), "姓（读音）与电话 2（后 4 位）与出生日期");
    }
}
