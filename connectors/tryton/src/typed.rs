//! Typed wire values: what JSON has no word for travels as an object with a `__class__` (trytond `protocols/jsonrpc.py`).
//!
//! No value becomes a float on the way: digits stay as the server wrote them.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

/// The value with every typed part as a text: `2026-02-03T04:05:06.000007Z`, `2026-02-03`, `12.50`, base64. The server
/// runs in UTC. A related record that was read along (`currency.`) loses the dot at the end of its name.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::Object(map) => match text(&map) {
            Some(text) => Value::String(text),
            None => Value::Object(map.into_iter().map(|(name, value)| (undotted(name), plain(value))).collect()),
        },
        other => other,
    }
}

fn undotted(mut name: String) -> String {
    if name.ends_with('.') {
        name.pop();
    }
    name
}

/// None: not a typed value, or one that this program does not know; it stays as it is.
fn text(map: &Map<String, Value>) -> Option<String> {
    let number = |key: &str| map.get(key)?.as_u64();
    let date = || Some(format!("{:04}-{:02}-{:02}", number("year")?, number("month")?, number("day")?));
    let time = || {
        let (hour, minute, second) = (number("hour")?, number("minute")?, number("second")?);
        Some(format!("{hour:02}:{minute:02}:{second:02}.{:06}", number("microsecond")?))
    };
    match map.get("__class__")?.as_str()? {
        "datetime" => Some(format!("{}T{}Z", date()?, time()?)),
        "date" => date(),
        "time" => time(),
        "Decimal" => Some(map.get("decimal")?.as_str()?.to_owned()),
        // A duration in seconds; Python writes a fraction even where there is none.
        "timedelta" => Some(map.get("seconds")?.as_number()?.to_string()),
        // Python breaks base64 into lines.
        "bytes" => Some(map.get("base64")?.as_str()?.split_whitespace().collect()),
        _ => None,
    }
}

/// An instant as the server reads it.
pub fn datetime(at: Timestamp) -> Value {
    let civil = Offset::UTC.to_datetime(at);
    json!({
        "__class__": "datetime",
        "year": civil.year(), "month": civil.month(), "day": civil.day(),
        "hour": civil.hour(), "minute": civil.minute(), "second": civil.second(),
        "microsecond": civil.subsec_nanosecond() / 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wire: &str, expected: &Value) {
        assert_eq!(plain(serde_json::from_str(wire).unwrap()), *expected);
    }

    #[test]
    fn typed_values_become_texts_digit_for_digit() {
        check(r#"{"__class__":"Decimal","decimal":"1234567890123456789.10"}"#, &json!("1234567890123456789.10"));
        check(r#"{"__class__":"date","year":2026,"month":2,"day":3}"#, &json!("2026-02-03"));
        check(r#"{"__class__":"time","hour":4,"minute":5,"second":6,"microsecond":7}"#, &json!("04:05:06.000007"));
        check(r#"{"__class__":"timedelta","seconds":86400.1}"#, &json!("86400.1"));
        check(r#"{"__class__":"bytes","base64":"aHVp\nbGl1\n"}"#, &json!("aHVpbGl1"));
        check(r#"{"__class__":"later","x":1}"#, &json!({"__class__": "later", "x": 1}));
        check(r#"{"__class__":"date","year":"?"}"#, &json!({"__class__": "date", "year": "?"}));
        check(
            r#"[{"currency.":{"code":"CNY","id":1},"quantity":3.10}]"#,
            &serde_json::from_str(r#"[{"currency":{"code":"CNY","id":1},"quantity":3.10}]"#).unwrap(),
        );
    }

    #[test]
    fn an_instant_is_read_as_it_was_written() {
        for text in ["2026-02-03T04:05:06.000007Z", "1999-12-31T23:59:59.999999Z", "2026-02-03T04:05:06.000000Z"] {
            assert_eq!(plain(datetime(text.parse().unwrap())), json!(text));
        }
    }
}
