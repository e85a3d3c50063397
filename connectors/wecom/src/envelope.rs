//! Callbacks as they travel: flat XML, or flat JSON for bots.

use std::collections::BTreeMap;

use huiliu_rest::xml::character;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Longest accepted callback body. The envelope of an event is below 4 KiB; the bound leaves room for long texts.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Elements inside elements; `change_external_chat` nests a member list two deep.
const DEPTH_MAX: usize = 8;

/// Elements of one callback. A chat update lists at most some hundred members.
const ELEMENTS_MAX: usize = 10_000;

/// What is said of an entity that XML does not know by itself.
const UNKNOWN: &str = "the callback uses an unknown entity";

/// The fields of a callback by name. Only the first level counts; what is nested deeper is not needed by anybody.
pub type Fields = BTreeMap<String, String>;

/// Reads a flat document, XML or JSON by its first character.
pub fn parse(body: &[u8]) -> Result<Fields, String> {
    if body.len() > BODY_BYTES_MAX {
        return Err(format!("the callback is longer than {BODY_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(body).map_err(|_| "the callback is not UTF-8".to_owned())?;
    if is_json(body) { json(text) } else { xml(text) }
}

/// Whether a body is the JSON form.
pub fn is_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn json(text: &str) -> Result<Fields, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "the callback is not valid JSON".to_owned())?;
    let object = value.as_object().ok_or("the callback is not a JSON object")?;
    let fields = object.iter().filter_map(|(name, value)| match value {
        serde_json::Value::String(text) => Some((name.clone(), text.clone())),
        serde_json::Value::Number(number) => Some((name.clone(), number.to_string())),
        _ => None,
    });
    Ok(fields.collect())
}

fn xml(text: &str) -> Result<Fields, String> {
    let mut reader = Reader::from_str(text);
    let mut fields = Fields::new();
    let mut open: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| "the callback is not well-formed XML".to_owned())?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if elements > ELEMENTS_MAX || open.len() >= DEPTH_MAX {
                    return Err("the callback has too many or too deeply nested elements".to_owned());
                }
                open.push(start.name().as_ref().to_owned());
                content.clear();
            }
            Event::End(_) => {
                let name = open.pop().ok_or("the callback is not well-formed XML")?;
                // A repeated element could say one thing to the signature check and another to the reader.
                if open.len() == 1 && fields.insert(name, content.trim().to_owned()).is_some() {
                    return Err("the callback repeats an element".to_owned());
                }
                content.clear();
            }
            Event::Text(piece) => content.push_str(&piece.xml10_content()),
            Event::CData(piece) => content.push_str(&piece),
            Event::GeneralRef(reference) => content.push(character(&reference).ok_or(UNKNOWN)?),
            Event::DocType(_) => return Err("the callback declares a document type".to_owned()),
            Event::Eof if open.is_empty() && elements > 0 => return Ok(fields),
            Event::Eof => return Err("the callback is cut off".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&[(&str, &str)], &str>) {
        let found = parse(body.as_bytes());
        match expected {
            Ok(fields) => {
                let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
                assert_eq!(found, Ok(fields));
            }
            Err(part) => assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn flat_documents_are_read() {
        check("<xml><A><![CDATA[一<b>]]></A><B>2</B></xml>", Ok(&[("A", "一<b>"), ("B", "2")]));
        check("<xml><A>x &amp; y&#33;</A><N><A>no</A></N></xml>", Ok(&[("A", "x & y!"), ("N", "")]));
        check(
            r#" {"encrypt":"abc","n":12345678901234567890,"o":{}}"#,
            Ok(&[("encrypt", "abc"), ("n", "12345678901234567890")]),
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        check("<!DOCTYPE x [<!ENTITY e \"aaaa\">]><xml><A>&e;</A></xml>", Err("document type"));
        check("<xml><A>&e;</A></xml>", Err("unknown entity"));
        check("<xml><A>1</A><A>2</A></xml>", Err("repeats"));
        check("<xml><A>1</A>", Err("cut off"));
        check("<xml><A>1</B></xml>", Err("well-formed"));
        check("", Err("cut off"));
        check("{", Err("JSON"));
        check(&"<a>".repeat(DEPTH_MAX + 1), Err("too many"));
        check(&format!("<xml>{}</xml>", "<a></a>".repeat(2)), Err("repeats"));
        check(&" ".repeat(BODY_BYTES_MAX + 1), Err("longer"));
    }
}
