//! What the pretended shop holds, and the rules by which it stores.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value, json};

/// The shop's zone is eight hours ahead of UTC.
const ZONE_HOURS: i8 = 8;

/// A refusal in the shop's words.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "data": { "status": self.status } })
    }
}

/// A record, as stored.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) body: Map<String, Value>,
    pub(super) created_s: i64,
    /// A customer who was never edited has none.
    pub(super) modified_s: Option<i64>,
}

impl Entry {
    pub(super) fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn shown(&self, id: u64) -> Value {
        let mut shown = self.body.clone();
        shown.insert("id".to_owned(), json!(id));
        let stamps = [("date_created", Some(self.created_s)), ("date_modified", self.modified_s)];
        for (name, at_s) in stamps {
            shown.insert(name.to_owned(), json!(at_s.map(|at_s| stamp(at_s, ZONE_HOURS))));
            shown.insert(format!("{name}_gmt"), json!(at_s.map(|at_s| stamp(at_s, 0))));
        }
        Value::Object(shown)
    }
}

/// Everything the shop keeps.
#[derive(Debug, Default)]
pub(super) struct Shop {
    pub(super) customers: BTreeMap<u64, Entry>,
    pub(super) orders: BTreeMap<u64, Entry>,
    pub(super) hidden: BTreeSet<u64>,
    pub(super) nonces: BTreeSet<String>,
    pub(super) writes: u64,
    /// The site's address as its settings say, where that is not where it listens.
    pub(super) home: Option<String>,
    made: u64,
}

const CUSTOMER_TEXTS: &[&str] = &["first_name", "last_name", "username", "email"];
const ADDRESS_PARTS: &[&str] =
    &["first_name", "last_name", "company", "address_1", "address_2", "city", "postcode", "country", "state"];

impl Shop {
    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn customer(&self, id: u64) -> Option<Value> {
        self.customers.get(&id).map(|entry| entry.shown(id))
    }

    pub(super) fn order(&self, id: u64) -> Option<Value> {
        self.orders.get(&id).map(|entry| entry.shown(id))
    }

    pub(super) fn create_customer(&mut self, input: &Value, now_s: i64) -> Result<u64, Refusal> {
        let email = input["email"].as_str().unwrap_or_default().trim().to_owned();
        if email.is_empty() {
            return Err(Refusal::new(400, "rest_missing_callback_param", "Missing parameter(s): email"));
        }
        check_email(&email)?;
        if self.customers.values().any(|it| it.text("email").eq_ignore_ascii_case(&email)) {
            let text = "An account is already registered with that e-mail address.";
            return Err(Refusal::new(400, "registration-error-email-exists", text));
        }
        let mut entry = Entry { body: Map::new(), created_s: now_s, modified_s: None };
        for name in CUSTOMER_TEXTS {
            entry.body.insert((*name).to_owned(), json!(""));
        }
        let username = email.split('@').next().unwrap_or_default();
        entry.body.insert("username".to_owned(), json!(username));
        entry.body.insert("role".to_owned(), json!(input["role"].as_str().unwrap_or("customer")));
        entry.body.insert("billing".to_owned(), address(&["email", "phone"]));
        entry.body.insert("shipping".to_owned(), address(&["phone"]));
        entry.body.insert("is_paying_customer".to_owned(), json!(false));
        entry.body.insert("meta_data".to_owned(), json!([]));
        take(&mut entry.body, input);
        let id = self.number();
        self.customers.insert(id, entry);
        Ok(id)
    }

    /// Whether it changed anything.
    pub(super) fn update_customer(&mut self, id: u64, input: &Value, now_s: i64) -> Result<bool, Refusal> {
        let gone = || Refusal::new(404, "woocommerce_rest_invalid_id", "Invalid resource ID.");
        let email = input["email"].as_str().map(str::trim);
        let others = self.customers.iter().filter(|(known, _)| **known != id);
        let taken = email.is_some_and(|email| others.map(|it| it.1).any(|it| it.text("email") == email));
        let entry = self.customers.get_mut(&id).ok_or_else(gone)?;
        if let Some(email) = email {
            check_email(email)?;
            if entry.text("role") == "administrator" && email != entry.text("email") {
                let text = "Sorry, email cannot be updated via this endpoint for a user with role administrator.";
                return Err(Refusal::new(403, "woocommerce_rest_cannot_edit", text));
            }
            if taken {
                return Err(Refusal::new(400, "customer_invalid_email", "Invalid email address"));
            }
        }
        let before = entry.body.clone();
        take(&mut entry.body, input);
        let changed = before != entry.body;
        if changed {
            entry.modified_s = Some(now_s);
        }
        Ok(changed)
    }

    pub(super) fn place_order(&mut self, input: &Value, now_s: i64) -> u64 {
        let id = self.number();
        let mut cents = 0;
        let lines: Vec<Value> = input["line_items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| {
                let (quantity, price) = (line["quantity"].as_u64().unwrap_or(1), cents_of(&line["price"]));
                cents += quantity * price;
                let line_id = self.number();
                // The price of one is a number, and the only one that is not written as text.
                let each: Value = serde_json::from_str(&money(price)).unwrap_or_default();
                json!({ "id": line_id, "name": line["name"], "product_id": 0, "quantity": quantity, "sku": line["sku"],
                    "subtotal": money(quantity * price), "total": money(quantity * price), "price": each })
            })
            .collect();
        let mut billing = address(&["email", "phone"]);
        merge_address(&mut billing, &input["billing"]);
        let customer = input["customer_id"].as_u64().unwrap_or(0);
        let body = json!({ "number": id.to_string(), "status": input["status"].as_str().unwrap_or("processing"),
            "currency": "CNY", "total": money(cents), "total_tax": "0.00", "customer_id": customer,
            "customer_note": input["customer_note"].as_str().unwrap_or_default(), "billing": billing,
            "shipping": address(&["phone"]), "line_items": lines, "created_via": "checkout", "meta_data": [] });
        let Value::Object(body) = body else { return id };
        if let Some(buyer) = self.customers.get_mut(&customer) {
            buyer.body.insert("is_paying_customer".to_owned(), json!(true));
        }
        self.orders.insert(id, Entry { body, created_s: now_s, modified_s: Some(now_s) });
        id
    }

    /// The former status.
    pub(super) fn set_status(&mut self, id: u64, status: &str, now_s: i64) -> Option<String> {
        let entry = self.orders.get_mut(&id)?;
        entry.modified_s = Some(now_s);
        let was = entry.body.insert("status".to_owned(), json!(status))?;
        was.as_str().map(str::to_owned)
    }

    pub(super) fn snapshot(&self) -> Value {
        let customers: Map<String, Value> =
            self.customers.iter().map(|(id, it)| (id.to_string(), it.shown(*id))).collect();
        let orders: Map<String, Value> = self.orders.iter().map(|(id, it)| (id.to_string(), it.shown(*id))).collect();
        json!({ "customers": customers, "orders": orders })
    }
}

fn check_email(email: &str) -> Result<(), Refusal> {
    let sound = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let text = "Invalid parameter(s): email";
    if sound { Ok(()) } else { Err(Refusal::new(400, "rest_invalid_param", text)) }
}

/// Known texts of an input over a record; what the shop does not know is ignored.
fn take(body: &mut Map<String, Value>, input: &Value) {
    for name in CUSTOMER_TEXTS {
        if let Some(text) = input[*name].as_str() {
            body.insert((*name).to_owned(), json!(sanitized(text)));
        }
    }
    for name in ["billing", "shipping"] {
        if let Some(kept) = body.get_mut(name) {
            merge_address(kept, &input[name]);
        }
    }
}

fn address(more: &[&str]) -> Value {
    let parts = ADDRESS_PARTS.iter().chain(more);
    Value::Object(parts.map(|name| ((*name).to_owned(), json!(""))).collect())
}

fn merge_address(kept: &mut Value, input: &Value) {
    for (name, value) in input.as_object().into_iter().flatten() {
        if let (Some(kept), Some(text)) = (kept.get_mut(name), value.as_str()) {
            *kept = json!(sanitized(text));
        }
    }
}

/// WordPress's `sanitize_text_field`: no tags, one line, single spaces.
fn sanitized(text: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            other if !inside => plain.push(other),
            _ => {}
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn cents_of(price: &Value) -> u64 {
    let text = price.as_str().unwrap_or_default();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part: String = part.chars().chain("00".chars()).take(2).collect();
    whole.parse::<u64>().unwrap_or(0) * 100 + part.parse::<u64>().unwrap_or(0)
}

/// `2026-01-02T03:04:05` in a zone that is so many hours ahead of UTC, without saying so.
fn stamp(at_s: i64, hours: i8) -> String {
    civil(at_s, hours).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn civil(at_s: i64, hours: i8) -> DateTime {
    let at = Timestamp::from_second(at_s).unwrap_or_default();
    at.to_zoned(TimeZone::fixed(Offset::constant(hours))).datetime()
}

/// Whether a record was changed after `text`, as WordPress compares: a stamp with a zone is turned to the site's, and
/// then held against the column that was asked for, whatever zone that is in.
pub(super) fn changed_after(entry: &Entry, text: &str, of_gmt: bool) -> bool {
    let Some(modified_s) = entry.modified_s else { return false };
    let after = match text.parse::<Timestamp>() {
        Ok(at) => Some(civil(at.as_second(), ZONE_HOURS)),
        Err(_) => text.parse::<DateTime>().ok(),
    };
    after.is_some_and(|after| civil(modified_s, if of_gmt { 0 } else { ZONE_HOURS }) > after)
}
