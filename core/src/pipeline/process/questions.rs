//! Questions to stewards that answered themselves: the records became one on other grounds, or a ruling says that they
//! are not. Nobody is asked what is known.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::db::{Result, Tx};
use crate::store::{goldens, links, stewards};

/// The name under which the hub closes a review.
const HUB: &str = "huiliu";

/// Closes the waiting reviews of these links whose every candidate is out of question by now: `merged` if the record
/// belongs to one of them, `ruled` if a steward's rulings exclude them all.
pub(crate) fn settle_questions(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>, now_us: i64) -> Result<()> {
    let waiting = stewards::waiting_of(tx, links)?;
    if waiting.is_empty() {
        return Ok(());
    }
    let own: BTreeMap<i64, i64> = links::by_numbers(tx, waiting.iter().map(|review| review.link))?
        .into_iter()
        .map(|link| (link.number, link.golden))
        .collect();
    let named: BTreeSet<i64> = waiting.iter().flat_map(|review| review.candidates.iter().map(|it| it.0)).collect();
    let living = goldens::all_alive(tx, named)?;
    let groups: BTreeSet<i64> = own.values().chain(living.values()).copied().filter(|golden| *golden != 0).collect();
    let mut members: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for link in links::by_goldens(tx, groups)? {
        members.entry(link.golden).or_default().push(link.number);
    }
    let numbers: BTreeSet<i64> = members.values().flatten().chain(own.keys()).copied().collect();
    let apart = stewards::ruled_apart(tx, numbers)?;
    for review in waiting {
        let Some(mine) = own.get(&review.link).copied() else { continue };
        let alone = vec![review.link];
        let ours = members.get(&mine).unwrap_or(&alone);
        let none = Vec::new();
        let is_ruled_out = |golden: i64| {
            let theirs = members.get(&golden).unwrap_or(&none);
            ours.iter().any(|a| theirs.iter().any(|b| apart.contains(&(*a.min(b), *a.max(b)))))
        };
        let now = review.candidates.iter().map(|(named, _)| living.get(named).copied().unwrap_or(*named));
        let (mut merged, mut open) = (false, false);
        for golden in now {
            merged |= golden == mine;
            open |= golden != mine && !is_ruled_out(golden);
        }
        if !open {
            let state = if merged { "merged" } else { "ruled" };
            stewards::close_review(tx, review.number, state, HUB, now_us)?;
        }
    }
    Ok(())
}
