//! What is compared, and how well it agrees, in the words of people.

use crate::language::Language;

/// A word of the program, in English, in Chinese.
type Word = (&'static str, &'static str, &'static str);

const COMPARISONS: &[Word] = &[
    ("given_name", "given name", "名"),
    ("family_name", "family name", "姓"),
    ("middle_name", "middle name", "中间名"),
    ("birth_date", "birth date", "出生日期"),
    ("identifier", "identifier", "证件或编号"),
    ("email", "e-mail", "邮箱"),
    ("phone", "phone", "电话"),
    ("address", "address", "地址"),
    ("locality", "city and postcode", "城市与邮编"),
    ("name", "name", "名称"),
    ("words", "company or text", "单位或文字"),
    ("sex", "sex", "性别"),
    ("host", "website", "网站"),
    ("category", "category", "类别"),
    ("number", "number", "数值"),
];

/// Levels, those of one comparison first: `address/number`.
const LEVELS: &[Word] = &[
    ("equal", "equal", "相同"),
    ("slip", "a slip", "一处笔误"),
    ("two_slips", "two slips", "两处笔误"),
    ("different", "different", "不同"),
    ("given_name/nickname", "a nickname of the other", "昵称"),
    ("initial", "an initial of the other", "首字母"),
    ("part", "a part of the other", "部分相同"),
    ("given_name/alike", "alike", "相近"),
    ("family_name/alike", "alike", "相近"),
    ("swapped", "given and family name swapped", "姓与名互换"),
    ("birth_date/month_or_day", "the same year, and month or day", "年相同，月或日相同"),
    ("birth_date/day_and_month", "the same day and month", "月日相同，年不同"),
    ("birth_date/year", "the same year, or nearly the same", "仅年份相同或数字相近"),
    ("email/same_mailbox", "the same mailbox elsewhere", "用户名相同，域名不同"),
    ("alike", "alike", "相近"),
    ("address/place_and_unit", "the same house and room", "门牌与房间相同"),
    ("address/place", "the same house", "门牌相同"),
    ("address/other_unit", "the same house, another room", "门牌相同，房间不同"),
    ("address/place_alike", "nearly the same house", "门牌相近"),
    ("address/street", "the same street", "道路相同"),
    ("address/street_alike", "nearly the same street", "道路相近"),
    ("address/other_number", "the same street, another house", "道路相同，门牌不同"),
    ("address/number", "the same house number, another street", "门牌号相同，道路不同"),
    ("locality/postcode", "the same postcode", "邮编相同"),
    ("locality/postcode_other_city", "the same postcode, another city", "邮编相同，城市不同"),
    ("locality/city_postcode_slip", "the same city, a slip in the postcode", "城市相同，邮编有笔误"),
    ("locality/city", "the same city", "城市相同"),
    ("locality/city_other_postcode", "the same city, another postcode", "城市相同，邮编不同"),
    ("locality/city_alike", "nearly the same city", "城市相近"),
    ("locality/postcode_slip", "a slip in the postcode", "邮编有笔误"),
    ("locality/region", "the same region", "省份相同"),
    ("same_letters", "the same letters", "字母相同"),
    ("nearly_all", "nearly all words", "几乎全部词语相同"),
    ("contained", "one in the other", "一个包含另一个"),
    ("most", "most words", "多数词语相同"),
    ("some", "some words", "部分词语相同"),
    ("few", "few words", "少数词语相同"),
    ("category/one_word", "one word in common", "有一个词相同"),
    ("number/close", "within a hundredth", "相差百分之一以内"),
    ("number/near", "within a tenth", "相差十分之一以内"),
];

/// Forms in which values make blocking keys.
const FORMS: &[Word] = &[
    ("whole", "", ""),
    ("solid", " without blanks", "（去空格）"),
    ("sound", " by its sound", "（读音）"),
    ("first1", ", its first letter", "（首字母）"),
    ("first3", ", its first 3 letters", "（前 3 位）"),
    ("first4", ", its first 4 letters", "（前 4 位）"),
    ("first5", ", its first 5 letters", "（前 5 位）"),
    ("last4", ", its last 4 letters", "（后 4 位）"),
    ("sorted", ", its letters in any order", "（字母不计顺序）"),
    ("month", ", year and month", "（年月）"),
    ("month_day", ", month and day", "（月日）"),
    ("year", ", the year", "（年）"),
    ("year_day", ", year and day", "（年与日）"),
    ("organization", ", the organisation in it", "（主体代码）"),
    ("mailbox", ", what stands before the @", "（@ 之前）"),
    ("domain", ", what stands behind the @", "（@ 之后）"),
    ("word4", ", the begin of its longest word", "（最长词的开头）"),
    ("word3", ", the begin of its longest word", "（最长词的开头）"),
    ("words", ", a rare word", "（少见的词）"),
    ("words3", ", the begin of a rare word", "（少见词的开头）"),
    ("brand", ", its brand", "（字号）"),
];

/// Features of blocking keys that are no comparison of that name.
const FEATURES: &[Word] = &[
    ("names", "both names", "姓和名"),
    ("place", "house and street", "门牌与道路"),
    ("street", "street", "道路"),
    ("street_number", "house number", "门牌号"),
    ("po_box", "post office box", "邮政信箱"),
    ("postcode", "postcode", "邮编"),
    ("city", "city", "城市"),
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
pub(super) fn level<'a>(comparison: &str, level: Option<&'a str>, language: Language) -> &'a str {
    let Some(level) = level else { return language.pick("nothing said", "缺失") };
    let own = known(LEVELS, &format!("{comparison}/{level}"), language);
    own.or_else(|| known(LEVELS, level, language)).unwrap_or(level)
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
    fn every_comparison_and_every_level_has_words_in_both_languages() {
        for name in linkage::comparisons() {
            assert!(!comparison(name, 1, Language::Zh).is_ascii(), "{name}");
            assert!(known(COMPARISONS, name, Language::En).is_some(), "{name}");
            for word in linkage::levels(name) {
                assert!(!level(name, Some(word), Language::Zh).is_ascii(), "{name}/{word}");
                assert!(!level(name, Some(word), Language::En).contains('_'), "{name}/{word}");
            }
        }
    }

    #[test]
    fn a_rule_is_told_part_by_part() {
        let told = |language| rule("family_name/sound + phone.2/last4 + birth_date/whole", language);
        assert_eq!(told(Language::En), "family name by its sound and phone 2, its last 4 letters and birth date");
        assert_eq!(told(Language::Zh), "姓（读音）与电话 2（后 4 位）与出生日期");
    }
}
