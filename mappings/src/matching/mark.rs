//! What stands beside a block: the name of who bears it. Twice as many customers are twice as many strangers who share a
//! family name and a date of birth; by their given names most of them are told apart before anything of them is loaded.

use super::Evidence;
use super::blocks::hash;
use super::features::is_organization;
use super::rules::Rules;
use super::subject::Subject;

/// A person's given name, letter by letter, and a hash of the family name: 1 or 2 in two bits for what the letters are, 16
/// bits of hash, 45 of letters. Stored, so it never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameMark(i64);

/// Letters of five bits: a to z, a blank.
const SMALL: i64 = 1;
const SMALL_MAX: usize = 9;
const BLANK: i64 = 27;

/// Characters of any script, 21 bits each.
const ANY: i64 = 2;
const ANY_MAX: usize = 2;

const GIVEN_BITS: u32 = 45;
const FAMILY_BITS: u32 = 16;

impl NameMark {
    /// Whoever bears the block has to be compared: a name that does not fit, half a name, an organization.
    pub const OPEN: Self = Self(0);

    /// The record names nobody.
    const NAMELESS: Self = Self(-1);

    /// What a record says. What a customer's name is compared by follows from the records that have one.
    pub fn of(evidence: &Evidence) -> Self {
        if is_organization(evidence) {
            return Self::OPEN;
        }
        let [given, middle, family] = Subject::spoken(evidence);
        match (given.as_str(), family.as_str()) {
            ("", "") if middle.is_empty() => Self::NAMELESS,
            ("", _) | (_, "") => Self::OPEN,
            (given, family) => small(given).or_else(|| any(given)).map_or(Self::OPEN, |it| it.beside(family)),
        }
    }

    /// What the records of one customer say together: a name if none of them has another one.
    pub fn of_one(marks: impl IntoIterator<Item = Self>) -> Self {
        let mut named = marks.into_iter().filter(|it| *it != Self::NAMELESS);
        let first = named.next().unwrap_or(Self::OPEN);
        if named.all(|it| it == first) { first } else { Self::OPEN }
    }

    /// As it is stored; 0: nothing.
    pub const fn number(self) -> i64 {
        if self.0 > 0 { self.0 } else { 0 }
    }

    /// From the store.
    pub const fn stored(number: i64) -> Self {
        Self(number)
    }

    /// Whether a record and a customer are two people by their names alone, if no identity of theirs is equal: what
    /// [`super::decide`] makes of them is known then.
    pub fn is_apart(self, other: Self, rules: &Rules) -> bool {
        let family = |it: Self| it.0 >> GIVEN_BITS & ((1 << FAMILY_BITS) - 1);
        self.0 > 0
            && other.0 > 0
            && self != other
            && family(self) == family(other)
            && rules.judge(Subject::Person).tells_apart(&self.given(), &other.given())
    }

    fn beside(self, family: &str) -> Self {
        let hash = hash(&[family]).cast_unsigned();
        let folded = (hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48) & ((1 << FAMILY_BITS) - 1);
        Self(self.0 | folded.cast_signed() << GIVEN_BITS)
    }

    fn given(self) -> String {
        let letters = self.0 & ((1 << GIVEN_BITS) - 1);
        let (bits, most) = if self.0 >> (GIVEN_BITS + FAMILY_BITS) == SMALL { (5, SMALL_MAX) } else { (21, ANY_MAX) };
        let codes = (0..most).rev().map(|at| letters >> (bits * at) & ((1 << bits) - 1)).filter(|code| *code > 0);
        let letter = |code| match code {
            BLANK if bits == 5 => Some(' '),
            code if bits == 5 => u8::try_from(code).ok().map(|code| char::from(code + b'a' - 1)),
            code => u32::try_from(code).ok().and_then(char::from_u32),
        };
        codes.filter_map(letter).collect()
    }
}

fn packed(kind: i64, bits: u32, codes: impl Iterator<Item = i64>) -> NameMark {
    NameMark(codes.fold(0, |all, code| all << bits | code) | kind << (GIVEN_BITS + FAMILY_BITS))
}

fn small(given: &str) -> Option<NameMark> {
    let code = |letter: u8| if letter == b' ' { BLANK } else { i64::from(letter - b'a' + 1) };
    let fits = given.len() <= SMALL_MAX && given.bytes().all(|it| it == b' ' || it.is_ascii_lowercase());
    fits.then(|| packed(SMALL, 5, given.bytes().map(code)))
}

fn any(given: &str) -> Option<NameMark> {
    let fits = given.chars().nth(ANY_MAX).is_none() && !given.contains('\0');
    fits.then(|| packed(ANY, 21, given.chars().map(|it| i64::from(u32::from(it)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_out_as_it_went_in() {
        for name in ["a", "lei", "anna maria", "christian", "mary ann", "伟", "建国", "é", "ян", "𠀀𠀁", "zzzzzzzzz"]
        {
            let mark = small(name).or_else(|| any(name)).map(|it| it.beside("berg"));
            let fits = name.chars().count() <= ANY_MAX || (name.is_ascii() && name.len() <= SMALL_MAX);
            assert_eq!(mark.map(NameMark::given), fits.then(|| name.to_owned()), "{name}");
            assert!(mark.is_none_or(|it| it.number() > 0 && NameMark::stored(it.number()) == it), "{name}");
        }
    }

    #[test]
    fn one_name_is_what_none_contradicts() {
        let [lei, wei] = ["lei", "wei"].map(|it| small(it).unwrap().beside("li"));
        assert_eq!(NameMark::of_one([lei, NameMark::NAMELESS, lei]), lei);
        assert_eq!(NameMark::of_one([NameMark::NAMELESS]), NameMark::OPEN);
        assert_eq!(NameMark::of_one([lei, wei]), NameMark::OPEN);
        assert_eq!(NameMark::of_one([NameMark::OPEN, lei]), NameMark::OPEN);
        assert_eq!(NameMark::NAMELESS.number(), 0);
    }
}
