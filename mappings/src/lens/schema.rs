//! The keys of mapping files with their meaning: the JSON Schema for editors, and the table of mappings/README.md.

use serde_json::{Map, Value, json};

use super::parse::fields::{BLANKS, CLEARS, RULE_KEYS};
use super::parse::{IDENTITY_FORMS, IDENTITY_KEYS, LENS_KEYS, RECORD_KEYS, RECORD_KEYS_NEEDED};
use crate::model::FieldType;

/// One key: its meaning, and what may stand there.
struct Key {
    meaning: &'static str,
    value: Value,
}

/// Draft 2020-12; the same keys that the parser accepts, from the same lists.
pub fn mapping() -> Value {
    let rule = object(RULE_KEYS.iter().map(|(key, _)| *key));
    let mut identity = object(IDENTITY_KEYS.iter().copied());
    identity["required"] = json!(["from"]);
    identity["properties"]["normalize"]["enum"] = IDENTITY_FORMS.iter().map(|form| form.word()).collect();
    let identity = json!({"anyOf": [pointer(), identity]});
    let mut record = object(RECORD_KEYS.iter().copied());
    record["required"] = json!(RECORD_KEYS[..RECORD_KEYS_NEEDED]);
    let references = json!({
        "type": "object",
        "description": key("references").meaning,
        "properties": { "record": record },
        "additionalProperties": identity
    });
    let mut lens = object(LENS_KEYS.iter().copied());
    lens["required"] = json!(["entity"]);
    lens["properties"]["identities"]["additionalProperties"] = identity;
    lens["properties"]["fields"]["additionalProperties"] = json!({"$ref": "#/$defs/rule"});
    lens["properties"]["references"] = references;
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Huiliu mapping file",
        "type": "object",
        "additionalProperties": lens,
        "$defs": {
            // A pointer, a rule, or the labels of a family.
            "rule": {"anyOf": [
                pointer(),
                rule,
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}}
            ]}
        }
    })
}

/// The rows of the tables in mappings/README.md: lens, identity, reference and field keys.
pub fn tables() -> String {
    let mut text = String::new();
    let mut part = |head: &str, rows: &mut dyn Iterator<Item = (&str, String)>| {
        text.push_str(&format!("### {head}\n\n| Key | For | Meaning |\n|---|---|---|\n"));
        for (name, types) in rows {
            text.push_str(&format!("| `{name}` | {types} | {} |\n", key(name).meaning));
        }
        text.push('\n');
    };
    part("A table of the file", &mut LENS_KEYS.iter().map(|key| (*key, "every table".to_owned())));
    let forms = |types: &[FieldType]| match types {
        [] => "every field".to_owned(),
        some => some.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", "),
    };
    part("A field", &mut RULE_KEYS.iter().map(|(key, types)| (*key, forms(types))));
    part("An identity", &mut IDENTITY_KEYS.iter().map(|key| (*key, "every identity".to_owned())));
    part("A reference to a record", &mut RECORD_KEYS.iter().map(|key| (*key, "`record`".to_owned())));
    text.trim_end().to_owned() + "\n"
}

fn object<'a>(keys: impl Iterator<Item = &'a str>) -> Value {
    let properties: Map<String, Value> = keys
        .map(|name| {
            let Key { meaning, mut value } = key(name);
            value["description"] = Value::from(meaning);
            (name.to_owned(), value)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn pointer() -> Value {
    json!({"type": "string", "pattern": "^(/.*)?$", "description": "JSON pointer into the vendor's record"})
}

#[allow(clippy::too_many_lines)] // One row a key: a table.
fn key(name: &str) -> Key {
    let text = || json!({"type": "string"});
    let flag = || json!({"type": "boolean"});
    let table = || json!({"type": "object"});
    let scalar = || json!({"type": ["string", "integer", "boolean"]});
    let one_of = |words: &[&str]| json!({ "enum": words });
    let (meaning, value) = match name {
        "entity" => ("the canonical entity that the records of this table are", text()),
        "stream" => ("the connector's stream, where it is not called as the table is", text()),
        "create" => ("false: a record that matches nobody waits without a golden record of its own", flag()),
        "only" => ("JSON pointer: a record without a value there is none of this table's", pointer()),
        "heir" => (
            "an identity: when a record goes, another one of this table with the same value takes its place, as when a \
             customer is handed over to somebody else",
            text(),
        ),
        "identities" => {
            ("what may link a record to a golden record, by kind (`rules/match.toml` gives each its strength)", table())
        }
        "fields" => ("canonical fields and where they stand; a bare pointer is `from` alone", table()),
        "references" => ("whose record this is: another table's `record`, or identities of a customer", table()),
        "from" => ("JSON pointer to read at", pointer()),
        "to" => ("JSON pointer to write at, where it is not `from`", pointer()),
        "const" => ("a fixed value on the way in", scalar()),
        "normalize" => ("the form, named for the reader: a field has its type's, an identity may choose", text()),
        "direction" => (
            "`in`, `out` or `both`; constants, lists and sets of objects come `in` where nothing is said",
            one_of(&["in", "out", "both"]),
        ),
        "absent" => (
            "what it means that the place is not there: `absent`, no opinion, where nothing is said; `cleared` where the \
             system leaves out what has no value and never shows a record in part",
            one_of(BLANKS),
        ),
        "null" => ("what null means: `cleared`, where nothing is said, or `absent`: no opinion", one_of(BLANKS)),
        "empty" => (
            "what an empty text means, an issue where nothing is said: `cleared`, and it is written to say so, or \
             `absent`: no opinion",
            one_of(BLANKS),
        ),
        "clear" => (
            "how a value that is there no more is written: as `null`, as an `empty` text, or not at all: `leave`",
            one_of(CLEARS),
        ),
        "nothing" => {
            ("the vendor's word for no value, such as `false` or 0: read as none, and written to clear", scalar())
        }
        "lossy" => ("true: this rule may lose a part of the value, knowingly", flag()),
        "region" => ("region of numbers without a country code, two letters; `CN` where nothing is said", text()),
        "zone" => ("time zone of times that carry none, such as `Asia/Shanghai`; UTC where nothing is said", text()),
        "format" => ("of dates and times: as `strftime` writes them; of phones: `e164` or `national`", text()),
        "unit" => (
            "of money: `major` or `minor` (分, cents); of dates and times: `seconds` or `millis` since 1970",
            one_of(&["major", "minor", "seconds", "millis"]),
        ),
        "currency" => ("the currency of amounts that carry none (ISO 4217)", text()),
        "currency_from" => {
            ("JSON pointer to the currency beside the amount, or beside the list for all its amounts", pointer())
        }
        "number" => ("true: written as a JSON number, digit for digit", flag()),
        "values" => (
            "canonical word = the vendor's word, or several: all are read, the first is written",
            json!({
                "type": "object",
                "additionalProperties": {"anyOf": [scalar(), {"type": "array", "items": scalar(), "minItems": 1}]}
            }),
        ),
        "limit" => (
            "most characters that the system keeps; a longer text is cut, so `lossy = true` belongs to it",
            json!({"type": "integer", "minimum": 1}),
        ),
        "item" => ("JSON pointer to the text inside each object of the list", pointer()),
        "separator" => ("what parts the texts of a set that is one text", text()),
        "each" => (
            "the fields of a list's items, or of an address",
            json!({"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}}),
        ),
        "scope" => {
            ("JSON pointer to what makes the value unique, such as the account that an id belongs to", pointer())
        }
        "lens" => ("the table of this file whose record is meant", text()),
        other => unreachable!("the key {other} has no meaning here"),
    };
    Key { meaning, value }
}
