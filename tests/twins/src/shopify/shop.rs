//! What the pretended shop holds, and the rules by which it stores a customer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A customer, as stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Customer {
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) note: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) email_consent: Option<String>,
    pub(super) sms_consent: Option<String>,
    pub(super) address: Option<Map<String, Value>>,
    pub(super) created_at_s: i64,
    pub(super) updated_at_s: i64,
}

/// An order, as stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) customer: Option<u64>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) note: Option<String>,
    pub(super) status: String,
    pub(super) lines: Vec<Line>,
    pub(super) cancelled_at_s: Option<i64>,
    pub(super) created_at_s: i64,
    pub(super) updated_at_s: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) id: u64,
    pub(super) sku: Option<String>,
    pub(super) name: String,
    pub(super) quantity: u64,
    pub(super) price_cents: u64,
}

/// Why a value is refused: input path, sentence, code of `CustomerSetUserErrorCode`.
pub(super) type UserError = (Vec<&'static str>, &'static str, &'static str);

/// Everything the shop keeps.
#[derive(Debug, Default)]
pub(super) struct Shop {
    pub(super) customers: BTreeMap<u64, Customer>,
    pub(super) orders: BTreeMap<u64, Order>,
    /// Accepted writes through the API, by global id.
    pub(super) writes: BTreeMap<String, u64>,
    /// Changed while the search index stood still: no search by time finds them.
    pub(super) unindexed: BTreeSet<u64>,
    pub(super) index_held: bool,
    made: u64,
}

/// The first id: above 2^53, where a number that passes through a float changes.
const ID_FIRST: u64 = 9_007_199_254_740_993;
/// The longest name, tag and e-mail address.
const TEXT_MAX: usize = 255;

impl Shop {
    pub(super) fn number(&mut self) -> u64 {
        self.made += 1;
        ID_FIRST + 2 * self.made
    }

    /// Marks a record as changed now.
    pub(super) fn touched(&mut self, id: u64) {
        if self.index_held {
            self.unindexed.insert(id);
        }
    }

    pub(super) fn by_email(&self, email: &str) -> Option<u64> {
        self.customers.iter().find(|(_, it)| it.email.as_deref() == Some(email)).map(|(id, _)| *id)
    }

    pub(super) fn by_phone(&self, phone: &str) -> Option<u64> {
        self.customers.iter().find(|(_, it)| it.phone.as_deref() == Some(phone)).map(|(id, _)| *id)
    }

    /// Stores an input over a customer, new if there is no id. `Ok((id, created, changed))`.
    pub(super) fn save(&mut self, id: Option<u64>, input: &Value, now_s: i64) -> Result<(u64, Saved), Vec<UserError>> {
        let known = id.and_then(|id| self.customers.get(&id)).cloned();
        let mut customer = known.clone().unwrap_or_else(|| Customer { created_at_s: now_s, ..Customer::default() });
        let mut errors = customer.take(input);
        let taken = |other: Option<u64>| other.is_some() && other != id;
        if customer.email.as_deref().is_some_and(|email| taken(self.by_email(email))) {
            errors.push((vec!["input", "email"], "Email has already been taken", "TAKEN"));
        }
        if customer.phone.as_deref().is_some_and(|phone| taken(self.by_phone(phone))) {
            errors.push((vec!["input", "phone"], "Phone has already been taken", "TAKEN"));
        }
        let shown = [&customer.first_name, &customer.last_name, &customer.email, &customer.phone];
        if errors.is_empty() && shown.iter().all(|text| text.is_none()) {
            errors.push((vec!["input"], "A name, phone number, or email address must be present", "INVALID"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let saved = match &known {
            None => Saved::Created,
            // Like any save that changes no column, it leaves the stamp alone and tells nobody.
            Some(before) if *before == customer => return Ok((id.unwrap_or_default(), Saved::Unchanged)),
            Some(_) => Saved::Changed,
        };
        customer.updated_at_s = now_s;
        let id = id.unwrap_or_else(|| self.number());
        self.customers.insert(id, customer);
        self.touched(id);
        Ok((id, saved))
    }

    /// One customer is kept, with what it lacked of the other and with the other's orders.
    pub(super) fn merge(&mut self, kept: u64, lost: u64, now_s: i64) {
        let Some(lost_one) = self.customers.remove(&lost) else { return };
        if let Some(it) = self.customers.get_mut(&kept) {
            let known = it.clone();
            *it = Customer {
                first_name: known.first_name.or(lost_one.first_name),
                last_name: known.last_name.or(lost_one.last_name),
                email: known.email.or(lost_one.email),
                phone: known.phone.or(lost_one.phone),
                note: known.note.or(lost_one.note),
                address: known.address.or(lost_one.address),
                updated_at_s: now_s,
                ..known
            };
        }
        for order in self.orders.values_mut().filter(|order| order.customer == Some(lost)) {
            order.customer = Some(kept);
        }
        self.touched(kept);
    }

    /// All records as the API would show them, by global id.
    pub(super) fn snapshot(&self) -> Value {
        let customers: Map<String, Value> =
            self.customers.iter().map(|(id, it)| (gid("Customer", *id), it.json(*id))).collect();
        let orders: Map<String, Value> = self.orders.iter().map(|(id, it)| (gid("Order", *id), it.json(*id))).collect();
        json!({ "customers": customers, "orders": orders })
    }
}

/// What a save did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Created,
    Changed,
    Unchanged,
}

impl Customer {
    /// A customer with everything in it, for the check of selections.
    pub(super) fn sample() -> Value {
        let mut sample = Self::default();
        let email = "a@example.com";
        sample.take(&json!({ "firstName": "A", "email": email, "phone": "13800138000", "address": { "city": "B" } }));
        sample.json(ID_FIRST)
    }

    /// Takes over what an input mentions, in the form in which the shop keeps it.
    fn take(&mut self, input: &Value) -> Vec<UserError> {
        let mut errors = Vec::new();
        let text = |key: &str| input.get(key).map(|value| value.as_str().unwrap_or_default().trim().to_owned());
        let kept = |text: String| Some(text).filter(|text| !text.is_empty());
        for (key, place) in [("firstName", &mut self.first_name), ("lastName", &mut self.last_name)] {
            if let Some(text) = text(key) {
                if text.chars().count() > TEXT_MAX {
                    errors.push((vec!["input"], "Name is too long (maximum is 255 characters)", "TOO_LONG"));
                }
                *place = kept(text);
            }
        }
        if let Some(note) = text("note") {
            self.note = kept(note);
        }
        if let Some(email) = text("email").map(|email| email.to_lowercase()) {
            if !email.is_empty() && !is_email(&email) {
                errors.push((vec!["input", "email"], "Email is invalid", "INVALID"));
            }
            self.email = kept(email);
        }
        if let Some(phone) = text("phone") {
            let e164 = e164(&phone);
            if !phone.is_empty() && e164.is_none() {
                errors.push((vec!["input", "phone"], "Phone is invalid", "INVALID"));
            }
            self.phone = e164;
        }
        if let Some(tags) = input.get("tags") {
            self.tags = kept_tags(tags);
            if self.tags.iter().any(|tag| tag.chars().count() > TEXT_MAX) {
                errors.push((vec!["input", "tags"], "Tags is invalid", "TOO_LONG"));
            }
        }
        // Only people at the shop or the shopper set these; the API's input has no such keys.
        for (key, place) in [("emailConsent", &mut self.email_consent), ("smsConsent", &mut self.sms_consent)] {
            if let Some(text) = text(key) {
                *place = kept(text);
            }
        }
        if let Some(address) = input.get("address") {
            self.address = address.as_object().cloned();
        }
        errors
    }

    /// As GraphQL shows it, everything the twin knows.
    pub(super) fn json(&self, id: u64) -> Value {
        let email = self.email.as_ref().map(|email| {
            json!({ "emailAddress": email, "marketingState": self.email_consent.as_deref().unwrap_or("NOT_SUBSCRIBED") })
        });
        let phone = self.phone.as_ref().map(|phone| {
            let state = self.sms_consent.as_deref().unwrap_or("NEVER_SUBSCRIBED");
            json!({ "phoneNumber": phone, "smsMarketingConsent": { "state": state } })
        });
        let address = self.address.as_ref().map(|given| {
            let parts = ["address1", "address2", "city", "province", "zip", "countryCodeV2", "company"];
            let part = |name: &str| (name.to_owned(), given.get(name).cloned().unwrap_or_default());
            Value::Object(parts.into_iter().map(part).collect())
        });
        json!({
            "id": gid("Customer", id), "legacyResourceId": id.to_string(), "firstName": self.first_name,
            "lastName": self.last_name, "note": self.note, "tags": self.tags, "createdAt": stamp(self.created_at_s),
            "updatedAt": stamp(self.updated_at_s), "state": "DISABLED", "defaultEmailAddress": email,
            "defaultPhoneNumber": phone, "defaultAddress": address,
        })
    }

    /// As a webhook shows it: the form of the former REST interface.
    pub(super) fn rest(&self, id: u64) -> Value {
        json!({
            "id": id, "admin_graphql_api_id": gid("Customer", id), "created_at": stamp(self.created_at_s),
            "updated_at": stamp(self.updated_at_s), "first_name": self.first_name, "last_name": self.last_name,
            "email": self.email, "phone": self.phone, "note": self.note, "state": "disabled", "verified_email": true,
            "tax_exempt": false, "multipass_identifier": null, "addresses": [], "tax_exemptions": [], "currency": CURRENCY,
        })
    }
}

/// The shop's currency.
const CURRENCY: &str = "CNY";

impl Order {
    /// An order with everything in it, for the check of selections.
    pub(super) fn sample() -> Value {
        let mut sample = Self { customer: Some(ID_FIRST), ..Self::default() };
        sample.take(&json!({ "lines": [{ "name": "A", "price": "1" }] }), &mut || ID_FIRST);
        sample.json(ID_FIRST)
    }

    /// Takes over what somebody enters: `email`, `phone`, `note`, `status`, `lines`.
    pub(super) fn take(&mut self, input: &Value, number: &mut dyn FnMut() -> u64) {
        let text = |key: &str| input.get(key).map(|value| value.as_str().map(str::to_owned));
        if let Some(email) = text("email") {
            self.email = email.map(|email| email.trim().to_lowercase());
        }
        if let Some(phone) = text("phone") {
            self.phone = phone.and_then(|phone| e164(&phone));
        }
        if let Some(note) = text("note") {
            self.note = note;
        }
        if let Some(status) = text("status") {
            self.status = status.unwrap_or_default();
        }
        if let Some(lines) = input.get("lines").and_then(Value::as_array) {
            let line = |line: &Value| Line {
                id: number(),
                sku: line["sku"].as_str().map(str::to_owned),
                name: line["name"].as_str().unwrap_or_default().to_owned(),
                quantity: line["quantity"].as_u64().unwrap_or(1),
                price_cents: cents(line["price"].as_str().unwrap_or("0")),
            };
            self.lines = lines.iter().map(line).collect();
        }
    }

    fn total_cents(&self) -> u64 {
        self.lines.iter().map(|line| line.quantity * line.price_cents).sum()
    }

    /// As GraphQL shows it, everything the twin knows.
    pub(super) fn json(&self, id: u64) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "id": gid("LineItem", line.id), "sku": line.sku, "name": line.name, "title": line.name,
                    "quantity": line.quantity, "originalUnitPriceSet": { "shopMoney": money(line.price_cents) },
                })
            })
            .collect();
        json!({
            "id": gid("Order", id), "legacyResourceId": id.to_string(), "name": format!("#{}", self.number),
            "email": self.email, "phone": self.phone, "note": self.note,
            "createdAt": stamp(self.created_at_s), "processedAt": stamp(self.created_at_s),
            "updatedAt": stamp(self.updated_at_s), "cancelledAt": self.cancelled_at_s.map(stamp),
            "displayFinancialStatus": self.status, "displayFulfillmentStatus": "UNFULFILLED",
            "customer": self.customer.map(|id| json!({ "id": gid("Customer", id) })),
            "totalPriceSet": { "shopMoney": money(self.total_cents()) }, "lineItems": lines,
        })
    }

    /// As a webhook shows it.
    pub(super) fn rest(&self, id: u64) -> Value {
        json!({
            "id": id, "admin_graphql_api_id": gid("Order", id), "name": format!("#{}", self.number),
            "created_at": stamp(self.created_at_s), "processed_at": stamp(self.created_at_s),
            "updated_at": stamp(self.updated_at_s), "cancelled_at": self.cancelled_at_s.map(stamp), "email": self.email,
            "phone": self.phone, "note": self.note, "currency": CURRENCY, "total_price": amount(self.total_cents()),
            "financial_status": self.status.to_lowercase(), "customer": self.customer.map(|id| json!({ "id": id })),
        })
    }
}

/// A global id.
pub(super) fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// The number in a global id of this kind.
pub(super) fn id_of(kind: &str, gid: &str) -> Option<u64> {
    gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

/// `2026-01-02T03:04:05Z`.
pub(super) fn stamp(at_s: i64) -> String {
    jiff::Timestamp::from_second(at_s).map(|at| at.to_string()).unwrap_or_default()
}

fn money(cents: u64) -> Value {
    json!({ "amount": amount(cents), "currencyCode": CURRENCY })
}

/// Shopify writes at least one decimal place and no superfluous zeros: `398.0`, `12.5`, `19.99`.
fn amount(cents: u64) -> String {
    let (whole, rest) = (cents / 100, cents % 100);
    if rest.is_multiple_of(10) { format!("{whole}.{}", rest / 10) } else { format!("{whole}.{rest:02}") }
}

fn cents(amount: &str) -> u64 {
    let (whole, rest) = amount.split_once('.').unwrap_or((amount, ""));
    let rest: String = rest.chars().chain(['0', '0']).take(2).collect();
    whole.parse::<u64>().unwrap_or(0) * 100 + rest.parse::<u64>().unwrap_or(0)
}

fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(['@', ' ', '<', '>', ',']);
    plain(name) && plain(domain) && domain.contains('.') && domain.split('.').all(|label| !label.is_empty())
}

/// E.164; a number without a country code is one of the shop's country, which is China.
fn e164(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && !"-().".contains(*c)).collect();
    let digits = match bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")) {
        Some(digits) => digits.to_owned(),
        None => format!("86{}", bare.strip_prefix('0').unwrap_or(&bare)),
    };
    let fine = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| format!("+{digits}"))
}

/// Tags are trimmed, known once whatever their case, and sorted.
fn kept_tags(tags: &Value) -> Vec<String> {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for tag in tags.as_array().into_iter().flatten().filter_map(Value::as_str) {
        for tag in tag.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            kept.entry(tag.to_lowercase()).or_insert_with(|| tag.to_owned());
        }
    }
    kept.into_values().collect()
}
