//! The three things that are timed, each in a process of its own.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;

use huiliu_hub::{deployment, import};
use serde::{Deserialize, Serialize};

use crate::people;
use crate::usage::{Usage, peak_mib};

/// What a phase took.
#[derive(Serialize, Deserialize)]
pub struct Took {
    /// Rows read.
    pub rows: u64,
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of all processors in user space.
    pub user: f64,
    /// Seconds of all processors in the kernel.
    pub system: f64,
    /// Peak resident memory in MiB.
    pub peak: f64,
    /// What else is worth saying.
    pub told: String,
}

impl Took {
    /// Rows a second.
    pub fn rate(&self) -> f64 {
        count(self.rows) / self.wall.max(f64::EPSILON)
    }

    /// Microseconds of processor time a row.
    pub fn cpu_us(&self) -> f64 {
        (self.user + self.system) * 1e6 / count(self.rows)
    }
}

/// A number of rows to divide by.
fn count(rows: u64) -> f64 {
    f64::from(u32::try_from(rows.max(1)).unwrap_or(u32::MAX))
}

fn took(rows: u64, from: Usage, told: String) -> Took {
    let [wall, user, system] = Usage::now().since(from);
    Took { rows, wall, user, system, peak: peak_mib(), told }
}

/// Rows in a group of the raw insert, as in the import.
const GROUP_ROWS: u64 = 1000;

/// Reads the file with the csv crate and looks at every cell.
pub fn parse(file: &Path) -> Result<Took, String> {
    let from = Usage::now();
    let (mut rows, mut bytes) = (0, 0);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(File::open(file).map_err(text)?);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(text)? {
        rows += 1;
        bytes += record.iter().map(str::len).sum::<usize>();
    }
    Ok(took(rows, from, format!("{bytes} bytes in cells")))
}

/// Reads the file and puts every row as it is into one table, a thousand a commit, with the store's own settings.
pub fn raw(file: &Path, folder: &Path) -> Result<Took, String> {
    let from = Usage::now();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(File::open(file).map_err(text)?);
    let mut database = rusqlite::Connection::open(folder.join("raw.db")).map_err(text)?;
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
                   CREATE TABLE raw (position INTEGER PRIMARY KEY, body BLOB NOT NULL);";
    database.execute_batch(pragmas).map_err(text)?;
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    let mut more = true;
    while more {
        let tx = database.transaction().map_err(text)?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO raw (body) VALUES (?1)").map_err(text)?;
            for _ in 0..GROUP_ROWS {
                more = reader.read_byte_record(&mut record).map_err(text)?;
                if !more {
                    break;
                }
                insert.execute([record.as_slice()]).map_err(text)?;
                rows += 1;
            }
        }
        tx.commit().map_err(text)?;
    }
    Ok(took(rows, from, format!("{} MiB on disk", size_mib(folder))))
}

fn source(path: &Path) -> import::Source<'_> {
    import::Source { path, sheet: None, connection: "people", stream: "rows", key: Some("编号") }
}

/// Imports the file through the pipeline into the deployment of this folder.
pub fn import(file: &Path, folder: &Path) -> Result<Took, String> {
    let at = deployment(folder)?;
    let from = Usage::now();
    let done = import::import(&at.engine, &source(file), &|_| ())?;
    drop(at);
    let told = serde_json::to_string(&done).map_err(text)?;
    Ok(took(done.rows, from, format!("{told}, {} MiB on disk", size_mib(folder))))
}

/// Imports and notes the counters every `step` rows: what a row costs as the store grows.
pub fn grow(file: &Path, folder: &Path, step: u64) -> Result<Vec<(u64, [f64; 3])>, String> {
    let at = deployment(folder)?;
    let seen = RefCell::new((Usage::now(), 0, Vec::new()));
    let progress = |rows: u64| {
        let (last, known, marks) = &mut *seen.borrow_mut();
        if rows >= *known + step {
            let now = Usage::now();
            marks.push((rows, now.since(*last).map(|seconds| seconds * 1e6 / count(rows - *known))));
            (*last, *known) = (now, rows);
        }
    };
    import::import(&at.engine, &source(file), &progress)?;
    Ok(seen.into_inner().2)
}

/// The deployment that people are imported into.
pub fn deployment(folder: &Path) -> Result<deployment::Deployment, String> {
    let config = "[connections.people]\nconnector = \"file\"\nmapping = \"people.toml\"\nkey = \"编号\"\n";
    std::fs::write(folder.join("huiliu.toml"), config).map_err(text)?;
    std::fs::write(folder.join("people.toml"), people::MAPPING).map_err(text)?;
    deployment::open(folder)
}

fn size_mib(folder: &Path) -> u64 {
    let sizes = |folder: &Path| -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|it| it.len()).sum()
    };
    (sizes(folder) + sizes(&folder.join("data"))) >> 20
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
