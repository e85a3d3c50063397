//! The completeness meter: of each stream, how much was compared, how much of it is the same, and what is not.

use std::collections::BTreeMap;

use huiliu_mappings::value::FieldName;
use serde::Serialize;

use super::db::{Result, Tx};
use super::divergences::{self, Divergence, State};
use super::rounds::{self, Phase};

/// The states of a divergence that is open.
pub const OPEN: [State; 3] = [State::Suspected, State::Repairing, State::Stuck];

/// Open divergences that are read at most: rounds stand still long before.
const OPEN_MAX: i64 = 50_000;

/// How one stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Meter {
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// The number of the round that is under way, or was last.
    pub round: i64,
    /// What it does.
    pub phase: Phase,
    /// When it began, microseconds since 1970 UTC.
    pub started_us: i64,
    /// When the last whole round ended. None: what follows is from one that is not over.
    pub last_us: Option<i64>,
    /// What went wrong last, if the round cannot go on.
    pub error: Option<String>,
    /// Records compared in the last whole round, or so far in the first one.
    pub compared: i64,
    /// Suspicions that are looked at once more.
    pub suspected: i64,
    /// Confirmed divergences under repair.
    pub repairing: i64,
    /// Divergences that need a person.
    pub stuck: i64,
    /// Divergences repaired lately.
    pub repaired: i64,
    /// The same by canonical field.
    pub fields: BTreeMap<FieldName, FieldMeter>,
}

/// How one field stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FieldMeter {
    /// Values compared.
    pub compared: i64,
    /// Those that are confirmed to differ.
    pub differing: i64,
}

impl Meter {
    /// Divergences that are confirmed.
    pub fn differing(&self) -> i64 {
        self.repairing + self.stuck
    }

    /// Records that are the same.
    pub fn identical(&self) -> i64 {
        (self.compared - self.differing()).max(0)
    }

    /// Whether a round was whole and nothing is open.
    pub fn is_complete(&self) -> bool {
        self.last_us.is_some() && self.differing() + self.suspected == 0
    }
}

/// A share as people read it: `99.998 %`. It is rounded down, so that `100 %` means all. None: nothing was compared.
pub fn share(compared: i64, differing: i64) -> Option<String> {
    if compared <= 0 {
        return None;
    }
    let same = compared.saturating_sub(differing).max(0);
    let thousandths = i128::from(same) * 100_000 / i128::from(compared);
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    Some(if differing == 0 { "100 %".to_owned() } else { format!("{whole}.{rest:03} %") })
}

/// Reads the meters of all streams that rounds went over, by connection and stream.
pub fn read(tx: &mut Tx<'_>) -> Result<Vec<Meter>> {
    let (rounds, counts) = (rounds::rounds(tx)?, divergences::counts(tx)?);
    let mut differing: BTreeMap<(String, String, FieldName), i64> = BTreeMap::new();
    for one in divergences::in_states(tx, &[State::Repairing, State::Stuck], OPEN_MAX)? {
        for field in one.fields {
            *differing.entry((one.connection.clone(), one.stream.clone(), field)).or_default() += 1;
        }
    }
    let meters = rounds.into_iter().map(|((connection, stream), round)| {
        let count = |state| counts.get(&(connection.clone(), stream.clone(), state)).copied().unwrap_or(0);
        let tally = round.last.unwrap_or(round.tally);
        let fields = tally.fields.into_iter().map(|(field, compared)| {
            let key = (connection.clone(), stream.clone(), field.clone());
            (field, FieldMeter { compared, differing: differing.get(&key).copied().unwrap_or(0) })
        });
        Meter {
            round: round.number,
            phase: round.phase,
            started_us: round.started_us,
            last_us: round.last_us,
            error: round.error,
            compared: tally.records,
            suspected: count(State::Suspected),
            repairing: count(State::Repairing),
            stuck: count(State::Stuck),
            repaired: count(State::Repaired),
            fields: fields.collect(),
            connection,
            stream,
        }
    });
    Ok(meters.collect())
}

/// What is open, by connection and stream; at most `count`.
pub fn open(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Divergence>> {
    divergences::in_states(tx, &OPEN, count)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_never_rounded_up_to_all() {
        let cases =
            [(0, 0, None), (3, 0, Some("100 %")), (1_000_000, 23, Some("99.997 %")), (10_000_000, 1, Some("99.999 %"))];
        for (compared, differing, wanted) in cases {
            assert_eq!(share(compared, differing).as_deref(), wanted, "{compared} {differing}");
        }
        assert_eq!(share(4, 9).as_deref(), Some("0.000 %"), "more differ than were compared so far");
    }
}
