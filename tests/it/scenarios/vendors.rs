//! Twins as the scenarios see them: people with a key, one value that the vendor's own users edit (`a`) and one that
//! comes from elsewhere (`b`), whatever these are called there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::Connector;
use huiliu_core::manifest::Manifest;
use huiliu_rest::connector::RestConnector;
use huiliu_tests::front::{Front, Shape};
use huiliu_twins::hooks::Hooks;
use huiliu_twins::hubspot::{self, HubspotTwin};
use huiliu_twins::kingdee::KingdeeTwin;
use huiliu_twins::script::Fault;
use huiliu_twins::script::dialect::{self, Dialect};
use huiliu_twins::shopify::ShopifyTwin;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use serde_json::{Value, json};

use crate::flow::shipped;

/// By a person's key: the values `a` and `b`.
pub type Shown = BTreeMap<String, (String, String)>;

/// See the module.
#[async_trait]
pub trait Vendor: Send + Sync {
    /// How it speaks.
    fn dialect(&self) -> Dialect;
    /// Where the twin listens.
    fn origin(&self) -> String;
    /// The connection to it through this front.
    fn connection(&self, front: &Front, clock: &Clock) -> Connection;
    /// Tokens are asked for on the way to it, if its connection has such.
    fn guard(&self, _front: &Front) {}
    /// The mapping of the other system, in which people have `key`, `a` and `b`.
    fn other(&self) -> &'static str;
    /// The stream of people, and their table.
    fn people(&self) -> &'static str;
    /// Whether people whom the other system knows are made here.
    fn creates(&self) -> bool {
        false
    }
    /// What the other system keeps as `b`.
    fn b(&self, text: &str) -> Value {
        json!(text)
    }
    /// Where its webhooks leave, if it has any.
    fn hooks(&self) -> Option<&Hooks> {
        None
    }
    /// Its webhooks go there.
    fn listen(&self, _url: &str) {}
    /// Its clock stands at this second.
    fn set_now(&self, seconds: i64);
    /// A person's key.
    fn key(&self, person: usize) -> String {
        format!("p{person}@example.com")
    }
    /// Somebody new; the answer is the id.
    fn enter(&self, person: usize, a: &str) -> String;
    /// Its users edit `a`.
    async fn edit(&self, id: &str, a: &str);
    /// It merges a record with another one of the same person; the answer is the id since. None: it does not do so.
    async fn merge(&self, _id: &str) -> Option<String> {
        None
    }
    /// The part of an id that may change.
    fn number(&self, id: &str) -> String {
        id.rsplit('/').next().unwrap_or(id).to_owned()
    }
    /// How this fault about its form looks here. None: it has no such form.
    fn shape(&self, fault: Fault) -> Option<Shape>;
    /// Everybody.
    fn shown(&self) -> Shown;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}

fn shape_of(fault: Fault, member: &str, word: &str) -> Option<Shape> {
    let member = member.to_owned();
    Some(match fault {
        Fault::FieldRenamed => Shape::Renamed(member.clone(), format!("{member}_new")),
        Fault::FieldDropped => Shape::Dropped(member),
        Fault::FieldRetyped => Shape::Retyped(member),
        Fault::ValueAdded => Shape::Valued(word.to_owned(), "brand_new".to_owned()),
        Fault::FieldRequired => Shape::Required("never_named".to_owned()),
        _ => return None,
    })
}

/// Settings with the front in the twin's place.
fn through<const N: usize>(front: &Front, settings: [(&'static str, String); N]) -> Vec<(&'static str, String)> {
    settings.into_iter().map(|(name, value)| (name, front.instead_of(&value))).collect()
}

pub struct Hubspot {
    twin: HubspotTwin,
    /// Whether it is an app to which an account was connected: its tokens end.
    is_app: bool,
}

impl Hubspot {
    pub async fn start() -> Arc<dyn Vendor> {
        Arc::new(Self { twin: HubspotTwin::start().await.expect("a port"), is_app: false })
    }

    pub async fn start_app() -> Arc<dyn Vendor> {
        Arc::new(Self { twin: HubspotTwin::start().await.expect("a port"), is_app: true })
    }

    /// The shipped manifest, but for how calls prove themselves.
    fn app(front: &Front, origin: &str) -> Arc<dyn Connector> {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors/hubspot/connector.toml"));
        let auth = format!(
            "kind = \"oauth2_code\"\nauthorize_url = \"{0}/oauth/authorize\"\ntoken_url = \"{0}/oauth/token\"\n\
             client = {{ id = \"app\", secret = \"{{secret.client_secret}}\", send = \"post\" }}\n",
            front.instead_of(origin)
        );
        let text = text.expect("the manifest").replace("kind = \"bearer\"\ntoken = \"{secret.access_token}\"\n", &auth);
        let manifest = Manifest::parse("connectors/hubspot/connector.toml", &text).expect("a manifest");
        Arc::new(RestConnector::new(manifest).expect("a manifest that can be run"))
    }
}

#[async_trait]
impl Vendor for Hubspot {
    fn dialect(&self) -> Dialect {
        dialect::HUBSPOT
    }
    fn people(&self) -> &'static str {
        "contacts"
    }
    fn origin(&self) -> String {
        self.twin.url()
    }
    fn connection(&self, front: &Front, clock: &Clock) -> Connection {
        let mut settings = self.twin.settings("https://hub.example");
        settings[0].1 = front.instead_of(&settings[0].1);
        let connection = shipped("vendor", "hubspot", &settings, &self.twin.secrets(), clock);
        if !self.is_app {
            return connection;
        }
        Connection { connector: Some(Self::app(front, &self.origin())), ..connection }
    }
    fn guard(&self, front: &Front) {
        if self.is_app {
            front.guard("authorization", &format!("Bearer {}", hubspot::ACCESS_TOKEN));
        }
    }
    fn other(&self) -> &'static str {
        r#"
[customers]
entity = "customer"
[customers.identities]
email = "/key"
[customers.fields]
emails.main = "/key"
company = "/a"
title = "/b"
"#
    }
    fn creates(&self) -> bool {
        true
    }
    fn hooks(&self) -> Option<&Hooks> {
        Some(self.twin.hooks())
    }
    fn listen(&self, url: &str) {
        self.twin.set_webhook(&format!("{url}/hooks/vendor"), "https://hub.example/hooks/vendor");
    }
    fn set_now(&self, seconds: i64) {
        self.twin.set_now_ms(Some(seconds * 1_000));
    }
    fn enter(&self, person: usize, a: &str) -> String {
        let contact = json!({ "email": self.key(person), "company": a });
        self.twin.put("contacts", &contact).expect("a contact")
    }
    async fn edit(&self, id: &str, a: &str) {
        self.twin.edit("contacts", id, &json!({ "company": a })).await.expect("an edit");
    }
    async fn merge(&self, id: &str) -> Option<String> {
        let double = self.twin.put("contacts", &json!({ "firstname": "double" })).expect("a contact");
        Some(self.twin.merge("contacts", id, &double).await)
    }
    fn shape(&self, fault: Fault) -> Option<Shape> {
        shape_of(fault, "company", "lifecyclestage")
    }
    fn shown(&self) -> Shown {
        let all = self.twin.snapshot("contacts");
        let all = all.as_object().expect("contacts").values();
        all.map(|it| (text(&it["email"]), (text(&it["company"]), text(&it["jobtitle"])))).collect()
    }
}

pub struct Shopify(ShopifyTwin);

impl Shopify {
    pub async fn start() -> Arc<dyn Vendor> {
        Arc::new(Self(ShopifyTwin::start().await.expect("a port")))
    }
}

#[async_trait]
impl Vendor for Shopify {
    fn dialect(&self) -> Dialect {
        dialect::SHOPIFY
    }
    fn people(&self) -> &'static str {
        "customers"
    }
    fn origin(&self) -> String {
        let url = self.0.base_url();
        url.split("/admin").next().unwrap_or_default().to_owned()
    }
    fn connection(&self, front: &Front, clock: &Clock) -> Connection {
        shipped("vendor", "shopify", &through(front, self.0.settings()), &self.0.secrets(), clock)
    }
    fn other(&self) -> &'static str {
        r#"
[customers]
entity = "customer"
[customers.identities]
email = "/key"
[customers.fields]
emails.main = "/key"
remark = "/a"
tags = "/b"
"#
    }
    fn b(&self, text: &str) -> Value {
        json!([text])
    }
    fn creates(&self) -> bool {
        true
    }
    fn hooks(&self) -> Option<&Hooks> {
        Some(self.0.hooks())
    }
    fn listen(&self, url: &str) {
        self.0.set_webhook(&format!("{url}/hooks/vendor"));
    }
    fn set_now(&self, seconds: i64) {
        self.0.set_now_s(Some(seconds));
        // Points are not what is played here.
        self.0.set_points(2_000);
    }
    fn enter(&self, person: usize, a: &str) -> String {
        self.0.put_customer(&json!({ "email": self.key(person), "note": a })).expect("a customer")
    }
    async fn edit(&self, id: &str, a: &str) {
        self.0.edit_customer(id, &json!({ "note": a })).await.expect("an edit");
    }
    fn shape(&self, fault: Fault) -> Option<Shape> {
        shape_of(fault, "note", "marketingState")
    }
    fn shown(&self) -> Shown {
        let all = self.0.snapshot();
        let all = all["customers"].as_object().expect("customers").values();
        let email = |it: &Value| text(&it["defaultEmailAddress"]["emailAddress"]);
        all.map(|it| (email(it), (text(&it["note"]), text(&it["tags"][0])))).collect()
    }
}

const MEMBER: &str = "zhang";

pub struct Wecom(Arc<WecomTwin>);

impl Wecom {
    pub async fn start() -> Arc<dyn Vendor> {
        let twin = WecomTwin::start().await;
        twin.add_member(MEMBER);
        Arc::new(Self(twin))
    }
}

#[async_trait]
impl Vendor for Wecom {
    fn dialect(&self) -> Dialect {
        dialect::WECOM
    }
    fn people(&self) -> &'static str {
        "contacts"
    }
    fn origin(&self) -> String {
        self.0.base_url()
    }
    fn connection(&self, front: &Front, clock: &Clock) -> Connection {
        let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", self.0.base_url())];
        let secrets =
            [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
        shipped("vendor", "wecom", &through(front, settings), &secrets, clock)
    }
    fn other(&self) -> &'static str {
        r#"
[customers]
entity = "customer"
[customers.identities]
phone = "/key"
[customers.fields]
phones.mobile = "/key"
company = "/a"
remark = "/b"
"#
    }
    fn hooks(&self) -> Option<&Hooks> {
        Some(&self.0.hooks)
    }
    fn listen(&self, url: &str) {
        self.0.set_callback(&format!("{url}/hooks/vendor"));
    }
    fn set_now(&self, seconds: i64) {
        self.0.set_time(seconds);
    }
    fn key(&self, person: usize) -> String {
        format!("+86138001{person:05}")
    }
    fn enter(&self, person: usize, a: &str) -> String {
        let key = self.key(person);
        let mobile = key.trim_start_matches("+86");
        let id = self.0.preload_noted(MEMBER, Customer::named(&format!("客户{person}")), &[mobile]);
        // Nobody is told of what was there before.
        self.0.note_company(MEMBER, &id, a);
        id
    }
    async fn edit(&self, id: &str, a: &str) {
        self.0.edit_company(MEMBER, id, a).await;
    }
    fn shape(&self, fault: Fault) -> Option<Shape> {
        shape_of(fault, "remark_corp_name", "gender")
    }
    fn shown(&self) -> Shown {
        let all = self.0.snapshot();
        let noted = all.as_object().expect("contacts").values().map(|it| &it["follow_info"]);
        let key = |it: &Value| format!("+86{}", text(&it["remark_mobiles"][0]).trim_start_matches("+86"));
        noted.map(|it| (key(it), (text(&it["remark_corp_name"]), text(&it["description"])))).collect()
    }
}

pub struct Kingdee(KingdeeTwin);

impl Kingdee {
    pub async fn start() -> Arc<dyn Vendor> {
        Arc::new(Self(KingdeeTwin::start().await.expect("a port")))
    }
}

#[async_trait]
impl Vendor for Kingdee {
    fn dialect(&self) -> Dialect {
        dialect::KINGDEE
    }
    fn people(&self) -> &'static str {
        "customers"
    }
    fn origin(&self) -> String {
        self.0.base_url().trim_end_matches("/k3cloud").to_owned()
    }
    fn connection(&self, front: &Front, clock: &Clock) -> Connection {
        let mut settings = through(front, self.0.settings());
        settings.push(("page_size", "100".to_owned()));
        shipped("vendor", "kingdee", &settings, &self.0.secrets(), clock)
    }
    fn other(&self) -> &'static str {
        r#"
[customers]
entity = "customer"
[customers.identities]
phone = "/key"
[customers.fields]
phones.work = "/key"
short_name = "/a"
custom.contact_name = "/b"
"#
    }
    fn set_now(&self, seconds: i64) {
        self.0.set_now_s(Some(seconds));
    }
    fn key(&self, person: usize) -> String {
        format!("+8610640{person:05}")
    }
    fn enter(&self, person: usize, a: &str) -> String {
        let name = format!("测试公司{person}有限公司");
        let phone = format!("010-640{person:05}");
        self.0.put_customer(&json!({ "FName": name, "FPhone": phone, "FShortName": a }))
    }
    async fn edit(&self, id: &str, a: &str) {
        assert!(self.0.edit_customer(id, &json!({ "FShortName": a })), "there is {id}");
    }
    fn shape(&self, fault: Fault) -> Option<Shape> {
        // Its rows are lists of cells, without names.
        (fault == Fault::FieldRequired).then(|| Shape::Required("FNeverNamed".to_owned()))
    }
    fn shown(&self) -> Shown {
        let all = self.0.snapshot();
        let all = all["customers"].as_object().expect("customers").values();
        let key = |it: &Value| {
            let digits: String = text(&it["FPhone"]).chars().filter(char::is_ascii_digit).collect();
            format!("+86{}", digits.trim_start_matches("86").trim_start_matches('0'))
        };
        all.map(|it| (key(it), (text(&it["FShortName"]), text(&it["FContact"])))).collect()
    }
}
