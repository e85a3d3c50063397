//! What a system stores and shows, and what people do in it.

use huiliu_core::connector::{Received, Record, Version};
use serde_json::{Value, json};

use super::{Cell, Row, Sent, Shown, State, System};
use crate::dice::Dice;
use crate::ledger::{DAY_ONE_US, Edit, Field};
use crate::scenario::{Fault, Habit, Versions, Webhooks};
use crate::script::letter;

const SECOND_US: i64 = 1_000_000;

/// The stream of all systems.
pub(super) const STREAM: &str = "customers";

/// A record as it is shown at the end of the day.
#[derive(Clone, Debug)]
pub struct Alive {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person: usize,
    /// Its values as stored.
    pub values: Vec<(Field, Option<String>)>,
}

/// The customer's mail address: by it they are known in every system.
pub fn email(person: usize) -> String {
    format!("p{person}@example.com")
}

fn person_of(email: &str) -> Option<usize> {
    email.strip_prefix('p')?.strip_suffix("@example.com")?.parse().ok()
}

impl System {
    /// How it stores a value that it is given, in its own words.
    pub fn store_as(&self, field: Field, raw: &str) -> String {
        let has = |habit| self.spec.stores.contains(&habit);
        let mut text = if has(Habit::Trim) { raw.trim().to_owned() } else { raw.to_owned() };
        match field {
            Field::Title if has(Habit::TitleCase) => text = title_case(&text),
            Field::Phone if has(Habit::GroupPhones) => {
                let plain = Field::Phone.plain(&text);
                text = match (plain.get(..3), plain.get(3..7), plain.get(7..)) {
                    (Some(a), Some(b), Some(c)) => format!("+86 {a} {b} {c}"),
                    _ => plain,
                };
            }
            Field::Lifecycle => {
                text = text.to_lowercase();
                if has(Habit::CoerceFormer) && text == "former" {
                    text = "customer".to_owned();
                }
                if has(Habit::Codes) {
                    text = text.to_uppercase();
                }
            }
            _ => {}
        }
        text
    }

    /// A customer becomes known here, by hand.
    pub fn add(&self, person: usize) {
        let mut state = self.state();
        if state.rows.values().any(|row| row.person == person && !row.gone) {
            return;
        }
        let id = self.new_row(&mut state, person, format!("客户{person}"), email(person));
        self.changed(&mut state, &id, None);
    }

    pub(super) fn new_row(&self, state: &mut State, person: usize, name: String, email: String) -> String {
        state.next_id += 1;
        let id = format!("{}{}", letter(self.index), state.next_id);
        let row = Row {
            person,
            name,
            email,
            cells: Field::ALL.map(|it| (it, Cell::default())).into(),
            version: 0,
            gone: false,
            successor: None,
        };
        state.rows.insert(id.clone(), row);
        id
    }

    /// Somebody edits a field: `begun_us` is the stamp's instant.
    pub fn edit(&self, person: usize, field: Field, value: Option<&str>, begun_us: i64) {
        let mut state = self.state();
        let Some(id) = living(&state, person) else { return };
        let raw = value.map(|value| self.store_as(field, value));
        let Some(row) = state.rows.get_mut(&id) else { return };
        let cell = row.cells.entry(field).or_default();
        if cell.raw == raw {
            return;
        }
        let plain = raw.as_deref().map(|raw| field.plain(raw));
        let (system, at_us, base) = (self.index, self.now_us(), cell.edit);
        let edit = self.shared.ledger().edit(Edit { person, field, value: plain, system, at_us, base });
        *cell = Cell { raw, edit: Some(edit) };
        self.changed(&mut state, &id, Some(begun_us));
    }

    /// Somebody deletes a record.
    pub fn remove(&self, person: usize) {
        let mut state = self.state();
        let Some(id) = living(&state, person) else { return };
        self.shared.ledger().disturbed.insert(person);
        if let Some(row) = state.rows.get_mut(&id) {
            row.gone = true;
        }
        self.changed(&mut state, &id, None);
    }

    /// Somebody restores what was deleted.
    pub fn restore(&self, person: usize) {
        let mut state = self.state();
        if living(&state, person).is_some() {
            return;
        }
        let deleted = state.rows.iter_mut().find(|(_, row)| row.person == person && row.successor.is_none());
        let Some((id, row)) = deleted else { return };
        row.gone = false;
        let id = id.clone();
        self.changed(&mut state, &id, None);
    }

    /// The system gives a record another id: whoever asks for the old one gets the new one.
    pub fn rename(&self, person: usize) {
        let mut state = self.state();
        let Some(id) = living(&state, person) else { return };
        let Some(row) = state.rows.get(&id).cloned() else { return };
        // Until the hub hears what became of the old id, it takes our copies in the new record for its own words.
        self.shared.ledger().disturbed.insert(person);
        let new = self.new_row(&mut state, person, row.name.clone(), row.email.clone());
        if let Some(copy) = state.rows.get_mut(&new) {
            copy.cells = row.cells;
        }
        if let Some(old) = state.rows.get_mut(&id) {
            (old.gone, old.successor) = (true, Some(new.clone()));
        }
        self.changed(&mut state, &id, None);
        self.changed(&mut state, &new, None);
    }

    /// A record changed: it gets a version, lists will show it, and whoever listens is called.
    pub(super) fn changed(&self, state: &mut State, id: &str, begun_us: Option<i64>) {
        let now_us = self.now_us();
        let known = state.rows.get(id).map_or(0, |row| row.version);
        let version = match self.spec.versions {
            // A row's stamps do not go back: who waits for the row's lock stamps no earlier than who had it.
            Versions::Instant => {
                let told_us = begun_us.unwrap_or(now_us) + self.spec.clock_seconds * SECOND_US;
                (told_us.div_euclid(self.spec.stamp_us) * self.spec.stamp_us).max(known)
            }
            Versions::Sequence => {
                state.sequence += 1;
                state.sequence
            }
            Versions::None => 0,
        };
        let mut dice = self.dice(state);
        let Some(row) = state.rows.get_mut(id) else { return };
        row.version = version;
        let (record, successor) = (self.record(id, row), row.successor.clone());
        // What was there when the day began is listed by then.
        let lag_us = if now_us == DAY_ONE_US { 0 } else { self.spec.lag_seconds * SECOND_US };
        let from_us = now_us + dice.between(0, lag_us);
        let list = state.lists.entry(id.to_owned()).or_default();
        // An index never shows an older state after a younger one.
        let from_us = list.back().map_or(from_us, |last| from_us.max(last.from_us));
        list.push_back(Shown { from_us, version, record: record.clone(), successor: successor.clone() });
        let told = match (self.spec.webhooks, record, successor) {
            (Webhooks::None, ..) => return,
            (Webhooks::Record, Some(record), _) => Received::Record(record),
            (Webhooks::Record, None, None) => {
                Received::Deleted { stream: STREAM.into(), id: id.into(), version: self.version(version) }
            }
            _ => Received::Hint { stream: STREAM.into(), id: id.into() },
        };
        self.call(state, &told, &mut dice);
    }

    fn call(&self, state: &mut State, told: &Received, dice: &mut Dice) {
        state.next_event += 1;
        let event = state.next_event;
        let at_us = self.now_us() + dice.between(1_000, self.spec.latency_ms * 1000);
        let send = |at_us: i64, key: String| Sent::Webhook { at_us, key, body: vec![told.clone()] };
        let struck = Self::is_struck(state, &[Fault::DropWebhook, Fault::DelayWebhook, Fault::RepeatWebhook]);
        match struck {
            Some(Fault::DropWebhook) => {}
            Some(Fault::DelayWebhook) => {
                let later_us = dice.between(SECOND_US, 1800 * SECOND_US);
                state.sent.push(send(at_us + later_us, format!("{event}")));
            }
            Some(_) => {
                for again in 0..dice.between(2, 4) {
                    // Some senders give a repeat a key of its own.
                    let key = if dice.chance(0.5) { format!("{event}") } else { format!("{event}-{again}") };
                    let later_us = again * dice.between(0, 600 * SECOND_US);
                    state.sent.push(send(at_us + later_us, key));
                }
            }
            None => state.sent.push(send(at_us, format!("{event}"))),
        }
    }

    pub(super) fn version(&self, version: i64) -> Option<Version> {
        match self.spec.versions {
            Versions::Instant => {
                let at = jiff::Timestamp::from_microsecond(version).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                Some(Version::instant(at.to_string(), at))
            }
            Versions::Sequence => Some(Version::sequence(version)),
            Versions::None => None,
        }
    }

    /// The record as it stands; none: it is gone.
    pub(super) fn record(&self, id: &str, row: &Row) -> Option<Record> {
        if row.gone {
            return None;
        }
        let mut body = json!({ "name": row.name, "email": row.email });
        for (field, cell) in &row.cells {
            body[field.key()] = cell.raw.clone().map_or(Value::Null, Value::String);
        }
        Some(Record { stream: STREAM.into(), id: id.into(), version: self.version(row.version), body })
    }

    /// The hub writes fields of a record.
    pub(super) fn write(&self, state: &mut State, id: &str, body: &Value) {
        let Some(row) = state.rows.get_mut(id) else { return };
        let person = row.person;
        let mut ledger = self.shared.ledger();
        ledger.writes += 1;
        let now_us = self.now_us();
        ledger.tell(now_us, || format!("{}: the hub writes {id}: {body}", letter(self.index)));
        for field in Field::ALL {
            let Some(value) = body.get(field.key()) else { continue };
            let raw = value.as_str().map(|raw| self.store_as(field, raw));
            let edit = ledger.origin(person, field, value.as_str());
            let cell = row.cells.entry(field).or_default();
            let over = cell
                .edit
                .zip(edit)
                .filter(|(seen, new)| field.is_unique() && raw.is_some() && ledger.follows(*new, *seen));
            *cell = Cell { raw, edit: edit.or(cell.edit) };
            if let Some((seen, new)) = over.filter(|_| !ledger.disturbed.contains(&person)) {
                let (old, value) = (ledger.edits[new].value.clone(), ledger.edits[seen].value.clone());
                let what = format!("the hub wrote {old:?} over its successor {value:?} in {}/{id}", letter(self.index));
                ledger.wrong(now_us, what);
            }
        }
        drop(ledger);
        self.changed(state, id, None);
        if let Some((field, value)) = state.follow.take() {
            state.sent.push(Sent::Edit { at_us: now_us + 50_000, person, field, value });
        }
    }

    /// The customer that a create is about.
    pub(super) fn whose(body: &Value) -> Option<(usize, String, String)> {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, email) = (text("name"), text("email"));
        Some((person_of(&email)?, name, email))
    }

    /// The records that are there.
    pub fn alive(&self) -> Vec<Alive> {
        let state = self.state();
        let rows = state.rows.iter().filter(|(_, row)| !row.gone);
        rows.map(|(id, row)| {
            let values = row.cells.iter().map(|(field, cell)| (*field, cell.raw.clone())).collect();
            Alive { id: id.clone(), person: row.person, values }
        })
        .collect()
    }

    /// The instant before which nothing of this day happened.
    pub(super) fn beginning() -> i64 {
        DAY_ONE_US - 365 * 86_400 * SECOND_US
    }
}

pub(super) fn living(state: &State, person: usize) -> Option<String> {
    state.rows.iter().find(|(_, row)| row.person == person && !row.gone).map(|(id, _)| id.clone())
}

fn title_case(text: &str) -> String {
    let mut begins = true;
    let cased = text.chars().map(|c| {
        let upper = begins;
        begins = c.is_whitespace();
        if upper { c.to_uppercase().next().unwrap_or(c) } else { c.to_lowercase().next().unwrap_or(c) }
    });
    cased.collect()
}
