//! From the vendor's JSON to canonical fields. Never fails: what does not fit becomes an issue.

use serde_json::{Map, Value};

use super::path::Path;
use super::{Blank, Direction, FieldRule, IdentityRule, Lens, ReferenceRule};
use crate::model::FieldType;
use crate::normalize::{Options, Problem, canonical, numbers, phone, scalar};
use crate::value::{FieldName, Fields, Identity, Issue, MappedRecord, Reference};

/// The code of an issue: a list has items, and the mapping finds nothing in any of them.
pub const UNREAD_ITEMS: &str = "unread_items";

/// The code of an issue: the mapping's table does not list this value.
pub const UNKNOWN_VALUE: &str = "unknown_value";

pub(super) fn map(lens: &Lens, body: &Value) -> (MappedRecord, Vec<Issue>) {
    let mut issues = Vec::new();
    // A map that is made of all its fields at once is made faster than one that grows.
    let mut fields = Vec::with_capacity(lens.fields.len());
    for rule in lens.fields.iter().filter(|rule| rule.direction != Direction::Out) {
        if let Some(value) = field(rule, body, None, &mut issues) {
            fields.push((rule.field.clone(), value));
        }
    }
    let fields = Fields::from_iter(fields);
    let mut found: Vec<Identity> = lens.identities.iter().flat_map(|rule| identities(rule, body)).collect();
    found.sort();
    found.dedup();
    let references = lens.references.iter().flat_map(|rule| match rule {
        ReferenceRule::Record { lens, from, nothing } => {
            let id = from.get(body).filter(|raw| nothing.as_ref() != Some(*raw)).and_then(text_of);
            id.map(|id| Reference::Record { lens: lens.clone(), id }).into_iter().collect::<Vec<_>>()
        }
        ReferenceRule::Identity(rule) => identities(rule, body).into_iter().map(Reference::Identity).collect(),
    });
    let references = references.collect();
    (MappedRecord { fields, identities: found, references }, issues)
}

/// Where in a list a part stands.
struct Inside<'a> {
    field: &'a FieldName,
    list: &'a Path,
    index: usize,
    /// The currency of all its amounts, where it stands beside the list.
    currency: Option<&'a str>,
}

fn field(rule: &FieldRule, body: &Value, inside: Option<&Inside<'_>>, issues: &mut Vec<Issue>) -> Option<Value> {
    if let Some(constant) = &rule.constant {
        return Some(constant.clone());
    }
    let from = rule.from.as_ref()?;
    let raw = match from.get(body) {
        None if rule.absent == Blank::Cleared => return Some(Value::Null),
        None => return None,
        Some(Value::Null) if rule.null == Blank::Absent => return None,
        Some(raw) => raw,
    };
    let raw = if rule.nothing.as_ref() == Some(raw) { &Value::Null } else { raw };
    let outcome = match (rule.kind, raw) {
        (FieldType::List, Value::Array(items)) => {
            let currency = rule.currency_from.as_ref().and_then(|it| it.get(body)?.as_str());
            let made = list(rule, from, items, currency, issues);
            if says_nothing(&made) { Err(unread_items()) } else { Ok(Some(made)) }
        }
        (FieldType::Money, _) if rule.currency_from.is_none() && rule.options.currency.is_none() => {
            money(rule, raw, inside.and_then(|inside| inside.currency))
        }
        (FieldType::Money, _) if rule.currency_from.is_some() => {
            money(rule, raw, rule.currency_from.as_ref().and_then(|it| it.get(body)?.as_str()))
        }
        _ => value(rule, raw),
    };
    outcome.unwrap_or_else(|problem| {
        let (field, at) = match inside {
            Some(inside) => (inside.field, format!("{}/{}{from}", inside.list, inside.index)),
            None => (&rule.field, from.to_string()),
        };
        issues.push(Issue { field: field.clone(), at, code: problem.code.to_owned(), message: problem.message });
        None
    })
}

/// A raw value of one field in canonical form.
pub(super) fn value(rule: &FieldRule, raw: &Value) -> Result<Option<Value>, Problem> {
    let found = match (rule.kind, raw) {
        (_, Value::Null) => return Ok(Some(Value::Null)),
        _ if rule.nothing.as_ref() == Some(raw) => return Ok(Some(Value::Null)),
        (_, Value::String(text)) if text.trim().is_empty() => None,
        _ if !rule.words.is_empty() => Some(word(rule, raw)?),
        (FieldType::Set, Value::Array(items)) if rule.item.is_some() => {
            let item = rule.item.as_ref();
            let texts: Vec<Value> = items.iter().filter_map(|it| item?.get(it).cloned()).collect();
            if texts.is_empty() && !items.is_empty() {
                return Err(unread_items());
            }
            canonical(FieldType::Set, &Value::Array(texts), &rule.options)?
        }
        (FieldType::Address, Value::Object(_)) if !rule.each.is_empty() => {
            Some(parts(rule, raw, None, &mut Vec::new()))
                .filter(|address| address.as_object().is_some_and(|it| !it.is_empty()))
        }
        (kind, _) => canonical(kind, raw, &rule.options)?,
    };
    match found {
        Some(value) => Ok(Some(value)),
        None if rule.empty == Blank::Cleared || rule.options.separator.is_some() => Ok(Some(Value::Null)),
        None if rule.empty == Blank::Absent => Ok(None),
        None => {
            Err(Problem::new("empty_text", "an empty text says nothing; `empty = \"cleared\"` makes it mean cleared"))
        }
    }
}

/// A value as a person gives it: in canonical words, not in the vendor's, and without the vendor's formats.
pub(super) fn given(rule: &FieldRule, given: &Value) -> Result<Value, Problem> {
    if given.is_null() {
        return Ok(Value::Null);
    }
    if !rule.words.is_empty() {
        let known = || rule.words.iter().map(|word| word.canonical.as_str()).collect::<Vec<_>>().join(", ");
        let text = scalar(given)?;
        let found = rule.words.iter().find(|word| word.canonical.eq_ignore_ascii_case(text.trim()));
        let word = found.ok_or_else(|| Problem::new(UNKNOWN_VALUE, format!("expected one of: {}", known())))?;
        return Ok(match rule.kind {
            FieldType::Boolean => Value::Bool(word.canonical == "true"),
            _ => Value::String(word.canonical.clone()),
        });
    }
    // A phone number in canonical form names its number itself.
    let raw = given.get("number").filter(|_| rule.kind == FieldType::Phone).unwrap_or(given);
    let Options { region, zone, currency, .. } = rule.options.clone();
    let options = Options { region, zone, currency, ..Options::default() };
    canonical(rule.kind, raw, &options)?.ok_or_else(|| Problem::new("empty_text", "an empty text says nothing"))
}

/// What would be read after this was written; nothing where it could not be read.
pub(super) fn back(rule: &FieldRule, written: &Value, currency: Option<&str>) -> Option<Value> {
    let mut issues = Vec::new();
    let read = match (rule.kind, written) {
        (FieldType::List, Value::Array(items)) => Some(list(rule, rule.to.as_ref()?, items, None, &mut issues)),
        (FieldType::Money, _) => money(rule, written, currency).ok()?,
        _ => value(rule, written).ok()?,
    };
    read.filter(|_| issues.is_empty())
}

fn money(rule: &FieldRule, raw: &Value, currency: Option<&str>) -> Result<Option<Value>, Problem> {
    match raw {
        Value::Null => Ok(Some(Value::Null)),
        Value::String(text) if text.trim().is_empty() => value(rule, raw),
        _ => numbers::money(raw, currency, &rule.options).map(Some),
    }
}

fn word(rule: &FieldRule, raw: &Value) -> Result<Value, Problem> {
    let unknown = || Problem::new(UNKNOWN_VALUE, "this value is not listed in `values` of the mapping");
    let text = scalar(raw).map_err(|_| unknown())?;
    let text = text.trim();
    let of = |same: &dyn Fn(&str) -> bool| rule.words.iter().find(|it| it.vendors.iter().any(|(known, _)| same(known)));
    let found = of(&|known| known == text).or_else(|| of(&|known| known.eq_ignore_ascii_case(text)));
    let canonical = &found.ok_or_else(unknown)?.canonical;
    Ok(match rule.kind {
        FieldType::Boolean => Value::Bool(canonical == "true"),
        _ => Value::String(canonical.clone()),
    })
}

/// Items in which the mapping finds nothing at all have changed their form: that clears no list.
fn says_nothing(made: &Value) -> bool {
    made.as_array().is_some_and(|items| items.iter().all(|item| item.as_object().is_some_and(Map::is_empty)))
}

fn unread_items() -> Problem {
    Problem::new(UNREAD_ITEMS, "the mapping finds nothing in the items of this list")
}

/// One bad quantity does not lose the order: a part that cannot be read is missing, and reported with its place. A list
/// without items is null, as nothing is.
fn list(rule: &FieldRule, list: &Path, items: &[Value], currency: Option<&str>, issues: &mut Vec<Issue>) -> Value {
    let items: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(index, item)| parts(rule, item, Some(&Inside { field: &rule.field, list, index, currency }), issues))
        .collect();
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}

fn parts(rule: &FieldRule, raw: &Value, inside: Option<&Inside<'_>>, issues: &mut Vec<Issue>) -> Value {
    let mut made = Map::new();
    for part in rule.each.iter().filter(|part| part.direction != Direction::Out) {
        if let Some(value) = field(part, raw, inside, issues).filter(|value| !value.is_null()) {
            made.insert(part.field.as_str().to_owned(), value);
        }
    }
    Value::Object(made)
}

/// An array holds an identity in each of its elements.
fn identities(rule: &IdentityRule, body: &Value) -> Vec<Identity> {
    let Some(raw) = rule.from.get(body) else { return Vec::new() };
    let each = raw.as_array().map_or(std::slice::from_ref(raw), Vec::as_slice);
    let each = each.iter().take(IDENTITIES_MAX);
    each.filter_map(|raw| identity(rule, rule.item.as_ref().map_or(Some(raw), |item| item.get(raw))?, body)).collect()
}

/// A record with more values of one kind is a mailing list, not a customer.
const IDENTITIES_MAX: usize = 64;

/// The longest identity that is kept: an e-mail address has 254 characters at most, ids of vendors fewer.
const IDENTITY_LENGTH_MAX: usize = 512;

fn identity(rule: &IdentityRule, raw: &Value, body: &Value) -> Option<Identity> {
    if rule.nothing.as_ref() == Some(raw) {
        return None;
    }
    let value = match canonical(rule.form, raw, &rule.options).ok()?? {
        Value::String(text) => text,
        phone @ Value::Object(_) => phone::evidence(&phone)?.to_owned(),
        _ => return None,
    };
    let value = match &rule.scope {
        Some(scope) => format!("{}:{value}", text_of(scope.get(body)?)?),
        None => value,
    };
    (value.len() <= IDENTITY_LENGTH_MAX).then(|| Identity { kind: rule.kind.clone(), value })
}

fn text_of(raw: &Value) -> Option<String> {
    let text = scalar(raw).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
