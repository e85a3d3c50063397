//! Comparisons: each takes two rows to a level.

mod address;
mod names;
mod near;
mod words;

use super::features::{Features, Spelled, Worded};
use super::forms::Date;
use super::settings::Settings;
use super::table::Feature;
use crate::chinese::ids::{self, Relation};

pub(super) use names::are_two;
pub(super) use near::Near;

use names::Part;

/// What one comparison shows of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// From 1, the strongest, to "anything else"; 0 where one of the two says nothing.
    pub level: u8,
    /// Where the values are equal, how common they are; 0 elsewhere.
    pub share: f64,
}

impl Outcome {
    pub(super) const SILENT: Self = Self { level: 0, share: 0.0 };

    pub(super) fn of(level: u8) -> Self {
        Self { level, share: 0.0 }
    }

    pub(super) fn equal(level: u8, share: f64) -> Self {
        Self { level, share }
    }
}

/// What a comparison looks at.
enum Look<'a> {
    Given(&'a Spelled),
    Family(&'a Spelled),
    Middle(&'a Spelled),
    Birth(&'a Spelled, &'a [Date]),
    Identifier(&'a Spelled),
    /// Numbers with a check character.
    Checked(&'a Spelled),
    Email(&'a Spelled, &'a super::similar::Spelling),
    Phone(&'a Spelled),
    Address(address::Address<'a>),
    Locality(address::Locality<'a>),
    Name(&'a Worded),
    Words(&'a Worded),
    Category(&'a Worded),
    Equal(&'a Feature),
    Number(&'a Feature, &'a [f64]),
}

/// One comparison, its levels and what is expected of them.
pub(super) struct Comparison<'a> {
    /// Its name in the settings.
    pub name: &'static str,
    look: Look<'a>,
    /// What relatives may share.
    pub shared: bool,
    /// Shares of the levels among pairs of one customer, as the settings expect them.
    pub expected: &'a [f64],
}

impl<'a> Comparison<'a> {
    /// Levels, the silent one not counted.
    pub(super) fn levels(&self) -> usize {
        self.expected.len()
    }

    /// All that is looked at.
    pub(super) fn near(&self) -> Vec<Near<'a>> {
        Near::of(&self.look)
    }

    /// The feature of which equal values have the first level and others have another one, whatever else there is; none where
    /// more than one value counts.
    fn feature(&self) -> Option<&'a Feature> {
        match &self.look {
            // What is Chinese may be equal in more ways than one.
            Look::Given(it) | Look::Family(it) => (!it.letters.has_han()).then_some(&it.feature),
            Look::Middle(it) | Look::Phone(it) | Look::Birth(it, _) | Look::Identifier(it) | Look::Email(it, _) => {
                Some(&it.feature)
            }
            Look::Name(it) | Look::Words(it) => it.companies.is_empty().then_some(&it.feature),
            Look::Category(it) => Some(&it.feature),
            Look::Equal(it) | Look::Number(it, _) => Some(it),
            Look::Checked(_) | Look::Address(_) | Look::Locality(_) => None,
        }
    }

    /// Whether [`Self::at_a_glance`] tells what all equal values show.
    pub(super) fn is_equal_known(&self) -> bool {
        self.feature().is_some()
    }

    /// What is known of two rows before their values are held against each other: where they are equal, or one says nothing.
    pub(super) fn at_a_glance(&self, (a, b): (usize, usize)) -> Option<Outcome> {
        let feature = self.feature()?;
        match feature.pair(a, b) {
            Some((x, y)) if x == y => Some(Outcome::equal(1, feature.share(x))),
            // A name may be in the other one's place.
            None if !self.is_name() => Some(Outcome::SILENT),
            _ => None,
        }
    }

    fn is_name(&self) -> bool {
        matches!(self.look, Look::Given(_) | Look::Family(_))
    }
}

/// More columns than this are not compared: an outcome is kept in four bits, a pair in one word.
pub(super) const COMPARISONS_MAX: usize = 16;

/// All comparisons of a table.
pub(super) struct Comparer<'a> {
    pub features: &'a Features,
    settings: &'a Settings,
    pub comparisons: Vec<Comparison<'a>>,
    near: Vec<Near<'a>>,
}

impl<'a> Comparer<'a> {
    pub(super) fn new(features: &'a Features, settings: &'a Settings) -> Self {
        let f = features;
        let mut looks: Vec<(&'static str, Look<'a>)> = Vec::new();
        looks.extend(f.given.iter().map(|it| ("given_name", Look::Given(it))));
        looks.extend(f.family.iter().map(|it| ("family_name", Look::Family(it))));
        looks.extend(f.middle.iter().map(|it| ("middle_name", Look::Middle(it))));
        looks.extend(f.birth.iter().map(|(it, dates)| ("birth_date", Look::Birth(it, dates))));
        let identifiers = f.identifiers.iter().zip(&f.shape.checked);
        looks.extend(
            identifiers
                .map(|(it, checked)| ("identifier", if *checked { Look::Checked(it) } else { Look::Identifier(it) })),
        );
        looks.extend(f.email.iter().map(|(it, locals)| ("email", Look::Email(it, locals))));
        looks.extend(f.name.iter().map(|it| ("name", Look::Name(it))));
        looks.extend(f.phones.iter().map(|it| ("phone", Look::Phone(it))));
        looks.extend(address::Address::of(f).map(|it| ("address", Look::Address(it))));
        looks.extend(address::Locality::of(f).map(|it| ("locality", Look::Locality(it))));
        looks.extend(f.sex.iter().map(|it| ("sex", Look::Equal(it))));
        looks.extend(f.host.iter().map(|it| ("host", Look::Equal(it))));
        looks.extend(f.texts.iter().map(|it| ("words", Look::Words(it))));
        looks.extend(f.categories.iter().map(|it| ("category", Look::Category(it))));
        looks.extend(f.numbers.iter().map(|(it, numbers)| ("number", Look::Number(it, numbers))));
        looks.truncate(COMPARISONS_MAX);
        let near = looks.iter().flat_map(|(_, look)| Near::of(look)).collect();
        let expected = |(name, look): (&'static str, Look<'a>)| {
            let expected = &settings.compare[name];
            // Beside a person's own names the name of an organisation is no more than where she belongs.
            let beside = name == "name" && f.given.is_some();
            Comparison { name, look, shared: expected.shared || beside, expected: &expected.shares }
        };
        let comparisons = looks.into_iter().map(expected).collect();
        Self { features, settings, comparisons, near }
    }

    /// What a row says to a comparison, in the form in which it is compared.
    pub(super) fn text(&self, comparison: usize, row: usize) -> String {
        match &self.comparisons[comparison].look {
            Look::Given(it) | Look::Family(it) | Look::Middle(it) | Look::Email(it, _) | Look::Phone(it) => {
                it.feature.get(row).to_owned()
            }
            Look::Identifier(it) | Look::Checked(it) => it.feature.get(row).to_owned(),
            Look::Birth(it, _) => match it.feature.get(row) {
                date if date.len() == 8 => format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]),
                other => other.to_owned(),
            },
            Look::Address(address) => address.text(row),
            Look::Locality(locality) => locality.text(row),
            Look::Name(it) | Look::Words(it) | Look::Category(it) => it.feature.get(row).trim_end().to_owned(),
            Look::Equal(it) | Look::Number(it, _) => it.get(row).to_owned(),
        }
    }

    /// Compares many pairs, one after the other, and hands over what each of them shows.
    pub(super) fn each(
        &self,
        pairs: impl IntoIterator<Item = (u32, u32)>,
        mut take: impl FnMut((u32, u32), &[Outcome; COMPARISONS_MAX]),
    ) {
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        let (mut pairs, mut some) = (pairs.into_iter(), Vec::new());
        while Near::next(&self.near, &mut pairs, &mut some) {
            for (a, b) in some.drain(..) {
                self.compare(a as usize, b as usize, &mut out);
                take((a, b), &out);
            }
        }
    }

    /// Compares two rows; `out` gets an outcome a comparison.
    pub(super) fn compare(&self, a: usize, b: usize, out: &mut [Outcome; COMPARISONS_MAX]) {
        for (outcome, comparison) in out.iter_mut().zip(&self.comparisons) {
            *outcome = self.look(&comparison.look, a, b);
        }
        if let [Comparison { look: Look::Given(given), .. }, Comparison { look: Look::Family(family), .. }, ..] =
            self.comparisons.as_slice()
        {
            let [first, second, ..] = out;
            names::swap(given, family, (a, b), (first, second));
        }
    }

    /// The outcome of one comparison, of those that say the same whatever the others do.
    pub(super) fn alone(&self, comparison: usize, (a, b): (usize, usize)) -> Option<Outcome> {
        let it = &self.comparisons[comparison];
        (!it.is_name()).then(|| self.look(&it.look, a, b))
    }

    fn look(&self, look: &Look<'_>, a: usize, b: usize) -> Outcome {
        match look {
            Look::Given(names) => {
                let part = |value| Part::of(names, value);
                names::equal_or(names, a, b, |x, y| names::given(part(x), part(y), &self.settings.nicknames))
            }
            Look::Family(names) => {
                names::equal_or(names, a, b, |x, y| names::family(Part::of(names, x), Part::of(names, y)))
            }
            Look::Middle(names) => equal_or(&names.feature, a, b, |x, y| names::middle(names, x, y)),
            Look::Birth(birth, dates) => equal_or(&birth.feature, a, b, |x, y| date(birth, dates, x, y)),
            Look::Identifier(it) => equal_or(&it.feature, a, b, |x, y| slips(it, x, y)),
            Look::Checked(it) => checked(it, a, b),
            Look::Email(email, locals) => equal_or(&email.feature, a, b, |x, y| mailbox(email, locals, x, y)),
            Look::Phone(phone) => {
                equal_or(
                    &phone.feature,
                    a,
                    b,
                    |x, y| {
                        if phone.letters(x).edits(phone.letters(y), 1) <= 1 { 2 } else { 3 }
                    },
                )
            }
            Look::Address(address) => address.compare(a, b),
            Look::Locality(locality) => locality.compare(a, b),
            Look::Name(text) => words::organization(text, a, b, words::Part::Own),
            Look::Words(text) => words::organization(text, a, b, words::Part::Context),
            Look::Category(text) => equal_or(&text.feature, a, b, |x, y| words::one_in_common(text, x, y)),
            Look::Equal(feature) => equal_or(feature, a, b, |_, _| 2),
            Look::Number(feature, numbers) => equal_or(feature, a, b, |x, y| nearness(numbers[x], numbers[y])),
        }
    }
}

/// 1 for equal values, else what `other` says of them.
fn equal_or(feature: &Feature, a: usize, b: usize, other: impl FnOnce(usize, usize) -> u8) -> Outcome {
    match feature.pair(a, b) {
        None => Outcome::SILENT,
        Some((x, y)) if x == y => Outcome::equal(1, feature.share(x)),
        Some((x, y)) => Outcome::of(other(x as usize, y as usize)),
    }
}

fn slips(it: &Spelled, x: usize, y: usize) -> u8 {
    match it.letters(x).edits(it.letters(y), 2) {
        0 | 1 => 2,
        2 => 3,
        _ => 4,
    }
}

/// Two numbers that are right and differ are no slips of each other, and one organisation has several. An equal number with
/// a wrong check character was copied or made up: it says nothing.
fn checked(it: &Spelled, a: usize, b: usize) -> Outcome {
    let Some((x, y)) = it.feature.pair(a, b) else { return Outcome::SILENT };
    let code = |id: u32| ids::clean(&it.feature.values[id as usize]);
    if x == y {
        let share = it.feature.share(x);
        return if ids::is_mistaken(&code(x)) { Outcome::SILENT } else { Outcome::equal(1, share) };
    }
    match ids::relation(&code(x), &code(y)) {
        Some(Relation::Same) => Outcome::equal(1, it.feature.share(x)),
        Some(Relation::Different) => Outcome::of(4),
        None => Outcome::of(slips(it, x as usize, y as usize)),
    }
}

fn date(birth: &Spelled, dates: &[Date], x: usize, y: usize) -> u8 {
    let (p, q) = (dates[x], dates[y]);
    let (mine, theirs) = (birth.letters(x), birth.letters(y));
    let differing = mine.differing(theirs);
    let turned = p.year == q.year && p.month == q.day && p.day == q.month;
    if differing == 1 || turned || mine.edits(theirs, 1) == 1 {
        2
    } else if p.year == q.year && (p.month == q.month || p.day == q.day) {
        3
    } else if p.month == q.month && p.day == q.day && p.month > 0 {
        4
    } else if p.year == q.year || differing <= 2 {
        5
    } else {
        6
    }
}

fn mailbox(email: &Spelled, locals: &super::similar::Spelling, x: usize, y: usize) -> u8 {
    let (mine, theirs) = (email.letters(x), email.letters(y));
    let edits = mine.edits(theirs, 5);
    if edits <= 2 {
        2
    } else if locals.at(x).is_equal(locals.at(y)) && locals.at(x).len() > 2 {
        3
    } else if edits <= 5 && mine.in_common(theirs) > 0.8 {
        4
    } else {
        5
    }
}

fn nearness(x: f64, y: f64) -> u8 {
    let apart = (x - y).abs() / x.abs().max(y.abs()).max(f64::MIN_POSITIVE);
    if apart <= 0.01 {
        2
    } else if apart <= 0.1 {
        3
    } else {
        4
    }
}
