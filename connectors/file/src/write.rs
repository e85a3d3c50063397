//! Tables out: CSV and XLSX, row by row, with nothing in them that a spreadsheet would run.

use std::io::{BufWriter, Write};
use std::path::Path;

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

/// Rows of one sheet, its headers included: Excel opens no more.
const SHEET_ROWS_MAX: u32 = 1_048_576;

/// Characters of one cell: Excel opens no more. A longer text is cut, and says so at its end.
const CELL_CHARS_MAX: usize = 32_767;

/// Whether a cell that begins so could be run as a formula, or turned into another value, when a spreadsheet opens a CSV
/// file (the list of OWASP's page on CSV injection).
pub(crate) fn begins_formula(first: u8) -> bool {
    matches!(first, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
}

/// CSV in UTF-8, with the mark by which a spreadsheet knows it.
pub struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Csv<W> {
    /// Begins a table.
    pub fn new(mut out: W, headers: &[String]) -> Result<Self, String> {
        out.write_all(b"\xef\xbb\xbf").map_err(|error| cannot(&error))?;
        let mut table = Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out));
        table.row(headers)?;
        Ok(table)
    }

    /// Writes a row; a cell that would begin a formula gets a `'` in front, which reading takes away again.
    pub fn row(&mut self, cells: &[String]) -> Result<(), String> {
        let guarded = cells.iter().map(|cell| match cell.as_bytes().first() {
            Some(first) if begins_formula(*first) => format!("'{cell}"),
            _ => cell.clone(),
        });
        self.0.write_record(guarded).map_err(|error| cannot(&error))
    }

    /// Ends the table.
    pub fn finish(mut self) -> Result<(), String> {
        self.0.flush().map_err(|error| cannot(&error))
    }
}

/// A workbook. Rows go to the disk as they come; every cell is a text, so none is a formula.
pub struct Xlsx {
    book: Workbook,
    headers: Vec<String>,
    sheets: usize,
    at: u32,
    most: u32,
}

impl Xlsx {
    /// Begins a workbook.
    pub fn new(headers: &[String]) -> Result<Self, String> {
        Self::of_rows(headers, SHEET_ROWS_MAX)
    }

    fn of_rows(headers: &[String], most: u32) -> Result<Self, String> {
        let mut table = Self { book: Workbook::new(), headers: headers.to_vec(), sheets: 0, at: 0, most };
        table.next_sheet()?;
        Ok(table)
    }

    fn next_sheet(&mut self) -> Result<(), String> {
        let bold = Format::new().set_bold();
        self.book.add_worksheet_with_constant_memory().map_err(|error| cannot(&error))?;
        self.sheets += 1;
        self.at = 1;
        let headers = self.headers.clone();
        let sheet = self.sheet()?;
        for (column, header) in (0_u16..).zip(&headers) {
            sheet.write_string_with_format(0, column, cut(header), &bold).map_err(|error| cannot(&error))?;
        }
        Ok(())
    }

    fn sheet(&mut self) -> Result<&mut Worksheet, String> {
        self.book.worksheet_from_index(self.sheets - 1).map_err(|error: XlsxError| cannot(&error))
    }

    /// Writes a row, on a further sheet where one is full.
    pub fn row(&mut self, cells: &[String]) -> Result<(), String> {
        if self.at == self.most {
            self.next_sheet()?;
        }
        let row = self.at;
        let sheet = self.sheet()?;
        for (column, cell) in (0_u16..).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write_string(row, column, cut(cell)).map_err(|error| cannot(&error))?;
        }
        self.at += 1;
        Ok(())
    }

    /// Writes the file.
    pub fn finish(mut self, path: &Path) -> Result<(), String> {
        let place = path.display();
        let file = std::fs::File::create(path).map_err(|error| format!("{place}: cannot be written: {error}"))?;
        self.book.save_to_writer(BufWriter::new(file)).map_err(|error| format!("{place}: cannot be written: {error}"))
    }
}

fn cannot(error: &dyn std::fmt::Display) -> String {
    format!("cannot write: {error}")
}

fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        None => text.into(),
        Some(_) => text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{Options, rows_of};

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    const CELLS: [&[&str]; 3] = [&["=1+1", "+86138"], &["@SUM(A1)", "-5"], &["plain, \"quoted\"", "line\nbreak"]];

    #[test]
    fn nothing_in_a_csv_begins_a_formula_and_it_reads_back() {
        let mut bytes = Vec::new();
        let mut table = Csv::new(&mut bytes, &texts(&["姓名", "=cmd"])).unwrap();
        for row in CELLS {
            table.row(&texts(row)).unwrap();
        }
        table.finish().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("\u{feff}姓名,'=cmd\r\n'=1+1,'+86138\r\n'@SUM(A1),'-5\r\n"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, bytes).unwrap();
        let mut back = Vec::new();
        rows_of(&path, Options::default(), &mut |(_, row)| {
            let row = row.unwrap();
            back.push(row["姓名"].as_str().unwrap().to_owned());
            true
        })
        .unwrap();
        assert_eq!(back, CELLS.map(|row| row[0]));
    }

    #[test]
    fn a_full_sheet_is_followed_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xlsx");
        let mut table = Xlsx::of_rows(&texts(&["a", "b"]), 3).unwrap();
        for row in CELLS {
            table.row(&texts(row)).unwrap();
        }
        table.finish(&path).unwrap();
        assert_eq!(crate::workbook::sheets(&path).unwrap(), ["Sheet1", "Sheet2"]);
        let read = |sheet| {
            let mut told = Vec::new();
            rows_of(&path, Options { sheet: Some(sheet) }, &mut |(line, row)| {
                told.push(format!("{line}:{}", row.unwrap()));
                true
            })
            .unwrap();
            told.join(" ")
        };
        assert_eq!(read("Sheet1"), r#"2:{"a":"=1+1","b":"+86138"} 3:{"a":"@SUM(A1)","b":"-5"}"#);
        assert_eq!(read("Sheet2"), r#"2:{"a":"plain, \"quoted\"","b":"line\nbreak"}"#);
        assert_eq!(cut(&"长".repeat(CELL_CHARS_MAX + 1)).chars().count(), CELL_CHARS_MAX);
    }
}
