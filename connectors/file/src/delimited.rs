//! CSV and its relatives: the delimiter is found out, rows are bounded, quoted line ends are a part of their cell.

use std::cell::Cell;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use crate::decode::{Decoding, Form, SAMPLE_BYTES};
use crate::read::{Headers, ROW_BYTES_MAX};

/// What a table may be delimited by.
const DELIMITERS: &[u8] = b",;\t|";

/// How a delimited file is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Its encoding.
    pub form: Form,
    /// What stands between two cells.
    pub delimiter: u8,
    /// The length of a first line `sep=;`, in bytes of the decoded text.
    pub told: usize,
    /// Whether lines end with `\r\n`.
    pub is_crlf: bool,
}

impl Layout {
    /// Looks at the beginning of a file; `usual` is what its name promises.
    pub fn of(path: &Path, usual: u8) -> Result<Self, String> {
        let form = Form::of(path)?;
        let mut start = Vec::new();
        let read = form.decode(path)?.take(SAMPLE_BYTES as u64).read_to_end(&mut start);
        read.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let is_crlf = start.iter().position(|byte| *byte == b'\n').is_some_and(|at| at > 0 && start[at - 1] == b'\r');
        // Excel writes and reads such a first line.
        if let [b's', b'e', b'p', b'=', delimiter, rest @ ..] = start.as_slice()
            && let Some(end) = line_end(rest)
        {
            return Ok(Self { form, delimiter: *delimiter, told: 5 + end, is_crlf });
        }
        Ok(Self { form, delimiter: delimiter(&start, usual), told: 0, is_crlf })
    }
}

/// The length of a line end at the beginning, if one is there.
fn line_end(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n' | b'\r', ..] => Some(1),
        _ => None,
    }
}

/// The one that is most often in the first line, outside of quotes.
fn delimiter(start: &[u8], usual: u8) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => {
                if let Some(at) = DELIMITERS.iter().position(|it| it == byte) {
                    counts[at] += 1;
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let of = |wanted: u8| DELIMITERS.iter().zip(counts).any(|(it, count)| *it == wanted && count == most);
    if most == 0 || of(usual) {
        return usual;
    }
    DELIMITERS.iter().zip(counts).find(|(_, count)| *count == most).map_or(usual, |(delimiter, _)| *delimiter)
}

/// A delimited file that is being read.
pub struct Table {
    /// How it is laid out.
    pub layout: Layout,
    /// Its columns.
    pub headers: Headers,
    rows: csv::Reader<Bounded>,
    /// Bytes read since the last row ended.
    since: Rc<Cell<usize>>,
    garbled: Rc<Cell<bool>>,
}

impl Table {
    /// Opens a file and reads its headers.
    pub fn open(path: &Path, usual: u8) -> Result<Self, String> {
        let layout = Layout::of(path, usual)?;
        let mut text = layout.form.decode(path)?;
        let skipped = std::io::copy(&mut text.by_ref().take(layout.told as u64), &mut std::io::sink());
        skipped.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let (since, garbled) = (Rc::default(), text.garbled());
        let bounded = Bounded { text, since: Rc::clone(&since) };
        let mut rows = csv::ReaderBuilder::new().delimiter(layout.delimiter).flexible(true).from_reader(bounded);
        let place = path.display().to_string();
        let headers = rows.headers().map_err(|error| format!("{place}: no header line: {error}"))?;
        let headers = Headers::of(&place, headers.iter())?;
        Ok(Self { layout, headers, rows, since, garbled })
    }
}

/// Text that is not read any further when a row does not end.
struct Bounded {
    text: Decoding,
    since: Rc<Cell<usize>>,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.since.get() > ROW_BYTES_MAX {
            let told = format!("a row is longer than {ROW_BYTES_MAX} bytes; is a quote missing?");
            return Err(std::io::Error::other(told));
        }
        let read = self.text.read(into)?;
        self.since.set(self.since.get() + read);
        Ok(read)
    }
}

/// What is read of a delimited file: the line, and its row; none for one without a value.
pub(crate) type Each<'a> = dyn FnMut(u64, Option<Result<Value, String>>) -> bool + 'a;

/// What is read of a delimited file cell by cell: the line, and the cells or what is wrong with them.
pub type EachRecord<'a> = dyn FnMut(u64, &Headers, Result<&csv::StringRecord, String>) -> bool + 'a;

impl Table {
    /// Hands over the cells of every row until `each` returns false. `place` names the file in an error.
    pub fn records(&mut self, place: &str, each: &mut EachRecord<'_>) -> Result<(), String> {
        // The reader counts a line at its `\n`, which of a `\r\n` it meets with the next row only.
        let before = u64::from(self.layout.told > 0) + u64::from(self.layout.is_crlf);
        let mut record = csv::StringRecord::new();
        loop {
            let line = self.rows.position().line() + before;
            self.since.set(0);
            let row = match self.rows.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) if record.len() > self.headers.count() => Err(self.headers.too_many(record.len())),
                Ok(true) if self.garbled.get() && record.iter().any(|cell| cell.contains('\u{fffd}')) => {
                    Err(format!("bytes that are no {}; write them anew", self.layout.form.encoding.name()))
                }
                Ok(true) => Ok(&record),
                Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                    return Err(format!("{place}: reading stopped at line {line}: {error}"));
                }
                Err(error) => Err(error.to_string()),
            };
            if !each(line, &self.headers, row) {
                return Ok(());
            }
        }
    }
}

/// Hands over every row, also one without a value.
pub(crate) fn rows(path: &Path, usual: u8, each: &mut Each<'_>) -> Result<(), String> {
    Table::open(path, usual)?.records(&path.display().to_string(), &mut |line, headers, record| match record {
        Ok(record) => each(line, headers.row(record.iter()).map(Ok)),
        Err(told) => each(line, Some(Err(told))),
    })
}
