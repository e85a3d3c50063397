//! Rows of a file, one JSON object each, keyed by the headers.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::decode::Form;
use crate::{delimited, workbook};

/// A longer row, in bytes, is refused: one record of some system, not a whole export behind a quote that never ends.
pub const ROW_BYTES_MAX: usize = 4 << 20;

/// More columns are refused: so many are all that a sheet of Excel has.
pub const COLUMNS_MAX: usize = 16_384;

/// The column in which a file of rejected rows says what was wrong with each. It is no part of the row.
pub const REASON: &str = "huiliu_reason";

/// Where a row stands, and the row or what is wrong with it.
pub type Row = (u64, Result<Value, String>);

/// What of a file is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The sheet of a workbook; the first one when not told.
    pub sheet: Option<&'a str>,
}

/// The kinds of files, told by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text with a delimiter, this one unless the first line shows another.
    Delimited(u8),
    /// One JSON object a line.
    JsonLines,
    /// A workbook of Excel.
    Workbook,
}

impl Kind {
    /// `.csv`, `.txt`, `.tsv`, `.xlsx`, `.jsonl` or `.ndjson`.
    pub fn of(path: &Path) -> Result<Self, String> {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or("").to_lowercase();
        match extension.as_str() {
            "csv" | "txt" => Ok(Self::Delimited(b',')),
            "tsv" => Ok(Self::Delimited(b'\t')),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "xlsx" => Ok(Self::Workbook),
            _ => Err(format!("{}: unknown kind of file; use .csv, .tsv, .xlsx or .jsonl", path.display())),
        }
    }
}

/// Reads a file row by row; `each` returns false to stop. An unreadable row is handed over as its error; only an
/// unreadable file is an error here. Rows without a value are left out.
pub fn rows(path: &Path, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    rows_of(path, Options::default(), each)
}

/// The same, of a part of the file.
pub fn rows_of(path: &Path, options: Options<'_>, each: &mut dyn FnMut(Row) -> bool) -> Result<(), String> {
    match Kind::of(path)? {
        Kind::Delimited(usual) => {
            delimited::rows(path, usual, &mut |line, row| row.is_none_or(|row| each((line, row))))
        }
        Kind::JsonLines => json_lines(path, &mut |line, row| row.is_none_or(|row| each((line, row)))),
        Kind::Workbook => {
            let each = &mut |line, _: &[String], row: Option<_>| row.is_none_or(|row| each((line, row)));
            workbook::rows(path, options.sheet, each)
        }
    }
}

/// The headers in their order; of JSON Lines, the names in the first rows.
pub fn headers(path: &Path, options: Options<'_>) -> Result<Vec<String>, String> {
    /// A name may be missing from the first rows; so many show them all.
    const ROWS: usize = 200;
    match Kind::of(path)? {
        Kind::Delimited(usual) => Ok(delimited::Table::open(path, usual)?.headers.names()),
        Kind::Workbook => workbook::headers(path, options.sheet),
        Kind::JsonLines => {
            let (mut names, mut seen): (Vec<String>, usize) = (Vec::new(), 0);
            rows(path, &mut |(_, row)| {
                seen += 1;
                if let Ok(Value::Object(row)) = row {
                    let new: Vec<String> = row.keys().filter(|key| !names.contains(key)).cloned().collect();
                    names.extend(new);
                }
                seen < ROWS && names.len() < COLUMNS_MAX
            })?;
            Ok(names)
        }
    }
}

/// The columns of a table.
pub struct Headers {
    /// The name of each; none for the column of reasons.
    names: Vec<Option<String>>,
}

impl Headers {
    /// Names every column once: a second `phone` is `phone (2)`, a column without a header is told by its place.
    pub fn of<'a>(place: &str, cells: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut seen = std::collections::HashMap::<String, usize>::new();
        let mut names = Vec::new();
        for (at, cell) in cells.enumerate() {
            if at == COLUMNS_MAX {
                return Err(format!("{place}: more than {COLUMNS_MAX} columns; is this a table?"));
            }
            let name = match cell.trim().trim_start_matches('\u{feff}') {
                "" => format!("column {}", at + 1),
                name => name.to_owned(),
            };
            let count = seen.entry(name.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 { name } else { format!("{name} ({count})") };
            names.push((name != REASON).then_some(name));
        }
        Ok(Self { names })
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Where the column of reasons stands, if there is one.
    pub fn reason_at(&self) -> Option<usize> {
        self.names.iter().position(Option::is_none)
    }

    /// The names of the columns, without that of the reasons.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().flatten().cloned().collect()
    }

    /// The row of these cells; none if all are empty.
    pub fn row<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Option<Value> {
        let named = self.names.iter().zip(cells).filter(|(_, cell)| !cell.trim().is_empty());
        let row: Map<String, Value> =
            named.filter_map(|(name, cell)| Some((name.clone()?, Value::String(unguarded(cell).to_owned())))).collect();
        (!row.is_empty()).then_some(Value::Object(row))
    }

    /// What is wrong with a row that has more cells than there are headers.
    pub fn too_many(&self, cells: usize) -> String {
        format!("{cells} cells under {} headers; is a quote missing?", self.names.len())
    }
}

/// A cell that would begin a formula in a spreadsheet is written with a `'` in front ([`crate::write`]); here it goes.
fn unguarded(cell: &str) -> &str {
    match cell.as_bytes() {
        [b'\'', first, ..] if crate::write::begins_formula(*first) => &cell[1..],
        _ => cell,
    }
}

/// What is read of a JSON Lines file: the line, and its row; none for a line that is none.
pub(crate) type JsonLine<'a> = dyn FnMut(u64, Option<Result<Value, String>>) -> bool + 'a;

fn json_lines(path: &Path, each: &mut JsonLine<'_>) -> Result<(), String> {
    let mut reader = BufReader::new(Form::of(path)?.decode(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        if !next_line(path, &mut reader, number, &mut line)? || !each(number, json_row(&line)) {
            break;
        }
    }
    Ok(())
}

/// Reads one line of bounded length; false at the end.
pub(crate) fn next_line(
    path: &Path,
    reader: &mut impl BufRead,
    number: u64,
    line: &mut Vec<u8>,
) -> Result<bool, String> {
    line.clear();
    let read = reader.take(ROW_BYTES_MAX as u64 + 1).read_until(b'\n', line);
    let read = read.map_err(|error| format!("{}: reading stopped at line {number}: {error}", path.display()))?;
    if read > ROW_BYTES_MAX {
        return Err(format!(
            "{}: line {number} is longer than {ROW_BYTES_MAX} bytes; is this one JSON object a line?",
            path.display()
        ));
    }
    Ok(read > 0)
}

fn json_row(line: &[u8]) -> Option<Result<Value, String>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    match serde_json::from_slice::<Value>(line) {
        Err(error) => Some(Err(format!("not JSON: {error}"))),
        // The line before a rejected one says why it was.
        Ok(Value::Object(row)) if row.len() == 1 && row.contains_key(REASON) => None,
        Ok(row @ Value::Object(_)) => Some(Ok(row)),
        Ok(_) => Some(Err("not a JSON object".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut told = Vec::new();
        rows(&path, &mut |(line, row)| {
            told.push(match row {
                Ok(row) => format!("{line}:{row}"),
                Err(error) => format!("{line}!{error}"),
            });
            true
        })?;
        Ok(told.join("\n"))
    }

    fn check(name: &str, bytes: &[u8], expected: &str) {
        assert_eq!(told(name, bytes).unwrap(), expected, "{name}");
    }

    #[test]
    fn rows_come_out_whatever_the_encoding() {
        let text = "姓名,手机\n李雷,13800138000\n韩梅梅,\n";
        let expected = "2:{\"姓名\":\"李雷\",\"手机\":\"13800138000\"}\n3:{\"姓名\":\"韩梅梅\"}";
        check("a.csv", text.as_bytes(), expected);
        check("b.csv", &encoding_rs::GB18030.encode(text).0, expected);
        check("c.csv", &[b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(), expected);
        check("d.tsv", text.replace(',', "\t").as_bytes(), expected);
        check("e.csv", text.replace(',', ";").as_bytes(), expected);
        check("f.csv", text.replace(',', "\t").as_bytes(), expected);
        check("g.csv", text.replace(',', "|").as_bytes(), expected);
        let later = expected.replace("3:", "4:").replacen("2:", "3:", 1);
        check("h.csv", format!("sep=;\r\n{}", text.replace(',', ";").replace('\n', "\r\n")).as_bytes(), &later);
        let quoted = encoding_rs::GB18030.encode("\"姓名\",\"手机\"\n李雷,13800138000\n韩梅梅,\n").0.into_owned();
        check("i.csv", &[b"\x84\x31\x95\x33".as_slice(), &quoted].concat(), expected);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        check("j.csv", &[b"\xfe\xff".as_slice(), &wide].concat(), expected);
    }

    #[test]
    fn a_bad_row_is_told_and_loses_nothing_else() {
        check(
            "e.csv",
            b"a,b\n1,2,3\n4,5\n",
            "2!3 cells under 2 headers; is a quote missing?\n3:{\"a\":\"4\",\"b\":\"5\"}",
        );
        let lines = "1:{\"a\":12345678901234567890.10}\n2!not a JSON object\n4:{\"b\":2}";
        check("f.jsonl", b"{\"a\":12345678901234567890.10}\n[1]\n\n{\"b\":2}\n", lines);
        let broken =
            ["姓名,备注\n好好好好好好好好好好好,好\n李".as_bytes(), b"\xff", ",好\n王,好\n".as_bytes()].concat();
        let told = told("g.csv", &broken).unwrap();
        assert!(
            told.contains("3!bytes that are no UTF-8") && told.ends_with("4:{\"备注\":\"好\",\"姓名\":\"王\"}"),
            "{told}"
        );
    }

    #[test]
    fn columns_keep_their_own_names_and_reasons_are_no_part_of_a_row() {
        check(
            "a.csv",
            b"tel,tel,,huiliu_reason\n1,2,3,bad\n,,,\n",
            "2:{\"column 3\":\"3\",\"tel\":\"1\",\"tel (2)\":\"2\"}",
        );
        check("b.jsonl", b"{\"huiliu_reason\":\"line 7: no\"}\n{\"a\":1}\n", "2:{\"a\":1}");
        check(
            "c.csv",
            b"a,b\n'=1+1,'tis\n'+86,'@x\n",
            "2:{\"a\":\"=1+1\",\"b\":\"'tis\"}\n3:{\"a\":\"+86\",\"b\":\"@x\"}",
        );
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let endless = format!("a,b\n1,\"{}\n", "x".repeat(ROW_BYTES_MAX * 2));
        let error = told("a.csv", endless.as_bytes()).unwrap_err();
        assert!(error.contains("line 2") && error.contains("is a quote missing?"), "{error}");
        let error = told("b.csv", ",".repeat(1_000_000).as_bytes()).unwrap_err();
        assert!(error.contains("more than 16384 columns"), "{error}");
        let error = told("c.csv", "x".repeat(ROW_BYTES_MAX * 2).as_bytes()).unwrap_err();
        assert!(error.contains("no header line"), "{error}");
        let error = told("d.jsonl", "1".repeat(ROW_BYTES_MAX * 2).as_bytes()).unwrap_err();
        assert!(error.contains("line 1 is longer"), "{error}");
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        let told = rows(Path::new("x.pdf"), &mut |_| true).unwrap_err();
        assert_eq!(told, "x.pdf: unknown kind of file; use .csv, .tsv, .xlsx or .jsonl");
    }
}
