//! What a disk holds after a power cut: all that was synced, and of the rest whatever chance put there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use huiliu_twins::dice::Dice;

use crate::trace::Step;

/// A disk writes a sector whole or not at all.
const SECTOR: usize = 512;

/// Which syncs it obeys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    Obeyed,
    /// As a disk that lies: nothing is ever safe.
    Ignored,
}

#[derive(Clone, Default)]
struct File {
    safe: Vec<u8>,
    /// What was done since, by the number of its step.
    loose: Vec<(usize, Done)>,
}

#[derive(Clone)]
enum Done {
    Wrote { at: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

/// The files of a folder.
pub struct Disk {
    files: BTreeMap<PathBuf, File>,
    syncs: Syncs,
}

impl Disk {
    /// A disk that holds what a folder holds now.
    pub fn of(folder: &Path) -> Self {
        let all = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let files = all.filter(|path| path.is_file()).map(|path| {
            let safe = std::fs::read(&path).expect("a file");
            (path, File { safe, loose: Vec::new() })
        });
        Self { files: files.collect(), syncs: Syncs::Obeyed }
    }

    /// The same, from then on with these syncs.
    pub fn with(&self, syncs: Syncs) -> Self {
        Self { files: self.files.clone(), syncs }
    }

    /// Takes in what a program did in the step of this number.
    pub fn take(&mut self, number: usize, step: &Step) {
        match step {
            Step::Wrote { file, at, bytes } => {
                self.file(file).loose.push((number, Done::Wrote { at: *at, bytes: bytes.clone() }));
            }
            Step::Cut { file, length } => self.file(file).loose.push((number, Done::Cut { length: *length })),
            Step::Synced { file, begun } if self.syncs == Syncs::Obeyed => {
                let file = self.file(file);
                let all = std::mem::take(&mut file.loose).into_iter();
                let (before, after): (Vec<_>, Vec<_>) = all.partition(|(at, _)| at < begun);
                file.loose = after;
                for (_, done) in before {
                    apply(&mut file.safe, &done);
                }
            }
            Step::Synced { .. } | Step::Acknowledged { .. } => {}
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        self.files.entry(path.to_owned()).or_default()
    }

    /// Writes what it holds after a power cut now into another folder.
    pub fn cut(&self, dice: &mut Dice, into: &Path) {
        // Sometimes nearly all arrived, sometimes hardly anything.
        let luck = dice.below(101);
        for (path, file) in &self.files {
            let mut bytes = file.safe.clone();
            for (_, done) in &file.loose {
                if dice.below(100) < luck {
                    apply(&mut bytes, &torn(done, dice));
                }
            }
            std::fs::write(into.join(path.file_name().expect("a name")), bytes).expect("it is written");
        }
    }
}

/// A write of several sectors may have ended anywhere.
fn torn(done: &Done, dice: &mut Dice) -> Done {
    match done {
        Done::Cut { length } => Done::Cut { length: *length },
        Done::Wrote { at, bytes } => {
            let sectors = bytes.len().div_ceil(SECTOR);
            let kept = if dice.below(4) == 0 { dice.below(sectors + 1) } else { sectors };
            Done::Wrote { at: *at, bytes: bytes[..bytes.len().min(kept * SECTOR)].to_vec() }
        }
    }
}

fn apply(file: &mut Vec<u8>, done: &Done) {
    match done {
        Done::Cut { length } => file.resize(*length, 0),
        Done::Wrote { at, bytes } => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*at..end].copy_from_slice(bytes);
        }
    }
}
