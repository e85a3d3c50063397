//! The outbox: deliveries and their attempts.

pub mod doubt;

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::Fields;

use super::db::{Bell, Col, Insert, Keys, Param, Result, Row, Tx};
use super::traffic;
use crate::connector::{Delivery, Operation, Version};
use crate::link::{Link, LinkKey};

/// A delivery as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The connection that it goes to.
    pub connection: String,
    /// The lens that wrote it.
    pub lens: String,
    /// The golden record that it comes from; 0: an action of an automation rule.
    pub golden: i64,
    /// The patch in canonical words.
    pub fields: Fields,
    /// The position of the change that caused it.
    pub change: i64,
    /// `pending`, `sending`, `done`, `dead` or `dropped`.
    pub state: String,
    /// What went wrong last.
    pub error: Option<String>,
    /// Not before this instant, microseconds since 1970 UTC.
    pub due_us: i64,
    /// The proposal whose former values it puts back: it stands as it is, no plan replaces it.
    pub restores: Option<i64>,
    /// When it was planned, microseconds since 1970 UTC; 0 before it is queued.
    pub planned_us: i64,
    /// What the connector gets.
    pub delivery: Delivery,
}

impl Planned {
    /// Whether it writes to the record of this link.
    pub fn is_to(&self, key: &LinkKey) -> bool {
        self.delivery.id.as_ref() == Some(&key.id) && self.is_through(key)
    }

    /// The link of the record that it changes, of the links of each golden record.
    pub fn link<'a>(&self, members: &'a BTreeMap<i64, Vec<Link>>) -> Option<&'a Link> {
        members.get(&self.golden)?.iter().find(|link| self.is_to(&link.key))
    }

    /// Whether it makes a record, and this may be the one.
    pub fn may_make(&self, key: &LinkKey) -> bool {
        self.delivery.id.is_none() && self.is_through(key)
    }

    /// Whether an automation rule wants it: it belongs to no golden record, no plan made it, and none replaces it.
    pub fn is_action(&self) -> bool {
        self.golden == 0
    }

    /// Whether it puts back what stood before a proposal was applied.
    pub fn restores(&self) -> bool {
        self.restores.is_some()
    }

    fn is_through(&self, key: &LinkKey) -> bool {
        (self.connection.as_str(), &self.lens) == (key.connection.as_str(), &key.lens)
    }
}

const DELIVERY: Insert = Insert {
    table: "delivery",
    columns: &[
        ("id", Col::Int),
        ("connection", Col::Text),
        ("lens", Col::Text),
        ("stream", Col::Text),
        ("golden", Col::Int),
        ("external_id", Col::Text),
        ("operation", Col::Text),
        ("fields", Col::Text),
        ("body", Col::Text),
        ("base", Col::Text),
        ("base_version", Col::Text),
        ("idempotency_key", Col::Text),
        ("change", Col::Int),
        ("state", Col::Text),
        ("attempts", Col::Int),
        ("due_us", Col::Int),
        ("planned_us", Col::Int),
        ("restores", Col::Int),
    ],
    conflict: "",
};

/// Queues deliveries.
pub fn put(tx: &mut Tx<'_>, planned: &[Planned], now_us: i64) -> Result<()> {
    for one in planned {
        tx.ring(Bell::Tend(one.connection.clone()));
    }
    put_as(tx, "pending", planned, now_us)
}

/// Puts deliveries on record that are sent once this is durable, each with its attempt: as if they had been queued and
/// claimed.
pub fn begin(tx: &mut Tx<'_>, planned: &mut [Planned], now_us: i64) -> Result<()> {
    for one in &mut *planned {
        one.delivery.attempt += 1;
        one.planned_us = now_us;
    }
    put_as(tx, "sending", planned, now_us)?;
    put_attempts(tx, planned, now_us)
}

fn put_as(tx: &mut Tx<'_>, state: &str, planned: &[Planned], now_us: i64) -> Result<()> {
    let mut rows = Vec::with_capacity(planned.len());
    for one in planned {
        let delivery = &one.delivery;
        let version = delivery.base_version.as_ref().map(serde_json::to_string).transpose()?;
        let texts = [serde_json::to_string(&one.fields)?, delivery.body.to_string(), delivery.base.to_string()];
        rows.push((one, texts, version));
    }
    let mut cells = Vec::with_capacity(rows.len() * DELIVERY.columns.len());
    for (one, [fields, body, base], version) in &rows {
        let delivery = &one.delivery;
        cells.extend_from_slice(&[
            Param::Int(delivery.number),
            Param::Text(&one.connection),
            Param::Text(&one.lens),
            Param::Text(delivery.stream.as_str()),
            Param::Int(one.golden),
            delivery.id.as_ref().map(crate::connector::ExternalId::as_str).into(),
            Param::Text(delivery.operation.as_str()),
            Param::Text(fields),
            Param::Text(body),
            Param::Text(base),
            version.as_deref().into(),
            Param::Text(&delivery.idempotency_key),
            Param::Int(one.change),
            Param::Text(state),
            Param::Int(i64::from(delivery.attempt)),
            Param::Int(one.due_us),
            Param::Int(now_us),
            one.restores.into(),
        ]);
    }
    tx.insert_later(&DELIVERY, &cells)
}

const SELECT: &str =
    "SELECT d.id, d.connection, d.lens, d.stream, d.golden, d.external_id, d.operation, d.fields, d.body,
    d.base, d.base_version, d.idempotency_key, d.change, d.state, d.attempts, d.error, d.due_us,
    d.restores, d.planned_us FROM ";

fn read(row: &Row<'_>) -> Result<Planned> {
    let version: Option<Version> = row.opt_text(10)?.map(|text| serde_json::from_str(&text)).transpose()?;
    let operation = match row.text(6)?.as_str() {
        "create" => Operation::Create,
        "delete" => Operation::Delete,
        _ => Operation::Update,
    };
    Ok(Planned {
        connection: row.text(1)?,
        lens: row.text(2)?,
        golden: row.int(4)?,
        fields: serde_json::from_str(&row.text(7)?)?,
        change: row.int(12)?,
        state: row.text(13)?,
        error: row.opt_text(15)?,
        due_us: row.int(16)?,
        restores: row.opt_int(17)?,
        planned_us: row.int(18)?,
        delivery: Delivery {
            number: row.int(0)?,
            operation,
            stream: row.text(3)?.into(),
            id: row.opt_text(5)?.map(crate::connector::ExternalId::from),
            body: serde_json::from_str(&row.text(8)?)?,
            base: serde_json::from_str(&row.text(9)?)?,
            base_version: version,
            idempotency_key: row.text(11)?,
            attempt: u32::try_from(row.int(14)?).unwrap_or(u32::MAX),
        },
    })
}

/// What is to be found of golden records: most of their deliveries are done, and an index holds the others.
const UNDONE: &str = "{keys:i} AS k CROSS JOIN delivery AS d WHERE d.golden = k.k0 AND d.state <> 'done'";

/// Deliveries of these golden records that are neither done, dead nor dropped.
pub fn open_of(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Planned>> {
    let sql = format!("{SELECT} {UNDONE} AND d.state IN ('pending', 'sending')");
    tx.query_keys(&sql, &Keys::ints(goldens), &[], read)
}

/// Deliveries of these golden records that are under way or were given up.
pub fn unfinished_of(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Planned>> {
    let sql = format!("{SELECT} {UNDONE} AND d.state IN ('pending', 'sending', 'dead')");
    tx.query_keys(&sql, &Keys::ints(goldens), &[], read)
}

/// Those of these numbers that were given up.
pub fn dead_of(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<Vec<Planned>> {
    let sql = format!("{SELECT} {{keys:i}} AS k CROSS JOIN delivery AS d WHERE d.id = k.k0 AND d.state = 'dead'");
    tx.query_keys(&sql, &Keys::ints(numbers), &[], read)
}

/// The idempotency keys of creates that were ever sent for these golden records, with the instant before which none of
/// them was to be tried again.
pub fn tried_creates(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT d.idempotency_key, MAX(d.due_us) FROM {keys:i} AS k CROSS JOIN delivery AS d
        WHERE d.golden = k.k0 AND d.operation = 'create' AND d.attempts > 0 GROUP BY d.idempotency_key";
    Ok(tx.query_keys(sql, &Keys::ints(goldens), &[], |row| Ok((row.text(0)?, row.int(1)?)))?.into_iter().collect())
}

/// What was sent to make a record of a golden record, by this and by earlier deliveries, oldest first.
pub fn sent_to_make(tx: &mut Tx<'_>, golden: i64, connection: &str, lens: &str) -> Result<Vec<Fields>> {
    let sql = "SELECT fields FROM delivery WHERE golden = ?1 AND connection = ?2 AND lens = ?3
               AND operation = 'create' AND attempts > 0 ORDER BY id";
    let params = [Param::Int(golden), Param::Text(connection), Param::Text(lens)];
    tx.query(sql, &params, |row| Ok(serde_json::from_str(&row.text(0)?)?))
}

/// An attempt `t` of which nobody knows what it did.
const IN_DOUBT: &str = "AND (t.outcome IS NULL OR t.outcome IN ('pending', 'unknown', 'asked'))";

/// Writes of these golden records that were sent and whose answer never came, oldest first: the target may hold them or
/// not, and a person may have been asked (`pending` is what earlier versions wrote). What was answered later, or was
/// seen since, is known. (The `CASE` keeps `SQLite` at what the golden record was owed since; it would walk over all that
/// the connection was.)
pub fn unsure(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Planned>> {
    let sql = format!(
        "{SELECT} {UNDONE} AND d.attempts > 0 AND d.operation <> 'delete'
         AND EXISTS (SELECT 1 FROM attempt AS t WHERE t.delivery = d.id {IN_DOUBT})
         AND NOT EXISTS (SELECT 1 FROM receipt AS r WHERE r.delivery = d.id)
         AND NOT EXISTS (SELECT 1 FROM delivery AS n WHERE n.golden = d.golden AND n.id > d.id
             AND CASE WHEN n.state = 'done' AND n.connection = d.connection AND n.lens = d.lens
                 AND (n.external_id = d.external_id OR d.external_id IS NULL) THEN 1 ELSE 0 END = 1)
         ORDER BY d.id"
    );
    tx.query_keys(&sql, &Keys::ints(goldens), &[], read)
}

/// When the last attempt of each of these of which nobody knows what it did was over, microseconds since 1970 UTC; those
/// of which one is not over, or was cut off by the end of the program, are left out.
pub fn ended(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, i64>> {
    let sql = format!(
        "SELECT t.delivery, MAX(t.ended_us) FROM {{keys:i}} AS k CROSS JOIN attempt AS t WHERE t.delivery = k.k0
         {IN_DOUBT} GROUP BY t.delivery HAVING COUNT(*) = COUNT(t.ended_us)"
    );
    let keys = Keys::ints(numbers);
    Ok(tx.query_keys(&sql, &keys, &[], |row| Ok((row.int(0)?, row.int(1)?)))?.into_iter().collect())
}

/// The last deliveries of a golden record, oldest first.
pub fn of_golden(tx: &mut Tx<'_>, golden: i64, count: i64) -> Result<Vec<Planned>> {
    let sql = format!("{SELECT} delivery AS d WHERE d.golden = ?1 ORDER BY d.id DESC LIMIT ?2");
    let mut found = tx.query(&sql, &[Param::Int(golden), Param::Int(count)], read)?;
    found.reverse();
    Ok(found)
}

/// One delivery.
pub fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Planned>> {
    tx.query_opt(&format!("{SELECT} delivery AS d WHERE d.id = ?1"), &[Param::Int(number)], read)
}

/// The states of these deliveries.
pub fn states_of(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, String>> {
    let sql = "SELECT d.id, d.state FROM {keys:i} AS k CROSS JOIN delivery AS d WHERE d.id = k.k0";
    let rows = tx.query_keys(sql, &Keys::ints(numbers), &[], |row| Ok((row.int(0)?, row.text(1)?)))?;
    Ok(rows.into_iter().collect())
}

const ATTEMPT: Insert = Insert {
    table: "attempt",
    columns: &[("delivery", Col::Int), ("number", Col::Int), ("started_us", Col::Int)],
    conflict: "",
};

/// Puts the attempts at these on record, which begin now.
fn put_attempts(tx: &mut Tx<'_>, begun: &[Planned], now_us: i64) -> Result<()> {
    let cells = begun.iter().flat_map(|one| {
        let (number, attempt) = (one.delivery.number, i64::from(one.delivery.attempt));
        [Param::Int(number), Param::Int(attempt), Param::Int(now_us)]
    });
    tx.insert_later(&ATTEMPT, &cells.collect::<Vec<_>>())
}

/// Takes due deliveries of a connection to be sent, oldest first: they become `sending`, and the attempt is on record
/// before anything leaves the machine.
pub fn claim(tx: &mut Tx<'_>, connection: &str, now_us: i64, count: i64) -> Result<Vec<Planned>> {
    // The plus keeps `SQLite` at the connection's own deliveries in their order; it would sort all that is due, each time.
    let sql = format!(
        "{SELECT} delivery AS d WHERE d.state = 'pending' AND +d.due_us <= ?2 AND d.connection = ?1 ORDER BY d.id LIMIT ?3"
    );
    let mut claimed = tx.query(&sql, &[Param::Text(connection), Param::Int(now_us), Param::Int(count)], read)?;
    let numbers = Keys::ints(claimed.iter().map(|one| one.delivery.number));
    tx.execute_keys_later(
        "UPDATE delivery SET state = 'sending', attempts = attempts + 1 WHERE id IN (SELECT k0 FROM {keys:i} AS k)",
        &numbers,
        &[],
    )?;
    for one in &mut claimed {
        one.delivery.attempt += 1;
    }
    put_attempts(tx, &claimed, now_us)?;
    Ok(claimed)
}

/// Whether any delivery to a connection waits.
pub fn waits(tx: &mut Tx<'_>, connection: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM delivery WHERE connection = ?1 AND state = 'pending' LIMIT 1";
    Ok(tx.query_opt(sql, &[Param::Text(connection)], |_| Ok(()))?.is_some())
}

/// What became of a delivery.
pub struct Outcome<'a> {
    /// The new state.
    pub state: &'a str,
    /// What happened, for people.
    pub error: Option<&'a str>,
    /// Not again before this instant.
    pub due_us: i64,
    /// Whether it may have been done although nobody says so.
    pub is_unknown: bool,
    /// Now.
    pub now_us: i64,
}

/// Records the end of an attempt that did not do it.
pub fn finish(tx: &mut Tx<'_>, delivery: &Delivery, outcome: &Outcome<'_>) -> Result<()> {
    let word = match outcome.state {
        _ if outcome.is_unknown => "unknown",
        "pending" => "refused",
        state => state,
    };
    tx.execute_later(
        "UPDATE delivery SET state = ?2, error = ?3, due_us = ?4, done_us = NULL WHERE id = ?1",
        &[Param::Int(delivery.number), Param::Text(outcome.state), outcome.error.into(), Param::Int(outcome.due_us)],
    )?;
    tx.execute_later(
        "UPDATE attempt SET outcome = ?3, detail = ?4, ended_us = ?5 WHERE delivery = ?1 AND number = ?2",
        &[
            Param::Int(delivery.number),
            Param::Int(i64::from(delivery.attempt)),
            Param::Text(word),
            outcome.error.into(),
            Param::Int(outcome.now_us),
        ],
    )
}

/// These deliveries to a connection are done.
pub fn done<'a>(
    tx: &mut Tx<'_>,
    connection: &str,
    deliveries: impl IntoIterator<Item = &'a Delivery>,
    now_us: i64,
) -> Result<()> {
    let attempts: Vec<[i64; 2]> =
        deliveries.into_iter().map(|delivery| [delivery.number, i64::from(delivery.attempt)]).collect();
    tx.execute_keys_later(
        "UPDATE delivery SET state = 'done', error = NULL, due_us = ?2, done_us = ?2
         WHERE id IN (SELECT k0 FROM {keys:i} AS k)",
        &Keys::ints(attempts.iter().map(|[number, _]| *number)),
        &[Param::Int(now_us)],
    )?;
    tx.execute_keys_later(
        "UPDATE attempt SET outcome = 'done', detail = NULL, ended_us = ?2
         WHERE (delivery, number) IN (SELECT k0, k1 FROM {keys:ii} AS k)",
        &Keys::pairs(attempts.iter().copied()),
        &[Param::Int(now_us)],
    )?;
    traffic::went(tx, connection, attempts.len(), now_us)
}

/// Drops pending deliveries that a newer plan replaces.
pub fn drop_pending(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<u64> {
    tx.execute_keys(
        "UPDATE delivery SET state = 'dropped' WHERE state = 'pending' AND id IN (SELECT k0 FROM {keys:i} AS k)",
        &Keys::ints(numbers),
        &[],
    )
}

/// Drops everything that waits to be sent for these golden records: they are others now and are planned anew.
pub fn drop_all_of(tx: &mut Tx<'_>, goldens: BTreeSet<i64>) -> Result<u64> {
    let open = open_of(tx, goldens)?;
    drop_pending(tx, open.iter().map(|one| one.delivery.number))
}

/// The numbers of what is being sent.
pub fn sending(tx: &mut Tx<'_>) -> Result<BTreeSet<i64>> {
    let numbers = tx.query("SELECT id FROM delivery WHERE state = 'sending'", &[], |row| row.int(0))?;
    Ok(numbers.into_iter().collect())
}

/// The numbers of what is being sent to one connection.
pub fn sending_to(tx: &mut Tx<'_>, connection: &str) -> Result<BTreeSet<i64>> {
    let sql = "SELECT id FROM delivery WHERE state = 'sending' AND connection = ?1";
    Ok(tx.query(sql, &[Param::Text(connection)], |row| row.int(0))?.into_iter().collect())
}

/// What of these was being sent, and nobody knows what became of it, is pending again, with the same idempotency key.
/// Creates of these streams (connection, stream, instant) are not tried again before an instant of their own.
pub fn give_back(tx: &mut Tx<'_>, numbers: &BTreeSet<i64>, creates: &[(&str, &str, i64)], now_us: i64) -> Result<u64> {
    let keys = Keys::ints(numbers.iter().copied());
    for (connection, stream, due_us) in creates {
        tx.execute_keys_later(
            "UPDATE delivery SET due_us = ?4 WHERE state = 'sending' AND connection = ?2 AND stream = ?3
             AND operation = 'create' AND id IN (SELECT k0 FROM {keys:i} AS k)",
            &keys,
            &[Param::Text(connection), Param::Text(stream), Param::Int(*due_us)],
        )?;
    }
    tx.execute_keys_later(
        "UPDATE attempt SET ended_us = ?2 WHERE outcome IS NULL AND ended_us IS NULL AND delivery IN
         (SELECT d.id FROM delivery AS d JOIN {keys:i} AS k ON k.k0 = d.id WHERE d.state = 'sending')",
        &keys,
        &[Param::Int(now_us)],
    )?;
    tx.execute_keys(
        "UPDATE delivery SET state = 'pending' WHERE state = 'sending' AND id IN (SELECT k0 FROM {keys:i} AS k)",
        &keys,
        &[],
    )
}

/// Makes a dead delivery pending again; what it has to wait for it still waits for.
pub fn revive(tx: &mut Tx<'_>, number: i64, now_us: i64) -> Result<u64> {
    tx.ring(Bell::All);
    tx.execute(
        "UPDATE delivery SET state = 'pending', due_us = CASE WHEN due_us > ?2 THEN due_us ELSE ?2 END
         WHERE id = ?1 AND state = 'dead'",
        &[Param::Int(number), Param::Int(now_us)],
    )
}

/// How many deliveries are in each state, by connection.
pub fn counts(tx: &mut Tx<'_>) -> Result<Vec<(String, String, i64)>> {
    let sql = "SELECT connection, state, COUNT(*) FROM delivery GROUP BY connection, state ORDER BY connection, state";
    tx.query(sql, &[], |row| Ok((row.text(0)?, row.text(1)?, row.int(2)?)))
}

/// When the next pending delivery is due.
pub fn next_due_us(tx: &mut Tx<'_>) -> Result<Option<i64>> {
    let sql = "SELECT MIN(due_us) FROM delivery WHERE state = 'pending'";
    Ok(tx.query_opt(sql, &[], |row| row.opt_int(0))?.flatten())
}
