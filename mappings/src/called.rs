//! By which names a person looks for a customer: the beginnings of names and of their parts, folded so that spelling
//! does not matter.
//!
//! `王小明` is found by `王小明`, `王小` and `小明`, `James Smith` by `jam`, `james s` and `smith`. What is entered for a
//! customer is bounded, so the index grows with the customers and not with the length of what they call themselves.

use std::collections::BTreeSet;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::value::{FieldName, Fields};

/// The fields that people search by.
const SEARCHED: [&str; 4] = ["display_name", "legal_name", "short_name", "company"];

/// The parts of a name where it is kept in two.
const PARTS: [&str; 2] = ["family_name", "given_name"];

/// Nobody types more letters to find a name.
const CHARS_MAX: usize = 24;

/// Beginnings of one name: enough for the words of a person's name, and for a company behind the name of its city.
const STARTS_MAX: usize = 4;

/// Whether a field is one that people search by.
pub fn is_searched(field: &FieldName) -> bool {
    SEARCHED.contains(&field.as_str()) || PARTS.contains(&field.as_str())
}

/// A name, or what a person types, folded: no case, no accents, no signs, one blank between words; none inside of
/// scripts that are written without blanks.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        if !c.is_alphanumeric() {
            // An apostrophe is inside of a word.
            gap |= c != '\'' && c != '’';
            continue;
        }
        let last = folded.chars().next_back();
        if gap && last.is_some_and(|last| !(is_unspaced(last) && is_unspaced(c))) {
            folded.push(' ');
        }
        gap = false;
        folded.push(c);
    }
    folded.nfc().collect()
}

fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{3ffff}')
}

/// The beginnings under which a customer with these values is found.
pub fn beginnings(fields: &Fields) -> BTreeSet<String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let mut found = BTreeSet::new();
    for name in SEARCHED.into_iter().filter_map(text) {
        enter(&mut found, &fold(name));
    }
    if let [Some(family), Some(given)] = PARTS.map(text) {
        let blank = if family.chars().chain(given.chars()).all(is_unspaced) { "" } else { " " };
        enter(&mut found, &fold(&format!("{family}{blank}{given}")));
        enter(&mut found, &fold(&format!("{given} {family}")));
    }
    found
}

fn enter(found: &mut BTreeSet<String>, name: &str) {
    let mut last = ' ';
    let mut starts = Vec::with_capacity(STARTS_MAX);
    for (at, c) in name.char_indices() {
        let alone = is_unspaced(c) && name[at..].chars().nth(1).is_none() && at > 0;
        if (last == ' ' || is_unspaced(c)) && c != ' ' && !alone && starts.len() < STARTS_MAX {
            starts.push(at);
        }
        last = c;
    }
    found.extend(starts.into_iter().map(|at| name[at..].chars().take(CHARS_MAX).collect::<String>()));
}

/// The words of a folded search, the most telling first: the longest.
pub fn words(folded: &str) -> Vec<String> {
    let cut = |word: &str| word.chars().take(CHARS_MAX).collect::<String>();
    let mut words: Vec<String> = folded.split(' ').filter(|word| !word.is_empty()).map(cut).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// What a folded search begins with, as it is entered.
pub fn start(folded: &str) -> String {
    folded.chars().take(CHARS_MAX).collect()
}

/// Whether every word begins some part of a name of these values.
pub fn fits(fields: &Fields, words: &[String]) -> bool {
    let known = beginnings(fields);
    words.iter().all(|word| known.iter().any(|beginning| beginning.starts_with(word.as_str())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| (FieldName::from(*name), json!(value))).collect()
    }

    #[test]
    fn spelling_does_not_matter() {
        assert_eq!(fold("  José  O’Neill-Smith "), "jose oneill smith");
        assert_eq!(fold("王 小明"), "王小明");
        assert_eq!(fold("ＡＢＣ有限公司"), "abc有限公司");
        assert_eq!(fold("!?"), "");
    }

    #[test]
    fn parts_of_names_are_entered() {
        let all = |fields: &Fields| beginnings(fields).into_iter().collect::<Vec<_>>();
        assert_eq!(all(&fields(&[("display_name", "王小明")])), ["小明", "王小明"]);
        assert_eq!(all(&fields(&[("display_name", "James Smith")])), ["james smith", "smith"]);
        assert_eq!(all(&fields(&[("display_name", "王")])), ["王"]);
        let two = fields(&[("family_name", "Li"), ("given_name", "Lei")]);
        assert_eq!(all(&two), ["lei", "lei li", "li", "li lei"]);
        assert!(
            all(&fields(&[("company", "上海青山进出口贸易有限公司")])).contains(&"青山进出口贸易有限公司".to_owned())
        );
        assert_eq!(all(&fields(&[("company", "上海青山进出口贸易有限公司")])).len(), STARTS_MAX);
        assert_eq!(all(&fields(&[("title", "Boss")])), Vec::<String>::new());
    }

    #[test]
    fn every_word_must_fit() {
        let james = fields(&[("display_name", "James Smith"), ("company", "Acme Ltd")]);
        assert!(fits(&james, &words(&fold("smith jam"))));
        assert!(fits(&james, &words("acme james")));
        assert!(!fits(&james, &words("smith peter")));
        assert!(is_searched(&"company".into()) && !is_searched(&"title".into()));
    }
}
