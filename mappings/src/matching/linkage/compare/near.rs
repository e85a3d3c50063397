//! What pairs are compared by, brought near before they are: many waits for memory at once instead of one after the other,
//! which is most of what comparing costs among a million rows.

use std::hint::black_box;

use super::super::features::Spelled;
use super::super::similar::Spelling;
use super::super::table::Feature;
use super::Look;

/// So many pairs are brought near at a time: what they need stays near until they are compared.
const PAIRS: usize = 64;

/// What a comparison looks at of each row: a value, and often its letters.
pub(in super::super) struct Near<'a> {
    feature: &'a Feature,
    letters: Option<&'a Spelling>,
}

impl<'a> Near<'a> {
    fn spelled(it: &'a Spelled) -> Self {
        Self { feature: &it.feature, letters: Some(&it.letters) }
    }

    fn plain(feature: &'a Feature) -> Self {
        Self { feature, letters: None }
    }

    /// All that a look takes in.
    pub(super) fn of(look: &Look<'a>) -> Vec<Self> {
        match look {
            Look::Given(it) | Look::Family(it) | Look::Middle(it) | Look::Phone(it) => vec![Self::spelled(it)],
            Look::Birth(it, _) | Look::Identifier(it) | Look::Checked(it) | Look::Email(it, _) => {
                vec![Self::spelled(it)]
            }
            Look::Address(address) => {
                let (spelled, plain) = address.features();
                spelled.map(Self::spelled).chain(plain.map(Self::plain)).collect()
            }
            Look::Locality(locality) => locality.features().map(Self::spelled).collect(),
            Look::Name(it) | Look::Words(it) | Look::Category(it) => vec![Self::plain(&it.feature)],
            Look::Equal(it) | Look::Number(it, _) => vec![Self::plain(it)],
        }
    }

    /// Takes the next of the pairs and brings all of them near that is looked at: first it reads where something is, then the
    /// thing itself, so that no read waits for the one before. False if there is no pair left.
    pub(in super::super) fn next(
        near: &[Self],
        pairs: &mut impl Iterator<Item = (u32, u32)>,
        some: &mut Vec<(u32, u32)>,
    ) -> bool {
        some.extend(pairs.take(PAIRS));
        let rows = || some.iter().flat_map(|(a, b)| [*a as usize, *b as usize]);
        let mut seen = 0;
        for it in near {
            seen ^= rows().fold(0, |seen, row| seen ^ it.feature.ids[row]);
        }
        for it in near {
            for id in rows().map(|row| it.feature.ids[row] as usize) {
                seen ^= it.letters.map_or_else(|| it.feature.counts[id], |letters| letters.place(id));
            }
        }
        for (it, letters) in near.iter().filter_map(|it| Some((it, it.letters?))) {
            seen ^= rows().fold(0, |seen, row| seen ^ letters.letter(it.feature.ids[row] as usize));
        }
        black_box(seen);
        !some.is_empty()
    }
}
