//! The manifest's templates read backwards: which call was meant, and what stood in its placeholders.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the placeholders of a call took, by name: `record.id`, `cursor`, `stamp`, `body`, `record.email`.
pub type Bound = BTreeMap<String, Value>;

/// A template in pieces: texts and names of placeholders, in turn.
fn pieces(template: &str) -> Vec<(&str, Option<&str>)> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, next)) = after.split_once('}') else { break };
        pieces.push((before, Some(name)));
        rest = next;
    }
    pieces.push((rest, None));
    pieces
}

/// Whether a template holds a placeholder.
pub fn has_holes(template: &str) -> bool {
    pieces(template).iter().any(|(_, hole)| hole.is_some())
}

/// Fills `{config.x}` and `{secret.x}` in; other placeholders stay.
pub fn settled(template: &str, known: &BTreeMap<String, String>) -> String {
    let fill = |(text, hole): (&str, Option<&str>)| match hole {
        None => text.to_owned(),
        Some(name) => match known.get(name) {
            Some(value) => format!("{text}{value}"),
            None => format!("{text}{{{name}}}"),
        },
    };
    pieces(template).into_iter().map(fill).collect()
}

/// The same in every text of a JSON value.
pub fn settled_json(template: &Value, known: &BTreeMap<String, String>) -> Value {
    match template {
        Value::String(text) => Value::String(settled(text, known)),
        Value::Array(list) => list.iter().map(|item| settled_json(item, known)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(name, item)| (name.clone(), settled_json(item, known))).collect())
        }
        other => other.clone(),
    }
}

/// Whether a text is this template filled in; a placeholder takes at least one character.
pub fn text(template: &str, given: &str, bound: &mut Bound) -> bool {
    let pieces = pieces(template);
    let Some(mut rest) = given.strip_prefix(pieces[0].0) else { return false };
    for pair in pieces.windows(2) {
        let Some(name) = pair[0].1 else { break };
        let (next, is_last) = (pair[1].0, pair[1].1.is_none());
        let end = if is_last {
            rest.len().checked_sub(next.len()).filter(|_| rest.ends_with(next))
        } else {
            rest.get(1..).and_then(|after| after.find(next)).map(|at| at + 1)
        };
        let Some(end) = end.filter(|end| *end > 0) else { return false };
        bound.insert(name.to_owned(), Value::from(&rest[..end]));
        rest = &rest[end + next.len()..];
    }
    rest.is_empty()
}

/// Whether a JSON value is this template filled in. What has no value may be left out; what is there beside the
/// template (a page's cursor) does not matter.
pub fn json(template: &Value, given: Option<&Value>, bound: &mut Bound) -> bool {
    match (template, given) {
        (Value::String(template), given) => {
            let pieces = pieces(template);
            match (pieces.as_slice(), given) {
                ([("", Some(name)), ("", None)], Some(given)) => {
                    bound.insert((*name).to_owned(), given.clone());
                    true
                }
                // A setting that is a whole number may stand as one.
                (_, Some(Value::Number(given))) => text(template, &given.to_string(), bound),
                (_, Some(given)) => given.as_str().is_some_and(|given| text(template, given, bound)),
                (_, None) => has_holes(template),
            }
        }
        (Value::Object(template), Some(Value::Object(given))) => {
            template.iter().all(|(name, part)| json(part, given.get(name), bound))
        }
        (Value::Object(template), None) => template.is_empty() || template.values().any(|part| json(part, None, bound)),
        (Value::Array(template), Some(Value::Array(given))) if given.len() <= template.len() => {
            template.iter().enumerate().all(|(at, part)| json(part, given.get(at), bound))
        }
        (Value::Array(template), None) => template.iter().any(|part| json(part, None, bound)),
        (template, given) => given == Some(template),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as j;

    use super::*;

    #[test]
    fn texts_are_read_backwards() {
        let read = |template: &str, given: &str| {
            let mut bound = Bound::new();
            text(template, given, &mut bound).then_some(j!(bound))
        };
        assert_eq!(read("/persons/{record.id}", "/persons/7"), Some(j!({ "record.id": "7" })));
        assert_eq!(read("/persons/{record.id}", "/persons/"), None);
        assert_eq!(read("/persons", "/persons"), Some(j!({})));
        assert_eq!(read("/persons", "/persons/7"), None);
        assert_eq!(
            read("/{record.kind}/{record.id}.json", "/a/7.json"),
            Some(j!({ "record.kind": "a", "record.id": "7" }))
        );
        assert_eq!(read("updated:>='{stamp}'", "updated:>='2026'"), Some(j!({ "stamp": "2026" })));
    }

    #[test]
    fn bodies_are_read_backwards() {
        let template = j!({ "type": "made", "key": { "email": "{record.email}" }, "data": "{body}" });
        let mut bound = Bound::new();
        assert!(json(&template, Some(&j!({ "type": "made", "data": { "a": 1 } })), &mut bound));
        assert_eq!(j!(bound), j!({ "body": { "a": 1 } }));
        assert!(!json(&template, Some(&j!({ "type": "changed", "data": {} })), &mut bound));
        let known = BTreeMap::from([("config.shop".to_owned(), "s".to_owned())]);
        assert_eq!(settled("https://{config.shop}.x/{record.id}", &known), "https://s.x/{record.id}");
    }
}
