//! Identities of which one customer has one: records with different ones are never one customer.

use super::features::Features;
use super::table::Id;
use crate::chinese::ids;

/// What identities prove.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    /// For each column of identifiers whether each of its values proves who its bearer is.
    proves: Vec<Vec<bool>>,
    /// Whether none does.
    is_empty: bool,
}

impl Guards {
    /// Of all values of the features.
    pub(super) fn of(features: &Features) -> Self {
        let mut guards = Self { proves: vec![Vec::new(); features.identifiers.len()], is_empty: true };
        guards.extend(features);
        guards
    }

    /// Of values that were added, too.
    pub(super) fn extend(&mut self, features: &Features) {
        for ((proves, of), is_sole) in self.proves.iter_mut().zip(&features.identifiers).zip(&features.sole) {
            let (values, known) = (&of.feature.values, proves.len());
            proves.extend((known..values.len()).map(|at| at > 0 && (*is_sole || is_checked(&values[at]))));
            // Asked for each record that arrives: only what is new is looked at.
            self.is_empty &= !proves[known..].contains(&true);
        }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Column and value of each identity of a row that proves who its bearer is.
    pub(super) fn row(&self, features: &Features, row: usize) -> Vec<(u8, Id)> {
        let of = self.proves.iter().zip(&features.identifiers).enumerate().filter_map(|(at, (proves, it))| {
            let value = it.feature.ids[row];
            proves[value as usize].then_some((u8::try_from(at).unwrap_or(u8::MAX), value))
        });
        of.collect()
    }
}

/// Whether a check character shows that the number was not mistyped: a 统一社会信用代码 or a number of a resident's card.
fn is_checked(solid: &str) -> bool {
    // Asked of each number of a file: most are told by their length.
    if solid.is_ascii() && solid.len() != 18 {
        return false;
    }
    let code = ids::clean(solid);
    code.len() == 18 && (ids::is_credit_code(&code) || ids::resident(&code).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_right_check_character_prove_who_bears_them() {
        // The example of GB 11643-1999 and a published code of GB 32100-2015.
        assert!(is_checked("11010519491231002x"));
        assert!(!is_checked("110105194912310021"));
        assert!(is_checked("91350100m000100y43"));
        assert!(!is_checked("91350100m000100y44"));
        assert!(!is_checked("078051120"));
    }
}
