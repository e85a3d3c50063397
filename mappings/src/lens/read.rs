//! From the vendor's JSON to canonical fields. Never fails: what does not fit becomes an issue.

use serde_json::{Map, Value};

use super::{Direction, FieldRule, IdentityRule, Lens, ReferenceRule};
use crate::model::FieldType;
use crate::normalize::{Problem, canonical, phone};
use crate::value::{Fields, Identity, Issue, MappedRecord, Reference};

pub(super) fn map(lens: &Lens, body: &Value) -> (MappedRecord, Vec<Issue>) {
    let mut issues = Vec::new();
    let mut fields = Fields::new();
    for rule in lens.fields.iter().filter(|rule| rule.direction != Direction::Out) {
        match field(rule, body) {
            Ok(Some(value)) => {
                fields.insert(rule.field.clone(), value);
            }
            Ok(None) => {}
            Err((at, problem)) => issues.push(Issue {
                field: rule.field.clone(),
                at,
                code: problem.code.to_owned(),
                message: problem.message,
            }),
        }
    }
    let mut identities: Vec<Identity> = lens.identities.iter().filter_map(|rule| identity(rule, body)).collect();
    identities.sort();
    identities.dedup();
    let references = lens.references.iter().filter_map(|rule| match rule {
        ReferenceRule::Record { lens, from } => {
            let id = text_of(from.get(body)?)?;
            Some(Reference::Record { lens: lens.clone(), id })
        }
        ReferenceRule::Identity(rule) => identity(rule, body).map(Reference::Identity),
    });
    let references = references.collect();
    (MappedRecord { fields, identities, references }, issues)
}

type Outcome = Result<Option<Value>, (String, Problem)>;

fn field(rule: &FieldRule, body: &Value) -> Outcome {
    if let Some(constant) = &rule.constant {
        return Ok(Some(constant.clone()));
    }
    let Some(from) = &rule.from else { return Ok(None) };
    let Some(raw) = from.get(body) else { return Ok(None) };
    value(rule, raw).map_err(|problem| (from.to_string(), problem))
}

fn value(rule: &FieldRule, raw: &Value) -> Result<Option<Value>, Problem> {
    if raw.is_null() {
        return Ok(Some(Value::Null));
    }
    if let Value::String(text) = raw
        && text.trim().is_empty()
    {
        let problem =
            Problem::new("empty_text", "an empty text says nothing; `empty = \"cleared\"` makes it mean cleared");
        return if rule.empty_clears { Ok(Some(Value::Null)) } else { Err(problem) };
    }
    match rule.kind {
        FieldType::Text | FieldType::Enum if !rule.values.is_empty() => word(rule, raw).map(Some),
        FieldType::List => list(rule, raw).map(Some),
        FieldType::Set => match (&rule.item, raw) {
            (Some(item), Value::Array(items)) => {
                let texts: Vec<Value> = items.iter().filter_map(|it| item.get(it).cloned()).collect();
                canonical(FieldType::Set, &Value::Array(texts), &rule.options)
            }
            _ => canonical(FieldType::Set, raw, &rule.options),
        },
        kind => canonical(kind, raw, &rule.options),
    }
}

fn word(rule: &FieldRule, raw: &Value) -> Result<Value, Problem> {
    let unknown = || Problem::new("unknown_value", "this value is not listed in `values` of the mapping");
    let text = text_of(raw).ok_or_else(unknown)?;
    let known = rule.values.iter().find(|(_, vendor)| vendor.eq_ignore_ascii_case(text.trim()));
    known.map(|(canonical, _)| Value::String(canonical.clone())).ok_or_else(unknown)
}

fn list(rule: &FieldRule, raw: &Value) -> Result<Value, Problem> {
    let Value::Array(items) = raw else { return Err(Problem::new("wrong_type", "expected a list")) };
    let items = items.iter().map(|item| {
        let mut made = Map::new();
        for part in &rule.each {
            if let Some(value) = field(part, item).map_err(|(_, problem)| problem)?.filter(|value| !value.is_null()) {
                made.insert(part.field.as_str().to_owned(), value);
            }
        }
        Ok(Value::Object(made))
    });
    items.collect::<Result<Vec<_>, Problem>>().map(Value::Array)
}

fn identity(rule: &IdentityRule, body: &Value) -> Option<Identity> {
    let raw = rule.from.get(body)?;
    let value = match canonical(rule.form, raw, &rule.options).ok()?? {
        Value::String(text) => text,
        phone @ Value::Object(_) => phone::evidence(&phone)?.to_owned(),
        _ => return None,
    };
    let value = match &rule.scope {
        Some(scope) => format!("{}:{value}", text_of(scope.get(body)?)?),
        None => value,
    };
    Some(Identity { kind: rule.kind.clone(), value })
}

fn text_of(raw: &Value) -> Option<String> {
    match raw {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
