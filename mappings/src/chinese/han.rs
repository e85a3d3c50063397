//! Characters: which are variants of one, how each sounds, which look alike.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

/// The first and the last character of the blocks that the tables speak of (CJK Unified Ideographs and extension A).
const FIRST: u32 = 0x3400;
const LAST: u32 = 0x9fff;

/// Whether this is a Chinese character, one of the extensions and of the compatibility forms too.
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a text has a Chinese character.
pub fn has_han(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(is_han)
}

/// One value a character, 0 for none.
type ByCharacter = Vec<u16>;

fn place(c: char) -> Option<usize> {
    let code = u32::from(c);
    (FIRST..=LAST).contains(&code).then(|| (code - FIRST) as usize)
}

fn empty() -> ByCharacter {
    vec![0; (LAST - FIRST + 1) as usize]
}

/// The simplified form of a traditional or regional one, so that 國 and 国 are one; any other character itself.
pub fn simplified(c: char) -> char {
    static TABLE: OnceLock<ByCharacter> = OnceLock::new();
    let Some(at) = place(c) else { return c };
    let table = TABLE.get_or_init(|| {
        let mut table = empty();
        // A line is the simplified character and its variants.
        for line in include_str!("../../rules/chinese/variants.txt").lines() {
            let mut chars = line.chars();
            let simple = chars.next().and_then(|c| u16::try_from(u32::from(c)).ok()).unwrap_or_default();
            for at in chars.filter_map(place) {
                table[at] = simple;
            }
        }
        table
    });
    char::from_u32(u32::from(table[at])).filter(|it| *it != '\0').unwrap_or(c)
}

struct Sounds {
    by_character: ByCharacter,
    syllables: Vec<&'static str>,
    known: FxHashMap<&'static str, u16>,
}

fn sounds() -> &'static Sounds {
    static TABLE: OnceLock<Sounds> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Sounds { by_character: empty(), syllables: vec![""], known: FxHashMap::default() };
        // A line is a syllable without its tone and the characters that are read so.
        for (syllable, characters) in
            include_str!("../../rules/chinese/sounds.txt").lines().filter_map(|line| line.split_once(' '))
        {
            let number = u16::try_from(table.syllables.len()).unwrap_or_default();
            table.syllables.push(syllable);
            table.known.insert(syllable, number);
            for at in characters.chars().filter_map(place) {
                table.by_character[at] = number;
            }
        }
        table
    })
}

/// The usual reading of a simplified character, without its tone and with v for ü; none for rare ones.
pub fn syllable(c: char) -> Option<&'static str> {
    let number = sounds().by_character[place(c)?];
    (number != 0).then(|| sounds().syllables[usize::from(number)])
}

/// Whether two characters are read alike, tones aside.
pub fn sounds_alike(a: char, b: char) -> bool {
    syllable(a).is_some_and(|sound| syllable(b) == Some(sound))
}

/// Whether two characters are taken for each other by who reads them off: 未 and 末.
pub fn looks_alike(a: char, b: char) -> bool {
    static TABLE: OnceLock<FxHashMap<char, Vec<char>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: FxHashMap<char, Vec<char>> = FxHashMap::default();
        for line in include_str!("../../rules/chinese/lookalikes.txt").lines() {
            for c in line.chars() {
                table.entry(c).or_default().extend(line.chars().filter(|other| *other != c));
            }
        }
        table
    });
    table.get(&a).is_some_and(|others| others.contains(&b))
}

/// The syllables of a Latin word if it is nothing but pinyin: `xiaoming` is xiao and ming. Where several cuts are possible, the
/// one whose syllables are longest first.
pub fn cut(word: &str) -> Option<Vec<&str>> {
    /// Longer words are no name in pinyin, and cutting costs.
    const LETTERS_MAX: usize = 24;
    if word.is_empty() || word.len() > LETTERS_MAX || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    for length in (1..=word.len().min(6)).rev() {
        let (first, rest) = word.split_at(length);
        if !is_syllable(first) {
            continue;
        }
        if rest.is_empty() {
            return Some(vec![first]);
        }
        if let Some(more) = cut(rest) {
            return Some([vec![first], more].concat());
        }
    }
    None
}

/// Whether this is a syllable of pinyin, v or yu written for ü.
fn is_syllable(word: &str) -> bool {
    sounds().known.contains_key(word) || matches!(word, "lyu" | "nyu" | "lue" | "nue")
}

/// One spelling for those that passports and keyboards have for ü.
pub fn plain_sound(syllables: &str) -> String {
    syllables.replace("lyu", "lv").replace("nyu", "nv").replace("lue", "lve").replace("nue", "nve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_become_one_and_fold_once() {
        for (from, to) in
            [('國', '国'), ('張', '张'), ('劉', '刘'), ('葉', '叶'), ('峯', '峰'), ('国', '国'), ('a', 'a')]
        {
            assert_eq!(simplified(from), to, "{from}");
        }
        for code in FIRST..=LAST {
            let once = simplified(char::from_u32(code).unwrap());
            assert_eq!(simplified(once), once);
        }
    }

    #[test]
    fn characters_have_sounds() {
        assert!(sounds_alike('张', '章') && sounds_alike('伟', '玮') && !sounds_alike('张', '王'));
        assert_eq!((syllable('吕'), syllable('绿')), (Some("lv"), Some("lv")));
        assert!(looks_alike('未', '末') && !looks_alike('未', '未') && !looks_alike('张', '章'));
        assert_eq!(cut("xiaoming"), Some(vec!["xiao", "ming"]));
        assert_eq!(cut("zhangsan").map(|it| it.len()), Some(2));
        assert_eq!(cut("smith"), None);
    }
}
