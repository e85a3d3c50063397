//! The parts of a record that somebody reads, straight from its text: most records hold several times as much, and making
//! values of all that was more than half of what mapping cost.
//!
//! What is picked is a record like any other, as far as the lens can tell: what it reads is there or missing just as in the
//! whole record, and what was not empty is not empty.

use std::fmt;

use rustc_hash::FxHashMap;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::path::Path;
use super::{Direction, FieldRule, Lens, ReferenceRule};
use crate::model::FieldType;

/// With exact numbers serde_json shows a number to a visitor as an object with this one name.
const NUMBER: &str = "$serde_json::private::Number";

/// Places in a record: a name on the way to them, and the names below it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Everything here is read.
    whole: bool,
    /// The names that lead on, each with the place that it means in a list, if any.
    names: Vec<(String, Option<usize>, Wanted)>,
    /// Where each of them stands: most names of a record are not among them, and a hash tells that at once.
    known: FxHashMap<String, usize>,
}

impl Wanted {
    /// These places.
    pub fn at_all(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut root = Self::default();
        paths.into_iter().for_each(|path| root.add(&path));
        root
    }

    /// What a lens reads.
    pub(super) fn of(lens: &Lens) -> Self {
        let mut root = Self::default();
        for rule in lens.fields.iter().filter(|rule| rule.direction != Direction::Out && rule.constant.is_none()) {
            root.field(rule);
        }
        let references = lens.references.iter().filter_map(|rule| match rule {
            ReferenceRule::Identity(rule) => Some(rule),
            ReferenceRule::Record { .. } => None,
        });
        for rule in lens.identities.iter().chain(references) {
            root.add(&rule.from);
            rule.scope.iter().for_each(|scope| root.add(scope));
        }
        for rule in &lens.references {
            if let ReferenceRule::Record { from, .. } = rule {
                root.add(from);
            }
        }
        lens.only.iter().for_each(|only| root.add(only));
        root
    }

    fn field(&mut self, rule: &FieldRule) {
        let Some(from) = &rule.from else { return };
        rule.currency_from.iter().for_each(|path| self.add(path));
        // Of a postal address only its named parts are read, unless it is compared as a whole.
        let is_compared = rule.nothing.as_ref().is_some_and(|word| word.is_object() || word.is_array());
        if rule.kind != FieldType::Address || rule.each.is_empty() || is_compared {
            return self.add(from);
        }
        self.at(from);
        for part in rule.each.iter().filter_map(|part| part.from.as_ref()) {
            self.add(&from.join(part));
        }
    }

    fn add(&mut self, path: &Path) {
        self.at(path).whole = true;
    }

    fn at(&mut self, path: &Path) -> &mut Self {
        path.parts().iter().fold(self, |node, (name, index)| {
            let next = node.names.len();
            let at = *node.known.entry(name.clone()).or_insert(next);
            if at == next {
                node.names.push((name.clone(), *index, Self::default()));
            }
            &mut node.names[at].2
        })
    }

    /// Picks what is wanted out of a text of JSON.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn pick(&self, body: &[u8]) -> serde_json::Result<Value> {
        // One look at all of it is cheaper than one at each text, and it sees what is passed over, too.
        let text = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
        let mut text = serde_json::Deserializer::from_str(text);
        let picked = self.deserialize(&mut text)?;
        text.end()?;
        Ok(picked)
    }
}

/// Stands in an object of which nothing is wanted, so that it does not look empty.
const PASSED: &str = "\0";

impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.whole { Value::deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for &Wanted {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let last = self.names.iter().filter_map(|(_, place, _)| *place).max();
        let mut made = Vec::new();
        while last.is_none_or(|last| made.len() <= last) {
            let below = self.names.iter().find(|(_, place, _)| *place == Some(made.len()));
            let item = match below {
                Some((.., below)) => list.next_element_seed(below)?,
                None => list.next_element::<IgnoredAny>()?.map(|_| Value::Null),
            };
            match item {
                Some(item) if last.is_some() || made.is_empty() => made.push(item),
                Some(_) => {}
                None => return Ok(Value::Array(made)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(made))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut made = Map::new();
        let mut passed = false;
        while let Some(name) = object.next_key_seed(Name(self))? {
            match name {
                Known::Wanted(name, below) => {
                    made.insert(name.to_owned(), object.next_value_seed(below)?);
                }
                Known::Number => {
                    let number: String = object.next_value()?;
                    return number.parse().map(Value::Number).map_err(A::Error::custom);
                }
                Known::Nothing => {
                    object.next_value::<IgnoredAny>()?;
                    passed = true;
                }
            }
        }
        if made.is_empty() && passed {
            made.insert(PASSED.to_owned(), Value::Null);
        }
        Ok(Value::Object(made))
    }
}

/// A name of an object.
enum Known<'a> {
    Wanted(&'a str, &'a Wanted),
    Number,
    Nothing,
}

struct Name<'a>(&'a Wanted);

impl<'a, 'de> DeserializeSeed<'de> for Name<'a> {
    type Value = Known<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Known<'a>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Known<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Known<'a>, E> {
        Ok(match self.0.known.get(name) {
            Some(at) => Known::Wanted(&self.0.names[*at].0, &self.0.names[*at].2),
            None if name == NUMBER => Known::Number,
            None => Known::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use proptest::prelude::*;

    const MAPPING: &str = r#"
[customers]
entity = "customer"
only = "/a/b"
[customers.identities]
email = { from = "/b", item = "/a" }
openid = { from = "/a/c", scope = "/c/0" }
[customers.fields]
title = "/a/b"
company = "/c/0/a"
birth_date = { from = "/c/1", nothing = "a" }
tags = { from = "/b", item = "/b", direction = "in" }
addresses.main = { from = "/d", each = { city = "/a", street = "/b/c" }, direction = "in" }
[orders]
entity = "order"
stream = "customers"
[orders.fields]
total = { from = "/a/b", currency_from = "/c/0/b", direction = "in" }
lines = { from = "/b", each = { sku = "/a", price = { from = "/b", currency = "CNY" } } }
[orders.references]
record = { lens = "customers", from = "/d/a" }
email = "/d/b"
"#;

    fn json() -> impl Strategy<Value = Value> {
        let name = "[a-e]";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ ab]{0,3}".prop_map(Value::from),
        ];
        let nested = leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..5).prop_map(Value::from_iter),
            ]
        });
        prop::collection::btree_map(name, nested, 0..6).prop_map(Value::from_iter)
    }

    proptest! {
        #[test]
        fn what_is_picked_says_what_the_record_says(record in json()) {
            let text = serde_json::to_vec(&record).unwrap();
            for lens in Lens::parse_file("kit.toml", MAPPING, &Model::shipped()).unwrap() {
                let picked = lens.pick(&text).unwrap();
                prop_assert_eq!(lens.map(&picked), lens.map(&record));
                prop_assert_eq!(lens.reads(&picked), lens.reads(&record));
                for place in lens.places() {
                    prop_assert_eq!(place.kind(&picked), place.kind(&record), "{}", place.pointer());
                }
            }
        }
    }

    #[test]
    fn what_nobody_reads_is_passed_over() {
        let lens = &Lens::parse_file("kit.toml", MAPPING, &Model::shipped()).unwrap()[0];
        let text =
            br#"{"z": {"y": [1, 2]}, "a": {"b": 12.50, "y": 1}, "c": [{"b": 1}, "2026-01-02", 3], "d": {"y": 1}}"#;
        let picked = lens.pick(text).unwrap().to_string();
        assert_eq!(picked, r#"{"a":{"b":12.50},"c":[{"b":1},"2026-01-02"],"d":{"\u0000":null}}"#);
        assert!(lens.pick(b"{\"a\": 1} 2").is_err());
        assert!(lens.pick(b"{\"z\": ").is_err());
        assert_eq!(lens.pick(b"7").unwrap(), serde_json::json!(7), "a number stands alone");
    }
}
