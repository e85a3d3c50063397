//! The three things that are timed, each in a process of its own.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;

use huiliu_core::engine::Engine;
use huiliu_hub::{deployment, import};

use crate::people;
use crate::usage::{Took, Usage, count, resident_mib, took};

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

/// Imports one more file into what an engine has; says how many rows it read.
pub fn into(engine: &Engine, file: &Path) -> Result<u64, String> {
    Ok(import::import(engine, &source(file), &|_| ())?.rows)
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

/// What rows cost while a store grows to a size, and how large it is then.
pub struct Mark {
    /// Rows stored.
    pub rows: u64,
    /// Microseconds a row on the wall, of processors in user space and in the kernel, since half as many were stored; at the
    /// first size since the beginning.
    pub took: [f64; 3],
    /// Resident memory in MiB.
    pub resident: f64,
    /// The store in MiB.
    pub store: u64,
}

/// The first size that is noted; each is ten times the one before.
const FIRST_MARK: u64 = 10_000;

/// Imports and notes what a row costs at ten thousand, a hundred thousand and so on.
pub fn scale(file: &Path, folder: &Path, each: &mut dyn FnMut(&Mark)) -> Result<(), String> {
    let at = deployment(folder)?;
    let seen = RefCell::new((Some((0, Usage::now())), FIRST_MARK, each));
    let progress = |rows: u64| {
        let (from, mark, each) = &mut *seen.borrow_mut();
        if from.is_none() && rows >= *mark / 2 {
            *from = Some((rows, Usage::now()));
        }
        if rows >= *mark
            && let Some((first, since)) = from.take()
        {
            let took = Usage::now().since(since).map(|seconds| seconds * 1e6 / count(rows - first));
            each(&Mark { rows, took, resident: resident_mib(), store: size_mib(folder) });
            *mark *= 10;
        }
    };
    import::import(&at.engine, &source(file), &progress).map(drop)
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
        // The file that is imported stands beside it.
        let kept = entries.filter(|entry| entry.path().extension().is_none_or(|ending| ending != "csv"));
        kept.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|it| it.len()).sum()
    };
    (sizes(folder) + sizes(&folder.join("data"))) >> 20
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
