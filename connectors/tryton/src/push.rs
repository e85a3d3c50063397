//! One delivery: a party and its contact mechanisms, in one transaction of the server.
//!
//! Each call may be the last before a crash, so nothing is remembered between them. A create writes under a code made
//! from the idempotency key: the server lets no code be used twice, and the next attempt finds what an earlier one made.
//! An update reads first, names only the mechanisms that it changes, and is guarded by the stamps that it read.

use huiliu_core::connector::{ConnectorError, Cx, Delivery, Operation, Receipt, Record, Result, StreamName};
use serde_json::{Map, Value, json};

use crate::reply::Failure;
use crate::rpc::Rpc;
use crate::streams::{KINDS, Stream, id_of};

/// Carries out one delivery, from wherever an earlier attempt left it.
pub async fn push(rpc: &Rpc, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
    if delivery.stream.as_str() != "parties" {
        return Err(rejected("", format!("stream {} of tryton cannot be written", delivery.stream)));
    }
    let Value::Object(body) = &delivery.body else {
        return Err(rejected("", "the delivery's body is not an object"));
    };
    known_fields(body)?;
    let desk = Desk { rpc, cx, stream: Stream::of(&StreamName::from("parties"))?, delivery };
    let stored = match delivery.operation {
        Operation::Create => desk.create(body).await?,
        Operation::Update => desk.update(body).await?,
        Operation::Delete => return Err(rejected("", "a party is archived by a person in Tryton, never deleted")),
    };
    Ok(Receipt { id: stored.id.clone(), version: stored.version.clone(), stored: Some(stored) })
}

/// One delivery's working place.
struct Desk<'a> {
    rpc: &'a Rpc,
    cx: &'a Cx,
    stream: &'static Stream,
    delivery: &'a Delivery,
}

impl Desk<'_> {
    async fn create(&self, body: &Map<String, Value>) -> Result<Record> {
        let code = own_code(self.cx.setting("code_prefix")?, &self.delivery.idempotency_key);
        let mine = json!([["code", "=", code]]);
        if let Some(found) = self.read(mine.clone()).await? {
            return Ok(found);
        }
        let mut values = json!({ "code": code });
        if let Some(name) = body.get("name") {
            values["name"] = name.clone();
        }
        let mechanisms: Vec<Value> = places(body)
            .filter(|place| !place.wanted.is_null())
            .map(|place| json!({ "type": place.kind, "value": place.wanted }))
            .collect();
        if !mechanisms.is_empty() {
            values["contact_mechanisms"] = json!([["create", mechanisms]]);
        }
        let made = self.write("party.party.create", vec![json!([values])], json!({})).await;
        match (made, self.read(mine).await?) {
            // An earlier attempt that was still under way may have been faster.
            (_, Some(found)) => Ok(found),
            (Err(failure), None) => Err(failure.of_write("party.party.create", &[&self.delivery.body])),
            (Ok(_), None) => {
                Err(ConnectorError::transient("the new party is not to be seen yet; the delivery starts over"))
            }
        }
    }

    async fn update(&self, body: &Map<String, Value>) -> Result<Record> {
        let id = self.delivery.id.as_ref().and_then(|id| id.as_str().parse::<u64>().ok());
        let id = id.ok_or_else(|| rejected("", "an update needs the number of the party"))?;
        let mine = json!([["id", "=", id]]);
        let held = self.read(mine.clone()).await?.filter(|held| held.body["active"] == true).ok_or_else(gone)?;
        self.nobody_was_faster(&held, body)?;
        let Changes { values, guards } = changes(&held.body, body)?;
        if values.is_empty() {
            return Ok(held);
        }
        let mut guards = guards;
        guards.insert(format!("party.party,{id}"), held.body["_timestamp"].clone());
        let written = self.write("party.party.write", vec![json!([id]), Value::Object(values)], json!(guards)).await;
        written.map_err(|failure| failure.of_write("party.party.write", &[&self.delivery.body, &held.body]))?;
        self.read(mine).await?.ok_or_else(gone)
    }

    /// `_timestamp`: the server compares these stamps before it writes.
    async fn write(&self, method: &str, params: Vec<Value>, guards: Value) -> std::result::Result<Value, Failure> {
        let context = json!({ "active_test": false, "language": "en", "_timestamp": guards });
        self.rpc.call(self.cx, method, params, context).await
    }

    async fn read(&self, domain: Value) -> Result<Option<Record>> {
        let rows =
            self.rpc.search_read(self.cx, self.stream.model, domain, 1, Value::Null, &self.stream.fields()).await?;
        rows.into_iter().next().map(|row| self.stream.record(row)).transpose()
    }

    /// Somebody changed a field of the patch since the patch was made: they are heard first. Another field of the party,
    /// or another of its mechanisms, is not touched and may change at will.
    fn nobody_was_faster(&self, held: &Record, body: &Map<String, Value>) -> Result<()> {
        if self.delivery.base_version.is_some() && self.delivery.base_version == held.version {
            return Ok(());
        }
        let base = &self.delivery.base;
        let mut compared = places(body)
            .map(|place| (place.wanted.clone(), text_at(base, &place), text_at(&held.body, &place)))
            .collect::<Vec<_>>();
        if let Some(name) = body.get("name") {
            compared.push((name.clone(), base["name"].clone(), held.body["name"].clone()));
        }
        let is_mine = |(wanted, base, held): &(Value, Value, Value)| alike(held, base) || alike(held, wanted);
        if compared.iter().all(is_mine) {
            return Ok(());
        }
        Err(ConnectorError::Conflict { detail: format!("party {} was changed in Tryton in the same fields", held.id) })
    }
}

/// The code under which a create writes: 64 bits of the idempotency key are enough for one company.
fn own_code(prefix: &str, idempotency_key: &str) -> String {
    let digits: String = idempotency_key.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("{prefix}{}", digits.to_ascii_uppercase())
}

/// One contact mechanism that a delivery names.
struct Place<'a> {
    kind: &'a str,
    at: usize,
    wanted: &'a Value,
}

/// Places without a value of their own are those of others.
fn places(body: &Map<String, Value>) -> impl Iterator<Item = Place<'_>> {
    let kinds = body.get("contact_mechanisms").and_then(Value::as_object).into_iter().flatten();
    kinds.flat_map(|(kind, list)| {
        let list = list.as_array().into_iter().flatten().enumerate();
        list.filter_map(move |(at, it)| Some(Place { kind, at, wanted: it.get("value")? }))
    })
}

fn text_at(record: &Value, place: &Place<'_>) -> Value {
    record["contact_mechanisms"][place.kind][place.at]["value"].clone()
}

/// Everything that the delivery wants to write must be writable: a field passed over in silence would be planned again
/// for ever.
fn known_fields(body: &Map<String, Value>) -> Result<()> {
    let unknown = |at: String| {
        Err(rejected(&at, "Huiliu does not write this field of a party; set direction = \"in\" in its mapping"))
    };
    if let Some(name) = body.keys().find(|name| *name != "name" && *name != "contact_mechanisms") {
        return unknown(format!("/{name}"));
    }
    let kinds = body.get("contact_mechanisms").and_then(Value::as_object).into_iter().flatten();
    for (kind, list) in kinds {
        let items = list.as_array().into_iter().flatten().filter_map(Value::as_object);
        if !KINDS.contains(&kind.as_str()) || items.clone().flat_map(Map::keys).any(|name| name != "value") {
            return unknown(format!("/contact_mechanisms/{kind}"));
        }
    }
    Ok(())
}

/// What a write says.
#[derive(Debug, Default)]
struct Changes {
    /// Fields of the party, with commands for the mechanisms that change.
    values: Map<String, Value>,
    /// Stamps of those mechanisms as they were read.
    guards: Map<String, Value>,
}

fn changes(held: &Value, body: &Map<String, Value>) -> Result<Changes> {
    let mut changes = Changes::default();
    if let Some(name) = body.get("name").filter(|name| **name != held["name"]) {
        changes.values.insert("name".to_owned(), name.clone());
    }
    let mut commands = Vec::new();
    for place in places(body) {
        let list = held["contact_mechanisms"][place.kind].as_array().map_or(&[][..], Vec::as_slice);
        match list.get(place.at).filter(|it| it["id"].is_u64()) {
            Some(it) if alike(&it["value"], place.wanted) => {}
            Some(it) => {
                let id = id_of(it)?;
                if place.wanted.is_null() && list.len() > place.at + 1 {
                    // The next one would take its place, and be taken for what the hub wrote there.
                    return Err(rejected(
                        &format!("/contact_mechanisms/{}/{}", place.kind, place.at),
                        "this contact mechanism has others of its kind after it, which would take its place; a person must \
                         remove it in Tryton",
                    ));
                }
                // A document may refer to it, so what is cleared is archived.
                let change =
                    if place.wanted.is_null() { json!({ "active": false }) } else { json!({ "value": place.wanted }) };
                commands.push(json!(["write", [id], change]));
                changes.guards.insert(format!("party.contact_mechanism,{id}"), it["_timestamp"].clone());
            }
            None if place.wanted.is_null() => {}
            None => commands.push(json!(["create", [{ "type": place.kind, "value": place.wanted }]])),
        }
    }
    if !commands.is_empty() {
        changes.values.insert("contact_mechanisms".to_owned(), Value::Array(commands));
    }
    Ok(changes)
}

/// Whether two texts differ by nothing that the server or the mapping does to them: blanks, case, the form of a number.
fn alike(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| -> String {
        let text = value.as_str().unwrap_or_default();
        text.chars().filter(|c| !c.is_whitespace() && !"-()".contains(*c)).flat_map(char::to_lowercase).collect()
    };
    let (one, other) = (plain(one), plain(other));
    let is_number = |text: &str| text.len() >= 7 && text.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit());
    // A number that a person typed without its country code.
    let (short, long) = if one.len() < other.len() { (&one, &other) } else { (&other, &one) };
    one == other || (is_number(short) && is_number(long) && long.ends_with(short.trim_start_matches(['+', '0'])))
}

fn rejected(at: &str, reason: impl Into<String>) -> ConnectorError {
    ConnectorError::Rejected { at: at.to_owned(), reason: reason.into() }
}

fn gone() -> ConnectorError {
    ConnectorError::Gone { detail: "the party is no longer in Tryton, or archived there".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_the_named_mechanism_is_written() {
        let held = json!({ "name": "林", "contact_mechanisms": {
            "email": [{ "id": 4, "value": "a@example.org", "_timestamp": "1.5" }],
            "phone": [{ "id": 5, "value": "+86 21 5555 0101", "_timestamp": "1.6" }, { "id": 6, "value": "+86 21 5555 0102" }],
            "fax": [{ "value": null }],
        }});
        let wanted = body(&json!({ "name": "林", "contact_mechanisms": {
            "email": [{ "value": "b@example.org" }], "fax": [{ "value": "+862155550103" }], "mobile": [{ "value": null }],
        }}));
        let Changes { values, guards } = changes(&held, &wanted).unwrap();
        let expected = json!({ "contact_mechanisms": [
            ["write", [4], { "value": "b@example.org" }],
            ["create", [{ "type": "fax", "value": "+862155550103" }]],
        ]});
        assert_eq!(Value::Object(values), expected);
        assert_eq!(Value::Object(guards), json!({ "party.contact_mechanism,4": "1.5" }));
        let cleared = body(&json!({ "contact_mechanisms": { "phone": [{ "value": null }] } }));
        assert_eq!(changes(&held, &cleared).unwrap_err().kind(), "rejected", "the second would take its place");
        let cleared = body(&json!({ "contact_mechanisms": { "email": [{ "value": null }] } }));
        let archived = changes(&held, &cleared).unwrap().values;
        assert_eq!(Value::Object(archived), json!({ "contact_mechanisms": [["write", [4], { "active": false }]] }));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for (wanted, at) in [
            (json!({ "code": "1" }), "/code"),
            (json!({ "contact_mechanisms": { "irc": [{ "value": "x" }] } }), "/contact_mechanisms/irc"),
            (json!({ "contact_mechanisms": { "email": [{ "name": "x" }] } }), "/contact_mechanisms/email"),
        ] {
            let refused = known_fields(&body(&wanted)).unwrap_err();
            assert!(matches!(&refused, ConnectorError::Rejected { at: told, .. } if told == at), "{refused:?}");
        }
    }

    #[test]
    fn a_number_is_alike_in_every_form() {
        let same = |one: &str, other: &str| alike(&json!(one), &json!(other));
        assert!(same("+8613800138000", "+86 138 0013 8000") && same("138 0013 8000", "+8613800138000"));
        assert!(same("021-5555 0101", "+862155550101") && same("Lin@Example.org", "lin@example.org"));
        assert!(!same("+8613800138000", "+8613800138001") && !same("", "+8613800138000") && !same("林", "陈"));
        assert!(alike(&Value::Null, &json!("")));
    }
}
