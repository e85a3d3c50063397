//! The JSON Schema of mapping files, for editors.

use serde_json::{Value, json};

/// Draft 2020-12; the same keys that [`super::parse`] accepts.
pub fn mapping() -> Value {
    let pointer =
        json!({"type": "string", "pattern": "^(/.*)?$", "description": "JSON pointer into the vendor's record"});
    let text = json!({"type": "string"});
    let rule = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "from": pointer, "to": pointer, "item": pointer,
            "const": {}, "normalize": text, "region": text, "zone": text, "format": text, "currency": text,
            "unit": {"enum": ["major", "minor"]}, "direction": {"enum": ["in", "out", "both"]},
            "values": {"type": "object", "additionalProperties": {"type": "string"}},
            "limit": {"type": "integer", "minimum": 1}, "lossy": {"type": "boolean"}, "number": {"type": "boolean"},
            "empty": {"enum": ["cleared"]},
            "each": {"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}}
        }
    });
    let identity = json!({"anyOf": [pointer, {
        "type": "object", "additionalProperties": false, "required": ["from"],
        "properties": {"from": pointer, "scope": pointer, "normalize": text, "region": text}
    }]});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Huiliu mapping file",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["entity"],
            "additionalProperties": false,
            "properties": {
                "entity": text, "stream": text, "create": {"type": "boolean"},
                "identities": {"type": "object", "additionalProperties": identity},
                "fields": {"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}},
                "references": {"type": "object", "additionalProperties": true}
            }
        },
        "$defs": {"rule": {"anyOf": [pointer, rule, {"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}}]}}
    })
}
