//! Names of people and of companies, in the form in which they are compared.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::rules::Level;
use crate::chinese::company::{self, Agreement, Company};
use crate::chinese::han::{is_han, simplified};
use crate::chinese::person::{self, Likeness, Person};

/// Longer names are cut: no real name needs more, and comparing costs the square.
const NAME_CHARS_MAX: usize = 64;

const LATIN_TITLES: &[&str] = &["mr", "mrs", "ms", "miss", "dr", "prof"];

/// A person's name: its characters of scripts that are written without blanks (Chinese, kana, hangul), and its words
/// of other scripts, lower case and without accents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Parts between separators other than blanks: "李雷-采购" has two.
    han: Vec<String>,
    /// The name as a Chinese one, if it can be: 李总 and 小李 are parts of one.
    person: Option<Person>,
    words: Vec<String>,
}

impl Name {
    /// `None` if the text has no letters.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let mut name = Self { han: Vec::new(), person: None, words: Vec::new() };
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
        name.person = if name.han.is_empty() { None } else { Person::parse(raw) };
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

    /// How well two names agree; `None` if they are of scripts that cannot be compared.
    pub(super) fn compare(&self, other: &Self) -> Option<Level> {
        if !self.han.is_empty() && !other.han.is_empty() {
            return Some(self.compare_han(other));
        }
        if self.words.is_empty() || other.words.is_empty() {
            return self.sounds_like(other);
        }
        Some(compare_words(&self.words, &other.words))
    }

    /// One in characters and one in pinyin: that it fits is weak evidence, that it does not is none, as there are other
    /// romanisations and other names.
    fn sounds_like(&self, other: &Self) -> Option<Level> {
        let (person, words) = match (&self.person, &other.person) {
            (Some(person), None) => (person, &other.words),
            (None, Some(person)) => (person, &self.words),
            _ => return None,
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let solid = crate::chinese::han::plain_sound(&words.concat());
        let turned = (1..words.len()).any(|at| [&words[at..], &words[..at]].concat().concat() == person.sound());
        (!person.is_partial && (person.sound() == solid || turned)).then_some(Level::Partial)
    }

    fn compare_han(&self, other: &Self) -> Level {
        let (mine, theirs) = (self.han.concat(), other.han.concat());
        let shares_part = self.han.iter().any(|part| part.chars().nth(1).is_some() && other.han.contains(part));
        let of_one = match (&self.person, &other.person) {
            (Some(a), Some(b)) if a.is_partial || b.is_partial => {
                return if may_be_part(a, b) { Level::Partial } else { Level::Different };
            }
            (Some(a), Some(b)) => are_alike(a, b),
            _ => false,
        };
        if mine == theirs {
            Level::Same
        } else if shares_part || of_one {
            Level::Partial
        } else {
            Level::Different
        }
    }
}

/// Whether a surname with a title or a nickname may be of that name. Never more: many are called 张总.
fn may_be_part(a: &Person, b: &Person) -> bool {
    let family = a.family.is_empty() || b.family.is_empty() || a.family == b.family;
    let given = a.given.is_empty() || b.given.is_empty() || person::given(&a.given, &b.given) == Some(Likeness::Part);
    family && (given || a.given == b.given)
}

/// Whether two names read alike or look alike, character by character: a slip of who heard the name, or another name.
fn are_alike(a: &Person, b: &Person) -> bool {
    let alike = |x: &str, y: &str, likeness: fn(&str, &str) -> Option<Likeness>| {
        x == y || likeness(x, y) == Some(Likeness::Alike)
    };
    alike(&a.family, &b.family, person::family) && alike(&a.given, &b.given, person::given)
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

fn compare_words(mine: &[String], theirs: &[String]) -> Level {
    let (few, many) = if mine.len() <= theirs.len() { (mine, theirs) } else { (theirs, mine) };
    if same_letters(few, many) {
        return Level::Same;
    }
    // The weakest pair of words decides: "Li Lei" and "Li Li" are two people however much their letters agree.
    let mut left: Vec<&String> = many.iter().collect();
    let mut weakest = Level::Same;
    // Equal words pair first, so that a lookalike cannot take another word's partner.
    let mut open: Vec<&String> = Vec::new();
    for word in few {
        match left.iter().position(|other| *other == word) {
            Some(at) => drop(left.remove(at)),
            None => open.push(word),
        }
    }
    open.sort_unstable();
    left.sort_unstable();
    for word in open {
        let best = left
            .iter()
            .enumerate()
            .map(|(at, other)| (compare_word(word, other), at))
            .max_by_key(|it| (it.0, usize::MAX - it.1));
        let Some((level, at)) = best.filter(|(level, _)| *level > Level::Different) else { return Level::Different };
        weakest = weakest.min(level);
        left.remove(at);
    }
    if left.is_empty() { weakest } else { Level::Partial }
}

/// "Xiao Ming Wang", "Xiaoming Wang" and "Wang Xiaoming" have the same letters in one order or the other.
fn same_letters(few: &[String], many: &[String]) -> bool {
    let letters: String = few.concat();
    (0..many.len()).any(|start| {
        let turned = many[start..].iter().chain(&many[..start]);
        turned.flat_map(|word| word.bytes()).eq(letters.bytes())
    }) || {
        let mut a: Vec<&String> = few.iter().collect();
        let mut b: Vec<&String> = many.iter().collect();
        a.sort_unstable();
        b.sort_unstable();
        a == b
    }
}

/// Names shorter than this are too often another name with one letter changed.
const FUZZY_CHARS_MIN: usize = 4;

/// Jaro-Winkler from here on is one name misspelt, not two names.
const SIMILAR_MIN: f64 = 0.9;

fn compare_word(a: &str, b: &str) -> Level {
    let (short, long) = if a.chars().count() <= b.chars().count() { (a, b) } else { (b, a) };
    let length = short.chars().count();
    if short == long {
        Level::Same
    } else if length >= FUZZY_CHARS_MIN && strsim::jaro_winkler(short, long) >= SIMILAR_MIN {
        Level::Similar
    } else if length == 1 && long.starts_with(short) {
        Level::Partial
    } else {
        Level::Different
    }
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

/// A company's name in the form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompanyName {
    /// Of a Chinese name its 字号, which the short and the full name have in common; of another the name without its legal
    /// form, lower case, letters and digits only.
    key: String,
    chinese: Option<Company>,
}

impl CompanyName {
    /// `None` if the text has no letters.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        if let Some(company) = Company::parse(raw) {
            return Some(Self { key: company.brand.clone(), chinese: Some(company) });
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
        (!key.is_empty()).then_some(Self { key, chinese: None })
    }

    /// Records of one company share it, whether they have its short or its full name.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// How well two companies' names agree. A short Latin name is contained in too many others to count as similar.
    pub(super) fn compare(&self, other: &Self) -> Level {
        if let (Some(mine), Some(theirs)) = (&self.chinese, &other.chinese) {
            return match company::compare(mine, theirs) {
                Agreement::Same => Level::Same,
                Agreement::Alike | Agreement::Short => Level::Similar,
                Agreement::Branch | Agreement::Namesake | Agreement::Different => Level::Different,
            };
        }
        let (a, b) = (&self.key, &other.key);
        let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        let telling = if short.is_ascii() { 5 } else { 3 };
        if short == long {
            Level::Same
        } else if short.chars().count() >= telling && long.contains(short) {
            Level::Similar
        } else {
            Level::Different
        }
    }
}
