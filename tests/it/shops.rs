//! A real shop beside a CRM in memory, both live, and what the hub made of them.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::explain;
use huiliu_core::store::{Store, goldens, inbox, links};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
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
