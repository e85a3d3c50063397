//! Names of people: the surname and the given name, and how far two spellings may be one name.
//!
//! A sound never decides: 张伟 and 章伟 are read alike and are two people, unless something else says that they are one.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::han::{cut, has_han, is_han, looks_alike, plain_sound, simplified, sounds_alike, syllable};

const SURNAMES: &str = include_str!("../../rules/chinese/surnames.txt");

/// Surnames with the reading that they have as surnames.
fn surnames() -> &'static FxHashMap<&'static str, &'static str> {
    static TABLE: OnceLock<FxHashMap<&'static str, &'static str>> = OnceLock::new();
    TABLE.get_or_init(|| SURNAMES.lines().filter_map(|line| line.split_once(' ')).collect())
}

/// Whether this is a surname, in simplified characters.
pub fn is_surname(name: &str) -> bool {
    surnames().contains_key(name)
}

/// The place of the commonest surname that is read so, 0 for 王; `None` if there is none.
fn surname_rank(sound: &str) -> Option<usize> {
    static TABLE: OnceLock<FxHashMap<&'static str, usize>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = FxHashMap::default();
        // The table has the commonest surnames first.
        for (rank, (_, sound)) in SURNAMES.lines().filter_map(|line| line.split_once(' ')).enumerate() {
            table.entry(sound).or_insert(rank);
        }
        table
    });
    table.get(plain_sound(sound).as_str()).copied()
}

/// What is called after a surname instead of a given name.
const TITLES: &[&str] = &[
    "先生",
    "女士",
    "小姐",
    "太太",
    "夫人",
    "老师",
    "教授",
    "博士",
    "医生",
    "大夫",
    "律师",
    "工程师",
    "会计",
    "总经理",
    "副总",
    "经理",
    "总监",
    "主管",
    "主任",
    "处长",
    "科长",
    "局长",
    "部长",
    "厂长",
    "院长",
    "校长",
    "所长",
    "店长",
    "队长",
    "董事长",
    "董事",
    "老板",
    "老板娘",
    "秘书",
    "助理",
    "同学",
    "同志",
    "师傅",
    "阿姨",
    "叔叔",
    "大哥",
    "大姐",
    "总",
    "董",
    "工",
    "哥",
    "姐",
    "叔",
    "姨",
    "爷",
    "嫂",
    "导",
    "局",
    "处",
    "科",
];

/// What stands before a surname or a part of a given name among people who know each other.
const FAMILIAR: &[char] = &['小', '老', '大', '阿'];

/// A name written in Chinese characters, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The surname, simplified; empty where only a nickname is told (阿明).
    pub family: String,
    /// The given name, simplified; empty where only the surname is told (张总, 小王).
    pub given: String,
}

impl Person {
    /// Takes a name apart: 欧阳娜娜, 張偉, 李经理, 老王, 阿明, `李丽 Lily`. `None` for what has no part of two to four Chinese
    /// characters.
    pub fn parse(raw: &str) -> Option<Self> {
        let parts: Vec<Vec<char>> = raw
            .split(|c: char| !is_han(c))
            .map(|part| part.chars().map(simplified).collect::<Vec<char>>())
            .filter(|part| !part.is_empty())
            .collect();
        let [only] = parts.as_slice() else {
            // "张 伟" and "欧阳 娜娜" have a blank between surname and given name; 阿里木·买买提 has another order.
            let [family, given] = parts.as_slice() else { return None };
            let (family, given): (String, String) = (family.iter().collect(), given.iter().collect());
            let blank = raw.chars().filter(|c| !is_han(*c)).all(char::is_whitespace);
            let fits = blank && is_surname(&family) && given.chars().count() <= 2;
            return fits.then_some(Self { family, given });
        };
        Self::of(only)
    }

    fn of(name: &[char]) -> Option<Self> {
        let whole: String = name.iter().collect();
        let partial = |family: &str, given: &str| Some(Self { family: family.to_owned(), given: given.to_owned() });
        let title = TITLES.iter().filter_map(|title| whole.strip_suffix(title)).find(|rest| is_surname(rest));
        // 陈工 and 王导 are names of nobody; 李科 may be one, and is taken for a partial name.
        if let Some(family) = title.filter(|family| family.chars().count() <= 2) {
            return partial(family, "");
        }
        if let [first, second] = name
            && FAMILIAR.contains(first)
        {
            let second = second.to_string();
            return if *first != '阿' && is_surname(&second) { partial(&second, "") } else { partial("", &whole) };
        }
        if !(2..=4).contains(&name.len()) {
            return None;
        }
        let double: String = name[..2].iter().collect();
        let at = if name.len() > 2 && is_surname(&double) { 2 } else { 1 };
        Some(Self { family: name[..at].iter().collect(), given: name[at..].iter().collect() })
    }
}

fn sound_of(name: &str) -> Option<String> {
    name.chars().map(|c| syllable(simplified(c))).collect()
}

fn sound_of_family(name: &str) -> Option<String> {
    let name: String = name.chars().map(simplified).collect();
    surnames().get(name.as_str()).map(|sound| (*sound).to_owned()).or_else(|| sound_of(&name))
}

/// The reading of a part of a name, in characters or in pinyin with or without blanks; `None` for anything else.
pub fn sound(name: &str) -> Option<String> {
    if has_han(name) {
        return surnames().get(name).map(|sound| (*sound).to_owned()).or_else(|| sound_of(name));
    }
    let solid = name.replace(' ', "");
    cut(&solid).map(|_| plain_sound(&solid))
}

/// How far two different spellings may be one part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// One in characters and one in pinyin that fits, or one a nickname made of the other: weak evidence.
    Part,
    /// One is no more than the initials of the other's pinyin.
    Initial,
    /// Read alike or look alike, character by character: weak evidence.
    Alike,
    /// Another name.
    Different,
    /// Two scripts that cannot be compared: 丽 and Lucy.
    Silent,
}

/// How alike two different given names are of which one at least has Chinese characters; `None` if none has.
pub fn given(a: &str, b: &str) -> Option<Likeness> {
    likeness(a, b, sound_of)
}

/// The same of family names.
pub fn family(a: &str, b: &str) -> Option<Likeness> {
    likeness(a, b, sound_of_family)
}

fn likeness(a: &str, b: &str, sound: fn(&str) -> Option<String>) -> Option<Likeness> {
    match (has_han(a), has_han(b)) {
        (false, false) => None,
        (true, true) => Some(alike(a, b)),
        (true, false) => Some(spelt(a, b, sound)),
        (false, true) => Some(spelt(b, a, sound)),
    }
}

/// Of two names in characters.
fn alike(one: &str, other: &str) -> Likeness {
    let (mine, theirs): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let close = |(c, d): (&char, &char)| c == d || sounds_alike(*c, *d) || looks_alike(*c, *d);
    if mine.len() == theirs.len() && mine.iter().zip(&theirs).all(close) {
        return Likeness::Alike;
    }
    let nickname = |nick: &[char], name: &[char]| match nick {
        [mark, last] if FAMILIAR.contains(mark) => name.last() == Some(last),
        [first, again] if first == again => name == [*first],
        _ => false,
    };
    if nickname(&mine, &theirs) || nickname(&theirs, &mine) { Likeness::Part } else { Likeness::Different }
}

/// Of one in characters and one in Latin letters.
fn spelt(han: &str, latin: &str, sound: fn(&str) -> Option<String>) -> Likeness {
    let solid: String = latin.chars().filter(char::is_ascii_lowercase).collect();
    let Some(sound) = sound(han) else { return Likeness::Silent };
    if plain_sound(&solid) == sound {
        return Likeness::Part;
    }
    let initials: String = han.chars().filter_map(|c| syllable(simplified(c))?.chars().next()).collect();
    if !solid.is_empty() && (solid == initials || (solid.len() == 1 && initials.starts_with(&solid))) {
        return Likeness::Initial;
    }
    // Another romanisation or an English name says nothing; a different name in pinyin does.
    if cut(&solid).is_some() { Likeness::Different } else { Likeness::Silent }
}

/// Given and family name of a whole name in pinyin, in lower-case words: "zhang wei", "wei zhang", "xiao ming wang". `None`
/// where a word is no pinyin, or where no end of the name is a surname; where both are, the commoner surname is it.
pub fn pinyin(words: &[&str]) -> Option<[String; 2]> {
    if !(2..=4).contains(&words.len()) || words.iter().any(|word| cut(word).is_none()) {
        return None;
    }
    let (first, last) = (words[0], words[words.len() - 1]);
    let after = |at: usize| Some([words[at..].concat(), words[..at].concat()]);
    let before = |at: usize| Some([words[..at].concat(), words[at..].concat()]);
    if words.len() > 2 && surname_rank(&words[..2].concat()).is_some() {
        return after(2);
    }
    match (surname_rank(first), surname_rank(last)) {
        (Some(front), Some(back)) if front < back => after(1),
        (_, Some(_)) => before(words.len() - 1),
        (Some(_), None) => after(1),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, family: &str, given: &str) {
        let expected = Person { family: family.to_owned(), given: given.to_owned() };
        assert_eq!(Person::parse(raw), Some(expected), "{raw}");
    }

    #[test]
    fn a_name_is_taken_apart() {
        check("张伟", "张", "伟");
        check("張偉", "张", "伟");
        check("欧阳娜娜", "欧阳", "娜娜");
        check("歐陽 娜娜", "欧阳", "娜娜");
        check("诸葛亮", "诸葛", "亮");
        check("司马", "司", "马");
        check("李丽 Lily", "李", "丽");
        check("万俟卨", "万俟", "卨");
        assert_eq!(Person::parse("阿里木·买买提"), None);
        assert_eq!(Person::parse("Li Lei"), None);
        assert_eq!(Person::parse("爱新觉罗溥仪"), None);
    }

    #[test]
    fn titles_and_nicknames_are_parts_of_names() {
        check("张总", "张", "");
        check("李经理", "李", "");
        check("王女士", "王", "");
        check("欧阳老师", "欧阳", "");
        check("小王", "王", "");
        check("老李", "李", "");
        check("阿明", "", "阿明");
    }

    #[test]
    fn sounds_and_shapes_are_weak_evidence() {
        use Likeness::{Alike, Different, Initial, Part, Silent};
        for (a, b, expected) in [
            ("伟", "玮", Some(Alike)),
            ("建国", "建军", Some(Different)),
            ("建国", "建", Some(Different)),
            ("婷婷", "婷", Some(Part)),
            ("阿明", "建明", Some(Part)),
            ("伟", "wei", Some(Part)),
            ("小明", "xiao ming", Some(Part)),
            ("小明", "xm", Some(Initial)),
            ("小明", "x", Some(Initial)),
            ("丽", "lucy", Some(Silent)),
            ("丽", "wei", Some(Different)),
            ("lei", "wei", None),
        ] {
            assert_eq!(given(a, b), expected, "{a} {b}");
            assert_eq!(given(b, a), expected, "{b} {a}");
        }
        assert_eq!(family("张", "章"), Some(Alike));
        assert_eq!(family("单", "shan"), Some(Part), "as a surname it is read shan, not dan");
        assert_eq!(family("吕", "lyu"), Some(Part));
    }

    #[test]
    fn pinyin_has_either_order() {
        for (words, given, family) in [
            (&["zhang", "san"][..], "san", "zhang"),
            (&["xiao", "ming", "wang"], "xiaoming", "wang"),
            (&["wang", "xiao", "ming"], "xiaoming", "wang"),
            (&["ou", "yang", "na", "na"], "nana", "ouyang"),
        ] {
            assert_eq!(pinyin(words), Some([given.to_owned(), family.to_owned()]), "{words:?}");
        }
        assert_eq!(pinyin(&["john", "smith"]), None);
    }

    /// Each compound surname of the list stands in the table as two or more characters that are all known by sound.
    #[test]
    fn every_surname_is_simplified_and_has_a_sound() {
        let compound = surnames().keys().filter(|name| name.chars().count() == 2).count();
        assert!(compound >= 70, "{compound}");
        for (name, sound) in surnames() {
            assert!(name.chars().all(|c| is_han(c) && simplified(c) == c), "{name}");
            assert!(cut(sound).is_some(), "{name} {sound}");
        }
    }
}
