//! JSON pointers: reading with `/*`, setting, and values as text.

use serde_json::{Map, Value};

/// All values a pointer leads to. A part `*` stands for every element of an array.
pub fn find<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for part in pointer.split('/').skip(1) {
        let name = unescape(part);
        found = found
            .into_iter()
            .flat_map(|value| match (value, part) {
                (Value::Array(list), "*") => list.iter().collect::<Vec<_>>(),
                (Value::Array(list), _) => name.parse::<usize>().ok().and_then(|at| list.get(at)).into_iter().collect(),
                (Value::Object(map), _) => map.get(&name).into_iter().collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    found
}

/// Puts a value where a pointer leads, and makes the objects on the way. An empty pointer replaces the whole.
pub fn put(value: &mut Value, pointer: &str, new: Value) {
    let mut place = value;
    for part in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(unescape(part)).or_insert(Value::Null);
    }
    *place = new;
}

/// The text of a text, a number or a truth value. A number keeps its own digits.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value says nothing: null, an empty text, list or object.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `whole` holds every leaf of `part`.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| contains(whole.get(name).unwrap_or(&Value::Null), value))
        }
        _ => whole == part,
    }
}

/// Whether nothing that `whole` shows contradicts `part`. What it does not show at all contradicts nothing; nothing is
/// like an empty text, a number like its digits, and lists of such values may come in another order.
pub fn agrees(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (_, Value::Null) => is_empty(whole),
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_none_or(|shown| agrees(shown, value)))
        }
        (Value::Array(shown), Value::Array(known)) => {
            let sorted = |list: &[Value]| {
                let mut texts = list.iter().map(text).collect::<Option<Vec<String>>>()?;
                texts.sort();
                Some(texts)
            };
            shown == known || sorted(shown).is_some_and(|texts| sorted(known) == Some(texts))
        }
        _ => {
            (is_empty(whole) && is_empty(part)) || whole == part || text(whole).is_some_and(|it| text(part) == Some(it))
        }
    }
}

/// A name as it is, out of its form in a pointer.
pub fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_stands_for_every_element() {
        let reply = json!({"errors": [{"code": "A"}, {"other": 1}, {"code": "B"}]});
        assert_eq!(find(&reply, "/errors/*/code"), [&json!("A"), &json!("B")]);
        assert_eq!(find(&reply, "/errors/2/code"), [&json!("B")]);
        assert_eq!(find(&reply, ""), [&reply]);
        assert!(find(&reply, "/none/*/code").is_empty());
    }

    #[test]
    fn put_makes_the_way() {
        let mut body = json!({"first": 1});
        put(&mut body, "/filter/after", json!("x"));
        assert_eq!(body, json!({"first": 1, "filter": {"after": "x"}}));
        put(&mut body, "", json!([]));
        assert_eq!(body, json!([]));
    }

    #[test]
    fn only_what_is_shown_can_contradict() {
        let shown = json!({"name": "Li", "age": 7, "tags": ["b", "a"], "note": "", "mail": {"at": "x"}});
        for known in [
            json!({}),
            json!({"name": "Li", "age": "7", "tags": ["a", "b"], "note": null, "phone": "1", "mail": {"to": "y"}}),
        ] {
            assert!(agrees(&shown, &known), "{known}");
        }
        for known in
            [json!({"name": "Lei"}), json!({"name": null}), json!({"tags": ["a"]}), json!({"mail": {"at": "y"}})]
        {
            assert!(!agrees(&shown, &known), "{known}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let big: Value = serde_json::from_str("9007199254740993123").unwrap();
        assert_eq!(text(&big).unwrap(), "9007199254740993123");
    }
}
