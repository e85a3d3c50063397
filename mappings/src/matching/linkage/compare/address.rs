//! Addresses: house number, street, unit and box as one comparison; city, region and postcode as another. Their parts
//! say the same thing twice, so they are not added up.

use super::super::features::{Features, Spelled};
use super::super::table::Feature;
use super::Outcome;
use crate::chinese::address::{self, Agreement};

/// House number, street, unit, post office box.
pub(super) struct Address<'a> {
    features: &'a Features,
    street: &'a Spelled,
}

/// How alike two streets are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Street {
    Same,
    Alike,
    Part,
    Different,
}

impl<'a> Address<'a> {
    pub(super) fn of(features: &'a Features) -> Option<Self> {
        features.street.as_ref().map(|street| Self { features, street })
    }

    /// What is looked at: what is compared letter by letter, and what is equal or not.
    pub(super) fn features(&self) -> (impl Iterator<Item = &'a Spelled>, impl Iterator<Item = &'a Feature>) {
        let of = self.features;
        let plain = [&of.unit, &of.po_box, &of.place].into_iter().flatten().chain(of.chinese.iter().map(|(it, _)| it));
        ([of.number.as_ref(), Some(self.street)].into_iter().flatten(), plain)
    }

    /// Two addresses written in Chinese, by their levels.
    fn chinese(&self, a: usize, b: usize) -> Option<Outcome> {
        let (feature, parsed) = self.features.chinese.as_ref()?;
        let (x, y) = feature.pair(a, b)?;
        let (mine, theirs) = (parsed[x as usize].as_ref()?, parsed[y as usize].as_ref()?);
        let place = self.features.place.as_ref().filter(|place| place.ids[a] != 0);
        let street = || self.street.feature.share(self.street.feature.ids[a]);
        let house = || place.map_or_else(street, |place| place.share(place.ids[a]));
        Some(match address::compare(mine, theirs) {
            Agreement::Room => Outcome::equal(1, house()),
            Agreement::House => Outcome::equal(2, house()),
            Agreement::HouseAlike => Outcome::of(4),
            Agreement::Road => Outcome::equal(5, street()),
            Agreement::RoadAlike => Outcome::of(6),
            Agreement::County => Outcome::of(9),
            // Two doors in one road are two places: the road in common is no evidence for one.
            Agreement::OtherRoom | Agreement::OtherHouse | Agreement::Different => Outcome::of(10),
            Agreement::Silent => Outcome::SILENT,
        })
    }

    /// The whole address where it is written in Chinese, otherwise its parts.
    pub(super) fn text(&self, row: usize) -> String {
        let of = self.features;
        if let Some((whole, _)) = of.chinese.as_ref().filter(|(whole, _)| whole.has(row)) {
            return whole.get(row).to_owned();
        }
        let spelled = [of.number.as_ref(), Some(self.street)].into_iter().flatten().map(|it| &it.feature);
        joined(spelled.chain(of.unit.as_ref()).chain(of.po_box.as_ref()), row)
    }

    pub(super) fn compare(&self, a: usize, b: usize) -> Outcome {
        if let Some(outcome) = self.chinese(a, b) {
            return outcome;
        }
        let of = self.features;
        let same = |feature: Option<&Feature>| feature.and_then(|it| it.pair(a, b)).map(|(x, y)| x == y);
        let number = same(of.number.as_ref().map(|it| &it.feature));
        let unit = same(of.unit.as_ref());
        let Some((x, y)) = self.street.feature.pair(a, b) else {
            return match (&of.po_box, same(of.po_box.as_ref())) {
                (Some(it), Some(true)) => Outcome::equal(2, it.share(it.ids[a])),
                (_, Some(false)) if number != Some(true) => Outcome::of(10),
                _ => Outcome::SILENT,
            };
        };
        let street = self.street(x as usize, y as usize);
        let place = || match &of.place {
            Some(place) if place.ids[a] != 0 => place.share(place.ids[a]),
            _ => self.street.feature.share(x),
        };
        match (number, street) {
            (Some(true), Street::Same) if unit == Some(true) => Outcome::equal(1, place()),
            (Some(true), Street::Same) if unit == Some(false) => Outcome::of(3),
            (Some(true), Street::Same) => Outcome::equal(2, place()),
            (Some(true), Street::Alike | Street::Part) => Outcome::of(4),
            (None, Street::Same) => Outcome::equal(5, self.street.feature.share(x)),
            (Some(false), Street::Same | Street::Alike) if self.is_near(a, b) => Outcome::of(5),
            (None, Street::Alike) => Outcome::of(6),
            (Some(false), Street::Same | Street::Alike) => Outcome::of(7),
            (Some(true), Street::Different) => Outcome::of(8),
            (_, Street::Part) => Outcome::of(9),
            (_, Street::Different) => Outcome::of(10),
        }
    }

    /// House numbers of which one digit slipped.
    fn is_near(&self, a: usize, b: usize) -> bool {
        self.features.number.as_ref().is_some_and(|number| {
            let of = |row: usize| number.letters(number.feature.ids[row] as usize);
            let (x, y) = (of(a), of(b));
            x.len().min(y.len()) >= 2 && x.edits(y, 1) == 1
        })
    }

    fn street(&self, x: usize, y: usize) -> Street {
        if x == y {
            return Street::Same;
        }
        let (mine, theirs) = (self.street.letters(x), self.street.letters(y));
        let (s, t) = (&self.street.feature.values[x], &self.street.feature.values[y]);
        let short = mine.len().min(theirs.len());
        let most = 1 + short / 6;
        let within = |s: &str, t: &str| s.split(' ').all(|word| t.split(' ').any(|it| it == word));
        let alike = !mine.is_far(theirs)
            && (mine.edits(theirs, most) <= most || (short > 4 && mine.jaro_winkler(theirs, 0.92) >= 0.92));
        if alike || within(s, t) || within(t, s) {
            return Street::Alike;
        }
        let shared = s.split(' ').any(|word| word.len() > 3 && t.split(' ').any(|it| it == word));
        if shared { Street::Part } else { Street::Different }
    }
}

/// City, region, postcode.
pub(super) struct Locality<'a> {
    postcode: Option<&'a Spelled>,
    city: Option<&'a Spelled>,
    region: Option<&'a Spelled>,
}

/// How one part of a locality agrees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Silent,
    Same,
    Close,
    Different,
}

impl<'a> Locality<'a> {
    pub(super) fn of(features: &'a Features) -> Option<Self> {
        let it = Self {
            postcode: features.postcode.as_ref(),
            city: features.city.as_ref(),
            region: features.region.as_ref(),
        };
        (it.postcode.is_some() || it.city.is_some() || it.region.is_some()).then_some(it)
    }

    /// What is looked at.
    pub(super) fn features(&self) -> impl Iterator<Item = &'a Spelled> {
        [self.postcode, self.city, self.region].into_iter().flatten()
    }

    /// City, region and postcode.
    pub(super) fn text(&self, row: usize) -> String {
        joined([self.city, self.region, self.postcode].into_iter().flatten().map(|it| &it.feature), row)
    }

    pub(super) fn compare(&self, a: usize, b: usize) -> Outcome {
        let post = part(self.postcode, a, b, is_postcode_close);
        let city = part(self.city, a, b, is_city_close);
        let region =
            part(self.region, a, b, |it, x, y| it.letters(x).len() > 2 && it.letters(x).edits(it.letters(y), 1) <= 1);
        let share = |it: Option<&Spelled>| it.map_or(0.0, |it| it.feature.share(it.feature.ids[a]));
        match (post, city, region) {
            (Part::Silent, Part::Silent, Part::Silent) => Outcome::SILENT,
            (Part::Same, Part::Different, _) => Outcome::equal(2, share(self.postcode)),
            (Part::Same, ..) => Outcome::equal(1, share(self.postcode)),
            (Part::Close, Part::Same, _) => Outcome::equal(3, share(self.city)),
            (Part::Silent, Part::Same, _) => Outcome::equal(4, share(self.city)),
            (Part::Different, Part::Same, _) => Outcome::of(5),
            (Part::Silent, Part::Close, _) => Outcome::of(6),
            (Part::Close, Part::Close, _) => Outcome::of(6),
            (Part::Close, ..) | (Part::Different, Part::Close, _) => Outcome::of(7),
            (.., Part::Same) => Outcome::of(8),
            _ => Outcome::of(9),
        }
    }
}

fn joined<'a>(features: impl Iterator<Item = &'a Feature>, row: usize) -> String {
    features.map(|it| it.get(row)).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn part(of: Option<&Spelled>, a: usize, b: usize, close: fn(&Spelled, usize, usize) -> bool) -> Part {
    match of.and_then(|it| it.feature.pair(a, b).map(|pair| (it, pair))) {
        None => Part::Silent,
        Some((_, (x, y))) if x == y => Part::Same,
        Some((it, (x, y))) if close(it, x as usize, y as usize) => Part::Close,
        Some(_) => Part::Different,
    }
}

/// One slip, or the same without what follows the fifth character (ZIP+4).
fn is_postcode_close(it: &Spelled, x: usize, y: usize) -> bool {
    let (mine, theirs) = (it.letters(x), it.letters(y));
    let longer = |one: super::super::similar::Letters<'_>, other: super::super::similar::Letters<'_>| {
        one.len() > 5 && other.len() >= 5 && one.starts_with(other)
    };
    mine.edits(theirs, 1) == 1 || longer(mine, theirs) || longer(theirs, mine)
}

fn is_city_close(it: &Spelled, x: usize, y: usize) -> bool {
    let (mine, theirs) = (it.letters(x), it.letters(y));
    if mine.is_far(theirs) {
        return false;
    }
    let (s, t) = (&it.feature.values[x], &it.feature.values[y]);
    let most = 1 + mine.len().min(theirs.len()) / 6;
    mine.edits(theirs, most) <= most
        || mine.jaro_winkler(theirs, 0.92) > 0.92
        || mine.in_common(theirs) > 0.85
        || (s.len() > 3 && t.len() > 3 && (s.contains(t) || t.contains(s)))
}
