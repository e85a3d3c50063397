//! HubSpot, end to end: events in signed arrays, a search that lags and ends early, batches answered row by row, merges
//! that mint new ids; and the vendor's own client, which the twin must answer as the vendor does.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{Cursor, Delivery, Operation, Received};
use huiliu_core::link::LinkKey;
use huiliu_core::review::{self, Steward};
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::{Store, inbox, links, overview};
use huiliu_tests::judge;
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::hubspot::{ACCESS_TOKEN, CLIENT_SECRET, HubspotTwin};
use serde_json::{Value, json};

use crate::contract::stages::delivery;
use crate::flow::{Hub, on_both_stores, shipped};

/// The address that the world knows; the hub itself listens elsewhere.
const PUBLIC: &str = "https://hub.example";

struct Account {
    twin: Arc<HubspotTwin>,
    crm: Arc<Memory>,
    hub: Hub,
    clock: Clock,
    address: String,
}

/// A live account beside a live CRM that is told of every customer.
async fn account(store: Store) -> Account {
    let clock = Clock::manual(DAY_ONE_US);
    let twin = Arc::new(HubspotTwin::start().await.expect("a port"));
    twin.set_now_ms(Some(DAY_ONE_US / 1_000));
    let mut hubspot = shipped("hs", "hubspot", &twin.settings(PUBLIC), &twin.secrets(), &clock);
    hubspot.creates.insert("contacts".to_owned());
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [hubspot, other]).await;
    let address = hub.listen().await;
    twin.set_webhook(&format!("{address}/hooks/hs"), &format!("{PUBLIC}/hooks/hs"));
    // Nothing is made in a system before it was read once.
    assert_eq!(hub.settle(true).await, Vec::<String>::new());
    Account { twin, crm, hub, clock, address }
}

impl Account {
    /// Time passes in the account and in the hub.
    fn wait(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
        self.twin.set_now_ms(Some(self.clock.now_us() / 1_000));
    }

    async fn settle(&self, pulls: bool) {
        for _ in 0..2 {
            self.twin.settled().await;
            assert_eq!(self.hub.settle(pulls).await, Vec::<String>::new());
        }
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }

    fn writes(&self) -> (u64, usize) {
        (self.twin.writes(), self.crm.writes())
    }
}

fn person(name: &str, email: &str) -> Value {
    json!({ "firstname": name, "email": email })
}

#[test]
fn events_make_customers_and_an_edit_comes_back() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let lei = json!({ "firstname": "雷", "lastname": "李", "email": "Li.Lei@Example.com", "mobilephone": "138 0013 8000" });
        let id = account.twin.add("contacts", &lei).await.expect("a contact");
        account.settle(false).await;
        assert_eq!(account.crm.get("made1")["email"], "li.lei@example.com");
        account.crm.edit("made1", &json!({ "title": "采购经理" }));
        account.wait(60);
        account.settle(true).await;
        assert_eq!(account.twin.snapshot("contacts")[&id]["jobtitle"], "采购经理");
        let writes = account.writes();
        assert_eq!(writes.0, 1);
        let twin = account.twin.clone();
        account.hub.quiet_hour(&account.clock, &|now_s| twin.set_now_ms(Some(now_s * 1_000))).await;
        assert_eq!(account.writes(), writes, "an hour without changes makes no write");
        // Somebody made elsewhere is made here once, by one batch with one row.
        account.crm.edit("c1", &json!({ "name": "韩梅梅", "email": "han@example.com" }));
        account.wait(60);
        account.settle(true).await;
        assert_eq!(account.twin.snapshot("contacts").as_object().map(serde_json::Map::len), Some(2));
        // A change that no event told is found by a search, though the index lags behind.
        account.twin.hooks().set_fault(Fault::Drop);
        account.twin.set_index_held(true);
        account.twin.edit("contacts", &id, &json!({ "jobtitle": "总监" })).await.expect("an edit");
        account.wait(60);
        account.settle(true).await;
        assert_eq!(account.crm.get("made1")["title"], "采购经理", "not in the index yet");
        account.twin.set_index_held(false);
        account.wait(1_800);
        account.settle(true).await;
        assert_eq!(account.crm.get("made1")["title"], "总监");
    });
}

/// What both ways of hearing of a merge must lead to.
async fn one_customer(account: &Account, survivor: &str) {
    let open = account.hub.open_links("hs").await;
    assert_eq!(open, [format!("hs/contacts/{survivor}")]);
    let customers = account.hub.goldens("customer").await;
    assert_eq!(customers.len(), 1, "{customers:?}");
    assert!(customers[0].1.contains(&"crm/customers/made1".to_owned()), "history follows: {customers:?}");
    assert_eq!(account.crm.ids(), ["made1", "made2"], "nobody is made anew, and nobody is deleted");
    assert_eq!(account.crm.get("made1")["email"], "a@example.com");
    assert_eq!(account.twin.snapshot("contacts").as_object().map(serde_json::Map::len), Some(1));
    let writes = account.writes();
    account.settle(true).await;
    assert_eq!(account.writes(), writes, "no write after quiescence");
}

#[test]
fn what_is_merged_there_stays_one_customer_here() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let first = account.twin.add("contacts", &person("A", "a@example.com")).await.expect("a contact");
        account.settle(false).await;
        let other = account.twin.add("contacts", &person("B", "b@example.com")).await.expect("a contact");
        account.settle(false).await;
        assert_eq!(account.hub.goldens("customer").await.len(), 2);
        account.wait(60);
        let survivor = account.twin.merge("contacts", &first, &other).await;
        assert!(survivor != first && survivor != other, "a merge mints a new id");
        account.settle(false).await;
        one_customer(&account, &survivor).await;
        // What the survivor says from now on reaches those who knew the former two.
        account.wait(60);
        account.twin.edit("contacts", &survivor, &json!({ "jobtitle": "经理" })).await.expect("an edit");
        account.settle(true).await;
        assert_eq!(account.crm.get("made1")["title"], "经理");
        assert_eq!(account.crm.get("made2")["title"], "经理");
    });
}

#[test]
fn a_merge_that_nobody_told_of_is_found_within_a_day() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let first = account.twin.add("contacts", &person("A", "a@example.com")).await.expect("a contact");
        account.settle(true).await;
        let other = account.twin.add("contacts", &person("B", "b@example.com")).await.expect("a contact");
        account.settle(true).await;
        account.twin.hooks().set_fault(Fault::Drop);
        account.wait(60);
        let survivor = account.twin.merge("contacts", &first, &other).await;
        account.wait(90_000);
        account.settle(true).await;
        one_customer(&account, &survivor).await;
        // Deleting is something else.
        account.twin.archive("contacts", &survivor).await;
        account.wait(90_000);
        account.settle(true).await;
        assert_eq!(account.hub.open_links("hs").await, Vec::<String>::new());
        assert_eq!(account.crm.ids(), ["made1", "made2"]);
    });
}

#[test]
fn a_search_that_lags_behind_does_not_bring_back_who_was_deleted() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let id = account.twin.add("contacts", &person("A", "a@example.com")).await.expect("a contact");
        account.wait(60);
        account.settle(true).await;
        account.twin.set_index_held(true);
        account.twin.archive("contacts", &id).await;
        account.settle(false).await;
        assert_eq!(account.hub.open_links("hs").await, Vec::<String>::new());
        let writes = account.writes();
        for _ in 0..2 {
            account.wait(600);
            assert_eq!(account.hub.pull().await, Vec::<String>::new());
            account.settle(false).await;
            assert_eq!(account.hub.open_links("hs").await, Vec::<String>::new());
        }
        let key: LinkKey = format!("hs/contacts/{id}").parse().expect("a key");
        let journal = account.hub.read(move |tx| {
            let link = links::by_keys(tx, [&key])?.first().map_or(0, |link| link.number);
            links::history(tx, link, 20)
        });
        let journal = journal.await;
        assert!(journal.iter().any(|line| line.outcome == "told_back"), "it was shown and asked for: {journal:?}");
        assert_eq!((account.writes(), account.crm.ids()), (writes, vec!["made1".to_owned()]));
        assert_eq!(account.crm.get("made1")["email"], "a@example.com");
    });
}

#[test]
fn merges_at_once_are_followed_and_deletions_at_once_are_held_back() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let person = |at: usize| person(&format!("P{at}"), &format!("p{at}@example.com"));
        let all: Vec<String> =
            (0..24).map(|at| account.twin.put("contacts", &person(at)).expect("a contact")).collect();
        account.wait(60);
        account.settle(true).await;
        assert_eq!((account.hub.open_links("hs").await.len(), account.crm.ids().len()), (24, 24));
        let mut survivors = Vec::new();
        for pair in all.chunks(2) {
            survivors.push(account.twin.merge("contacts", &pair[0], &pair[1]).await);
        }
        account.wait(60);
        account.settle(true).await;
        let open: BTreeSet<String> = account.hub.open_links("hs").await.into_iter().collect();
        assert_eq!(open, survivors.iter().map(|id| format!("hs/contacts/{id}")).collect::<BTreeSet<_>>());
        let held = async || account.hub.read(overview::read).await.held_back("hs", "contacts", Kind::Missing);
        assert_eq!(
            (account.hub.goldens("customer").await.len(), held().await),
            (12, 0),
            "twenty-four ids, nobody gone"
        );
        for id in &survivors {
            account.twin.archive("contacts", id).await;
        }
        account.settle(false).await;
        assert_eq!((account.hub.open_links("hs").await.len(), held().await), (12, 12));
        assert_eq!(account.crm.ids().len(), 24);
        // The list of a whole day later says the same; it is still for a person to say.
        account.wait(90_000);
        account.settle(true).await;
        assert_eq!(account.hub.open_links("hs").await.len(), 12);
        let engine = account.hub.engine.clone();
        let steward = Steward { name: "wang", why: "an old list" };
        let released = tokio::task::spawn_blocking(move || review::release(&engine, "hs", "contacts", steward));
        assert!(released.await.expect("no panic").expect("a brake") >= 12);
        account.settle(false).await;
        assert_eq!((account.hub.open_links("hs").await.len(), held().await), (0, 0));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_ends_early_and_still_shows_every_record_of_one_stamp() {
    let twin = HubspotTwin::start().await.expect("a port");
    let clock = Clock::manual(DAY_ONE_US);
    twin.set_now_ms(Some(DAY_ONE_US / 1_000));
    let account = shipped("hs", "hubspot", &twin.settings(PUBLIC), &twin.secrets(), &clock);
    let by = account.connector.expect("a connector");
    let pull = async |mut from: Option<Cursor>| {
        let mut ids = BTreeSet::new();
        loop {
            let page = by.pull(&account.cx, &"contacts".into(), from.as_ref()).await.expect("a page");
            ids.extend(page.items.iter().map(|item| match item {
                Received::Record(record) => record.id.to_string(),
                other => panic!("{other:?}"),
            }));
            from = page.next;
            if !page.more {
                return (ids, from);
            }
        }
    };
    let (none, begun) = pull(None).await;
    assert!(none.is_empty());
    // An import gives all of them one stamp; no cursor of the search would lead behind the first two hundred.
    twin.set_window(200);
    for number in 0..450 {
        twin.put("contacts", &person("X", &format!("x{number}@example.com"))).expect("a contact");
    }
    clock.advance_us(1_000_000);
    let (all, next) = pull(begun).await;
    assert_eq!(all.len(), 450);
    clock.advance_us(7_200_000_000);
    let (again, _) = pull(next.clone()).await;
    assert_eq!(again.len(), 450, "the look-back shows them again; none is news");
    twin.set_searches_left(Some(1));
    let page = by.pull(&account.cx, &"contacts".into(), next.as_ref()).await.expect("a page");
    let refused = by.pull(&account.cx, &"contacts".into(), page.next.as_ref()).await.expect_err("too many searches");
    assert_eq!(refused.kind(), "rate_limited", "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_of_a_batch_has_its_own_answer() {
    let twin = HubspotTwin::start().await.expect("a port");
    let known = twin.put("contacts", &person("K", "k@example.com")).expect("a contact");
    let account = shipped("hs", "hubspot", &twin.settings(PUBLIC), &twin.secrets(), &Clock::System);
    let by = account.connector.expect("a connector");
    let row = |number: i64, properties: &Value| Delivery {
        number,
        idempotency_key: format!("{number:032x}"),
        ..delivery("contacts", &json!({ "properties": properties }), 1)
    };
    let rows = [
        row(1, &person("new", "n@example.com")),
        row(2, &person("again", "k@example.com")),
        row(3, &json!({ "firstname": "nobody's" })),
        row(4, &json!({ "email": "x@example.com", "no_such_property": "y" })),
    ];
    let answers = by.push_many(&account.cx, &rows).await;
    let made = answers[0].as_ref().expect("made");
    assert_eq!(made.stored.as_ref().expect("shown").body["properties"]["firstname"], "new");
    assert_eq!(answers[1].as_ref().expect("updated").id.as_str(), known, "known by its e-mail address, not doubled");
    assert_eq!(answers[2].as_ref().expect_err("no address to know it by").kind(), "transient");
    assert_eq!(answers[3].as_ref().expect_err("refused").kind(), "rejected");
    let change = |number, id: &str| Delivery {
        operation: Operation::Update,
        id: Some(id.into()),
        ..row(number, &json!({ "jobtitle": "t" }))
    };
    let answers = by.push_many(&account.cx, &[change(5, "999"), change(6, &known)]).await;
    assert_eq!(answers[0].as_ref().expect_err("no such record").kind(), "gone");
    assert_eq!(answers[1].as_ref().expect("changed").id.as_str(), known);
    assert_eq!(twin.snapshot("contacts").as_object().map(serde_json::Map::len), Some(2));
}

/// The vendor's own client (npm `@hubspot/api-client`): object calls against the twin, and the signature of a webhook.
const CLIENT: &str = r"
const { Client, Signature } = require('@hubspot/api-client');
let text = ''; process.stdin.on('data', part => text += part).on('end', async () => {
  const { url, token, secret, hook, body, timestamp } = JSON.parse(text);
  const client = new Client({ accessToken: token, basePath: url, numberOfApiCallRetries: 0 });
  const contacts = client.crm.contacts;
  const code = async call => { try { await call(); return 0; } catch (error) { return error.code; } };
  const a = await contacts.basicApi.create({ properties: { email: 'A@example.com', firstname: ' A ' }, associations: [] });
  const b = await contacts.batchApi.upsert({ inputs: [{ id: 'b@example.com', idProperty: 'email', properties: { email: 'b@example.com' }, objectWriteTraceId: 't1' }] });
  const listed = await contacts.basicApi.getPage(1, undefined, ['email']);
  const found = await contacts.searchApi.doSearch({ filterGroups: [{ filters: [{ propertyName: 'email', operator: 'EQ', value: 'a@example.com' }] }], properties: ['firstname'], limit: 10, after: '0', sorts: [] });
  const mixed = await contacts.batchApi.update({ inputs: [{ id: a.id, properties: { firstname: 'AA' }, objectWriteTraceId: 't2' }, { id: '999', properties: { firstname: 'x' }, objectWriteTraceId: 't3' }] });
  const merged = await contacts.basicApi.merge({ primaryObjectId: a.id, objectIdToMerge: b.results[0].id });
  const former = await contacts.basicApi.getById(a.id, ['email', 'hs_merged_object_ids']);
  const signature = Signature.getSignature('POST', 'v3', { clientSecret: secret, requestBody: body, url: hook, timestamp });
  console.log(JSON.stringify({ email: a.properties.email, upserted: b.results[0].objectWriteTraceId, more: listed.paging.next.after,
    found: found.total, name: found.results[0].properties.firstname, rows: mixed.results.length, errors: mixed.numErrors,
    merged: merged.id, former: former.id, ids: former.properties.hs_merged_object_ids, twice: await code(() =>
    contacts.basicApi.create({ properties: { email: 'a@example.com' }, associations: [] })), gone: await code(() => contacts.basicApi.getById('999')), signature }));
});";

#[test]
fn the_vendors_client_takes_the_twin_for_hubspot_and_signs_what_we_accept() {
    on_both_stores(async |store| {
        let account = account(store).await;
        let body = r#"[{"eventId":1,"subscriptionType":"contact.creation","objectId":5}]"#;
        let timestamp = account.clock.now_us() / 1_000;
        let question = json!({ "url": account.twin.url(), "token": ACCESS_TOKEN, "secret": CLIENT_SECRET, "body": body,
            "hook": format!("{PUBLIC}/hooks/hs"), "timestamp": timestamp });
        account.twin.hooks().set_fault(Fault::Drop);
        let told = tokio::task::block_in_place(|| judge::node(CLIENT, &question));
        assert_eq!((&told["email"], &told["name"]), (&json!("a@example.com"), &json!("A")));
        assert_eq!((&told["upserted"], &told["found"]), (&json!("t1"), &json!(1)));
        assert_eq!((&told["rows"], &told["errors"]), (&json!(1), &json!(1)));
        assert_eq!(told["merged"], told["former"], "the id of a merged record leads to the survivor");
        assert!(told["ids"].as_str().is_some_and(|ids| ids.contains(';')));
        assert_eq!((&told["twice"], &told["gone"]), (&json!(409), &json!(404)));
        let send = async |seconds: i64, change: &str| {
            account.clock.advance_us(seconds * 1_000_000);
            let text = format!("{body}{change}");
            #[allow(clippy::disallowed_methods)] // Loopback.
            let request = reqwest::Client::new().post(format!("{}/hooks/hs", account.address)).body(text);
            let signature = told["signature"].as_str().expect("a signature");
            let request = request.header("X-HubSpot-Signature-v3", signature);
            let sent = request.header("X-HubSpot-Request-Timestamp", timestamp.to_string()).send().await;
            let status = sent.expect("an answer").status().as_u16();
            account.clock.advance_us(-seconds * 1_000_000);
            status
        };
        assert_eq!(send(0, "").await, 200);
        assert_eq!(send(0, " ").await, 401, "one byte more");
        assert_eq!((send(300, "").await, send(301, "").await), (200, 401), "five minutes old");
        assert_eq!((send(-300, "").await, send(-301, "").await), (200, 401), "from the future");
    });
}
