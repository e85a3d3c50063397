//! JSON pointers (RFC 6901), cut once when the file is compiled.

use serde_json::{Map, Value};

/// A compiled pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<(String, Option<usize>)>);

/// An array is grown to this many elements at most when a pointer writes into it: `/emails/0` is meant, not `/x/9999`.
const INDEX_MAX: usize = 15;

impl Path {
    /// Compiles a pointer, or says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let rest =
            text.strip_prefix('/').ok_or_else(|| format!("`{text}` is not a JSON pointer; did you mean `/{text}`?"))?;
        let parts = rest.split('/').map(|part| {
            if part.replace("~0", "").replace("~1", "").contains('~') {
                return Err(format!("`{text}`: in a JSON pointer ~ is written ~0, and / inside a name ~1"));
            }
            let part = part.replace("~1", "/").replace("~0", "~");
            let index = part.parse::<usize>().ok().filter(|_| part == "0" || !part.starts_with('0'));
            if index.is_some_and(|index| index > INDEX_MAX) {
                return Err(format!("`{text}`: an index above {INDEX_MAX} is not supported"));
            }
            Ok((part, index))
        });
        Ok(Self(parts.collect::<Result<_, String>>()?))
    }

    /// Its names, each with the place that it means in a list.
    pub(super) fn parts(&self) -> &[(String, Option<usize>)] {
        &self.0
    }

    /// The value there.
    pub fn get<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(body, |at, (part, index)| match at {
            Value::Object(object) => object.get(part),
            Value::Array(array) => index.and_then(|index| array.get(index)),
            _ => None,
        })
    }

    /// The value there, where nothing is as empty as what it stands in: below null and behind the end of a list is null.
    /// None: an object has no such name.
    pub fn look<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(body, |at, (part, index)| match at {
            Value::Object(object) => object.get(part),
            Value::Array(array) => Some(index.and_then(|index| array.get(index)).unwrap_or(&Value::Null)),
            Value::Null => Some(at),
            _ => None,
        })
    }

    /// The pointer that leads on from where this one points.
    pub fn join(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(&more.0).cloned().collect())
    }

    /// Whether the other pointer is this one, or leads into what this one points at.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Puts a value there; objects and arrays on the way are made.
    pub fn put(&self, body: &mut Value, value: Value) {
        let mut at = body;
        for (part, index) in &self.0 {
            if at.is_null() {
                *at = if index.is_some() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
            }
            at = match at {
                Value::Array(array) => {
                    let Some(index) = *index else { return };
                    while array.len() <= index {
                        array.push(Value::Null);
                    }
                    &mut array[index]
                }
                Value::Object(object) => object.entry(part.as_str()).or_insert(Value::Null),
                _ => return,
            };
        }
        *at = value;
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(part, _)| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pointer_reads_and_writes() {
        let path = Path::parse("/emails/0/value").unwrap();
        assert_eq!(path.get(&json!({"emails": [{"value": 1}]})), Some(&json!(1)));
        assert_eq!(path.get(&json!({"emails": []})), None);
        let mut made = Value::Null;
        path.put(&mut made, json!("x"));
        assert_eq!(made, json!({"emails": [{"value": "x"}]}));
        assert_eq!(path.to_string(), "/emails/0/value");
        assert!(Path::parse("emails").unwrap_err().contains("did you mean `/emails`"));
        assert!(Path::parse("/a/99").is_err());
        assert!(Path::parse("/a~b").unwrap_err().contains("~0"));
        let odd = Path::parse("/a~1b/m~0n/~01").unwrap();
        assert_eq!(odd.get(&json!({"a/b": {"m~n": {"~1": 5}}})), Some(&json!(5)));
        assert_eq!(odd.to_string(), "/a~1b/m~0n/~01");
        assert_eq!(Path::parse("").unwrap().get(&json!(1)), Some(&json!(1)));
        let mut kept = json!(["a"]);
        Path::parse("/name").unwrap().put(&mut kept, json!("x"));
        assert_eq!(kept, json!(["a"]), "a name points at nothing in an array");
        assert!(Path::parse("/a").unwrap().covers(&Path::parse("/a/b").unwrap()));
        assert!(!Path::parse("/a").unwrap().covers(&Path::parse("/ab").unwrap()));
    }
}
