//! What a link remembers, computed anew: everything that arrived and everything that was written, in the order in which
//! it was taken in, through today's lenses.
//!
//! The journal says which arrivals counted when they came: what was stale or overtaken then is not news today. Receipts
//! say what was written in between, so that a copy which came back stays a copy. Version, openness and freshness follow
//! from no mapping; they stay as they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::value::{FieldName, Issue};
use serde_json::Value;

use crate::connection::Connection;
use crate::connector::Received;
use crate::drift;
use crate::engine::Engine;
use crate::link::{Link, LinkState, written};
use crate::pipeline::process::{received, said_at_us};
use crate::store::db::{Result, Tx};
use crate::store::inbox::{self, InboxItem};
use crate::store::links::{JournalLine, NOT_TAKEN_IN};
use crate::store::replays::{self, Wrote};

/// Items in memory at once: with bodies of some kilobytes each, a few megabytes.
const ITEMS: usize = 500;

/// What became of one link.
pub(super) enum Folded {
    /// Read anew.
    Anew {
        state: Box<LinkState>,
        /// Its last line of history with today's issues, if they are others.
        line: Option<JournalLine>,
        /// Issues of the last reading, then and today.
        issues: (Vec<Issue>, Vec<Issue>),
        /// The record as its system last showed it, with what was written since.
        shown: Value,
    },
    /// It stays as it is; the word says why.
    Left(&'static str),
}

/// What was received or written is no longer kept, so the past cannot be told again.
pub(super) const NOT_KEPT: &str = "not_kept";
/// No lens of today reads the record.
pub(super) const NO_MAPPING: &str = "no_mapping";
/// The connector of today no longer understands what came.
pub(super) const NOT_READABLE: &str = "not_readable";

struct Fold<'a> {
    engine: &'a Engine,
    link: &'a Link,
    connection: &'a Connection,
    lens: Arc<Lens>,
    state: LinkState,
    writes: VecDeque<Wrote>,
    last: Option<(JournalLine, Vec<Issue>)>,
    /// Whether it took the place of another record.
    inherited: bool,
    shown: Value,
    /// Fields whose spelling is asked for.
    wanted: BTreeSet<FieldName>,
    /// The record as it was shown when its system said what it says of them.
    spelled: BTreeMap<FieldName, Value>,
    left: Option<&'static str>,
}

/// Folds these links: a handful of queries, and one for every 500 items.
pub(super) fn fold<'a>(
    engine: &'a Engine,
    tx: &mut Tx<'_>,
    links: impl IntoIterator<Item = &'a Link>,
) -> Result<BTreeMap<i64, Folded>> {
    let mut done = BTreeMap::new();
    let mut folds = BTreeMap::new();
    for link in links {
        match begin(engine, link) {
            Some(fold) => {
                folds.insert(link.number, fold);
            }
            None => {
                done.insert(link.number, Folded::Left(NO_MAPPING));
            }
        }
    }
    wrote(tx, &mut folds)?;
    // What is held and not said is a copy, or a word that did not count under other directions.
    let is_doubtful = |fold: &&Fold<'_>| {
        let (entity, directions) = (fold.link.entity.as_str(), &fold.connection.directions);
        fold.writes.is_empty() && fold.link.state.has_copies(|field| directions.says(entity, field))
    };
    let doubtful: Vec<[i64; 2]> =
        folds.values().filter(is_doubtful).map(|fold| [fold.link.number, fold.link.golden]).collect();
    for number in replays::unreceipted(tx, &doubtful)? {
        if let Some(fold) = folds.get_mut(&number) {
            fold.left = Some(NOT_KEPT);
        }
    }
    arrivals(tx, &mut folds)?;
    done.extend(folds.into_iter().map(|(number, fold)| (number, fold.end())));
    Ok(done)
}

/// The records in which these links' systems said what they say of some fields, in their own spelling: by link and field.
/// What is not kept is left out.
pub(crate) fn own_words<'a>(
    engine: &'a Engine,
    tx: &mut Tx<'_>,
    wanted: impl IntoIterator<Item = (&'a Link, BTreeSet<FieldName>)>,
) -> Result<BTreeMap<(i64, FieldName), Value>> {
    let begun = wanted.into_iter().filter_map(|(link, wanted)| Some(Fold { wanted, ..begin(engine, link)? }));
    let mut folds: BTreeMap<i64, Fold<'_>> = begun.map(|fold| (fold.link.number, fold)).collect();
    wrote(tx, &mut folds)?;
    arrivals(tx, &mut folds)?;
    let kept = folds.into_iter().filter(|(_, fold)| fold.left.is_none());
    Ok(kept.flat_map(|(link, fold)| fold.spelled.into_iter().map(move |(field, it)| ((link, field), it))).collect())
}

fn wrote(tx: &mut Tx<'_>, folds: &mut BTreeMap<i64, Fold<'_>>) -> Result<()> {
    for wrote in replays::wrote(tx, folds.keys().copied())? {
        if let Some(fold) = folds.get_mut(&wrote.link) {
            fold.writes.push_back(wrote);
        }
    }
    Ok(())
}

fn arrivals(tx: &mut Tx<'_>, folds: &mut BTreeMap<i64, Fold<'_>>) -> Result<()> {
    let kept = folds.values().filter(|fold| fold.left.is_none()).map(|fold| fold.link.number);
    let lines: Vec<JournalLine> = replays::lines(tx, kept)?.into_iter().filter(counted).collect();
    for part in lines.chunks(ITEMS) {
        let positions: BTreeSet<i64> = part.iter().map(|line| line.position).collect();
        let items: BTreeMap<i64, InboxItem> =
            inbox::at_all(tx, positions)?.into_iter().map(|item| (item.position, item)).collect();
        for line in part {
            if let Some(fold) = folds.get_mut(&line.link) {
                fold.take(line, items.get(&line.position));
            }
        }
    }
    Ok(())
}

fn begin<'a>(engine: &'a Engine, link: &'a Link) -> Option<Fold<'a>> {
    let connection = engine.connections.get(link.key.connection.as_str())?;
    let lens = connection.lens(&link.key.lens).filter(|lens| *lens.entity() == link.entity)?.clone();
    let (state, writes) = (LinkState::default(), VecDeque::new());
    let (wanted, spelled) = (BTreeSet::new(), BTreeMap::new());
    let (last, inherited, shown, left) = (None, false, Value::Null, None);
    Some(Fold { engine, link, connection, lens, state, writes, last, inherited, shown, wanted, spelled, left })
}

/// Whether an arrival was taken in when it came, with its content.
fn counted(line: &JournalLine) -> bool {
    !NOT_TAKEN_IN.contains(&line.outcome.as_str())
}

impl Fold<'_> {
    fn take(&mut self, line: &JournalLine, item: Option<&InboxItem>) {
        while self.writes.front().is_some_and(|wrote| wrote.processed < line.position) {
            self.write();
        }
        if self.left.is_some() {
            return;
        }
        self.inherited |= line.outcome == "inherited";
        let Some(item) = item else {
            self.left = Some(NOT_KEPT);
            return;
        };
        let Ok(received) = received(self.connection, item) else {
            self.left = Some(NOT_READABLE);
            return;
        };
        for one in received {
            let Received::Record(record) = one else { continue };
            let is_ours = record.stream.as_str() == self.lens.stream() && record.id == self.link.key.id;
            if is_ours && self.lens.reads(&record.body) {
                let (mut mapped, mut issues) = self.lens.map(&record.body);
                if let Some(detail) = line.detail.as_deref().filter(|it| it.contains(drift::KEPT)) {
                    let then: Vec<Issue> = serde_json::from_str(detail).unwrap_or_default();
                    issues.extend(drift::keep(&mut mapped, &self.state, &then));
                }
                let at_us = said_at_us(&self.state, record.version.as_ref(), item.received_us, item.clock_offset_us);
                let (connection, entity) = (self.link.key.connection.as_str(), self.link.entity.as_str());
                let heard = self.state.hear(mapped, at_us, self.engine.words_of(connection, entity));
                for (field, _) in heard.said.into_iter().filter(|(field, _)| self.wanted.contains(field)) {
                    self.spelled.insert(field, record.body.clone());
                }
                self.last = Some((line.clone(), issues));
                self.shown = record.body;
            }
        }
    }

    fn write(&mut self) {
        let Some(wrote) = self.writes.pop_front() else { return };
        overlay(&mut self.shown, wrote.stored.as_ref().unwrap_or(&wrote.body));
        let (sent, holds) = written(&self.lens, &wrote.fields, &wrote.body, wrote.stored.as_ref());
        self.state.wrote(&sent, holds);
        self.state.wrote_us = self.state.wrote_us.max(wrote.planned_us);
    }

    fn end(mut self) -> Folded {
        while !self.writes.is_empty() {
            self.write();
        }
        if let Some(why) = self.left {
            return Folded::Left(why);
        }
        // Of whom it inherited is another link's history; that it did is its own.
        if self.inherited {
            self.state.inherit(&self.link.state);
        }
        self.state.fresh_us = self.link.state.fresh_us;
        let Some((mut line, today)) = self.last else {
            let (state, issues) = (Box::new(self.state), (Vec::new(), Vec::new()));
            return Folded::Anew { state, line: None, issues, shown: self.shown };
        };
        let then: Vec<Issue> =
            line.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        line.detail = (!today.is_empty()).then(|| serde_json::to_string(&today).unwrap_or_default());
        let line = (then != today).then_some(line);
        Folded::Anew { state: Box::new(self.state), line, issues: (then, today), shown: self.shown }
    }
}
