//! Odoo: partners and sale orders over JSON-2 and over JSON-RPC.
//!
//! `book` holds the records and answers models' methods, `server` speaks HTTP in both ways. What is pretended: stamps that
//! are the begin of their transaction and are shown cut to the second, archived records that only a context or a domain
//! shows, deletions that leave nothing, `false` where there is no value, [id, name] for a reference, ids that must be
//! numbers, errors with their class: under real statuses by JSON-2, under 200 by JSON-RPC.

mod book;
mod server;

use serde_json::{Value, json};

use crate::desk::Running;
use book::Book;

/// The database.
pub const DATABASE: &str = "twin";
/// The API key.
pub const API_KEY: &str = "twin-odoo-api-key-not-a-real-one";
/// The number of the key's user.
pub const UID: u64 = 2;
/// The login of the key's user.
pub const LOGIN: &str = "hub@example.com";

/// A running twin; it stops when it is dropped.
pub struct OdooTwin(Running<Book>);

impl OdooTwin {
    /// Starts on a free loopback port, with an empty database.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Running::start(Book::default(), server::router).await.map(Self)
    }

    /// The address.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The settings of a connection to this twin, in the connectors' words.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("url", self.url()), ("database", DATABASE.to_owned()), ("uid", UID.to_string())]
    }

    /// The secrets of a connection to this twin, in the connectors' words.
    pub fn secrets(&self) -> [(&'static str, &'static str); 1] {
        [("api_key", API_KEY)]
    }

    /// Stops the twin's clock at this microsecond since 1970, or lets it run again.
    pub fn set_now_us(&self, now_us: Option<i64>) {
        self.0.desk.set_now_ms(now_us.map(|now_us| now_us.div_euclid(1_000)));
    }

    /// Somebody makes a partner; the answer is its id.
    pub fn add_partner(&self, vals: &Value) -> u64 {
        let now_us = self.0.desk.now_ms() * 1_000;
        self.0.desk.lock().add("res.partner", vals, now_us)
    }

    /// Somebody makes a sale order: `partner_id` is an id. The answer is the order's id.
    pub fn add_order(&self, vals: &Value) -> u64 {
        let now_us = self.0.desk.now_ms() * 1_000;
        self.0.desk.lock().add("sale.order", vals, now_us)
    }

    /// Somebody edits a partner in a transaction that began so many seconds ago and ends now.
    pub fn edit_partner(&self, id: u64, vals: &Value, began_seconds_ago: i64) {
        let began_us = self.0.desk.now_ms() * 1_000 - began_seconds_ago * 1_000_000;
        self.0.desk.lock().edit("res.partner", id, vals, began_us);
    }

    /// Somebody deletes a partner; nothing of it remains.
    pub fn delete_partner(&self, id: u64) {
        self.0.desk.lock().remove("res.partner", id);
    }

    /// All partners with everything they hold, by id; archived ones too.
    pub fn partners(&self) -> Value {
        json!(self.0.desk.lock().all("res.partner"))
    }

    /// Accepted writes through the API.
    pub fn writes(&self) -> u64 {
        self.0.desk.lock().writes
    }
}
