//! Too much at once: what would go or change beyond a budget is held back, shown, released or dismissed; a page that is
//! empty by accident deletes nobody; what is gone is not brought to life by what is older.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Budget;
use huiliu_core::connector::Version;
use huiliu_core::link::LinkKey;
use huiliu_core::review::{self, Steward};
use huiliu_core::store::brakes::{Caught, Kind};
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{links, overview, stewards, streams};
use huiliu_tests::front::{Fate, Front};
use huiliu_tests::kit::{self, DAY_ONE_US, feed, on_both_stores, record};
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::woocommerce::WooTwin;
use serde_json::{Value, json};

use crate::absence::{Rig, gone, rig_of};
use crate::flow::{self, Hub, shipped};

const STEWARD: Steward<'_> = Steward { name: "wang", why: "asked the shop" };

impl Rig {
    /// Kind, held, of how many: of each brake that holds.
    pub fn caught(&self) -> Vec<(Kind, i64, i64)> {
        let now = self.engine.store.read(overview::read).unwrap();
        now.brakes.iter().map(|it: &Caught| (it.kind, it.held, it.of_links)).collect()
    }

    fn release(&self) -> i64 {
        review::release(&self.engine, "a", "customers", STEWARD).unwrap()
    }

    fn dismiss(&self) -> i64 {
        review::dismiss(&self.engine, "a", "customers", STEWARD).unwrap()
    }

    /// How many records of `b` bear a title.
    fn titled(&self, title: &str) -> usize {
        self.b.ids().iter().filter(|id| self.b.get(id)["title"] == title).count()
    }

    /// The source writes a title into its first records.
    fn rewrite(&self, count: usize, title: &str) {
        (0..count).for_each(|at| self.a.edit(&format!("{at:03}"), &json!({ "title": title })));
    }
}

#[test]
fn deletions_that_are_told_count_against_the_budget() {
    on_both_stores(|store| {
        let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
        rig.fill(40);
        let ids = |range: std::ops::Range<usize>| range.map(|at| format!("{at:03}")).collect::<Vec<_>>();
        let remove = |ids: &[String]| {
            for id in ids {
                rig.a.remove(id);
            }
            rig.told(&ids.iter().map(|id| gone(id)).collect::<Vec<_>>());
            rig.settle();
        };
        remove(&ids(0..3));
        assert_eq!((rig.open()["a"], rig.caught()), (37, vec![]), "three real ones arrive");
        let writes = rig.b.writes();
        remove(&ids(3..15));
        assert_eq!(rig.open()["a"], 37, "nine is not ten, but twelve and three are fifteen: nothing is closed");
        assert_eq!(rig.caught(), [(Kind::Missing, 12, 37)]);
        let held = review::held(&rig.engine, "a", "customers", 100).unwrap();
        assert_eq!((held.len(), held[0].record.as_str(), held[0].kind), (12, "a/customers/003", Kind::Missing));
        // While it holds, one more waits too, although it alone would fit; a record that comes back waits no more.
        remove(&ids(15..16));
        rig.a.edit("003", &json!({ "name": "Person 3", "email": "p3@example.com", "title": "T" }));
        rig.round();
        assert_eq!((rig.open()["a"], rig.caught()), (37, vec![(Kind::Missing, 12, 37)]));
        assert_eq!(rig.dismiss(), 12);
        assert_eq!((rig.open()["a"], rig.caught()), (37, vec![]), "nobody believes it");
        remove(&ids(4..16));
        assert_eq!(rig.caught(), [(Kind::Missing, 12, 37)], "the same again is judged anew");
        assert_eq!(rig.release(), 12);
        rig.settle();
        assert_eq!((rig.open()["a"], rig.caught()), (25, vec![]));
        assert_eq!(rig.b.writes(), writes, "nothing was passed on");
        let told = review::dismiss(&rig.engine, "a", "customers", STEWARD).unwrap_err().to_string();
        assert!(told.contains("no brake holds anything back"), "{told}");
        let commands = rig.engine.store.read(|tx| stewards::commands(tx, 10)).unwrap();
        let said: Vec<&str> = commands.iter().map(|it| it.what.as_str()).collect();
        assert_eq!(said, ["release", "dismiss"]);
        // An hour later the budget is a new one.
        rig.engine.clock.advance_us(3_600_000_000);
        remove(&ids(16..26));
        assert_eq!((rig.open()["a"], rig.caught()), (15, vec![]));
    });
}

#[test]
fn a_source_that_rewrites_most_of_its_records_is_held_back() {
    let few = Budget { links: 5, percent: 30 };
    for is_scanned in [true, false] {
        on_both_stores(|store| {
            let memory = if is_scanned { Memory::scanned(true) } else { Memory::new(false) };
            let rig = rig_of(store, memory, few);
            rig.fill(20);
            rig.engine.clock.advance_us(3_600_000_000);
            rig.rewrite(4, "Chief");
            rig.round();
            assert_eq!((rig.titled("Chief"), rig.caught()), (4, vec![]), "an ordinary hour");
            // Edited again within the hour they do not count twice.
            rig.rewrite(4, "Clerk");
            rig.round();
            assert_eq!((rig.titled("Clerk"), rig.caught()), (4, vec![]));
            rig.engine.clock.advance_us(3_600_000_000);
            let (writes, before) = (rig.b.writes(), kit::customers(&rig.engine));
            rig.rewrite(12, "?");
            rig.round();
            assert_eq!(rig.caught(), [(Kind::Changing, 12, 20)]);
            assert_eq!((rig.b.writes(), kit::customers(&rig.engine)), (writes, before), "nothing changes anywhere");
            let held = review::held(&rig.engine, "a", "customers", 100).unwrap();
            assert_eq!((held.len(), held[5].record.as_str()), (12, "a/customers/005"));
            assert_eq!(held[5].fields, BTreeMap::from([("title".into(), (json!("T"), json!("?")))]));
            // More of the same waits too, new records and what others say do not; and it lifts by itself.
            rig.rewrite(13, "!");
            rig.a.edit("900", &json!({ "name": "New", "email": "new@example.com" }));
            rig.b.edit("made20", &json!({ "title": "Boss" }));
            rig.round();
            assert_eq!(rig.caught(), [(Kind::Changing, 13, 20)]);
            assert_eq!((rig.titled("Boss"), rig.titled("!"), rig.open()["b"]), (1, 0, 21));
            rig.rewrite(4, "Clerk");
            (4..13).for_each(|at| rig.a.edit(&format!("{at:03}"), &json!({ "title": "T" })));
            rig.round();
            assert_eq!((rig.caught(), rig.titled("Clerk"), rig.titled("?")), (vec![], 4, 0), "taken back");
            // Dismissed it stays as it was known; released it travels, once.
            rig.rewrite(12, "x");
            rig.round();
            assert_eq!((rig.dismiss(), rig.titled("x")), (12, 0));
            rig.settle();
            assert_eq!((rig.caught(), rig.titled("x")), (vec![], 0));
            rig.rewrite(12, "Team");
            rig.round();
            assert_eq!((rig.release(), rig.titled("Team")), (12, 0));
            rig.settle();
            assert_eq!((rig.caught(), rig.titled("Team")), (vec![], 12));
            let writes = rig.b.writes();
            rig.round();
            assert_eq!((rig.b.writes(), rig.caught()), (writes, vec![]), "and rests");
        });
    }
}

/// What a system says of `a/customers/1`: gone at so many seconds.
fn deleted(seconds: i64) -> InboxItem {
    let at = jiff::Timestamp::from_second(DAY_ONE_US / 1_000_000 + seconds).expect("an instant");
    InboxItem {
        kind: ItemKind::Deleted,
        version: serde_json::to_string(&Version::instant(at.to_string(), at)).ok(),
        body: Vec::new(),
        ..record("a/customers/1", seconds, &Value::Null)
    }
}

#[test]
fn what_is_older_than_its_deletion_stays_gone() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let is_open = || {
            let key: LinkKey = "a/customers/1".parse().unwrap();
            let known = engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap();
            (known[0].open, known[0].golden != 0)
        };
        let body = |title: &str| json!({ "name": "Li Lei", "email": "li@example.com", "title": title });
        // Deleted before it was ever seen; then a page that was read before arrives.
        feed(&engine, &[deleted(50)]);
        let done = feed(&engine, &[record("a/customers/1", 40, &body("late"))]);
        assert_eq!((done.created, done.changes, is_open()), (0, 0, (false, false)));
        assert_eq!(kit::customers(&engine), []);
        // What is newer than the deletion is somebody.
        let done = feed(&engine, &[record("a/customers/1", 60, &body("back"))]);
        assert_eq!((done.created, is_open()), (1, (true, true)));
        feed(&engine, &[deleted(70)]);
        feed(&engine, &[record("a/customers/1", 65, &body("late")), record("a/customers/1", 69, &body("later"))]);
        assert_eq!(is_open(), (false, true));
        feed(&engine, &[record("a/customers/1", 80, &body("again"))]);
        assert_eq!(is_open(), (true, true));
        let customers = kit::customers(&engine);
        assert_eq!((customers.len(), &customers[0].0["title"]), (1, &json!("again")), "and the same as before");
    });
}

#[test]
fn a_list_that_lags_behind_does_not_bring_back_who_is_gone() {
    on_both_stores(|store| {
        let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
        rig.fill(2);
        let key: LinkKey = "a/customers/000".parse().unwrap();
        let link = rig.engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap().remove(0);
        let lagging = |engine: &huiliu_core::engine::Engine| InboxItem {
            connection: "a".to_owned(),
            stream: Some("customers".to_owned()),
            external_id: Some("000".to_owned()),
            version: link.version.as_ref().and_then(|it| serde_json::to_string(it).ok()),
            body: json!({ "name": "Person 0", "email": "p0@example.com", "title": "T" }).to_string().into_bytes(),
            received_us: engine.clock.now_us(),
            ..InboxItem::default()
        };
        rig.a.remove("000");
        rig.told(&[gone("000")]);
        rig.settle();
        assert!(!rig.is_open("a/customers/000"));
        // The index still shows it, asked for after the deletion, at the version that was known.
        rig.engine.clock.advance_us(10_000_000);
        feed(&rig.engine, &[lagging(&rig.engine)]);
        assert!(!rig.is_open("a/customers/000"), "not believed");
        rig.settle();
        assert!(!rig.is_open("a/customers/000"), "asked for, and not there");
    });
}

/// A shop with ten pages of customers behind a front, beside a CRM that knows some of them.
struct Shop {
    twin: Arc<WooTwin>,
    front: Front,
    crm: Arc<Memory>,
    hub: Hub,
    clock: Clock,
}

impl Shop {
    async fn open(store: huiliu_core::store::Store) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::manual(DAY_ONE_US);
        let twin = Arc::new(WooTwin::start().await.expect("a port"));
        twin.set_now_s(Some(DAY_ONE_US / 1_000_000));
        twin.hooks().set_fault(Fault::Drop);
        for at in 0..1000 {
            let billing = json!({ "phone": format!("1380013{at:04}") });
            twin.put_customer(&json!({ "billing": billing, "email": format!("p{at}@example.com") }))
                .expect("a customer");
        }
        let front = Front::of(&twin.url()).await;
        let settings = [("url", front.instead_of(&twin.url()))];
        twin.set_home(&settings[0].1);
        let woo = shipped("shop", "woocommerce", &settings, &twin.secrets(), &clock);
        let crm = Arc::new(Memory::new(false));
        (0..50).for_each(|at| crm.edit(&format!("c{at}"), &json!({ "email": format!("p{at}@example.com") })));
        let hub = Hub::live(store, clock.clone(), [woo, kit::connection("crm", &clock, Some(crm.clone()))]).await;
        let shop = Self { twin, front, crm, hub, clock };
        shop.reads(&[]).await;
        assert_eq!((shop.is_there().await, shop.crm.get("c49")["phone"].as_str()), (1000, Some("+8613800130049")));
        shop
    }

    /// An hour later everything is read, with these pages empty; what went wrong.
    async fn reads(&self, empty: &[&str]) -> Vec<String> {
        self.clock.advance_us(3_601_000_000);
        self.twin.set_now_s(Some(self.clock.now_us() / 1_000_000));
        for page in empty {
            self.front.meet_with(page, Fate::Answer(200, "[]".into()));
        }
        let told = self.hub.pull().await;
        assert_eq!(self.front.waiting(), 0, "every page was asked for");
        self.hub.settle(false).await;
        told
    }

    async fn is_there(&self) -> usize {
        self.hub.open_links("shop").await.len()
    }

    async fn missed(&self) -> Option<i64> {
        let all = self.hub.read(streams::all).await;
        all[&("shop".to_owned(), "customers".to_owned())].brake.map(|brake| brake.missing)
    }
}

#[test]
fn an_empty_page_deletes_nobody_real_deletions_arrive_and_too_many_are_held() {
    flow::on_both_stores(async |store| {
        let shop = Shop::open(store).await;
        let writes = (shop.twin.writes(), shop.crm.writes());
        // Page 7 of 10 answers 200 with an empty list, for as long as anybody asks in this turn.
        let told = shop.reads(&["&page=7&", "&page=7&"]).await;
        assert!(told.len() == 1 && told[0].contains("a page without records"), "{told:?}");
        assert_eq!((shop.is_there().await, shop.missed().await), (1000, None));
        // Once only: asked again it is there, and the scan is complete.
        assert_eq!(shop.reads(&["&page=7&"]).await, Vec::<String>::new());
        assert_eq!((shop.is_there().await, shop.missed().await), (1000, None));
        // Everything from page 7 on is empty: that looks like an end, and 400 are missing.
        assert_eq!(shop.reads(&["&page=7&", "&page=7&", "&page=8&"]).await, Vec::<String>::new());
        assert_eq!((shop.is_there().await, shop.missed().await), (1000, Some(400)));
        // Three real deletions, which nobody told, arrive; the brake is off again by itself.
        for id in [5, 300, 700] {
            assert!(shop.twin.delete_customer(id).await);
        }
        assert_eq!(shop.reads(&["&page=7&"]).await, Vec::<String>::new());
        assert_eq!((shop.is_there().await, shop.missed().await), (997, None));
        // Thirty in a hundred vanish.
        for id in 10..310 {
            shop.twin.delete_customer(id).await;
        }
        assert_eq!(shop.reads(&[]).await, Vec::<String>::new());
        assert_eq!((shop.is_there().await, shop.missed().await), (997, Some(299)), "held, nobody is closed");
        assert_eq!((shop.twin.writes(), shop.crm.writes()), writes, "and nothing was passed on");
        assert_eq!(shop.crm.ids().len(), 50);
        let engine = shop.hub.engine.clone();
        let released = tokio::task::spawn_blocking(move || review::release(&engine, "shop", "customers", STEWARD));
        assert_eq!(released.await.expect("no panic").expect("a brake"), 299);
        shop.hub.settle(false).await;
        assert_eq!((shop.is_there().await, shop.missed().await), (698, None));
        assert_eq!((shop.twin.writes(), shop.crm.writes()), writes, "the others keep their copies");
    });
}
