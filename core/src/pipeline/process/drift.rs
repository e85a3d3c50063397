//! Drift: what arrived is compared with the contract of its stream, batch by batch.
//!
//! A record shows its form while it is mapped (one byte a place, off this thread); here these are compared with what the
//! contract expects, and only where something differs anything else happens. Missing names count when the link had a value
//! there, or when no record ever came without: [`RUN`] such records in a row, with none between that shows the place, make
//! a finding. A value of another kind and a word that no table lists are findings at once.
//!
//! Where nobody chose a policy, scalars that read well under another kind are taken (`evolve`), everything else keeps its
//! last value (`park_value`). A record that nobody knows yet has no last value: if it lacks what says who it is, it waits
//! as a whole, so that drift makes no doubles.

mod rename;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::value::{FieldName, Identity, IdentityKind, Issue, MappedRecord};

use super::expand::{Arrival, Source};
use super::resolve::Batch;
use crate::connection::Connection;
use crate::drift::{self, Contract, Finding, KEPT, Parked, Part, Policy, REFERENCES, State};
use crate::engine::Engine;
use crate::link::{LinkKey, LinkState};
use crate::manifest::Ability;
use crate::store::db::{Result, Tx};
use crate::store::drifts::{self, ContractName};
use crate::store::links::JournalLine;
use crate::store::streams;

use watch::Watch;

/// Records in a row that make a finding: chance does not take the same field from ten records one after the other.
pub(super) const RUN: usize = 10;

/// Records that a place must have been looked at in before anything is expected of it.
pub(super) const LEARN: u32 = 20;

/// What a batch tells about drift.
#[derive(Default)]
pub(super) struct Judged {
    contracts: Vec<(ContractName, Contract)>,
    findings: Vec<Finding>,
    /// The numbers of findings that this batch made or ended.
    changed: BTreeSet<i64>,
    parked: BTreeMap<(i64, LinkKey), Parked>,
    gone: BTreeSet<LinkKey>,
    /// Findings ended by themselves: what waited can run.
    pub is_back: bool,
}

/// What is set aside of one arrival.
#[derive(Default)]
struct Aside {
    findings: BTreeSet<i64>,
    is_row: bool,
    fields: BTreeSet<FieldName>,
    identities: BTreeSet<IdentityKind>,
    references: bool,
}

/// Compares arrivals with their contracts. What waits as a whole is taken out of them; where a value waits, the arrival
/// says nothing about it any more.
pub(super) fn judge(
    engine: &Engine,
    tx: &mut Tx<'_>,
    batch: &mut Batch,
    arrivals: &mut Vec<Arrival>,
) -> Result<Judged> {
    let mut judged = Judged::default();
    let mut groups: BTreeMap<ContractName, Vec<usize>> = BTreeMap::new();
    for (at, arrival) in arrivals.iter().enumerate() {
        if arrival.mapped.is_none() {
            judged.gone.insert(arrival.key.clone());
        } else if !arrival.shape.is_empty() {
            groups.entry(name_of(arrival)).or_default().push(at);
        }
    }
    if groups.is_empty() {
        return Ok(judged);
    }
    let names: BTreeSet<ContractName> = groups.keys().cloned().collect();
    let mut contracts = drifts::contracts(tx, &names)?;
    let pairs = names.iter().map(|(connection, lens, _)| (connection.clone(), lens.clone())).collect();
    let mut known = drifts::of_lenses(tx, &pairs)?;
    let is_learning = names.iter().any(|name| contracts.get(name).is_none_or(|it| !it.firm));
    let read_to = if is_learning { streams::all(tx)? } else { BTreeMap::new() };
    let mut asides: HashMap<usize, Aside> = HashMap::new();
    let mut next = None;
    for (name, members) in groups {
        let first = &arrivals[members[0]];
        let Some(connection) = engine.connections.get(&name.0) else { continue };
        let lens = first.lens.clone();
        let was = contracts.remove(&name).unwrap_or_default();
        let stream = (name.0.clone(), lens.stream().to_owned());
        let read_to = read_to.get(&stream).and_then(|state| state.read_to);
        let is_read = !connection.can(lens.stream(), Ability::Pull) || read_to.is_some_and(|to| first.position > to);
        let mut watch = Watch::new(engine, connection, &lens, &was, &mut known);
        watch.is_read = is_read;
        watch.next = match next {
            Some(next) => next,
            None => tx.max("id", "drift")? + 1,
        };
        watch.look(tx, batch, arrivals, &members, &mut asides)?;
        next = Some(watch.next);
        let (contract, changed, earlier, is_back) = watch.end(&was);
        judged.changed.extend(changed);
        judged.is_back |= is_back;
        for parked in earlier {
            judged.park(parked);
        }
        judged.contracts.extend(contract.map(|contract| (name, contract)));
    }
    stopped(&known, arrivals, &mut asides);
    known.retain(|it| judged.changed.contains(&it.number));
    judged.findings = known;
    if !asides.is_empty() {
        judged.set_aside(batch, arrivals, asides);
    }
    Ok(judged)
}

fn name_of(arrival: &Arrival) -> ContractName {
    let source = if arrival.source == Source::Told { "told" } else { "read" };
    (arrival.key.connection.as_str().to_owned(), arrival.key.lens.clone(), source)
}

/// While a stream is stopped, everything that arrives of it waits.
fn stopped(known: &[Finding], arrivals: &[Arrival], asides: &mut HashMap<usize, Aside>) {
    let stops: Vec<&Finding> = known.iter().filter(|it| it.policy == Policy::Stop && it.state == State::Open).collect();
    if stops.is_empty() {
        return;
    }
    for (at, arrival) in arrivals.iter().enumerate().filter(|(_, it)| it.mapped.is_some()) {
        let of = |it: &&&Finding| it.connection == arrival.key.connection.as_str() && it.lens == arrival.key.lens;
        if let Some(stop) = stops.iter().find(of) {
            let aside = asides.entry(at).or_default();
            aside.is_row = true;
            aside.findings.insert(stop.number);
        }
    }
}

impl Judged {
    /// Takes rows out, and values off.
    fn set_aside(&mut self, batch: &mut Batch, arrivals: &mut Vec<Arrival>, mut asides: HashMap<usize, Aside>) {
        // Two versions of one record in a batch: the second one keeps what the first one brought.
        let mut recent: HashMap<LinkKey, MappedRecord> = HashMap::new();
        let all = std::mem::take(arrivals);
        for (at, mut arrival) in all.into_iter().enumerate() {
            if let Some(aside) = asides.remove(&at) {
                let link = batch.by_key.get(&arrival.key).copied();
                let lacks_evidence = !aside.identities.is_empty() || aside.references;
                let is_known = link.is_some() || recent.contains_key(&arrival.key);
                let part = if aside.is_row || (lacks_evidence && !is_known) { Part::Row } else { Part::Value };
                for drift in &aside.findings {
                    self.park(parked(*drift, &arrival, part));
                }
                if part == Part::Row {
                    batch.journal.extend(link.map(|link| JournalLine {
                        link,
                        position: arrival.position,
                        outcome: "parked".to_owned(),
                        detail: None,
                    }));
                    continue;
                }
                let held = link.and_then(|link| batch.links.get(&link)).map(|link| &link.state);
                let earlier = recent.get(&arrival.key);
                let kept = arrival.mapped.as_mut().map(|mapped| take_off(mapped, &aside, held, earlier));
                arrival.issues.extend(kept.into_iter().flatten());
            }
            match &arrival.mapped {
                Some(mapped) => {
                    if !asides.is_empty() {
                        recent.insert(arrival.key.clone(), mapped.clone());
                    }
                }
                // What is gone later in the batch needs nothing of what waited before.
                None => self.parked.retain(|(_, key), _| *key != arrival.key),
            }
            arrivals.push(arrival);
        }
    }

    /// Of one record and finding the newest version waits.
    fn park(&mut self, one: Parked) {
        let place = self.parked.entry((one.drift, one.key.clone())).or_insert_with(|| one.clone());
        if place.recency.zip(one.recency).is_none_or(|(known, new)| new >= known) {
            *place = one;
        }
    }

    /// Into the store, with the batch.
    pub fn write(&self, tx: &mut Tx<'_>) -> Result<()> {
        drifts::put_contracts(tx, &self.contracts)?;
        drifts::put(tx, &self.findings)?;
        if !self.gone.is_empty() {
            drifts::forget(tx, &self.gone)?;
        }
        let parked: Vec<Parked> = self.parked.values().cloned().collect();
        drifts::park(tx, &parked)
    }

    /// Logs each new finding once; records are not named.
    pub fn tell(&self) {
        for it in self.findings.iter().filter(|it| it.state == State::Open) {
            let Finding { number, connection, stream, policy, .. } = it;
            let (policy, found) = (policy.as_str(), it.sentence());
            tracing::warn!(connection, stream, finding = number, policy, "schema drift: {found}; see `huiliu drift`");
        }
    }
}

fn parked(drift: i64, arrival: &Arrival, part: Part) -> Parked {
    let recency = arrival.version.as_ref().and_then(|version| version.order);
    Parked { drift, key: arrival.key.clone(), position: arrival.position, part, recency }
}

/// The record says nothing about what waits; evidence that it lost stays as it was, and an issue says so.
fn take_off(
    mapped: &mut MappedRecord,
    aside: &Aside,
    held: Option<&LinkState>,
    recent: Option<&MappedRecord>,
) -> Vec<Issue> {
    for field in &aside.fields {
        mapped.fields.remove(field);
    }
    let mut lost = Vec::new();
    for kind in &aside.identities {
        mapped.identities.retain(|it| it.kind != *kind);
        lost.push(FieldName::from(kind.as_str()));
    }
    if aside.references {
        mapped.references.clear();
        lost.push(FieldName::from(REFERENCES));
    }
    let message = "the link keeps what it has until the mapping is mended";
    let issues: Vec<Issue> = lost
        .into_iter()
        .map(|field| Issue { field, at: String::new(), code: KEPT.to_owned(), message: message.to_owned() })
        .collect();
    let now = recent.map(|it| LinkState {
        identities_held: it.identities.clone(),
        references: it.references.clone(),
        ..LinkState::default()
    });
    now.as_ref().or(held).map(|state| drift::keep(mapped, state, &issues)).unwrap_or_default()
}

/// Whether a link holds a value that is read at a place.
fn had(state: &LinkState, fields: &[FieldName], identities: &[IdentityKind], is_reference: bool) -> bool {
    let holds = |kind: &IdentityKind| state.identities_held.iter().any(|it: &Identity| it.kind == *kind);
    fields.iter().any(|field| state.held.get(field).is_some_and(|value| !value.is_null()))
        || identities.iter().any(holds)
        || (is_reference && !state.references.is_empty())
}

/// Everything that one lens needs while its arrivals are looked at.
struct Reader<'a> {
    engine: &'a Engine,
    connection: &'a Connection,
    lens: &'a Arc<Lens>,
}
