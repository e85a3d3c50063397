//! The features of all records that are there: each value once, and rows that come and go.

use rustc_hash::FxHashMap;

use super::super::choose::number;
use super::super::cluster::Edge;
use super::super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::super::features::Features;
use super::super::frozen::{Frozen, Records, is_hub};
use super::super::guard::Guards;
use super::super::model::Model;
use super::super::settings::Settings;
use super::super::slots::{Name, Slot};
use super::super::table::{Id, Known, Place};
use super::super::{self as linkage, block};
use super::blocks::Keys;

/// Values that nobody bears any more are kept until they are more than these and than those that somebody may bear.
const WORN_LEAST: usize = 100_000;

/// A record before it joins the others.
pub(super) struct Arriving {
    features: Features,
    keys: Keys,
    place: Place,
}

impl Arriving {
    /// Of the first of `records`.
    pub(super) fn of(records: &Records, grown: &Grown, model: &Frozen, settings: &Settings) -> Self {
        let mut features = model.features(&records.table, settings);
        let parts = block::parts(&features, model.rows);
        let (mut rules, mut own) = (Vec::new(), Vec::new());
        for (rule, parts_of) in (1u64..).zip(&grown.rules) {
            block::keys(&parts, parts_of, 0, &mut own);
            rules.extend(own.iter().map(|key| rule << 32 | u64::from(*key)));
        }
        drop(parts);
        rules.sort_unstable();
        rules.dedup();
        let hub = |(at, (name, mut slot)): (u8, (Name, Slot<'_>))| {
            let feature = slot.feature();
            let is_one = is_hub(name.0) && feature.has(0);
            // Apart from the keys of rules, however many there are.
            is_one.then(|| (at, block::mixed(block::hash(feature.get(0)), u64::from(at) << 32 | 1 << 63)))
        };
        let hubs = (0u8..).zip(features.slots()).filter_map(hub).collect();
        let keys = Keys { rules: rules.into_boxed_slice(), hubs };
        Self { features, keys, place: records.table.places[0] }
    }
}

/// What is known of a row's record besides its features.
#[derive(Debug)]
struct Record {
    id: Box<str>,
    place: Place,
    keys: Keys,
    arrived: u64,
}

/// Where the values and words of a feature are.
#[derive(Debug, Default)]
struct Borne {
    values: Known,
    words: Known,
}

/// All rows.
pub(super) struct Grown {
    pub features: Features,
    model: Model,
    pub guards: Guards,
    known: Vec<Borne>,
    /// The blocking rules, as places of parts.
    rules: Vec<Vec<usize>>,
    records: Vec<Option<Record>>,
    rows: FxHashMap<Box<str>, u32>,
    free: Vec<u32>,
    arrivals: u64,
    /// Values that were added since the beginning.
    values: usize,
    /// The value of each identity that is no evidence.
    silent: FxHashMap<u64, Id>,
}

impl Grown {
    pub(super) fn new(model: &Frozen, settings: &Settings) -> Self {
        let mut features = model.features(&model.table(), settings);
        let rules = model.rules(&block::parts(&features, model.rows));
        for ((_, mut slot), (_, known)) in features.slots().into_iter().zip(&model.features) {
            let company = slot.company(0);
            slot.clear();
            slot.push("", company, known, &mut |_, _| 0);
        }
        Self {
            guards: Guards::of(&features),
            features,
            rules,
            model: Model::known(&model.weights, Vec::new()),
            known: model.features.iter().map(|_| Borne::default()).collect(),
            records: Vec::new(),
            rows: FxHashMap::default(),
            free: Vec::new(),
            arrivals: 0,
            values: 0,
            silent: FxHashMap::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, id: &str) -> Option<u32> {
        self.rows.get(id).copied()
    }

    fn record(&self, row: u32) -> &Record {
        self.records[row as usize].as_ref().expect("a row that is there")
    }

    pub(super) fn id(&self, row: u32) -> &str {
        &self.record(row).id
    }

    pub(super) fn keys(&self, row: u32) -> &Keys {
        &self.record(row).keys
    }

    /// How many came before.
    pub(super) fn arrived(&self, row: u32) -> u64 {
        self.record(row).arrived
    }

    pub(super) fn is_there(&self, row: u32) -> bool {
        self.records[row as usize].is_some()
    }

    /// The rows that are there.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.records).filter(|(_, record)| record.is_some()).map(|(row, _)| row)
    }

    /// Where a row stands in an order that what it says decides, and then its key.
    pub(super) fn rank(&self, row: u32) -> (Place, &str) {
        let record = self.record(row);
        (record.place, &record.id)
    }

    /// Whether a row says the same as the first of `records`.
    pub(super) fn says(&self, row: u32, records: &Records) -> bool {
        self.record(row).place == records.table.places[0]
    }

    pub(super) fn is_worn(&self) -> bool {
        let borne = self.len() * self.known.len();
        self.values > WORN_LEAST + 2 * borne
    }

    /// Gives a record a row, that of `gone` if there is one.
    pub(super) fn put(&mut self, id: &str, arriving: Arriving, gone: Option<u32>, model: &Frozen) -> u32 {
        let row = gone.or_else(|| self.free.pop()).unwrap_or(number(self.records.len()));
        let Arriving { mut features, keys, place } = arriving;
        let (mut slots, mut ones) = (self.features.slots(), features.slots());
        // All are looked for first: so no search waits in memory for the one before.
        let found = slots.iter_mut().zip(&mut ones).zip(&self.known).map(|(((_, slot), (_, one)), known)| {
            let text = one.feature().get(0);
            known.values.find(&slot.feature().values, text, block::hash(text))
        });
        let found: Vec<Result<Id, u64>> = found.collect();
        let slots = slots.iter_mut().zip(&mut ones).zip(found);
        for ((((_, slot), (_, one)), found), (known, (_, learned))) in
            slots.zip(self.known.iter_mut().zip(&model.features))
        {
            let value = found.unwrap_or_else(|free| {
                let id = one.feature().ids[0];
                let company = one.company(id);
                let text = one.feature().get(0);
                let words = &mut known.words;
                slot.push(text, company, learned, &mut |worded, word| {
                    words.find(&worded.texts, word, block::hash(word)).unwrap_or_else(|free| {
                        let id = worded.push_word(word, learned);
                        words.put(free, id);
                        id
                    })
                });
                self.values += 1;
                let value = number(slot.feature().values.len() - 1);
                known.values.put(free, value);
                value
            });
            let ids = &mut slot.feature().ids;
            if row as usize == ids.len() { ids.push(value) } else { ids[row as usize] = value }
        }
        self.guards.extend(&self.features);
        if let Some(source) = &self.features.source {
            self.model.place(row as usize, model.source(source.get(row as usize)));
        }
        self.arrivals += 1;
        let record = Some(Record { id: id.into(), place, keys, arrived: self.arrivals });
        if row as usize == self.records.len() {
            self.records.push(record);
        } else {
            self.records[row as usize] = record;
        }
        self.rows.insert(id.into(), row);
        row
    }

    /// Takes a record from its row; the row stays as it is until it is freed.
    pub(super) fn take(&mut self, row: u32) -> Keys {
        let record = self.records[row as usize].take().expect("a row that is there");
        self.rows.remove(&record.id);
        record.keys
    }

    /// Lets others have a row.
    pub(super) fn free(&mut self, row: u32) {
        self.free.push(row);
    }

    /// Makes an identity no evidence for all that bear it, or evidence again.
    pub(super) fn silence(&mut self, (slot, key): (u8, u64), bearers: &[u32], is_silent: bool) {
        let mut slots = self.features.slots();
        let feature = slots[usize::from(slot)].1.feature();
        if let Some(row) = bearers.first().filter(|_| is_silent) {
            self.silent.insert(key, feature.ids[*row as usize]);
        }
        let value = if is_silent { 0 } else { self.silent.remove(&key).unwrap_or_default() };
        for row in bearers {
            feature.ids[*row as usize] = value;
        }
    }

    /// The same for one more that bears what is no evidence already.
    pub(super) fn silence_in(&mut self, row: u32, hubs: &[(u8, u64)]) {
        let mut slots = self.features.slots();
        for (slot, _) in hubs {
            slots[usize::from(*slot)].1.feature().ids[row as usize] = 0;
        }
    }

    /// Bits by which two rows are likelier one customer than not.
    pub(super) fn bits(&self, of: &Comparer<'_>, pair: (u32, u32), out: &mut [Outcome; COMPARISONS_MAX]) -> f64 {
        self.model.bits(&linkage::compared(&self.model, of, self.ranked(pair), out))
    }

    /// The pairs of at least so many bits.
    pub(super) fn edges(&self, of: &Comparer<'_>, pairs: &[(u32, u32)], least: f64) -> Vec<Edge> {
        linkage::edges(&self.model, of, pairs.iter().map(|pair| self.ranked(*pair)), least)
    }

    /// Two rows, the one of the smaller rank first.
    fn ranked(&self, (a, b): (u32, u32)) -> (u32, u32) {
        if self.rank(a) <= self.rank(b) { (a, b) } else { (b, a) }
    }
}
