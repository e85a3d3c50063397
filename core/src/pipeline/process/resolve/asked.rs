//! By what the crosswalk is asked for those whom arrivals could be.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use huiliu_mappings::matching::{self, Keys, NameMark};
use huiliu_mappings::value::MappedRecord;

use super::super::expand::Arrival;
use super::keys::marked_keys;
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState};
use crate::store::blocks::Block;

/// The blocks of arrivals.
#[derive(Default)]
pub(in crate::pipeline::process) struct Asked {
    /// All of them; once the crosswalk was asked, those of which all is known.
    pub hashes: BTreeSet<i64>,
    /// The names of those who ask, by block in which anybody may be.
    names: HashMap<i64, Vec<NameMark>>,
}

impl Asked {
    /// What these arrivals ask for. A record that tells only a part, or shows a copy of ours, is looked for by what is known of
    /// it then; one that says nothing new asks for nobody.
    pub(in crate::pipeline::process) fn of(engine: &Engine, arrivals: &[Arrival], known: &[Link]) -> Self {
        let mut asked = Self::default();
        let mut links: HashMap<&LinkKey, Cow<'_, Link>> =
            known.iter().map(|link| (&link.key, Cow::Borrowed(link))).collect();
        let mut seen: HashSet<&LinkKey> = HashSet::new();
        let again: HashSet<&LinkKey> = arrivals.iter().map(|it| &it.key).filter(|key| !seen.insert(key)).collect();
        for arrival in arrivals {
            let Some(shown) = &arrival.mapped else { continue };
            let is_new = !links.contains_key(&arrival.key);
            if is_new && !again.contains(&arrival.key) {
                asked.take(&arrival.keys, arrival.keys.mark);
                continue;
            }
            let link = links.entry(&arrival.key).or_insert_with(|| Cow::Owned(unheard(arrival)));
            if !again.contains(&arrival.key) && !link.is_tombstone() && !link.state.is_news(shown) {
                // Who it is was decided when it said so.
                continue;
            }
            if is_whole(&link.state, shown) && !again.contains(&arrival.key) {
                // A name that is another one now was compared by the former one.
                let stays = NameMark::of(&link.state.evidence()) == arrival.keys.mark;
                asked.take(&arrival.keys, if stays { arrival.keys.mark } else { NameMark::OPEN });
                continue;
            }
            asked.take(&arrival.keys, NameMark::OPEN);
            let link = link.to_mut();
            link.hear(engine, shown.clone(), arrival.received_us);
            asked.take(&marked_keys(engine, link), NameMark::OPEN);
        }
        asked
    }

    fn take(&mut self, keys: &Keys, mark: NameMark) {
        self.hashes.extend(&keys.hashes);
        for hash in &keys.of_any_name {
            self.names.entry(*hash).or_default().push(mark);
        }
    }

    /// Leaves out the links whose customers are called otherwise than all who ask for them, where only blocks in which anybody
    /// may be bring them together. For anybody else these blocks are not known in full.
    pub(super) fn worth_comparing(&mut self, engine: &Engine, mut found: Vec<Block>) -> Vec<Block> {
        found.retain(|block| {
            let mark = NameMark::stored(block.mark);
            let open = |it: &NameMark| !it.is_apart(mark, &engine.matching);
            let stays = block.mark == 0 || self.names.get(&block.hash).is_none_or(|names| names.iter().any(open));
            if !stays {
                self.hashes.remove(&block.hash);
            }
            stays
        });
        found
    }
}

/// A link that is made in this batch.
fn unheard(arrival: &Arrival) -> Link {
    let (key, entity) = (arrival.key.clone(), arrival.lens.entity().clone());
    Link { number: 0, key, entity, golden: 0, state: LinkState::default(), version: None, open: true }
}

/// Whether a record tells all that is compared of it, and nothing that the hub wrote.
fn is_whole(known: &LinkState, shown: &MappedRecord) -> bool {
    let told = |field| shown.fields.contains_key(field);
    known.said.keys().filter(|field| matching::compares(field)).all(told) && !known.has_copies(matching::compares)
}
