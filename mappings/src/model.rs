//! The canonical model as data: entities, their fields and types.

use std::collections::BTreeMap;

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
    /// The fields of a list's items.
    #[serde(default)]
    pub item: BTreeMap<String, FieldSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityFile {
    fields: BTreeMap<Spanned<String>, FieldSpec>,
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
        let parsed: BTreeMap<String, EntityFile> =
            toml::from_str(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut mistakes = Vec::new();
        for (entity, added) in parsed {
            let fields = self.entities.entry(EntityName::from(entity.as_str())).or_default();
            for (name, spec) in added.fields {
                let span = name.span();
                let name = name.into_inner();
                let word =
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                if !word {
                    let message = format!("field `{name}`: use lower-case letters, digits and underscores");
                    mistakes.push(Diagnostic::at(file, text, &span, message));
                    continue;
                }
                match fields.entry(name) {
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(spec);
                    }
                    std::collections::btree_map::Entry::Occupied(known) => {
                        let message = format!("`{entity}` has a field `{}` already; choose another name", known.key());
                        mistakes.push(Diagnostic::at(file, text, &span, message));
                    }
                }
            }
        }
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
    }
}
