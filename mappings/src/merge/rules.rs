//! `rules/survive.toml`, checked against the model and compiled.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnose::{Diagnostic, suggest};
use crate::model::{FieldSpec, FieldType, Model};
use crate::value::{EntityName, FieldName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    Prefer(String),
    MostRecent,
    First,
    Longest,
    Union,
    MostFrequent,
    Max,
    Min,
}

const WORDS: [&str; 8] = ["most_recent", "first", "longest", "union", "most_frequent", "max", "min", "prefer:NAME"];

impl Strategy {
    pub(super) fn word(&self) -> Cow<'static, str> {
        match self {
            Self::Prefer(name) => Cow::Owned(format!("prefer:{name}")),
            Self::MostRecent => Cow::Borrowed("most_recent"),
            Self::First => Cow::Borrowed("first"),
            Self::Longest => Cow::Borrowed("longest"),
            Self::Union => Cow::Borrowed("union"),
            Self::MostFrequent => Cow::Borrowed("most_frequent"),
            Self::Max => Cow::Borrowed("max"),
            Self::Min => Cow::Borrowed("min"),
        }
    }

    /// Whether it finds a winner wherever there is a value: what follows it is never asked.
    fn always_decides(&self) -> bool {
        matches!(self, Self::MostRecent | Self::First | Self::Longest | Self::Union)
    }

    fn parse(word: &str) -> Result<Self, String> {
        match (word, word.strip_prefix("prefer:").map(str::trim)) {
            ("most_recent", _) => Ok(Self::MostRecent),
            ("first", _) => Ok(Self::First),
            ("longest", _) => Ok(Self::Longest),
            ("union", _) => Ok(Self::Union),
            ("most_frequent", _) => Ok(Self::MostFrequent),
            ("max", _) => Ok(Self::Max),
            ("min", _) => Ok(Self::Min),
            (_, Some("")) => Err("`prefer:` needs the name of a connection or a connector: `prefer:erp`".to_owned()),
            (_, Some(name)) => Ok(Self::Prefer(name.to_owned())),
            _ => Err(format!("unknown strategy `{word}`{}; strategies are {}", suggest(word, WORDS), WORDS.join(", "))),
        }
    }
}

/// The text of the rules that ship with the hub.
pub const SHIPPED: &str = include_str!("../../rules/survive.toml");

/// Survivorship rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    default: Vec<Strategy>,
    /// By entity, then by field (`phones.work`) or family (`phones`).
    fields: BTreeMap<String, BTreeMap<String, Vec<Strategy>>>,
}

impl Rules {
    /// The rules that ship with the hub.
    pub fn shipped() -> Self {
        // The shipped file is part of the program and parsed by a test.
        Self::parse("survive.toml", SHIPPED, &Model::shipped())
            .unwrap_or_else(|_| Self { default: vec![Strategy::MostRecent], fields: BTreeMap::new() })
    }

    /// Compiles a rules file: `default = […]`, and a table per entity with strategies by field, by family, or by one
    /// label of a family. A single strategy may stand without brackets.
    ///
    /// # Errors
    /// All mistakes found, each with its place: an entity or field that the model lacks, an unknown strategy, one that
    /// cannot be reached, a union of what has one value.
    pub fn parse(file: &str, text: &str, model: &Model) -> Result<Self, Vec<Diagnostic>> {
        let table = DeTable::parse(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut reader = Reader { file, text, model, mistakes: Vec::new() };
        let mut rules = Self { default: vec![Strategy::MostRecent], fields: BTreeMap::new() };
        for (key, value) in table.get_ref() {
            let entity = &**key.get_ref();
            if entity == "default" {
                rules.default = reader.strategies(value);
            } else if model.fields(entity).is_none() {
                let known = model.entities().map(EntityName::as_str).chain(["default"]);
                reader.wrong(&key.span(), format!("unknown entity `{entity}`{}", suggest(entity, known)));
            } else if let Some(fields) = value.get_ref().as_table() {
                rules.fields.insert(entity.to_owned(), reader.entity(entity, fields));
            } else {
                reader.wrong(&value.span(), format!("write a table [{entity}] with strategies by field"));
            }
        }
        if reader.mistakes.is_empty() { Ok(rules) } else { Err(reader.mistakes) }
    }

    /// The connections and connectors that the rules prefer, so that a deployment can be told of names it lacks.
    pub fn preferred(&self) -> BTreeSet<&str> {
        let all = self.fields.values().flat_map(BTreeMap::values).chain([&self.default]).flatten();
        all.filter_map(|it| if let Strategy::Prefer(name) = it { Some(name.as_str()) } else { None }).collect()
    }

    /// The strategies of a field, as the file writes them.
    pub fn words(&self, entity: &str, field: &FieldName) -> Vec<String> {
        self.of(entity, field).iter().map(|strategy| strategy.word().into_owned()).collect()
    }

    /// Whether everything that anybody says of a field is put together.
    pub fn unites(&self, entity: &str, field: &FieldName) -> bool {
        self.of(entity, field).first() == Some(&Strategy::Union)
    }

    pub(super) fn of(&self, entity: &str, field: &FieldName) -> &[Strategy] {
        let fields = self.fields.get(entity);
        let stated = fields.and_then(|fields| fields.get(field.as_str()).or_else(|| fields.get(field.family())));
        stated.unwrap_or(&self.default)
    }
}

/// Reads a file of rules, and collects its mistakes.
pub(super) struct Reader<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub model: &'a Model,
    pub mistakes: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub fn wrong(&mut self, place: &Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Diagnostic::at(self.file, self.text, place, message));
    }

    fn entity(&mut self, entity: &str, fields: &DeTable<'_>) -> BTreeMap<String, Vec<Strategy>> {
        let mut rules = BTreeMap::new();
        for (field, value) in fields {
            let name = &**field.get_ref();
            let family = name.split('.').next().unwrap_or(name);
            let known = self.model.fields(entity);
            let Some(spec) = known.and_then(|known| known.get(family)).cloned() else {
                let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                let message = format!("`{entity}` has no field `{family}`{}", suggest(family, names));
                self.wrong(&field.span(), message);
                continue;
            };
            match value.get_ref().as_table() {
                // `phones.work = […]` is a table in TOML: one label of a family.
                Some(labels) => {
                    for (label, value) in labels {
                        let name = format!("{name}.{}", label.get_ref());
                        let strategies = self.field(&name, &spec, &label.span(), value);
                        rules.insert(name, strategies);
                    }
                }
                None => drop(rules.insert(name.to_owned(), self.field(name, &spec, &field.span(), value))),
            }
        }
        rules
    }

    fn field(
        &mut self,
        name: &str,
        spec: &FieldSpec,
        key: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<Strategy> {
        if name.contains('.') && !spec.labelled {
            self.wrong(key, format!("`{}` takes no label", name.split('.').next().unwrap_or(name)));
        }
        let strategies = self.strategies(value);
        if strategies.contains(&Strategy::Union) && !spec.labelled && spec.kind != FieldType::Set {
            self.wrong(&value.span(), format!("`{name}` has one value: `union` is for sets and labelled families"));
        }
        let has_size = [FieldType::Date, FieldType::Instant, FieldType::Decimal, FieldType::Money, FieldType::Integer];
        if strategies.iter().any(|it| [Strategy::Max, Strategy::Min].contains(it)) && !has_size.contains(&spec.kind) {
            let kind = spec.kind.word();
            let message = format!("`{name}` is a {kind}: `max` and `min` are for numbers, amounts, dates and instants");
            self.wrong(&value.span(), message);
        }
        strategies
    }

    fn strategies(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Strategy> {
        let words: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
            DeValue::Array(words) => words.iter().collect(),
            DeValue::String(_) => vec![value],
            _ => Vec::new(),
        };
        if words.is_empty() {
            self.wrong(&value.span(), "write at least one strategy: [\"most_recent\"]");
        }
        let mut strategies = Vec::new();
        for word in words {
            match Strategy::parse(word.get_ref().as_str().unwrap_or("")) {
                Ok(_) if strategies.last().is_some_and(Strategy::always_decides) => {
                    self.wrong(&word.span(), "never reached: the strategy before it always decides");
                }
                Ok(strategy) => strategies.push(strategy),
                Err(message) => self.wrong(&word.span(), message),
            }
        }
        strategies
    }
}
