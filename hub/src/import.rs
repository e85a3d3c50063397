//! Files into the inbox, through the very same pipeline.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process};
use huiliu_core::store::inbox::{self, DeadLetter, InboxItem, ItemKind};
use huiliu_file::read;
use huiliu_mappings::matching::hash;
use serde_json::Value;

/// Rows appended in one commit.
const GROUP_ROWS: usize = 2000;

/// Groups that may wait in the inbox before the reader does: enough to keep the other half busy.
const GROUPS_AHEAD: usize = 4;

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

/// Imports a file as records of a connection's stream. `progress` hears the number of rows so far. One thread reads the
/// file into the inbox, this one processes what is there.
pub fn import(
    engine: &Engine,
    connection: &str,
    stream: &str,
    key: Option<&str>,
    path: &Path,
    progress: &dyn Fn(u64),
) -> Result<Imported, String> {
    let mut done = Imported::default();
    let (tell, heard) = sync_channel(GROUPS_AHEAD);
    let reading = Reading { engine, connection, stream, key, tell, items: Vec::new(), dead: Vec::new(), rows: 0 };
    let (read, processed) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || reading.read(path));
        // Where processing fails, the channel closes, and the reader stops.
        let processed = heard.into_iter().try_for_each(|rows| {
            progress(rows);
            drain(engine, &mut done)
        });
        (reading.join(), processed)
    });
    let (rows, rejected) = match read {
        Ok(read) => read?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    (done.rows, done.rejected) = (rows, rejected);
    match processed {
        Err(error) => Err(format!("stopped after {rows} rows; what was read is kept, import again to go on: {error}")),
        Ok(()) => Ok(done),
    }
}

/// The half of an import that brings rows into the inbox.
struct Reading<'a> {
    engine: &'a Engine,
    connection: &'a str,
    stream: &'a str,
    key: Option<&'a str>,
    /// Hears the number of rows after each commit.
    tell: SyncSender<u64>,
    items: Vec<InboxItem>,
    dead: Vec<DeadLetter>,
    rows: u64,
}

impl Reading<'_> {
    /// Returns the rows read and the rows rejected.
    fn read(mut self, path: &Path) -> Result<(u64, u64), String> {
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut rejected, mut going) = (0, Ok(true));
        read::rows(path, &mut |(line, row)| {
            self.rows += 1;
            match row.and_then(|row| self.item(&row)) {
                Ok(item) => self.items.push(item),
                Err(reason) => {
                    rejected += 1;
                    self.dead.push(self.letter(line, format!("{name} line {line}: {reason}")));
                }
            }
            if self.items.len() + self.dead.len() >= GROUP_ROWS {
                going = self.append();
            }
            going == Ok(true)
        })?;
        if going? {
            self.append()?;
        }
        Ok((self.rows, rejected))
    }

    /// Commits what was read; false if nobody processes any more.
    fn append(&mut self) -> Result<bool, String> {
        let appended = self.engine.store.write(|tx| {
            inbox::append(tx, &self.items)?;
            inbox::bury(tx, &self.dead)
        });
        appended.map_err(|error| error.to_string())?;
        self.items.clear();
        self.dead.clear();
        Ok(self.tell.send(self.rows).is_ok())
    }

    fn item(&self, row: &Value) -> Result<InboxItem, String> {
        let body = serde_json::to_vec(row).map_err(|error| error.to_string())?;
        let id = match self.key {
            Some(key) => match row.get(key) {
                Some(Value::String(id)) if !id.trim().is_empty() => id.trim().to_owned(),
                Some(Value::Number(id)) => id.to_string(),
                _ => return Err(format!("the column `{key}`, which names the row, is empty")),
            },
            // The same row twice is one record.
            None => format!("{:016x}", hash(&[&String::from_utf8_lossy(&body)]).cast_unsigned()),
        };
        Ok(InboxItem {
            connection: self.connection.to_owned(),
            kind: ItemKind::Record,
            stream: Some(self.stream.to_owned()),
            external_id: Some(id),
            body,
            received_us: self.engine.clock.now_us(),
            ..InboxItem::default()
        })
    }

    fn letter(&self, line: u64, reason: String) -> DeadLetter {
        DeadLetter {
            number: 0,
            stage: "import".to_owned(),
            connection: self.connection.to_owned(),
            stream: Some(self.stream.to_owned()),
            external_id: None,
            item: i64::try_from(line).unwrap_or(i64::MAX),
            reason,
            at_us: self.engine.clock.now_us(),
        }
    }
}

/// Processes and plans until nothing waits.
fn drain(engine: &Engine, done: &mut Imported) -> Result<(), String> {
    let drained = process::drain(engine, &mut |batch| {
        done.created += batch.created;
        done.changes += batch.changes;
        done.reviews += batch.reviews;
    });
    drained.map_err(|error| error.to_string())?;
    while plan::batch(engine).map_err(|error| error.to_string())?.0 > 0 {}
    Ok(())
}
