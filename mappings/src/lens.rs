//! A two-way mapping between a stream of one system and a canonical entity.

use serde_json::Value;

use crate::diagnose::Diagnostic;
use crate::model::Model;
use crate::value::{EntityName, Fields, Issue, MappedRecord};

/// One table of a mapping file, compiled to paths and steps.
#[derive(Clone, Debug)]
pub struct Lens {
    name: String,
    stream: String,
    entity: EntityName,
}

impl Lens {
    /// Compiles every lens of a mapping file (`mappings/systems/<system>.toml`); all mistakes at once.
    pub fn parse_file(_file: &str, _text: &str, _model: &Model) -> Result<Vec<Self>, Vec<Diagnostic>> {
        Ok(Vec::new())
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

    /// Whether a record that matches nobody makes a golden record (`create = false` in the file says no: the sender
    /// of a mail is not a customer by that alone).
    pub fn creates_golden(&self) -> bool {
        true
    }

    /// The record in canonical words, and what could not be mapped.
    pub fn map(&self, _body: &Value) -> (MappedRecord, Vec<Issue>) {
        (MappedRecord::default(), Vec::new())
    }

    /// What a record of this system ought to hold, given the golden fields: only fields that this lens writes, in the
    /// canonical form in which they would read back. A field the golden record does not have is null.
    pub fn project(&self, _golden: &Fields) -> Fields {
        Fields::new()
    }

    /// The vendor's JSON for exactly these canonical fields, nested as the vendor nests them.
    pub fn render(&self, _fields: &Fields) -> Value {
        Value::Null
    }
}
