//! A WooCommerce shop, end to end: an unsigned ping, signed webhooks, guests who are known by their e-mail address, the
//! trash, and stamps without a zone; and the vendor's own client, which the twin must answer as a shop does.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::Operation;
use huiliu_core::store::{Store, inbox};
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_tests::{front, judge};
use huiliu_twins::hooks::Fault;
use huiliu_twins::woocommerce::{CONSUMER_KEY, CONSUMER_SECRET, WooTwin};
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

struct Shop {
    twin: Arc<WooTwin>,
    crm: Arc<Memory>,
    hub: Hub,
    clock: Clock,
}

/// A live shop beside a live CRM that is told of every customer.
async fn shop(store: Store) -> Shop {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::manual(DAY_ONE_US);
    let twin = Arc::new(WooTwin::start().await.expect("a port"));
    twin.set_now_s(Some(DAY_ONE_US / 1_000_000));
    let mut woo = shipped("shop", "woocommerce", &twin.settings(), &twin.secrets(), &clock);
    woo.creates.insert("customers".to_owned());
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [woo, other]).await;
    let url = format!("{}/hooks/shop", hub.listen().await);
    assert_eq!(twin.save_webhook(&url).await, 200, "the ping is answered");
    assert_eq!(hub.read(|tx| inbox::backlog(tx, "process")).await, 0, "and brought nothing");
    assert_eq!(hub.pull().await, Vec::<String>::new());
    Shop { twin, crm, hub, clock }
}

impl Shop {
    /// Time passes in the shop and in the hub.
    fn wait(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
        self.twin.set_now_s(Some(self.clock.now_us() / 1_000_000));
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

#[test]
fn buyers_and_guests_become_customers_and_an_edit_comes_back() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        let lei = json!({ "first_name": "雷", "last_name": "李", "email": "li.lei@example.com",
            "billing": { "phone": "138 0013 8000", "company": "测试公司" } });
        let id = shop.twin.add_customer(&lei).await.expect("a customer");
        let tea = json!([{ "sku": "TEA-1", "name": "龙井", "quantity": 2, "price": "128.00" }]);
        let billing = json!({ "email": "li.lei@example.com", "phone": "13800138000" });
        // Once signed in, once as a guest, within one second: one webhook tells both under one delivery id.
        let order = json!({ "customer_id": id, "billing": billing, "line_items": tea });
        let own = shop.twin.place_order(&order).await;
        let guest = shop.twin.place_order(&json!({ "customer_id": 0, "billing": billing, "line_items": tea })).await;
        shop.settle(false).await;
        assert_eq!(shop.crm.get("made1")["email"], "li.lei@example.com");
        let orders = shop.hub.goldens("order").await;
        assert_eq!(orders.len(), 2, "{orders:?}");
        assert_eq!(orders[0].0["total"], json!({ "amount": "256.00", "currency": "CNY" }));
        assert_eq!(orders[0].0["ordered_at"], "2026-01-01T00:00:00Z", "of UTC, not of the site");
        let customer = shop.hub.goldens("customer").await;
        let [(_, names)] = customer.as_slice() else { panic!("one customer: {customer:?}") };
        assert_eq!(*names, ["crm/customers/made1".to_owned(), format!("shop/customers/{id}")]);
        assert_eq!(shop.hub.timeline().await, [json!(own.to_string()), json!(guest.to_string())]);

        // An edit elsewhere reaches the shop; the shop tells of it in turn, and that echo dies.
        shop.crm.edit("made1", &json!({ "phone": "13900139000" }));
        shop.wait(60);
        shop.settle(true).await;
        assert_eq!(shop.twin.snapshot()["customers"][id.to_string()]["billing"]["phone"], "+8613900139000");
        let writes = shop.writes();
        assert_eq!(writes.0, 1);
        let twin = shop.twin.clone();
        shop.hub.quiet_hour(&shop.clock, &|now_s| twin.set_now_s(Some(now_s))).await;
        assert_eq!(shop.writes(), writes, "an hour without changes makes no write");
    });
}

#[test]
fn what_no_webhook_told_is_found_by_the_schedule() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        let id = shop.twin.add_customer(&json!({ "first_name": "A", "email": "a@example.com" })).await.expect("one");
        let gone = shop.twin.add_customer(&json!({ "first_name": "B", "email": "b@example.com" })).await.expect("one");
        let order = shop.twin.place_order(&json!({ "customer_id": id })).await;
        shop.settle(true).await;
        shop.twin.hooks().set_fault(Fault::Drop);
        shop.wait(7_200);
        shop.twin.edit_customer(id, &json!({ "first_name": "Anna" })).await.expect("an edit");
        assert!(shop.twin.delete_customer(gone).await);
        shop.twin.set_status(order, "completed").await;
        shop.settle(true).await;
        assert_eq!(shop.crm.get("made1")["name"], Value::Null, "the kit's CRM knows no given name");
        assert_eq!(shop.hub.goldens("order").await[0].0["status"], "completed", "hours before the site's own time");
        assert_eq!(shop.hub.open_links("shop").await, [format!("shop/customers/{id}"), format!("shop/orders/{order}")]);
        shop.wait(60);
        shop.twin.set_status(order, "trash").await;
        shop.settle(true).await;
        assert_eq!(shop.hub.open_links("shop").await, [format!("shop/customers/{id}")], "the trash is listed apart");
        shop.wait(60);
        shop.twin.set_status(order, "processing").await;
        shop.settle(true).await;
        assert_eq!(shop.hub.open_links("shop").await.len(), 2, "brought back");
        assert_eq!(shop.writes().0, 0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_apart() {
    let twin = WooTwin::start().await.expect("a port");
    let staff = json!({ "first_name": "S", "email": "s@example.com", "role": "administrator" });
    let id = twin.put_customer(&staff).expect("an account");
    let front = front::Front::of(&twin.url()).await;
    let settings = [("url", front.instead_of(&twin.url()))];
    twin.set_home(&settings[0].1);
    let shop = shipped("shop", "woocommerce", &settings, &twin.secrets(), &Clock::System);
    let by = shop.connector.expect("a connector");
    let of = |operation, id: Option<u64>, body: &Value| huiliu_core::connector::Delivery {
        operation,
        id: id.map(|id| id.to_string().as_str().into()),
        ..crate::contract::stages::delivery("customers", body, 1)
    };
    let push = async |delivery| by.push(&shop.cx, &delivery).await.expect_err("refused");
    let staff = push(of(Operation::Update, Some(id), &json!({ "email": "x@example.com" }))).await;
    assert_eq!(staff.kind(), "rejected", "{staff}");
    let gone = push(of(Operation::Update, Some(999), &json!({ "first_name": "x" }))).await;
    assert_eq!(gone.kind(), "gone", "{gone}");
    let twice = push(of(Operation::Create, None, &json!({ "email": "s@example.com" }))).await;
    assert_eq!(twice.kind(), "rejected", "{twice}");
    let nameless = push(of(Operation::Create, None, &json!({ "first_name": "x" }))).await;
    assert_eq!(nameless.kind(), "rejected", "{nameless}");
    for (status, body, kind) in [
        (403, "<html>Forbidden by the firewall</html>", "transient"),
        (403, r#"{"code":"woocommerce_rest_cannot_view","message":"Sorry"}"#, "unauthorized"),
        (404, r#"{"code":"rest_no_route","message":"No route"}"#, "broken"),
        (404, "<html>Not found</html>", "broken"),
        (503, "<html>Maintenance</html>", "transient"),
    ] {
        front.meet(front::Fate::Answer(status, body.into()));
        let mut cx = shop.cx.clone();
        cx.quota = Arc::new(huiliu_core::quota::Quota::unlimited());
        let error = by.pull(&cx, &"orders".into(), None).await.expect_err("refused");
        assert_eq!(error.kind(), kind, "HTTP {status} {body}: {error}");
    }
    // In a batch each has its own answer.
    let known = json!({ "email": "s@example.com" });
    let fresh = json!({ "email": "n@example.com", "first_name": "N" });
    let pair = [of(Operation::Create, None, &known), of(Operation::Create, None, &fresh)];
    let answers = by.push_many(&shop.cx, &pair).await;
    assert_eq!(answers[0].as_ref().expect_err("refused").kind(), "rejected");
    assert_eq!(answers[1].as_ref().expect("made").stored.as_ref().expect("shown").body["first_name"], "N");
}

/// The vendor's own client (npm `@woocommerce/woocommerce-rest-api`) signs by OAuth 1.0a over plain HTTP.
const CLIENT: &str = r"
const { default: Api } = require('@woocommerce/woocommerce-rest-api');
let text = ''; process.stdin.on('data', part => text += part).on('end', async () => {
  const { url, key, secret } = JSON.parse(text);
  const api = new Api({ url, consumerKey: key, consumerSecret: secret, version: 'wc/v3' });
  const made = await api.post('customers', { email: 'han@example.com', first_name: ' 梅梅 <b>x</b>', billing: { phone: '1' } });
  const changed = await api.put('customers/' + made.data.id, { last_name: '韩' });
  const listed = await api.get('customers', { per_page: 1, page: 1, search: '', orderby: 'id' });
  const batch = await api.post('customers/batch', { create: [{ email: 'han@example.com' }, { email: 'b@example.com' }] });
  const code = async call => { try { await call(); return 'none'; } catch (error) { return error.response.data.code; } };
  const other = new Api({ url, consumerKey: key, consumerSecret: secret + 'x', version: 'wc/v3' });
  console.log(JSON.stringify({ status: made.status, made: made.data, changed: changed.data, pages: listed.headers['x-wp-totalpages'],
    batch: batch.data, twice: await code(() => api.post('customers', { email: 'han@example.com' })),
    wrong: await code(() => other.get('customers')), many: await code(() => api.get('orders', { per_page: 101 })) }));
});";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_client_takes_the_twin_for_a_shop() {
    let twin = WooTwin::start().await.expect("a port");
    let question = json!({ "url": twin.url(), "key": CONSUMER_KEY, "secret": CONSUMER_SECRET });
    let told = tokio::task::block_in_place(|| judge::node(CLIENT, &question));
    assert_eq!((&told["status"], &told["made"]["first_name"]), (&json!(201), &json!("梅梅 x")));
    assert_eq!(told["changed"]["last_name"], "韩");
    assert_eq!(told["pages"], "1");
    assert_eq!(told["batch"]["create"][0]["error"]["code"], "registration-error-email-exists");
    assert_eq!(told["batch"]["create"][1]["email"], "b@example.com");
    assert_eq!(told["twice"], "registration-error-email-exists");
    assert_eq!(told["wrong"], "woocommerce_rest_authentication_error");
    assert_eq!(told["many"], "rest_invalid_param");
}
