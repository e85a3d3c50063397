//! What automation rules did: firings, their actions, and what is remembered of conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};

/// What became of a rule's condition that came true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its actions are on their way.
    Fired,
    /// Rules led to it, one after the other, too often: it did nothing.
    TooDeep,
    /// A first complete read brought what was so before: it did nothing.
    FirstRead,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::TooDeep => "too_deep",
            Self::FirstRead => "first_read",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "fired" => Self::Fired,
            "first_read" => Self::FirstRead,
            _ => Self::TooDeep,
        }
    }
}

/// One rule at one change of one golden record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Firing {
    /// Its number.
    pub number: i64,
    /// The rule's name.
    pub rule: String,
    /// The golden record.
    pub golden: i64,
    /// The change's position.
    pub change: i64,
    /// How many rules led to it, one after the other.
    pub depth: i64,
    /// What became of it.
    pub state: State,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// One action of a firing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// The firing.
    #[serde(skip)]
    pub firing: i64,
    /// Its place in the rule, from 1.
    #[serde(skip)]
    pub number: i64,
    /// `tag`, `create`, `webhook`, `notify` or `mail`.
    pub word: String,
    /// The connection, with the stream of a new record; of a tag the tag and the record.
    pub target: String,
    /// The delivery that carries it out.
    pub delivery: Option<i64>,
    /// The id that the target gave.
    pub made: Option<String>,
    /// Why nothing was sent.
    pub detail: Option<String>,
    /// The delivery's state.
    pub state: Option<String>,
    /// What went wrong with it last.
    pub error: Option<String>,
}

const FIRING: Insert = Insert {
    table: "firing",
    columns: &[
        ("id", Col::Int),
        ("rule", Col::Text),
        ("golden", Col::Int),
        ("change", Col::Int),
        ("depth", Col::Int),
        ("state", Col::Text),
        ("at_us", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET state = excluded.state, at_us = excluded.at_us",
};

/// Writes firings, and what became of those that did nothing before.
pub fn put(tx: &mut Tx<'_>, firings: &[Firing]) -> Result<()> {
    let mut cells = Vec::with_capacity(firings.len() * FIRING.columns.len());
    for it in firings {
        cells.extend_from_slice(&[
            Param::Int(it.number),
            Param::Text(&it.rule),
            Param::Int(it.golden),
            Param::Int(it.change),
            Param::Int(it.depth),
            Param::Text(it.state.as_str()),
            Param::Int(it.at_us),
        ]);
    }
    tx.insert_later(&FIRING, &cells)
}

const ACTION: Insert = Insert {
    table: "firing_action",
    columns: &[
        ("firing", Col::Int),
        ("number", Col::Int),
        ("word", Col::Text),
        ("target", Col::Text),
        ("delivery", Col::Int),
        ("detail", Col::Text),
    ],
    conflict: "",
};

/// Writes what firings do.
pub fn put_actions(tx: &mut Tx<'_>, actions: &[Done]) -> Result<()> {
    let mut cells = Vec::with_capacity(actions.len() * ACTION.columns.len());
    for it in actions {
        cells.extend_from_slice(&[
            Param::Int(it.firing),
            Param::Int(it.number),
            Param::Text(&it.word),
            Param::Text(&it.target),
            it.delivery.into(),
            it.detail.as_deref().into(),
        ]);
    }
    tx.insert_later(&ACTION, &cells)
}

const SELECT: &str = "SELECT f.id, f.rule, f.golden, f.change, f.depth, f.state, f.at_us FROM ";

fn read(row: &Row<'_>) -> Result<Firing> {
    Ok(Firing {
        number: row.int(0)?,
        rule: row.text(1)?,
        golden: row.int(2)?,
        change: row.int(3)?,
        depth: row.int(4)?,
        state: State::parse(&row.text(5)?),
        at_us: row.int(6)?,
    })
}

/// The firings of these golden records.
pub fn of_goldens(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Firing>> {
    let sql = format!("{SELECT} {{keys:i}} AS k CROSS JOIN firing AS f WHERE f.golden = k.k0 ORDER BY f.id");
    tx.query_keys(&sql, &Keys::ints(goldens), &[], read)
}

/// The firings of these numbers.
pub fn by_numbers(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<Vec<Firing>> {
    let sql = format!("{SELECT} {{keys:i}} AS k CROSS JOIN firing AS f WHERE f.id = k.k0");
    tx.query_keys(&sql, &Keys::ints(numbers), &[], read)
}

/// The last firings of a golden record, oldest first, each with what it does.
pub fn told_of(tx: &mut Tx<'_>, golden: i64, count: i64) -> Result<Vec<(Firing, Vec<Done>)>> {
    let sql = format!("{SELECT} firing AS f WHERE f.golden = ?1 ORDER BY f.id DESC LIMIT ?2");
    let mut firings = tx.query(&sql, &[Param::Int(golden), Param::Int(count)], read)?;
    firings.reverse();
    let mut actions: BTreeMap<i64, Vec<Done>> = BTreeMap::new();
    let sql = "SELECT a.firing, a.number, a.word, a.target, a.delivery, a.made, a.detail, d.state, d.error
               FROM {keys:i} AS k CROSS JOIN firing_action AS a LEFT JOIN delivery AS d ON d.id = a.delivery
               WHERE a.firing = k.k0 ORDER BY a.firing, a.number";
    for done in tx.query_keys(sql, &Keys::ints(firings.iter().map(|it| it.number)), &[], action)? {
        actions.entry(done.firing).or_default().push(done);
    }
    Ok(firings.into_iter().map(|it| (it.clone(), actions.remove(&it.number).unwrap_or_default())).collect())
}

fn action(row: &Row<'_>) -> Result<Done> {
    Ok(Done {
        firing: row.int(0)?,
        number: row.int(1)?,
        word: row.text(2)?,
        target: row.text(3)?,
        delivery: row.opt_int(4)?,
        made: row.opt_text(5)?,
        detail: row.opt_text(6)?,
        state: row.opt_text(7)?,
        error: row.opt_text(8)?,
    })
}

/// How often rules fired, or would have: rule, state, count.
pub fn counts(tx: &mut Tx<'_>) -> Result<Vec<(String, State, i64)>> {
    let sql = "SELECT rule, state, COUNT(*) FROM firing GROUP BY rule, state ORDER BY rule, state";
    tx.query(sql, &[], |row| Ok((row.text(0)?, State::parse(&row.text(1)?), row.int(2)?)))
}

/// Notes the ids that a target gave to what deliveries of actions made.
pub fn made<'a>(tx: &mut Tx<'_>, made: impl IntoIterator<Item = (i64, &'a str)>) -> Result<()> {
    let sql = "UPDATE firing_action SET made = k.k1 FROM {keys:it} AS k WHERE delivery = k.k0";
    tx.execute_keys_later(sql, &Keys::fields(made), &[])
}

/// A record by its connection, its stream and its id.
pub type Place = (String, String, String);

/// Which of these records rules made, with the depth of the firing.
pub fn makers(tx: &mut Tx<'_>, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>> {
    let keys = Keys::texts(places.iter().map(|(connection, stream, id)| [connection.as_str(), stream, id]));
    let sql = "SELECT k.k0, k.k1, k.k2, f.depth FROM {keys:ttt} AS k CROSS JOIN firing_action AS a
               JOIN delivery AS d ON d.id = a.delivery AND d.connection = k.k0 AND d.stream = k.k1
               JOIN firing AS f ON f.id = a.firing WHERE a.made = k.k2";
    let rows = tx.query_keys(sql, &keys, &[], |row| Ok(((row.text(0)?, row.text(1)?, row.text(2)?), row.int(3)?)))?;
    Ok(rows.into_iter().collect())
}

/// The streams (connection, stream) in which a rule's action is making a record right now, begun after an instant.
pub fn under_way(tx: &mut Tx<'_>, since_us: i64) -> Result<BTreeSet<(String, String)>> {
    let sql = "SELECT DISTINCT d.connection, d.stream FROM delivery AS d
               JOIN firing_action AS a ON a.delivery = d.id
               JOIN attempt AS t ON t.delivery = d.id AND t.number = d.attempts
               WHERE d.state = 'sending' AND t.started_us > ?1";
    Ok(tx.query(sql, &[Param::Int(since_us)], |row| Ok((row.text(0)?, row.text(1)?)))?.into_iter().collect())
}

/// The rules that are known, each with the position of the change log from which on it looks.
pub fn known(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT rule, since FROM rule_known";
    Ok(tx.query(sql, &[], |row| Ok((row.text(0)?, row.int(1)?)))?.into_iter().collect())
}

/// Makes a rule known.
pub fn introduce(tx: &mut Tx<'_>, rule: &str, since: i64) -> Result<()> {
    let sql = "INSERT INTO rule_known (rule, since) VALUES (?1, ?2) ON CONFLICT (rule) DO NOTHING";
    tx.execute_later(sql, &[Param::Text(rule), Param::Int(since)])
}

/// Forgets all rules, where there are none any more: what changes until there are some again is nobody's. What they did
/// stays told.
pub fn forget_all(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute_later("DELETE FROM rule_known", &[])?;
    tx.execute_later("DELETE FROM rule_held", &[])
}

/// Whether a rule's condition held of a golden record when it was asked last: by rule and record, with its digest.
pub type Held = BTreeMap<(String, i64), (i64, bool)>;

/// What is remembered of conditions over these golden records.
pub fn held(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Held> {
    let sql = "SELECT h.rule, h.golden, h.digest, h.holds FROM {keys:i} AS k CROSS JOIN rule_held AS h
               WHERE h.golden = k.k0";
    let rows = tx.query_keys(sql, &Keys::ints(goldens), &[], |row| {
        Ok(((row.text(0)?, row.int(1)?), (row.int(2)?, row.int(3)? == 1)))
    })?;
    Ok(rows.into_iter().collect())
}

const HELD: Insert = Insert {
    table: "rule_held",
    columns: &[("golden", Col::Int), ("rule", Col::Text), ("digest", Col::Int), ("holds", Col::Int)],
    conflict: "ON CONFLICT (golden, rule) DO UPDATE SET digest = excluded.digest, holds = excluded.holds",
};

/// Remembers conditions.
pub fn put_held(tx: &mut Tx<'_>, held: &Held) -> Result<()> {
    let mut cells = Vec::with_capacity(held.len() * HELD.columns.len());
    for ((rule, golden), (digest, holds)) in held {
        cells.extend_from_slice(&[
            Param::Int(*golden),
            Param::Text(rule),
            Param::Int(*digest),
            Param::Int(i64::from(*holds)),
        ]);
    }
    tx.insert_later(&HELD, &cells)
}
