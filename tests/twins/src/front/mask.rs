//! How a system shows itself: under which ids, how late in lists, and in which form. The twin behind knows nothing of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::script::dialect::Dialect;

/// A record of an id that no twin has ever given.
const NOBODY: &str = "999999999999";

/// A change of the form of all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A member bears another name.
    Renamed(String, String),
    /// A member is gone.
    Dropped(String),
    /// A member's text has become a list of it.
    Retyped(String),
    /// A member shows this word, whatever it holds.
    Valued(String, String),
    /// A write must name this member.
    Required(String),
}

/// By id: the record as it was listed last, and since when, in milliseconds.
type Known = BTreeMap<String, (String, i64)>;

/// See the module.
pub(super) struct Mask {
    dialect: Dialect,
    lag_ms: i64,
    pub(super) now_ms: i64,
    /// By the twin's id: the one that is shown.
    ids: BTreeMap<String, String>,
    pub(super) shape: Option<Shape>,
    known: Known,
}

impl Mask {
    pub(super) fn new(dialect: Dialect, lag_ms: i64) -> Self {
        Self { dialect, lag_ms, now_ms: 0, ids: BTreeMap::new(), shape: None, known: Known::new() }
    }

    /// From now on a record bears another id.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.ids.insert(from.to_owned(), to.to_owned());
    }

    /// An address as the twin understands it.
    pub(super) fn address(&self, address: &str) -> String {
        self.ids.iter().fold(address.to_owned(), |text, (from, to)| swap(&swap(&text, from, NOBODY), to, from))
    }

    /// What is asked, as the twin understands it.
    pub(super) fn asked(&self, body: &str) -> String {
        if self.ids.is_empty() {
            return body.to_owned();
        }
        let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
        for (from, to) in &self.ids {
            replace(&mut value, from, NOBODY);
            replace(&mut value, to, from);
        }
        value.to_string()
    }

    /// Whether a write does not name what it must.
    pub(super) fn lacks_required(&self, body: &str) -> bool {
        matches!(&self.shape, Some(Shape::Required(name)) if !body.contains(name.as_str()))
    }

    /// What changed is missing from lists for a while, as where an index stands behind them. Who lists everybody has none.
    pub(super) fn lagged(&mut self, records: &mut Vec<Value>) {
        if self.lag_ms == 0 || self.dialect.lists_all {
            return;
        }
        let (now_ms, lag_ms) = (self.now_ms, self.lag_ms);
        records.retain(|record| {
            let Some(id) = record.pointer(self.dialect.id).map(Value::to_string) else { return true };
            let text = record.to_string();
            let since_ms = match self.known.get(&id) {
                Some((known, since_ms)) if *known == text => *since_ms,
                // What was there before the day began is known to the index.
                None if now_ms == 0 => -lag_ms,
                _ => now_ms,
            };
            self.known.insert(id, (text, since_ms));
            now_ms - since_ms >= lag_ms
        });
    }

    /// A reply as it is shown.
    pub(super) fn shown(&self, reply: &mut Value) {
        for (from, to) in &self.ids {
            replace(reply, from, to);
        }
        if let Some(shape) = &self.shape {
            reshape(reply, shape);
        }
    }
}

/// Puts one id in place of another wherever a value is it, or names it between other signs.
fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => *text = swap(text, from, to),
        Value::Number(number) if number.to_string() == from => {
            if let Ok(fresh) = to.parse::<u64>() {
                *value = Value::from(fresh);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, from, to)),
        Value::Object(members) => members.values_mut().for_each(|inner| replace(inner, from, to)),
        _ => {}
    }
}

/// The same in a text: where letters or digits stand beside it, it is a part of something else.
fn swap(text: &str, from: &str, to: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let joins = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let is_part =
            joins(before.chars().next_back().or_else(|| out.chars().next_back())) || joins(after.chars().next());
        out.push_str(before);
        out.push_str(if is_part { from } else { to });
        rest = after;
    }
    out + rest
}

fn reshape(value: &mut Value, shape: &Shape) {
    if let Value::Object(members) = value {
        match shape {
            Shape::Renamed(from, to) => {
                if let Some(inner) = members.remove(from) {
                    members.insert(to.clone(), inner);
                }
            }
            Shape::Dropped(name) => {
                members.remove(name);
            }
            Shape::Retyped(name) => {
                if let Some(inner) = members.get_mut(name).filter(|inner| !inner.is_null()) {
                    *inner = Value::Array(vec![inner.take()]);
                }
            }
            Shape::Valued(name, word) => {
                if let Some(inner) = members.get_mut(name) {
                    *inner = Value::from(word.as_str());
                }
            }
            Shape::Required(_) => {}
        }
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| reshape(inner, shape)),
        Value::Object(members) => members.values_mut().for_each(|inner| reshape(inner, shape)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::script::dialect::{HUBSPOT, WECOM};

    #[test]
    fn an_id_is_swapped_where_it_stands_for_itself() {
        assert_eq!(swap("/contacts/101?x=1010&y=101", "101", "7"), "/contacts/7?x=1010&y=7");
        assert_eq!(swap("FCUSTID = 101", "101", "7"), "FCUSTID = 7");
        assert_eq!(swap("101", "101", "7"), "7");
        assert_eq!(swap("2026-01-01T00:00:00.101Z", "101", "7"), "2026-01-01T00:00:00.101Z");
    }

    #[test]
    fn a_renamed_record_answers_under_its_new_id_only() {
        let mut mask = Mask::new(HUBSPOT, 0);
        mask.ids.insert("101".to_owned(), "8101".to_owned());
        assert_eq!(mask.address("/contacts/8101"), "/contacts/101");
        assert_eq!(mask.address("/contacts/101"), format!("/contacts/{NOBODY}"));
        let mut reply = json!({ "id": "101", "number": 101, "other": "1010" });
        mask.shown(&mut reply);
        assert_eq!(reply, json!({ "id": "8101", "number": 8101, "other": "1010" }));
        assert_eq!(mask.asked(r#"{"inputs":[{"id":"8101"}]}"#), r#"{"inputs":[{"id":"101"}]}"#);
    }

    #[test]
    fn a_list_lags_where_an_index_stands_behind_it() {
        let record = |id: &str, value: &str| json!({ "id": id, "value": value });
        let look = |mask: &mut Mask, now_ms: i64, id: &str, value: &str| {
            mask.now_ms = now_ms;
            let mut records = vec![record(id, value)];
            mask.lagged(&mut records);
            records.len()
        };
        let mut mask = Mask::new(HUBSPOT, 30_000);
        assert_eq!(look(&mut mask, 0, "1", "old"), 1, "it was there before");
        assert_eq!(look(&mut mask, 60_000, "1", "new"), 0);
        assert_eq!(look(&mut mask, 89_000, "1", "new"), 0);
        assert_eq!(look(&mut mask, 90_000, "1", "new"), 1);
        assert_eq!(look(&mut mask, 95_000, "2", "new"), 0, "nobody has seen it");
        assert_eq!(look(&mut Mask::new(WECOM, 30_000), 95_000, "2", "new"), 1);
    }

    #[test]
    fn a_form_changes_wherever_the_member_stands() {
        let shown = |shape: Shape| {
            let mut reply = json!({ "results": [{ "company": "甲", "title": "b" }] });
            reshape(&mut reply, &shape);
            reply["results"][0].clone()
        };
        let company = || "company".to_owned();
        assert_eq!(shown(Shape::Renamed(company(), "firm".to_owned())), json!({ "firm": "甲", "title": "b" }));
        assert_eq!(shown(Shape::Dropped(company())), json!({ "title": "b" }));
        assert_eq!(shown(Shape::Retyped(company())), json!({ "company": ["甲"], "title": "b" }));
        assert_eq!(shown(Shape::Valued(company(), "new".to_owned())), json!({ "company": "new", "title": "b" }));
        let required = Mask { shape: Some(Shape::Required(company())), ..Mask::new(HUBSPOT, 0) };
        assert!(required.lacks_required(r#"{"title":"b"}"#) && !required.lacks_required(r#"{"company":"b"}"#));
    }
}
