//! A two-way mapping between a stream of one system and a canonical entity.
//!
//! [`parse`] compiles a file to rules, [`read`] makes canonical fields of a record, [`write`] makes a record's JSON of
//! canonical fields, and [`laws`] says what must hold between the two. [`places`] names where a lens reads, [`pick`]
//! takes just that out of a record's text, [`schema`] describes the files for editors.

pub mod laws;
pub mod parse;
pub mod path;
pub mod pick;
pub mod places;
pub mod read;
pub mod schema;
pub mod write;

use serde_json::Value;

use crate::diagnose::Diagnostic;
use crate::model::{FieldSpec, FieldType, Model};
use crate::normalize::{Options, Problem};
use crate::value::{EntityName, FieldName, Fields, IdentityKind, Issue, MappedRecord};
use path::Path;

/// One table of a mapping file, compiled to paths and steps.
#[derive(Clone, Debug)]
pub struct Lens {
    name: String,
    stream: String,
    entity: EntityName,
    creates: bool,
    only: Option<Path>,
    heir: Option<IdentityKind>,
    fields: Vec<FieldRule>,
    identities: Vec<IdentityRule>,
    references: Vec<ReferenceRule>,
    places: Vec<places::Place>,
    wanted: pick::Wanted,
}

/// Which way a field travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Read only.
    In,
    /// Written only.
    Out,
    /// Both.
    Both,
}

/// What a record means by a place that holds no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    /// A mistake of the record's.
    Issue,
    /// No opinion.
    Absent,
    /// There is no value any more.
    Cleared,
}

/// How a value that is there no more is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clear {
    /// As null.
    Null,
    /// As an empty text.
    Empty,
    /// Not at all: the system keeps what it holds.
    Leave,
}

#[derive(Clone, Debug)]
struct FieldRule {
    field: FieldName,
    kind: FieldType,
    from: Option<Path>,
    to: Option<Path>,
    constant: Option<Value>,
    currency_from: Option<Path>,
    options: Options,
    /// Empty: every text is taken as it is.
    words: Vec<Word>,
    direction: Direction,
    item: Option<Path>,
    limit: Option<usize>,
    /// What it means that the place is not there.
    absent: Blank,
    /// What null means.
    null: Blank,
    /// What an empty text means.
    empty: Blank,
    clear: Option<Clear>,
    /// The vendor's word for no value.
    nothing: Option<Value>,
    number: bool,
    each: Vec<FieldRule>,
}

/// A canonical word and the vendor's words for it, as texts and as JSON: all are read, the first is written.
#[derive(Clone, Debug)]
struct Word {
    canonical: String,
    vendors: Vec<(String, Value)>,
}

#[derive(Clone, Debug)]
struct IdentityRule {
    kind: IdentityKind,
    form: FieldType,
    from: Path,
    item: Option<Path>,
    scope: Option<Path>,
    nothing: Option<Value>,
    options: Options,
}

#[derive(Clone, Debug)]
enum ReferenceRule {
    Record { lens: String, from: Path, nothing: Option<Value> },
    Identity(IdentityRule),
}

impl Lens {
    /// Compiles every lens of a mapping file (`mappings/systems/<system>.toml`); all mistakes at once.
    pub fn parse_file(file: &str, text: &str, model: &Model) -> Result<Vec<Self>, Vec<Diagnostic>> {
        parse::file(file, text, model)
    }

    /// The table's name in the file: the stream, unless several lenses read one stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream whose records it reads and writes.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The canonical entity.
    pub fn entity(&self) -> &EntityName {
        &self.entity
    }

    /// Whether a record that matches nobody makes a golden record (`create = false` in the file says no).
    pub fn creates_golden(&self) -> bool {
        self.creates
    }

    /// Whether a record is one of this lens. Several may read one stream: an order's buyer is a customer of its own only
    /// where the order names no other (`only` in the file).
    pub fn reads(&self, body: &Value) -> bool {
        let Some(only) = &self.only else { return true };
        only.get(body).is_some_and(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        })
    }

    /// The identity by which a record is known to take the place of one that goes (`heir` in the file).
    pub fn heir(&self) -> Option<&IdentityKind> {
        self.heir.as_ref()
    }

    /// The canonical fields that can be written to the system.
    pub fn writable_fields(&self) -> impl Iterator<Item = &FieldName> {
        self.fields.iter().filter(|rule| rule.writes()).map(|rule| &rule.field)
    }

    /// The canonical fields that are points in time.
    pub fn instants(&self) -> impl Iterator<Item = &FieldName> {
        self.fields.iter().filter(|rule| rule.kind == FieldType::Instant).map(|rule| &rule.field)
    }

    /// The type of a field that it reads or writes.
    pub fn kind(&self, field: &FieldName) -> Option<FieldType> {
        self.fields.iter().find(|rule| rule.field == *field).map(|rule| rule.kind)
    }

    /// The canonical fields that are read from what this pointer leads to.
    pub fn fields_from(&self, pointer: &str) -> impl Iterator<Item = &FieldName> {
        let wanted = Path::parse(pointer).ok();
        let reads = move |from: &Path| wanted.as_ref().is_some_and(|wanted| wanted.covers(from));
        let rules = self.fields.iter().filter(move |rule| rule.from.as_ref().is_some_and(&reads));
        rules.map(|rule| &rule.field)
    }

    /// A value that a person gives for a field, in the field's canonical form; null stays null. None: the lens does not
    /// know the field.
    pub fn canonical(&self, field: &FieldName, given: &Value) -> Option<Result<Value, Problem>> {
        self.fields.iter().find(|rule| rule.field == *field).map(|rule| read::given(rule, given))
    }

    /// Pointers of the values that are read at one place and written at another: from, to.
    pub fn moved(&self) -> impl Iterator<Item = (String, String)> {
        let both = self
            .fields
            .iter()
            .filter(|rule| rule.writes())
            .filter_map(|rule| Some((rule.from.as_ref()?, rule.to.as_ref()?)));
        both.filter(|(from, to)| from != to).map(|(from, to)| (from.to_string(), to.to_string()))
    }

    /// Pointers of the values that are words of the system's own.
    pub fn worded(&self) -> impl Iterator<Item = String> {
        self.fields
            .iter()
            .filter(|rule| !rule.words.is_empty())
            .filter_map(|rule| Some(rule.from.as_ref()?.to_string()))
    }

    /// Of a record in JSON, all that this lens reads: it maps, and shows at every place of the lens, what the whole record
    /// would. What else it holds is passed over.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn pick(&self, body: &[u8]) -> serde_json::Result<Value> {
        self.wanted.pick(body)
    }

    /// The record in canonical words, and what could not be mapped.
    pub fn map(&self, body: &Value) -> (MappedRecord, Vec<Issue>) {
        read::map(self, body)
    }

    /// What a record of this system ought to hold, given the golden fields: only fields that this lens writes, in the
    /// canonical form in which they would read back. A field the golden record does not have is null.
    pub fn project(&self, golden: &Fields) -> Fields {
        write::project(self, golden)
    }

    /// What a record that holds these canonical fields shows, as far as this lens can tell: the vendor's JSON at the
    /// places where the written fields are read. It may be spelled otherwise there.
    pub fn show(&self, fields: &Fields) -> Value {
        write::show(self, fields)
    }

    /// The vendor's JSON for exactly these canonical fields, nested as the vendor nests them.
    pub fn render(&self, fields: &Fields) -> Value {
        write::render(self, fields)
    }
}

impl FieldRule {
    /// A rule that reads and writes nothing yet.
    fn new(name: &str, spec: &FieldSpec) -> Self {
        let same = |word: &String| Word {
            canonical: word.clone(),
            vendors: vec![(word.clone(), Value::String(word.clone()))],
        };
        Self {
            field: name.into(),
            kind: spec.kind,
            from: None,
            to: None,
            constant: None,
            currency_from: None,
            options: Options::default(),
            words: spec.values.iter().map(same).collect(),
            direction: Direction::Both,
            item: None,
            limit: None,
            absent: Blank::Absent,
            null: Blank::Cleared,
            empty: Blank::Issue,
            clear: None,
            nothing: None,
            number: false,
            each: Vec::new(),
        }
    }

    fn writes(&self) -> bool {
        self.direction != Direction::In && self.to.is_some()
    }
}
