//! Who would not be one customer by today's rules of matching.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::{self, Evidence};

use crate::engine::Engine;
use crate::link::{Link, LinkState, evidence_of};
use crate::review;
use crate::store::db::{Result, Tx};
use crate::store::stewards;

/// Golden records of more links are not looked through, pair by pair.
const LINKS_MAX: usize = 64;

/// Groups of links that nothing joins to the others of their golden record by today's rules, each with the golden record
/// that it had before it was absorbed. What a steward ruled to be one stays one, and so does what a system merged, and a
/// record that says nothing of its own about who it is, such as one that we made.
pub(super) fn parted(
    engine: &Engine,
    tx: &mut Tx<'_>,
    members: &[Link],
    anew: &BTreeMap<i64, LinkState>,
) -> Result<Vec<(BTreeSet<i64>, Option<i64>)>> {
    let mut clusters: BTreeMap<i64, Vec<&Link>> = BTreeMap::new();
    for link in members.iter().filter(|link| link.golden != 0) {
        clusters.entry(link.golden).or_default().push(link);
    }
    for links in clusters.values_mut() {
        links.sort_unstable_by_key(|link| link.number);
    }
    clusters.retain(|_, links| (2..=LINKS_MAX).contains(&links.len()));
    let many = clusters.values().flatten().map(|link| link.number);
    let ruled: BTreeSet<(i64, i64)> = stewards::ruled_same(tx, many)?.into_iter().collect();
    let mut parted = Vec::new();
    for (golden, links) in clusters {
        let said = evidence_of(links.iter().map(|it| anew.get(&it.number).unwrap_or(&it.state)));
        let joins = |a: usize, b: usize| {
            ruled.contains(&(links[a].number, links[b].number))
                || joins(engine, [links[a], links[b]], [&said[a], &said[b]])
        };
        let groups = matching::partition::groups(links.len(), joins);
        let mut parts: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for (at, group) in groups.into_iter().enumerate() {
            parts.entry(group).or_default().insert(links[at].number);
        }
        let stays = parts.remove(&0).unwrap_or_default();
        for part in parts.into_values() {
            let homes = review::homes_of_each(tx, golden, &part, &stays)?;
            let home = homes.into_values().min();
            parted.push((part, home));
        }
    }
    Ok(parted)
}

fn joins(engine: &Engine, [a, b]: [&Link; 2], [one, other]: [&Evidence; 2]) -> bool {
    let is_merged = (&a.key.connection, &a.key.lens) == (&b.key.connection, &b.key.lens) && !(a.open && b.open);
    is_merged
        || one.identities.is_empty()
        || other.identities.is_empty()
        || matching::holds(&engine.matching, a.entity.as_str(), one, other)
}
