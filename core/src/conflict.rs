//! Conflicts: fields that two systems said differently since they last agreed. The rules settled them at once; here a
//! person sees what stands, what lost, and takes the other word if she knows better.
//!
//! The store keeps where to look ([`crate::store::conflicts`]); everything that is shown follows from what the links say
//! now, so that it cannot differ from the truth. A conflict is over when one of both has said something new about the
//! field, when both say the same by now, or when a pin or the configuration has answered it.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::merge::{GoldenRecord, Pin};
use huiliu_mappings::value::FieldName;
use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::link::Link;
use crate::pipeline::process;
use crate::review::{self, Steward, command, note, recompute, refused};
use crate::store::conflicts::{self, Kept};
use crate::store::db::{Result, Tx};
use crate::store::goldens::{self, Golden};
use crate::store::links;

/// Rows looked at in one query.
const PAGE: i64 = 200;

/// Rows looked at for one list: beyond these many that are over, a person narrows the list down.
const LOOKED_AT: usize = 5_000;

/// What one system said about a field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    /// `connection/stream/id`, or `pin`.
    pub record: String,
    /// The connection; empty for a pin.
    pub connection: String,
    /// The value; null: it cleared the field.
    pub value: Value,
    /// When it was said, microseconds since 1970 UTC.
    pub said_us: i64,
}

/// A conflict as a person sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// Its number.
    pub number: i64,
    /// `customer`, `order`, …
    pub entity: String,
    /// The golden record.
    pub golden: i64,
    /// The field.
    pub field: FieldName,
    /// The word that stands.
    pub winner: Word,
    /// The words that lost, kept and restorable.
    pub lost: Vec<Word>,
    /// The rule that decided: `most_recent`, `owns`, `prefer:erp`, …
    pub rule: String,
    /// When it was noticed, microseconds since 1970 UTC.
    pub made_us: i64,
    /// What a steward decided: `stands`, `pinned` or `ruled`, who, and when.
    pub decided: Option<(String, String, i64)>,
}

impl Conflict {
    /// The word that a person means by a connection or a record.
    ///
    /// # Errors
    /// What she may name instead.
    pub fn word(&self, named: &str) -> std::result::Result<&Word, String> {
        let words = || std::iter::once(&self.winner).chain(&self.lost);
        let meant: Vec<&Word> = words().filter(|it| it.record == named || it.connection == named).collect();
        match meant.as_slice() {
            [one] => Ok(one),
            [] => {
                let known: Vec<&str> = words().map(|it| it.record.as_str()).collect();
                Err(format!("conflict {} is between {}; name one of them", self.number, known.join(", ")))
            }
            _ => Err(format!("{named} said it in several records; name one as CONNECTION/STREAM/ID")),
        }
    }

    /// The strategies of rules/survive.toml by which this word would stand from now on.
    ///
    /// # Errors
    /// Why there are none.
    pub fn strategies(&self, engine: &Engine, word: &Word) -> std::result::Result<Vec<String>, String> {
        if word.value.is_null() || word.connection.is_empty() {
            return Err(format!(
                "{} said no value, and a preference looks at values only; let the connection own the field: \
                 fields.{}.{} = \"owns\" in huiliu.toml",
                word.record, self.entity, self.field
            ));
        }
        let preferred = format!("prefer:{}", word.connection);
        let known = engine.survive.words(&self.entity, &self.field);
        Ok(std::iter::once(preferred.clone()).chain(known.into_iter().filter(|it| *it != preferred)).collect())
    }
}

/// Which conflicts are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only those of this golden record.
    pub golden: Option<i64>,
    /// Only those in which this connection spoke.
    pub connection: Option<&'a str>,
    /// Only those about this field, or this family of fields.
    pub field: Option<&'a str>,
}

impl Wanted<'_> {
    fn holds(&self, one: &Conflict) -> bool {
        let mut words = std::iter::once(&one.winner).chain(&one.lost);
        self.connection.is_none_or(|name| words.any(|it| it.connection == name))
            && self.field.is_none_or(|field| one.field.as_str() == field || one.field.family() == field)
    }
}

/// Conflicts that nobody decided and that are not over, with a number below `before`, the latest first.
pub fn list(engine: &Engine, wanted: &Wanted<'_>, before: i64, count: usize) -> Result<Vec<Conflict>> {
    engine.store.read(|tx| {
        if let Some(golden) = wanted.golden {
            let golden = goldens::alive(tx, golden)?;
            let numbers: Vec<i64> = links::by_goldens(tx, [golden])?.iter().map(|link| link.number).collect();
            let rows = conflicts::open_of(tx, &numbers, before)?;
            let mut found: Vec<Conflict> =
                standing(engine, tx, rows)?.into_iter().filter(|it| wanted.holds(it)).collect();
            found.truncate(count);
            return Ok(found);
        }
        let (mut found, mut before, mut looked_at) = (Vec::new(), before, 0);
        while found.len() < count && looked_at < LOOKED_AT {
            let rows = conflicts::open(tx, before, PAGE)?;
            let Some(last) = rows.last() else { break };
            before = last.number;
            looked_at += rows.len();
            found.extend(standing(engine, tx, rows)?.into_iter().filter(|it| wanted.holds(it)));
        }
        found.truncate(count);
        Ok(found)
    })
}

/// One conflict, decided or not; none if there is no such one, or it is over.
pub fn one(engine: &Engine, number: i64) -> Result<Option<Conflict>> {
    engine.store.read(|tx| by_number(engine, tx, number))
}

fn by_number(engine: &Engine, tx: &mut Tx<'_>, number: i64) -> Result<Option<Conflict>> {
    let row = conflicts::by_number(tx, number)?;
    Ok(standing(engine, tx, row.into_iter().collect())?.pop())
}

/// The conflicts of these rows that are not over, in their order: a handful of queries for all of them.
fn standing(engine: &Engine, tx: &mut Tx<'_>, rows: Vec<Kept>) -> Result<Vec<Conflict>> {
    let numbers: BTreeSet<i64> = rows.iter().flat_map(|row| [row.noticed.a.0, row.noticed.b.0]).collect();
    let spoke: BTreeMap<i64, Link> =
        links::by_numbers(tx, numbers)?.into_iter().map(|link| (link.number, link)).collect();
    let golden_of = |row: &Kept| {
        let of = |number| spoke.get(&number).map(|link| link.golden).filter(|golden| *golden != 0);
        of(row.noticed.a.0).filter(|golden| of(row.noticed.b.0) == Some(*golden))
    };
    let ids: BTreeSet<i64> = rows.iter().filter_map(golden_of).collect();
    let records: BTreeMap<i64, Golden> =
        goldens::by_ids(tx, ids.iter().copied())?.into_iter().map(|it| (it.id, it)).collect();
    let pins = goldens::pins(tx, ids.iter().copied())?;
    let mut members: BTreeMap<i64, Vec<Link>> = BTreeMap::new();
    for link in links::by_goldens(tx, ids)? {
        members.entry(link.golden).or_default().push(link);
    }
    let none = BTreeMap::new();
    let mut computed: BTreeMap<i64, GoldenRecord> = BTreeMap::new();
    let mut found = Vec::new();
    for row in rows {
        let Some((golden, members)) = golden_of(&row).and_then(|id| Some((records.get(&id)?, members.get(&id)?)))
        else {
            continue;
        };
        let pins = pins.get(&golden.id).unwrap_or(&none);
        let record = computed
            .entry(golden.id)
            .or_insert_with(|| process::golden_record(engine, &golden.entity, members.iter(), pins));
        found.extend(shown(engine, &row, golden, members, record));
    }
    Ok(found)
}

/// None: it is over.
fn shown(engine: &Engine, row: &Kept, golden: &Golden, members: &[Link], record: &GoldenRecord) -> Option<Conflict> {
    let field = &row.noticed.field;
    let by = record.provenance.get(field)?;
    if by.rule == "pin" && row.decided.is_none() {
        return None;
    }
    let mut words = Vec::new();
    for (number, said_us) in [row.noticed.a, row.noticed.b] {
        let link = members.iter().find(|link| link.number == number && link.open)?;
        let is_heard = engine.directions(link.key.connection.as_str()).says(golden.entity.as_str(), field);
        let said = link.state.said.get(field).filter(|said| is_heard && said.at_us == said_us)?;
        words.push(word(link, &said.value, said.at_us));
    }
    let value = record.fields.get(field).cloned().unwrap_or_default();
    let winner = match members.iter().find(|link| link.key.to_string() == by.link) {
        Some(link) => word(link, &value, by.at_us),
        None => Word { record: by.link.clone(), connection: String::new(), value: value.clone(), said_us: by.at_us },
    };
    let lost: Vec<Word> = words.iter().filter(|it| it.record != winner.record && it.value != value).cloned().collect();
    // Both say the same by now, or the steward's decision made one of them the golden value.
    if words[0].value == words[1].value || (lost.is_empty() && row.decided.is_none()) {
        return None;
    }
    Some(Conflict {
        number: row.number,
        entity: golden.entity.as_str().to_owned(),
        golden: golden.id,
        field: field.clone(),
        winner,
        lost,
        rule: by.rule.clone(),
        made_us: row.made_us,
        decided: row.decided.clone(),
    })
}

fn word(link: &Link, value: &Value, said_us: i64) -> Word {
    let connection = link.key.connection.as_str().to_owned();
    Word { record: link.key.to_string(), connection, value: value.clone(), said_us }
}

/// What a decision did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// The golden record.
    pub golden: i64,
    /// The field.
    pub field: FieldName,
    /// Its value from now on.
    pub value: Value,
    /// `stands`: the value stays; `pinned`: a word that lost was restored and holds until it is unpinned.
    pub verdict: &'static str,
}

/// Takes a person's decision: the word that stands is confirmed, or one that lost is restored by a pin. `named`: the
/// connection or the record whose word it is to be.
pub fn decide(engine: &Engine, number: i64, named: &str, steward: Steward<'_>) -> review::Result<Decided> {
    command(engine, |tx| {
        let conflict = undecided(engine, tx, number)?;
        let chosen = match conflict.word(named) {
            Ok(word) => word.clone(),
            Err(told) => return refused(told),
        };
        let verdict = if chosen.value == conflict.winner.value { "stands" } else { "pinned" };
        let now_us = engine.clock.now_us();
        if verdict == "pinned" {
            let pin = Pin { value: chosen.value.clone(), by: steward.name.to_owned(), at_us: now_us };
            goldens::put_pin(tx, conflict.golden, &conflict.field, &pin)?;
            recompute(engine, tx, conflict.golden, "pin", &conflict.field, steward)?;
        }
        conflicts::decide(tx, number, verdict, steward.name, now_us)?;
        let detail = json!({ "conflict": number, "golden": conflict.golden, "field": conflict.field,
            "record": chosen.record, "verdict": verdict });
        note(engine, tx, steward, "conflict", &detail, 0)?;
        Ok(Decided { golden: conflict.golden, field: conflict.field, value: chosen.value, verdict })
    })
}

/// Notes that a rule was made of a decision.
pub fn ruled(engine: &Engine, number: i64, line: &str, steward: Steward<'_>) -> review::Result<()> {
    command(engine, |tx| {
        undecided(engine, tx, number)?;
        conflicts::decide(tx, number, "ruled", steward.name, engine.clock.now_us())?;
        note(engine, tx, steward, "conflict", &json!({ "conflict": number, "verdict": "ruled", "line": line }), 0)
    })
}

fn undecided(engine: &Engine, tx: &mut Tx<'_>, number: i64) -> review::Result<Conflict> {
    match by_number(engine, tx, number)? {
        Some(Conflict { decided: Some((verdict, ..)), .. }) => {
            refused(format!("conflict {number} is decided already ({verdict}); pin or unpin the field instead"))
        }
        Some(conflict) => Ok(conflict),
        None => refused(format!("there is no conflict {number}, or it is over; see `huiliu conflicts`")),
    }
}
