//! A mapping file, compiled. Every mistake is a sentence with file, line and the nearest right word.

mod check;
pub(super) mod fields;
mod keys;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{IdentityRule, Lens, ReferenceRule};
use crate::diagnose::{Diagnostic, suggest};
use crate::model::{FieldType, Model};
use crate::normalize::Options;
use crate::value::{EntityName, IdentityKind};

/// The keys of a lens.
pub(super) const LENS_KEYS: &[&str] =
    &["entity", "stream", "create", "only", "heir", "identities", "fields", "references"];
/// The keys of an identity.
pub(super) const IDENTITY_KEYS: &[&str] = &["from", "item", "scope", "normalize", "region", "nothing"];
/// Kinds of identities whose value another app or corp may give to somebody else.
const SCOPED: &[&str] = &["openid", "external_userid"];
/// The keys of a reference to a record; the first two are needed.
pub(super) const RECORD_KEYS: &[&str] = &["lens", "from", "nothing"];
/// How many of [`RECORD_KEYS`] are needed.
pub(super) const RECORD_KEYS_NEEDED: usize = 2;
/// The forms that an identity may be normalized to.
pub(super) const IDENTITY_FORMS: &[FieldType] =
    &[FieldType::Text, FieldType::Email, FieldType::Phone, FieldType::TaxId];

struct Parser<'a> {
    file: &'a str,
    text: &'a str,
    model: &'a Model,
    /// The lenses of the file, for references.
    lenses: Vec<String>,
    mistakes: Vec<Diagnostic>,
}

type Table<'a> = DeTable<'a>;
type Place = Range<usize>;

pub(super) fn file(file: &str, text: &str, model: &Model) -> Result<Vec<Lens>, Vec<Diagnostic>> {
    let table = DeTable::parse(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
    let names = table.get_ref().keys().map(|name| name.get_ref().to_string()).collect();
    let mut parser = Parser { file, text, model, lenses: names, mistakes: Vec::new() };
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
    fn lens(&mut self, name: &str, table: &Table<'_>, place: &Place) -> Option<Lens> {
        self.known_keys(table, LENS_KEYS);
        let Some((entity, entity_place)) = self.word(table, "entity") else {
            self.wrong(place, format!("[{name}] names no entity; add entity = \"customer\""));
            return None;
        };
        if self.model.fields(&entity).is_none() {
            let hint = suggest(&entity, self.model.entities().map(EntityName::as_str));
            self.wrong(&entity_place, format!("unknown entity `{entity}`{hint}"));
            return None;
        }
        let stream = self.word(table, "stream").map_or_else(|| name.to_owned(), |(stream, _)| stream);
        let mut lens = Lens {
            name: name.to_owned(),
            stream,
            creates: self.flag(table, "create").unwrap_or(true),
            only: self.path_of(table, "only"),
            heir: None,
            entity: entity.as_str().into(),
            fields: Vec::new(),
            identities: Vec::new(),
            references: Vec::new(),
            places: Vec::new(),
            wanted: super::pick::Wanted::default(),
        };
        if let Some(fields) = self.table(table, "fields") {
            let mut placed = Vec::new();
            self.fields(&entity, fields, &mut placed);
            self.check_writes(&placed);
            lens.fields = placed.into_iter().map(|(rule, _)| rule).collect();
        }
        if let Some(identities) = self.table(table, "identities") {
            lens.identities =
                identities.iter().filter_map(|(kind, value)| self.identity(kind.get_ref(), value)).collect();
        }
        if let Some((heir, place)) = self.word(table, "heir") {
            let known = || lens.identities.iter().map(|rule| rule.kind.as_str());
            if !known().any(|kind| kind == heir) {
                let hint = suggest(&heir, known());
                self.wrong(&place, format!("`heir` is one of this table's identities, not `{heir}`{hint}"));
            }
            lens.heir = Some(heir.into());
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
        lens.places = super::places::of(&lens);
        lens.wanted = super::pick::Wanted::of(&lens);
        Some(lens)
    }

    fn identity(&mut self, kind: &str, value: &Spanned<DeValue<'_>>) -> Option<IdentityRule> {
        let mut rule = IdentityRule {
            kind: IdentityKind::from(kind),
            form: match kind {
                "email" => FieldType::Email,
                "phone" => FieldType::Phone,
                "tax_id" => FieldType::TaxId,
                _ => FieldType::Text,
            },
            from: super::path::Path::parse("").ok()?,
            item: None,
            scope: None,
            nothing: None,
            options: Options::default(),
        };
        match value.get_ref() {
            DeValue::String(pointer) => rule.from = self.path(pointer, &value.span())?,
            DeValue::Table(table) => {
                self.known_keys(table, IDENTITY_KEYS);
                if let Some((word, place)) = self.word(table, "normalize") {
                    match IDENTITY_FORMS.iter().find(|form| form.word() == word) {
                        Some(form) => rule.form = *form,
                        None => {
                            let known = || IDENTITY_FORMS.iter().map(|form| form.word());
                            let all = known().collect::<Vec<_>>().join(", ");
                            let hint = suggest(&word, known());
                            self.wrong(&place, format!("an identity is normalized as one of {all}{hint}"));
                        }
                    }
                }
                if rule.form != FieldType::Phone
                    && let Some(region) = table.get("region")
                {
                    let message = format!("`region` has no meaning for {} values", rule.form.word());
                    self.wrong(&region.span(), message);
                }
                rule.options.region = self.region(table);
                rule.item = self.path_of(table, "item");
                rule.scope = self.path_of(table, "scope");
                rule.nothing = self.nothing(table);
                if !table.contains_key("from") {
                    self.wrong(&value.span(), format!("identity `{kind}` needs `from`"));
                }
                rule.from = self.path_of(table, "from")?;
            }
            _ => {
                self.wrong(&value.span(), format!("identity `{kind}`: write a JSON pointer, or a table with `from`"));
                return None;
            }
        }
        if SCOPED.contains(&kind) && rule.scope.is_none() {
            let message =
                format!("identity `{kind}` means something in one app or corp only: write `scope` with its place");
            self.wrong(&value.span(), message);
        }
        Some(rule)
    }

    fn record_reference(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ReferenceRule> {
        let example = "write record = { lens = \"customers\", from = \"/customer/id\" }";
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(&value.span(), example);
            return None;
        };
        self.known_keys(table, RECORD_KEYS);
        if !RECORD_KEYS[..RECORD_KEYS_NEEDED].iter().all(|key| table.contains_key(*key)) {
            self.wrong(&value.span(), example);
        }
        let (lens, place) = self.word(table, "lens")?;
        if !self.lenses.contains(&lens) {
            let hint = suggest(&lens, self.lenses.iter().map(String::as_str));
            self.wrong(&place, format!("this file has no lens `{lens}`{hint}"));
        }
        let nothing = self.nothing(table);
        Some(ReferenceRule::Record { lens, from: self.path_of(table, "from")?, nothing })
    }
}
