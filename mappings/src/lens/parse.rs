//! A mapping file, compiled. Every mistake is a sentence with file, line and the nearest right word.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::Path;
use super::{Direction, FieldRule, IdentityRule, Lens, ReferenceRule};
use crate::diagnose::{Diagnostic, suggest};
use crate::model::{FieldSpec, FieldType, Model};
use crate::normalize::Options;
use crate::value::{FieldName, IdentityKind};

const LENS_KEYS: &[&str] = &["entity", "stream", "create", "identities", "fields", "references"];
const RULE_KEYS: &[&str] = &[
    "from",
    "to",
    "const",
    "normalize",
    "region",
    "zone",
    "format",
    "currency",
    "unit",
    "values",
    "direction",
    "item",
    "limit",
    "lossy",
    "number",
    "empty",
    "each",
];
const IDENTITY_KEYS: &[&str] = &["from", "scope", "normalize", "region"];

struct Parser<'a> {
    file: &'a str,
    text: &'a str,
    model: &'a Model,
    mistakes: Vec<Diagnostic>,
}

type Table<'a> = DeTable<'a>;
type Place = Range<usize>;

pub(super) fn file(file: &str, text: &str, model: &Model) -> Result<Vec<Lens>, Vec<Diagnostic>> {
    let table = DeTable::parse(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
    let mut parser = Parser { file, text, model, mistakes: Vec::new() };
    let mut lenses = Vec::new();
    for (name, value) in table.get_ref() {
        match value.get_ref().as_table() {
            Some(lens) => lenses.extend(parser.lens(name.get_ref(), lens, &name.span())),
            None => {
                let message = format!("`{}` is not a table; write [{}]", name.get_ref(), name.get_ref());
                parser.wrong(&name.span(), message);
            }
        }
    }
    parser.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    if parser.mistakes.is_empty() { Ok(lenses) } else { Err(parser.mistakes) }
}

impl Parser<'_> {
    fn wrong(&mut self, place: &Place, message: impl Into<String>) {
        self.mistakes.push(Diagnostic::at(self.file, self.text, place, message));
    }

    fn known_keys(&mut self, table: &Table<'_>, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&&**key.get_ref()) {
                let hint = suggest(key.get_ref(), known.iter().copied());
                self.wrong(&key.span(), format!("unknown key `{}`{hint}", key.get_ref()));
            }
        }
    }

    fn lens(&mut self, name: &str, table: &Table<'_>, place: &Place) -> Option<Lens> {
        self.known_keys(table, LENS_KEYS);
        let Some((entity, entity_place)) = self.word(table, "entity") else {
            self.wrong(place, format!("[{name}] names no entity; add entity = \"customer\""));
            return None;
        };
        if self.model.fields(&entity).is_none() {
            let hint = suggest(&entity, self.model.entities().map(crate::value::EntityName::as_str));
            self.wrong(&entity_place, format!("unknown entity `{entity}`{hint}"));
            return None;
        }
        let stream = self.word(table, "stream").map_or_else(|| name.to_owned(), |(stream, _)| stream);
        let mut lens = Lens {
            name: name.to_owned(),
            stream,
            creates: self.flag(table, "create").unwrap_or(true),
            entity: entity.as_str().into(),
            fields: Vec::new(),
            identities: Vec::new(),
            references: Vec::new(),
        };
        if let Some(fields) = self.table(table, "fields") {
            self.fields(&entity, "", fields, &mut lens.fields);
        }
        if let Some(identities) = self.table(table, "identities") {
            lens.identities =
                identities.iter().filter_map(|(kind, value)| self.identity(kind.get_ref(), value)).collect();
        }
        if let Some(references) = self.table(table, "references") {
            for (kind, value) in references {
                if &**kind.get_ref() == "record" {
                    lens.references.extend(self.record_reference(value));
                } else {
                    lens.references.extend(self.identity(kind.get_ref(), value).map(ReferenceRule::Identity));
                }
            }
            // A record of the same system is the strongest reference.
            lens.references.sort_by_key(|reference| matches!(reference, ReferenceRule::Identity(_)));
        }
        Some(lens)
    }

    fn fields(&mut self, entity: &str, prefix: &str, table: &Table<'_>, rules: &mut Vec<FieldRule>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let family =
                self.model.fields(entity).and_then(|fields| fields.get(name.as_str())).is_some_and(|it| it.labelled);
            let nested = value.get_ref().as_table().filter(|_| prefix.is_empty() && family);
            if let Some(labels) = nested {
                self.fields(entity, &format!("{name}."), labels, rules);
                continue;
            }
            match self.model.field(entity, &FieldName::from(name.as_str())) {
                Ok(spec) => rules.extend(self.rule(&name, spec, value)),
                Err(message) => self.wrong(&key.span(), message),
            }
        }
    }

    fn rule(&mut self, name: &str, spec: &FieldSpec, value: &Spanned<DeValue<'_>>) -> Option<FieldRule> {
        let mut rule = FieldRule {
            field: name.into(),
            kind: spec.kind,
            from: None,
            to: None,
            constant: None,
            options: Options::default(),
            values: spec.values.iter().map(|word| (word.clone(), word.clone())).collect(),
            direction: Direction::Both,
            item: None,
            limit: None,
            empty_clears: false,
            number: false,
            each: Vec::new(),
        };
        let table = match value.get_ref() {
            DeValue::String(pointer) => {
                rule.from = self.path(pointer, &value.span());
                rule.to = rule.from.clone();
                return Some(rule);
            }
            DeValue::Table(table) => table,
            _ => {
                self.wrong(&value.span(), format!("`{name}`: write a JSON pointer, or a table with `from`"));
                return None;
            }
        };
        self.known_keys(table, RULE_KEYS);
        rule.from = self.path_of(table, "from");
        rule.to = self.path_of(table, "to").or_else(|| rule.from.clone());
        rule.item = self.path_of(table, "item");
        rule.constant = self.constant(spec, table);
        rule.options = self.options(table, spec.kind);
        rule.direction = self.direction(table, &rule);
        rule.number = self.flag(table, "number").unwrap_or(false);
        rule.empty_clears = self.choice(table, "empty", &["cleared"]).is_some();
        rule.limit = self.limit(table);
        if let Some(values) = self.table(table, "values") {
            rule.values = self.values(spec, values);
        }
        if let Some(each) = self.table(table, "each") {
            for (key, value) in each {
                match spec.item.get(&**key.get_ref()) {
                    Some(part) => rule.each.extend(self.rule(key.get_ref(), part, value)),
                    None => {
                        let hint = suggest(key.get_ref(), spec.item.keys().map(String::as_str));
                        self.wrong(&key.span(), format!("items of `{name}` have no field `{}`{hint}", key.get_ref()));
                    }
                }
            }
        }
        if rule.from.is_none() && rule.to.is_none() && rule.constant.is_none() {
            self.wrong(&value.span(), format!("`{name}` says neither `from`, `to` nor `const`"));
        }
        Some(rule)
    }

    fn constant(&mut self, spec: &FieldSpec, table: &Table<'_>) -> Option<Value> {
        let (word, place) = self.word(table, "const")?;
        if !spec.values.is_empty() && !spec.values.contains(&word) {
            let hint = suggest(&word, spec.values.iter().map(String::as_str));
            self.wrong(&place, format!("`{word}` is not one of {}{hint}", spec.values.join(", ")));
        }
        Some(Value::String(word))
    }

    fn direction(&mut self, table: &Table<'_>, rule: &FieldRule) -> Direction {
        match self.choice(table, "direction", &["in", "out", "both"]).as_deref() {
            Some("in") => Direction::In,
            Some("out") => Direction::Out,
            Some(_) => Direction::Both,
            None if rule.constant.is_some() || rule.item.is_some() || rule.kind == FieldType::List => Direction::In,
            None => Direction::Both,
        }
    }

    fn limit(&mut self, table: &Table<'_>) -> Option<usize> {
        let (key, value) = table.iter().find(|(key, _)| &**key.get_ref() == "limit")?;
        let limit = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<usize>().ok().filter(|limit| *limit > 0),
            _ => None,
        };
        if limit.is_none() {
            self.wrong(&value.span(), "`limit` is a number of characters above 0");
        }
        if self.flag(table, "lossy") != Some(true) {
            self.wrong(&key.span(), "a limit cuts texts off: say so with lossy = true");
        }
        limit
    }

    fn values(&mut self, spec: &FieldSpec, table: &Table<'_>) -> Vec<(String, String)> {
        let mut values = Vec::new();
        for (key, value) in table {
            if !spec.values.is_empty() && !spec.values.iter().any(|known| known == &**key.get_ref()) {
                let hint = suggest(key.get_ref(), spec.values.iter().map(String::as_str));
                self.wrong(&key.span(), format!("`{}` is not one of {}{hint}", key.get_ref(), spec.values.join(", ")));
            }
            match value.get_ref().as_str() {
                Some(vendor) => values.push((key.get_ref().to_string(), vendor.to_owned())),
                None => self.wrong(&value.span(), "write the vendor's word in quotes"),
            }
        }
        values
    }

    fn options(&mut self, table: &Table<'_>, kind: FieldType) -> Options {
        if let Some((word, place)) = self.word(table, "normalize")
            && word != kind.word()
        {
            self.wrong(&place, format!("this field is normalized as `{}`, not as `{word}`", kind.word()));
        }
        Options {
            region: self.region(table),
            zone: self.word(table, "zone").and_then(|(zone, place)| {
                let found = jiff::tz::TimeZone::get(&zone).ok();
                if found.is_none() {
                    self.wrong(&place, format!("unknown time zone `{zone}`; write a name such as Asia/Shanghai"));
                }
                found
            }),
            format: self.word(table, "format").map(|(format, _)| format),
            currency: self.word(table, "currency").map(|(currency, _)| currency),
            minor_units: self.choice(table, "unit", &["major", "minor"]).as_deref() == Some("minor"),
        }
    }

    fn region(&mut self, table: &Table<'_>) -> Option<String> {
        let (region, place) = self.word(table, "region")?;
        if region.parse::<phonenumber::country::Id>().is_err() {
            self.wrong(&place, format!("unknown region `{region}`; write two capital letters such as CN"));
        }
        Some(region)
    }

    fn identity(&mut self, kind: &str, value: &Spanned<DeValue<'_>>) -> Option<IdentityRule> {
        let form = match kind {
            "email" => FieldType::Email,
            "phone" => FieldType::Phone,
            "tax_id" => FieldType::TaxId,
            _ => FieldType::Text,
        };
        let kind = IdentityKind::from(kind);
        match value.get_ref() {
            DeValue::String(pointer) => {
                let from = self.path(pointer, &value.span())?;
                Some(IdentityRule { kind, form, from, scope: None, options: Options::default() })
            }
            DeValue::Table(table) => {
                self.known_keys(table, IDENTITY_KEYS);
                let options = self.options(table, form);
                let Some(from) = self.path_of(table, "from") else {
                    self.wrong(&value.span(), format!("identity `{kind}` needs `from`"));
                    return None;
                };
                Some(IdentityRule { kind, form, from, scope: self.path_of(table, "scope"), options })
            }
            _ => {
                self.wrong(&value.span(), format!("identity `{kind}`: write a JSON pointer, or a table with `from`"));
                None
            }
        }
    }

    fn record_reference(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ReferenceRule> {
        let table = value.get_ref().as_table();
        let lens = table.and_then(|table| self.word(table, "lens"));
        let from = table.and_then(|table| self.path_of(table, "from"));
        match (lens, from) {
            (Some((lens, _)), Some(from)) => Some(ReferenceRule::Record { lens, from }),
            _ => {
                self.wrong(&value.span(), "write record = { lens = \"customers\", from = \"/customer/id\" }");
                None
            }
        }
    }

    fn word(&mut self, table: &Table<'_>, key: &str) -> Option<(String, Place)> {
        let value = table.get(key)?;
        let word = value.get_ref().as_str().map(|word| (word.to_owned(), value.span()));
        if word.is_none() {
            self.wrong(&value.span(), format!("`{key}` is a text: write it in quotes"));
        }
        word
    }

    fn choice(&mut self, table: &Table<'_>, key: &str, known: &[&str]) -> Option<String> {
        let (word, place) = self.word(table, key)?;
        if known.contains(&word.as_str()) {
            return Some(word);
        }
        let hint = suggest(&word, known.iter().copied());
        self.wrong(&place, format!("`{key}` is one of {}{hint}", known.join(", ")));
        None
    }

    fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong(&value.span(), format!("`{key}` is true or false"));
        None
    }

    fn table<'t>(&mut self, table: &'t Table<'_>, key: &str) -> Option<&'t DeTable<'t>> {
        let value = table.get(key)?;
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.wrong(&value.span(), format!("`{key}` is a table"));
        }
        found
    }

    fn path_of(&mut self, table: &Table<'_>, key: &str) -> Option<Path> {
        let (pointer, place) = self.word(table, key)?;
        self.path(&pointer, &place)
    }

    fn path(&mut self, pointer: &str, place: &Place) -> Option<Path> {
        Path::parse(pointer).map_err(|message| self.wrong(place, message)).ok()
    }
}
