//! HubSpot's CRM: contacts, companies and deals over the v3 objects API, and its v3 webhooks.
//!
//! `store` holds the records, `search` is the search endpoint with its cap and its lagging index, `server` speaks HTTP.
//! What is pretended: lists by cursor and a separate list of archived records, search windows of 10,000 rows, an index
//! that lags, values that are texts always, e-mail addresses in small letters and only once, 207 with one answer a row
//! and a trace id, merges that mint a new id while the former ids lead to it and appear in no list, webhooks as arrays
//! of events with a v3 signature, and the headers of the rate limit. Decided here, since the vendor's pages leave it
//! open: a save that changes nothing keeps the stamp and tells nobody; a merge keeps the primary's values and takes over
//! what it lacks.

mod search;
mod server;
mod store;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::desk::Running;
use crate::hooks::{HookCall, Hooks, sign};
use store::Store;

/// The token of a private app.
pub const ACCESS_TOKEN: &str = "pat-twin-0000-not-a-real-one";
/// The app's client secret: it signs the webhooks.
pub const CLIENT_SECRET: &str = "twin-client-secret-of-an-app";

/// A running twin; it stops when it is dropped.
pub struct HubspotTwin(Running<Store>);

impl HubspotTwin {
    /// Starts on a free loopback port, with an empty account.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Running::start(Store::default(), server::router).await.map(Self)
    }

    /// Where the vendor's client finds the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The settings of a connection to this twin, in the connector's words; webhooks are told to `public_url`.
    pub fn settings(&self, public_url: &str) -> Vec<(&'static str, String)> {
        vec![("base_url", format!("{}/crm/v3/objects", self.url())), ("public_url", public_url.to_owned())]
    }

    /// The secrets of a connection to this twin, in the connector's words.
    pub fn secrets(&self) -> [(&'static str, &'static str); 2] {
        [("access_token", ACCESS_TOKEN), ("client_secret", CLIENT_SECRET)]
    }

    /// The sender of webhooks; faults are set here.
    pub fn hooks(&self) -> &Hooks {
        self.0.desk.hooks()
    }

    /// Stops the twin's clock at this millisecond since 1970, or lets it run again.
    pub fn set_now_ms(&self, now_ms: Option<i64>) {
        self.0.desk.set_now_ms(now_ms);
    }

    /// Where webhooks go from now on, and the address that the app has for it: that one is signed. A proxy that stands
    /// in front of a hub is what makes the two differ.
    pub fn set_webhook(&self, url: &str, public_url: &str) {
        self.0.desk.lock().signed_as = public_url.to_owned();
        self.0.desk.set_webhook(Some(url.to_owned()));
    }

    /// Waits until the webhooks of all changes made through the API are sent.
    pub async fn settled(&self) {
        self.0.desk.settled().await;
    }

    /// A record that was there before anybody listened. `kind` is `contacts`, `companies` or `deals`; the input holds
    /// property values. Answers the id.
    ///
    /// # Errors
    /// When a value is refused; the text is the vendor's.
    pub fn put(&self, kind: &'static str, input: &Value) -> Result<String, String> {
        let now_ms = self.0.desk.now_ms();
        let made = self.0.desk.lock().create(kind, input, now_ms);
        made.map(|id| id.to_string()).map_err(|refusal| refusal.message)
    }

    /// Somebody makes a record.
    ///
    /// # Errors
    /// As [`HubspotTwin::put`].
    pub async fn add(&self, kind: &'static str, input: &Value) -> Result<String, String> {
        let id = self.put(kind, input)?;
        self.tell(vec![event(kind, "creation", &id)]).await;
        Ok(id)
    }

    /// Somebody edits a record.
    ///
    /// # Errors
    /// When there is no such record, or a value is refused.
    pub async fn edit(&self, kind: &'static str, id: &str, input: &Value) -> Result<(), String> {
        let now_ms = self.0.desk.now_ms();
        let number = id.parse().map_err(|_| "not an id".to_owned())?;
        let changed = self.0.desk.lock().update(kind, number, input, now_ms).map_err(|refusal| refusal.message)?;
        self.tell(changed.1.iter().map(|property| changed_event(kind, id, property)).collect()).await;
        Ok(())
    }

    /// Somebody deletes a record: it is archived, and only the list of archived records shows it.
    pub async fn archive(&self, kind: &'static str, id: &str) {
        let archived = id.parse().is_ok_and(|id| self.0.desk.lock().archive(kind, id));
        if archived {
            self.tell(vec![event(kind, "deletion", id)]).await;
        }
    }

    /// Somebody merges two records; the answer is the id of the new one.
    pub async fn merge(&self, kind: &'static str, primary: &str, other: &str) -> String {
        let now_ms = self.0.desk.now_ms();
        let ids = (primary.parse().unwrap_or_default(), other.parse().unwrap_or_default());
        let made = self.0.desk.lock().merge(kind, ids.0, ids.1, now_ms).unwrap_or_default();
        let what = format!("{}.merge", singular(kind));
        let told = json!({ "subscriptionType": what, "primaryObjectId": ids.0, "mergedObjectIds": [ids.0, ids.1],
            "newObjectId": made, "numberOfPropertiesMoved": 1 });
        self.tell(vec![told]).await;
        made.to_string()
    }

    /// The search index stands still: what changes now is not found by a search until it runs again, and what is archived
    /// now is still found.
    pub fn set_index_held(&self, held: bool) {
        self.0.desk.lock().hold_index(held);
    }

    /// The index goes on with what changes now; what it missed while it stood still it still lacks.
    pub fn skip_index(&self) {
        self.0.desk.lock().index_held = false;
    }

    /// A record is found by a search so many milliseconds after it was made; 0: at once.
    pub fn set_index_lag_ms(&self, lag_ms: i64) {
        self.0.desk.lock().index_lag_ms = lag_ms;
    }

    /// Searches that are answered before the next is refused with 429; none: all.
    pub fn set_searches_left(&self, left: Option<u32>) {
        self.0.desk.lock().searches_left = left;
    }

    /// A search answers at most this many rows in all; 10,000 with the vendor.
    pub fn set_window(&self, rows: usize) {
        self.0.desk.lock().window = rows;
    }

    /// All records of a kind with all properties, by id; archived and merged ones are not among them.
    pub fn snapshot(&self, kind: &'static str) -> Value {
        self.0.desk.lock().snapshot(kind)
    }

    /// Accepted writes through the API.
    pub fn writes(&self) -> u64 {
        self.0.desk.lock().writes
    }

    /// Those of them that changed nothing: somebody did twice what was to be done once.
    pub fn idle_writes(&self) -> u64 {
        self.0.desk.lock().idle_writes
    }

    /// Calls of the API so far, of every kind.
    pub fn calls(&self) -> u64 {
        self.0.desk.lock().calls
    }

    async fn tell(&self, events: Vec<Value>) {
        let (url, now_ms) = (self.0.desk.webhook(), self.0.desk.now_ms());
        if let (Some(url), false) = (url, events.is_empty()) {
            let call = call(&url, &mut self.0.desk.lock(), events, now_ms);
            self.0.desk.send(vec![call]).await;
        }
    }
}

fn singular(kind: &str) -> &'static str {
    match kind {
        "contacts" => "contact",
        "companies" => "company",
        _ => "deal",
    }
}

/// An event about a record.
fn event(kind: &str, what: &str, id: &str) -> Value {
    let number: Value = serde_json::from_str(id).unwrap_or_default();
    json!({ "subscriptionType": format!("{}.{what}", singular(kind)), "objectId": number, "changeSource": "CRM_UI" })
}

fn changed_event(kind: &str, id: &str, (property, value): &(String, Value)) -> Value {
    let mut told = event(kind, "propertyChange", id);
    told["propertyName"] = json!(property);
    told["propertyValue"] = value.clone();
    told
}

/// A webhook call: an array of events, signed with the app's secret over method, address, body and time.
fn call(url: &str, store: &mut Store, events: Vec<Value>, now_ms: i64) -> HookCall {
    let events: Vec<Value> = events
        .into_iter()
        .map(|mut event| {
            store.events += 1;
            for (name, value) in
                [("eventId", store.events), ("subscriptionId", 7), ("portalId", 62_515), ("appId", 54_321)]
            {
                event[name] = json!(value);
            }
            event["occurredAt"] = json!(now_ms);
            event["attemptNumber"] = json!(0);
            event
        })
        .collect();
    let body = Value::Array(events).to_string();
    let signed = format!("POST{}{body}{now_ms}", store.signed_as);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("X-HubSpot-Signature-v3", sign(CLIENT_SECRET, signed.as_bytes())),
        ("X-HubSpot-Request-Timestamp", now_ms.to_string()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    HookCall { url: url.to_owned(), headers, body: Bytes::from(body) }
}
