//! A vCard as JSON. What most address books fill in stands at named places, so that a mapping can rename it; everything
//! stands in `properties` too, in the form of jCard (RFC 7095), without pictures and other packed bytes.
//!
//! Of several numbers or addresses of one sort (`email.work`) the first stands at the named place; `emails` and `tels`
//! list all of them.

use jiff::civil::Date;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::line::{Line, Lines, split, unescaped};

/// Parts of `N` in their order (RFC 6350 section 6.2.2).
pub const NAME_PARTS: [&str; 5] = ["family", "given", "additional", "prefix", "suffix"];

/// Parts of `ADR` in their order (RFC 6350 section 6.3.1).
pub const ADDRESS_PARTS: [&str; 7] = ["po_box", "extended", "street", "locality", "region", "code", "country"];

/// Single texts: our name, the property's.
pub const TEXTS: [(&str, &str); 5] =
    [("title", "TITLE"), ("role", "ROLE"), ("note", "NOTE"), ("url", "URL"), ("nickname", "NICKNAME")];

/// A longer value stays out of `properties`, in bytes; it is in the card all the same.
const VALUE_BYTES_MAX: usize = 8 << 10;

/// The parameter that marks an `FN` which nobody typed: it was made from other parts, because a card must have one. It
/// holds the name's hash, so that a name that a person typed over it counts.
pub const DERIVED: &str = "X-HUILIU-DERIVED";

/// Reads a card. A text that is no card says so under `unreadable`.
pub fn read(text: &str) -> Value {
    let lines = Lines::parse(text);
    let Some(card) = lines.components("VCARD").into_iter().next() else {
        return json!({ "unreadable": "the resource holds no BEGIN:VCARD … END:VCARD" });
    };
    let card = &lines.lines[card];
    let mut body = Map::new();
    // A place that holds nothing is null: what a person takes away must be seen to be gone.
    let mut put = |name: &str, value: Option<Value>| body.insert(name.to_owned(), value.unwrap_or_default());
    put("uid", text_of(card, "UID"));
    put("version", text_of(card, "VERSION"));
    let kind = first(card, "KIND").or_else(|| first(card, "X-ADDRESSBOOKSERVER-KIND"));
    put("kind", kind.map(|line| json!(line.text().trim().to_ascii_lowercase())));
    put("fn", first(card, "FN").filter(|line| !is_derived(line)).and_then(filled));
    put("n", Some(parts(first(card, "N"), &NAME_PARTS)));
    put("org", Some(organization(first(card, "ORG"))));
    for (name, property) in TEXTS {
        put(name, text_of(card, property));
    }
    put("categories", Some(categories(card)));
    put("email", Some(slots(card, Slots::Email, filled)));
    put("tel", Some(slots(card, Slots::Tel, number)));
    put("adr", Some(slots(card, Slots::Adr, address)));
    put("emails", Some(all(card, "EMAIL", filled)));
    put("tels", Some(all(card, "TEL", number)));
    put("rev", text_of(card, "REV"));
    put("properties", Some(card.iter().filter(|line| !line.name.is_empty()).map(jcard).collect()));
    // A birthday without its year and a word that is no gender are opinions that cannot be told: they are left out.
    for (name, line, read) in [
        ("bday", first(card, "BDAY"), birthday as fn(&Line) -> Option<Value>),
        ("gender", first(card, "GENDER").or_else(|| first(card, "X-GENDER")), gender),
    ] {
        match line.map(read) {
            None => put(name, None),
            Some(Some(value)) => put(name, Some(value)),
            Some(None) => None,
        };
    }
    Value::Object(body)
}

/// The properties of which a card has several, told apart by their `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// `email.main`, `email.work`, `email.home`.
    Email,
    /// `tel.main`, `tel.cell`, `tel.work`, `tel.home`, `tel.fax`.
    Tel,
    /// `adr.main`, `adr.work`, `adr.home`.
    Adr,
}

impl Slots {
    /// The property's name.
    pub fn property(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Tel => "TEL",
            Self::Adr => "ADR",
        }
    }

    /// The places by name.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Email | Self::Adr => &["main", "work", "home"],
            Self::Tel => &["main", "cell", "work", "home", "fax"],
        }
    }

    /// The place that a line stands at. A mobile at work is a mobile; a fax is nobody's phone.
    pub fn of(self, line: &Line) -> &'static str {
        let types = line.types();
        let has = |word: &str| types.iter().any(|known| known == word);
        match self {
            Self::Tel if has("fax") || has("pager") => "fax",
            Self::Tel if has("cell") || has("iphone") => "cell",
            _ if has("work") => "work",
            _ if has("home") => "home",
            _ => "main",
        }
    }
}

/// The first line of a name that holds something.
pub fn first<'a>(card: &'a [Line], name: &str) -> Option<&'a Line> {
    card.iter().find(|line| line.name == name && !line.value.trim().is_empty())
}

fn filled(line: &Line) -> Option<Value> {
    let text = line.text();
    (!text.trim().is_empty()).then(|| json!(text))
}

fn text_of(card: &[Line], name: &str) -> Option<Value> {
    filled(first(card, name)?)
}

/// Every part is there, null where it says nothing, so that a part that is taken away is seen.
fn parts(line: Option<&Line>, names: &[&str]) -> Value {
    let values = line.map(Line::components).unwrap_or_default();
    let part = |at: usize| values.get(at).map(|text| text.trim()).filter(|text| !text.is_empty());
    let named = names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(part(at))));
    Value::Object(named.collect())
}

fn address(line: &Line) -> Option<Value> {
    let parts = parts(Some(line), &ADDRESS_PARTS);
    parts.as_object()?.values().any(|part| !part.is_null()).then_some(parts)
}

fn organization(line: Option<&Line>) -> Value {
    let mut parts = line.map(Line::components).unwrap_or_default().into_iter().map(|part| part.trim().to_owned());
    let name = parts.next().filter(|name| !name.is_empty());
    let units: Vec<String> = parts.filter(|unit| !unit.is_empty()).collect();
    json!({ "name": name, "units": units })
}

/// A whole date only. Apple writes the year 1604 for a birthday without one (X-APPLE-OMIT-YEAR).
fn birthday(line: &Line) -> Option<Value> {
    let text = line.text();
    let day = text.trim().split(['T', ' ']).next()?;
    let date = ["%Y-%m-%d", "%Y%m%d"].iter().find_map(|format| Date::strptime(format, day).ok())?;
    let omitted = line.param("X-APPLE-OMIT-YEAR").is_some_and(|year| year.parse() == Ok(date.year()));
    (!omitted).then(|| json!(date.to_string()))
}

/// `M`, `F`, `O` (RFC 6350 section 6.2.7); old cards write the word.
fn gender(line: &Line) -> Option<Value> {
    let components = line.components();
    match components.first()?.trim().to_ascii_lowercase().as_str() {
        "m" | "male" => Some(json!("M")),
        "f" | "female" => Some(json!("F")),
        "o" | "other" => Some(json!("O")),
        _ => None,
    }
}

fn categories(card: &[Line]) -> Value {
    let mut words = Vec::new();
    for line in card.iter().filter(|line| line.name == "CATEGORIES") {
        words.extend(split(&line.decoded(), ',').into_iter().map(|word| unescaped(word).trim().to_owned()));
    }
    words.retain(|word| !word.is_empty());
    json!(words)
}

/// Numbers of vCard 4 may be URIs: `tel:+86-138-0013-8000;ext=1`.
fn number(line: &Line) -> Option<Value> {
    let text = line.text();
    let text = text.trim();
    let bare = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => text[4..].split(';').next().unwrap_or_default(),
        _ => text,
    };
    (!bare.is_empty()).then(|| json!(bare))
}

fn slots(card: &[Line], slots: Slots, value: impl Fn(&Line) -> Option<Value>) -> Value {
    let mut places: Map<String, Value> = slots.names().iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    for line in card.iter().filter(|line| line.name == slots.property()) {
        let place = &mut places[slots.of(line)];
        if place.is_null() {
            *place = value(line).unwrap_or_default();
        }
    }
    Value::Object(places)
}

fn all(card: &[Line], name: &str, value: impl Fn(&Line) -> Option<Value>) -> Value {
    card.iter().filter(|line| line.name == name).filter_map(value).collect()
}

/// `[name, parameters, type, value]`.
fn jcard(line: &Line) -> Value {
    let mut params = Map::new();
    if let Some(group) = &line.group {
        params.insert("group".to_owned(), json!(group));
    }
    for (name, values) in line.params.iter().filter(|(name, _)| !matches!(name.as_str(), "ENCODING" | "CHARSET")) {
        // `TYPE=home;TYPE=cell` is written `TYPE=home,cell` as well.
        match params.entry(name.to_ascii_lowercase()).or_insert(Value::Array(Vec::new())) {
            Value::Array(known) => known.extend(values.iter().map(|value| json!(value))),
            group => *group = json!(values),
        }
    }
    for value in params.values_mut() {
        if let Value::Array(values) = value
            && values.len() == 1
        {
            *value = values.swap_remove(0);
        }
    }
    let value = match line.decoded() {
        _ if line.is_binary() => Value::Null,
        text if text.len() > VALUE_BYTES_MAX => Value::Null,
        text if split(&text, ';').len() > 1 => json!(line.components()),
        text => json!(unescaped(&text)),
    };
    json!([line.name.to_ascii_lowercase(), params, line.param("VALUE").unwrap_or("text"), value])
}

/// The mark of a name that was made from other parts.
pub fn derived_mark(name: &str) -> String {
    let hash = Sha256::digest(name.trim().as_bytes());
    hex::encode(&hash[..4])
}

/// Whether nobody typed this `FN`.
pub fn is_derived(line: &Line) -> bool {
    line.param(DERIVED).is_some_and(|mark| mark == derived_mark(&line.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_of_version_3_is_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a1\r\nFN:林晓月\r\nN:林;晓月;;;\r\nORG:甲公司\\, 上海;采购部\r\nTITLE:经理\r\n\
            item1.EMAIL;TYPE=INTERNET:lin@example.org\r\nitem1.X-ABLabel:_$!<Work>!$_\r\nEMAIL;TYPE=WORK:l2@example.org\r\n\
            TEL;TYPE=CELL,VOICE:138 0013 8000\r\nTEL;TYPE=work,fax:021 1\r\nADR;TYPE=work:;;南京路 1;上海;;200000;中国\r\n\
            BDAY;VALUE=date:1990-01-31\r\nNOTE:a\\nb\r\nCATEGORIES:VIP,老\\,客户\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\nX-SOCIAL;X-U=1:x\r\nEND:VCARD\r\n";
        let mut body = read(text);
        let properties = body.as_object_mut().unwrap().remove("properties").unwrap();
        assert_eq!(
            body,
            json!({"uid": "a1", "version": "3.0", "kind": null, "fn": "林晓月", "gender": null, "role": null, "url": null,
                "nickname": null, "rev": null,
                "n": {"family": "林", "given": "晓月", "additional": null, "prefix": null, "suffix": null},
                "org": {"name": "甲公司, 上海", "units": ["采购部"]}, "title": "经理", "note": "a\nb", "bday": "1990-01-31",
                "categories": ["VIP", "老,客户"],
                "email": {"main": "lin@example.org", "work": "l2@example.org", "home": null}, "emails": ["lin@example.org", "l2@example.org"],
                "tel": {"main": null, "cell": "138 0013 8000", "work": null, "home": null, "fax": "021 1"}, "tels": ["138 0013 8000", "021 1"],
                "adr": {"main": null, "home": null, "work": {"po_box": null, "extended": null, "street": "南京路 1", "locality": "上海", "region": null, "code": "200000", "country": "中国"}}})
        );
        let of = |name: &str| properties.as_array().unwrap().iter().find(|it| it[0] == name).unwrap().clone();
        assert_eq!(of("email"), json!(["email", {"group": "item1", "type": "INTERNET"}, "text", "lin@example.org"]));
        assert_eq!(of("photo")[3], Value::Null, "pictures stay where they are");
        assert_eq!(of("x-social"), json!(["x-social", {"x-u": "1"}, "text", "x"]));
    }

    #[test]
    fn cards_of_versions_4_and_2_1_are_read() {
        let body = read(
            "BEGIN:VCARD\nVERSION:4.0\nFN:Ann\nBDAY:--0131\nGENDER:F;x\nTEL;VALUE=uri;TYPE=\"cell,home\":tel:+1-555-0100;ext=2\nEND:VCARD\n",
        );
        assert_eq!(
            (&body["tel"]["cell"], &body["gender"], body.get("bday")),
            (&json!("+1-555-0100"), &json!("F"), None)
        );
        let old = read(
            "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=GB2312;ENCODING=QUOTED-PRINTABLE:=C1=D6;=CF=FE=\n=D4=C2\nTEL;WORK:1\nEND:VCARD\n",
        );
        assert_eq!((&old["n"]["family"], &old["n"]["given"]), (&json!("林"), &json!("晓月")));
        assert_eq!((&old["tel"]["work"], &old["bday"]), (&json!("1"), &Value::Null));
        assert!(read("BDAY;X-APPLE-OMIT-YEAR=1604:1604-01-31").get("unreadable").is_some());
        let apple = read("BEGIN:VCARD\nBDAY;X-APPLE-OMIT-YEAR=1604:1604-01-31\nEND:VCARD");
        assert_eq!(apple.get("bday"), None, "a day without its year");
    }
}
