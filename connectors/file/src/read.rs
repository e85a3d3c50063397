//! Rows of a file, one JSON object each, keyed by the headers.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use calamine::{Data, Reader};
use encoding_rs::{CoderResult, Decoder, Encoding};
use serde_json::{Map, Value};

/// A longer line of JSON is refused: one record of some system, not a whole export on one line.
const LINE_BYTES_MAX: usize = 4 << 20;

/// So much of a file decides its encoding.
const SAMPLE_BYTES: usize = 64 << 10;

/// Where a row stands, and the row or what is wrong with it.
pub type Row = (u64, Result<Value, String>);

/// Reads a file row by row; `each` returns false to stop. The form is told by the name: `.csv`, `.tsv`, `.xlsx`,
/// `.jsonl` or `.ndjson`. An unreadable row is handed over as its error; only an unreadable file is an error here.
pub fn rows(path: &Path, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    let place = path.display();
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or("").to_lowercase();
    match extension.as_str() {
        "csv" | "txt" => delimited(path, b',', each),
        "tsv" => delimited(path, b'\t', each),
        "jsonl" | "ndjson" => json_lines(path, each),
        "xlsx" => workbook(path, each),
        _ => Err(format!("{place}: unknown kind of file; use .csv, .tsv, .xlsx or .jsonl")),
    }
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("{}: cannot be opened: {error}", path.display()))
}

fn delimited(path: &Path, delimiter: u8, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    let (reader, _) = decoded(path)?;
    let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
    let headers: Vec<String> = match rows.headers() {
        Ok(headers) => headers.iter().map(|it| it.trim().trim_start_matches('\u{feff}').to_owned()).collect(),
        Err(error) => return Err(format!("{}: no header line: {error}", path.display())),
    };
    let mut record = csv::StringRecord::new();
    loop {
        let line = rows.position().line();
        match rows.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) if record.len() > headers.len() => {
                let told = format!("{} cells under {} headers; is a quote missing?", record.len(), headers.len());
                if !each((line, Err(told))) {
                    return Ok(());
                }
            }
            Ok(true) => {
                let cells = headers.iter().zip(record.iter()).filter(|(_, cell)| !cell.trim().is_empty());
                let object: Map<String, Value> =
                    cells.map(|(name, cell)| (name.clone(), Value::String(cell.to_owned()))).collect();
                if !each((line, Ok(Value::Object(object)))) {
                    return Ok(());
                }
            }
            Err(error) => {
                let fatal = matches!(error.kind(), csv::ErrorKind::Io(_));
                if fatal {
                    return Err(format!("{}: reading stopped at line {line}: {error}", path.display()));
                }
                if !each((line, Err(error.to_string()))) {
                    return Ok(());
                }
            }
        }
    }
}

fn json_lines(path: &Path, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    let (reader, _) = decoded(path)?;
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
        let read = read.map_err(|error| format!("{}: reading stopped at line {number}: {error}", path.display()))?;
        if read == 0 {
            break;
        }
        if read > LINE_BYTES_MAX {
            return Err(format!(
                "{}: line {number} is longer than {LINE_BYTES_MAX} bytes; is this one JSON object a line?",
                path.display()
            ));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = serde_json::from_slice::<Value>(&line).map_err(|error| format!("not JSON: {error}"));
        let row = row.and_then(|row| if row.is_object() { Ok(row) } else { Err("not a JSON object".to_owned()) });
        if !each((number, row)) {
            break;
        }
    }
    Ok(())
}

fn workbook(path: &Path, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    let place = path.display();
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook(path).map_err(|error| format!("{place}: not a workbook: {error}"))?;
    let sheet = book.worksheet_range_at(0).ok_or_else(|| format!("{place}: the workbook has no sheet"))?;
    let sheet = sheet.map_err(|error| format!("{place}: the first sheet cannot be read: {error}"))?;
    let mut rows = sheet.rows();
    let headers: Vec<String> =
        rows.next().into_iter().flatten().map(|cell| cell.to_string().trim().to_owned()).collect();
    for (number, row) in (2..).zip(rows) {
        let cells = headers.iter().zip(row).filter(|(_, cell)| !matches!(cell, Data::Empty));
        let object: Map<String, Value> =
            cells.map(|(name, cell)| (name.clone(), Value::String(cell_text(cell)))).collect();
        if !each((number, Ok(Value::Object(object)))) {
            break;
        }
    }
    Ok(())
}

/// A cell as a person sees it; a date as ISO.
fn cell_text(cell: &Data) -> String {
    match cell {
        Data::DateTime(date) if date.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
            if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            }
        }
        other => other.to_string(),
    }
}

/// The file as UTF-8 while it is read, and the encoding it has: UTF-8, UTF-16 by its mark, or GB18030.
pub fn decoded(path: &Path) -> Result<(impl Read, &'static Encoding), String> {
    let mut sample = Vec::with_capacity(SAMPLE_BYTES);
    let told = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    open(path)?.take(SAMPLE_BYTES as u64).read_to_end(&mut sample).map_err(told)?;
    let encoding = match (Encoding::for_bom(&sample), std::str::from_utf8(&sample)) {
        (Some((encoding, _)), _) => encoding,
        (None, Ok(_)) => encoding_rs::UTF_8,
        // A character cut off by the end of the sample is no sign of another encoding.
        (None, Err(error)) if sample.len() == SAMPLE_BYTES && error.valid_up_to() + 4 > sample.len() => {
            encoding_rs::UTF_8
        }
        (None, Err(_)) => encoding_rs::GB18030,
    };
    let decoder = encoding.new_decoder();
    Ok((Decoding { source: open(path)?, decoder, raw: Vec::new(), ready: Vec::new(), at: 0, ended: false }, encoding))
}

struct Decoding {
    source: File,
    decoder: Decoder,
    raw: Vec<u8>,
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Decoding {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.ready.len() {
            if self.ended && self.raw.is_empty() {
                return Ok(0);
            }
            if self.raw.is_empty() {
                self.raw.resize(SAMPLE_BYTES, 0);
                let read = self.source.read(&mut self.raw)?;
                self.raw.truncate(read);
                self.ended = read == 0;
            }
            self.ready.resize(SAMPLE_BYTES * 2, 0);
            let (result, read, written, _) = self.decoder.decode_to_utf8(&self.raw, &mut self.ready, self.ended);
            self.ready.truncate(written);
            self.at = 0;
            self.raw.drain(..read);
            if self.ended && result == CoderResult::InputEmpty && written == 0 {
                return Ok(0);
            }
        }
        let count = into.len().min(self.ready.len() - self.at);
        into[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, bytes: &[u8], expected: &str) {
        let path = std::env::temp_dir().join(format!("huiliu-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let mut told = Vec::new();
        rows(&path, &mut |(line, row)| {
            told.push(match row {
                Ok(row) => format!("{line}:{row}"),
                Err(error) => format!("{line}!{error}"),
            });
            true
        })
        .unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(told.join("\n"), expected, "{name}");
    }

    #[test]
    fn rows_come_out_whatever_the_encoding() {
        let text = "姓名,手机\n李雷,13800138000\n韩梅梅,\n";
        let expected = "2:{\"姓名\":\"李雷\",\"手机\":\"13800138000\"}\n3:{\"姓名\":\"韩梅梅\"}";
        check("a.csv", text.as_bytes(), expected);
        check("b.csv", &encoding_rs::GB18030.encode(text).0, expected);
        check("c.csv", &[b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(), expected);
        check("d.tsv", text.replace(',', "\t").as_bytes(), expected);
    }

    #[test]
    fn a_bad_row_is_told_and_loses_nothing_else() {
        check(
            "e.csv",
            b"a,b\n1,2,3\n4,5\n",
            "2!3 cells under 2 headers; is a quote missing?\n3:{\"a\":\"4\",\"b\":\"5\"}",
        );
        let told = "1:{\"a\":12345678901234567890.10}\n2!not a JSON object\n4:{\"b\":2}";
        check("f.jsonl", b"{\"a\":12345678901234567890.10}\n[1]\n\n{\"b\":2}\n", told);
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        let told = rows(Path::new("x.pdf"), &mut |_| true).unwrap_err();
        assert_eq!(told, "x.pdf: unknown kind of file; use .csv, .tsv, .xlsx or .jsonl");
    }
}
