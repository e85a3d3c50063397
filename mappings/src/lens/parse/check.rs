//! What a rule, or two rules together, may not say.

use super::fields::Placed;
use super::{Parser, Place, Table};
use crate::lens::read;
use crate::lens::write;
use crate::lens::{Blank, Clear, Direction, FieldRule};
use crate::model::FieldType;
use serde_json::{Value, json};

impl Parser<'_> {
    pub(super) fn check_rule(&mut self, rule: &FieldRule, table: &Table<'_>, place: &Place) {
        let name = &rule.field;
        let has = |key: &str| table.contains_key(key);
        let lossy = self.flag(table, "lossy") == Some(true);
        if !["from", "to", "const"].into_iter().any(has) {
            self.wrong(place, format!("`{name}` says neither `from`, `to` nor `const`"));
        }
        if has("const") && (has("from") || has("to") || rule.direction != Direction::In) {
            self.wrong(
                place,
                format!("`{name}`: `const` is a fixed value on the way in, with no `from`, `to` or other direction"),
            );
        }
        if has("to") && rule.direction == Direction::In {
            self.wrong(place, format!("`{name}` is read only, so `to` is never used; take it away, or the direction"));
        }
        if !has("from") && has("to") && rule.direction == Direction::Both && has("direction") {
            self.wrong(place, format!("`{name}` is read from nowhere: add `from`, or write direction = \"out\""));
        }
        if has("currency") && has("currency_from") {
            self.wrong(
                place,
                format!("`{name}`: the currency is fixed (`currency`) or read (`currency_from`), not both"),
            );
        }
        if has("nothing") && rule.empty == Blank::Cleared {
            self.wrong(place, format!("`{name}`: `nothing` and `empty` say the same; keep one"));
        }
        if let Some(message) = clearing(rule) {
            self.wrong(place, format!("`{name}`: {message}"));
        }
        if has("format") && has("unit") {
            self.wrong(place, format!("`{name}`: `format` and `unit` say the same; keep one"));
        }
        if has("currency_from") && rule.kind == FieldType::List && rule.writes() {
            self.wrong(
                place,
                format!("`{name}`: a list whose currency stands beside it is read only: direction = \"in\""),
            );
        } else if has("currency_from") && rule.writes() && rule.to != rule.from {
            self.wrong(place, format!("`{name}`: with `currency_from` it is written where it is read; take `to` away"));
        }
        if !lossy && let Some((first, second)) = shared_word(rule) {
            let message = format!("`{first}` and `{second}` become one word of the vendor: say so with lossy = true");
            self.wrong(place, message);
        }
        if let Some(message) = times(rule, lossy) {
            self.wrong(place, format!("`{name}`: {message}"));
        }
    }

    /// Two rules that write one place would overwrite each other.
    pub(super) fn check_writes(&mut self, placed: &[Placed]) {
        for (at, (rule, place)) in placed.iter().enumerate() {
            let clash = placed[..at].iter().find(|(earlier, _)| {
                earlier.writes()
                    && rule.writes()
                    && writes(earlier).any(|a| writes(rule).any(|b| a.covers(b) || b.covers(a)))
            });
            if let Some((earlier, _)) = clash {
                let message = format!(
                    "`{}` and `{}` write the same place; give one of them direction = \"in\"",
                    earlier.field, rule.field
                );
                self.wrong(place, message);
            }
        }
    }
}

fn writes(rule: &FieldRule) -> impl Iterator<Item = &crate::lens::path::Path> {
    rule.to.iter().chain(&rule.currency_from)
}

/// What is written to clear must be read as cleared.
fn clearing(rule: &FieldRule) -> Option<&'static str> {
    if rule.clear.is_some_and(|clear| clear != Clear::Leave) && rule.nothing.is_some() {
        return Some("`nothing` is what is written to clear; take `clear` away, or say `leave`");
    }
    match write::cleared(rule).filter(|_| rule.writes())? {
        Value::Null if rule.null == Blank::Absent => Some(
            "null says nothing there, so a null that is written clears nothing; say clear = \"empty\" or \"leave\"",
        ),
        Value::String(text) if text.is_empty() && rule.empty != Blank::Cleared && rule.options.separator.is_none() => {
            Some("an empty text that is written is read as something else; add empty = \"cleared\"")
        }
        _ => None,
    }
}

/// Two canonical words that the vendor cannot tell apart.
fn shared_word(rule: &FieldRule) -> Option<(&str, &str)> {
    let words = || rule.words.iter().enumerate();
    words().find_map(|(at, word)| {
        let other = rule.words[..at]
            .iter()
            .find(|other| other.vendors.iter().any(|(text, _)| word.vendors.iter().any(|(own, _)| own == text)))?;
        Some((other.canonical.as_str(), word.canonical.as_str()))
    })
}

/// What is wrong with a format of dates or times, found by writing one and reading it back.
fn times(rule: &FieldRule, lossy: bool) -> Option<String> {
    let format = rule.options.format.as_deref()?;
    let sample = match rule.kind {
        FieldType::Date => json!("2026-01-31"),
        FieldType::Instant => json!("2026-01-31T22:09:10Z"),
        _ => return None,
    };
    let written = write::vendor(rule, &sample);
    let again = written.as_ref().and_then(|written| read::value(rule, written).ok().flatten());
    match again {
        None => Some(format!("`{format}` is no format that can be read back; write one such as %Y-%m-%d %H:%M:%S")),
        Some(again) if again != sample && rule.writes() && !lossy => {
            let shown = written.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(format!("`{format}` writes {shown}, which loses a part of the time: say so with lossy = true"))
        }
        Some(_) => None,
    }
}
