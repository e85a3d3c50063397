//! The features one by one, under names that stay the same from file to file, and the values that join them later.

use super::features::{Features, Spelled, Worded, solid, weight, words_of};
use super::forms::Date;
use super::frozen::Frequencies;
use super::similar::Spelling;
use super::table::{Feature, Texts};
use crate::chinese::address::Address;
use crate::chinese::company::Company;

/// The name of a feature, and which of several of its like it is.
pub(super) type Name = (&'static str, usize);

/// A feature and what is kept beside each of its values.
pub(super) enum Slot<'a> {
    Plain(&'a mut Feature),
    Spelled(&'a mut Spelled),
    Dated(&'a mut Spelled, &'a mut Vec<Date>),
    Mailbox(&'a mut Spelled, &'a mut Spelling),
    Worded(&'a mut Worded),
    Numbered(&'a mut Feature, &'a mut Vec<f64>),
    Addressed(&'a mut Feature, &'a mut Vec<Option<Address>>),
}

impl Slot<'_> {
    /// The feature itself.
    pub(super) fn feature(&mut self) -> &mut Feature {
        match self {
            Self::Plain(feature) | Self::Numbered(feature, _) | Self::Addressed(feature, _) => feature,
            Self::Spelled(spelled) | Self::Dated(spelled, _) | Self::Mailbox(spelled, _) => &mut spelled.feature,
            Self::Worded(worded) => &mut worded.feature,
        }
    }

    /// Takes the counts of values and words from what was learned, in place of those of the rows at hand.
    pub(super) fn settle(&mut self, known: &Frequencies) {
        let feature = self.feature();
        feature.counts = feature.values.iter().map(|value| known.values.of(value)).collect();
        feature.filled = known.filled;
        if let Self::Worded(worded) = self {
            worded.counts = worded.texts.iter().map(|word| known.word(word)).collect();
            worded.weights = worded.counts.iter().map(|count| weight(known.filled, *count)).collect();
            let enough = worded.feature.enough();
            worded.brands = worded.companies.iter().map(|it| known.brand(it.as_ref(), enough)).collect();
        }
    }

    /// The value as the name of a Chinese company, if it is one; nothing at all where no value is taken apart.
    pub(super) fn company(&self, value: u32) -> Vec<Option<Company>> {
        match self {
            Self::Worded(worded) => worded.companies.get(value as usize).cloned().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Adds a value that no row has yet, with all that is kept beside it. `word` finds or adds a word by its text.
    pub(super) fn push(
        &mut self,
        value: &str,
        company: Vec<Option<Company>>,
        known: &Frequencies,
        word: &mut dyn FnMut(&mut Worded, &str) -> u32,
    ) {
        let feature = self.feature();
        feature.values.push(value);
        feature.counts.push(known.values.of(value));
        match self {
            Self::Plain(_) => {}
            Self::Numbered(_, numbers) => numbers.push(value.parse().unwrap_or_default()),
            Self::Addressed(_, parsed) => parsed.push(Address::parse(value)),
            Self::Spelled(spelled) => spelled.letters.push(value),
            Self::Dated(spelled, dates) => {
                spelled.letters.push(value);
                dates.push(Date::parse(value));
            }
            Self::Mailbox(spelled, locals) => {
                spelled.letters.push(value);
                locals.push(value.split('@').next().unwrap_or_default());
            }
            Self::Worded(worded) => {
                let words = words_of(value).into_iter().map(|text| word(worded, text)).collect();
                worded.words.push(words);
                worded.solid.push(solid(value));
                for company in company {
                    worded.brands.push(known.brand(company.as_ref(), worded.feature.enough()));
                    worded.companies.push(company);
                }
            }
        }
    }

    /// Forgets all rows and values, so that others can be pushed.
    pub(super) fn clear(&mut self) {
        let feature = self.feature();
        *feature = Feature { ids: Vec::new(), values: Texts::default(), counts: Vec::new(), filled: feature.filled };
        match self {
            Self::Plain(_) => {}
            Self::Numbered(_, numbers) => numbers.clear(),
            Self::Addressed(_, parsed) => parsed.clear(),
            Self::Spelled(spelled) => spelled.letters = Spelling::default(),
            Self::Dated(spelled, dates) => {
                spelled.letters = Spelling::default();
                dates.clear();
            }
            Self::Mailbox(spelled, locals) => {
                spelled.letters = Spelling::default();
                **locals = Spelling::default();
            }
            Self::Worded(worded) => {
                (worded.words, worded.solid) = (Vec::new(), Vec::new());
                (worded.texts, worded.spelled) = (Texts::default(), Spelling::default());
                (worded.weights, worded.counts) = (Vec::new(), Vec::new());
                (worded.companies, worded.brands) = (Vec::new(), Vec::new());
            }
        }
    }
}

impl Worded {
    /// Adds a word that no value has yet.
    pub(super) fn push_word(&mut self, text: &str, known: &Frequencies) -> u32 {
        let count = known.word(text);
        self.texts.push(text);
        self.spelled.push(text);
        self.counts.push(count);
        self.weights.push(weight(known.filled, count));
        super::choose::number(self.texts.len() - 1)
    }
}

/// The features of which there is one at most.
macro_rules! single {
    ($of:ident) => {
        (
            [
                ("source", &mut $of.source),
                ("sex", &mut $of.sex),
                ("unit", &mut $of.unit),
                ("po_box", &mut $of.po_box),
                ("place", &mut $of.place),
                ("host", &mut $of.host),
            ],
            [
                ("given_name", &mut $of.given),
                ("middle_name", &mut $of.middle),
                ("family_name", &mut $of.family),
                ("street_number", &mut $of.number),
                ("street", &mut $of.street),
                ("city", &mut $of.city),
                ("region", &mut $of.region),
                ("postcode", &mut $of.postcode),
            ],
        )
    };
}

impl Features {
    /// All features there are, always in the same order.
    pub(super) fn slots(&mut self) -> Vec<(Name, Slot<'_>)> {
        let mut slots: Vec<(Name, Slot<'_>)> = Vec::with_capacity(24);
        let (plain, spelled) = single!(self);
        let plain = plain.into_iter().filter_map(|(name, it)| Some(((name, 0), Slot::Plain(it.as_mut()?))));
        slots.extend(plain);
        let spelled = spelled.into_iter().filter_map(|(name, it)| Some(((name, 0), Slot::Spelled(it.as_mut()?))));
        slots.extend(spelled);
        slots.extend(self.birth.iter_mut().map(|(it, dates)| (("birth_date", 0), Slot::Dated(it, dates))));
        slots.extend(self.email.iter_mut().map(|(it, locals)| (("email", 0), Slot::Mailbox(it, locals))));
        let chinese = self.chinese.iter_mut();
        slots.extend(chinese.map(|(it, parsed)| (("chinese_address", 0), Slot::Addressed(it, parsed))));
        slots.extend(self.name.iter_mut().map(|it| (("name", 0), Slot::Worded(it))));
        slots.extend(self.phones.iter_mut().enumerate().map(|(at, it)| (("phone", at), Slot::Spelled(it))));
        slots.extend(self.identifiers.iter_mut().enumerate().map(|(at, it)| (("identifier", at), Slot::Spelled(it))));
        slots.extend(self.texts.iter_mut().enumerate().map(|(at, it)| (("words", at), Slot::Worded(it))));
        slots.extend(self.categories.iter_mut().enumerate().map(|(at, it)| (("category", at), Slot::Worded(it))));
        let numbers = self.numbers.iter_mut().enumerate();
        slots.extend(numbers.map(|(at, (it, numbers))| (("number", at), Slot::Numbered(it, numbers))));
        slots
    }

    /// Leaves out what does not `stay`. What may be there several times stays: its like are told apart by their places.
    pub(super) fn retain(&mut self, stays: impl Fn(&'static str, &Feature) -> bool) {
        let (plain, spelled) = single!(self);
        for (name, it) in plain {
            *it = it.take().filter(|it| stays(name, it));
        }
        for (name, it) in spelled {
            *it = it.take().filter(|it| stays(name, &it.feature));
        }
        self.birth = self.birth.take().filter(|(it, _)| stays("birth_date", &it.feature));
        self.email = self.email.take().filter(|(it, _)| stays("email", &it.feature));
        self.chinese = self.chinese.take().filter(|(it, _)| stays("chinese_address", it));
        self.name = self.name.take().filter(|it| stays("name", &it.feature));
    }
}
