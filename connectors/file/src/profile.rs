//! How good the data of a file is: gaps, distinct values, bad formats, rows that name the same person twice.
//!
//! One pass, in memory that does not grow with the file: values are counted by sketches, identities by their hashes.
//! Nothing that a person wrote is repeated; rows are named by their places.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use huiliu_mappings::lens::Lens;
use serde::Serialize;
use serde_json::Value;

/// Places that are named of each finding: enough to look at, few enough to read.
const SAMPLE_ROWS: usize = 5;

/// Hashes that all columns keep together, about 12 bytes each: a column of a file with a hundred of them counts exactly up
/// to four thousand distinct values, and within two percent above.
const HASHES_MAX: usize = 400_000;

/// A column never keeps more hashes than this, nor fewer than [`COLUMN_HASHES_MIN`].
const COLUMN_HASHES_MAX: usize = 4096;

/// So few hashes still tell a number of distinct values within an eighth.
const COLUMN_HASHES_MIN: usize = 64;

/// Identities that are remembered, 16 bytes each: four of every row of a million. Rows behind are not compared.
const IDENTITIES_MAX: usize = 4_000_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows with a value.
    pub rows: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// Where the first of them stand.
    pub unreadable_rows: Vec<u64>,
    /// The columns in their order.
    pub columns: Vec<Column>,
    /// Rows that name somebody whom an earlier row names too, by kind of identity; `key` is the column that names a row.
    pub duplicates: Vec<Duplicates>,
    /// Whether every row was compared with the others; else only those before the memory for identities was full.
    pub compared_all: bool,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its header.
    pub name: String,
    /// Rows with a value there.
    pub filled: u64,
    /// How many different values there are.
    pub distinct: u64,
    /// Whether `distinct` is exact; else it is an estimate.
    pub distinct_is_exact: bool,
    /// The fields that the mapping makes of it.
    pub fields: Vec<String>,
    /// Values that the mapping cannot read.
    pub bad: Vec<Bad>,
}

/// Values of one column that the mapping cannot read, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// The type of the field: `phone`, `email`, `date`, `tax_id`, …
    pub kind: String,
    /// What is wrong, as a word: `not_a_phone`, …
    pub code: String,
    /// How many rows have it.
    pub count: u64,
    /// Where the first of them stand.
    pub rows: Vec<u64>,
}

/// Rows that share an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// `email`, `phone`, `tax_id`, …; `key` is the column that names a row.
    pub kind: String,
    /// Values that more than one row has.
    pub values: u64,
    /// Rows that have a value which an earlier row has.
    pub rows: u64,
    /// The places of the first rows that share a value.
    pub samples: Vec<Vec<u64>>,
}

/// What is known so far.
pub struct Profile<'a> {
    lenses: Vec<&'a Lens>,
    key: Option<&'a str>,
    rows: u64,
    unreadable: u64,
    unreadable_rows: Vec<u64>,
    columns: Vec<Seen>,
    by_name: HashMap<String, usize>,
    kinds: Vec<String>,
    /// Kind, hash of the value, row.
    identities: Vec<(u8, u64, u32)>,
    compared_all: bool,
    sketch: usize,
}

struct Seen {
    name: String,
    filled: u64,
    sketch: Sketch,
    fields: BTreeSet<String>,
    bad: BTreeMap<(String, String), (u64, Vec<u64>)>,
}

impl<'a> Profile<'a> {
    /// Begins with the headers of the file, the lenses that read its rows, and the column that names a row.
    pub fn new(headers: &[String], lenses: Vec<&'a Lens>, key: Option<&'a str>) -> Self {
        let sketch = (HASHES_MAX / headers.len().max(1)).clamp(COLUMN_HASHES_MIN, COLUMN_HASHES_MAX);
        let mut profile = Self {
            lenses,
            key,
            rows: 0,
            unreadable: 0,
            unreadable_rows: Vec::new(),
            columns: Vec::new(),
            by_name: HashMap::new(),
            kinds: Vec::new(),
            identities: Vec::new(),
            compared_all: true,
            sketch,
        };
        for header in headers {
            profile.column(header);
        }
        profile
    }

    /// Takes in a row that could not be read.
    pub fn unreadable(&mut self, at: u64) {
        self.unreadable += 1;
        note(&mut self.unreadable_rows, at);
    }

    /// Takes in a row.
    pub fn row(&mut self, at: u64, row: &Value) {
        self.rows += 1;
        for (name, value) in row.as_object().into_iter().flatten().filter(|(_, value)| !is_empty(value)) {
            let place = self.column(name);
            let hash = match value {
                Value::String(text) => hash(text),
                other => hash(&other.to_string()),
            };
            let column = &mut self.columns[place];
            column.filled += 1;
            column.sketch.add(hash);
        }
        for lens in self.lenses.clone() {
            let (mapped, issues) = lens.map(row);
            for issue in issues {
                let Some(place) = column_of(&issue.at).and_then(|name| self.by_name.get(&name).copied()) else {
                    continue;
                };
                let kind = lens.kind(&issue.field).map_or("", |kind| kind.word()).to_owned();
                let bad = self.columns[place].bad.entry((kind, issue.code)).or_default();
                bad.0 += 1;
                note(&mut bad.1, at);
            }
            for identity in &mapped.identities {
                self.identity(identity.kind.as_str(), &identity.value, at);
            }
        }
        if let Some(Value::String(id)) = self.key.and_then(|key| row.get(key)) {
            self.identity("key", id.trim(), at);
        }
    }

    fn column(&mut self, name: &str) -> usize {
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        let path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let fields = self.lenses.iter().flat_map(|lens| lens.fields_from(&path)).map(|it| it.as_str().to_owned());
        let (fields, sketch) = (fields.collect(), Sketch { kept: BTreeSet::new(), most: self.sketch });
        self.columns.push(Seen { name: name.to_owned(), filled: 0, sketch, fields, bad: BTreeMap::new() });
        self.by_name.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    fn identity(&mut self, kind: &str, value: &str, at: u64) {
        if self.identities.len() == IDENTITIES_MAX {
            self.compared_all = false;
            return;
        }
        let known = self.kinds.iter().position(|it| it == kind);
        let place = known.unwrap_or_else(|| {
            self.kinds.push(kind.to_owned());
            self.kinds.len() - 1
        });
        let row = u32::try_from(at).unwrap_or(u32::MAX);
        self.identities.push((u8::try_from(place).unwrap_or(u8::MAX), hash(value), row));
    }

    /// Sums up.
    pub fn finish(self) -> Report {
        let duplicates = duplicates(&self.kinds, self.identities);
        let columns = self.columns.into_iter().map(|column| {
            let (distinct, distinct_is_exact) = column.sketch.count();
            // An estimate may be above what there is.
            let distinct = distinct.min(column.filled);
            let bad = column.bad.into_iter().map(|((kind, code), (count, rows))| Bad { kind, code, count, rows });
            Column {
                name: column.name,
                filled: column.filled,
                distinct,
                distinct_is_exact,
                fields: column.fields.into_iter().collect(),
                bad: bad.collect(),
            }
        });
        Report {
            rows: self.rows,
            unreadable: self.unreadable,
            unreadable_rows: self.unreadable_rows,
            columns: columns.collect(),
            duplicates,
            compared_all: self.compared_all,
        }
    }
}

fn note(rows: &mut Vec<u64>, at: u64) {
    if rows.len() < SAMPLE_ROWS {
        rows.push(at);
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// The column that a pointer leads into.
fn column_of(pointer: &str) -> Option<String> {
    let first = pointer.strip_prefix('/')?.split('/').next()?;
    Some(first.replace("~1", "/").replace("~0", "~"))
}

/// The same value has the same hash in every run.
fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

/// Groups of rows by kind, the values of the first rows first.
fn duplicates(kinds: &[String], mut identities: Vec<(u8, u64, u32)>) -> Vec<Duplicates> {
    identities.sort_unstable();
    identities.dedup();
    let none = |kind: &String| Duplicates { kind: kind.clone(), values: 0, rows: 0, samples: Vec::new() };
    let mut found: Vec<Duplicates> = kinds.iter().map(none).collect();
    for group in identities.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|group| group.len() > 1) {
        let Some(of_kind) = found.get_mut(usize::from(group[0].0)) else { continue };
        of_kind.values += 1;
        of_kind.rows += group.len() as u64 - 1;
        let rows: Vec<u64> = group.iter().take(SAMPLE_ROWS).map(|(_, _, row)| u64::from(*row)).collect();
        let place = of_kind.samples.partition_point(|known| *known < rows);
        of_kind.samples.insert(place, rows);
        of_kind.samples.truncate(SAMPLE_ROWS);
    }
    found.retain(|one| one.values > 0);
    found
}

/// Counts distinct hashes by keeping the smallest of them: up to their number the count is exact, above it follows from
/// how densely they lie.
struct Sketch {
    kept: BTreeSet<u64>,
    most: usize,
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        if self.kept.len() < self.most {
            self.kept.insert(hash);
        } else if self.kept.last().is_some_and(|last| hash < *last) && self.kept.insert(hash) {
            self.kept.pop_last();
        }
    }

    /// The count, and whether it is exact.
    fn count(&self) -> (u64, bool) {
        let kept = self.kept.len();
        match self.kept.last() {
            Some(last) if kept == self.most => {
                let count = (kept as u128 - 1) * (1_u128 << 64) / u128::from((*last).max(1));
                (u64::try_from(count).unwrap_or(u64::MAX), false)
            }
            _ => (kept as u64, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huiliu_mappings::model::Model;
    use serde_json::json;

    #[test]
    fn gaps_bad_formats_and_duplicates_are_found() {
        let mapping = "[rows]\nentity = 'customer'\n[rows.identities]\nphone = { from = '/手机', normalize = 'phone' }\n\
                       [rows.fields]\nphones.main = '/手机'\nemails.main = '/邮箱'\nbirth_date = '/生日'\n";
        let lenses = Lens::parse_file("m.toml", mapping, &Model::shipped()).unwrap();
        let headers = ["编号", "手机", "邮箱", "生日", "空"].map(str::to_owned);
        let mut profile = Profile::new(&headers, lenses.iter().collect(), Some("编号"));
        profile.row(2, &json!({"编号": "1", "手机": "13800138000", "邮箱": "li@example.com"}));
        profile.row(3, &json!({"编号": "2", "手机": "+86 138-0013-8000", "邮箱": "li at example"}));
        profile.row(4, &json!({"编号": "1", "手机": "12", "生日": "31.31.2020"}));
        profile.unreadable(5);
        let report = profile.finish();
        assert_eq!((report.rows, report.unreadable, report.unreadable_rows), (3, 1, vec![5]));
        let column = |name: &str| report.columns.iter().find(|it| it.name == name).unwrap();
        let names: Vec<&str> = report.columns.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, headers);
        assert_eq!((column("手机").filled, column("手机").distinct, column("手机").distinct_is_exact), (3, 3, true));
        assert_eq!((column("邮箱").filled, column("空").filled), (2, 0));
        let bad = |name: &str| {
            column(name).bad.iter().map(|it| (it.kind.as_str(), it.count, it.rows.clone())).collect::<Vec<_>>()
        };
        assert_eq!(bad("手机"), [("phone", 1, vec![4])]);
        assert_eq!(bad("邮箱"), [("email", 1, vec![3])]);
        assert_eq!(bad("生日"), [("date", 1, vec![4])]);
        assert_eq!(column("手机").fields, ["phones.main"]);
        let twice = |kind: &str| report.duplicates.iter().find(|it| it.kind == kind).unwrap().samples.clone();
        assert_eq!(twice("phone"), [vec![2, 3]], "two spellings of one number");
        assert_eq!(twice("key"), [vec![2, 4]]);
        assert!(report.compared_all);
    }

    #[test]
    fn many_values_are_counted_within_a_few_percent() {
        let mut sketch = Sketch { kept: BTreeSet::new(), most: COLUMN_HASHES_MAX };
        for round in 0..2 {
            for number in 0..200_000 {
                sketch.add(hash(&format!("value {number}")));
            }
            let (count, is_exact) = sketch.count();
            assert!(!is_exact && count.abs_diff(200_000) < 10_000, "round {round}: {count}");
        }
        assert_eq!(sketch.kept.len(), COLUMN_HASHES_MAX, "memory does not grow");
    }

    #[test]
    fn a_full_memory_for_identities_is_told() {
        let mut profile = Profile::new(&[], Vec::new(), Some("id"));
        for at in 0..=IDENTITIES_MAX as u64 {
            profile.identity("key", "1", at);
        }
        assert!(!profile.finish().compared_all);
    }
}
