//! 企业微信: customer contact API, corp tags, group chats and sealed callbacks.
//!
//! What is pretended: one token until it ends, error codes in HTTP 200, cursors, length limits, tags as bare ids in one
//! call and as objects in another, mobiles as numbers in one call and as texts in another, no callback for changes made
//! through the API nor for an edit of the remark's phone alone.

mod calls;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::Method;
use huiliu_wecom::crypto;
use serde_json::Value;

use crate::hooks::{HookCall, Hooks};
pub use state::Customer;
use state::{Chat, Follow, State, Tag};

/// The corp id.
pub const CORP_ID: &str = "ww0123456789abcdef";
/// The app secret.
pub const CORP_SECRET: &str = "twin-corp-secret-not-a-real-one";
/// The app's AgentId.
pub const AGENT_ID: i64 = 1_000_002;
/// The token of the callback settings.
pub const CALLBACK_TOKEN: &str = "twinCallbackToken";
/// The `EncodingAESKey` of the callback settings.
pub const ENCODING_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// A pretended corp; it stops answering when it is dropped.
pub struct WecomTwin {
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
    state: Arc<Mutex<State>>,
    /// Sends the callbacks; faults are set here.
    pub hooks: Hooks,
}

impl WecomTwin {
    /// Listens on a free loopback port.
    pub async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = State { chat_list_max: 1000, token_seconds: 7200, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let routes =
            axum::Router::new().route("/cgi-bin/{*call}", axum::routing::any(serve)).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the WeCom twin stopped");
            }
        });
        Arc::new(Self { address, server, state, hooks: Hooks::new() })
    }

    /// What `config.base_url` takes.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where callbacks go from now on.
    pub fn set_callback(&self, url: &str) {
        self.lock().callback = Some(url.to_owned());
    }

    /// Whether callbacks travel as JSON instead of XML.
    pub fn set_json_callbacks(&self, json: bool) {
        self.lock().json_callbacks = json;
    }

    /// Stamps and token ends count from this second since 1970 instead of the machine's clock.
    pub fn set_time(&self, seconds: i64) {
        self.lock().fixed_time = Some(seconds);
    }

    /// The next calls, `gettoken` too, answer this `errcode`: 45009 rate, 45033 concurrency, -1 busy, 60020 address.
    pub fn refuse_next(&self, calls: u32, errcode: i64) {
        self.lock().faults.refusals = Some((errcode, calls));
    }

    /// The next call of this name (`externalcontact/remark`) is carried out, and its answer is lost.
    pub fn lose_reply(&self, call: &str) {
        self.lock().faults.lost_reply = Some(call.to_owned());
    }

    /// Ends the present token before its time, as the vendor may.
    pub fn end_token(&self) {
        if let Some(issued) = &mut self.lock().token {
            issued.ended = true;
        }
    }

    /// How long new tokens live.
    pub fn set_token_seconds(&self, seconds: i64) {
        self.lock().token_seconds = seconds;
    }

    /// From how many chats on the list must be asked for by owner.
    pub fn set_chat_list_max(&self, chats: usize) {
        self.lock().chat_list_max = chats;
    }

    /// What members were told by the app, oldest first: member and text.
    pub fn messages(&self) -> Vec<(String, String)> {
        let state = self.lock();
        let all = state.messages.iter().flat_map(|(asked, members)| {
            let text = asked["text"]["content"].as_str().unwrap_or_default().to_owned();
            members.iter().map(move |member| (member.clone(), text.clone()))
        });
        all.collect()
    }

    /// How often each call was made.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    /// Accepted writes through the API, by `userid:external_userid`.
    pub fn writes(&self) -> BTreeMap<String, u64> {
        self.lock().writes.clone()
    }

    /// All follow relations as JSON, by `userid:external_userid`, tags as sorted names.
    pub fn snapshot(&self) -> Value {
        self.lock().snapshot()
    }

    /// A member who may have customers.
    pub fn add_member(&self, userid: &str) {
        self.lock().members.insert(userid.to_owned());
    }

    /// A relation that was there before anybody listened. Answers the external user id.
    pub fn preload_contact(&self, userid: &str, customer: Customer) -> String {
        self.preload_noted(userid, customer, &[])
    }

    /// The same; the member has noted these mobiles.
    pub fn preload_noted(&self, userid: &str, customer: Customer, mobiles: &[&str]) -> String {
        let now = self.now();
        let mobiles = mobiles.iter().map(|text| (*text).to_owned()).collect();
        let mut state = self.lock();
        let external = format!("wmTwin{:026}", state.number());
        state.members.insert(userid.to_owned());
        state.customers.insert(external.clone(), customer);
        let follow = Follow { created_at: now, mobiles, ..Follow::default() };
        state.follows.insert((userid.to_owned(), external.clone()), follow);
        external
    }

    /// A person adds a member. Answers the external user id.
    pub async fn add_contact(&self, userid: &str, customer: Customer) -> String {
        let external = self.preload_contact(userid, customer);
        self.contact_event("add_external_contact", userid, &external, &[("WelcomeCode", "WC"), ("State", "")]).await;
        external
    }

    /// A further member gets the same customer.
    pub async fn share_contact(&self, userid: &str, external: &str) {
        let follow = Follow { created_at: self.now(), ..Follow::default() };
        {
            let mut state = self.lock();
            state.members.insert(userid.to_owned());
            state.follows.insert((userid.to_owned(), external.to_owned()), follow);
        }
        self.contact_event("add_external_contact", userid, external, &[]).await;
    }

    /// The person renames themselves: no callback tells.
    pub fn rename_customer(&self, external: &str, name: &str) {
        if let Some(customer) = self.lock().customers.get_mut(external) {
            name.clone_into(&mut customer.name);
        }
    }

    /// A member edits the remark.
    pub async fn edit_remark(&self, userid: &str, external: &str, remark: &str) {
        self.edit(userid, external, |follow| remark.clone_into(&mut follow.remark));
        self.contact_event("edit_external_contact", userid, external, &[]).await;
    }

    /// A member edits the description.
    pub async fn edit_description(&self, userid: &str, external: &str, description: &str) {
        self.edit(userid, external, |follow| description.clone_into(&mut follow.description));
        self.contact_event("edit_external_contact", userid, external, &[]).await;
    }

    /// A member edits the company.
    pub async fn edit_company(&self, userid: &str, external: &str, company: &str) {
        self.edit(userid, external, |follow| company.clone_into(&mut follow.company));
        self.contact_event("edit_external_contact", userid, external, &[]).await;
    }

    /// What a member had noted as the company before anybody listened.
    pub fn note_company(&self, userid: &str, external: &str, company: &str) {
        self.edit(userid, external, |follow| company.clone_into(&mut follow.company));
    }

    /// A member edits the mobiles: no callback tells.
    pub fn edit_mobiles(&self, userid: &str, external: &str, mobiles: &[&str]) {
        self.edit(userid, external, |follow| follow.mobiles = mobiles.iter().map(|text| (*text).to_owned()).collect());
    }

    /// A member sets the corp tags, by name.
    pub async fn set_tags(&self, userid: &str, external: &str, names: &[&str]) {
        let ids: BTreeSet<String> = self
            .lock()
            .tags
            .iter()
            .filter(|tag| names.contains(&tag.name.as_str()))
            .map(|tag| tag.id.clone())
            .collect();
        self.edit(userid, external, |follow| follow.tags = ids);
        self.contact_event("edit_external_contact", userid, external, &[]).await;
    }

    /// A member sets a tag of their own, which only `get` shows.
    pub fn set_personal_tag(&self, userid: &str, external: &str, name: &str) {
        self.edit(userid, external, |follow| {
            follow.personal_tags.insert(name.to_owned());
        });
    }

    /// The member removes the customer.
    pub async fn delete_contact(&self, userid: &str, external: &str) {
        self.lock().follows.remove(&(userid.to_owned(), external.to_owned()));
        self.contact_event("del_external_contact", userid, external, &[("Source", "")]).await;
    }

    /// The customer removes the member.
    pub async fn leave_member(&self, userid: &str, external: &str) {
        self.lock().follows.remove(&(userid.to_owned(), external.to_owned()));
        self.contact_event("del_follow_user", userid, external, &[]).await;
    }

    /// A handover failed; `reason` is `customer_refused` or `customer_limit_exceed`.
    pub async fn fail_transfer(&self, userid: &str, external: &str, reason: &str) {
        self.contact_event("transfer_fail", userid, external, &[("FailReason", reason)]).await;
    }

    /// An admin creates a corp tag. Answers its id.
    pub async fn create_tag(&self, group: &str, name: &str) -> String {
        let id = {
            let mut state = self.lock();
            let id = format!("etTag{:05}", state.number());
            state.tags.push(Tag { id: id.clone(), name: name.to_owned(), group: group.to_owned() });
            state.tags.sort_by(|one, other| one.group.cmp(&other.group));
            id
        };
        self.event("change_external_tag", "create", &[("Id", &id), ("TagType", "tag")]).await;
        id
    }

    /// An admin renames a corp tag.
    pub async fn rename_tag(&self, id: &str, name: &str) {
        if let Some(tag) = self.lock().tags.iter_mut().find(|tag| tag.id == id) {
            name.clone_into(&mut tag.name);
        }
        self.event("change_external_tag", "update", &[("Id", id), ("TagType", "tag")]).await;
    }

    /// An admin deletes a corp tag; whoever carried it no longer does.
    pub async fn delete_tag(&self, id: &str) {
        {
            let mut state = self.lock();
            state.tags.retain(|tag| tag.id != id);
            state.follows.values_mut().for_each(|follow| {
                follow.tags.remove(id);
            });
        }
        self.event("change_external_tag", "delete", &[("Id", id), ("TagType", "tag")]).await;
    }

    /// A member opens a group chat. Answers its id.
    pub async fn create_chat(&self, owner: &str, name: &str, members: &[&str]) -> String {
        let created_at = self.now();
        let id = {
            let mut state = self.lock();
            state.members.insert(owner.to_owned());
            let id = format!("wrTwinChat{:05}", state.number());
            let members = members.iter().map(|member| (*member).to_owned()).collect();
            state
                .chats
                .insert(id.clone(), Chat { name: name.to_owned(), owner: owner.to_owned(), created_at, members });
            id
        };
        self.event("change_external_chat", "create", &[("ChatId", &id)]).await;
        id
    }

    /// Somebody renames a chat.
    pub async fn rename_chat(&self, id: &str, name: &str) {
        if let Some(chat) = self.lock().chats.get_mut(id) {
            name.clone_into(&mut chat.name);
        }
        self.event("change_external_chat", "update", &[("ChatId", id), ("UpdateDetail", "change_name")]).await;
    }

    /// A chat ends.
    pub async fn dismiss_chat(&self, id: &str) {
        self.lock().chats.remove(id);
        self.event("change_external_chat", "dismiss", &[("ChatId", id)]).await;
    }

    fn edit(&self, userid: &str, external: &str, change: impl FnOnce(&mut Follow)) {
        if let Some(follow) = self.lock().follows.get_mut(&(userid.to_owned(), external.to_owned())) {
            change(follow);
        }
    }

    async fn contact_event(&self, change: &str, userid: &str, external: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("UserID", userid), ("ExternalUserID", external)];
        fields.extend_from_slice(more);
        self.event("change_external_contact", change, &fields).await;
    }

    /// Seals an event and sends it, if a callback address is set.
    async fn event(&self, event: &str, change: &str, fields: &[(&str, &str)]) {
        let Some(url) = self.lock().callback.clone() else { return };
        let call = self.sealed(&url, event, change, fields);
        self.hooks.send(call).await;
    }

    /// The call for an event, ready to be sent to this address.
    pub fn sealed(&self, url: &str, event: &str, change: &str, fields: &[(&str, &str)]) -> HookCall {
        let now = self.now();
        let (number, json) = {
            let mut state = self.lock();
            (state.number(), state.json_callbacks)
        };
        let stamp = now.to_string();
        let mut all = vec![
            ("ToUserName", CORP_ID),
            ("FromUserName", "sys"),
            ("CreateTime", stamp.as_str()),
            ("MsgType", "event"),
            ("Event", event),
            ("ChangeType", change),
        ];
        all.extend_from_slice(fields);
        let plain = if json { json_of(&all) } else { xml_of(&all) };
        let key = crypto::decode_key(ENCODING_AES_KEY).expect("the twin's key is well formed");
        let receiver = if json { "" } else { CORP_ID };
        let encrypted = crypto::encrypt(&key, plain.as_bytes(), receiver).expect("random bytes");
        let nonce = format!("nonce{number}");
        let signature = crypto::sign(CALLBACK_TOKEN, &stamp, &nonce, &encrypted);
        let (content_type, body) = if json {
            ("application/json", json_of(&[("encrypt", &encrypted)]))
        } else {
            ("text/xml", xml_of(&[("ToUserName", CORP_ID), ("Encrypt", &encrypted), ("AgentID", "1000002")]))
        };
        HookCall {
            url: format!("{url}?msg_signature={signature}&timestamp={stamp}&nonce={nonce}"),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// The query of a URL check and the plaintext that must come back, byte for byte.
    pub fn url_check(&self) -> (String, String) {
        let stamp = self.now().to_string();
        let number = self.lock().number();
        let (nonce, plain) = (format!("nonce{number}"), format!("59277824894423{number:06}"));
        let key = crypto::decode_key(ENCODING_AES_KEY).expect("the twin's key is well formed");
        let encrypted = crypto::encrypt(&key, plain.as_bytes(), CORP_ID).expect("random bytes");
        let signature = crypto::sign(CALLBACK_TOKEN, &stamp, &nonce, &encrypted);
        let escaped = encrypted.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        (format!("msg_signature={signature}&timestamp={stamp}&nonce={nonce}&echostr={escaped}"), plain)
    }

    fn now(&self) -> i64 {
        now(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WecomTwin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[allow(clippy::disallowed_methods)] // A stand-in for a vendor has a clock of its own, as the vendor does.
fn now(state: &State) -> i64 {
    state.fixed_time.unwrap_or_else(|| jiff::Timestamp::now().as_second())
}

fn xml_of(fields: &[(&str, &str)]) -> String {
    let inner =
        fields.iter().fold(String::new(), |made, (name, text)| made + &format!("<{name}><![CDATA[{text}]]></{name}>"));
    format!("<xml>{inner}</xml>")
}

fn json_of(fields: &[(&str, &str)]) -> String {
    let object = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
    Value::Object(object.collect()).to_string()
}

async fn serve(
    Shared(state): Shared<Arc<Mutex<State>>>,
    method: Method,
    Path(call): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Json<Value> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let now = now(&state);
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let ask = calls::Ask { post: method == Method::POST, call: &call, query: &query, body: &body, now };
    Json(calls::answer(&mut state, &ask))
}
