//! What the pretended account holds, and the rules by which it stores.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A refusal in the vendor's words.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) category: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, category: &'static str, message: &str) -> Self {
        Self { status, category, message: message.to_owned() }
    }

    pub(super) fn gone() -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", "Object not found.")
    }

    pub(super) fn json(&self) -> Value {
        json!({ "status": "error", "message": self.message, "correlationId": "00000000-0000-4000-8000-000000000001",
            "category": self.category })
    }
}

/// A record, as stored.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) properties: BTreeMap<String, String>,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) archived: bool,
}

/// The properties that a kind knows beside the vendor's own.
const PROPERTIES: &[(&str, &[&str])] = &[
    (
        "contacts",
        &[
            "email",
            "firstname",
            "lastname",
            "phone",
            "mobilephone",
            "company",
            "jobtitle",
            "lifecyclestage",
            "website",
            "address",
            "city",
            "state",
            "zip",
            "country",
        ],
    ),
    (
        "companies",
        &["name", "domain", "phone", "website", "address", "city", "state", "zip", "country", "lifecyclestage"],
    ),
    ("deals", &["dealname", "dealstage", "amount", "closedate", "deal_currency_code", "hubspot_owner_id"]),
];

/// Everything the account keeps.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<(&'static str, u64), Object>,
    merged: BTreeMap<(&'static str, u64), u64>,
    /// Changed while the index stood still.
    pub(super) unindexed: BTreeSet<(&'static str, u64)>,
    pub(super) index_held: bool,
    /// Archived while the index stood still: a search shows them as they were.
    pub(super) lingering: BTreeSet<(&'static str, u64)>,
    /// A record is found by a search so long after it was made.
    pub(super) index_lag_ms: i64,
    pub(super) searches_left: Option<u32>,
    pub(super) window: usize,
    pub(super) writes: u64,
    pub(super) idle_writes: u64,
    pub(super) calls: u64,
    pub(super) events: u64,
    pub(super) signed_as: String,
    made: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            merged: BTreeMap::new(),
            unindexed: BTreeSet::new(),
            index_held: false,
            lingering: BTreeSet::new(),
            index_lag_ms: 0,
            searches_left: None,
            window: 10_000,
            writes: 0,
            idle_writes: 0,
            calls: 0,
            events: 0,
            signed_as: String::new(),
            made: 100,
        }
    }
}

/// The kind as it is kept, if there is one of this name.
pub(super) fn kind(name: &str) -> Option<&'static str> {
    PROPERTIES.iter().map(|(kind, _)| *kind).find(|kind| *kind == name)
}

impl Store {
    /// The id under which a record is kept today: the ids of merged records lead to the survivor.
    pub(super) fn resolve(&self, kind: &'static str, id: u64) -> u64 {
        let mut id = id;
        while let Some(next) = self.merged.get(&(kind, id)) {
            id = *next;
        }
        id
    }

    pub(super) fn hold_index(&mut self, held: bool) {
        self.index_held = held;
        if !held {
            self.unindexed.clear();
            self.lingering.clear();
        }
    }

    pub(super) fn by_email(&self, email: &str) -> Option<u64> {
        let mut contacts = self.objects.iter().filter(|((kind, _), it)| *kind == "contacts" && !it.archived);
        contacts.find(|(_, it)| it.properties.get("email").is_some_and(|it| it == email)).map(|((_, id), _)| *id)
    }

    pub(super) fn create(&mut self, kind: &'static str, input: &Value, now_ms: i64) -> Result<u64, Refusal> {
        let values = checked(kind, input)?;
        if let Some(known) = values.get("email").and_then(|email| self.by_email(email)) {
            let text = format!("Contact already exists. Existing ID: {known}");
            return Err(Refusal { status: 409, category: "CONFLICT", message: text });
        }
        self.made += 1;
        let id = self.made;
        let properties = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        self.objects.insert((kind, id), Object { properties, created_ms: now_ms, updated_ms: now_ms, archived: false });
        self.touched(kind, id);
        Ok(id)
    }

    /// The id of the record, and the properties that changed.
    pub(super) fn update(
        &mut self,
        kind: &'static str,
        id: u64,
        input: &Value,
        now_ms: i64,
    ) -> Result<(u64, Vec<(String, Value)>), Refusal> {
        let id = self.resolve(kind, id);
        let values = checked(kind, input)?;
        if values.get("email").and_then(|email| self.by_email(email)).is_some_and(|known| known != id) {
            return Err(Refusal::new(409, "CONFLICT", "A contact with the email already exists."));
        }
        let object = self.objects.get_mut(&(kind, id)).filter(|it| !it.archived).ok_or_else(Refusal::gone)?;
        let mut changed = Vec::new();
        for (name, value) in values {
            let before = object.properties.get(&name).cloned().unwrap_or_default();
            if before != value {
                changed.push((name.clone(), json!(value)));
                if value.is_empty() {
                    object.properties.remove(&name)
                } else {
                    object.properties.insert(name, value)
                };
            }
        }
        if !changed.is_empty() {
            object.updated_ms = now_ms;
            self.touched(kind, id);
        }
        Ok((id, changed))
    }

    pub(super) fn archive(&mut self, kind: &'static str, id: u64) -> bool {
        let object = self.objects.get_mut(&(kind, id));
        let is_new = object.is_some_and(|object| !std::mem::replace(&mut object.archived, true));
        if is_new && self.index_held {
            self.lingering.insert((kind, id));
        }
        is_new
    }

    pub(super) fn merge(&mut self, kind: &'static str, primary: u64, other: u64, now_ms: i64) -> Option<u64> {
        let (primary, other) = (self.resolve(kind, primary), self.resolve(kind, other));
        let kept = self.objects.remove(&(kind, primary))?;
        let lost = self.objects.remove(&(kind, other))?;
        self.made += 1;
        let id = self.made;
        let mut properties = kept.properties;
        if let (Some(email), Some(other)) = (properties.get("email"), lost.properties.get("email"))
            && email != other
        {
            properties.insert("hs_additional_emails".to_owned(), other.clone());
        }
        for (name, value) in lost.properties {
            properties.entry(name).or_insert(value);
        }
        properties.insert("hs_merged_object_ids".to_owned(), format!("{primary};{other}"));
        let created_ms = kept.created_ms.min(lost.created_ms);
        self.objects.insert((kind, id), Object { properties, created_ms, updated_ms: now_ms, archived: false });
        self.merged.extend([((kind, primary), id), ((kind, other), id)]);
        self.touched(kind, id);
        Some(id)
    }

    fn touched(&mut self, kind: &'static str, id: u64) {
        if self.index_held {
            self.unindexed.insert((kind, id));
        }
    }

    /// A record with these properties; those that nobody asked for are not shown.
    pub(super) fn shown(&self, kind: &'static str, id: u64, asked: &[String]) -> Option<Value> {
        let object = self.objects.get(&(kind, id))?;
        let mut properties = Map::new();
        for name in asked.iter().map(String::as_str).chain(["createdate", "hs_object_id", modified(kind)]) {
            properties.insert(name.to_owned(), json!(object.value(kind, id, name)));
        }
        Some(json!({ "id": id.to_string(), "properties": properties, "createdAt": stamp(object.created_ms),
            "updatedAt": stamp(object.updated_ms), "archived": object.archived }))
    }

    pub(super) fn snapshot(&self, kind: &'static str) -> Value {
        let mine = self.objects.iter().filter(|((known, _), it)| *known == kind && !it.archived);
        Value::Object(mine.map(|((_, id), it)| (id.to_string(), json!(it.properties))).collect())
    }
}

impl Object {
    /// A property's value: texts always.
    pub(super) fn value(&self, kind: &str, id: u64, name: &str) -> Option<String> {
        match name {
            "hs_object_id" => Some(id.to_string()),
            "createdate" => Some(stamp(self.created_ms)),
            _ if name == modified(kind) || name == "hs_lastmodifieddate" => Some(stamp(self.updated_ms)),
            _ => self.properties.get(name).cloned(),
        }
    }
}

/// The property of the last change: contacts have a name of their own for it.
fn modified(kind: &str) -> &'static str {
    if kind == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" }
}

/// `2026-01-02T03:04:05.678Z`.
pub(super) fn stamp(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    format!("{at:.3}")
}

/// Known properties as texts, as they are stored.
fn checked(kind: &str, input: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let known = PROPERTIES.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, properties)| *properties);
    let mut values = BTreeMap::new();
    for (name, value) in input.as_object().into_iter().flatten() {
        let invalid =
            |why: &str| Refusal::new(400, "VALIDATION_ERROR", &format!("Property values were not valid: {why}"));
        if !known.contains(&name.as_str()) {
            return Err(invalid(&format!("Property \"{name}\" does not exist")));
        }
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null => String::new(),
            _ => return Err(invalid(&format!("{name} was not a text"))),
        };
        let text = if name == "email" { text.to_lowercase() } else { text };
        if name == "email" && !text.is_empty() && !text.contains('@') {
            return Err(invalid(&format!("Email address {text} is invalid")));
        }
        values.insert(name.clone(), text);
    }
    Ok(values)
}
