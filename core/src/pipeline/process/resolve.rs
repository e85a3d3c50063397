//! Which golden record each arrival belongs to, for a whole batch in memory.

mod age;
mod anew;
mod asked;
mod brake;
mod copies;
mod gone;
mod keys;
mod loose;
mod succession;

pub(crate) use age::said_at_us;
use age::{can_fetch, heard_now, is_hearsay, is_overtaken, is_stale};
pub(super) use asked::Asked;
pub(super) use brake::{Weighed, running};
pub(crate) use keys::block_keys;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use huiliu_mappings::matching::{self, Candidate, Decision, Explanation, Keys, Known};
use huiliu_mappings::merge::Pin;
use huiliu_mappings::value::{EntityName, FieldName, Fields, MappedRecord};

use super::contest::Voices;
use super::expand::Arrival;
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState, evidence_of};
use crate::store::blocks::{self, Block};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::goldens::{self, Golden};
use crate::store::links::{self, JournalLine};
use crate::store::replays::Receipt;
use crate::store::stewards::{self, Review};

/// A block shared by more links than this stops being a reason to compare: nobody is that many customers. It shows three
/// links of each customer who may have a value in common with as many others as the rules allow.
pub(crate) const BLOCK_LINKS_MAX: usize = 128;

/// The part of the crosswalk that a batch touches.
#[derive(Default)]
pub(crate) struct Batch {
    pub links: BTreeMap<i64, Link>,
    pub by_key: HashMap<LinkKey, i64>,
    clusters: BTreeMap<i64, BTreeSet<i64>>,
    blocks: HashMap<i64, BTreeSet<i64>>,
    apart: HashSet<(i64, i64)>,
    /// By link: those that a steward ruled to be the same.
    same: HashMap<i64, BTreeSet<i64>>,
    pub touched: BTreeSet<i64>,
    /// Who said something new, and who met whom.
    pub voices: Voices,
    moved: BTreeSet<i64>,
    next_link: i64,
    next_golden: i64,
    next_review: i64,
    pub next_change: i64,
    pub goldens: BTreeMap<i64, Golden>,
    pub pins: BTreeMap<i64, BTreeMap<FieldName, Pin>>,
    /// Golden records to recompute, with the position that caused it and the kind of change.
    pub dirty: BTreeMap<i64, (i64, &'static str)>,
    pub created: usize,
    pub new_blocks: Vec<Block>,
    pub dropped_blocks: Vec<(i64, i64)>,
    pub new_references: Vec<(i64, i64)>,
    pub journal: Vec<JournalLine>,
    /// Links that were absorbed: link, the record that took it, the record that it had.
    pub homes: Vec<(i64, i64, i64)>,
    /// Links that were with the record that took others: link, record.
    pub stays: Vec<(i64, i64)>,
    /// By link: its blocks with what stands beside them, where they are known and it has said nothing else since.
    borne: HashMap<i64, Keys>,
    /// By link: the golden record that it had at first, where known records are one with others.
    origins: BTreeMap<i64, i64>,
    /// By block: the links that bear it, as far as the store was asked for them.
    bearers: HashMap<i64, BTreeSet<i64>>,
    /// Blocks that many share since before this batch.
    shared: BTreeSet<i64>,
    /// What is to be looked at anew.
    pub contest: anew::Contest,
    /// Golden records of which something was parted.
    pub parted: BTreeSet<i64>,
    /// Reviews to queue, or to widen.
    pub reviews: BTreeMap<i64, Review>,
    /// Reviews that wait already, by link.
    waiting: HashMap<i64, Review>,
    /// Connection, stream, external id, position of records that must be read again.
    pub again: Vec<(String, String, String, i64)>,
    /// Our writes that may have arrived, though no answer says so.
    unsure: Vec<Planned>,
    /// When the last attempt of each was over, microseconds since 1970 UTC.
    ended: BTreeMap<i64, i64>,
    /// Those that did.
    pub receipts: Vec<Receipt>,
    /// Of those, the ones that somebody has edited since.
    pub over: BTreeSet<i64>,
}

impl Batch {
    /// Loads links, candidates, golden records, pins and rulings: a handful of queries for the whole batch.
    pub(super) fn load(engine: &Engine, tx: &mut Tx<'_>, arrivals: &[Arrival]) -> Result<Self> {
        let keys: BTreeSet<&LinkKey> =
            arrivals.iter().flat_map(|arrival| [Some(&arrival.key), arrival.survivor.as_ref()]).flatten().collect();
        let known = links::by_keys(tx, keys)?;
        let mut asked = Asked::of(engine, arrivals, &known);
        let found = blocks::shared(tx, engine.store.tail(), asked.hashes.iter().copied(), BLOCK_LINKS_MAX)?;
        let candidates = asked.worth_comparing(engine, found);
        let waiting = stewards::waiting_of(tx, known.iter().map(|link| link.number))?;
        let bound = Self::bound(tx, &known)?;
        let makers = copies::makers(engine, tx, arrivals, &known)?;
        let golden_ids: BTreeSet<i64> = candidates
            .iter()
            .map(|block| block.golden)
            .chain(known.iter().map(|link| link.golden))
            .chain(bound)
            .chain(makers)
            .filter(|id| *id != 0)
            .collect();
        let known_goldens: BTreeSet<i64> = known.iter().map(|link| link.golden).filter(|id| *id != 0).collect();
        let unsure = deliveries::unsure(tx, golden_ids.iter().copied())?;
        let ended = deliveries::ended(tx, unsure.iter().map(|one| one.delivery.number))?;
        let mut batch = Self { unsure, ended, ..Self::gather(tx, known, golden_ids)? };
        batch.waiting = waiting.into_iter().map(|review| (review.link, review)).collect();
        batch.near_links(candidates);
        batch.load_origins(tx, known_goldens)?;
        batch.begin_contest(tx, asked.hashes)?;
        Ok(batch)
    }

    /// The golden records to which rulings bind these links.
    pub fn bound(tx: &mut Tx<'_>, known: &[Link]) -> Result<Vec<i64>> {
        let others = stewards::ruled_same(tx, known.iter().map(|link| link.number))?;
        Ok(links::by_numbers(tx, others.into_iter().map(|(_, other)| other))?.into_iter().map(|it| it.golden).collect())
    }

    /// These golden records with everything that belongs to them.
    pub fn gather(tx: &mut Tx<'_>, known: Vec<Link>, golden_ids: BTreeSet<i64>) -> Result<Self> {
        let mut batch = Self {
            next_link: tx.max("id", "link")? + 1,
            next_golden: tx.max("id", "golden")? + 1,
            next_review: tx.max("id", "review")? + 1,
            next_change: tx.max("position", "change_log")? + 1,
            ..Self::default()
        };
        let members = links::by_goldens(tx, golden_ids.iter().copied())?;
        for link in known.into_iter().chain(members) {
            batch.by_key.insert(link.key.clone(), link.number);
            batch.clusters.entry(link.golden).or_default().insert(link.number);
            batch.links.insert(link.number, link);
        }
        batch.goldens = goldens::by_ids(tx, golden_ids.iter().copied())?.into_iter().map(|it| (it.id, it)).collect();
        batch.pins = goldens::pins(tx, golden_ids)?;
        batch.apart = stewards::ruled_apart(tx, batch.links.keys().copied())?;
        for (link, other) in stewards::ruled_same(tx, batch.links.keys().copied())? {
            batch.same.entry(link).or_default().insert(other);
        }
        Ok(batch)
    }

    /// The links that this batch made or changed.
    pub fn touched_links(&self) -> impl Iterator<Item = &Link> {
        self.touched.iter().filter_map(|number| self.links.get(number))
    }

    /// The links of a golden record.
    pub fn cluster(&self, golden: i64) -> impl Iterator<Item = &Link> {
        self.clusters.get(&golden).into_iter().flatten().filter_map(|number| self.links.get(number))
    }

    /// Takes in every arrival, in order.
    pub(super) fn resolve(&mut self, engine: &Engine, arrivals: Vec<Arrival>) {
        self.note_shared(engine);
        let last = arrivals.last().map_or(0, |arrival| arrival.position);
        for arrival in gone::heirs_first(arrivals) {
            if let Some(survivor) = arrival.survivor.clone() {
                self.succeed(engine, &arrival, &survivor);
                continue;
            }
            match self.by_key.get(&arrival.key).copied() {
                Some(number) => self.hear_again(engine, number, arrival),
                None => self.hear_first(engine, arrival),
            }
        }
        self.loosen_shared(engine, last);
        self.reblock_moved(engine);
    }

    fn hear_again(&mut self, engine: &Engine, number: i64, mut arrival: Arrival) {
        let Some(link) = self.links.get_mut(&number) else { return };
        if is_stale(link, &arrival) {
            self.note(number, &arrival, "stale");
            return;
        }
        if is_overtaken(engine, link, &arrival) {
            return self.read_again(engine, number, &arrival, "overtaken");
        }
        if can_fetch(engine, &arrival) && copies::is_under_way(&self.unsure, link, &arrival) {
            return self.read_again(engine, number, &arrival, "overtaken");
        }
        if is_hearsay(link, &arrival) && can_fetch(engine, &arrival) {
            let outcome = if arrival.mapped.is_some() { "told_back" } else { "told_gone" };
            return self.read_again(engine, number, &arrival, outcome);
        }
        let (position, version) = (arrival.position, arrival.version.clone());
        let is_tombstone = link.is_tombstone();
        let Some(mapped) = arrival.mapped.take() else { return self.close(engine, number, &arrival) };
        if is_tombstone {
            return self.take_in(engine, number, arrival, mapped);
        }
        let before = (link.state.identities.clone(), link.state.references.clone(), link.version.clone(), link.open);
        let old_keys = block_keys(engine, link);
        let copies = copies::of(&self.unsure, &self.ended, link, &arrival, &mapped);
        copies::take(link, &arrival.lens, &copies);
        let at_us = said_at_us(&link.state, version.as_ref(), arrival.received_us, arrival.clock_offset_us);
        let is_one_of_many = self.clusters.get(&link.golden).is_some_and(|links| links.len() > 1);
        let then = is_one_of_many.then(|| link.state.clone());
        let heard = link.hear(engine, mapped, at_us);
        link.open = true;
        link.version = version.or(link.version.take());
        // What is not heard moves nothing, but where it differs from the golden record it is written over.
        let evidence_moved = !heard.said.is_empty() || heard.unsaid || before.0 != link.state.identities;
        if !evidence_moved && before.1 == link.state.references {
            let golden = link.golden;
            if before.2 != link.version || !before.3 || !copies.is_empty() {
                self.touched.insert(number);
            }
            if !before.3 || !copies.is_empty() {
                // It is back, and what it said counts again; or it is known at last what it holds, and what it is owed.
                self.dirty(golden, position, "update");
            }
            self.keep(copies);
            self.note(number, &arrival, "echo");
            return;
        }
        heard_now(engine, link, &arrival);
        self.keep(copies);
        self.touched.insert(number);
        self.voices.spoke(number, heard.said);
        let blocks = self.blocks_of(engine, number);
        self.spoke(number, old_keys.iter().copied());
        self.reblock(number, blocks, &old_keys);
        self.note(number, &arrival, "changed");
        if let Some(then) = then {
            self.loosen_from(engine, number, &then, position);
        }
        self.attach(engine, number, position);
    }

    fn hear_first(&mut self, engine: &Engine, mut arrival: Arrival) {
        let number = self.next_link;
        self.next_link += 1;
        self.by_key.insert(arrival.key.clone(), number);
        match arrival.mapped.take() {
            Some(mapped) => self.take_in(engine, number, arrival, mapped),
            None => self.entomb(number, &arrival),
        }
    }

    /// Makes the link of a record that is there, of which nothing was known.
    fn take_in(&mut self, engine: &Engine, number: i64, mut arrival: Arrival, mapped: MappedRecord) {
        let position = arrival.position;
        let state = LinkState::default();
        let at_us = said_at_us(&state, arrival.version.as_ref(), arrival.received_us, arrival.clock_offset_us);
        let shown = (!self.unsure.is_empty()).then(|| mapped.clone());
        let (key, entity, version) = (arrival.key.clone(), arrival.lens.entity().clone(), arrival.version.clone());
        let mut link = Link { number, key, entity, golden: 0, state, version, open: true };
        link.hear(engine, mapped, at_us);
        self.links.insert(number, link);
        self.touched.insert(number);
        let creates = arrival.lens.creates_golden();
        // All that a new link has is its record's own evidence, whose blocks are known.
        let keys = std::mem::take(&mut arrival.keys);
        let mut own = Some(keys.clone());
        let mut blocks = keys.hashes;
        let decided = match shown.as_ref().and_then(|shown| self.maker(engine, &arrival, shown)) {
            Some(golden) => Decision::Link { golden: vec![golden], why: Explanation::default(), against: false },
            None => self.decide(engine, number, &blocks),
        };
        self.note_contest(engine, number, &blocks, &decided);
        self.spoke(number, []);
        let (golden, outcome) = match decided {
            Decision::Link { golden, .. } => {
                if let Some(shown) = shown
                    && self.is_made(engine, number, &golden, &arrival, shown)
                {
                    blocks = self.blocks_of(engine, number);
                    own = None;
                }
                self.voices.joined(number, 0);
                (self.absorb(&golden, position), "linked")
            }
            Decision::Create if !creates => (0, "unattached"),
            Decision::Create => (self.create(number), "created"),
            Decision::Review { candidates } => {
                let golden = self.create(number);
                self.ask(engine, number, golden, candidates);
                (golden, "review")
            }
        };
        if let Some(link) = self.links.get_mut(&number) {
            link.golden = golden;
            heard_now(engine, link, &arrival);
        }
        self.clusters.entry(golden).or_default().insert(number);
        if golden != 0 {
            self.dirty(golden, position, if outcome == "linked" { "link" } else { "create" });
        }
        self.reblock(number, blocks, &[]);
        self.borne.extend(own.map(|keys| (number, keys)));
        self.note(number, &arrival, outcome);
    }

    /// A known link said something new: it may now prove its golden record to be another one, too.
    fn attach(&mut self, engine: &Engine, number: i64, position: i64) {
        let Some(own) = self.links.get(&number).map(|link| link.golden) else { return };
        if own != 0 {
            self.dirty(own, position, "update");
        }
        self.join(engine, number, position);
    }

    /// Joins a link, or its golden record, with those that its evidence proves it to be.
    pub fn join(&mut self, engine: &Engine, number: i64, position: i64) {
        self.obey(engine, number, position);
        let Some(own) = self.links.get(&number).map(|link| link.golden) else { return };
        let blocks = self.blocks_of(engine, number);
        let decision = self.decide(engine, number, &blocks);
        self.note_contest(engine, number, &blocks, &decision);
        let mut golden = match decision {
            Decision::Link { golden, .. } => golden,
            Decision::Review { candidates } => return self.ask(engine, number, own, candidates),
            Decision::Create => return,
        };
        if own != 0 && !golden.contains(&own) {
            golden.push(own);
            golden.sort_unstable();
        }
        if golden != [own] {
            self.bring(engine, number, &golden, position);
        }
    }

    fn bring(&mut self, engine: &Engine, number: i64, golden: &[i64], position: i64) {
        let is_loose = self.links.get(&number).is_some_and(|link| link.golden == 0);
        let survivor = self.absorb(golden, position);
        if is_loose {
            self.move_link(number, survivor);
            self.voices.joined(number, 0);
            self.dirty(survivor, position, "link");
            let blocks = self.blocks_of(engine, number);
            self.reblock(number, blocks, &[]);
        }
    }

    fn blocks_of(&self, engine: &Engine, number: i64) -> Vec<i64> {
        self.links.get(&number).map(|link| block_keys(engine, link)).unwrap_or_default()
    }

    /// Who this link is, among the golden records that share one of its blocks.
    fn decide(&self, engine: &Engine, number: i64, blocks: &[i64]) -> Decision {
        let Some(link) = self.links.get(&number) else { return Decision::Create };
        let golden: BTreeSet<i64> = blocks.iter().filter_map(|hash| self.blocks.get(hash)).flatten().copied().collect();
        let candidates: Vec<Candidate> = golden
            .into_iter()
            .filter(|golden| *golden != 0 && *golden != link.golden && !self.is_apart(number, link.golden, *golden))
            .map(|golden| Candidate { golden, evidence: evidence_of(self.cluster(golden).map(|it| &it.state)) })
            .collect();
        if candidates.is_empty() {
            return Decision::Create;
        }
        let companions = self.cluster(link.golden).filter(|it| link.golden != 0 && it.number != number);
        let mut companions = evidence_of([link].into_iter().chain(companions).map(|it| &it.state));
        let evidence = self.without_shared(engine, link.entity.as_str(), companions.remove(0));
        let apart = |a: i64, b: i64| self.are_apart(a, b);
        let known = Known { companions: &companions, apart: &apart };
        matching::decide_known(&engine.matching, link.entity.as_str(), &evidence, &known, &candidates)
    }

    /// Whether a steward ruled that these golden records are different.
    fn are_apart(&self, a: i64, b: i64) -> bool {
        let first = self.clusters.get(&a).and_then(|links| links.first());
        first.is_some_and(|first| self.is_apart(*first, a, b))
    }

    /// Whether a steward ruled that these are different.
    fn is_apart(&self, number: i64, own: i64, other: i64) -> bool {
        let mine = self.clusters.get(&own).into_iter().flatten().copied().filter(|_| own != 0).chain([number]);
        let theirs: Vec<i64> = self.clusters.get(&other).into_iter().flatten().copied().collect();
        !self.apart.is_empty()
            && mine.into_iter().any(|a| theirs.iter().any(|b| self.apart.contains(&(a.min(*b), a.max(*b)))))
    }

    pub fn create(&mut self, number: i64) -> i64 {
        let id = self.next_golden;
        self.next_golden += 1;
        self.created += 1;
        let entity = self.links.get(&number).map_or_else(|| EntityName::from("customer"), |link| link.entity.clone());
        self.goldens.insert(id, Golden { id, entity, fields: Fields::new(), merged_into: None, change: 0 });
        id
    }

    /// The lowest id survives and takes the links of the others.
    pub fn absorb(&mut self, golden: &[i64], position: i64) -> i64 {
        let survivor = golden[0];
        if golden.len() > 1 {
            let here = self.clusters.get(&survivor).into_iter().flatten();
            self.stays.extend(here.map(|number| (*number, survivor)));
        }
        for &lost in &golden[1..] {
            for number in self.clusters.remove(&lost).unwrap_or_default() {
                self.move_link(number, survivor);
                self.homes.push((number, survivor, lost));
                self.voices.joined(number, lost);
            }
            if let Some(record) = self.goldens.get_mut(&lost) {
                record.merged_into = Some(survivor);
            }
            self.unsure.iter_mut().filter(|one| one.golden == lost).for_each(|one| one.golden = survivor);
            for known in self.blocks.values_mut() {
                if known.remove(&lost) {
                    known.insert(survivor);
                }
            }
            self.dirty.insert(lost, (position, "merged"));
            self.dirty(survivor, position, "merge");
        }
        survivor
    }

    pub fn move_link(&mut self, number: i64, golden: i64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        if let Some(cluster) = self.clusters.get_mut(&link.golden) {
            cluster.remove(&number);
        }
        link.golden = golden;
        self.clusters.entry(golden).or_default().insert(number);
        self.touched.insert(number);
        self.moved.insert(number);
    }

    /// Asks a steward, once: a question that waits already is only asked anew when it is about somebody else, too, or when
    /// other reasons speak for it by now; then nobody puts it off any more.
    fn ask(&mut self, engine: &Engine, link: i64, golden: i64, candidates: Vec<(i64, Explanation)>) {
        let known = self.waiting.get(&link);
        let asked = |(id, why): &(i64, Explanation)| {
            known.is_some_and(|review| {
                review.candidates.iter().any(|it| it.0 == *id && it.1.outcomes() == why.outcomes())
            })
        };
        if candidates.iter().all(asked) {
            return;
        }
        let number = known.map_or(self.next_review, |review| review.number);
        self.next_review = self.next_review.max(number + 1);
        let review = Review { number, link, golden, candidates, made_us: engine.clock.now_us() };
        self.waiting.insert(link, review.clone());
        self.reviews.insert(number, review);
    }

    pub fn dirty(&mut self, golden: i64, position: i64, kind: &'static str) {
        if golden == 0 {
            return;
        }
        let entry = self.dirty.entry(golden).or_insert((position, kind));
        // A create stays a create whatever follows in the same batch; a merge outranks an update.
        if entry.1 != "create" && kind != "update" {
            *entry = (position, kind);
        }
    }

    fn note(&mut self, link: i64, arrival: &Arrival, outcome: &str) {
        let detail = (!arrival.issues.is_empty()).then(|| serde_json::to_string(&arrival.issues).unwrap_or_default());
        self.journal.push(JournalLine { link, position: arrival.position, outcome: outcome.to_owned(), detail });
    }
}
