//! What waited for the end of a finding runs again, page by page, each in one transaction.

use std::collections::BTreeMap;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::read::UNKNOWN_VALUE;
use serde_json::Value;

use super::{Finding, Kind, Parked, Part, State, digest, is_below, permit, starred};
use crate::connection::Connection;
use crate::connector::Received;
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::plan;
use crate::pipeline::process::{MEANING_LOCK, received};
use crate::replay;
use crate::store::db::{Result, Tx};
use crate::store::inbox::{self, InboxItem};
use crate::store::{deliveries, drifts, goldens, links, stewards, streams};

/// Records in a page: some tens of milliseconds, so that live traffic hardly waits.
const PAGE: i64 = 200;

/// What ran again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Redriven {
    /// Findings that are over.
    pub findings: usize,
    /// Records that are processed again as a whole.
    pub rows: usize,
    /// Records whose set-aside values were taken in.
    pub values: usize,
    /// Deliveries that were planned anew.
    pub deliveries: usize,
    /// Records of which something newer was taken in meanwhile.
    pub superseded: usize,
    /// Records that are no longer kept.
    pub not_kept: usize,
    /// Records that today's mapping cannot read either: they go on waiting.
    pub left: usize,
}

impl Redriven {
    fn ran(&self) -> i64 {
        i64::try_from(self.rows + self.values + self.deliveries).unwrap_or(i64::MAX)
    }

    fn add(&mut self, more: Self) {
        self.findings += more.findings;
        self.rows += more.rows;
        self.values += more.values;
        self.deliveries += more.deliveries;
        self.superseded += more.superseded;
        self.not_kept += more.not_kept;
        self.left += more.left;
    }
}

/// Ends findings whose mapping is another one than then, and runs what waited for these, for accepted ones, and for places
/// that show values again. Safe at any time, and after a stop it goes on where it was.
pub fn redrive(engine: &Engine) -> Result<Redriven> {
    let mut total = Redriven::default();
    for finding in engine.store.read(drifts::unfinished)? {
        let Some((connection, lens)) = read_by(engine, &finding) else { continue };
        if is_over(&finding, lens) {
            total.add(all(engine, connection, lens, &finding)?);
        }
    }
    if total != Redriven::default() {
        let Redriven { findings, rows, values, deliveries, superseded, left, .. } = total;
        tracing::info!(
            findings,
            rows,
            values,
            deliveries,
            superseded,
            left,
            "what waited for mended mappings runs again"
        );
    }
    Ok(total)
}

fn read_by<'a>(engine: &'a Engine, finding: &Finding) -> Option<(&'a Connection, &'a Lens)> {
    let connection = engine.connections.get(&finding.connection)?;
    Some((connection, connection.lens(&finding.lens)?))
}

/// A vanished place is mended once nothing reads it; anything else may be, once the mapping is another.
fn is_over(finding: &Finding, lens: &Lens) -> bool {
    let is_read = || lens.places().iter().any(|place| place.pointer() == finding.place);
    match finding.state {
        State::Open => digest(lens) != finding.digest && (finding.kind != Kind::Vanished || !is_read()),
        State::Back | State::Accepted => true,
        State::Noted | State::Mended => false,
    }
}

fn all(engine: &Engine, connection: &Connection, lens: &Lens, finding: &Finding) -> Result<Redriven> {
    let mut done = Redriven::default();
    let mut after = String::new();
    loop {
        let _turn = engine.meaning();
        let (page, last) = engine.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            // What others computed from before this page is void, as after a steward's command.
            let given = inbox::progress(tx, stewards::COMMANDS)?;
            inbox::set_progress(tx, stewards::COMMANDS, given + 1)?;
            let waiting = drifts::waiting(tx, finding.number, &after, PAGE)?;
            let last = waiting.last().map(|one| one.key.id.as_str().to_owned());
            let page = match finding.kind {
                Kind::Refused => plan_anew(engine, tx, finding, &waiting)?,
                _ => Page { engine, connection, lens, finding }.run(tx, waiting)?,
            };
            if last.is_none() {
                close(engine, tx, lens, finding, &done)?;
            }
            Ok((page, last))
        })?;
        done.add(page);
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    done.findings += usize::from(done.left == 0);
    Ok(done)
}

fn close(engine: &Engine, tx: &mut Tx<'_>, lens: &Lens, finding: &Finding, done: &Redriven) -> Result<()> {
    let mut now = finding.clone();
    now.detail.redriven += done.ran();
    if done.left > 0 {
        // Until the mapping changes once more.
        now.digest = digest(lens);
        return drifts::put(tx, &[now]);
    }
    if now.state == State::Open {
        permit(tx, finding)?;
        now.state = State::Mended;
    }
    now.done_us = Some(engine.clock.now_us());
    drifts::put(tx, &[now])?;
    if finding.kind == Kind::Vanished {
        // What was not written to the place meanwhile is owed.
        streams::hold(tx, &[(finding.connection.clone(), finding.stream.clone())].into())?;
    }
    Ok(())
}

struct Page<'a> {
    engine: &'a Engine,
    connection: &'a Connection,
    lens: &'a Lens,
    finding: &'a Finding,
}

impl Page<'_> {
    fn run(&self, tx: &mut Tx<'_>, waiting: Vec<Parked>) -> Result<Redriven> {
        let mut done = Redriven::default();
        let items = inbox::at_all(tx, waiting.iter().map(|one| one.position))?;
        let items: BTreeMap<i64, InboxItem> = items.into_iter().map(|item| (item.position, item)).collect();
        let known: BTreeMap<LinkKey, Link> = links::by_keys(tx, waiting.iter().map(|one| &one.key))?
            .into_iter()
            .map(|it| (it.key.clone(), it))
            .collect();
        let heard = drifts::last_heard(tx, known.values().map(|link| link.number))?;
        let (mut again, mut anew, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for one in waiting {
            let link = known.get(&one.key);
            let Some(item) = items.get(&one.position) else {
                done.not_kept += 1;
                over.push(one.key);
                continue;
            };
            // Versions tell which is newer; without them the order of arrival does.
            let newer = |link: &Link| heard.get(&link.number).is_some_and(|last| *last > one.position);
            if one.recency.is_none() && one.part == Part::Row && link.is_some_and(newer) {
                done.superseded += 1;
                over.push(one.key);
                continue;
            }
            if self.finding.state == State::Open && self.is_still(item, &one.key) {
                done.left += 1;
                continue;
            }
            match (one.part, link) {
                (Part::Value, Some(link)) if self.reads_all(link) => anew.push(link.clone()),
                _ => again.push(item.clone()),
            }
            over.push(one.key);
        }
        (done.rows, done.values) = (again.len(), anew.len());
        // Copies at the end of the log, in the order of arrival: the items themselves are history.
        again.sort_by_key(|item| item.position);
        again.dedup_by_key(|item| item.position);
        inbox::append(tx, &again)?;
        let cause = format!("drift:{}", self.finding.number);
        replay::reread(self.engine, tx, &anew, (&self.finding.connection, &self.finding.stream), &cause)?;
        drifts::unpark(tx, self.finding.number, &over)?;
        Ok(done)
    }

    /// Whether the mapping of today reads everything that the record ever said: read anew, it loses nothing. Otherwise the
    /// record is only heard once more.
    fn reads_all(&self, link: &Link) -> bool {
        link.state.said.keys().all(|field| self.lens.kind(field).is_some())
    }

    /// Whether today's mapping cannot read the record there either.
    fn is_still(&self, item: &InboxItem, key: &LinkKey) -> bool {
        let Some(body) = body_of(self.connection, item, self.lens.stream(), key) else { return false };
        let (_, issues) = self.lens.map(&body);
        let place = &self.finding.place;
        match self.finding.kind {
            Kind::UnknownValue => issues.iter().any(|it| it.code == UNKNOWN_VALUE && starred(&it.at) == *place),
            Kind::Retyped => issues.iter().any(|it| is_below(&it.at, place)),
            Kind::Vanished | Kind::Refused => false,
        }
    }
}

/// The record of this name in an item of the inbox.
pub(crate) fn body_of(connection: &Connection, item: &InboxItem, stream: &str, key: &LinkKey) -> Option<Value> {
    received(connection, item).ok()?.into_iter().find_map(|one| match one {
        Received::Record(record) if record.stream.as_str() == stream && record.id == key.id => Some(record.body),
        _ => None,
    })
}

/// Deliveries that a target refused are planned anew by today's mapping.
fn plan_anew(engine: &Engine, tx: &mut Tx<'_>, finding: &Finding, waiting: &[Parked]) -> Result<Redriven> {
    let dead = deliveries::dead_of(tx, waiting.iter().map(|one| one.position))?;
    let numbers = || dead.iter().map(|one| one.delivery.number);
    let records = goldens::by_ids(tx, dead.iter().map(|one| one.golden))?;
    let ids = records.iter().map(|golden| golden.merged_into.unwrap_or(golden.id)).collect();
    drifts::drop_dead(tx, numbers())?;
    let letters = drifts::letters_of(tx, numbers())?;
    inbox::mark_retried(tx, letters)?;
    let mut planned = plan::plan(engine, tx, &ids, None)?;
    planned.retain(|one| one.connection == finding.connection);
    plan::queue(engine, tx, &planned)?;
    let keys: Vec<LinkKey> = waiting.iter().map(|one| one.key.clone()).collect();
    drifts::unpark(tx, finding.number, &keys)?;
    Ok(Redriven { deliveries: planned.len(), ..Redriven::default() })
}
