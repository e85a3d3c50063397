//! What a batch touches, from one store into another: links, blocks, golden records, pins, rulings, reviews.

use std::collections::BTreeSet;

use super::expand::Arrival;
use super::resolve::{Asked, BLOCK_LINKS_MAX};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::store::db::Result;
use crate::store::{Store, blocks, goldens, links, stewards};

/// Lends what [`super::Batch::load`] will ask for. What the other store has already stays as it is there.
pub(super) fn lend(from: &Store, engine: &Engine, arrivals: &[Arrival]) -> Result<()> {
    let to = &engine.store;
    let keys: BTreeSet<&LinkKey> = arrivals.iter().map(|arrival| &arrival.key).collect();
    let rehearsed = to.read(|tx| links::by_keys(tx, keys.iter().copied()))?;
    let lent = from.read(|tx| {
        let mut all = links::by_keys(tx, keys)?;
        // What the rehearsal made of a record counts in it.
        let known: Vec<Link> = all.iter().chain(&rehearsed).cloned().collect();
        let hashes = Asked::of(engine, arrivals, &known).hashes;
        let shared = blocks::shared(tx, from.tail(), hashes, BLOCK_LINKS_MAX)?;
        let same = stewards::ruled_same(tx, all.iter().map(|it| it.number))?;
        let bound = links::by_numbers(tx, same.iter().map(|(_, other)| *other))?;
        let known = all.iter().chain(&bound).map(|it| it.golden);
        let ids: BTreeSet<i64> = shared.iter().map(|it| it.golden).chain(known).filter(|id| *id != 0).collect();
        all.extend(links::by_goldens(tx, ids.iter().copied())?);
        let numbers = || all.iter().map(|link| link.number);
        let reviews = stewards::waiting_of(tx, numbers())?;
        let apart: Vec<(i64, i64)> = stewards::ruled_apart(tx, numbers())?.into_iter().collect();
        let (records, pins) = (goldens::by_ids(tx, ids.iter().copied())?, goldens::pins(tx, ids)?);
        Ok((all, shared, reviews, (apart, same), records, pins))
    })?;
    let (all, shared, reviews, (apart, same), records, pins) = lent;
    to.write(|tx| {
        links::lend(tx, &all)?;
        blocks::lend(tx, &shared)?;
        goldens::lend(tx, &records)?;
        stewards::lend_reviews(tx, &reviews)?;
        stewards::rule(tx, &apart, "different", "", 0)?;
        stewards::rule(tx, &same, "same", "", 0)?;
        for (golden, pins) in &pins {
            for (field, pin) in pins {
                goldens::put_pin(tx, *golden, field, pin)?;
            }
        }
        Ok(())
    })
}
