//! A WooCommerce shop: its REST API v3 over plain HTTP with OAuth 1.0a, and its webhooks.
//!
//! `shop` holds the records and the rules of storing them, `server` speaks HTTP, `oauth` proves signatures. What is
//! pretended (vendor's source in brackets): paging with `X-WP-Total` and `X-WP-TotalPages`, pages that are short because
//! the account may not see everything [class-wc-rest-crud-controller], stamps of the site's zone and of UTC, both
//! written without a zone, `modified_after` that turns a stamp with a zone to the site's own before it compares with UTC
//! [class-wp-date-query], guest orders with customer 0, the trash, texts that lose tags, line breaks and double spaces
//! [sanitize_text_field], `error` objects inside a batch's answer, an unsigned ping, and deliveries of one webhook
//! within one second that share their id [class-wc-webhook]. Decided here: a save that changes nothing keeps the stamp.

pub(crate) mod oauth;
mod server;
mod shop;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::desk::Running;
use crate::hooks::{HookCall, Hooks, sign};
use shop::Shop;

/// The consumer key.
pub const CONSUMER_KEY: &str = "ck_twin_key_not_a_real_one";
/// The consumer secret.
pub const CONSUMER_SECRET: &str = "cs_twin_secret_not_a_real_one";
/// The secret of every webhook.
pub const WEBHOOK_SECRET: &str = "twin-webhook-secret-not-a-real-one";

/// A running twin; it stops when it is dropped.
pub struct WooTwin(Running<Shop>);

impl WooTwin {
    /// Starts on a free loopback port, with an empty shop.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Running::start(Shop::default(), server::router).await.map(Self)
    }

    /// The shop's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The settings of a connection to this twin, in the connector's words.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("url", self.url())]
    }

    /// The secrets of a connection to this twin, in the connector's words.
    pub fn secrets(&self) -> [(&'static str, &'static str); 3] {
        [("consumer_key", CONSUMER_KEY), ("consumer_secret", CONSUMER_SECRET), ("webhook", WEBHOOK_SECRET)]
    }

    /// The sender of webhooks; faults are set here.
    pub fn hooks(&self) -> &Hooks {
        self.0.desk.hooks()
    }

    /// Stops the twin's clock at this second since 1970, or lets it run again.
    pub fn set_now_s(&self, now_s: Option<i64>) {
        self.0.desk.set_now_ms(now_s.map(|now_s| now_s * 1_000));
    }

    /// Somebody at the shop saves the webhooks: the shop pings the address, unsigned, and tells from then on. Answers
    /// the status that the ping got; with another one than 200 the shop reports an error and keeps the webhook waiting.
    pub async fn save_webhook(&self, url: &str) -> u16 {
        #[allow(clippy::disallowed_methods)] // Loopback.
        let request = reqwest::Client::new().post(url);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body("webhook_id=1");
        let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
        if status == 200 {
            self.0.desk.set_webhook(Some(url.to_owned()));
        }
        status
    }

    /// Waits until the webhooks of all changes made through the API are sent.
    pub async fn settled(&self) {
        self.0.desk.settled().await;
    }

    /// A customer who was there before anybody listened; keys as in the API.
    ///
    /// # Errors
    /// When the shop refuses a value; the text is the shop's.
    pub fn put_customer(&self, input: &Value) -> Result<u64, String> {
        let now_s = self.now_s();
        self.0.desk.lock().create_customer(input, now_s).map_err(|error| error.message)
    }

    /// A shopper signs up.
    ///
    /// # Errors
    /// When the shop refuses a value; the text is the shop's.
    pub async fn add_customer(&self, input: &Value) -> Result<u64, String> {
        let id = self.put_customer(input)?;
        self.tell(&[("customer.created", id)]).await;
        Ok(id)
    }

    /// A shopper or somebody at the shop edits a customer.
    ///
    /// # Errors
    /// When there is no such customer or the shop refuses a value; the text is the shop's.
    pub async fn edit_customer(&self, id: u64, input: &Value) -> Result<(), String> {
        let now_s = self.now_s();
        let changed = self.0.desk.lock().update_customer(id, input, now_s).map_err(|error| error.message)?;
        if changed {
            self.tell(&[("customer.updated", id)]).await;
        }
        Ok(())
    }

    /// Somebody at the shop deletes a customer; false if there is none. Customers have no trash.
    pub async fn delete_customer(&self, id: u64) -> bool {
        let was_there = self.0.desk.lock().customers.remove(&id).is_some();
        if was_there {
            self.tell(&[("customer.deleted", id)]).await;
        }
        was_there
    }

    /// Somebody buys: `customer_id` (0 or missing for a guest), `billing`, `customer_note`, `line_items` with `sku`,
    /// `name`, `quantity` and `price` in the shop's currency.
    pub async fn place_order(&self, input: &Value) -> u64 {
        let now_s = self.now_s();
        let id = self.0.desk.lock().place_order(input, now_s);
        self.tell(&[("order.created", id), ("order.updated", id)]).await;
        id
    }

    /// An order that was there before anybody listened.
    pub fn put_order(&self, input: &Value) -> u64 {
        let now_s = self.now_s();
        self.0.desk.lock().place_order(input, now_s)
    }

    /// Somebody at the shop changes an order's status; `trash` throws it away, and any other brings it back.
    pub async fn set_status(&self, id: u64, status: &str) {
        let now_s = self.now_s();
        let was = self.0.desk.lock().set_status(id, status, now_s);
        let topic = match (was.as_deref(), status) {
            (_, "trash") => "order.deleted",
            (Some("trash"), _) => "order.restored",
            _ => "order.updated",
        };
        self.tell(&[(topic, id)]).await;
    }

    /// The shop's address as its visitors see it (`home_url`), when something stands in front: that is what is signed.
    pub fn set_home(&self, url: &str) {
        self.0.desk.lock().home = Some(url.to_owned());
    }

    /// A record that the account may not see: it is counted, and its page is short.
    pub fn hide(&self, id: u64) {
        self.0.desk.lock().hidden.insert(id);
    }

    /// All records as the API shows them: `customers` and `orders` by id.
    pub fn snapshot(&self) -> Value {
        self.0.desk.lock().snapshot()
    }

    /// Accepted writes through the API.
    pub fn writes(&self) -> u64 {
        self.0.desk.lock().writes
    }

    fn now_s(&self) -> i64 {
        self.0.desk.now_ms().div_euclid(1_000)
    }

    async fn tell(&self, topics: &[(&str, u64)]) {
        let Some(url) = self.0.desk.webhook() else { return };
        let now_s = self.now_s();
        let calls = {
            let shop = self.0.desk.lock();
            topics.iter().map(|(topic, id)| call(&shop, &url, topic, *id, now_s)).collect()
        };
        self.0.desk.send(calls).await;
    }
}

/// Topics with a webhook of their own; its place is its id.
const TOPICS: &[&str] = &[
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
];

/// A webhook call as the shop makes it.
fn call(shop: &Shop, url: &str, topic: &str, id: u64, now_s: i64) -> HookCall {
    let (resource, event) = topic.split_once('.').unwrap_or((topic, ""));
    let body = match (resource, event) {
        (_, "deleted") => json!({ "id": id }),
        ("customer", _) => shop.customer(id).unwrap_or_default(),
        _ => shop.order(id).unwrap_or_default(),
    };
    let body = body.to_string();
    let webhook = TOPICS.iter().position(|known| *known == topic).unwrap_or_default() + 1;
    let delivery = hex::encode(&Sha256::digest(format!("{webhook}{now_s}"))[..16]);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("X-WC-Webhook-Source", "http://shop.example/".to_owned()),
        ("X-WC-Webhook-Topic", topic.to_owned()),
        ("X-WC-Webhook-Resource", resource.to_owned()),
        ("X-WC-Webhook-Event", event.to_owned()),
        ("X-WC-Webhook-Signature", sign(WEBHOOK_SECRET, body.as_bytes())),
        ("X-WC-Webhook-ID", webhook.to_string()),
        ("X-WC-Webhook-Delivery-ID", delivery),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    HookCall { url: url.to_owned(), headers, body: Bytes::from(body) }
}
