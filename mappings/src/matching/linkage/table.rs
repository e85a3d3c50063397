//! The rows of a file, column by column, each distinct cell kept once.

use std::hint::black_box;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::block::{hash, mixed};
use super::columns::Kind;

/// The place of a value among the distinct values of its column; 0 is no value.
pub(super) type Id = u32;

/// Many short texts in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| &self[at])
    }

    fn clear(&mut self) {
        self.all.clear();
        self.ends.clear();
    }

    /// Reads where the texts are and then a letter of each, so that they are near when they are asked for: many waits for
    /// memory at once instead of one after the other.
    fn bring(&self, places: impl Iterator<Item = usize> + Clone) {
        let ends = places.clone().fold(0, |seen, at| seen ^ self.ends[at]);
        let letter = |at: usize| self.all.as_bytes().get(self.ends[at].wrapping_sub(1)).copied().unwrap_or_default();
        black_box((ends, places.fold(0, |seen, at| seen ^ letter(at))));
    }
}

impl std::ops::Index<usize> for Texts {
    type Output = str;

    fn index(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[at]]
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

/// Distinct values and which row bears which.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub ids: Vec<Id>,
    pub values: Texts,
    known: Known,
    /// Values of the next rows and their hashes, whose places are looked for together.
    waiting: (Texts, Vec<u64>),
}

impl Default for Column {
    fn default() -> Self {
        let values = Texts::from_iter([""]);
        Self { ids: Vec::new(), values, known: Known::default(), waiting: Default::default() }
    }
}

/// So many values are looked for together: what is read of them stays near until they are found.
const TOGETHER: usize = 256;

/// Where each of many distinct texts is, by a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(FxHashMap<u64, Id>);

/// Bytes of a text that fit into a number.
const NUMBER_BYTES: usize = 8;

/// No text has these bytes in UTF-8: what fills a number up, and what a number ends with that is not the text itself.
const FILL: u8 = 0xff;
const HASHED: u64 = 0xfe << 56;

impl Known {
    /// The place of a text, whose hash this is; or the number under which it is to be put.
    pub(super) fn find(&self, texts: &Texts, text: &str, hash: u64) -> Result<Id, u64> {
        if text.is_empty() {
            return Ok(0);
        }
        let mut number = Self::number(text, hash);
        // A number that is the text itself is nobody else's: there is no need to look at the text.
        let is_itself = text.len() <= NUMBER_BYTES;
        loop {
            match self.0.get(&number) {
                Some(id) if is_itself || texts[*id as usize] == *text => return Ok(*id),
                Some(_) => number = Self::hashed(number.wrapping_add(1)),
                None => return Err(number),
            }
        }
    }

    /// Puts a text under the number that was found for it.
    pub(super) fn put(&mut self, number: u64, id: Id) {
        self.0.insert(number, id);
    }

    /// Where a text may be that [`Self::find`] would look at.
    fn peek(&self, text: &str, hash: u64) -> Option<Id> {
        let id = self.0.get(&Self::number(text, hash)).copied();
        id.filter(|_| text.len() > NUMBER_BYTES)
    }

    fn number(text: &str, hash: u64) -> u64 {
        let mut own = [FILL; NUMBER_BYTES];
        match own.get_mut(..text.len()) {
            Some(bytes) => bytes.copy_from_slice(text.as_bytes()),
            None => return Self::hashed(hash),
        }
        u64::from_le_bytes(own)
    }

    fn hashed(number: u64) -> u64 {
        number & !(u64::from(FILL) << 56) | HASHED
    }
}

impl Column {
    /// Adds the value of a row, whose hash this is; it can be looked at when the column was settled.
    fn push(&mut self, value: &str, hash: u64) {
        self.waiting.0.push(value);
        self.waiting.1.push(hash);
        if self.waiting.1.len() == TOGETHER {
            self.settle();
        }
    }

    /// Finds or makes the places of the values that wait for it.
    fn settle(&mut self) {
        let (texts, hashes) = std::mem::take(&mut self.waiting);
        let found = texts.iter().zip(&hashes).filter_map(|(text, hash)| self.known.peek(text, *hash));
        let long: Vec<usize> = found.map(|id| id as usize).collect();
        self.values.bring(long.into_iter());
        for (text, hash) in texts.iter().zip(&hashes) {
            let id = self.id(text, *hash);
            self.ids.push(id);
        }
        self.waiting = (texts, hashes);
        self.waiting.0.clear();
        self.waiting.1.clear();
    }

    /// The place of a value, whose hash this is.
    fn id(&mut self, value: &str, hash: u64) -> Id {
        self.known.find(&self.values, value, hash).unwrap_or_else(|number| {
            let id = Id::try_from(self.values.len()).expect("fewer distinct values than rows");
            self.values.push(value);
            self.known.put(number, id);
            id
        })
    }

    /// The cell of a row.
    pub(super) fn get(&self, row: usize) -> &str {
        &self.values[self.ids[row] as usize]
    }
}

/// Rows to be compared: at most 2³² − 2 of them, all columns as text.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) kinds: Vec<Kind>,
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
    /// The column by which rows are put in order.
    lead: Option<usize>,
    pub(super) places: Vec<Place>,
    /// How the columns are read where a model was learned before; then none is left out for being empty.
    pub(super) shape: Option<Shape>,
}

/// What only many rows can show of how columns are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// The day stands before the month.
    pub is_day_first: bool,
    /// Of each column of telephone numbers, whether they are compared without area code.
    pub without_area: Vec<bool>,
    /// Whether given names and family names sound as in pinyin.
    pub in_pinyin: [bool; 2],
    /// Of each column of identifiers, whether they are numbers with a check character that is right as a rule.
    pub checked: Vec<bool>,
    /// Whether any address is written in Chinese.
    pub is_chinese: bool,
}

/// Where a row stands in an order that its contents alone decide: rows with the same lead, which are the likeliest to be
/// compared, stand together; rows that say the same are told apart by their own keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    lead: u64,
    contents: u64,
    key: u64,
}

/// Kinds of which records of one customer have the same value the most often.
const LEADS: [Kind; 6] = [Kind::FamilyName, Kind::FullName, Kind::Name, Kind::Email, Kind::Phone, Kind::GivenName];

impl Table {
    /// An empty table with a column of each kind, in the order of the cells of a row.
    pub fn new(kinds: &[Kind]) -> Self {
        let lead = LEADS.iter().find_map(|lead| kinds.iter().position(|kind| kind == lead));
        let columns = vec![Column::default(); kinds.len()];
        Self { kinds: kinds.to_vec(), columns, rows: 0, lead, places: Vec::new(), shape: None }
    }

    /// Adds a row. Cells that are missing at the end are empty; columns that are not compared are not kept.
    pub fn push<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        let mut cells = cells.into_iter();
        let mut place = Place::default();
        for (at, (kind, column)) in self.kinds.iter().zip(&mut self.columns).enumerate() {
            let cell = cells.next().unwrap_or_default().trim();
            match kind {
                Kind::Ignore => {}
                Kind::RecordId => place.key = hash(cell),
                _ => {
                    let hash = hash(cell);
                    column.push(cell, hash);
                    place.contents = mixed(place.contents, hash);
                    place.lead = if self.lead == Some(at) { hash } else { place.lead };
                }
            }
        }
        self.places.push(place);
        self.rows += 1;
        // Of a model that is known a row is judged as it comes.
        if self.shape.is_some() {
            self.settle();
        }
    }

    /// Puts the rows in an order that only depends on what they say, so that whatever is found does not depend on the order in
    /// which they came; returns the place at which each row of the new order was.
    pub(super) fn put_in_order(&mut self) -> Vec<u32> {
        self.settle();
        let places = std::mem::take(&mut self.places);
        let mut order: Vec<(Place, u32)> = places.into_iter().zip(0..).collect();
        order.sort_unstable();
        let order: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
        for column in self.columns.iter_mut().filter(|column| !column.ids.is_empty()) {
            column.ids = order.iter().map(|row| column.ids[*row as usize]).collect();
        }
        order
    }

    /// Finds the places of the values of rows that were added: before, the columns must not be looked at.
    pub(super) fn settle(&mut self) {
        self.columns.iter_mut().for_each(Column::settle);
    }

    /// Rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns of a kind that have something to say.
    pub(super) fn of(&self, kind: Kind) -> Vec<&Column> {
        let filled = |column: &&Column| column.values.len() > 1 || self.shape.is_some();
        self.kinds.iter().zip(&self.columns).filter(|(it, _)| **it == kind).map(|(_, it)| it).filter(filled).collect()
    }
}

/// Fewer rows than these are a part of a larger whole.
const ROWS_LEAST: u32 = 200;

/// Values in the form in which they are compared.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub ids: Vec<Id>,
    pub values: Texts,
    /// Rows that bear each value.
    pub counts: Vec<u32>,
    /// Rows that bear any.
    pub filled: u32,
}

impl Feature {
    /// A form of one column; each distinct cell is brought into form once, in the order of the rows.
    pub(super) fn of(column: &Column, form: impl Fn(&str) -> String) -> Self {
        let mut forms = Forms::of(column, form);
        let mut ids = Vec::with_capacity(column.ids.len());
        for cells in column.ids.chunks(TOGETHER) {
            let open = cells.iter().map(|cell| *cell as usize).filter(|cell| forms.ids[*cell] == OPEN);
            column.values.bring(open);
            ids.extend(cells.iter().map(|cell| forms.id(*cell as usize)));
        }
        Self::counted(ids, forms.values)
    }

    /// A form of whole rows.
    pub(super) fn of_rows(rows: usize, form: impl Fn(usize) -> String) -> Self {
        let mut forms = Column::default();
        for row in 0..rows {
            let value = form(row);
            forms.push(&value, hash(&value));
        }
        forms.settle();
        Self::counted(forms.ids, forms.values)
    }

    /// One form of all columns of a kind: of the one there is, or of their cells joined by blanks.
    pub(super) fn joined(rows: usize, columns: &[&Column], form: impl Fn(&str) -> String) -> Option<Self> {
        match columns {
            [] => None,
            [one] => Some(Self::of(one, form)),
            many => Some(Self::of_rows(rows, |row| {
                let cells = many.iter().map(|column| column.get(row));
                form(&cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" "))
            })),
        }
    }

    fn counted(ids: Vec<Id>, values: Texts) -> Self {
        let mut counts = vec![0; values.len()];
        for id in &ids {
            counts[*id as usize] += 1;
        }
        let filled = super::choose::number(ids.len()) - counts[0];
        Self { ids, values, counts, filled }
    }

    pub(super) fn has(&self, row: usize) -> bool {
        self.ids[row] != 0
    }

    pub(super) fn get(&self, row: usize) -> &str {
        &self.values[self.ids[row] as usize]
    }

    /// How common a value is among the rows that have any, 0 to 1. A few rows show nothing of how common it is: they count as
    /// some of many.
    pub(super) fn share(&self, id: Id) -> f64 {
        f64::from(self.counts[id as usize]) / self.enough()
    }

    /// The rows that a count is a share of.
    pub(super) fn enough(&self) -> f64 {
        f64::from(self.filled.max(ROWS_LEAST))
    }

    /// Both ids where both rows have a value.
    pub(super) fn pair(&self, a: usize, b: usize) -> Option<(Id, Id)> {
        let (x, y) = (self.ids[a], self.ids[b]);
        (x != 0 && y != 0).then_some((x, y))
    }
}

/// The distinct forms of a column's cells.
struct Forms<'a, F> {
    column: &'a Column,
    form: F,
    /// By the cell, [`OPEN`] for one that has no form yet.
    ids: Vec<Id>,
    values: Texts,
    /// Forms that no cell has as it is written.
    changed: Known,
}

const OPEN: Id = Id::MAX;

impl<'a, F: Fn(&str) -> String> Forms<'a, F> {
    fn of(column: &'a Column, form: F) -> Self {
        let ids = vec![OPEN; column.values.len()];
        Self { column, form, ids, values: Texts::from_iter([""]), changed: Known::default() }
    }

    /// The form of a cell. Most cells are written in their form, and the form of another that is one of them is its form.
    fn id(&mut self, cell: usize) -> Id {
        if self.ids[cell] == OPEN {
            let text = &self.column.values[cell];
            let value = (self.form)(text);
            self.ids[cell] = if value == *text { self.add(&value) } else { self.changed(&value) };
        }
        self.ids[cell]
    }

    fn changed(&mut self, value: &str) -> Id {
        let hash = hash(value);
        if let Ok(twin) = self.column.known.find(&self.column.values, value, hash) {
            let twin = twin as usize;
            if self.ids[twin] == OPEN && (self.form)(value) == value {
                self.ids[twin] = self.add(value);
            }
            if self.ids[twin] != OPEN && self.values[self.ids[twin] as usize] == *value {
                return self.ids[twin];
            }
        }
        self.changed.find(&self.values, value, hash).unwrap_or_else(|number| {
            let id = self.add(value);
            self.changed.put(number, id);
            id
        })
    }

    fn add(&mut self, value: &str) -> Id {
        if value.is_empty() {
            return 0;
        }
        self.values.push(value);
        super::choose::number(self.values.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(cells: &[String]) -> Column {
        let mut column = Column::default();
        for cell in cells {
            column.push(cell, hash(cell));
        }
        column.settle();
        column
    }

    /// Each text under the number of the first of its like, the empty one under 0.
    fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Id> {
        let mut known = vec![""];
        let of = |text: &'a str| {
            let at = known.iter().position(|it| *it == text);
            at.unwrap_or_else(|| {
                known.push(text);
                known.len() - 1
            })
        };
        texts.map(of).map(crate::matching::linkage::choose::number).collect()
    }

    proptest! {
        #[test]
        fn values_of_any_length_are_known_again(cells in prop::collection::vec("[a\0李]{0,5}(bbbbb)?", 0..200)) {
            let column = column(&cells);
            prop_assert_eq!(&column.ids, &numbered(cells.iter().map(String::as_str)));
            prop_assert!(cells.iter().enumerate().all(|(row, cell)| column.get(row) == cell));
        }

        // One form is its own form, the other is not.
        #[test]
        fn forms_are_numbered_as_they_come(cells in prop::collection::vec("[aAb]{0,4}", 0..100)) {
            for form in [|cell: &str| cell.to_lowercase(), |cell: &str| cell.replace("aa", "a").replace('A', "aa")] {
                let (forms, found): (Vec<String>, _) = (cells.iter().map(|it| form(it)).collect(), Feature::of(&column(&cells), form));
                prop_assert_eq!(&found.ids, &numbered(forms.iter().map(String::as_str)));
                prop_assert!(forms.iter().enumerate().all(|(row, form)| found.get(row) == form));
            }
        }
    }
}
