//! The records of a reply as text: who only keeps them need not have values made of them.

use std::fmt;

use huiliu_core::connector::JsonText;
use huiliu_core::manifest::{Call, Precondition, Stream};
use huiliu_mappings::lens::path::Path;
use huiliu_mappings::lens::pick::Wanted;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::pointer;

/// Takes a reply apart: its records as text, and what stands around them, with an empty list in their place. None: there
/// is no list, or something on the way to it is not what it should be.
pub fn split(reply: &[u8], list: &str) -> Option<(Value, Vec<JsonText>)> {
    let names: Vec<String> = list.split('/').skip(1).map(pointer::unescape).collect();
    // One look at all of it is cheaper than one at each text.
    let mut reply = serde_json::Deserializer::from_str(std::str::from_utf8(reply).ok()?);
    let mut found = None;
    let around = Way { names: &names, found: &mut found }.deserialize(&mut reply).ok()?;
    reply.end().ok()?;
    Some((around, found?))
}

/// The way that is left to the list.
struct Way<'a> {
    names: &'a [String],
    found: &'a mut Option<Vec<JsonText>>,
}

impl<'de> DeserializeSeed<'de> for Way<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reply: D) -> Result<Value, D::Error> {
        if !self.names.is_empty() {
            return reply.deserialize_map(self);
        }
        let records = Vec::<Box<RawValue>>::deserialize(reply)?;
        *self.found = Some(records.into_iter().map(JsonText::from).collect());
        Ok(Value::Array(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Way<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object on the way to the records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut around = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = match self.names {
                [next, names @ ..] if *next == name => {
                    object.next_value_seed(Way { names, found: &mut *self.found })?
                }
                _ => object.next_value()?,
            };
            around.insert(name, value);
        }
        Ok(Value::Object(around))
    }
}

/// What must be looked at in a record to know which it is, and what it says of itself.
pub struct Marks(Option<Wanted>);

impl Marks {
    /// The places at which a stream's records say it.
    pub fn of(stream: &Stream) -> Self {
        let compares = |call: &Call| call.precondition == Some(Precondition::ReadCompare);
        // Its whole content may stand for its version.
        if stream.update.as_ref().is_some_and(compares) {
            return Self(None);
        }
        let rule = stream.deleted_when.as_ref();
        let places = [
            stream.key.as_deref(),
            stream.version.as_deref(),
            rule.map(|rule| rule.at.as_str()).filter(|at| !at.is_empty()),
            rule.and_then(|rule| rule.merged_into.as_deref()),
        ];
        let paths: Result<Vec<Path>, String> = places.into_iter().flatten().map(Path::parse).collect();
        Self(paths.ok().map(Wanted::at_all))
    }

    /// A record as far as that.
    ///
    /// # Errors
    /// The record cannot be read there.
    pub fn pick(&self, record: &JsonText) -> serde_json::Result<Value> {
        match &self.0 {
            Some(wanted) => wanted.pick(record.as_str().as_bytes()),
            None => record.value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_taken_out_and_what_is_around_it_stays() {
        let reply = br#"{"next": 12345678901234567890123, "data": {"a/b": [{"id":  1, "n": 1.50}, 7], "more": true}}"#;
        let (around, records) = split(reply, "/data/a~1b").unwrap();
        let number: Value = serde_json::from_str("12345678901234567890123").unwrap();
        assert_eq!(around, json!({"next": number, "data": {"a/b": [], "more": true}}));
        let texts: Vec<&str> = records.iter().map(JsonText::as_str).collect();
        assert_eq!(texts, [r#"{"id":  1, "n": 1.50}"#, "7"]);
        let (around, records) = split(b" [1, 2] ", "").unwrap();
        assert_eq!((around, records.len()), (json!([]), 2));
    }

    #[test]
    fn what_is_no_list_is_left_whole() {
        for (reply, list) in [
            ("{\"data\": null}", "/data"),
            ("{\"data\": null}", "/data/items"),
            ("{\"data\": 7}", "/data/items"),
            ("{\"error\": 1}", "/data"),
            ("{\"data\": [1]", "/data"),
            ("{\"data\": [1]} 2", "/data"),
            ("{\"data\": [[1]]}", "/data/0"),
            ("7", "/data"),
            ("", ""),
        ] {
            assert!(split(reply.as_bytes(), list).is_none(), "{reply}");
        }
        assert!(split(b"[\"\xff\"]", "").is_none());
    }

    #[test]
    fn marks_are_found_where_the_stream_says() {
        let stream: Stream = serde_json::from_value(json!({
            "about": "", "key": "/ids/0", "version": "/at", "version_kind": "tag",
            "deleted_when": { "at": "/state", "equals": "gone" },
        }))
        .unwrap();
        let text = JsonText::from(&json!({"ids": ["a", "b"], "at": "x", "state": "gone", "rest": {"long": 1}}));
        let picked = Marks::of(&stream).pick(&text).unwrap();
        assert_eq!(picked, json!({"ids": ["a"], "at": "x", "state": "gone"}));
    }
}
