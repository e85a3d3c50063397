//! How well two values agree, as `rules/linkage.toml` names it, in the words of people: of pages and of the command line.

use crate::language::Language;

/// Both languages side by side.
macro_rules! both {
    ($word:literal, $en:literal, $zh:literal) => {
        ($word, $en, $zh)
    };
}

/// Levels, those of one comparison first: `address/number`.
const LEVELS: &[(&str, &str, &str)] = &[
    both!("equal", "equal", "相同"),
    both!("slip", "a slip", "一处笔误"),
    both!("two_slips", "two slips", "两处笔误"),
    both!("different", "different", "不同"),
    both!("given_name/nickname", "a nickname of the other", "昵称"),
    both!("initial", "an initial of the other", "首字母"),
    both!("part", "a part of the other", "部分相同"),
    both!("given_name/alike", "alike", "相近"),
    both!("family_name/alike", "alike", "相近"),
    both!("swapped", "given and family name swapped", "姓与名互换"),
    both!("birth_date/month_or_day", "the same year, and month or day", "年相同，月或日相同"),
    both!("birth_date/day_and_month", "the same day and month", "月日相同，年不同"),
    both!("birth_date/year", "the same year, or nearly the same", "仅年份相同或数字相近"),
    both!("email/same_mailbox", "the same mailbox elsewhere", "用户名相同，域名不同"),
    both!("alike", "alike", "相近"),
    both!("address/place_and_unit", "the same house and room", "门牌与房间相同"),
    both!("address/place", "the same house", "门牌相同"),
    both!("address/other_unit", "the same house, another room", "门牌相同，房间不同"),
    both!("address/place_alike", "nearly the same house", "门牌相近"),
    both!("address/street", "the same street", "道路相同"),
    both!("address/street_alike", "nearly the same street", "道路相近"),
    both!("address/other_number", "the same street, another house", "道路相同，门牌不同"),
    both!("address/number", "the same house number, another street", "门牌号相同，道路不同"),
    both!("locality/postcode", "the same postcode", "邮编相同"),
    both!("locality/postcode_other_city", "the same postcode, another city", "邮编相同，城市不同"),
    both!("locality/city_postcode_slip", "the same city, a slip in the postcode", "城市相同，邮编有笔误"),
    both!("locality/city", "the same city", "城市相同"),
    both!("locality/city_other_postcode", "the same city, another postcode", "城市相同，邮编不同"),
    both!("locality/city_alike", "nearly the same city", "城市相近"),
    both!("locality/postcode_slip", "a slip in the postcode", "邮编有笔误"),
    both!("locality/region", "the same region", "省份相同"),
    both!("same_letters", "the same letters", "字母相同"),
    both!("nearly_all", "nearly all words", "几乎全部词语相同"),
    both!("contained", "one in the other", "一个包含另一个"),
    both!("most", "most words", "多数词语相同"),
    both!("some", "some words", "部分词语相同"),
    both!("few", "few words", "少数词语相同"),
    both!("category/one_word", "one word in common", "有一个词相同"),
    both!("number/close", "within a hundredth", "相差百分之一以内"),
    both!("number/near", "within a tenth", "相差十分之一以内"),
];

/// The level of a comparison; nothing for a word that is none.
pub(super) fn level(t: Language, comparison: &str, level: &str) -> Option<&'static str> {
    let is = |(known, ..): &&(&str, &str, &str)| match known.split_once('/') {
        Some((own, known)) => own == comparison && known == level,
        None => *known == level,
    };
    LEVELS.iter().find(is).map(|(_, en, zh)| if t == Language::En { *en } else { *zh })
}

#[cfg(test)]
mod tests {
    use huiliu_mappings::matching::linkage;

    use super::*;

    #[test]
    fn every_level_of_every_comparison_has_words_in_both_languages() {
        for name in linkage::comparisons() {
            for word in linkage::levels(name) {
                assert!(level(Language::Zh, name, word).is_some_and(|it| !it.is_ascii()), "{name}/{word}");
                assert!(level(Language::En, name, word).is_some_and(str::is_ascii), "{name}/{word}");
            }
        }
    }
}
