//! The rows of a file that were refused, in a file beside it: the same columns and the reason, ready to be mended and
//! imported again.
//!
//! Text files keep their bytes and their encoding (a file in UTF-16 becomes UTF-8), a workbook becomes CSV. The file is
//! read once more for it, and only if something was refused: rows that are fine cost nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::decode::Form;
use crate::delimited::{self, Table};
use crate::read::{Kind, Options, REASON, next_line, rows_of};
use crate::workbook;

/// Files of rejects beside one file; the search for a free name ends here.
const FILES_MAX: usize = 1000;

/// Says why a row was refused; none: it was not. Gets the row's place, and the row or what is wrong with it.
pub type Judge<'a> = dyn FnMut(u64, Result<Value, String>) -> Option<String> + 'a;

/// Writes the refused rows of a file; returns the path of the new file.
pub fn write(path: &Path, options: Options<'_>, judge: &mut Judge<'_>) -> Result<PathBuf, String> {
    let kind = Kind::of(path)?;
    let (place, file) = free(path, kind)?;
    let mut out = BufWriter::new(file);
    match kind {
        Kind::Delimited(usual) => delimited(path, usual, judge, &mut out)?,
        Kind::JsonLines => json_lines(path, judge, &mut out)?,
        Kind::Workbook => sheet(path, options, judge, &mut out)?,
    }
    out.flush().map_err(|error| format!("{}: cannot be written: {error}", place.display()))?;
    Ok(place)
}

/// `members.rejects.csv` beside `members.csv`, or the next free name: a person may be mending the last one.
fn free(path: &Path, kind: Kind) -> Result<(PathBuf, File), String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = match (kind, path.extension()) {
        (Kind::Workbook, _) | (_, None) => "csv".into(),
        (_, Some(ending)) => ending.to_string_lossy(),
    };
    for number in 1..=FILES_MAX {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let place = path.with_file_name(format!("{stem}.rejects{number}.{ending}"));
        match File::create_new(&place) {
            Ok(file) => return Ok((place, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("{}: cannot be written: {error}", place.display())),
        }
    }
    Err(format!("{}: {FILES_MAX} files of rejects stand beside it; remove some", path.display()))
}

fn cannot(error: &dyn std::fmt::Display) -> String {
    format!("cannot write: {error}")
}

/// A delimited file is read twice side by side: as text, which is judged, and as bytes, which are copied.
struct Copy<'a> {
    layout: delimited::Layout,
    /// The bytes of the file as rows, without its mark and a first line `sep=`.
    rows: csv::Reader<Box<dyn std::io::Read + 'a>>,
    /// The same file to copy from; none where the bytes are not those of the text.
    bytes: Option<File>,
    /// Where the rows begin in the file.
    begin: u64,
    columns: usize,
    reason_at: Option<usize>,
    line_end: &'static str,
}

fn delimited(path: &Path, usual: u8, judge: &mut Judge<'_>, out: &mut dyn Write) -> Result<(), String> {
    let table = Table::open(path, usual)?;
    let mut copy = Copy::begin(path, &table, out)?;
    let mut failed = None;
    delimited::rows(path, usual, &mut |line, row| {
        let reason = row.and_then(|row| judge(line, row));
        match copy.next(reason.as_deref(), out) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

impl Copy<'_> {
    /// Writes what stands before the rows: mark, a line `sep=`, headers.
    fn begin(path: &Path, table: &Table, out: &mut dyn Write) -> Result<Self, String> {
        let layout = table.layout;
        let told = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
        let file = crate::decode::open(path)?;
        let copies = layout.form.is_ascii_based();
        let mut before = Vec::new();
        let (source, begin): (Box<dyn std::io::Read>, u64) = if copies {
            // The line `sep=;` is ASCII, so it is as long in bytes as in text.
            let begin = (layout.form.mark + layout.told) as u64;
            (&file).take(begin).read_to_end(&mut before).map_err(told)?;
            (Box::new(file.try_clone().map_err(told)?), begin)
        } else {
            before.extend_from_slice(b"\xef\xbb\xbf");
            let mut text = layout.form.decode(path)?;
            text.by_ref().take(layout.told as u64).read_to_end(&mut before).map_err(told)?;
            (Box::new(text), 0)
        };
        out.write_all(&before).map_err(|error| cannot(&error))?;
        let rows = csv::ReaderBuilder::new().delimiter(layout.delimiter).flexible(true).from_reader(source);
        // A handle of its own: a cloned one would share the place where the other reads.
        let bytes = if copies { Some(crate::decode::open(path)?) } else { None };
        let (columns, reason_at) = (table.headers.count(), table.headers.reason_at());
        let mut copy = Self { layout, rows, bytes, begin, columns, reason_at, line_end: "\n" };
        let headers = copy.rows.byte_headers().map_err(|error| cannot(&error))?.clone();
        let end = copy.rows.position().byte();
        copy.line(&headers, (0, end), REASON, out)?;
        Ok(copy)
    }

    /// Steps over a row, and writes it if there is a reason.
    fn next(&mut self, reason: Option<&str>, out: &mut dyn Write) -> Result<(), String> {
        let mut record = csv::ByteRecord::new();
        self.rows.read_byte_record(&mut record).map_err(|error| cannot(&error))?;
        let Some(reason) = reason else { return Ok(()) };
        let start = record.position().map_or(0, csv::Position::byte);
        self.line(&record, (start, self.rows.position().byte()), reason, out)
    }

    /// One line: the bytes as they stand and the reason behind them; where the row has a reason already, or more cells
    /// than there are columns, or its bytes do not end it, the same cells written anew.
    fn line(
        &mut self,
        record: &csv::ByteRecord,
        at: (u64, u64),
        reason: &str,
        out: &mut dyn Write,
    ) -> Result<(), String> {
        let raw = self.raw(at)?;
        if raw.ends_with(b"\r\n") || raw.ends_with(b"\r") {
            self.line_end = "\r\n";
        }
        let row = inner(&raw);
        let form = self.layout.form;
        let reason = if form.is_ascii_based() { form.encoding.encode(reason).0 } else { reason.as_bytes().into() };
        let kept = !row.is_empty() && self.reason_at.is_none() && record.len() <= self.columns;
        if kept {
            let mut line = row.to_vec();
            line.extend(std::iter::repeat_n(self.layout.delimiter, self.columns - record.len()));
            line.push(self.layout.delimiter);
            line.extend(self.cells([&*reason].into_iter())?);
            if self.is_same(&line, record, &reason) {
                return out.write_all(&line).map_err(|error| cannot(&error));
            }
        }
        let mut cells: Vec<&[u8]> = record.iter().collect();
        match self.reason_at {
            Some(place) => {
                cells.resize(cells.len().max(place + 1), b"");
                cells[place] = &reason;
            }
            None => {
                cells.resize(cells.len().max(self.columns), b"");
                cells.push(&reason);
            }
        }
        let line = self.cells(cells.into_iter())?;
        out.write_all(&line).map_err(|error| cannot(&error))
    }

    /// The bytes of a row in the file, with its line end; empty where they cannot be copied.
    fn raw(&mut self, (start, end): (u64, u64)) -> Result<Vec<u8>, String> {
        let mut raw = Vec::new();
        if let Some(file) = &mut self.bytes {
            file.seek(SeekFrom::Start(self.begin + start)).map_err(|error| cannot(&error))?;
            file.take(end.saturating_sub(start)).read_to_end(&mut raw).map_err(|error| cannot(&error))?;
        }
        Ok(raw)
    }

    /// Cells as a line.
    fn cells<'b>(&self, cells: impl Iterator<Item = &'b [u8]>) -> Result<Vec<u8>, String> {
        let terminator = if self.line_end == "\n" { csv::Terminator::Any(b'\n') } else { csv::Terminator::CRLF };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.layout.delimiter)
            .terminator(terminator)
            .flexible(true)
            .from_writer(Vec::new());
        writer.write_record(cells).map_err(|error| cannot(&error))?;
        writer.into_inner().map_err(|error| cannot(&error))
    }

    /// Whether a line reads as this row with this reason: an open quote would swallow the reason.
    fn is_same(&self, line: &[u8], record: &csv::ByteRecord, reason: &[u8]) -> bool {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(self.layout.delimiter).has_headers(false).from_reader(line);
        let mut rows = reader.byte_records();
        let is_same = rows.next().is_some_and(|row| {
            row.is_ok_and(|row| {
                row.len() == self.columns + 1
                    && row.get(self.columns) == Some(reason)
                    && row.iter().zip(record).all(|(now, then)| now == then)
            })
        });
        is_same && rows.next().is_none()
    }
}

/// A row without the line ends around it: the reader counts the `\n` of a `\r\n` to the next one.
fn inner(raw: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = raw.iter().position(|byte| !is_end(byte)).unwrap_or(raw.len());
    let end = raw.iter().rposition(|byte| !is_end(byte)).map_or(start, |at| at + 1);
    &raw[start..end]
}

/// A line that was refused stands as it is, behind one that says why.
fn json_lines(path: &Path, judge: &mut Judge<'_>, out: &mut dyn Write) -> Result<(), String> {
    let form = Form::of(path)?;
    let told = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    let mut raw: Box<dyn BufRead> = if form.is_ascii_based() {
        let file = crate::decode::open(path)?;
        std::io::copy(&mut (&file).take(form.mark as u64), &mut std::io::sink()).map_err(told)?;
        Box::new(BufReader::new(file))
    } else {
        Box::new(BufReader::new(form.decode(path)?))
    };
    let (mut at, mut line, mut failed) = (0, Vec::new(), None);
    rows_of(path, Options::default(), &mut |(number, row)| {
        let Some(reason) = judge(number, row) else { return true };
        let mut write = || -> Result<(), String> {
            while at < number {
                at += 1;
                next_line(path, &mut raw, at, &mut line)?;
            }
            let reason = json!({ REASON: reason }).to_string();
            let reason = if form.is_ascii_based() { form.encoding.encode(&reason).0 } else { reason.as_bytes().into() };
            out.write_all(&reason).and_then(|()| out.write_all(b"\n")).map_err(|error| cannot(&error))?;
            let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
            out.write_all(&line).and_then(|()| out.write_all(end)).map_err(|error| cannot(&error))
        };
        failed = write().err();
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

/// Rows of a workbook as CSV.
fn sheet(path: &Path, options: Options<'_>, judge: &mut Judge<'_>, out: &mut dyn Write) -> Result<(), String> {
    let mut headers = workbook::headers(path, options.sheet)?;
    let columns = headers.len();
    headers.push(REASON.to_owned());
    let mut table = crate::write::Csv::new(out, &headers)?;
    let mut failed = None;
    workbook::rows(path, options.sheet, &mut |number, cells, row| {
        let Some(reason) = row.and_then(|row| judge(number, row)) else { return true };
        let mut cells = cells.to_vec();
        cells.resize(cells.len().max(columns), String::new());
        cells.push(reason);
        failed = table.row(&cells).err();
        failed.is_none()
    })?;
    failed.map_or_else(|| table.finish(), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses the rows at these places; returns the bytes of the new file and the rows that reading it gives.
    fn check(name: &str, bytes: &[u8], refused: &[u64]) -> (Vec<u8>, Vec<Result<Value, String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut judge = |line: u64, row: Result<Value, String>| match row {
            Err(told) => Some(told),
            Ok(_) => refused.contains(&line).then(|| "无效, \"坏\"".to_owned()),
        };
        let made = write(&path, Options::default(), &mut judge).unwrap();
        let mut rows = Vec::new();
        rows_of(&made, Options::default(), &mut |(_, row)| {
            rows.push(row);
            true
        })
        .unwrap();
        (std::fs::read(made).unwrap(), rows)
    }

    #[test]
    fn bytes_and_encoding_stay_and_the_rows_can_be_imported_again() {
        let text = "编号,姓名\r\n1,李雷\r\n,\"韩\r\n梅梅\"\r\n,\r\n3\r\n4,5,6\r\n";
        let gb = encoding_rs::GB18030.encode(text).0.into_owned();
        let (made, rows) = check("a.csv", &gb, &[3, 6]);
        let made = encoding_rs::GB18030.decode(&made).0.into_owned();
        let reason = "\"无效, \"\"坏\"\"\"";
        let expected = format!(
            "编号,姓名,huiliu_reason\r\n,\"韩\r\n梅梅\",{reason}\r\n3,,{reason}\r\n\
             4,5,6,3 cells under 2 headers; is a quote missing?\r\n"
        );
        assert_eq!(made, expected);
        assert_eq!(rows[0], Ok(json!({"姓名": "韩\r\n梅梅"})));
        assert_eq!(rows[1], Ok(json!({"编号": "3"})));
        assert!(rows[2].is_err(), "a row with too many cells is still one: {rows:?}");
        // What is not mended is refused again, under one reason.
        let (again, _) = check("b.csv", expected.as_bytes(), &[2]);
        let again = String::from_utf8(again).unwrap();
        assert!(again.starts_with(&format!("编号,姓名,huiliu_reason\r\n,\"韩\r\n梅梅\",{reason}\r\n")), "{again}");
    }

    #[test]
    fn marks_separators_and_wide_characters_come_along() {
        let (made, rows) = check("a.csv", "\u{feff}sep=;\n编号;姓名\n;李雷\n".as_bytes(), &[3]);
        assert_eq!(made, "\u{feff}sep=;\n编号;姓名;huiliu_reason\n;李雷;\"无效, \"\"坏\"\"\"\n".as_bytes());
        assert_eq!(rows, [Ok(json!({"姓名": "李雷"}))]);
        let wide: Vec<u8> = "\u{feff}编号,姓名\n,李雷\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (made, rows) = check("a.csv", &wide, &[2]);
        assert_eq!(made, "\u{feff}编号,姓名,huiliu_reason\n,李雷,\"无效, \"\"坏\"\"\"\n".as_bytes());
        assert_eq!(rows, [Ok(json!({"姓名": "李雷"}))]);
        // A quote that never ends must not swallow the reason.
        let (_, rows) = check("b.csv", b"a,b\n1,\"open", &[2]);
        assert_eq!(rows, [Ok(json!({"a": "1", "b": "open"}))]);
    }

    #[test]
    fn json_lines_stand_as_they_are_behind_their_reasons() {
        let (made, rows) = check("a.jsonl", b"{\"a\":1}\n{\"a\": 12345678901234567890.10}\n\nnonsense", &[2]);
        let expected = "{\"huiliu_reason\":\"无效, \\\"坏\\\"\"}\n{\"a\": 12345678901234567890.10}\n\
                        {\"huiliu_reason\":\"not JSON: expected ident at line 1 column 2\"}\nnonsense\n";
        assert_eq!(String::from_utf8(made).unwrap(), expected);
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a\n1\n").unwrap();
        let mut judge = |_: u64, _: Result<Value, String>| Some("no".to_owned());
        let names: Vec<PathBuf> = (0..2).map(|_| write(&path, Options::default(), &mut judge).unwrap()).collect();
        assert_eq!(names, ["a.rejects.csv", "a.rejects-2.csv"].map(|name| folder.path().join(name)));
    }
}
