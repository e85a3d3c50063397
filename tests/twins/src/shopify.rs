//! Shopify's Admin GraphQL API: customers and orders by page and time, `customerSet`, cost points, signed webhooks.
//!
//! `document` reads any query, `answer` carries it out, `shop` holds the records and the form in which they are kept,
//! `server` speaks HTTP and counts points, `hooks_out` signs. What is pretended: phones in E.164, trimmed and sorted
//! tags, e-mail addresses in small letters, search by whole seconds, refusals inside HTTP 200, webhooks for changes made
//! through the API as for any other, an order that touches its customer. What the vendor's facts leave open is decided
//! here: a save that changes nothing leaves the stamp alone and tells nobody.

mod answer;
mod document;
mod hooks_out;
mod server;
mod shop;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::hooks::Hooks;
pub use crate::hooks::sign;
use hooks_out::Event;
use server::Bucket;
use shop::{Order, Shop, gid, id_of};

/// The shop's name before `.myshopify.com`.
pub const SHOP: &str = "huiliu-example";
/// The version of the API.
pub const API_VERSION: &str = "2026-10";
/// The app's access token.
pub const ACCESS_TOKEN: &str = "shpat_twin_access_token_not_a_real_one";
/// The app's client secret: it signs the webhooks.
pub const CLIENT_SECRET: &str = "twin-client-secret-not-a-real-one";

/// What happens to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This HTTP status; nothing is carried out.
    Status(u16),
    /// HTTP 200 with an error of this code (`INTERNAL_SERVER_ERROR`, `ACCESS_DENIED`); nothing is carried out.
    Code(String),
    /// It is carried out, and the connection is cut before the answer is complete.
    CutAfter,
}

#[derive(Default)]
struct State {
    shop: Shop,
    bucket: Bucket,
    faults: VecDeque<Fault>,
    calls: u64,
    throttled: u64,
    webhook: Option<String>,
    now_s: Option<i64>,
    orders_made: u64,
    events: u64,
    deliveries: u64,
    /// Calls with their answers, while they are recorded.
    exchanges: Option<Vec<(Value, Value)>>,
}

impl State {
    fn event(&mut self, topic: &'static str, at_s: i64, body: Value) -> Event {
        self.deliveries += 1;
        Event { topic, act: self.events, delivery: self.deliveries, at_s, body }
    }

    /// A new act: its webhooks share an event id.
    fn act(&mut self) {
        self.events += 1;
    }

    fn customer_event(&mut self, topic: &'static str, id: u64, at_s: i64) -> Event {
        self.act();
        self.customer_part(topic, id, at_s)
    }

    fn customer_part(&mut self, topic: &'static str, id: u64, at_s: i64) -> Event {
        let body = self.shop.customers.get(&id).map(|it| it.rest(id)).unwrap_or_default();
        self.event(topic, at_s, body)
    }

    fn order_part(&mut self, topic: &'static str, id: u64, at_s: i64) -> Event {
        let body = self.shop.orders.get(&id).map(|it| it.rest(id)).unwrap_or_default();
        self.event(topic, at_s, body)
    }
}

struct Inner {
    state: Mutex<State>,
    hooks: Hooks,
    sending: tokio::sync::watch::Sender<usize>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::disallowed_methods)] // A stand-in for a vendor has a clock of its own, as the vendor does.
    fn now_ms(&self) -> i64 {
        let fixed = self.lock().now_s;
        fixed.map_or_else(|| jiff::Timestamp::now().as_millisecond(), |now_s| now_s * 1_000)
    }

    fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1_000)
    }

    async fn send(&self, events: Vec<Event>) {
        let url = self.lock().webhook.clone();
        let Some(url) = url else { return };
        for event in events {
            self.hooks.send(event.call(&url)).await;
        }
    }

    /// Webhooks of a change through the API leave beside its answer, not before it.
    fn send_later(self: &Arc<Self>, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.sending.send_modify(|sending| *sending += 1);
        let inner = self.clone();
        tokio::spawn(async move {
            inner.send(events).await;
            inner.sending.send_modify(|sending| *sending -= 1);
        });
    }
}

/// A running twin; it stops when it is dropped.
pub struct ShopifyTwin {
    inner: Arc<Inner>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl ShopifyTwin {
    /// Starts on a free loopback port, with an empty shop.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sending = tokio::sync::watch::Sender::new(0);
        let inner = Arc::new(Inner { state: Mutex::default(), hooks: Hooks::new(), sending });
        let router = server::router(inner.clone());
        let server = tokio::spawn(async move {
            // It serves until the twin is dropped; an accept error ends a test with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { inner, address, server })
    }

    /// What a connection writes as its `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/admin/api/{API_VERSION}/graphql.json", self.address)
    }

    /// The settings of a connection to this twin, in the connector's words.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("base_url", self.base_url()), ("shop", SHOP.to_owned()), ("version", API_VERSION.to_owned())]
    }

    /// The secrets of a connection to this twin, in the connector's words.
    pub fn secrets(&self) -> [(&'static str, &'static str); 2] {
        [("access_token", ACCESS_TOKEN), ("client_secret", CLIENT_SECRET)]
    }

    /// The sender of webhooks; faults are set here.
    pub fn hooks(&self) -> &Hooks {
        &self.inner.hooks
    }

    /// Where webhooks go from now on.
    pub fn set_webhook(&self, url: &str) {
        self.inner.lock().webhook = Some(url.to_owned());
    }

    /// Stops the twin's clock at this second since 1970 (or lets it run again): records changed now share the stamp.
    pub fn set_now_s(&self, now_s: Option<i64>) {
        self.inner.lock().now_s = now_s;
    }

    /// Waits until the webhooks of all changes made through the API are sent.
    pub async fn settled(&self) {
        let mut sending = self.inner.sending.subscribe();
        // The sender lives as long as the twin, so this cannot fail while it is borrowed.
        let _ = sending.wait_for(|sending| *sending == 0).await;
    }

    /// A customer who was there before anybody listened. Keys as in `CustomerSetInput`, and `emailConsent`,
    /// `smsConsent`, `address`. Answers the global id.
    ///
    /// # Errors
    /// When the shop refuses a value; the text is the shop's.
    pub fn put_customer(&self, input: &Value) -> Result<String, String> {
        let now_s = self.inner.now_s();
        let saved = self.inner.lock().shop.save(None, input, now_s);
        saved.map(|(id, _)| gid("Customer", id)).map_err(|errors| errors[0].1.to_owned())
    }

    /// A shopper signs up.
    ///
    /// # Errors
    /// When the shop refuses a value; the text is the shop's.
    pub async fn add_customer(&self, input: &Value) -> Result<String, String> {
        let gid = self.put_customer(input)?;
        self.tell_customer("customers/create", &gid).await;
        Ok(gid)
    }

    /// A shopper or a person at the shop edits a customer.
    ///
    /// # Errors
    /// When there is no such customer or the shop refuses a value; the text is the shop's.
    pub async fn edit_customer(&self, gid: &str, input: &Value) -> Result<(), String> {
        let now_s = self.inner.now_s();
        let id = self.customer(gid)?;
        let saved = self.inner.lock().shop.save(Some(id), input, now_s);
        let (_, how) = saved.map_err(|errors| errors[0].1.to_owned())?;
        if how != shop::Saved::Unchanged {
            self.tell_customer("customers/update", gid).await;
        }
        Ok(())
    }

    /// A person at the shop deletes a customer. The shop refuses when the customer has orders.
    ///
    /// # Errors
    /// When there is no such customer, or it has orders.
    pub async fn delete_customer(&self, gid: &str) -> Result<(), String> {
        let now_s = self.inner.now_s();
        let id = self.customer(gid)?;
        let event = {
            let mut state = self.inner.lock();
            if state.shop.orders.values().any(|order| order.customer == Some(id)) {
                return Err("Customer can’t be deleted because they have associated orders".to_owned());
            }
            state.shop.customers.remove(&id);
            state.act();
            let body = serde_json::json!({ "id": id, "admin_graphql_api_id": gid, "phone": null, "addresses": [] });
            state.event("customers/delete", now_s, body)
        };
        self.inner.send(vec![event]).await;
        Ok(())
    }

    /// A person at the shop merges two customers: the one is kept, with what it lacked and the orders of the other, which
    /// is no more.
    ///
    /// # Errors
    /// When there is no such customer.
    pub async fn merge_customers(&self, kept: &str, lost: &str) -> Result<(), String> {
        let now_s = self.inner.now_s();
        let (kept_id, lost_id) = (self.customer(kept)?, self.customer(lost)?);
        let event = {
            let mut state = self.inner.lock();
            state.shop.merge(kept_id, lost_id, now_s);
            state.act();
            let body = serde_json::json!({ "admin_graphql_api_customer_kept_id": kept, "status": "completed", "errors": [],
                "admin_graphql_api_customer_deleted_id": lost, "admin_graphql_api_job_id": null });
            state.event("customers/merge", now_s, body)
        };
        self.inner.send(vec![event]).await;
        Ok(())
    }

    /// Somebody buys: `email`, `phone`, `note`, `status`, `lines` (`sku`, `name`, `quantity`, `price`), and `customer`
    /// with a global id unless it is a guest. Answers the global id.
    ///
    /// # Errors
    /// When the named customer does not exist.
    pub async fn place_order(&self, input: &Value) -> Result<String, String> {
        let now_s = self.inner.now_s();
        let customer = input["customer"].as_str().map(|gid| self.customer(gid)).transpose()?;
        let (id, events) = {
            let mut state = self.inner.lock();
            let id = state.shop.number();
            state.orders_made += 1;
            let mut order = Order { number: 1_000 + state.orders_made, customer, ..Order::default() };
            (order.created_at_s, order.updated_at_s) = (now_s, now_s);
            "PAID".clone_into(&mut order.status);
            order.take(input, &mut || state.shop.number());
            state.shop.orders.insert(id, order);
            state.shop.touched(id);
            state.act();
            let topics = ["orders/create", "orders/updated", "orders/paid"];
            let mut events: Vec<Event> = topics.into_iter().map(|topic| state.order_part(topic, id, now_s)).collect();
            // The customer's count of orders changes with it, and so does the stamp.
            if let Some(customer) = customer
                && let Some(known) = state.shop.customers.get_mut(&customer)
            {
                known.updated_at_s = now_s;
                state.shop.touched(customer);
                events.push(state.customer_part("customers/update", customer, now_s));
            }
            (id, events)
        };
        self.inner.send(events).await;
        Ok(gid("Order", id))
    }

    /// A person at the shop changes an order; `cancelled` ends it.
    ///
    /// # Errors
    /// When there is no such order.
    pub async fn edit_order(&self, gid: &str, input: &Value) -> Result<(), String> {
        let now_s = self.inner.now_s();
        let id = id_of("Order", gid).ok_or("not the id of an order")?;
        let events = {
            let mut state = self.inner.lock();
            let mut order = state.shop.orders.get(&id).cloned().ok_or("there is no such order")?;
            let was_paid = order.status == "PAID";
            order.take(input, &mut || state.shop.number());
            let cancels = input["cancelled"] == true;
            if cancels {
                order.cancelled_at_s = Some(now_s);
            }
            order.updated_at_s = now_s;
            let is_paid = order.status == "PAID";
            state.shop.orders.insert(id, order);
            state.shop.touched(id);
            state.act();
            let mut topics = vec!["orders/updated"];
            topics.extend((is_paid && !was_paid).then_some("orders/paid"));
            topics.extend(cancels.then_some("orders/cancelled"));
            topics.into_iter().map(|topic| state.order_part(topic, id, now_s)).collect()
        };
        self.inner.send(events).await;
        Ok(())
    }

    /// A person at the shop deletes an order; false if there is none.
    pub async fn delete_order(&self, gid: &str) -> bool {
        let now_s = self.inner.now_s();
        let event = {
            let mut state = self.inner.lock();
            let Some(id) = id_of("Order", gid).filter(|id| state.shop.orders.remove(id).is_some()) else {
                return false;
            };
            state.act();
            state.event("orders/delete", now_s, serde_json::json!({ "id": id }))
        };
        self.inner.send(vec![event]).await;
        true
    }

    /// All records as the API shows them: `customers` and `orders` by global id.
    pub fn snapshot(&self) -> Value {
        self.inner.lock().shop.snapshot()
    }

    /// Accepted writes through the API, by global id.
    pub fn writes(&self) -> BTreeMap<String, u64> {
        self.inner.lock().shop.writes.clone()
    }

    /// How many calls were made with a good token.
    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    /// Keeps each call and its answer from now on, for [`ShopifyTwin::exchanges`].
    pub fn record_exchanges(&self) {
        self.inner.lock().exchanges = Some(Vec::new());
    }

    /// What was asked (`query`, `variables`) and answered since [`ShopifyTwin::record_exchanges`].
    pub fn exchanges(&self) -> Vec<(Value, Value)> {
        self.inner.lock().exchanges.clone().unwrap_or_default()
    }

    /// How many of them were throttled.
    pub fn throttled(&self) -> u64 {
        self.inner.lock().throttled
    }

    /// Leaves so many points in the bucket; with a standing clock none flow back.
    pub fn set_points(&self, points: u64) {
        let now_ms = self.inner.now_ms();
        self.inner.lock().bucket.set(points, now_ms);
    }

    /// The search index stands still: what changes now is not found by a search by time until it runs again.
    pub fn set_index_held(&self, held: bool) {
        let mut state = self.inner.lock();
        state.shop.index_held = held;
        if !held {
            state.shop.unindexed.clear();
        }
    }

    /// The next call meets this fault, once. Faults queue up.
    pub fn fault(&self, fault: Fault) {
        self.inner.lock().faults.push_back(fault);
    }

    fn customer(&self, gid: &str) -> Result<u64, String> {
        let id = id_of("Customer", gid).filter(|id| self.inner.lock().shop.customers.contains_key(id));
        id.ok_or_else(|| "there is no such customer".to_owned())
    }

    async fn tell_customer(&self, topic: &'static str, gid: &str) {
        let now_s = self.inner.now_s();
        let event = id_of("Customer", gid).map(|id| self.inner.lock().customer_event(topic, id, now_s));
        self.inner.send(event.into_iter().collect()).await;
    }
}

impl Drop for ShopifyTwin {
    fn drop(&mut self) {
        self.server.abort();
    }
}
