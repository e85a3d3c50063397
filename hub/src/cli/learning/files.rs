//! The file of a deployment's own model, and the one that it took the place of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use huiliu_mappings::matching::Subject;
use huiliu_mappings::matching::linkage::{Frozen, Settings};

use crate::model_file;

/// The file by which a deployment judges such records.
pub(super) fn path(folder: &Path, subject: Subject) -> PathBuf {
    folder.join("rules").join(format!("{}.model.json", subject.word()))
}

/// The same name with an ending: such a file says nothing of how the hub works.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Writes a model: the file is the old one or the new one, never half of it.
pub(super) fn write(path: &Path, model: &Frozen) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
    let fresh = beside(path, ".new");
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(cannot)?;
    }
    std::fs::write(&fresh, model.to_json()).and_then(|()| std::fs::rename(&fresh, path)).map_err(cannot)
}

/// Puts a model in the place of the one that judges; the former file stays beside it.
pub(super) fn adopt(folder: &Path, subject: Subject, model: &Frozen) -> Result<PathBuf, String> {
    let path = path(folder, subject);
    let former = beside(&path, ".former");
    let kept = if path.is_file() {
        // Copied, so that at every moment a model is in its place.
        std::fs::copy(&path, &former).map(drop)
    } else if former.is_file() {
        std::fs::remove_file(&former)
    } else {
        Ok(())
    };
    kept.map_err(|error| format!("{}: cannot be written: {error}", former.display()))?;
    write(&path, model)?;
    Ok(path)
}

/// Takes back what was adopted: whether a former file is back, or none if nothing was adopted.
pub(super) fn undo(folder: &Path, subject: Subject) -> Result<Option<bool>, String> {
    let path = path(folder, subject);
    let (former, undone) = (beside(&path, ".former"), beside(&path, ".undone"));
    if !path.is_file() {
        return Ok(None);
    }
    let is_back = former.is_file();
    // A file that somebody put there by hand is not ours to take away.
    let model = model_file::read(&path, &Settings::shipped())?;
    if model.aim().is_none_or(|aim| aim.bounds.is_none()) {
        return Ok(None);
    }
    let cannot = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
    std::fs::copy(&path, &undone).map_err(cannot)?;
    if is_back { std::fs::rename(&former, &path) } else { std::fs::remove_file(&path) }.map_err(cannot)?;
    Ok(Some(is_back))
}
