//! Files into the inbox, through the very same pipeline; and what they would lead to, without a trace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process};
use huiliu_core::rehearsal::{Outcome, Rehearsal};
use huiliu_core::store::Store;
use huiliu_core::store::inbox::{self, DeadLetter, InboxItem, ItemKind};
use huiliu_file::profile::{Profile, Report};
use huiliu_file::read::{self, Options};
use huiliu_file::rejects;
use huiliu_mappings::lens::Lens;
use huiliu_mappings::matching::hash;
use huiliu_mappings::value::MappedRecord;
use serde_json::Value;

/// Rows appended in one commit.
const GROUP_ROWS: usize = 2000;

/// Groups that may wait in the inbox before the reader does: enough to keep the other half busy.
const GROUPS_AHEAD: usize = 4;

/// Rows refused by the mapping whose reasons are kept for the file of rejects, some hundred bytes each.
const REFUSED_MAX: i64 = 500_000;

/// A file, and whose records its rows are.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// The sheet of a workbook; the first one when not told.
    pub sheet: Option<&'a str>,
    /// The connection.
    pub connection: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The column that names a row; without it a row is named by its content.
    pub key: Option<&'a str>,
}

/// What an import did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Imported {
    /// Rows read.
    pub rows: u64,
    /// Rows that could not be read or mapped; they are dead letters.
    pub rejected: u64,
    /// Golden records made.
    pub created: usize,
    /// Changes of golden records.
    pub changes: usize,
    /// Rows that wait for a steward.
    pub reviews: usize,
    /// The file that holds the rejected rows.
    pub rejects: Option<PathBuf>,
    /// Why there is none though rows were rejected.
    pub rejects_error: Option<String>,
}

/// What an import would do.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Preview {
    /// Rows read.
    pub rows: u64,
    /// Rows that could not be read or mapped.
    pub rejected: u64,
    /// The first of them, with their reasons.
    pub rejects: Vec<String>,
    /// What the others would lead to.
    pub outcome: Outcome,
    /// How good the data is.
    pub profile: Report,
}

/// Imports a file. `progress` hears the number of rows so far. One thread reads the file into the inbox, this one
/// processes what is there.
pub fn import(engine: &Engine, source: &Source<'_>, progress: &dyn Fn(u64)) -> Result<Imported, String> {
    let letters = engine.store.read(|tx| tx.max("id", "dead_letter")).map_err(|error| error.to_string())?;
    let mut done = Imported::default();
    let mut dead = 0;
    let (rows, unread) = feed(engine, source, progress, &mut || drain(engine, &mut done, &mut dead))?;
    (done.rows, done.rejected) = (rows, unread + dead);
    if done.rejected > 0 {
        match write_rejects(engine, source, letters) {
            Ok(path) => done.rejects = Some(path),
            // The import itself is done, and the dead letters have the reasons.
            Err(told) => done.rejects_error = Some(told),
        }
    }
    Ok(done)
}

/// What importing a file would lead to: the same reading and the same stages, over a store that is thrown away. The
/// scratch store stands in `folder`, so that it is held by a disk.
pub fn preview(
    engine: &Engine,
    source: &Source<'_>,
    folder: &Path,
    samples: usize,
    progress: &dyn Fn(u64, Option<u64>),
) -> Result<Preview, String> {
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    let profile = profile_of(engine, source, &|rows| progress(rows, None))?;
    let scratch = scratch(folder)?;
    let store = Store::open(&format!("sqlite:{}", scratch.path().join("preview.db").display())).map_err(told)?;
    let rehearsal = Rehearsal::begin(engine, store).map_err(told)?;
    let mut dead = 0;
    let mut work = || {
        let drained = rehearsal.drain(&mut |batch| dead += batch.dead as u64);
        drained.map_err(|error| error.to_string())
    };
    let total = profile.rows + profile.unreadable;
    let (rows, unread) = feed(rehearsal.engine(), source, &|rows| progress(rows, Some(total)), &mut work)?;
    let outcome = rehearsal.outcome(samples).map_err(told)?;
    let most = i64::try_from(samples).unwrap_or(i64::MAX);
    let rejects = rehearsal.dead(most).map_err(told)?.into_iter().map(|letter| letter.reason).collect();
    Ok(Preview { rows, rejected: unread + dead, rejects, outcome, profile })
}

/// How good the data of a file is, as the connection's mapping sees it.
pub fn profile_of(engine: &Engine, source: &Source<'_>, progress: &dyn Fn(u64)) -> Result<Report, String> {
    let options = Options { sheet: source.sheet };
    profile(source.path, options, &lenses(engine, source), source.key, progress)
}

/// How good the data of a file is, as these lenses see it. `progress` hears the number of rows so far.
pub fn profile(
    path: &Path,
    options: Options<'_>,
    lenses: &[&Lens],
    key: Option<&str>,
    progress: &dyn Fn(u64),
) -> Result<Report, String> {
    let mut profile = Profile::new(&read::headers(path, options)?, lenses.to_vec(), key);
    let mut rows = 0;
    read::rows_of(path, options, &mut |(line, row)| {
        match row {
            Ok(row) => profile.row(line, &row),
            Err(_) => profile.unreadable(line),
        }
        rows += 1;
        if rows % GROUP_ROWS as u64 == 0 {
            progress(rows);
        }
        true
    })?;
    Ok(profile.finish())
}

fn lenses<'a>(engine: &'a Engine, source: &Source<'_>) -> Vec<&'a Lens> {
    let lenses = engine.connections.get(source.connection).into_iter().flat_map(|it| &it.lenses);
    lenses.map(AsRef::as_ref).filter(|lens: &&Lens| lens.stream() == source.stream).collect()
}

/// Before the name of every scratch folder; the number of its process follows.
const SCRATCH: &str = "preview-";

/// A folder for the scratch store. What a preview that was killed left behind goes: it holds people's data.
fn scratch(folder: &Path) -> Result<tempfile::TempDir, String> {
    let told = |error: std::io::Error| format!("{}: cannot be written: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(SCRATCH).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            std::fs::remove_dir_all(entry.path()).map_err(told)?;
        }
    }
    let prefix = format!("{SCRATCH}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(folder).map_err(told)
}

/// Brings the rows of a file into the inbox on a thread of its own, and lets `work` process what is there on this one.
/// Returns the rows read and the rows that could not be.
fn feed(
    engine: &Engine,
    source: &Source<'_>,
    progress: &dyn Fn(u64),
    work: &mut dyn FnMut() -> Result<(), String>,
) -> Result<(u64, u64), String> {
    let (tell, heard) = sync_channel(GROUPS_AHEAD);
    let reading = Reading { engine, source, tell, items: Vec::new(), dead: Vec::new(), rows: 0 };
    let (read, processed) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || reading.read());
        // Where processing fails, the channel closes, and the reader stops.
        let processed = heard.into_iter().try_for_each(|rows| {
            progress(rows);
            work()
        });
        (reading.join(), processed)
    });
    let (rows, unread) = match read {
        Ok(read) => read?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    match processed {
        Err(error) => Err(format!("stopped after {rows} rows; what was read is kept, import again to go on: {error}")),
        Ok(()) => Ok((rows, unread)),
    }
}

/// Writes the rows that were refused, by the reader or by the mapping since a dead letter.
fn write_rejects(engine: &Engine, source: &Source<'_>, letters: i64) -> Result<PathBuf, String> {
    let letters = engine.store.read(|tx| inbox::dead_letters_after(tx, letters, REFUSED_MAX));
    let mut refused = HashMap::new();
    for letter in letters.map_err(|error| error.to_string())? {
        let is_ours = letter.connection == source.connection && letter.stage == "process";
        if let Some(id) = letter.external_id.filter(|_| is_ours) {
            refused.insert(id, letter.reason);
        }
    }
    let lenses = lenses(engine, source);
    let says_nothing = |row: &Value| lenses.iter().all(|lens| lens.map(row).0 == MappedRecord::default());
    let options = Options { sheet: source.sheet };
    rejects::write(source.path, options, &mut |_, row| match row.and_then(|row| Ok((source.id(&row)?.0, row))) {
        Err(reason) => Some(reason),
        Ok((id, row)) => refused.get(&id).filter(|_| says_nothing(&row)).cloned(),
    })
}

impl Source<'_> {
    /// The id of a row, and its bytes.
    fn id(&self, row: &Value) -> Result<(String, Vec<u8>), String> {
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
        Ok((id, body))
    }
}

/// The half of an import that brings rows into the inbox.
struct Reading<'a> {
    engine: &'a Engine,
    source: &'a Source<'a>,
    /// Hears the number of rows after each commit.
    tell: SyncSender<u64>,
    items: Vec<InboxItem>,
    dead: Vec<DeadLetter>,
    rows: u64,
}

impl Reading<'_> {
    /// Returns the rows read and the rows rejected.
    fn read(mut self) -> Result<(u64, u64), String> {
        let Source { path, sheet, .. } = *self.source;
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut rejected, mut going) = (0, Ok(true));
        read::rows_of(path, Options { sheet }, &mut |(line, row)| {
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
        let (id, body) = self.source.id(row)?;
        Ok(InboxItem {
            connection: self.source.connection.to_owned(),
            kind: ItemKind::Record,
            stream: Some(self.source.stream.to_owned()),
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
            connection: self.source.connection.to_owned(),
            stream: Some(self.source.stream.to_owned()),
            external_id: None,
            item: i64::try_from(line).unwrap_or(i64::MAX),
            reason,
            at_us: self.engine.clock.now_us(),
        }
    }
}

/// Processes and plans until nothing waits.
fn drain(engine: &Engine, done: &mut Imported, dead: &mut u64) -> Result<(), String> {
    let drained = process::drain(engine, &mut |batch| {
        done.created += batch.created;
        done.changes += batch.changes;
        done.reviews += batch.reviews;
        *dead += batch.dead as u64;
    });
    drained.map_err(|error| error.to_string())?;
    while plan::batch(engine).map_err(|error| error.to_string())?.0 > 0 {}
    Ok(())
}
