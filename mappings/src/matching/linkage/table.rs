//! The rows of a file, column by column, each distinct cell kept once.

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
    /// The place of a value by its hash, or by the next number that is free.
    known: FxHashMap<u64, Id>,
}

impl Default for Column {
    fn default() -> Self {
        Self { ids: Vec::new(), values: Texts::from_iter([""]), known: FxHashMap::default() }
    }
}

impl Column {
    pub(super) fn push(&mut self, value: &str) {
        let id = self.id(value, hash(value));
        self.ids.push(id);
    }

    /// The place of a value, whose hash this is.
    fn id(&mut self, value: &str, mut hash: u64) -> Id {
        if value.is_empty() {
            return 0;
        }
        loop {
            match self.known.get(&hash) {
                Some(id) if self.values[*id as usize] == *value => return *id,
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let id = Id::try_from(self.values.len()).expect("fewer distinct values than rows");
        self.values.push(value);
        self.known.insert(hash, id);
        id
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
                    let id = column.id(cell, hash);
                    column.ids.push(id);
                    place.contents = mixed(place.contents, hash);
                    place.lead = if self.lead == Some(at) { hash } else { place.lead };
                }
            }
        }
        self.places.push(place);
        self.rows += 1;
    }

    /// Puts the rows in an order that only depends on what they say, so that whatever is found does not depend on the order in
    /// which they came; returns the place at which each row of the new order was.
    pub(super) fn put_in_order(&mut self) -> Vec<u32> {
        let places = std::mem::take(&mut self.places);
        let mut order: Vec<(Place, u32)> = places.into_iter().zip(0..).collect();
        order.sort_unstable();
        let order: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
        for column in self.columns.iter_mut().filter(|column| !column.ids.is_empty()) {
            column.ids = order.iter().map(|row| column.ids[*row as usize]).collect();
        }
        order
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
        const OPEN: Id = Id::MAX;
        let mut forms = Column::default();
        let mut by_cell: Vec<Id> = vec![OPEN; column.values.len()];
        let mut id = |cell: &Id| {
            let known = &mut by_cell[*cell as usize];
            if *known == OPEN {
                let value = form(&column.values[*cell as usize]);
                *known = forms.id(&value, hash(&value));
            }
            *known
        };
        let ids = column.ids.iter().map(&mut id).collect();
        Self::counted(ids, forms.values)
    }

    /// A form of whole rows.
    pub(super) fn of_rows(rows: usize, form: impl Fn(usize) -> String) -> Self {
        let mut forms = Column::default();
        for row in 0..rows {
            forms.push(&form(row));
        }
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
