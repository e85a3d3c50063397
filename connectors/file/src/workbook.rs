//! Workbooks of Excel: one sheet, cell by cell, whatever the file says of its own size.

mod guard;

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use calamine::{DataRef, Reader as _, SheetType, Xlsx, XlsxCellReader, XlsxError};
use serde_json::Value;

use crate::read::{COLUMNS_MAX, Headers};

/// A whole number from here on has more digits than a spreadsheet keeps: Excel replaces those behind the fifteenth by
/// zeros when it stores the file.
const NUMBER_MAX: f64 = 1e15;

/// What is read of a sheet: the row's number, its cells as text, and the row; none for one without a value.
pub(crate) type Each<'a> = dyn FnMut(u64, &[String], Option<Result<Value, String>>) -> bool + 'a;

type Book = Xlsx<BufReader<std::fs::File>>;

fn open(path: &Path) -> Result<Book, String> {
    guard::check(path)?;
    let file = BufReader::new(crate::decode::open(path)?);
    let place = path.display();
    let book = guarded(|| Xlsx::new(file));
    book.and_then(|book| book.map_err(|error| error.to_string()))
        .map_err(|told| format!("{place}: not a workbook: {told}"))
}

/// The library counts on cell names that a spreadsheet writes: others end it, which must not end the program.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .map_err(|_| "its parts contradict each other".to_owned())
}

/// The names of the sheets that hold cells, in their order.
pub fn sheets(path: &Path) -> Result<Vec<String>, String> {
    let book = open(path)?;
    let sheets = book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    Ok(sheets.map(|sheet| sheet.name.clone()).collect())
}

/// The headers of a sheet.
pub(crate) fn headers(path: &Path, sheet: Option<&str>) -> Result<Vec<String>, String> {
    let mut names = None;
    walk(path, sheet, &mut |line: Line<'_>| {
        names = Some(line.headers.names());
        false
    })?;
    Ok(names.unwrap_or_default())
}

/// Hands over every row behind the headers, also one without a value.
pub(crate) fn rows(path: &Path, sheet: Option<&str>, each: &mut Each<'_>) -> Result<(), String> {
    walk(path, sheet, &mut |line: Line<'_>| {
        let Some(cells) = line.cells else { return true };
        let row = match line.wrong {
            Some(wrong) => Some(Err(wrong)),
            None if cells.len() > line.headers.count() => Some(Err(line.headers.too_many(cells.len()))),
            None => line.headers.row(cells.iter().map(String::as_str)).map(Ok),
        };
        each(line.number, cells, row)
    })
}

/// A row of the sheet; the first one has the headers and no cells.
struct Line<'a> {
    number: u64,
    headers: &'a Headers,
    cells: Option<&'a [String]>,
    wrong: Option<String>,
}

fn walk(path: &Path, sheet: Option<&str>, each: &mut dyn FnMut(Line<'_>) -> bool) -> Result<(), String> {
    let place = path.display().to_string();
    let mut book = open(path)?;
    let mut known = book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let name = match sheet {
        None => known.next().map(|sheet| sheet.name.clone()).ok_or(format!("{place}: the workbook has no sheet"))?,
        Some(name) if known.any(|sheet| sheet.name == name) => name.to_owned(),
        Some(name) => {
            let names: Vec<&str> = book.sheets_metadata().iter().map(|sheet| sheet.name.as_str()).collect();
            return Err(format!("{place}: no sheet is called `{name}`; there are: {}", names.join(", ")));
        }
    };
    let wrong = |told: String| format!("{place}: the sheet `{name}` cannot be read: {told}");
    let cells = guarded(|| book.worksheet_cells_reader(&name)).map_err(wrong)?;
    let mut rows = Rows { cells: cells.map_err(|error| wrong(error.to_string()))?, ahead: None, ended: false };
    let mut headers = None;
    let mut texts = Vec::new();
    while let Some((number, problem)) = rows.next(&mut texts).map_err(wrong)? {
        match &headers {
            None => {
                let headers = headers.insert(Headers::of(&place, texts.iter().map(String::as_str))?);
                if !each(Line { number, headers, cells: None, wrong: None }) {
                    return Ok(());
                }
            }
            Some(headers) => {
                if !each(Line { number, headers, cells: Some(&texts), wrong: problem }) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A cell as text, and what is wrong with it.
struct Filled {
    row: u32,
    column: u32,
    text: String,
    wrong: Option<&'static str>,
}

/// The rows of a sheet that hold something.
struct Rows<'a, R: Read + Seek> {
    cells: XlsxCellReader<'a, R>,
    /// The first cell of the next row.
    ahead: Option<Filled>,
    /// Whether the last cell was met: behind it, the reader would miss the end of the sheet.
    ended: bool,
}

impl<R: Read + Seek> Rows<'_, R> {
    /// The next row: its number, and what is wrong with one of its cells; the texts of the cells go into `texts`, empty
    /// ones at the end left out.
    fn next(&mut self, texts: &mut Vec<String>) -> Result<Option<(u64, Option<String>)>, String> {
        texts.clear();
        let (mut number, mut problem) = (None, None);
        while let Some(cell) = self.ahead.take().map_or_else(|| self.cell(), |cell| Ok(Some(cell)))? {
            if number.is_some_and(|number| number != cell.row) {
                self.ahead = Some(cell);
                break;
            }
            number = Some(cell.row);
            let at = usize::try_from(cell.column).unwrap_or(usize::MAX);
            if at >= COLUMNS_MAX {
                return Err(format!("more than {COLUMNS_MAX} columns; is this a table?"));
            }
            if texts.len() <= at {
                texts.resize(at + 1, String::new());
            }
            problem = problem.or(cell.wrong.map(|wrong| format!("column {}: {wrong}", at + 1)));
            texts[at] = cell.text;
        }
        Ok(number.map(|number| (u64::from(number) + 1, problem)))
    }

    /// The next cell that is not empty.
    fn cell(&mut self) -> Result<Option<Filled>, String> {
        while !self.ended {
            let cells = &mut self.cells;
            let read = guarded(|| cells.next_cell_with_style_id())?.map_err(|error: XlsxError| error.to_string())?;
            let Some((cell, style)) = read else {
                self.ended = true;
                break;
            };
            let (row, column) = cell.get_position();
            let (text, wrong) = self.text(cell.get_value(), style);
            if !text.is_empty() {
                return Ok(Some(Filled { row, column, text, wrong }));
            }
        }
        Ok(None)
    }

    /// A cell as a person sees it; a date as ISO.
    fn text(&self, value: &DataRef<'_>, style: usize) -> (String, Option<&'static str>) {
        match value {
            DataRef::Empty => (String::new(), None),
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => (text.clone(), None),
            DataRef::SharedString(text) => ((*text).to_owned(), None),
            DataRef::Bool(flag) => (flag.to_string(), None),
            DataRef::Int(number) => (number.to_string(), None),
            DataRef::Float(number) => {
                let lossy =
                    "a number of more than 15 digits, of which Excel keeps 15; make the cell text and type it anew";
                (self.digits(*number, style), (number.abs() >= NUMBER_MAX).then_some(lossy))
            }
            DataRef::DateTime(date) if date.is_datetime() => {
                let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
                let day = format!("{year:04}-{month:02}-{day:02}");
                if (hour, minute, second) == (0, 0, 0) {
                    (day, None)
                } else {
                    (format!("{day}T{hour:02}:{minute:02}:{second:02}"), None)
                }
            }
            DataRef::DateTime(duration) => (duration.to_string(), None),
            DataRef::Error(error) => (error.to_string(), Some("the cell holds an error of the spreadsheet")),
        }
    }

    /// A number; under a format of zeros (`000000`) with the zeros that a person sees in front.
    fn digits(&self, number: f64, style: usize) -> String {
        let text = number.to_string();
        let format = self.cells.styles().get(style).and_then(|style| style.number_format.as_ref());
        let code = format.map_or("", |format| format.format_code.as_str());
        let is_padded = code.len() > 1 && code.bytes().all(|byte| byte == b'0');
        if is_padded && text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{text:0>width$}", width = code.len())
        } else {
            text
        }
    }
}
