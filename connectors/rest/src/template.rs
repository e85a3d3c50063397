//! Placeholders: `{config.x}`, `{secret.x}`, `{cursor}`, `{record.id}`, `{record.x}`, and in their places `{body}`,
//! `{stamp}`, `{until}` and `{id}`. No expressions.

use std::collections::BTreeMap;

use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::{Setting, SettingKind};
use serde_json::{Map, Value};

use crate::pointer;

/// A placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// A setting.
    Config(String),
    /// A secret.
    Secret(String),
    /// The page cursor.
    Cursor,
    /// The target record's id.
    RecordId,
    /// A value of the delivery's body; dots lead inward.
    Record(String),
    /// The delivery's body, as JSON.
    Body,
    /// The stamp of an incremental pull.
    Stamp,
    /// The upper bound of an incremental pull.
    Until,
    /// The id in a `key_form`.
    Id,
}

/// A text with placeholders, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Hole),
}

/// What fills the placeholders of one call.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Settings and secrets.
    pub cx: &'a Cx,
    /// The page cursor, after the first page.
    pub cursor: Option<&'a str>,
    /// The record's id.
    pub id: Option<&'a str>,
    /// The delivery's body.
    pub body: Option<&'a Value>,
    /// The stamp.
    pub stamp: Option<&'a str>,
    /// The upper bound.
    pub until: Option<&'a str>,
    /// The declared settings, where ids and whole numbers that stand alone are JSON numbers.
    pub numbers: Option<&'a BTreeMap<String, Setting>>,
}

impl<'a> Values<'a> {
    /// Only settings and secrets.
    pub fn of(cx: &'a Cx) -> Self {
        Self { cx, cursor: None, id: None, body: None, stamp: None, until: None, numbers: None }
    }
}

impl Template {
    /// Takes a text apart; the message says what is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, next) = after.split_once('}').ok_or_else(|| format!("`{text}`: a brace is never closed"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Hole(hole(name)?));
            rest = next;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The placeholders.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The placeholder, if the text is nothing else.
    pub fn only(&self) -> Option<&Hole> {
        match self.0.as_slice() {
            [Piece::Hole(hole)] => Some(hole),
            _ => None,
        }
    }

    /// The text filled in, each value through `write`. None: a value that need not exist does not.
    pub fn fill(&self, values: &Values<'_>, write: impl Fn(&Hole, String) -> Result<String>) -> Result<Option<String>> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Hole(hole) => match value(hole, values)?.as_ref().and_then(pointer::text) {
                    Some(filled) => text.push_str(&write(hole, filled)?),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }
}

/// Fills a text in. None: a value that need not exist does not.
pub fn text(template: &str, values: &Values<'_>) -> Result<Option<String>> {
    parsed(template)?.fill(values, |_, filled| Ok(filled))
}

/// Fills a text in whose values must all exist.
pub fn text_required(template: &str, values: &Values<'_>) -> Result<String> {
    text(template, values)?.ok_or_else(|| missing(template))
}

/// Fills a path in: each value becomes one escaped part of it.
pub fn path(template: &str, values: &Values<'_>) -> Result<String> {
    let escape = |_: &Hole, filled: String| {
        // A part of dots would climb out of the path, and no escape keeps it from that.
        if filled.is_empty() || filled.chars().all(|c| c == '.') {
            return Err(ConnectorError::Rejected { at: String::new(), reason: "the id cannot stand in a path".into() });
        }
        Ok(escaped(&filled))
    };
    parsed(template)?.fill(values, escape)?.ok_or_else(|| missing(template))
}

/// Percent-escapes everything but RFC 3986's unreserved characters.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // Writing into a text cannot fail.
        }
        out
    })
}

/// Fills the texts of a JSON value in. A text that is one placeholder takes the value as it is. What has no value is
/// left out, and so is an object or list that this empties.
pub fn json(template: &Value, values: &Values<'_>) -> Result<Option<Value>> {
    match template {
        Value::String(text) => {
            let parsed = parsed(text)?;
            match parsed.only() {
                Some(hole) => value(hole, values),
                None => Ok(parsed.fill(values, |_, filled| Ok(filled))?.map(Value::String)),
            }
        }
        Value::Array(list) => {
            let filled: Vec<Value> =
                list.iter().filter_map(|item| json(item, values).transpose()).collect::<Result<_>>()?;
            Ok((list.is_empty() || !filled.is_empty()).then_some(Value::Array(filled)))
        }
        Value::Object(map) => {
            let mut filled = Map::new();
            for (name, item) in map {
                if let Some(item) = json(item, values)? {
                    filled.insert(name.clone(), item);
                }
            }
            Ok((map.is_empty() || !filled.is_empty()).then_some(Value::Object(filled)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Some(template.clone())),
    }
}

/// Fills the texts of a JSON value in. None: one of them has no value.
pub fn json_whole(template: &Value, values: &Values<'_>) -> Result<Option<Value>> {
    Ok(match template {
        Value::String(_) => json(template, values)?,
        Value::Array(list) => {
            let filled: Result<Option<Vec<Value>>> = list.iter().map(|item| json_whole(item, values)).collect();
            filled?.map(Value::Array)
        }
        Value::Object(map) => {
            let each = map.iter().map(|(name, item)| Ok(json_whole(item, values)?.map(|item| (name.clone(), item))));
            each.collect::<Result<Option<Map<String, Value>>>>()?.map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(template.clone()),
    })
}

fn parsed(template: &str) -> Result<Template> {
    Template::parse(template).map_err(ConnectorError::broken)
}

fn missing(template: &str) -> ConnectorError {
    ConnectorError::Rejected { at: String::new(), reason: format!("the record has no value for `{template}`") }
}

fn hole(name: &str) -> std::result::Result<Hole, String> {
    let inner = |text: &str| !text.is_empty() && text.split('.').all(|part| !part.is_empty());
    Ok(match name.split_once('.') {
        None if name == "cursor" => Hole::Cursor,
        None if name == "body" => Hole::Body,
        None if name == "stamp" => Hole::Stamp,
        None if name == "until" => Hole::Until,
        None if name == "id" => Hole::Id,
        Some(("config", setting)) if inner(setting) => Hole::Config(setting.to_owned()),
        Some(("secret", secret)) if inner(secret) => Hole::Secret(secret.to_owned()),
        Some(("record", "id")) => Hole::RecordId,
        Some(("record", field)) if inner(field) => Hole::Record(field.to_owned()),
        _ => {
            return Err(format!(
                "`{{{name}}}` is no placeholder; there are {{config.x}}, {{secret.x}}, {{cursor}}, {{record.id}}, \
                 {{record.x}}, {{body}}"
            ));
        }
    })
}

fn value(hole: &Hole, values: &Values<'_>) -> Result<Option<Value>> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    // What is no number after all goes as the text that it is; the system says what is wrong with it.
    let id = |id: &str| match values.numbers.and_then(|_| id.parse::<i64>().ok()) {
        Some(number) => Some(Value::from(number)),
        None => text(id),
    };
    let is_integer = |name: &str| {
        values.numbers.and_then(|all| all.get(name)).is_some_and(|setting| setting.kind == SettingKind::Integer)
    };
    Ok(match hole {
        Hole::Config(name) if is_integer(name) => id(values.cx.setting(name)?),
        Hole::Config(name) => text(values.cx.setting(name)?),
        Hole::Secret(name) => text(values.cx.secret(name)?.expose()),
        Hole::Cursor => values.cursor.and_then(id),
        Hole::RecordId | Hole::Id => values.id.and_then(id),
        Hole::Record(field) => {
            let pointer = format!("/{}", field.replace('.', "/"));
            values.body.and_then(|body| body.pointer(&pointer)).filter(|found| !pointer::is_empty(found)).cloned()
        }
        Hole::Body => values.body.cloned(),
        Hole::Stamp => values.stamp.and_then(text),
        Hole::Until => values.until.and_then(text),
    })
}
