//! Changes named values of a vCard. Every other property, parameter and line stays as it is, byte for byte: a picture,
//! an `X-` property that nobody here knows, the order.

use serde_json::{Map, Value};

use crate::card::{self, ADDRESS_PARTS, NAME_PARTS, Slots, TEXTS};
use crate::kind::Unfit;
use crate::line::{Line, Lines, escaped, split};

/// A card without content; every change is made to it.
pub fn empty(uid: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Huiliu//EN\r\nUID:{uid}\r\nEND:VCARD\r\n")
}

/// The card with these values in place of those at the same places of [`card::read`].
///
/// # Errors
/// [`Unfit`] for a place that cards do not have, or a value of another kind.
pub fn edit(text: &str, body: &Value) -> Result<String, Unfit> {
    let mut lines = Lines::parse(text);
    let Some(range) = lines.components("VCARD").into_iter().next() else {
        return Err(Unfit::new("", "the resource on the server is no card; mend or delete it there"));
    };
    let Some(changes) = body.as_object() else { return Err(Unfit::new("", "a card takes an object of values")) };
    let tail = lines.lines.split_off(range.end);
    let content = lines.lines.split_off(range.start);
    let mut card = Card { lines: content };
    for (name, value) in changes {
        card.change(name, value)?;
    }
    card.complete();
    lines.lines.extend(card.lines);
    lines.lines.extend(tail);
    Ok(lines.write())
}

/// Sets `REV`, where the card has one.
pub fn stamp(text: &str, now: jiff::Timestamp) -> String {
    let mut lines = Lines::parse(text);
    let mut changed = false;
    for line in lines.lines.iter_mut().filter(|line| line.name == "REV") {
        line.set(now.strftime("%Y%m%dT%H%M%SZ").to_string());
        changed = true;
    }
    if changed { lines.write() } else { text.to_owned() }
}

struct Card {
    lines: Vec<Line>,
}

impl Card {
    fn change(&mut self, name: &str, value: &Value) -> Result<(), Unfit> {
        if let Some((_, property)) = TEXTS.iter().find(|(known, _)| *known == name) {
            return self.set_text(name, property, value);
        }
        match name {
            "fn" => self.set_text(name, "FN", value),
            "bday" => self.set_text(name, "BDAY", value),
            "gender" => {
                // Version 3 has no gender; its `X-` property is what address books use there.
                let property = if self.is_4() { "GENDER" } else { "X-GENDER" };
                self.set_text(name, property, value)
            }
            "kind" => {
                let property = if self.is_4() { "KIND" } else { "X-ADDRESSBOOKSERVER-KIND" };
                self.set_text(name, property, value)
            }
            "n" => self.set_parts("N", &NAME_PARTS, object(name, value)?),
            "org" => self.set_organization(object(name, value)?),
            "categories" => self.set_categories(value),
            "email" => self.set_slots(Slots::Email, object(name, value)?),
            "tel" => self.set_slots(Slots::Tel, object(name, value)?),
            "adr" => self.set_slots(Slots::Adr, object(name, value)?),
            _ => Err(Unfit::new(format!("/{name}"), "a card has no place for this value; correct the mapping")),
        }
    }

    fn is_4(&self) -> bool {
        card::first(&self.lines, "VERSION").is_some_and(|line| line.value.trim() == "4.0")
    }

    fn place(&self, property: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.name == property)
    }

    fn set_text(&mut self, name: &str, property: &str, value: &Value) -> Result<(), Unfit> {
        let Some(text) = text(&format!("/{name}"), value)? else {
            // A name that nobody typed is nobody's to take away.
            self.lines.retain(|line| line.name != property || card::is_derived(line));
            return Ok(());
        };
        let value = if property == "BDAY" && self.is_4() { text.replace('-', "") } else { escaped(text) };
        match self.place(property) {
            Some(at) if self.lines[at].text().trim() == text && !card::is_derived(&self.lines[at]) => {}
            Some(at) => {
                let line = &mut self.lines[at];
                line.params.retain(|(name, _)| name != card::DERIVED && name != "X-APPLE-OMIT-YEAR");
                line.set(value);
            }
            None => self.lines.push(Line::new(property, value)),
        }
        Ok(())
    }

    /// Sets some parts of a structured value; the others stay as they are written.
    fn set_parts(&mut self, property: &str, names: &[&str], changes: &Map<String, Value>) -> Result<(), Unfit> {
        let at = self.place(property);
        let value = changed(property, at.map(|at| &self.lines[at]), names, changes)?;
        match (at, value) {
            (Some(at), Some(value)) => self.lines[at].set(value),
            (None, Some(value)) => self.lines.push(Line::new(property, value)),
            (_, None) => {}
        }
        Ok(())
    }

    fn set_organization(&mut self, changes: &Map<String, Value>) -> Result<(), Unfit> {
        if let Some(other) = changes.keys().find(|name| *name != "name") {
            return Err(Unfit::new(format!("/org/{other}"), "only the name of an organization can be written"));
        }
        self.set_parts("ORG", &["name"], changes)?;
        // An organization without a name and units is none.
        self.lines.retain(|line| line.name != "ORG" || line.components().iter().any(|part| !part.trim().is_empty()));
        Ok(())
    }

    fn set_categories(&mut self, value: &Value) -> Result<(), Unfit> {
        let unfit = || Unfit::new("/categories", "categories are a list of texts");
        let words: Vec<&str> = match value {
            Value::Null => Vec::new(),
            Value::Array(words) => {
                words.iter().map(|word| word.as_str().ok_or_else(unfit)).collect::<Result<_, _>>()?
            }
            _ => return Err(unfit()),
        };
        let at = self.place("CATEGORIES");
        let joined = words.iter().map(|word| escaped(word)).collect::<Vec<_>>().join(",");
        // All words go to the first line: several lines say the same as one.
        let mut seen = 0;
        self.lines.retain(|line| {
            seen += usize::from(line.name == "CATEGORIES");
            line.name != "CATEGORIES" || (seen == 1 && !words.is_empty())
        });
        match at {
            Some(at) if !words.is_empty() => self.lines[at].set(joined),
            None if !words.is_empty() => self.lines.push(Line::new("CATEGORIES", joined)),
            _ => {}
        }
        Ok(())
    }

    fn set_slots(&mut self, slots: Slots, changes: &Map<String, Value>) -> Result<(), Unfit> {
        for (name, value) in changes {
            let property = slots.property();
            let pointer = format!("/{}/{name}", property.to_ascii_lowercase());
            if !slots.names().contains(&name.as_str()) {
                return Err(Unfit::new(pointer, format!("write one of {}", slots.names().join(", "))));
            }
            let at = self.lines.iter().position(|line| line.name == property && slots.of(line) == name);
            let current = at.map(|at| &self.lines[at]);
            let value = match (slots, value) {
                (_, Value::Null) => None,
                (Slots::Adr, _) => {
                    let parts =
                        value.as_object().ok_or_else(|| Unfit::new(&pointer, "an address is an object of parts"))?;
                    Some(changed(property, current, &ADDRESS_PARTS, parts)?)
                }
                _ => Some(text(&pointer, value)?.map(|text| Self::written(current, text))),
            };
            match (at, value) {
                (Some(at), None) => self.remove(at),
                (Some(at), Some(Some(value))) => self.lines[at].set(value),
                (None, Some(Some(value))) => self.add(slots, name, value),
                (_, Some(None)) | (None, None) => {}
            }
        }
        Ok(())
    }

    /// A number keeps the form of the one that it replaces: a URI stays one.
    fn written(current: Option<&Line>, text: &str) -> String {
        let uri = current.is_some_and(|line| line.param("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("uri")));
        if uri { format!("tel:{}", text.replace(' ', "")) } else { escaped(text) }
    }

    fn add(&mut self, slots: Slots, name: &str, value: String) {
        let mut line = Line::new(slots.property(), value);
        match name {
            "main" if slots == Slots::Tel => line = line.with("TYPE", "voice"),
            "main" => {}
            other => line = line.with("TYPE", other),
        }
        self.lines.push(line);
    }

    /// Takes a line away, and the label that belonged to it alone.
    fn remove(&mut self, at: usize) {
        let gone = self.lines.remove(at);
        let Some(group) = gone.group else { return };
        let mine = |line: &Line| line.group.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(&group));
        if self.lines.iter().filter(|line| mine(line)).all(|line| line.name == "X-ABLABEL") {
            self.lines.retain(|line| !mine(line));
        }
    }

    /// A card must have a name (RFC 6350 section 6.2.1) and, up to version 3, its parts. One that nobody gave is made from
    /// what the card says, and marked, so that it is never taken for somebody's word.
    fn complete(&mut self) {
        let derived = self.place("FN").filter(|at| card::is_derived(&self.lines[*at]));
        if self.place("FN").is_none() || derived.is_some() {
            let made = self.name();
            let fresh = Line::new("FN", escaped(&made)).with(card::DERIVED, &card::derived_mark(&made));
            match derived {
                Some(at) if self.lines[at].text() == made => {}
                Some(at) => self.lines[at] = fresh,
                None => self.lines.push(fresh),
            }
        }
        if !self.is_4() && self.place("N").is_none() {
            self.lines.push(Line::new("N", ";;;;"));
        }
    }

    fn name(&self) -> String {
        let filled = |text: &String| !text.trim().is_empty();
        let parts = card::first(&self.lines, "N").map(Line::components).unwrap_or_default();
        let part = |at: usize| parts.get(at).filter(|text| filled(text)).map_or("", |text| text.trim());
        let (family, given) = (part(0), part(1));
        let latin = format!("{given}{family}").is_ascii();
        let person = if latin { format!("{given} {family}") } else { format!("{family}{given}") };
        let first =
            |name: &str| card::first(&self.lines, name).and_then(|line| line.components().into_iter().find(filled));
        let known = Some(person.trim().to_owned()).filter(filled);
        known
            .or_else(|| first("ORG"))
            .or_else(|| first("EMAIL"))
            .or_else(|| first("TEL"))
            .unwrap_or_else(|| "-".to_owned())
    }
}

/// A structured value with some parts changed. None: nothing is different.
fn changed(
    property: &str,
    line: Option<&Line>,
    names: &[&str],
    changes: &Map<String, Value>,
) -> Result<Option<String>, Unfit> {
    let before = line.map(|line| line.decoded().into_owned());
    let mut parts: Vec<String> = before.iter().flat_map(|value| split(value, ';')).map(str::to_owned).collect();
    for (name, value) in changes {
        let pointer = format!("/{}/{name}", property.to_ascii_lowercase());
        let at = names.iter().position(|known| known == name);
        let at = at.ok_or_else(|| Unfit::new(&pointer, format!("write one of {}", names.join(", "))))?;
        let text = text(&pointer, value)?.unwrap_or_default();
        if parts.len() <= at {
            parts.resize(if names.len() > 1 { names.len() } else { at + 1 }, String::new());
        }
        if crate::line::unescaped(&parts[at]).trim() != text {
            parts[at] = escaped(text);
        }
    }
    let after = if before.is_none() && parts.iter().all(String::is_empty) { return Ok(None) } else { parts.join(";") };
    Ok((before.as_deref() != Some(after.as_str())).then_some(after))
}

fn object<'a>(name: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Unfit> {
    value.as_object().ok_or_else(|| Unfit::new(format!("/{name}"), "this takes an object of values"))
}

/// A text; nothing for null or an empty one.
fn text<'a>(pointer: &str, value: &'a Value) -> Result<Option<&'a str>, Unfit> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        _ => Err(Unfit::new(pointer, "this takes a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a1\r\nREV:2020\r\nFN:Ann Lee\r\nN:Lee;Ann,Mary;;;\r\n\
        item1.EMAIL;type=INTERNET;X-P=\"a:b\":ann@exa\r\n mple.org\r\nitem1.X-ABLabel:Shop\r\nTEL;TYPE=cell:1\r\n\
        PHOTO;ENCODING=b;TYPE=JPEG:AAAAAAAA\r\n BBBB=\r\nX-UNKNOWN;X-Q=1:what\\;ever\r\nCATEGORIES:a,b\r\nEND:VCARD\r\n";

    /// What differs between the card before and after, line by line.
    fn check(body: &Value, gone: &[&str], come: &[&str]) {
        let after = edit(CARD, body).unwrap();
        let missing = |a: &str, b: &str| -> Vec<String> {
            a.split_inclusive('\n')
                .filter(|line| !b.split_inclusive('\n').any(|it| it == *line))
                .map(|it| it.trim_end().to_owned())
                .collect()
        };
        assert_eq!(
            (missing(CARD, &after), missing(&after, CARD)),
            (gone.iter().map(ToString::to_string).collect(), come.iter().map(ToString::to_string).collect()),
            "{body}"
        );
        assert_eq!(edit(&after, body).as_deref(), Ok(after.as_str()), "what is there is not written again");
    }

    #[test]
    fn only_what_is_named_changes() {
        check(&json!({}), &[], &[]);
        check(&json!({"title": "Chief, buyer"}), &[], &["TITLE:Chief\\, buyer"]);
        check(&json!({"fn": "Ann B"}), &["FN:Ann Lee"], &["FN:Ann B"]);
        check(&json!({"n": {"family": "Li"}}), &["N:Lee;Ann,Mary;;;"], &["N:Li;Ann,Mary;;;"]);
        check(
            &json!({"email": {"main": "b@example.org"}}),
            &["item1.EMAIL;type=INTERNET;X-P=\"a:b\":ann@exa", " mple.org"],
            &["item1.EMAIL;TYPE=INTERNET;X-P=\"a:b\":b@example.org"],
        );
        check(
            &json!({"email": {"main": null}}),
            &["item1.EMAIL;type=INTERNET;X-P=\"a:b\":ann@exa", " mple.org", "item1.X-ABLabel:Shop"],
            &[],
        );
        check(
            &json!({"email": {"work": "w@example.org"}, "tel": {"cell": null}}),
            &["TEL;TYPE=cell:1"],
            &["EMAIL;TYPE=work:w@example.org"],
        );
        check(&json!({"org": {"name": "甲"}}), &[], &["ORG:甲"]);
        check(
            &json!({"adr": {"work": {"street": "1 Rd", "locality": "X", "code": null}}}),
            &[],
            &["ADR;TYPE=work:;;1 Rd;X;;;"],
        );
        check(&json!({"categories": ["c,d"]}), &["CATEGORIES:a,b"], &["CATEGORIES:c\\,d"]);
        check(&json!({"categories": null}), &["CATEGORIES:a,b"], &[]);
        check(&json!({"bday": "1990-01-31"}), &[], &["BDAY:1990-01-31"]);
        assert!(edit(CARD, &json!({"properties": []})).unwrap_err().at == "/properties");
        assert!(edit("hello", &json!({})).is_err());
        assert!(stamp(CARD, "2026-01-02T03:04:05Z".parse().unwrap()).contains("\r\nREV:20260102T030405Z\r\n"));
    }

    #[test]
    fn a_new_card_is_whole_and_its_made_name_is_nobodys_word() {
        let made =
            edit(&empty("u1"), &json!({"n": {"family": "林", "given": "晓月"}, "tel": {"cell": "+8613800138000"}}))
                .unwrap();
        assert!(made.contains("FN;X-HUILIU-DERIVED=") && made.contains(":林晓月\r\n"), "{made}");
        assert_eq!(card::read(&made)["fn"], Value::Null);
        let renamed = edit(&made, &json!({"n": {"given": "小月"}})).unwrap();
        assert!(renamed.contains(":林小月\r\n") && card::read(&renamed)["fn"].is_null(), "{renamed}");
        let typed = made.replace(":林晓月", ":林总");
        assert_eq!(card::read(&typed)["fn"], "林总", "a person typed over it");
        let told = edit(&made, &json!({"fn": "林晓月"})).unwrap();
        assert_eq!(card::read(&told)["fn"], "林晓月");
    }
}
