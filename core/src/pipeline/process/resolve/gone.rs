//! Records that are gone, or are said to be.

use std::collections::{BTreeSet, HashMap};

use super::age::can_fetch;
use super::{Arrival, Batch};
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState};

impl Batch {
    /// The record is gone: the link closes, and what it said leaves the golden record, unless another one takes its place.
    pub(super) fn close(&mut self, engine: &Engine, number: i64, arrival: &Arrival) {
        let heir = self.heir(number, &arrival.lens, &BTreeSet::new());
        if let Some(heir) = heir {
            self.bequeath(engine, number, heir, arrival);
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        let is_known = link.is_tombstone() && link.version == arrival.version;
        let outcome = if link.open { "deleted" } else { "echo" };
        let (golden, was_open) = (link.golden, link.open);
        link.open = false;
        // A record that bears no version must not get one from its deletion: later content could not be compared with it.
        if link.version.is_some() && arrival.version.is_some() {
            link.version.clone_from(&arrival.version);
        }
        link.state.fresh_us = link.state.fresh_us.max(arrival.received_us);
        self.touched.insert(number);
        if was_open {
            self.dirty(golden, arrival.position, if heir.is_some() { "merge" } else { "delete" });
        }
        // A list that names everything that ever went does so at each pull.
        if !is_known {
            self.note(number, arrival, outcome);
        }
    }

    /// A record that was deleted before it was ever seen: a page that was read before must not bring it to life.
    pub(super) fn entomb(&mut self, number: i64, arrival: &Arrival) {
        let (key, version) = (arrival.key.clone(), arrival.version.clone());
        let state = LinkState { fresh_us: arrival.received_us, ..LinkState::default() };
        let entity = arrival.lens.entity().clone();
        self.links.insert(number, Link { number, key, entity, golden: 0, state, version, open: false });
        self.touched.insert(number);
        self.note(number, arrival, "deleted");
    }

    /// What arrived may be out of date: the record is read as it is now, where the system can be asked.
    pub(super) fn read_again(&mut self, engine: &Engine, number: i64, arrival: &Arrival, outcome: &str) {
        if can_fetch(engine, arrival) {
            let (connection, id) = (arrival.key.connection.as_str(), arrival.key.id.as_str());
            let stream = arrival.lens.stream().to_owned();
            self.again.push((connection.to_owned(), stream, id.to_owned(), arrival.position));
        }
        self.note(number, arrival, outcome);
    }
}

/// Who takes somebody's place is heard before the other goes, unless the other is back in the same batch.
pub(super) fn heirs_first(arrivals: Vec<Arrival>) -> Vec<Arrival> {
    let goes = |it: &Arrival| it.mapped.is_none() && it.survivor.is_none() && it.lens.heir().is_some();
    if !arrivals.iter().any(goes) {
        return arrivals;
    }
    let last: HashMap<LinkKey, usize> = arrivals.iter().enumerate().map(|(at, it)| (it.key.clone(), at)).collect();
    let all = arrivals.into_iter().enumerate();
    let (gone, first): (Vec<_>, Vec<_>) = all.partition(|(at, it)| goes(it) && last.get(&it.key) == Some(at));
    first.into_iter().chain(gone).map(|(_, it)| it).collect()
}
