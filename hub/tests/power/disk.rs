//! What a disk holds after a power cut, by the diary that `disk.c` keeps: all that was synced, and of what was not any
//! part, in any order, some of it torn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use huiliu_twins::dice::Dice;

/// What the drive writes whole, or not at all.
const SECTOR: usize = 512;

/// The library to preload, compiled for this machine.
pub fn library(folder: &Path) -> PathBuf {
    let (source, library) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/disk.c"), folder.join("disk.so"));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl");
    assert!(compiler.status().expect("cc runs").success(), "cc compiles tests/power/disk.c");
    library
}

#[derive(Debug)]
enum Act {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Unlink,
}

struct Entry {
    path: PathBuf,
    act: Act,
    is_synced: bool,
}

/// How much a cut left.
#[derive(Debug, Default)]
pub struct Cut {
    /// Writes that were synced.
    pub synced: usize,
    /// Writes that were not, and are gone or torn.
    pub lost: usize,
    /// Writes that were not, and are there.
    pub kept: usize,
}

/// Makes of a folder as it was before the program ran what it holds after the cut. `root`: the folder that the diary is about.
pub fn cut(diary: &Path, root: &Path, before: &Path, dice: &mut Dice) -> Cut {
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut cut = Cut::default();
    for entry in read(diary) {
        let place = before.join(entry.path.strip_prefix(root).expect("it is below the folder"));
        let file = files.entry(place.clone()).or_insert_with(|| std::fs::read(&place).unwrap_or_default());
        match entry.act {
            Act::Unlink => file.clear(),
            Act::Truncate(bytes) => file.resize(bytes, 0),
            Act::Write { at, bytes } if entry.is_synced => {
                cut.synced += 1;
                put(file, at, &bytes);
            }
            Act::Write { at, bytes } => match dice.below(3) {
                0 => {
                    cut.kept += 1;
                    put(file, at, &bytes);
                }
                1 => cut.lost += 1,
                _ => {
                    cut.lost += 1;
                    tear(file, at, &bytes, dice);
                }
            },
        }
    }
    for (place, bytes) in files {
        // What processes share in memory is gone with them.
        if place.extension().is_some_and(|it| it == "db-shm") {
            continue;
        }
        std::fs::write(place, bytes).expect("written");
    }
    cut
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// Of each sector the drive wrote nothing or all.
fn tear(file: &mut Vec<u8>, at: usize, bytes: &[u8], dice: &mut Dice) {
    for (number, part) in bytes.chunks(SECTOR).enumerate() {
        if dice.below(2) == 0 {
            put(file, at + number * SECTOR, part);
        }
    }
}

fn read(diary: &Path) -> Vec<Entry> {
    let bytes = std::fs::read(diary).expect("the diary");
    let mut entries: Vec<Entry> = Vec::new();
    // By file: the entries that no sync covers. By thread: where the sync that it is at began.
    let mut open: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
    let mut begun: BTreeMap<u64, usize> = BTreeMap::new();
    let mut rest = bytes.as_slice();
    while let Some((kind, path, thread, at, data, after)) = head(rest) {
        rest = after;
        match kind {
            2 => {
                begun.insert(thread, entries.len());
            }
            3 => {
                let from = begun.remove(&thread).expect("it began");
                let left = open.entry(path).or_default();
                let later = left.split_off(&from);
                for number in std::mem::replace(left, later) {
                    entries[number].is_synced = true;
                }
            }
            kind => {
                let act = match kind {
                    1 => Act::Write { at, bytes: data.to_vec() },
                    4 => Act::Truncate(at),
                    5 => Act::Unlink,
                    kind => panic!("{kind} is no entry"),
                };
                open.entry(path.clone()).or_default().insert(entries.len());
                entries.push(Entry { path, act, is_synced: false });
            }
        }
    }
    entries
}

type Head<'a> = (u32, PathBuf, u64, usize, &'a [u8], &'a [u8]);

/// An entry, and what follows; none: the program was killed while it noted it, or nothing follows.
fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (first, thread, at, size) =
        (word(0)?, word(8)?, usize::try_from(word(16)?).ok()?, usize::try_from(word(24)?).ok()?);
    let (kind, path) = (u32::try_from(first & 0xffff_ffff).ok()?, usize::try_from(first >> 32).ok()?);
    let path_end = 32 + path;
    let end = path_end + if kind == 1 { size } else { 0 };
    let path = PathBuf::from(String::from_utf8(bytes.get(32..path_end)?.to_vec()).ok()?);
    Some((kind, path, thread, at, bytes.get(path_end..end)?, &bytes[end..]))
}
