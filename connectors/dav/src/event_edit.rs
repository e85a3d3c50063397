//! Changes the texts of an event: summary, description, place. Everything else (its time, its people, its rule, its
//! alarms) stays byte for byte as it is.

use serde_json::Value;

use crate::event::main_event;
use crate::kind::Unfit;
use crate::line::{Line, Lines, escaped};

const TEXTS: [(&str, &str); 3] = [("summary", "SUMMARY"), ("description", "DESCRIPTION"), ("location", "LOCATION")];

/// The event with these texts.
///
/// # Errors
/// [`Unfit`] for what cannot be changed here.
pub fn edit(text: &str, body: &Value) -> Result<String, Unfit> {
    let mut lines = Lines::parse(text);
    let Some(changes) = body.as_object() else { return Err(Unfit::new("", "an event takes an object of values")) };
    for (name, value) in changes {
        let pointer = format!("/{name}");
        let property = TEXTS.iter().find(|(known, _)| known == name).map(|(_, property)| *property);
        let property = property.ok_or_else(|| {
            Unfit::new(&pointer, "only summary, description and location of an event are written; correct the mapping")
        })?;
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => return Err(Unfit::new(pointer, "this takes a text")),
        };
        let event =
            main_event(&lines).ok_or_else(|| Unfit::new("", "the resource on the server is no event any more"))?;
        set(&mut lines, event, property, value);
    }
    Ok(lines.write())
}

fn set(lines: &mut Lines, event: std::ops::Range<usize>, property: &str, value: Option<&str>) {
    let mut depth = 0_usize;
    let mine = |at: &usize| {
        let line = &lines.lines[*at];
        match line.name.as_str() {
            "BEGIN" => depth += 1,
            "END" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && line.name == property
    };
    let found: Vec<usize> = event.clone().filter(mine).collect();
    match (found.first(), value) {
        (Some(&at), Some(text)) if lines.lines[at].text().trim() != text => lines.lines[at].set(escaped(text)),
        (None, Some(text)) => lines.lines.insert(event.start, Line::new(property, escaped(text))),
        (_, None) => found.into_iter().rev().for_each(|at| drop(lines.lines.remove(at))),
        _ => {}
    }
}

/// Sets `LAST-MODIFIED` of the event, where it has one.
pub fn stamp(text: &str, now: jiff::Timestamp) -> String {
    let mut lines = Lines::parse(text);
    let Some(event) = main_event(&lines) else { return text.to_owned() };
    match event.clone().find(|at| lines.lines[*at].name == "LAST-MODIFIED") {
        Some(at) => lines.lines[at].set(now.strftime("%Y%m%dT%H%M%SZ").to_string()),
        None => return text.to_owned(),
    }
    lines.write()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_texts_change() {
        let before = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY;LANGUAGE=en:A\r\nX-Y;Z=1:kept\r\nBEGIN:VALARM\r\nDESCRIPTION:ring\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let after = edit(before, &json!({"summary": "B, c", "description": "text"})).unwrap();
        let expected =
            before.replace("en:A", "en:B\\, c").replace("BEGIN:VEVENT\r\n", "BEGIN:VEVENT\r\nDESCRIPTION:text\r\n");
        assert_eq!(after, expected);
        assert_eq!(edit(&after, &json!({"summary": "B, c"})).as_deref(), Ok(after.as_str()));
        assert_eq!(edit(&after, &json!({"description": null})).unwrap(), before.replace("en:A", "en:B\\, c"));
        assert_eq!(edit(before, &json!({"start": "x"})).unwrap_err().at, "/start");
    }
}
