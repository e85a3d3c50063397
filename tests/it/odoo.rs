//! Odoo, end to end, over JSON-2 and over JSON-RPC: `false` for nothing, stamps that commit late, archived partners,
//! deletions without a trace; and a published client, which the twin must answer as Odoo does.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::Operation;
use huiliu_core::store::{Store, inbox};
use huiliu_tests::judge;
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_twins::odoo::{API_KEY, DATABASE, LOGIN, OdooTwin};
use serde_json::{Value, json};

use crate::contract::stages::delivery;
use crate::flow::{Hub, on_both_stores, shipped};

const BOTH: [&str; 2] = ["odoo", "odoo_rpc"];

struct Office {
    twin: Arc<OdooTwin>,
    crm: Arc<Memory>,
    hub: Hub,
    clock: Clock,
}

/// A live Odoo beside a live CRM that is told of every customer.
async fn office(store: Store, system: &str) -> Office {
    let clock = Clock::manual(DAY_ONE_US);
    let twin = Arc::new(OdooTwin::start().await.expect("a port"));
    twin.set_now_us(Some(DAY_ONE_US));
    let mut odoo = shipped("erp", system, &twin.settings(), &twin.secrets(), &clock);
    odoo.creates.insert("partners".to_owned());
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [odoo, other]).await;
    Office { twin, crm, hub, clock }
}

impl Office {
    /// Time passes there and here; then everything is read and written until nothing moves.
    async fn wait(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
        self.twin.set_now_us(Some(self.clock.now_us()));
        for _ in 0..2 {
            assert_eq!(self.hub.settle(true).await, Vec::<String>::new());
        }
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }

    fn writes(&self) -> (u64, usize) {
        (self.twin.writes(), self.crm.writes())
    }
}

#[test]
fn partners_become_customers_with_their_orders_and_an_edit_comes_back() {
    for system in BOTH {
        on_both_stores(async |store| {
            let office = office(store, system).await;
            let lei = office
                .twin
                .add_partner(&json!({ "name": "李雷", "email": "li.lei@example.com", "phone": "138 0013 8000" }));
            office.twin.add_order(&json!({ "partner_id": lei, "amount_total": 256.5, "state": "sale" }));
            office.wait(60).await;
            let customers = office.hub.goldens("customer").await;
            let [(fields, _)] = customers.as_slice() else { panic!("one customer: {customers:?}") };
            assert_eq!((&fields["kind"], fields.get("title")), (&json!("person"), None), "false is no value");
            let orders = office.hub.goldens("order").await;
            assert_eq!(orders[0].0["total"], json!({ "amount": "256.50", "currency": "CNY" }));
            assert_eq!(office.hub.timeline().await, [json!("S00002")]);
            office.crm.edit("made1", &json!({ "title": " 采购经理 " }));
            office.wait(60).await;
            assert_eq!(office.twin.partners()[lei.to_string()]["function"], "采购经理");
            // Cleared elsewhere, it is `false` here.
            office.crm.edit("made1", &json!({ "title": null }));
            office.wait(60).await;
            assert_eq!(office.twin.partners()[lei.to_string()]["function"], json!(false));
            let writes = office.writes();
            let twin = office.twin.clone();
            office.hub.quiet_hour(&office.clock, &|now_s| twin.set_now_us(Some(now_s * 1_000_000))).await;
            assert_eq!(office.writes(), writes, "an hour without changes makes no write");
            // Somebody made elsewhere is made here once.
            office.crm.edit("c1", &json!({ "name": "韩梅梅", "email": "han@example.com" }));
            office.wait(60).await;
            assert_eq!(office.twin.partners().as_object().map(serde_json::Map::len), Some(2));
        });
    }
}

#[test]
fn what_commits_late_is_archived_or_vanishes_is_found() {
    for system in BOTH {
        on_both_stores(async |store| {
            let office = office(store, system).await;
            let ids: Vec<u64> = (0..3)
                .map(|at| {
                    office.twin.add_partner(&json!({ "name": format!("P{at}"), "email": format!("p{at}@example.com") }))
                })
                .collect();
            office.wait(3_600).await;
            assert_eq!(office.hub.open_links("erp").await.len(), 3);
            // Two edits in one second, of which the second is seen; and one whose transaction began ten minutes ago.
            for name in ["first", "second"] {
                office.twin.edit_partner(ids[0], &json!({ "name": name }), 0);
            }
            office.wait(300).await;
            assert_eq!(office.crm.get("made1")["name"], "second");
            office.twin.edit_partner(ids[0], &json!({ "name": "third" }), 600);
            office.twin.edit_partner(ids[1], &json!({ "name": "late" }), 600);
            office.wait(1).await;
            assert_eq!(office.crm.get("made2")["name"], "late", "committed in the past");
            // Archived: gone, until it is back.
            let link = format!("erp/partners/{}", ids[1]);
            office.twin.edit_partner(ids[1], &json!({ "active": false }), 0);
            office.wait(60).await;
            assert!(!office.hub.open_links("erp").await.contains(&link));
            office.twin.edit_partner(ids[1], &json!({ "active": true }), 0);
            office.wait(60).await;
            assert!(office.hub.open_links("erp").await.contains(&link));
            // Deleted: nothing tells, and the next complete scan, hours later, misses it.
            office.twin.delete_partner(ids[2]);
            office.wait(60).await;
            assert_eq!(office.hub.open_links("erp").await.len(), 3);
            office.wait(6 * 3_600).await;
            assert_eq!(office.hub.open_links("erp").await.len(), 2);
            assert_eq!(office.crm.ids().len(), 3, "a delete is not carried elsewhere");
            assert_eq!(office.writes().0, 0, "what Odoo said is not written back to it");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_apart_by_their_class() {
    for system in BOTH {
        let twin = OdooTwin::start().await.expect("a port");
        let erp = shipped("erp", system, &twin.settings(), &twin.secrets(), &Clock::System);
        let by = erp.connector.expect("a connector");
        let write = async |operation, id: Option<&str>, body: Value| {
            let made = delivery("partners", &body, 1);
            let delivery = huiliu_core::connector::Delivery { operation, id: id.map(Into::into), ..made };
            by.push(&erp.cx, &delivery).await
        };
        let gone = write(Operation::Update, Some("999"), json!({ "name": "x" })).await.expect_err("no such partner");
        assert_eq!(gone.kind(), "gone", "{system}: {gone}");
        let nameless = write(Operation::Create, None, json!({ "email": "x@example.com" })).await.expect_err("refused");
        assert_eq!(nameless.kind(), "rejected", "{system}: {nameless}");
        let strange = write(Operation::Create, None, json!({ "name": "x", "mobile": "1" })).await.expect_err("refused");
        assert_eq!(strange.kind(), "broken", "{system}: {strange}");
        let made = write(Operation::Create, None, json!({ "name": " 李雷 " })).await.expect("made");
        assert_eq!(made.stored.expect("read back").body["name"], "李雷", "what is stored, not what was sent");
    }
}

/// A published client (PyPI odoo-client-lib) in both of its ways.
const CLIENT: &str = r"
import json, sys, odoolib
asked = json.load(sys.stdin)
def connect(protocol, key):
    return odoolib.get_connection(hostname='127.0.0.1', port=asked['port'], protocol=protocol,
        database=asked['database'], login=asked['login'], password=key)
two = connect('json2', asked['key']).get_model('res.partner')
made = two.create(vals_list=[{'name': 'A', 'email': 'a@example.com'}])
two.write(ids=made, vals={'function': 'x', 'active': False})
find = two.__getattr__('search_read')
hidden = find(domain=[['id', '=', made[0]]], fields=['name'])
shown = find(domain=[['id', '=', made[0]]], fields=['function', 'vat', 'write_date'], context={'active_test': False})
try:
    connect('json2', 'wrong').get_model('res.partner').__getattr__('search_read')(domain=[])
    refused = False
except Exception as error:
    refused = type(error).__name__
rpc = connect('jsonrpc', asked['key']).get_model('res.partner')
other = rpc.create({'name': 'B'})
rpc.write([other], {'phone': '1'})
try:
    rpc.write([999], {'phone': '1'})
    gone = ''
except Exception as error:
    gone = str(error)
print(json.dumps({'made': made, 'hidden': hidden, 'shown': shown, 'refused': refused, 'other': other, 'gone': gone}))
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_client_takes_the_twin_for_odoo() {
    let twin = OdooTwin::start().await.expect("a port");
    twin.set_now_us(Some(DAY_ONE_US + 999_999));
    let port: u16 = twin.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let question = json!({ "port": port, "database": DATABASE, "login": LOGIN, "key": API_KEY });
    let told = tokio::task::block_in_place(|| judge::python(CLIENT, &question));
    assert_eq!((&told["made"], &told["hidden"]), (&json!([1]), &json!([])), "archived, and so hidden");
    let shown = json!([{ "id": 1, "function": "x", "vat": false, "write_date": "2026-01-01 00:00:00" }]);
    assert_eq!(told["shown"], shown, "cut to the second");
    assert_eq!((&told["refused"], &told["other"]), (&json!("AuthenticationError"), &json!(2)));
    assert!(told["gone"].as_str().is_some_and(|text| text.contains("MissingError")), "{}", told["gone"]);
    assert_eq!(twin.writes(), 4);
}
