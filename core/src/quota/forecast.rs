//! How things stand with the quotas, and how long the reads that are under way will take.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Lane;
use super::ledger::Ledger;
use super::meter::{Limit, Meter};
use crate::store::db::{Result, Tx};
use crate::store::{budgets, rounds, streams};

const SECOND_US: i64 = 1_000_000;

/// A reading of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Budgets that were used, by name. In one process they are kept every 10 s.
    pub budgets: Vec<Budget>,
    /// First reads and backfills that are under way.
    pub reads: Vec<Reading>,
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Who shares it: `wecom/corp:ww123/endpoint:cgi-bin/gettoken`.
    pub name: String,
    /// Its limits.
    pub limits: Vec<Known>,
    /// The vendor asked for silence until then, microseconds since 1970 UTC.
    pub paused_until_us: Option<i64>,
    /// How often the vendor refused a call as one too many.
    pub refusals: u64,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Calls that are declared.
    pub calls: u64,
    /// In so many seconds; of a bucket, in which it runs empty.
    pub seconds: i64,
    /// Calls that are believed to be allowed now: fewer after a refusal, what the vendor said where it says it.
    pub believed: u64,
    /// Calls that count now.
    pub used: u64,
    /// The same by lane; none of a bucket.
    pub by_lane: BTreeMap<&'static str, u64>,
}

/// A read that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// Records so far.
    pub records: i64,
    /// Records that there were when the stream was compared as a whole last; none: it never was.
    pub total: Option<i64>,
    /// Records a minute so far; none: it has only begun.
    pub per_minute: Option<i64>,
    /// Seconds until it is done; none: nobody knows how many records there are.
    pub left_seconds: Option<i64>,
}

/// Reads it.
pub fn read(tx: &mut Tx<'_>, now_us: i64) -> Result<Standing> {
    let kept = budgets::all(tx)?;
    let budgets = kept.into_iter().filter_map(|(name, state, _)| Some(budget(name, &state_of(&state)?, now_us)));
    let mut standing = Standing { budgets: budgets.collect(), reads: Vec::new() };
    let compared = rounds::rounds(tx)?;
    let first = streams::all(tx)?.into_iter().filter(|(_, state)| state.read_to.is_none());
    let first = first.filter_map(|((connection, stream), state)| {
        let began_us = state.scan?.at_us;
        Some((connection, stream, state.records, began_us))
    });
    let all: Vec<_> = first.chain(streams::backfills(tx)?).collect();
    for (connection, stream, records, began_us) in all {
        let known = compared.get(&(connection.clone(), stream.clone())).and_then(|round| round.last.as_ref());
        let total = known.map(|tally| tally.records).filter(|total| *total >= records);
        standing.reads.push(reading(connection, stream, records, total, now_us - began_us));
    }
    Ok(standing)
}

fn state_of(state: &str) -> Option<Ledger> {
    serde_json::from_str(state).ok()
}

fn budget(name: String, ledger: &Ledger, now_us: i64) -> Budget {
    Budget {
        name,
        limits: ledger.meters.iter().map(|meter| known(meter, now_us)).collect(),
        paused_until_us: Some(ledger.paused_until_us).filter(|until_us| *until_us > now_us),
        refusals: ledger.refusals,
    }
}

fn known(meter: &Meter, now_us: i64) -> Known {
    let used = meter.used(now_us);
    let by_lane = match meter.limit {
        Limit::Window { .. } => Lane::ALL.iter().map(|lane| (lane.as_str(), used[lane.at()])).collect(),
        Limit::Bucket { .. } => BTreeMap::new(),
    };
    Known {
        calls: meter.limit.calls(),
        seconds: (meter.limit.span_us() / SECOND_US).max(1),
        believed: meter.believed(),
        used: used.iter().sum(),
        by_lane,
    }
}

fn reading(connection: String, stream: String, records: i64, total: Option<i64>, took_us: i64) -> Reading {
    // In its first seconds a read says nothing about its pace.
    let seconds = Some(took_us / SECOND_US).filter(|seconds| *seconds >= 5 && records > 0);
    let per_minute = seconds.map(|seconds| records.saturating_mul(60) / seconds);
    let left_seconds = total.zip(seconds).map(|(total, seconds)| {
        let left = i128::from(total - records) * i128::from(seconds) / i128::from(records.max(1));
        i64::try_from(left).unwrap_or(i64::MAX)
    });
    Reading { connection, stream, records, total, per_minute, left_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        let read = |records, total, seconds: i64| {
            let it = reading("shop".into(), "customers".into(), records, total, seconds * SECOND_US);
            (it.per_minute, it.left_seconds)
        };
        assert_eq!(read(10_000, Some(200_000), 600), (Some(1_000), Some(11_400)));
        assert_eq!(read(10_000, None, 600), (Some(1_000), None));
        assert_eq!(read(10_000, Some(10_000), 600), (Some(1_000), Some(0)));
        assert_eq!(read(0, Some(10_000), 600), (None, None));
        assert_eq!(read(10, Some(10_000), 2), (None, None));
    }
}
