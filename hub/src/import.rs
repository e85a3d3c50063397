//! Files into the inbox, through the very same pipeline.

use std::path::Path;

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process};
use huiliu_core::store::inbox::{self, DeadLetter, InboxItem, ItemKind};
use huiliu_file::read;
use huiliu_mappings::matching::hash;
use serde_json::Value;

/// Rows appended in one commit.
const GROUP_ROWS: usize = 1000;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Imported {
    /// Rows read.
    pub rows: u64,
    /// Rows that could not be read; they are dead letters.
    pub rejected: u64,
    /// Golden records made.
    pub created: usize,
    /// Changes of golden records.
    pub changes: usize,
    /// Rows that wait for a steward.
    pub reviews: usize,
}

/// Imports a file as records of a connection's stream. `progress` hears the number of rows so far.
pub fn import(
    engine: &Engine,
    connection: &str,
    stream: &str,
    key: Option<&str>,
    path: &Path,
    progress: &dyn Fn(u64),
) -> Result<Imported, String> {
    let mut done = Imported::default();
    let mut items = Vec::with_capacity(GROUP_ROWS);
    let mut dead = Vec::new();
    let mut failed = None;
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    read::rows(path, &mut |(line, row)| {
        done.rows += 1;
        match row.and_then(|row| item(engine, connection, stream, key, &row)) {
            Ok(item) => items.push(item),
            Err(reason) => {
                done.rejected += 1;
                dead.push(letter(engine, connection, stream, line, format!("{name} line {line}: {reason}")));
            }
        }
        if items.len() + dead.len() >= GROUP_ROWS {
            failed = flush(engine, &mut items, &mut dead, &mut done).err();
            progress(done.rows);
        }
        failed.is_none()
    })?;
    if failed.is_none() {
        failed = flush(engine, &mut items, &mut dead, &mut done).err();
    }
    match failed {
        Some(error) => {
            Err(format!("stopped after {} rows; what was read is kept, import again to go on: {error}", done.rows))
        }
        None => Ok(done),
    }
}

fn item(engine: &Engine, connection: &str, stream: &str, key: Option<&str>, row: &Value) -> Result<InboxItem, String> {
    let body = serde_json::to_vec(row).map_err(|error| error.to_string())?;
    let id = match key {
        Some(key) => match row.get(key) {
            Some(Value::String(id)) if !id.trim().is_empty() => id.trim().to_owned(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(format!("the column `{key}`, which names the row, is empty")),
        },
        // The same row twice is one record.
        None => format!("{:016x}", hash(&[&String::from_utf8_lossy(&body)]).cast_unsigned()),
    };
    Ok(InboxItem {
        connection: connection.to_owned(),
        kind: ItemKind::Record,
        stream: Some(stream.to_owned()),
        external_id: Some(id),
        body,
        received_us: engine.clock.now_us(),
        ..InboxItem::default()
    })
}

fn letter(engine: &Engine, connection: &str, stream: &str, line: u64, reason: String) -> DeadLetter {
    DeadLetter {
        number: 0,
        stage: "import".to_owned(),
        connection: connection.to_owned(),
        stream: Some(stream.to_owned()),
        external_id: None,
        item: i64::try_from(line).unwrap_or(i64::MAX),
        reason,
        at_us: engine.clock.now_us(),
    }
}

fn flush(
    engine: &Engine,
    items: &mut Vec<InboxItem>,
    dead: &mut Vec<DeadLetter>,
    done: &mut Imported,
) -> Result<(), String> {
    let appended = engine.store.write(|tx| {
        inbox::append(tx, items)?;
        inbox::bury(tx, dead)
    });
    appended.map_err(|error| error.to_string())?;
    items.clear();
    dead.clear();
    drain(engine, done)
}

/// Processes and plans until nothing waits.
fn drain(engine: &Engine, done: &mut Imported) -> Result<(), String> {
    loop {
        let batch = process::batch(engine).map_err(|error| error.to_string())?;
        done.created += batch.created;
        done.changes += batch.changes;
        done.reviews += batch.reviews;
        if batch.items == 0 {
            break;
        }
    }
    while plan::batch(engine).map_err(|error| error.to_string())?.0 > 0 {}
    Ok(())
}
