//! Per connection and field: which way values travel, and whose word counts. Part of `huiliu.toml`:
//! `[connections.erp.fields.customer]` `phones = 'in'`.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rules::Reader;
use crate::diagnose::{Diagnostic, suggest};
use crate::model::Model;
use crate::value::{EntityName, FieldName};

/// What a connection may do with one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// It says the field, and is written: what holds where nothing is stated.
    #[default]
    Both,
    /// It says the field, and is never written.
    In,
    /// It is written, and never says the field: where it holds something else, that is written over.
    Out,
    /// Neither.
    Off,
    /// As `both`, and while it has said anything no other connection's word wins; a field that it cleared is empty.
    Owns,
}

const WORDS: [&str; 5] = ["both", "in", "out", "off", "owns"];

impl Way {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "both" => Self::Both,
            "in" => Self::In,
            "out" => Self::Out,
            "off" => Self::Off,
            "owns" => Self::Owns,
            _ => return None,
        })
    }
}

/// The ways of one connection's fields. Empty: every field travels both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// By entity, then by field (`phones.work`) or family (`phones`).
    fields: BTreeMap<String, BTreeMap<String, Way>>,
}

/// A connection about which nothing is stated.
static NOTHING: Directions = Directions { fields: BTreeMap::new() };

impl Directions {
    /// Every field travels both ways.
    pub fn none() -> &'static Self {
        &NOTHING
    }

    /// Whether nothing is stated: most connections, so that nobody asks them field by field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The way of a field: its own, that of its family, or both.
    pub fn of(&self, entity: &str, field: &FieldName) -> Way {
        let fields = self.fields.get(entity);
        let stated = fields.and_then(|fields| fields.get(field.as_str()).or_else(|| fields.get(field.family())));
        stated.copied().unwrap_or_default()
    }

    /// Whether the connection's own word about this field is heard.
    pub fn says(&self, entity: &str, field: &FieldName) -> bool {
        self.is_empty() || matches!(self.of(entity, field), Way::Both | Way::In | Way::Owns)
    }

    /// Whether this field may be written there.
    pub fn takes(&self, entity: &str, field: &FieldName) -> bool {
        self.is_empty() || matches!(self.of(entity, field), Way::Both | Way::Out | Way::Owns)
    }

    /// Whether no other word wins against that of this connection.
    pub fn owns(&self, entity: &str, field: &FieldName) -> bool {
        !self.is_empty() && self.of(entity, field) == Way::Owns
    }

    /// Compiles what a `huiliu.toml` states under `[connections.NAME.fields.ENTITY]`, by connection.
    ///
    /// # Errors
    /// All mistakes found, each with its place: an entity or a field that the model lacks, a word that is none.
    pub fn parse_all(file: &str, text: &str, model: &Model) -> Result<BTreeMap<String, Self>, Vec<Diagnostic>> {
        let table = DeTable::parse(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut reader = Reader { file, text, model, mistakes: Vec::new() };
        let mut all = BTreeMap::new();
        let connections = table.get_ref().get("connections").and_then(|it| it.get_ref().as_table());
        for (name, connection) in connections.into_iter().flatten() {
            let Some(fields) = connection.get_ref().as_table().and_then(|it| it.get("fields")) else { continue };
            match fields.get_ref().as_table() {
                Some(entities) => drop(all.insert(name.get_ref().to_string(), reader.connection(entities))),
                None => reader.wrong(&fields.span(), "write a table: fields.customer.phones = \"in\""),
            }
        }
        reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if reader.mistakes.is_empty() { Ok(all) } else { Err(reader.mistakes) }
    }
}

impl Reader<'_> {
    fn connection(&mut self, entities: &DeTable<'_>) -> Directions {
        let mut directions = Directions::default();
        for (key, value) in entities {
            let entity = &**key.get_ref();
            if self.model.fields(entity).is_none() {
                let known = self.model.entities().map(EntityName::as_str);
                self.wrong(&key.span(), format!("unknown entity `{entity}`{}", suggest(entity, known)));
            } else if let Some(fields) = value.get_ref().as_table() {
                directions.fields.insert(entity.to_owned(), self.ways(entity, fields));
            } else {
                self.wrong(&value.span(), format!("write a table: fields.{entity}.FIELD = \"in\""));
            }
        }
        directions
    }

    fn ways(&mut self, entity: &str, fields: &DeTable<'_>) -> BTreeMap<String, Way> {
        let mut ways = BTreeMap::new();
        for (key, value) in fields {
            let name = &**key.get_ref();
            match value.get_ref().as_table() {
                // `phones.work = …` is a table in TOML: one label of a family.
                Some(labels) => {
                    for (label, value) in labels {
                        let name = format!("{name}.{}", label.get_ref());
                        self.way(entity, &name, &label.span(), value, &mut ways);
                    }
                }
                None => self.way(entity, name, &key.span(), value, &mut ways),
            }
        }
        ways
    }

    fn way(
        &mut self,
        entity: &str,
        name: &str,
        key: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        ways: &mut BTreeMap<String, Way>,
    ) {
        let is_family = self.model.fields(entity).and_then(|it| it.get(name)).is_some_and(|spec| spec.labelled);
        if let (false, Err(message)) = (is_family, self.model.field(entity, &name.into())) {
            return self.wrong(key, message);
        }
        let word = value.get_ref().as_str().unwrap_or("");
        match Way::parse(word) {
            Some(way) => drop(ways.insert(name.to_owned(), way)),
            None => {
                let hint = suggest(word, WORDS);
                self.wrong(&value.span(), format!("unknown way `{word}`{hint}; ways are {}", WORDS.join(", ")));
            }
        }
    }
}
