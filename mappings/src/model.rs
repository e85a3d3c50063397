//! The canonical model as data: entities, their fields and types.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::diagnose::{Diagnostic, suggest};
use crate::value::{EntityName, FieldName};

/// The type of a field: it decides the canonical form, and so what equality means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text, trimmed, NFC.
    Text,
    /// A name of a person or a company: text with inner white space folded.
    Name,
    /// An e-mail address, lower case.
    Email,
    /// A phone number, E.164 with its type.
    Phone,
    /// An address: an object of text parts.
    Address,
    /// A calendar date.
    Date,
    /// An instant, UTC.
    Instant,
    /// An exact decimal.
    Decimal,
    /// An exact amount in a currency.
    Money,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of a closed list.
    Enum,
    /// A set of texts.
    Set,
    /// A list of objects.
    List,
    /// 统一社会信用代码 (GB 32100) or another tax number, upper case.
    TaxId,
}

impl FieldType {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Address => "address",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Decimal => "decimal",
            Self::Money => "money",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Enum => "enum",
            Self::Set => "set",
            Self::List => "list",
            Self::TaxId => "tax_id",
        }
    }
}

/// One field, or one family of labelled fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Whether labels make members: `emails.work`.
    #[serde(default)]
    pub labelled: bool,
    /// The closed list of an enum.
    #[serde(default)]
    pub values: Vec<String>,
    /// Whether the value may identify a person.
    #[serde(default)]
    pub personal: bool,
    /// What it is called in Chinese, for the headers of tables.
    #[serde(default)]
    pub zh: Option<String>,
    /// The fields of a list's items.
    #[serde(default)]
    pub item: BTreeMap<String, FieldSpec>,
}

/// The parts that an address may have, from the widest. `text` is an address in one line, as people write it.
pub const ADDRESS_PARTS: &[&str] =
    &["text", "country", "province", "city", "district", "street", "building", "postal_code", "recipient"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityFile {
    fields: BTreeMap<Spanned<String>, FieldSpec>,
}

impl FieldSpec {
    /// A field of this type and nothing more.
    pub fn of(kind: FieldType) -> Self {
        Self { kind, labelled: false, values: Vec::new(), personal: false, zh: None, item: BTreeMap::new() }
    }

    /// What is wrong with a declaration, if anything.
    fn mistake(&self, name: &str) -> Option<String> {
        if !is_word(name) {
            return Some(format!("field `{name}`: use lower-case letters, digits and underscores"));
        }
        let (is_enum, is_list) = (self.kind == FieldType::Enum, self.kind == FieldType::List);
        if is_enum && self.values.is_empty() {
            return Some(format!("`{name}` is an enum: list its words with values = [\"…\"]"));
        }
        if !is_enum && !self.values.is_empty() {
            return Some(format!("`{name}` lists values: write type = \"enum\""));
        }
        let repeated = self.values.iter().enumerate().find(|(at, word)| self.values[..*at].contains(word));
        if let Some((_, word)) = repeated {
            return Some(format!("`{name}` lists `{word}` twice"));
        }
        if is_list && self.item.is_empty() {
            return Some(format!("`{name}` is a list: name the fields of its items with item = {{ … }}"));
        }
        if !is_list && !self.item.is_empty() {
            return Some(format!("`{name}` has items: write type = \"list\""));
        }
        self.item.iter().find_map(|(part, spec)| match spec.kind {
            FieldType::List => Some(format!("`{name}.{part}`: a list inside a list is not supported")),
            _ if spec.labelled => Some(format!("`{name}.{part}`: fields of items take no labels")),
            _ => spec.mistake(part),
        })
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The entities and fields of `model.toml`, extended by a deployment's own file.
#[derive(Clone, Debug, Default)]
pub struct Model {
    entities: BTreeMap<EntityName, BTreeMap<String, FieldSpec>>,
}

const SHIPPED: &str = include_str!("../model.toml");

impl Model {
    /// The model that ships with the hub.
    pub fn shipped() -> Self {
        let mut model = Self::default();
        // The shipped file is part of the program: a test parses it, so nothing can go wrong here at run time.
        let _ = model.extend("model.toml", SHIPPED);
        model
    }

    /// Adds the fields and entities of a deployment's file. A field that exists keeps its shipped meaning: stating it
    /// again is an error.
    pub fn extend(&mut self, file: &str, text: &str) -> Result<(), Vec<Diagnostic>> {
        let parsed: BTreeMap<Spanned<String>, EntityFile> =
            toml::from_str(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut mistakes = Vec::new();
        let mut wrong = |span, message| mistakes.push(Diagnostic::at(file, text, &span, message));
        for (entity, added) in parsed {
            let (span, entity) = (entity.span(), entity.into_inner());
            if !is_word(&entity) {
                wrong(span, format!("entity `{entity}`: use lower-case letters, digits and underscores"));
                continue;
            }
            let fields = self.entities.entry(EntityName::from(entity.as_str())).or_default();
            for (name, spec) in added.fields {
                let (span, name) = (name.span(), name.into_inner());
                if let Some(message) = spec.mistake(&name) {
                    wrong(span, message);
                    continue;
                }
                match fields.entry(name) {
                    Entry::Occupied(known) => {
                        let name = known.key();
                        wrong(span, format!("`{entity}` has a field `{name}` already; choose another name"));
                    }
                    Entry::Vacant(free) => {
                        free.insert(spec);
                    }
                }
            }
        }
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// The names of the entities.
    pub fn entities(&self) -> impl Iterator<Item = &EntityName> {
        self.entities.keys()
    }

    /// The fields of an entity by name; a labelled family is one entry.
    pub fn fields(&self, entity: &str) -> Option<&BTreeMap<String, FieldSpec>> {
        self.entities.get(entity)
    }

    /// The names of an entity's fields, for suggestions; a family shows how a label is added: `emails.…`.
    pub fn field_names(&self, entity: &str) -> impl Iterator<Item = String> {
        let fields = self.entities.get(entity).into_iter().flatten();
        fields.map(|(name, spec)| if spec.labelled { format!("{name}.…") } else { name.clone() })
    }

    /// What a field name means for an entity, or what is wrong with it and the nearest right word.
    pub fn field(&self, entity: &str, name: &FieldName) -> Result<&FieldSpec, String> {
        let Some(fields) = self.entities.get(entity) else {
            let known = self.entities.keys().map(EntityName::as_str);
            return Err(format!("unknown entity `{entity}`{}", suggest(entity, known)));
        };
        let Some(spec) = fields.get(name.family()) else {
            return Err(format!(
                "`{entity}` has no field `{name}`{}",
                suggest(name.family(), fields.keys().map(String::as_str))
            ));
        };
        match (spec.labelled, name.label()) {
            (true, None) => Err(format!("`{name}` is a family: add a label, such as `{name}.main`")),
            (false, Some(_)) => Err(format!("`{}` takes no label", name.family())),
            (true, Some(label))
                if label.is_empty() || label.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Err(format!("`{}`: a label is a word without blanks", name.family()))
            }
            _ => Ok(spec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_parses_whole() {
        let mut model = Model::default();
        model.extend("model.toml", SHIPPED).unwrap();
        let entities: Vec<&str> = model.entities().map(EntityName::as_str).collect();
        assert_eq!(entities, ["customer", "deal", "interaction", "order", "product", "ticket"]);
    }

    #[test]
    fn a_deployment_adds_fields_and_entities() {
        let mut model = Model::shipped();
        let text = "[customer.fields]\nvip_level = { type = 'text' }\n[visit.fields]\nplace = { type = 'text' }\n";
        model.extend("own.toml", text).unwrap();
        assert!(model.field("customer", &"vip_level".into()).is_ok());
        assert!(model.field("visit", &"place".into()).is_ok());
    }

    #[test]
    fn mistakes_have_a_place_and_the_nearest_word() {
        let mut model = Model::shipped();
        let told = model.extend("own.toml", "[customer.fields]\nowner = { type = 'text' }\n").unwrap_err();
        assert_eq!(told[0].to_string(), "own.toml:2:1: `customer` has a field `owner` already; choose another name");
        let told = model.extend("own.toml", "[customer.fields]\nx = { type = 'txt' }\n").unwrap_err();
        assert!(told[0].to_string().contains("did you mean `text`"), "{}", told[0]);
        let told = model.field("customer", &"email.work".into()).unwrap_err();
        assert!(told.ends_with("did you mean `emails`?"), "{told}");
        assert!(model.field("customer", &"emails".into()).unwrap_err().contains("add a label"));
        assert!(model.field("customer", &"owner.x".into()).is_err());
        assert!(model.field("customer", &"emails.".into()).is_err());
        assert!(model.field_names("customer").any(|name| name == "emails.…"));
    }

    #[test]
    fn a_declaration_is_checked_whole() {
        let text = "[visit.fields]\nresult = { type = 'enum' }\nplace = { type = 'text', values = ['a'] }\n\
            Guests = { type = 'text' }\nstops = { type = 'list' }\nmood = { type = 'enum', values = ['a', 'a'] }\n\
            legs = { type = 'list', item = { way = { type = 'enum' } } }\n";
        let told: Vec<String> =
            Model::shipped().extend("own.toml", text).unwrap_err().iter().map(ToString::to_string).collect();
        let expected = [
            "own.toml:2:1: `result` is an enum: list its words with values = [\"…\"]",
            "own.toml:3:1: `place` lists values: write type = \"enum\"",
            "own.toml:4:1: field `Guests`: use lower-case letters, digits and underscores",
            "own.toml:5:1: `stops` is a list: name the fields of its items with item = { … }",
            "own.toml:6:1: `mood` lists `a` twice",
            "own.toml:7:1: `way` is an enum: list its words with values = [\"…\"]",
        ];
        assert_eq!(told, expected);
    }
}
