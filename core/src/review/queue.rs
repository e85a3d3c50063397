//! The queue of a steward: what is put off and until when, and decisions about many reviews at once.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::Explanation;
use serde::Serialize;
use serde_json::json;

use super::{Result, ReviewError, Steward, Verdict, command, decide, note, refused};
use crate::engine::Engine;
use crate::store::db::StoreError;
use crate::store::stewards::{self, Review};
use crate::store::{lessons, links};

/// How long a review is put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until this instant, microseconds since 1970 UTC.
    At(i64),
    /// Until one of the two says something new about who it is.
    News,
}

/// The end of the year 9999: what waits for news waits behind everything that has a date.
const NEWS_US: i64 = 253_402_300_799_000_000;

impl Until {
    /// As the store keeps it.
    fn us(self) -> i64 {
        match self {
            Self::At(us) => us,
            Self::News => NEWS_US,
        }
    }

    /// As the store kept it.
    pub fn kept(us: i64) -> Self {
        if us >= NEWS_US { Self::News } else { Self::At(us) }
    }
}

/// Puts a review off: nobody is asked until then, and it waits behind those that nobody put off. New evidence ends it.
pub fn later(engine: &Engine, number: i64, until: Until, steward: Steward<'_>) -> Result<()> {
    command(engine, |tx| {
        let Some((_, state)) = stewards::review_by_number(tx, number)? else {
            return refused(format!("there is no review {number}; see `huiliu review`"));
        };
        if state != "waiting" {
            return refused(format!("review {number} is settled already ({state})"));
        }
        if until.us() <= engine.clock.now_us() {
            return refused("a review is put off to a day that is still to come");
        }
        stewards::put_off(tx, number, until.us())?;
        let until_us = if until == Until::News { None } else { Some(until.us()) };
        note(engine, tx, steward, "later", &json!({ "review": number, "until_us": until_us }), 0)
    })
}

/// So many waiting reviews are looked through for a decision about many: a day's doubts of a large import, and still in
/// memory at once.
pub const SELECTED_MAX: usize = 100_000;

/// Reviews that are read at once.
const PAGE: i64 = 1_000;

/// So many pages hold [`SELECTED_MAX`].
const PAGES_MAX: usize = 100;

/// The waiting reviews that nobody put off, those first whose answer is worth the most: how unsure it is, times the records
/// that it is about. Of more than [`SELECTED_MAX`] the oldest are looked through.
///
/// # Errors
/// The store failed.
pub fn most_worth(engine: &Engine, count: usize) -> Result<Vec<Review>> {
    let now_us = engine.clock.now_us();
    let ranked = engine.store.read(|tx| {
        let (mut ranked, mut after) = (Vec::new(), 0);
        for _ in 0..PAGES_MAX {
            let page = stewards::awake_after(tx, after, now_us, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.number;
            let goldens = page.iter().flat_map(|it| it.candidates.iter().map(|(golden, _)| *golden).chain([it.golden]));
            let goldens: BTreeSet<i64> = goldens.collect();
            let sizes: BTreeMap<i64, i64> = lessons::sizes(tx, goldens)?.into_iter().collect();
            ranked.extend(page.into_iter().map(|it| (worth(&it, &sizes), it)));
            // What is not shown is not kept.
            ranked.sort_by(|(x, one), (y, other)| y.total_cmp(x).then(one.number.cmp(&other.number)));
            ranked.truncate(count.min(SELECTED_MAX));
        }
        Ok(ranked)
    })?;
    Ok(ranked.into_iter().map(|(_, it)| it).collect())
}

/// An answer that is as good as known is worth little, however many records it is about.
fn worth(review: &Review, sizes: &BTreeMap<i64, i64>) -> f64 {
    let size = |golden: i64| f64::from(i32::try_from(sizes.get(&golden).copied().unwrap_or(1)).unwrap_or(i32::MAX));
    let Some((best, why)) = review.candidates.first() else { return 0.0 };
    let chance = 1.0 / (1.0 + (-why.score).exp2());
    chance * (1.0 - chance) * (size(review.golden) + size(*best))
}

/// Which waiting reviews are meant: those of which everything that is said here is true, by their best candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Their comparisons came out as those of this review.
    pub like: Option<i64>,
    /// Comparisons that came out so: name and level, as reviews list them.
    pub comparisons: Vec<(String, String)>,
    /// The record is of this connection.
    pub connection: Option<String>,
    /// The score is this at least.
    pub score_least: Option<f64>,
    /// The score is this at most.
    pub score_most: Option<f64>,
}

impl Filter {
    /// Whether it would take every review.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A review that is meant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Selected {
    /// The review's number.
    pub number: i64,
    /// The record.
    pub record: String,
    /// The golden record that it has meanwhile.
    pub golden: i64,
    /// The best candidate.
    pub candidate: i64,
    /// How many candidates there are.
    pub candidates: usize,
    /// What speaks for the best one.
    pub why: Explanation,
}

/// The waiting reviews that a filter means, oldest first; those that are put off are not among them. Nothing is decided.
pub fn select(engine: &Engine, filter: &Filter) -> Result<Vec<Selected>> {
    let now_us = engine.clock.now_us();
    let mut missing = None;
    let selected = engine.store.read(|tx| {
        let like = match filter.like {
            None => None,
            Some(number) => match stewards::review_by_number(tx, number)? {
                Some((review, _)) => review.candidates.first().map(|(_, why)| why.outcomes()),
                None => {
                    missing = Some(number);
                    return Ok(Vec::new());
                }
            },
        };
        let (mut selected, mut after) = (Vec::new(), 0);
        loop {
            let page = stewards::awake_after(tx, after, now_us, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.number;
            let known: BTreeMap<i64, _> =
                links::by_numbers(tx, page.iter().map(|it| it.link))?.into_iter().map(|it| (it.number, it)).collect();
            for review in page {
                let Some(link) = known.get(&review.link) else { continue };
                let of = filter.connection.as_deref().is_none_or(|name| link.key.connection.as_str() == name);
                if of && let Some(it) = meant(review, link.key.to_string(), filter, like.as_ref()) {
                    selected.push(it);
                }
            }
            if selected.len() >= SELECTED_MAX {
                break;
            }
        }
        Ok(selected)
    })?;
    match missing {
        Some(number) => refused(format!("there is no review {number}; see `huiliu review`")),
        None => Ok(selected),
    }
}

fn meant(
    review: Review,
    record: String,
    filter: &Filter,
    like: Option<&BTreeSet<(String, String)>>,
) -> Option<Selected> {
    let candidates = review.candidates.len();
    let (candidate, why) = review.candidates.into_iter().next()?;
    let own = why.outcomes();
    let fits = like.is_none_or(|like| *like == own)
        && filter.comparisons.iter().all(|it| own.contains(it))
        && filter.score_least.is_none_or(|least| why.score >= least)
        && filter.score_most.is_none_or(|most| why.score <= most);
    let selected = Selected { number: review.number, record, golden: review.golden, candidate, candidates, why };
    fits.then_some(selected)
}

/// What is said to many reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The record belongs to the candidate. A review with several is left for somebody who looks.
    Same,
    /// The record is none of the candidates.
    Apart,
    /// Ask again then.
    Later(Until),
}

/// What became of many reviews.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Those to which it was said.
    pub done: Vec<i64>,
    /// Those that had been settled meanwhile, often by a decision about another of them, or that have several candidates.
    pub left: Vec<i64>,
}

/// Says the same to many reviews, one after the other: each is a command of its own, as if it had been given alone.
pub fn decide_all(
    engine: &Engine,
    numbers: impl IntoIterator<Item = i64>,
    said: Said,
    steward: Steward<'_>,
) -> Result<Settled> {
    let mut settled = Settled::default();
    for number in numbers {
        let outcome = match said {
            Said::Same => match only_candidate(engine, number)? {
                Some(golden) => decide(engine, number, Verdict::Same(golden), steward).map(drop),
                None => refused("several candidates"),
            },
            Said::Apart => decide(engine, number, Verdict::Apart, steward).map(drop),
            Said::Later(until) => later(engine, number, until, steward),
        };
        match outcome {
            Ok(()) => settled.done.push(number),
            Err(ReviewError::Refused(_)) => settled.left.push(number),
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

/// The candidate of a review, if there is one alone.
pub fn only_candidate(engine: &Engine, number: i64) -> std::result::Result<Option<i64>, StoreError> {
    let review = engine.store.read(|tx| stewards::review_by_number(tx, number))?;
    Ok(review.and_then(|(review, _)| match review.candidates.as_slice() {
        [(one, _)] => Some(*one),
        _ => None,
    }))
}
