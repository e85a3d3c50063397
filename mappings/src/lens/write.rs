//! From canonical fields to the vendor's JSON.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Number, Value};

use super::{FieldRule, Lens};
use crate::model::FieldType;
use crate::normalize::phone;
use crate::value::Fields;

pub(super) fn project(lens: &Lens, golden: &Fields) -> Fields {
    let writable = lens.fields.iter().filter(|rule| rule.writes());
    writable.filter_map(|rule| Some((rule.field.clone(), held(rule, golden.get(&rule.field))?))).collect()
}

/// The value as it would read back. None: the system cannot express it, so it is left as it is there.
fn held(rule: &FieldRule, value: Option<&Value>) -> Option<Value> {
    let value = value.filter(|value| !value.is_null());
    let Some(value) = value else { return Some(Value::Null) };
    match rule.kind {
        FieldType::Text | FieldType::Enum if !rule.values.is_empty() => {
            rule.vendor_word(value.as_str()?).map(|_| value.clone())
        }
        FieldType::Phone => phone::evidence(value).map(|_| value.clone()),
        FieldType::Text | FieldType::Name => Some(Value::String(cut(rule, value.as_str()?))),
        FieldType::List => None,
        _ => Some(value.clone()),
    }
}

fn cut(rule: &FieldRule, text: &str) -> String {
    match rule.limit {
        Some(limit) => text.chars().take(limit).collect::<String>().trim_end().to_owned(),
        None => text.to_owned(),
    }
}

pub(super) fn render(lens: &Lens, fields: &Fields) -> Value {
    let mut body = Value::Object(serde_json::Map::new());
    for rule in lens.fields.iter().filter(|rule| rule.writes()) {
        let (Some(value), Some(to)) = (fields.get(&rule.field), &rule.to) else { continue };
        to.put(&mut body, vendor(rule, value));
    }
    body
}

fn vendor(rule: &FieldRule, value: &Value) -> Value {
    let text = value.as_str();
    match (rule.kind, text) {
        _ if value.is_null() => {
            if rule.empty_clears {
                Value::String(String::new())
            } else {
                Value::Null
            }
        }
        (FieldType::Text | FieldType::Enum, Some(word)) if !rule.values.is_empty() => {
            let word = rule.vendor_word(word).unwrap_or(word);
            if rule.number { number(word) } else { Value::String(word.to_owned()) }
        }
        (FieldType::Phone, _) => value.get("number").cloned().unwrap_or(Value::Null),
        (FieldType::Date, Some(text)) => Value::String(date(rule, text).unwrap_or_else(|| text.to_owned())),
        (FieldType::Instant, Some(text)) => instant(rule, text).unwrap_or_else(|| value.clone()),
        (FieldType::Integer | FieldType::Decimal, Some(text)) if rule.number => number(text),
        (FieldType::Money, _) => money(rule, value).unwrap_or(Value::Null),
        _ => value.clone(),
    }
}

/// A JSON number with exactly these digits.
fn number(text: &str) -> Value {
    text.parse::<Number>().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

fn date(rule: &FieldRule, text: &str) -> Option<String> {
    let format = rule.options.format.as_deref()?;
    Some(text.parse::<Date>().ok()?.strftime(format).to_string())
}

fn instant(rule: &FieldRule, text: &str) -> Option<Value> {
    let at: Timestamp = text.parse().ok()?;
    match rule.options.format.as_deref()? {
        "seconds" => Some(number(&at.as_second().to_string())),
        "millis" => Some(number(&at.as_millisecond().to_string())),
        format => {
            let zone = rule.options.zone.clone().unwrap_or(TimeZone::UTC);
            Some(Value::String(at.to_zoned(zone).strftime(format).to_string()))
        }
    }
}

fn money(rule: &FieldRule, value: &Value) -> Option<Value> {
    let amount = value.get("amount")?.as_str()?;
    if rule.options.minor_units {
        let minor =
            rust_decimal::Decimal::from_str_exact(amount).ok()?.checked_mul(rust_decimal::Decimal::ONE_HUNDRED)?;
        return Some(number(&minor.normalize().to_string()));
    }
    Some(if rule.number { number(amount) } else { Value::String(amount.to_owned()) })
}
