//! The arrivals of one lens from one source, against their contract.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::places::{Kind as Shown, Place};
use huiliu_mappings::lens::read::{UNKNOWN_VALUE, UNREAD_ITEMS};

use super::super::expand::Arrival;
use super::super::resolve::Batch;
use super::{Aside, LEARN, RUN, Reader, had, rename};
use crate::connection::Connection;
use crate::drift::{Contract, Detail, Expected, Finding, Kind, Parked, Part, Policy, State, digest, is_below, starred};
use crate::engine::Engine;
use crate::link::LinkKey;
use crate::store::db::{Result, Tx};

/// Findings of one lens that are kept in mind; a stream in which more places changed is another stream.
const FINDINGS_MAX: usize = 500;

pub(super) struct Watch<'a> {
    reader: Reader<'a>,
    chosen: Option<Policy>,
    contract: Contract,
    /// What stands at the places of the lens, in their order.
    expected: Vec<Expected>,
    known: &'a mut Vec<Finding>,
    changed: BTreeSet<i64>,
    earlier: Vec<Parked>,
    is_back: bool,
    /// Whether the first complete read is over.
    pub is_read: bool,
    /// The number of the next finding.
    pub next: i64,
}

/// A place, and its number among those of the lens.
#[derive(Clone, Copy)]
struct At<'a> {
    number: usize,
    place: &'a Place,
}

/// What a contract becomes if it does not stay, the numbers of findings that changed, what was set aside of earlier batches,
/// and whether a place shows values again.
pub(super) type End = (Option<Contract>, BTreeSet<i64>, Vec<Parked>, bool);

impl<'a> Watch<'a> {
    pub fn new(
        engine: &'a Engine,
        connection: &'a Connection,
        lens: &'a Arc<Lens>,
        was: &Contract,
        known: &'a mut Vec<Finding>,
    ) -> Self {
        let expected =
            lens.places().iter().map(|it| was.places.get(it.pointer()).cloned().unwrap_or_default()).collect();
        Self {
            reader: Reader { engine, connection, lens },
            chosen: connection.drift.of(lens.stream()),
            contract: Contract { firm: was.firm, ..Contract::default() },
            expected,
            known,
            changed: BTreeSet::new(),
            earlier: Vec::new(),
            is_back: false,
            is_read: false,
            next: 0,
        }
    }

    pub fn end(self, was: &Contract) -> End {
        let pointers = || self.reader.lens.places().iter().map(Place::pointer);
        let stays = was.firm == self.contract.firm
            && was.places.len() == self.expected.len()
            && pointers().zip(&self.expected).all(|(pointer, expected)| was.places.get(pointer) == Some(expected));
        let contract = (!stays).then(|| {
            let places = pointers().map(str::to_owned).zip(self.expected).collect();
            Contract { places, ..self.contract }
        });
        (contract, self.changed, self.earlier, self.is_back)
    }

    pub fn look(
        &mut self,
        tx: &mut Tx<'_>,
        batch: &Batch,
        arrivals: &[Arrival],
        members: &[usize],
        asides: &mut HashMap<usize, Aside>,
    ) -> Result<()> {
        self.contract.firm |= self.is_read;
        let lens = self.reader.lens.clone();
        for (number, place) in lens.places().iter().enumerate() {
            let at = At { number, place };
            if !self.contract.firm || self.expected[number].seen < LEARN {
                self.learn(at, arrivals, members);
                continue;
            }
            self.kinds(at, arrivals, members, asides);
            if !self.expected[number].optional {
                self.run(tx, at, batch, arrivals, members, asides)?;
            }
        }
        self.issues(arrivals, members, asides);
        Ok(())
    }

    fn learn(&mut self, at: At<'_>, arrivals: &[Arrival], members: &[usize]) {
        let expected = &mut self.expected[at.number];
        for member in members {
            let kind = arrivals[*member].shape[at.number];
            expected.seen = expected.seen.saturating_add(1);
            expected.absent = expected.absent.saturating_add(u32::from(kind == Shown::Absent));
            expected.kinds |= kind.bit();
        }
    }

    /// Values of a kind that never stood here.
    fn kinds(&mut self, at: At<'_>, arrivals: &[Arrival], members: &[usize], asides: &mut HashMap<usize, Aside>) {
        for member in members {
            let kind = arrivals[*member].shape[at.number];
            let before = self.expected[at.number].kinds;
            if kind.bit() & !before == 0 {
                continue;
            }
            // A place that was always empty promised nothing.
            if before == 0 {
                self.expected[at.number].kinds = kind.bit();
                continue;
            }
            let reads_well = !arrivals[*member].issues.iter().any(|it| is_below(&it.at, at.place.pointer()));
            let is_scalar = kind.is_scalar() && Shown::of_bits(before).all(Shown::is_scalar);
            let fitting = if is_scalar && reads_well { Policy::Evolve } else { Policy::ParkValue };
            let policy = self.chosen.unwrap_or(fitting);
            let finding = self.find(Kind::Retyped, at.place.pointer(), policy, |detail| {
                (detail.before, detail.now) = (before, kind.bit());
            });
            match finding {
                Some(finding) => self.put_aside(*member, at.place, finding, asides),
                None => self.expected[at.number].kinds |= kind.bit(),
            }
        }
    }

    /// Records that come without a place that records had.
    fn run(
        &mut self,
        tx: &mut Tx<'_>,
        at: At<'_>,
        batch: &Batch,
        arrivals: &[Arrival],
        members: &[usize],
        asides: &mut HashMap<usize, Aside>,
    ) -> Result<()> {
        let open = self.open(Kind::Vanished, at.place.pointer()).map(|it| it.number);
        let expected = &mut self.expected[at.number];
        // One record in a thousand is an accident of its own.
        let is_always = u64::from(expected.absent) * 1000 <= u64::from(expected.seen);
        let earlier = expected.run.len();
        let mut missing = Vec::new();
        for member in members {
            let arrival = &arrivals[*member];
            if arrival.shape[at.number] != Shown::Absent {
                expected.run.clear();
                expected.back = expected.back.saturating_add(u32::from(open.is_some()));
                if open.is_none() {
                    missing.clear();
                }
                continue;
            }
            missing.push(*member);
            let link = batch.by_key.get(&arrival.key).and_then(|number| batch.links.get(number));
            let lost = link.map_or(is_always, |link| {
                had(&link.state, at.place.fields(), at.place.identities(), at.place.is_reference())
            });
            if lost {
                expected.back = 0;
                if expected.run.len() < RUN {
                    expected.run.push((arrival.position, arrival.key.id.as_str().to_owned()));
                }
            }
        }
        let (length, back) = (expected.run.len(), expected.back as usize);
        let finding = match open {
            Some(number) if back >= RUN => {
                self.over(number, at.number);
                return Ok(());
            }
            Some(number) => Some(number),
            None if length >= RUN => self.vanished(tx, at, batch, arrivals, &missing, earlier)?,
            None => return Ok(()),
        };
        self.expected[at.number].run.clear();
        if let Some(finding) = finding {
            for member in missing {
                self.put_aside(member, at.place, finding, asides);
            }
        }
        Ok(())
    }

    fn vanished(
        &mut self,
        tx: &mut Tx<'_>,
        at: At<'_>,
        batch: &Batch,
        arrivals: &[Arrival],
        missing: &[usize],
        earlier: usize,
    ) -> Result<Option<i64>> {
        let policy = self.chosen.unwrap_or(Policy::ParkValue);
        let found = rename::suggest(tx, &self.reader, at.place, batch, arrivals, missing)?;
        let before = self.expected[at.number].kinds;
        let finding = self.find(Kind::Vanished, at.place.pointer(), policy, |detail| {
            detail.before = before;
            if let Some((pointer, alike)) = found {
                (detail.suggestion, detail.alike) = (Some(pointer), Some(alike));
            }
        });
        let Some(number) = finding else {
            self.expected[at.number].optional = true;
            return Ok(None);
        };
        // Those of earlier batches went on before anybody could know: their values are read again, too.
        let first = arrivals[missing[0]].position;
        let run = self.expected[at.number].run.iter().take(earlier).filter(|(position, _)| *position < first);
        let name = |id: &str| LinkKey {
            connection: self.reader.connection.name.clone(),
            lens: self.reader.lens.name().to_owned(),
            id: id.into(),
        };
        self.earlier.extend(run.map(|(position, id)| Parked {
            drift: number,
            key: name(id),
            position: *position,
            part: Part::Value,
            recency: None,
        }));
        Ok(Some(number))
    }

    /// The place shows values again: it was no new form.
    fn over(&mut self, number: i64, at: usize) {
        (self.expected[at].back, self.expected[at].run) = (0, Vec::new());
        let now_us = self.reader.engine.clock.now_us();
        if let Some(finding) = self.known.iter_mut().find(|it| it.number == number) {
            (finding.state, finding.done_us) = (State::Back, Some(now_us));
            self.changed.insert(number);
            self.is_back = true;
        }
    }

    /// Words that no table lists, and lists whose items say nothing any more.
    fn issues(&mut self, arrivals: &[Arrival], members: &[usize], asides: &mut HashMap<usize, Aside>) {
        for member in members {
            for issue in &arrivals[*member].issues {
                let kind = match issue.code.as_str() {
                    UNKNOWN_VALUE => Kind::UnknownValue,
                    UNREAD_ITEMS => Kind::Retyped,
                    _ => continue,
                };
                let policy = self.chosen.unwrap_or(Policy::ParkValue);
                let place = starred(&issue.at);
                let finding = self.find(kind, &place, policy, |detail| {
                    if detail.fields.is_empty() {
                        detail.fields.push(issue.field.as_str().to_owned());
                    }
                });
                if let Some(finding) = finding {
                    let aside = asides.entry(*member).or_default();
                    aside.findings.insert(finding);
                    aside.is_row |= self.is_row(finding);
                }
            }
        }
    }

    fn open(&self, kind: Kind, place: &str) -> Option<&Finding> {
        self.of(kind, place).find(|it| it.state == State::Open)
    }

    fn of(&self, kind: Kind, place: &str) -> impl Iterator<Item = &Finding> {
        let (connection, lens) = (self.reader.connection.name.as_str(), self.reader.lens.name());
        self.known
            .iter()
            .filter(move |it| it.kind == kind && it.place == place && it.connection == connection && it.lens == lens)
    }

    fn is_row(&self, number: i64) -> bool {
        let finding = self.known.iter().find(|it| it.number == number);
        finding.is_some_and(|it| matches!(it.policy, Policy::ParkRow | Policy::Stop))
    }

    /// The open finding for this, a new one if there is none. None: it is taken as it is.
    fn find(&mut self, kind: Kind, place: &str, policy: Policy, tell: impl FnOnce(&mut Detail)) -> Option<i64> {
        if let Some(open) = self.open(kind, place) {
            return Some(open.number);
        }
        // What was noted or accepted is known; only a kind of value may be yet another one.
        let is_known = kind == Kind::UnknownValue && self.of(kind, place).next().is_some();
        if is_known || self.known.len() >= FINDINGS_MAX {
            return None;
        }
        let (lens, now_us) = (self.reader.lens, self.reader.engine.clock.now_us());
        let mut detail = Detail::default();
        if let Some(place) = lens.places().iter().find(|it| it.pointer() == place) {
            detail.fields = place.fields().iter().map(|it| it.as_str().to_owned()).collect();
            detail.identities = place.identities().iter().map(|it| it.as_str().to_owned()).collect();
        }
        tell(&mut detail);
        let is_noted = policy == Policy::Evolve;
        let number = self.next;
        self.next += 1;
        self.changed.insert(number);
        self.known.push(Finding {
            number,
            connection: self.reader.connection.name.as_str().to_owned(),
            stream: lens.stream().to_owned(),
            lens: lens.name().to_owned(),
            kind,
            place: place.to_owned(),
            detail,
            policy,
            digest: digest(lens),
            state: if is_noted { State::Noted } else { State::Open },
            made_us: now_us,
            done_us: is_noted.then_some(now_us),
        });
        (!is_noted).then_some(number)
    }

    fn put_aside(&self, member: usize, place: &Place, finding: i64, asides: &mut HashMap<usize, Aside>) {
        let aside = asides.entry(member).or_default();
        aside.findings.insert(finding);
        aside.is_row |= self.is_row(finding);
        aside.fields.extend(place.fields().iter().cloned());
        aside.identities.extend(place.identities().iter().cloned());
        aside.references |= place.is_reference();
    }
}
