//! From canonical fields to the vendor's JSON.

use serde_json::{Map, Number, Value};

use super::path::Path;
use super::{Blank, Clear, Direction, FieldRule, Lens, read};
use crate::model::FieldType;
use crate::normalize::{numbers, phone, time};
use crate::value::Fields;

pub(super) fn project(lens: &Lens, golden: &Fields) -> Fields {
    let writable = lens.fields.iter().filter(|rule| rule.writes());
    writable.filter_map(|rule| Some((rule.field.clone(), held(rule, golden.get(&rule.field))?))).collect()
}

/// The value as it would read back. None: the system cannot express it, so it is left as it is there.
fn held(rule: &FieldRule, value: Option<&Value>) -> Option<Value> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return (rule.clear != Some(Clear::Leave)).then_some(Value::Null);
    };
    if rule.kind == FieldType::Phone {
        phone::evidence(value)?;
    }
    let cut = rule.limit.and_then(|limit| shortened(value.as_str()?, limit));
    let value = cut.as_ref().unwrap_or(value);
    let written = vendor(rule, value)?;
    read::back(rule, &written, currency(rule, value)).filter(|again| !again.is_null())
}

/// The text cut to a number of characters, if it is longer.
fn shortened(text: &str, limit: usize) -> Option<Value> {
    let (end, _) = text.char_indices().nth(limit)?;
    Some(Value::String(text[..end].trim_end().to_owned()))
}

/// The currency that is written beside an amount.
fn currency<'a>(rule: &FieldRule, value: &'a Value) -> Option<&'a str> {
    rule.currency_from.as_ref().and_then(|_| value.get("currency")?.as_str())
}

pub(super) fn render(lens: &Lens, fields: &Fields) -> Value {
    let mut body = Value::Object(Map::new());
    for rule in lens.fields.iter().filter(|rule| rule.writes()) {
        if let (Some(value), Some(to)) = (fields.get(&rule.field), &rule.to) {
            put(rule, to, value, &mut body);
        }
    }
    body
}

pub(super) fn show(lens: &Lens, fields: &Fields) -> Value {
    let mut body = Value::Object(Map::new());
    for rule in lens.fields.iter().filter(|rule| rule.writes() && rule.direction != Direction::Out) {
        if let (Some(value), Some(from)) = (fields.get(&rule.field), &rule.from) {
            put(rule, from, value, &mut body);
        }
    }
    body
}

fn put(rule: &FieldRule, to: &Path, value: &Value, body: &mut Value) {
    let Some(written) = vendor(rule, value) else { return };
    to.put(body, written);
    if let (Some(beside), Some(currency)) = (&rule.currency_from, currency(rule, value)) {
        beside.put(body, Value::String(currency.to_owned()));
    }
}

/// One canonical value in the vendor's words. None: the vendor has no words for it.
pub(super) fn vendor(rule: &FieldRule, value: &Value) -> Option<Value> {
    if value.is_null() {
        return cleared(rule);
    }
    if !rule.words.is_empty() {
        return vendor_word(rule, value);
    }
    let options = &rule.options;
    match rule.kind {
        FieldType::Phone => {
            let number = value.get("number")?.as_str()?;
            let region = options.region.as_deref().unwrap_or("CN");
            let national = options.format.as_deref() == Some("national") && phone::evidence(value).is_some();
            Some(Value::String(if national { phone::national(number, region) } else { number.to_owned() }))
        }
        FieldType::Date => epoch_or_text(rule, time::date_out(value.as_str()?, options)?),
        FieldType::Instant => epoch_or_text(rule, time::instant_out(value.as_str()?, options)?),
        FieldType::Text | FieldType::Integer | FieldType::Decimal if rule.number => number(value.as_str()?),
        FieldType::Money => money(rule, value),
        FieldType::Set => set(rule, value),
        FieldType::List => {
            Some(Value::Array(value.as_array()?.iter().map(|item| parts(rule, item)).collect::<Option<_>>()?))
        }
        FieldType::Address if !rule.each.is_empty() => parts(rule, value),
        _ => Some(value.clone()),
    }
}

/// Nothing, as the vendor writes it. None: it is not written.
pub(super) fn cleared(rule: &FieldRule) -> Option<Value> {
    match rule.clear {
        Some(Clear::Leave) => return None,
        Some(Clear::Null) => return Some(Value::Null),
        Some(Clear::Empty) => return Some(Value::String(String::new())),
        None => {}
    }
    if let Some(nothing) = &rule.nothing {
        return Some(nothing.clone());
    }
    Some(match rule.kind {
        _ if rule.empty == Blank::Cleared || rule.options.separator.is_some() => Value::String(String::new()),
        FieldType::Set | FieldType::List => Value::Array(Vec::new()),
        _ => Value::Null,
    })
}

fn vendor_word(rule: &FieldRule, value: &Value) -> Option<Value> {
    let canonical = match value {
        Value::Bool(flag) => {
            if *flag {
                "true"
            } else {
                "false"
            }
        }
        other => other.as_str()?,
    };
    let word = rule.words.iter().find(|word| word.canonical == canonical)?;
    let (text, written) = word.vendors.first()?;
    if rule.number { number(text) } else { Some(written.clone()) }
}

/// A JSON number with exactly these digits.
fn number(text: &str) -> Option<Value> {
    text.parse::<Number>().ok().map(Value::Number)
}

/// Seconds and milliseconds are numbers, everything else is text.
fn epoch_or_text(rule: &FieldRule, text: String) -> Option<Value> {
    match rule.options.format.as_deref() {
        Some("seconds" | "millis") => number(&text),
        _ => Some(Value::String(text)),
    }
}

fn money(rule: &FieldRule, value: &Value) -> Option<Value> {
    let (amount, currency) = (value.get("amount")?.as_str()?, value.get("currency")?.as_str()?);
    if rule.options.currency.as_deref().is_some_and(|fixed| fixed != currency) {
        return None;
    }
    let minor = if rule.options.minor_units { Some(numbers::minor(amount, currency)?) } else { None };
    let written = match &minor {
        Some(minor) => number(minor)?,
        None if rule.number => number(amount)?,
        None => Value::String(amount.to_owned()),
    };
    if rule.options.currency.is_some() || rule.currency_from.is_some() {
        return Some(written);
    }
    let mut both = Map::new();
    both.insert("amount".to_owned(), written);
    both.insert("currency".to_owned(), Value::String(currency.to_owned()));
    Some(Value::Object(both))
}

fn set(rule: &FieldRule, value: &Value) -> Option<Value> {
    let texts = value.as_array()?;
    if let Some(separator) = &rule.options.separator {
        let texts: Vec<&str> = texts.iter().map(Value::as_str).collect::<Option<_>>()?;
        return Some(Value::String(texts.join(separator)));
    }
    let Some(item) = &rule.item else { return Some(value.clone()) };
    let items = texts.iter().map(|text| {
        let mut made = Value::Null;
        item.put(&mut made, text.clone());
        made
    });
    Some(items.collect())
}

/// An item of a list, or an address. A part that is missing is written as null, so that an older one does not remain.
fn parts(rule: &FieldRule, value: &Value) -> Option<Value> {
    let held = value.as_object()?;
    let mut made = Value::Object(Map::new());
    for part in rule.each.iter().filter(|part| part.writes()) {
        match (held.get(part.field.as_str()), &part.to) {
            (Some(value), Some(to)) => put(part, to, value, &mut made),
            (None, Some(to)) if rule.kind == FieldType::Address => {
                if let Some(nothing) = cleared(part) {
                    to.put(&mut made, nothing);
                }
            }
            _ => {}
        }
    }
    Some(made)
}
