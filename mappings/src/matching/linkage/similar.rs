//! How alike two short texts are. Plain slices, no allocation: they are asked millions of times.

use crate::chinese::han::has_han;

/// Longer texts are cut before they are compared letter by letter.
pub(super) const LETTERS_MAX: usize = 64;

/// Texts ready to be compared letter by letter, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Spelling {
    /// The letters of texts in ASCII, and those of all others.
    ascii: Vec<u8>,
    any: Vec<char>,
    spans: Vec<Span>,
    has_han: bool,
}

/// What is asked of a text before its letters are, side by side: most questions end there.
#[derive(Clone, Copy, Debug)]
struct Span {
    mask: u64,
    start: u32,
    len: u8,
    has_han: bool,
    has_blank: bool,
    is_ascii: bool,
}

impl Spelling {
    pub(super) fn push(&mut self, text: &str) {
        let is_ascii = text.is_ascii();
        let start = if is_ascii { self.ascii.len() } else { self.any.len() };
        let (mut mask, mut len) = (0, 0);
        for c in text.chars().filter(|c| *c != ' ').take(LETTERS_MAX) {
            mask |= 1 << (u32::from(c) % 64);
            len += 1;
            match u8::try_from(c) {
                Ok(byte) if is_ascii => self.ascii.push(byte),
                _ => self.any.push(c),
            }
        }
        let has_han = has_han(text);
        self.has_han |= has_han;
        let start = u32::try_from(start).expect("fewer than 2³² letters");
        self.spans.push(Span { mask, start, len, has_han, has_blank: text.contains(' '), is_ascii });
    }

    /// The text of this number.
    pub(super) fn at(&self, at: usize) -> Letters<'_> {
        let Span { mask, start, len, has_han, has_blank, is_ascii } = self.spans[at];
        let span = start as usize..start as usize + usize::from(len);
        let chars = if is_ascii { Chars::Ascii(&self.ascii[span]) } else { Chars::Any(&self.any[span]) };
        Letters { chars, mask, has_han, has_blank }
    }

    /// Where the letters of a text are, which has to be known before they can be read.
    pub(super) fn place(&self, at: usize) -> u32 {
        self.spans[at].start
    }

    /// The first letter of a text, or of one behind it.
    pub(super) fn letter(&self, at: usize) -> u32 {
        let Span { start, is_ascii, .. } = self.spans[at];
        let letter = if is_ascii { self.ascii.get(start as usize).map(|it| it.code()) } else { None };
        letter.or_else(|| self.any.get(start as usize).map(|it| it.code())).unwrap_or_default()
    }

    /// Whether any of them has a Chinese character.
    pub(super) fn has_han(&self) -> bool {
        self.has_han
    }
}

impl<'a> FromIterator<&'a str> for Spelling {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

/// Letters of a byte each, as most texts have them, or of any alphabet.
#[derive(Clone, Copy, Debug)]
enum Chars<'a> {
    Ascii(&'a [u8]),
    Any(&'a [char]),
}

/// A letter, however it is kept.
trait Letter: Copy {
    fn code(self) -> u32;

    fn is(self, other: impl Letter) -> bool {
        self.code() == other.code()
    }
}

impl Letter for u8 {
    fn code(self) -> u32 {
        u32::from(self)
    }
}

impl Letter for char {
    fn code(self) -> u32 {
        u32::from(self)
    }
}

/// What an expression says of the letters of two texts, however each of them is kept.
macro_rules! of_both {
    (($x:expr, $y:expr), |$a:ident, $b:ident| $said:expr) => {
        match ($x.chars, $y.chars) {
            (Chars::Ascii($a), Chars::Ascii($b)) => $said,
            (Chars::Any($a), Chars::Any($b)) => $said,
            (Chars::Ascii($a), Chars::Any($b)) => $said,
            (Chars::Any($a), Chars::Ascii($b)) => $said,
        }
    };
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters<'a> {
    chars: Chars<'a>,
    /// One bit a letter that occurs.
    mask: u64,
    has_han: bool,
    has_blank: bool,
}

impl Letters<'_> {
    pub(super) fn len(self) -> usize {
        match self.chars {
            Chars::Ascii(it) => it.len(),
            Chars::Any(it) => it.len(),
        }
    }

    /// Whether it has a Chinese character.
    pub(super) fn has_han(self) -> bool {
        self.has_han
    }

    /// Whether it is of several words, whose letters these are without the blanks.
    pub(super) fn has_blank(self) -> bool {
        self.has_blank
    }

    pub(super) fn first(self) -> Option<char> {
        match self.chars {
            Chars::Ascii(it) => it.first().copied().map(char::from),
            Chars::Any(it) => it.first().copied(),
        }
    }

    pub(super) fn starts_with(self, other: Letters<'_>) -> bool {
        self.len() >= other.len() && self.differing(other) == 0
    }

    pub(super) fn is_equal(self, other: Letters<'_>) -> bool {
        self.mask == other.mask && self.len() == other.len() && self.differing(other) == 0
    }

    /// Whether fewer than half of the letters of the poorer one occur in the other: then no measure calls them alike.
    pub(super) fn is_far(self, other: Letters<'_>) -> bool {
        let poorer = self.mask.count_ones().min(other.mask.count_ones());
        2 * (self.mask & other.mask).count_ones() < poorer
    }

    /// Edits that turn one into the other; two neighbours that changed places are one. `most + 1` for more than `most`.
    pub(super) fn edits(self, other: Letters<'_>, most: usize) -> usize {
        // Each letter that the other has not takes an edit of its own.
        let foreign = (self.mask & !other.mask).count_ones().max((other.mask & !self.mask).count_ones());
        if foreign as usize > most || self.len().abs_diff(other.len()) > most {
            return most + 1;
        }
        of_both!((self, other), |a, b| {
            let (a, b) = without_ends(a, b);
            edits(a, b, most)
        })
    }

    /// The most letters that the two can have in common: each kind that only one of them has is a letter at least.
    fn most_in_common(self, other: Letters<'_>) -> usize {
        let own = |it: Letters<'_>, other: Letters<'_>| it.len() - (it.mask & !other.mask).count_ones() as usize;
        own(self, other).min(own(other, self))
    }

    /// Jaro's measure with Winkler's bonus for an equal beginning, 0 to 1; 0 where it cannot be `least`.
    pub(super) fn jaro_winkler(self, other: Letters<'_>, least: f64) -> f64 {
        let common = small(self.most_in_common(other));
        let most = (common / small(self.len().max(1)) + common / small(other.len().max(1)) + 1.0) / 3.0;
        if most + 0.4 * (1.0 - most) < least - 1e-9 {
            return 0.0;
        }
        of_both!((self, other), |a, b| jaro_winkler(a, b))
    }

    /// Letters at the same place that differ.
    pub(super) fn differing(self, other: Letters<'_>) -> usize {
        of_both!((self, other), |a, b| a.iter().zip(b).filter(|(x, y)| !x.is(**y)).count())
    }

    /// Letters in common whatever their order, as a share of the longer text: typing that scrambles.
    pub(super) fn in_common(self, other: Letters<'_>) -> f64 {
        let common = of_both!((self, other), |a, b| in_common(a, b));
        f64::from(common) / small(self.len().max(other.len()).max(1))
    }
}

/// A count of letters as a float.
fn small(count: usize) -> f64 {
    f64::from(u16::try_from(count).unwrap_or(u16::MAX))
}

/// What is left of two texts without the beginning and the end that they share: no edit is needed there.
fn without_ends<'a, A: Letter, B: Letter>(a: &'a [A], b: &'a [B]) -> (&'a [A], &'a [B]) {
    let begin = a.iter().zip(b).take_while(|(x, y)| x.is(**y)).count();
    let (a, b) = (&a[begin..], &b[begin..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x.is(**y)).count();
    (&a[..a.len() - end], &b[..b.len() - end])
}

/// Only cells that few enough edits can reach are filled.
fn edits<A: Letter, B: Letter>(a: &[A], b: &[B], most: usize) -> usize {
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let byte = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    let far = byte(most + 1);
    let mut rows = [[far; LETTERS_MAX + 2]; 3];
    for (at, cell) in rows[0].iter_mut().enumerate().take(b.len().min(most) + 1) {
        *cell = byte(at);
    }
    for (i, x) in a.iter().enumerate() {
        let (before, last, now) = ((i + 2) % 3, i % 3, (i + 1) % 3);
        let (from, to) = (i.saturating_sub(most), (i + most + 1).min(b.len()));
        // What stands left of the band was filled three rows ago.
        rows[now][from] = if from == 0 { byte(i + 1).min(far) } else { far };
        let mut least = rows[now][from];
        for j in from..to {
            let mut cost = (rows[last][j] + u8::from(!x.is(b[j]))).min(rows[last][j + 1] + 1).min(rows[now][j] + 1);
            if i > 0 && j > 0 && x.is(b[j - 1]) && a[i - 1].is(b[j]) {
                cost = cost.min(rows[before][j - 1] + 1);
            }
            rows[now][j + 1] = cost.min(far);
            least = least.min(cost);
        }
        rows[now][to + 1] = far;
        if least >= far {
            return most + 1;
        }
    }
    usize::from(rows[a.len() % 3][b.len()]).min(most + 1)
}

/// How many letters of one are in the other, each of them once.
fn in_common<A: Letter, B: Letter>(a: &[A], b: &[B]) -> u32 {
    let (mut taken, mut common) = (0u64, 0u32);
    for c in a {
        let at = b.iter().enumerate().position(|(at, d)| taken & (1 << at) == 0 && c.is(*d));
        if let Some(at) = at {
            taken |= 1 << at;
            common += 1;
        }
    }
    common
}

fn jaro_winkler<A: Letter, B: Letter>(a: &[A], b: &[B]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let window = (a.len().max(b.len()) / 2).saturating_sub(1);
    let (mut in_a, mut in_b) = (0u64, 0u64);
    for (i, x) in a.iter().enumerate() {
        let (from, to) = (i.saturating_sub(window), (i + window + 1).min(b.len()));
        for (j, y) in b.iter().enumerate().take(to).skip(from) {
            if in_b & (1 << j) == 0 && x.is(*y) {
                in_a |= 1 << i;
                in_b |= 1 << j;
                break;
            }
        }
    }
    let common = f64::from(in_a.count_ones());
    if in_a == 0 {
        return 0.0;
    }
    let (mut left, mut right, mut moved) = (in_a, in_b, 0u32);
    while left != 0 {
        moved += u32::from(!a[left.trailing_zeros() as usize].is(b[right.trailing_zeros() as usize]));
        left &= left - 1;
        right &= right - 1;
    }
    let jaro = (common / small(a.len()) + common / small(b.len()) + (common - f64::from(moved / 2)) / common) / 3.0;
    let prefix = a.iter().zip(b).take(4).take_while(|(x, y)| x.is(**y)).count();
    if jaro > 0.7 { jaro + 0.1 * small(prefix) * (1.0 - jaro) } else { jaro }
}

/// A rough sound: the first letter and the classes of the consonants that follow, four at most.
pub(super) fn sound(text: &str) -> String {
    let mut out = String::new();
    let mut last = '0';
    for c in text.chars() {
        let class = match c {
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' => '0',
            'h' | 'w' if !out.is_empty() => continue,
            'h' | 'w' => '0',
            'b' | 'p' | 'f' | 'v' => '1',
            'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
            'd' | 't' => '3',
            'l' => '4',
            'm' | 'n' => '5',
            'r' => '6',
            ' ' => continue,
            other => other,
        };
        if out.is_empty() {
            out.push(c);
        } else if class != '0' && class != last {
            out.push(class);
        }
        last = class;
        if out.chars().count() == 4 {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The same measures of the strsim crate, which is slower and not ours.
    proptest! {
        #[test]
        fn edits_and_jaro_are_those_of_strsim(a in "[abcd]{0,9}é?", b in "[abcdé]{0,9}") {
            let both = Spelling::from_iter([a.as_str(), b.as_str()]);
            let (x, y) = (both.at(0), both.at(1));
            let whole = strsim::osa_distance(&a, &b);
            prop_assert_eq!(x.edits(y, 20), whole);
            for most in 0..4 {
                prop_assert_eq!(x.edits(y, most), whole.min(most + 1));
            }
            if !a.is_empty() && !b.is_empty() {
                let whole = strsim::jaro_winkler(&a, &b);
                prop_assert!((x.jaro_winkler(y, 0.0) - whole).abs() < 1e-9);
                for least in [0.5, 0.8, 0.9] {
                    let known = x.jaro_winkler(y, least);
                    prop_assert!((known - whole).abs() < 1e-9 || (known == 0.0 && whole < least));
                }
            }
            prop_assert!((x.in_common(y) - y.in_common(x)).abs() < 1e-9);
            // What is called far is far by every measure that decides.
            if x.is_far(y) && x.len().min(y.len()) > 2 {
                prop_assert!(x.in_common(y) < 0.8);
            }
        }
    }

    #[test]
    fn spellings_of_one_sound_agree() {
        for (a, b) in [("stephen", "steven"), ("catherine", "katherine"), ("meyer", "maier")] {
            assert_eq!(sound(a)[1..], sound(b)[1..], "{a} {b}");
        }
        assert_ne!(sound("smith"), sound("jones"));
    }
}
