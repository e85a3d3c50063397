//! A web form, end to end over HTTP: without a script as a browser posts it, with one as a page's script does, and the
//! visitors who are none.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::explain::{self, Customer};
use huiliu_core::store::{Store, goldens, inbox, stewards};
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

const KEY: &str = "a key that only the tests know 42";
const SHOP: &str = "https://www.shop.example";

struct Site {
    hub: Hub,
    clock: Clock,
    crm: Arc<Memory>,
    address: String,
    web: reqwest::Client,
}

/// What a visitor sees.
struct Seen {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

async fn site(store: Store, thank_you: &str) -> Site {
    let clock = Clock::manual(DAY_ONE_US);
    let settings = [
        ("origins", SHOP.to_owned()),
        ("consents", "email, sms".to_owned()),
        ("consent_text", "I want the <newsletter>".to_owned()),
        ("consent_version", "2026-01".to_owned()),
        ("thank_you", thank_you.to_owned()),
    ];
    let form = shipped("contact", "webform", &settings, &[("form", KEY)], &clock);
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [form, other]).await;
    let address = hub.listen().await;
    let web = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    Site { hub, clock, crm, address, web }
}

impl Site {
    fn wait(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
    }

    #[allow(clippy::disallowed_methods)] // Loopback, and the hub's answers are small.
    async fn see(&self, request: reqwest::RequestBuilder) -> Seen {
        let reply = request.send().await.expect("an answer");
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        Seen { status, headers, text: reply.text().await.expect("a text") }
    }

    async fn get(&self, query: &str, headers: &[(&str, &str)]) -> Seen {
        let request = self.web.get(format!("{}/hooks/contact{query}", self.address));
        self.see(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// The action of the form on our own page, as a browser without a script reads it.
    async fn opened(&self) -> String {
        let page = self
            .get("?utm_source=fair", &[("accept-language", "zh-CN"), ("referer", "https://www.shop.example/pumps")])
            .await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("frame-ancestors 'self' https://www.shop.example"), "{policy}");
        assert!(page.text.contains("姓名") && page.text.contains("&lt;newsletter&gt;"), "{}", page.text);
        assert!(
            page.text.contains("name=\"utm_source\" value=\"fair\"") && !page.text.contains("<script"),
            "{}",
            page.text
        );
        let action = page.text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an action");
        action.to_owned()
    }

    async fn posted(&self, action: &str, values: &[(&str, &str)]) -> Seen {
        let origin = self.address.clone();
        self.see(self.web.post(format!("{}{action}", self.address)).header("origin", origin).form(values)).await
    }

    async fn token(&self, origin: &str) -> Seen {
        self.get("?token", &[("origin", origin)]).await
    }

    async fn scripted(&self, token: &str, origin: &str, body: &Value) -> Seen {
        let request = self.web.post(format!("{}/hooks/contact?token={token}", self.address)).header("origin", origin);
        self.see(request.header("accept", "application/json").json(body)).await
    }

    async fn kept(&self) -> usize {
        self.hub.read(|tx| inbox::backlog(tx, "process")).await.try_into().expect("a count")
    }

    async fn settle(&self) {
        for _ in 0..3 {
            self.wait(1);
            assert_eq!(self.hub.settle(true).await, Vec::<String>::new());
        }
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }

    async fn customers(&self) -> Vec<Customer> {
        let ids =
            self.hub.read(|tx| Ok(goldens::after(tx, "customer", 0, 100)?.iter().map(|it| it.id).collect::<Vec<_>>()));
        let (ids, engine) = (ids.await, self.hub.engine.clone());
        let told =
            move || ids.iter().map(|id| explain::customer(&engine, *id).expect("read").expect("there")).collect();
        tokio::task::spawn_blocking(told).await.expect("no panic")
    }
}

fn value(customer: &Customer, field: &str) -> Value {
    let shown = serde_json::to_value(customer).expect("JSON");
    let values = shown["values"].as_array().cloned().unwrap_or_default();
    values.into_iter().find(|it| it["field"] == field).map(|it| it["value"].clone()).unwrap_or_default()
}

#[test]
fn a_plain_form_post_becomes_a_lead_and_an_interaction() {
    on_both_stores(async |store| {
        let site = site(store, "https://www.shop.example/thanks").await;
        let action = site.opened().await;
        site.wait(30);
        let values = [
            ("name", "周晓明"),
            ("email", "Zhou@Example.com"),
            ("message", "询价：100 台水泵"),
            ("homepage_url", ""),
            ("consent_email", "yes"),
            ("utm_source", "fair"),
            ("page", "https://www.shop.example/pumps"),
        ];
        let seen = site.posted(&action, &values).await;
        assert_eq!((seen.status, seen.header("location")), (303, Some("https://www.shop.example/thanks")));
        // A second click, or the way back and another try: one submission.
        let again = site.posted(&action, &values).await;
        assert_eq!((again.status, site.kept().await), (200, 1));
        assert!(again.text.contains("already"), "{}", again.text);
        site.settle().await;
        let all = site.customers().await;
        assert_eq!(all.len(), 1);
        let lead = &all[0];
        assert_eq!(
            (value(lead, "display_name"), value(lead, "emails.main")),
            (json!("周晓明"), json!("zhou@example.com"))
        );
        assert_eq!((value(lead, "consent.email"), value(lead, "consent.sms")), (json!("pending"), Value::Null));
        assert_eq!(
            (value(lead, "custom.source_channel"), value(lead, "custom.consent_version")),
            (json!("fair"), json!("2026-01"))
        );
        assert_eq!(lead.timeline.len(), 1);
        assert_eq!(lead.timeline[0].fields.get("kind"), Some(&json!("form")));
        assert_eq!(lead.timeline[0].fields.get("body"), Some(&json!("询价：100 台水泵")));
        assert_eq!(site.crm.get("made1")["email"], "zhou@example.com", "a lead goes where leads are made");
    });
}

#[test]
fn a_claim_changes_nothing_of_whom_it_names() {
    on_both_stores(async |store| {
        let site = site(store, "").await;
        let known = json!({ "name": "韩梅梅", "email": "han@example.org", "phone": "13900139000", "title": "店长" });
        site.crm.edit("c1", &known);
        site.settle().await;
        let before = site.crm.get("c1");
        for (name, phone) in [("韩梅梅", "13700137000"), ("Mallory", "13700137001")] {
            let action = site.opened().await;
            site.wait(30);
            let values = [
                ("name", name),
                ("email", "han@example.org"),
                ("phone", phone),
                ("title", "CEO"),
                ("message", "call me"),
            ];
            assert_eq!(site.posted(&action, &values).await.status, 200);
        }
        site.settle().await;
        assert_eq!(site.crm.get("c1"), before, "neither name nor number was taken over");
        let all = site.customers().await;
        assert_eq!(all.len(), 3, "two leads of their own");
        let her = all.iter().find(|it| value(it, "title") == "店长").expect("she is there");
        assert_eq!((value(her, "display_name"), her.links.len()), (json!("韩梅梅"), 1));
        assert_eq!(her.timeline.len(), 2, "what was written in her name is on her timeline, as a form");
        // A steward is asked about both, and nothing is decided by itself.
        let asked = site.hub.read(|tx| stewards::waiting(tx, 10)).await;
        assert_eq!(asked.len(), 2, "{asked:?}");
        // The second form is nearest to the first: its number is one digit off.
        let names_her = |review: &stewards::Review| review.candidates.iter().any(|it| it.0 == her.id);
        assert!(asked.iter().all(names_her) && asked[0].candidates[0].0 == her.id, "{asked:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_posts_json_from_its_own_origin_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    let site = site(store, "https://www.shop.example/thanks").await;
    let told = site.token(SHOP).await;
    assert_eq!(told.header("access-control-allow-origin"), Some(SHOP));
    let told: Value = serde_json::from_str(&told.text).expect("JSON");
    let token = told["token"].as_str().expect("a token").to_owned();
    let foreign = site.token("https://evil.example").await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    let asked = site.web.request(reqwest::Method::OPTIONS, format!("{}/hooks/contact", site.address));
    let asked = site.see(asked.header("origin", SHOP).header("access-control-request-method", "POST")).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, Some(SHOP)));

    let body = json!({ "email": "zhou@example.com", "page": "https://www.shop.example/?utm_campaign=may", "consent_sms": true });
    let early = site.scripted(&token, SHOP, &body).await;
    assert_eq!((early.status, site.kept().await), (425, 0), "nobody is that fast; the token stays good");
    site.wait(5);
    assert_eq!(site.scripted(&token, "https://evil.example", &body).await.status, 403);
    assert_eq!(site.scripted(&token, SHOP, &json!({ "name": "no address" })).await.status, 422);
    assert_eq!(site.scripted(&token, SHOP, &json!({ "email": ["a"] })).await.status, 400);
    let sent = site.scripted(&token, SHOP, &body).await;
    assert_eq!((sent.status, sent.header("access-control-allow-origin")), (200, Some(SHOP)));
    assert_eq!(serde_json::from_str::<Value>(&sent.text).expect("JSON")["ok"], true);
    assert_eq!(site.kept().await, 1);
    site.wait(7_200);
    assert_eq!(site.scripted(&token, SHOP, &body).await.status, 403, "too old");
    site.settle().await;
    let lead = &site.customers().await[0];
    assert_eq!(value(lead, "consent.sms"), "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_hear_thanks_and_are_kept_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    let site = site(store, "").await;
    let action = site.opened().await;
    site.wait(30);
    let person = site.posted(&action, &[("email", "a@example.com"), ("homepage_url", "")]).await;
    let other = site.opened().await;
    site.wait(30);
    let bot = site.posted(&other, &[("email", "b@example.com"), ("homepage_url", "http://spam.example")]).await;
    assert_eq!((bot.status, &bot.text), (person.status, &person.text), "it learns nothing");
    assert_eq!(site.kept().await, 1, "and is kept out");
    // Without a token, with a foreign one, and far too often.
    assert_eq!(site.posted("/hooks/contact", &[("email", "c@example.com")]).await.status, 403);
    assert_eq!(site.posted("/hooks/contact?token=AAAA", &[("email", "c@example.com")]).await.status, 403);
    let mut limited = 0;
    for _ in 0..30 {
        let seen = site.posted("/hooks/contact?token=AAAA", &[("email", "c@example.com")]).await;
        limited += usize::from(seen.status == 429 && seen.header("retry-after").is_some());
    }
    assert!((10..30).contains(&limited), "{limited} were told to wait");
    let sent = site.web.post(format!("{}{other}", site.address)).body("x".repeat(2 << 20));
    assert!(site.see(sent).await.status >= 400);
    assert_eq!(site.kept().await, 1);
}
