//! Texts with values in them: `{name} is worth {amount}`.

use serde_json::Value;

use super::{Moment, Path};
use crate::model::Model;

/// The longest text that is written or comes out, in characters: what tells more belongs behind a link.
pub const TEXT_MAX: usize = 2_000;

/// A text with placeholders: a field (`{amount}`), a field of the records that it refers to (`{customer.legal_name}`), and
/// `{id}`, the number of the golden record. A brace is written twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Id,
    Field(Path),
}

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    /// What is wrong, with the nearest right word.
    pub fn parse(text: &str, entity: &str, model: &Model) -> Result<Self, String> {
        if text.chars().count() > TEXT_MAX {
            return Err(format!("a text has at most {TEXT_MAX} characters"));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, behind) = (&rest[at..=at], &rest[at + 1..]);
            if let Some(after) = behind.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = behind.split_once('}').filter(|_| brace == "{") else {
                return Err("a brace stands alone; write it twice, or close it: `{name}`".to_owned());
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(match name.trim() {
                "id" => Piece::Id,
                name => Piece::Field(Path::parse(name, entity, model)?.0),
            });
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has values of other records in it.
    pub fn refers(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Field(Path { entity: Some(_), .. })))
    }

    /// Whether it says the same of every record.
    pub fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The text with the values of a moment; a value that is not there leaves nothing.
    pub fn fill(&self, moment: &Moment<'_>) -> String {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Id => filled.push_str(&moment.id.to_string()),
                Piece::Field(path) => filled.push_str(&path.values(moment).next().map(plain).unwrap_or_default()),
            }
        }
        match filled.char_indices().nth(TEXT_MAX - 1) {
            Some((at, _)) if filled[at..].chars().nth(1).is_some() => format!("{}…", &filled[..at]),
            _ => filled,
        }
    }

    /// The value, where the text is one placeholder and nothing else; otherwise the text. None: nothing is left of it.
    pub fn value(&self, moment: &Moment<'_>) -> Option<Value> {
        if let [Piece::Field(path)] = self.pieces.as_slice() {
            return path.values(moment).next().cloned();
        }
        Some(Value::String(self.fill(moment))).filter(|text| text != "")
    }
}

/// A canonical value as people read it.
fn plain(value: &Value) -> String {
    let part = |name: &str| value.get(name).and_then(Value::as_str);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(members) => members.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => match (part("amount"), part("currency"), part("number"), part("text")) {
            (Some(amount), Some(currency), ..) => format!("{amount} {currency}"),
            (_, _, Some(number), _) => number.to_owned(),
            (.., Some(text)) => text.to_owned(),
            _ => parts.values().map(plain).collect::<Vec<_>>().join(" "),
        },
    }
}
