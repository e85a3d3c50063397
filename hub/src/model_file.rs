//! A learned model of who is who, as a file.

use std::io::Read as _;
use std::path::Path;

use huiliu_mappings::matching::linkage::{Frozen, MODEL_BYTES_MAX, Settings};

/// Reads a model.
///
/// # Errors
/// It cannot be read, is too large, or is no model that this program knows.
pub fn read(path: &Path, settings: &Settings) -> Result<Frozen, String> {
    let place = path.display();
    let cannot = |error: std::io::Error| format!("{place}: cannot be read: {error}");
    let mut text = String::new();
    let mut file = std::fs::File::open(path).map_err(cannot)?.take(MODEL_BYTES_MAX + 1);
    file.read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MODEL_BYTES_MAX {
        return Err(format!("{place}: a model has {} MiB at most", MODEL_BYTES_MAX >> 20));
    }
    Frozen::parse(&text, settings).map_err(|told| format!("{place}: {told}"))
}
