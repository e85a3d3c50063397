//! 金蝶云星空 as its `WebAPI` shows it: signed headers, rows by `ExecuteBillQuery`, and documents that are saved,
//! submitted and approved.
//!
//! `book` holds the records and the rules of documents, `filter` evaluates the SQL-like conditions, `signature`
//! checks the headers, `server` speaks HTTP. What the vendor's facts leave open is decided once, here: Save on an
//! approved customer is allowed and reopens it; Submit and Audit do not touch `FModifyDate`.

mod book;
mod filter;
mod server;
mod signature;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use book::Book;
pub use book::Writes;

/// The account set that the twin keeps.
pub const ACCT_ID: &str = "twin0001";
/// The user in whose name calls are made.
pub const USER_NAME: &str = "huiliu_demo";
/// The app that may call.
pub const APP_ID: &str = "900001_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
/// Its secret.
pub const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The calls that a fault can be laid on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `ExecuteBillQuery`.
    Query,
    /// `View`.
    View,
    /// `Save`.
    Save,
    /// `Submit`.
    Submit,
    /// `Audit`.
    Audit,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out, and the connection is cut before the answer is complete.
    CutAfter,
    /// It is carried out, and the answer never comes; [`KingdeeTwin::hung`] tells when.
    HangAfter,
    /// The session is lost: nothing is carried out.
    SessionLost,
    /// It is carried out, and the answer is a refusal whose text speaks of a session.
    SessionTextAfter,
    /// This HTTP status; nothing is carried out.
    Status(u16),
    /// A bare `response_error:` text; nothing is carried out.
    ErrorText,
    /// A page that is not JSON; nothing is carried out.
    Garbage,
    /// Carried out after this long.
    Slow(Duration),
}

struct Shared {
    book: Mutex<Book>,
    faults: Mutex<Vec<(Call, Fault)>>,
    hung: tokio::sync::Notify,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_fault(&self, call: Call) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let at = faults.iter().position(|(known, _)| *known == call)?;
        Some(faults.remove(at).1)
    }
}

/// A running twin; it stops when it is dropped.
pub struct KingdeeTwin {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl KingdeeTwin {
    /// Starts on a free loopback port, with empty books.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { book: Mutex::default(), faults: Mutex::default(), hung: tokio::sync::Notify::new() });
        let router = server::router(shared.clone());
        let server = tokio::spawn(async move {
            // It serves until the twin is dropped; an accept error ends a test with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { shared, address, server })
    }

    /// What a connection writes as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/k3cloud", self.address)
    }

    /// The settings of a connection to this twin, in the connector's words.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("base_url", self.base_url()), ("acct_id", ACCT_ID.to_owned()), ("user_name", USER_NAME.to_owned())]
    }

    /// The secrets of a connection to this twin, in the connector's words.
    pub fn secrets(&self) -> [(&'static str, &'static str); 2] {
        [("app_id", APP_ID), ("app_secret", APP_SECRET)]
    }

    /// An accountant enters an approved customer; `fields` by field key, dotted where the vendor dots. Its `FCUSTID`.
    pub fn put_customer(&self, fields: &Value) -> String {
        self.shared.book().put_customer(fields).to_string()
    }

    /// An accountant changes fields of a customer; false if there is none.
    pub fn edit_customer(&self, id: &str, fields: &Value) -> bool {
        self.shared.book().edit_customer(id, fields)
    }

    /// An accountant deletes a customer; false if there is none.
    pub fn delete_customer(&self, id: &str) -> bool {
        self.shared.book().delete_customer(id)
    }

    /// An accountant enters a sale order; `fields` of its header, with `entries` as an array. Its `FID`.
    pub fn put_order(&self, fields: &Value) -> String {
        self.shared.book().put_order(fields).to_string()
    }

    /// An accountant changes fields of an order's header; false if there is none.
    pub fn edit_order(&self, id: &str, fields: &Value) -> bool {
        self.shared.book().edit_order(id, fields)
    }

    /// All records: `customers` and `orders` by id.
    pub fn snapshot(&self) -> Value {
        self.shared.book().snapshot()
    }

    /// How many writes were carried out through the interface.
    pub fn writes(&self) -> Writes {
        self.shared.book().writes
    }

    /// How many queries were answered.
    pub fn queries(&self) -> u64 {
        self.shared.book().queries
    }

    /// The next call of this kind meets this fault, once. Faults of one kind queue up.
    pub fn fault(&self, call: Call, fault: Fault) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).push((call, fault));
    }

    /// Waits until a call met [`Fault::HangAfter`] and was carried out.
    pub async fn hung(&self) {
        self.shared.hung.notified().await;
    }

    /// Stops the twin's clock at this second since 1970 (or lets it run again): records changed now share the stamp.
    pub fn set_now_s(&self, now_s: Option<i64>) {
        self.shared.book().now_s = now_s;
    }

    /// The tenant caps a query at so many rows and does not say so.
    pub fn cap_rows(&self, rows: usize) {
        self.shared.book().rows_max = rows;
    }
}

impl Drop for KingdeeTwin {
    fn drop(&mut self) {
        self.server.abort();
    }
}
