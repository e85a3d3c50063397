//! The inbox, what was seen, what must be fetched, and the positions of the stages.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::db::{Bell, Col, Insert, Keys, Param, Result, Row, Tx};
use super::{stewards, traffic};

/// One arrival, ready to be appended or as read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InboxItem {
    /// Its place in the log; 0 before it is appended.
    pub position: i64,
    /// The connection it came from.
    pub connection: String,
    /// `record`, `deleted`, `webhook` or `scan`.
    pub kind: ItemKind,
    /// The stream, where known.
    pub stream: Option<String>,
    /// The external id, where known.
    pub external_id: Option<String>,
    /// The version as JSON.
    pub version: Option<String>,
    /// Path and query of a webhook call; [`ASKED`] for a record that was asked for by its key.
    pub target: Option<String>,
    /// Kept headers of a webhook call, as JSON.
    pub headers: Option<String>,
    /// The vendor's JSON, or the raw webhook body.
    pub body: Vec<u8>,
    /// When it arrived; of what the hub asked for, when it began to ask: the system's answer is at least that young.
    /// Microseconds since 1970 UTC.
    pub received_us: i64,
    /// By how much the system's clock was ahead of ours then, as far as it was measured: what is to be taken from its
    /// stamps. It stays with the item, so that a replay reads the same instants.
    pub clock_offset_us: i64,
}

/// The target of an item that was not listed, but asked for by its key.
pub const ASKED: &str = "asked";

/// What an inbox item is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemKind {
    /// A whole record.
    #[default]
    Record,
    /// The system says that a record is gone.
    Deleted,
    /// A verified webhook call, not yet understood.
    Webhook,
    /// The mark of a scan that read everything.
    Scan,
    /// The system made one record of two: `external_id` is the former id, the body the id that stands for it now.
    Merged,
}

impl ItemKind {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Deleted => "deleted",
            Self::Webhook => "webhook",
            Self::Scan => "scan",
            Self::Merged => "merged",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "deleted" => Self::Deleted,
            "webhook" => Self::Webhook,
            "scan" => Self::Scan,
            "merged" => Self::Merged,
            _ => Self::Record,
        }
    }
}

const APPEND: Insert = Insert {
    table: "inbox",
    columns: &[
        ("connection", Col::Text),
        ("kind", Col::Text),
        ("stream", Col::Text),
        ("external_id", Col::Text),
        ("version", Col::Text),
        ("target", Col::Text),
        ("headers", Col::Text),
        ("body", Col::Blob),
        ("received_us", Col::Int),
        ("clock_offset_us", Col::Int),
    ],
    conflict: "",
};

/// Appenders on several nodes take turns, so that a position that can be read has no smaller one still to come.
const APPEND_LOCK: i64 = 0x696e_626f_7801;

/// Appends items in order.
pub fn append<I: Borrow<InboxItem>>(tx: &mut Tx<'_>, items: &[I]) -> Result<()> {
    tx.lock(APPEND_LOCK)?;
    tx.ring(Bell::Think);
    let mut cells = Vec::with_capacity(items.len() * APPEND.columns.len());
    for item in items.iter().map(Borrow::<InboxItem>::borrow) {
        cells.extend_from_slice(&[
            Param::Text(&item.connection),
            Param::Text(item.kind.as_str()),
            item.stream.as_deref().into(),
            item.external_id.as_deref().into(),
            item.version.as_deref().into(),
            item.target.as_deref().into(),
            item.headers.as_deref().into(),
            Param::Blob(&item.body),
            Param::Int(item.received_us),
            Param::Int(item.clock_offset_us),
        ]);
    }
    tx.insert_later(&APPEND, &cells)?;
    traffic::came(tx, items.iter().map(Borrow::<InboxItem>::borrow))
}

const SEEN: Insert = Insert {
    table: "inbox_seen",
    columns: &[("connection", Col::Text), ("dedupe", Col::Text), ("received_us", Col::Int)],
    conflict: "ON CONFLICT (connection, dedupe) DO NOTHING",
};

/// Notes events by connection and key, and says of each whether it was new; of two that are the same the first one is.
pub fn mark_seen<'a>(
    tx: &mut Tx<'_>,
    events: impl IntoIterator<Item = (&'a str, &'a str)>,
    now_us: i64,
) -> Result<Vec<bool>> {
    let cells = events
        .into_iter()
        .flat_map(|(connection, dedupe)| [Param::Text(connection), Param::Text(dedupe), Param::Int(now_us)])
        .collect::<Vec<_>>();
    tx.insert_new(&SEEN, &cells)
}

/// Items after a position, in order, at most `count`.
pub fn after(tx: &mut Tx<'_>, position: i64, count: i64) -> Result<Vec<InboxItem>> {
    select(tx, "WHERE position > ?1 ORDER BY position LIMIT ?2", &[Param::Int(position), Param::Int(count)])
}

/// How many items after a position, at most `count`, have no more than so many bytes in all; one at least. It is `count`
/// where everything that waits has.
pub fn fits(tx: &mut Tx<'_>, position: i64, count: i64, bytes: i64) -> Result<i64> {
    let sql = "SELECT CAST(LENGTH(body) AS BIGINT) FROM inbox WHERE position > ?1 ORDER BY position LIMIT ?2";
    let (mut fit, mut total) = (0, 0);
    let is_over = tx.query_until(sql, &[Param::Int(position), Param::Int(count)], |row| {
        total += row.int(0)?;
        fit += i64::from(total <= bytes);
        Ok(total > bytes)
    })?;
    Ok(if is_over { fit.max(1) } else { count })
}

/// When the items at these positions were received, microseconds since 1970 UTC.
pub fn received(tx: &mut Tx<'_>, positions: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, i64>> {
    let sql = "SELECT i.position, i.received_us FROM {keys:i} AS k CROSS JOIN inbox AS i WHERE i.position = k.k0";
    let rows = tx.query_keys(sql, &Keys::ints(positions), &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
    Ok(rows.into_iter().collect())
}

/// Where the items at these positions came from (connection, stream): records that were read, not told by webhook.
pub fn read_from(tx: &mut Tx<'_>, positions: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, (String, String)>> {
    let sql = "SELECT i.position, i.connection, i.stream FROM {keys:i} AS k CROSS JOIN inbox AS i
               WHERE i.position = k.k0 AND i.kind = 'record' AND i.stream IS NOT NULL";
    let rows =
        tx.query_keys(sql, &Keys::ints(positions), &[], |row| Ok((row.int(0)?, (row.text(1)?, row.text(2)?))))?;
    Ok(rows.into_iter().collect())
}

/// One item.
pub fn at(tx: &mut Tx<'_>, position: i64) -> Result<Option<InboxItem>> {
    Ok(select(tx, "WHERE position = ?1", &[Param::Int(position)])?.into_iter().next())
}

/// The items at these positions that are still kept, in order.
pub fn at_all(tx: &mut Tx<'_>, positions: impl IntoIterator<Item = i64>) -> Result<Vec<InboxItem>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {{keys:i}} AS k CROSS JOIN inbox AS i WHERE i.position = k.k0 ORDER BY i.position"
    );
    tx.query_keys(&sql, &Keys::ints(positions), &[], read)
}

const COLUMNS: &str =
    "i.position, i.connection, i.kind, i.stream, i.external_id, i.version, i.target, i.headers, i.body,
                       i.received_us, i.clock_offset_us";

fn select(tx: &mut Tx<'_>, clause: &str, params: &[Param<'_>]) -> Result<Vec<InboxItem>> {
    tx.query(&format!("SELECT {COLUMNS} FROM inbox AS i {clause}"), params, read)
}

fn read(row: &Row<'_>) -> Result<InboxItem> {
    Ok(InboxItem {
        position: row.int(0)?,
        connection: row.text(1)?,
        kind: ItemKind::parse(&row.text(2)?),
        stream: row.opt_text(3)?,
        external_id: row.opt_text(4)?,
        version: row.opt_text(5)?,
        target: row.opt_text(6)?,
        headers: row.opt_text(7)?,
        body: row.blob(8)?,
        received_us: row.int(9)?,
        clock_offset_us: row.int(10)?,
    })
}

/// The position of a stage, 0 at the beginning.
pub fn progress(tx: &mut Tx<'_>, name: &str) -> Result<i64> {
    let sql = "SELECT position FROM progress WHERE name = ?1";
    Ok(tx.query_opt(sql, &[Param::Text(name)], |row| row.int(0))?.unwrap_or(0))
}

const PROGRESS: Insert = Insert {
    table: "progress",
    columns: &[("name", Col::Text), ("position", Col::Int)],
    conflict: "ON CONFLICT (name) DO UPDATE SET position = excluded.position",
};

/// Moves a stage: only in the transaction that holds its work.
pub fn set_progress(tx: &mut Tx<'_>, name: &str, position: i64) -> Result<()> {
    if name == stewards::COMMANDS {
        // Whoever makes void what others think has changed what they are to think about.
        tx.ring(Bell::Think);
    }
    tx.insert_later(&PROGRESS, &[Param::Text(name), Param::Int(position)])
}

/// How many items wait behind a stage.
pub fn backlog(tx: &mut Tx<'_>, name: &str) -> Result<i64> {
    let last = tx.max("position", "inbox")?;
    Ok(last - progress(tx, name)?)
}

/// A key whose content must be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// The external id.
    pub external_id: String,
    /// The inbox position of the first hint.
    pub cause: i64,
    /// Counts the hints.
    pub asked: i64,
    /// Failed tries.
    pub failures: i64,
}

const FETCH: Insert = Insert {
    table: "fetch_request",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("external_id", Col::Text),
        ("cause", Col::Int),
        ("asked", Col::Int),
        ("due_us", Col::Int),
    ],
    conflict: "ON CONFLICT (connection, stream, external_id) DO UPDATE SET asked = fetch_request.asked + 1",
};

/// Asks for keys to be fetched. `keys` are connection, stream, external id, inbox position; no key twice.
pub fn ask_fetch(tx: &mut Tx<'_>, keys: &[(String, String, String, i64)], now_us: i64) -> Result<()> {
    let mut cells = Vec::with_capacity(keys.len() * FETCH.columns.len());
    for (connection, stream, id, cause) in keys {
        tx.ring(Bell::Tend(connection.clone()));
        cells.extend_from_slice(&[
            Param::Text(connection),
            Param::Text(stream),
            Param::Text(id),
            Param::Int(*cause),
            Param::Int(1),
            Param::Int(now_us),
        ]);
    }
    tx.insert_later(&FETCH, &cells)
}

/// The keys of a connection that are due, oldest first.
pub fn due_fetches(tx: &mut Tx<'_>, connection: &str, now_us: i64, count: i64) -> Result<Vec<FetchRequest>> {
    tx.query(
        "SELECT connection, stream, external_id, cause, asked, failures FROM fetch_request
         WHERE connection = ?1 AND due_us <= ?2 ORDER BY cause LIMIT ?3",
        &[Param::Text(connection), Param::Int(now_us), Param::Int(count)],
        |row| {
            Ok(FetchRequest {
                connection: row.text(0)?,
                stream: row.text(1)?,
                external_id: row.text(2)?,
                cause: row.int(3)?,
                asked: row.int(4)?,
                failures: row.int(5)?,
            })
        },
    )
}

/// Closes a fetch, unless another hint came meanwhile: then it stays, due at once.
pub fn close_fetch(tx: &mut Tx<'_>, request: &FetchRequest) -> Result<()> {
    tx.execute(
        "DELETE FROM fetch_request WHERE connection = ?1 AND stream = ?2 AND external_id = ?3 AND asked = ?4",
        &[
            Param::Text(&request.connection),
            Param::Text(&request.stream),
            Param::Text(&request.external_id),
            Param::Int(request.asked),
        ],
    )
    .map(|_| ())
}

/// Puts a fetch off.
pub fn delay_fetch(tx: &mut Tx<'_>, request: &FetchRequest, due_us: i64) -> Result<()> {
    tx.execute(
        "UPDATE fetch_request SET failures = failures + 1, due_us = ?4
         WHERE connection = ?1 AND stream = ?2 AND external_id = ?3",
        &[
            Param::Text(&request.connection),
            Param::Text(&request.stream),
            Param::Text(&request.external_id),
            Param::Int(due_us),
        ],
    )
    .map(|_| ())
}

/// How many fetches wait.
pub fn fetches_waiting(tx: &mut Tx<'_>) -> Result<i64> {
    Ok(tx.query_opt("SELECT COUNT(*) FROM fetch_request", &[], |row| row.int(0))?.unwrap_or(0))
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeadLetter {
    /// Its number; 0 before it is written.
    pub number: i64,
    /// `process`, `fetch` or `push`.
    pub stage: String,
    /// The connection.
    pub connection: String,
    /// The stream, where known.
    pub stream: Option<String>,
    /// The external id, where known.
    pub external_id: Option<String>,
    /// Inbox position or delivery number.
    pub item: i64,
    /// What happened and what to do.
    pub reason: String,
    /// When.
    pub at_us: i64,
}

const DEAD: Insert = Insert {
    table: "dead_letter",
    columns: &[
        ("stage", Col::Text),
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("external_id", Col::Text),
        ("item", Col::Int),
        ("reason", Col::Text),
        ("at_us", Col::Int),
        ("state", Col::Text),
    ],
    conflict: "",
};

/// Keeps dead letters.
pub fn bury(tx: &mut Tx<'_>, letters: &[DeadLetter]) -> Result<()> {
    let mut cells = Vec::with_capacity(letters.len() * DEAD.columns.len());
    for letter in letters {
        cells.extend_from_slice(&[
            Param::Text(&letter.stage),
            Param::Text(&letter.connection),
            letter.stream.as_deref().into(),
            letter.external_id.as_deref().into(),
            Param::Int(letter.item),
            Param::Text(&letter.reason),
            Param::Int(letter.at_us),
            Param::Text("waiting"),
        ]);
    }
    tx.insert_later(&DEAD, &cells)
}

pub(super) const LETTERS: &str =
    "SELECT id, stage, connection, stream, external_id, item, reason, at_us FROM dead_letter";

pub(super) fn letter(row: &Row<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        number: row.int(0)?,
        stage: row.text(1)?,
        connection: row.text(2)?,
        stream: row.opt_text(3)?,
        external_id: row.opt_text(4)?,
        item: row.int(5)?,
        reason: row.text(6)?,
        at_us: row.int(7)?,
    })
}

/// The waiting dead letters, oldest first.
pub fn dead_letters(tx: &mut Tx<'_>, count: i64) -> Result<Vec<DeadLetter>> {
    dead_letters_after(tx, 0, count)
}

/// The waiting dead letters behind a number, oldest first.
pub fn dead_letters_after(tx: &mut Tx<'_>, number: i64, count: i64) -> Result<Vec<DeadLetter>> {
    let sql = format!("{LETTERS} WHERE state = 'waiting' AND id > ?1 ORDER BY id LIMIT ?2");
    tx.query(&sql, &[Param::Int(number), Param::Int(count)], letter)
}

/// Those of these numbers that wait, oldest first.
pub fn dead_letters_of(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<Vec<DeadLetter>> {
    let sql = format!("{LETTERS} WHERE state = 'waiting' AND id IN (SELECT k0 FROM {{keys:i}} AS k) ORDER BY id");
    tx.query_keys(&sql, &Keys::ints(numbers), &[], letter)
}

/// Marks dead letters as retried.
pub fn mark_retried(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<u64> {
    tx.execute_keys(
        "UPDATE dead_letter SET state = 'retried' WHERE id IN (SELECT k0 FROM {keys:i} AS k)",
        &Keys::ints(numbers),
        &[],
    )
}
