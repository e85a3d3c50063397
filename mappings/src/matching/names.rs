//! Names of people and of companies: the forms in which they are keys of blocks, and those in which they are compared.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::chinese::company::Company;
use crate::chinese::han::{has_han, is_han, simplified};
use crate::chinese::person::Person;

/// Longer names are cut: no real name needs more, and comparing costs the square.
const NAME_CHARS_MAX: usize = 64;

const LATIN_TITLES: &[&str] = &["mr", "mrs", "ms", "miss", "dr", "prof"];

/// A person's name: its characters of scripts that are written without blanks (Chinese, kana, hangul), and its words
/// of other scripts, lower case and without accents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Parts between separators other than blanks: "李雷-采购" has two.
    han: Vec<String>,
    words: Vec<String>,
}

impl Name {
    /// `None` if the text has no letters.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let mut name = Self { han: Vec::new(), words: Vec::new() };
        let (mut han, mut word) = (String::new(), String::new());
        // NFKD separates accents, which are dropped; hangul is put together again by comparing like with like.
        let plain = raw.nfkd().filter(|c| !is_combining_mark(*c) && *c != '\'' && *c != '’').take(NAME_CHARS_MAX);
        for c in plain.map(simplified).flat_map(char::to_lowercase) {
            let letter = c.is_alphanumeric();
            if is_unspaced(c) {
                han.push(c);
            } else if letter {
                word.push(c);
            }
            if !letter || is_unspaced(c) {
                flush(&mut word, &mut name.words);
            }
            if !letter && !c.is_whitespace() {
                flush(&mut han, &mut name.han);
            }
        }
        flush(&mut word, &mut name.words);
        flush(&mut han, &mut name.han);
        if name.words.len() > 1 {
            name.words.retain(|word| !LATIN_TITLES.contains(&word.as_str()));
        }
        (!name.han.is_empty() || !name.words.is_empty()).then_some(name)
    }

    /// Equal for names that are the same but for order and spelling of separators.
    pub(super) fn key(&self) -> String {
        if !self.han.is_empty() {
            return self.han.concat();
        }
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words.join(" ")
    }
}

fn flush(part: &mut String, parts: &mut Vec<String>) {
    if !part.is_empty() {
        parts.push(std::mem::take(part));
    }
}

fn is_unspaced(c: char) -> bool {
    let listed = matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}');
    (listed || is_han(c)) && c.is_alphanumeric()
}

const LATIN_FORMS: &[&str] = &[
    "co",
    "ltd",
    "limited",
    "inc",
    "incorporated",
    "gmbh",
    "ag",
    "llc",
    "llp",
    "plc",
    "corp",
    "corporation",
    "company",
    "bv",
    "sa",
    "sarl",
];

/// A company's name in the form in which it is a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompanyName {
    /// Of a Chinese name its 字号, which the short and the full name have in common; of another the name without its legal
    /// form, lower case, letters and digits only.
    key: String,
}

impl CompanyName {
    /// `None` if the text has no letters.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        if let Some(company) = Company::parse(raw) {
            return Some(Self { key: company.brand });
        }
        let mut words: Vec<String> = Vec::new();
        let mut word = String::new();
        for c in raw.nfkc().take(2 * NAME_CHARS_MAX).flat_map(char::to_lowercase) {
            if c.is_alphanumeric() {
                word.push(c);
            } else if c != '.' && c != '\'' {
                flush(&mut word, &mut words);
            }
        }
        flush(&mut word, &mut words);
        while words.len() > 1 && words.last().is_some_and(|last| LATIN_FORMS.contains(&last.as_str())) {
            words.pop();
        }
        let key = words.concat();
        (!key.is_empty()).then_some(Self { key })
    }

    /// Records of one company share it, whether they have its short or its full name.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// Given, family and whole name of what somebody is called, without what does not belong to the name: a title before it, a
/// note of the sales people behind it (李雷-采购). A Chinese name that has no surname in front (阿里木·买买提) is a given one.
pub(super) fn spoken_name(raw: &str) -> [Cow<'_, str>; 3] {
    let whole = |name| [Cow::Borrowed(""), Cow::Borrowed(""), name];
    if has_han(raw) {
        if Person::parse(raw).is_some() {
            return whole(Cow::Borrowed(raw));
        }
        let apart = |c: char| !c.is_alphanumeric() && !c.is_whitespace() && c != '·';
        let part = raw.split(apart).map(str::trim).find(|part| Person::parse(part).is_some());
        return match part {
            Some(part) if raw.contains(apart) => whole(Cow::Borrowed(part)),
            _ => [Cow::Owned(raw.replace('·', "")), Cow::Borrowed(""), Cow::Borrowed("")],
        };
    }
    let title = raw.split_once([' ', '.']).filter(|(first, rest)| {
        LATIN_TITLES.contains(&first.to_lowercase().as_str()) && rest.contains(char::is_alphabetic)
    });
    whole(Cow::Borrowed(title.map_or(raw, |(_, rest)| rest.trim_start_matches(['.', ' ']))))
}

/// A company's name without its legal form; a Chinese one is taken apart later.
pub(super) fn spoken_company(raw: &str) -> Cow<'_, str> {
    if has_han(raw) {
        return Cow::Borrowed(raw);
    }
    let mut name = raw.trim_end();
    loop {
        let (rest, last) = name.trim_end_matches('.').rsplit_once([' ', ',', '.']).unwrap_or(("", name));
        let is_form = LATIN_FORMS.contains(&last.to_lowercase().replace('.', "").as_str());
        if !is_form || rest.is_empty() {
            return Cow::Borrowed(name);
        }
        name = rest.trim_end_matches([' ', ',', '.']);
    }
}
