//! A workbook is a zip archive: what its parts grow to is measured before anything is made of them.

use std::io::{BufReader, Read};
use std::path::Path;

/// The texts of the cells are held in memory, so they end here, in bytes.
const STRINGS_BYTES_MAX: u64 = 256 << 20;

/// A sheet is read cell by cell: a million rows of twenty columns are a third of this, in bytes.
const SHEET_BYTES_MAX: u64 = 4 << 30;

/// Styles, relations and the list of sheets, in bytes.
const PART_BYTES_MAX: u64 = 32 << 20;

/// More parts than this are no workbook.
const PARTS_MAX: usize = 10_000;

/// A part that is larger than [`UNSUSPICIOUS_BYTES`] and grew by more than this is no table: rows of real ones grow ten to
/// a hundred times, a bomb a thousand.
const GROWTH_MAX: u64 = 200;

/// A smaller part cannot hurt, however it is packed.
const UNSUSPICIOUS_BYTES: u64 = 64 << 20;

/// So much of the list of texts is looked at for the count that it states.
const HEAD_BYTES: u64 = 4096;

/// The shortest text of the list, `<si/>`, in bytes: a longer count than that lets a reader reserve memory for nothing.
const TEXT_BYTES_MIN: u64 = 5;

/// Refuses what is no archive, and what would grow beyond all bounds.
pub fn check(path: &Path) -> Result<(), String> {
    let place = path.display();
    let file = BufReader::new(crate::decode::open(path)?);
    let mut archive = zip::ZipArchive::new(file).map_err(|error| format!("{place}: not a workbook: {error}"))?;
    if archive.len() > PARTS_MAX {
        return Err(format!("{place}: not a workbook: it has {} parts", archive.len()));
    }
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|error| format!("{place}: not a workbook: {error}"))?;
        let name = part.name().map_err(|error| format!("{place}: not a workbook: {error}"))?.to_lowercase();
        if !Path::new(&name).extension().is_some_and(|it| it == "xml" || it == "rels") {
            continue;
        }
        let is_strings = name.ends_with("sharedstrings.xml");
        let most = match () {
            () if is_strings => STRINGS_BYTES_MAX,
            () if name.contains("worksheets/") => SHEET_BYTES_MAX,
            () => PART_BYTES_MAX,
        };
        let most = most.min(part.compressed_size().saturating_mul(GROWTH_MAX).max(UNSUSPICIOUS_BYTES));
        let told = |error: std::io::Error| format!("{place}: the workbook is damaged: {error}");
        let mut part = part.take(most + 1);
        let mut head = Vec::new();
        let begun = part.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(told)? as u64;
        let size = begun + std::io::copy(&mut part, &mut std::io::sink()).map_err(told)?;
        if size > most {
            return Err(format!("{place}: {name} grows to more than {most} bytes; this is no table"));
        }
        if is_strings && stated(&head).is_none_or(|count| count > size / TEXT_BYTES_MIN) {
            return Err(format!("{place}: {name} states more texts than it has"));
        }
    }
    Ok(())
}

/// The largest count of texts that the head of the list states, 0 if it states none; none where it does not show one.
fn stated(head: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(head);
    let list = head.find("<sst").or_else(|| head.find(":sst"))?;
    let list = &head[list..];
    let list = &list[..list.find('>')?];
    let counts = list.split("uniqueCount").skip(1).map(|rest| {
        let digits = rest.trim_start_matches(|c: char| c.is_whitespace() || "=\"'".contains(c));
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse::<u64>().unwrap_or(u64::MAX)
    });
    Some(counts.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_count_is_found_however_it_is_written() {
        assert_eq!(stated(b"<?xml?><sst count=\"9\" uniqueCount=\"7\">"), Some(7));
        assert_eq!(stated(b"<x:sst uniqueCount = '70000000000000000000'>"), Some(u64::MAX));
        assert_eq!(stated(b"<sst>"), Some(0));
        assert_eq!(stated(b"<!-- far away -->"), None);
    }
}
