//! A real shop beside a CRM in memory, both live, and what the hub made of them.

use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::explain;
use huiliu_core::store::{Store, goldens, inbox, links};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_tests::front::{Fate, Front};
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_tests::server::Server;
use serde_json::{Value, json};

use crate::flow::Hub;

const CRM: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
given_name = "/given"
family_name = "/family"
emails.main = "/email"
phones.main = "/phone"
custom.level = "/level"
"#;

/// Virtual microseconds between two pulls, as the shops' manifests say.
const EVERY_US: i64 = 5 * 60 * 1_000_000;

/// A store in a folder of its own.
pub fn sqlite() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    (folder, store)
}

/// See the module.
pub struct Shops {
    pub hub: Hub,
    pub crm: Arc<Memory>,
}

/// A golden customer: its fields, the names of its records, and its orders, the latest first.
#[derive(Debug)]
pub struct Customer {
    pub fields: Value,
    pub records: Vec<String>,
    pub orders: Vec<Value>,
}

impl Shops {
    /// The shop `shop`, where the hub may open accounts, and the CRM `crm`, which is told of every customer.
    pub async fn live(store: Store, clock: Clock, mut shop: Connection) -> Self {
        let crm = Arc::new(Memory::new(false));
        let mut other = kit::connection("crm", &clock, Some(crm.clone()));
        let lenses = Lens::parse_file("crm.toml", CRM, &Model::shipped()).expect("a mapping");
        other.lenses = lenses.into_iter().map(Arc::new).collect();
        for connection in [&mut shop, &mut other] {
            connection.creates.insert("customers".to_owned());
        }
        Self { hub: Hub::live(store, clock, [shop, other]).await, crm }
    }

    /// Until everybody agrees and nothing waits; nothing may fail or need a person on the way.
    pub async fn settle(&self) {
        assert_eq!(self.hub.settle(true).await, Vec::<String>::new());
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }

    /// The golden customers, by their e-mail addresses.
    pub async fn customers(&self) -> Vec<Customer> {
        let ids = self.hub.read(|tx| {
            let all = goldens::after(tx, "customer", 0, 1_000)?;
            Ok(all.into_iter().filter(|it| it.merged_into.is_none()).map(|it| it.id).collect::<Vec<_>>())
        });
        let mut found = Vec::new();
        for id in ids.await {
            let engine = self.hub.engine.clone();
            let told = tokio::task::spawn_blocking(move || explain::customer(&engine, id));
            let told = told.await.expect("no panic").expect("the store works").expect("it is there");
            let members = self.hub.read(move |tx| links::by_goldens(tx, [id])).await;
            let mut records: Vec<String> =
                members.iter().filter(|link| link.open).map(|link| link.key.to_string()).collect();
            records.sort();
            let orders = told.timeline.iter().map(|entry| json!(entry.fields)).collect();
            let golden = self.hub.read(move |tx| goldens::by_ids(tx, [id])).await.remove(0);
            found.push(Customer { fields: json!(golden.fields), records, orders });
        }
        found.sort_by_key(|it| it.fields["emails.main"].as_str().map(str::to_owned));
        found
    }

    /// The customer with this address.
    pub async fn customer(&self, email: &str) -> Customer {
        let mut all = self.customers().await;
        all.retain(|it| it.fields["emails.main"] == email);
        assert_eq!(all.len(), 1, "{email}: {all:?}");
        all.remove(0)
    }

    /// An hour of pulls in which nobody does anything: nobody is written and nothing changes.
    pub async fn rests_for_an_hour(&self, clock: &Clock, writes: &dyn Fn() -> u64) {
        let quiet = (writes(), self.crm.writes(), self.changes().await);
        for _ in 0..12 {
            clock.advance_us(EVERY_US);
            self.settle().await;
        }
        assert_eq!((writes(), self.crm.writes(), self.changes().await), quiet);
    }

    /// Two people are made in a shop that dies over them, and each is there once in the end. The first is stored, and the
    /// answer lost with the server; the second is taken by a server that dies before it does anything. `made` counts the
    /// records of an address in the shop, `creates` the creations that it carried out.
    pub async fn survive_a_dying_shop(
        self: &Arc<Self>,
        server: &Server,
        front: &Front,
        made: &dyn Fn(&str) -> usize,
        creates: &dyn Fn() -> u64,
    ) {
        let before = creates();
        self.crm.edit("c1", &json!({ "given": "雷", "family": "李", "email": "li.lei@example.com" }));
        assert_eq!(self.hub.pull().await, Vec::<String>::new());
        front.meet(Fate::LoseAnswer);
        self.hub.think().await;
        assert_eq!((creates(), made("li.lei@example.com")), (before + 1, 1), "it was stored");
        server.kill();
        self.hub.think().await;
        server.restart();
        self.settle().await;
        assert_eq!((creates(), made("li.lei@example.com")), (before + 1, 1));

        self.crm.edit("c2", &json!({ "given": "梅梅", "family": "韩", "email": "han@example.com" }));
        assert_eq!(self.hub.pull().await, Vec::<String>::new());
        server.freeze();
        let shops = self.clone();
        let pushing = tokio::spawn(async move { shops.hub.think().await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!pushing.is_finished(), "the push is under way");
        server.kill();
        pushing.await.expect("no panic");
        server.restart();
        self.settle().await;
        assert_eq!((creates(), made("han@example.com")), (before + 2, 1));
        let customer = self.customer("han@example.com").await;
        assert_eq!(customer.records.len(), 2, "{customer:?}");
    }

    /// How many changes golden records have had.
    pub async fn changes(&self) -> usize {
        self.hub.read(|tx| Ok(goldens::changed_after(tx, 0, 100_000)?.len())).await
    }

    /// The CRM's record with this address.
    pub fn in_crm(&self, email: &str) -> (String, Value) {
        let all = self.crm.ids().into_iter().map(|id| (id.clone(), self.crm.get(&id)));
        let mut found: Vec<(String, Value)> = all.filter(|(_, it)| it["email"] == email).collect();
        assert_eq!(found.len(), 1, "{email}: {found:?}");
        found.remove(0)
    }
}
