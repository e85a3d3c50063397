//! A connection to a twin.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{
    Connector as _, Cursor, Cx, Delivery, ExternalId, Network, Operation, Page, Received, Record, RecordKey, StreamName,
};
use huiliu_core::quota::Quota;
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_kingdee::connector::Kingdee;
use huiliu_twins::kingdee::KingdeeTwin;
use serde_json::{Value, json};

/// A twin, the connector, and a connection between them.
pub struct Kit {
    pub twin: KingdeeTwin,
    pub kingdee: Kingdee,
    pub cx: Cx,
}

impl Kit {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A connection with the manifest's defaults and these settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let twin = KingdeeTwin::start().await.unwrap();
        let kingdee = Kingdee::shipped().unwrap();
        let section = &kingdee.manifest().connector;
        let defaults =
            section.config.iter().filter_map(|(name, setting)| Some((name.clone(), setting.default.clone()?)));
        let given = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let of_twin = twin.settings().into_iter().map(|(name, value)| (name.to_owned(), value));
        let all: BTreeMap<String, String> = defaults.chain(of_twin).chain(given).collect();
        assert!(all.keys().all(|name| section.config.contains_key(name)), "the manifest declares every setting");
        let secrets = twin.secrets().into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value)));
        let cx = Cx {
            connection: "erp".into(),
            settings: Arc::new(all),
            secrets: Arc::new(secrets.collect()),
            clock: Clock::manual(1_700_000_000_000_000),
            quota: Arc::new(Quota::unlimited()),
            tokens: Arc::new(TokenVault::in_memory()),
            network: Network::Private,
            offset: Arc::default(),
        };
        Self { twin, kingdee, cx }
    }

    pub async fn page(&self, stream: &str, from: Option<&Cursor>) -> Page {
        self.kingdee.pull(&self.cx, &StreamName::from(stream), from).await.unwrap()
    }

    /// Pulls until nothing is waiting: all records in order, and the cursor after each page.
    pub async fn pull_all(&self, stream: &str, from: Option<Cursor>) -> (Vec<Record>, Vec<Cursor>) {
        let (mut records, mut cursors, mut at) = (Vec::new(), Vec::new(), from);
        loop {
            let page = self.page(stream, at.as_ref()).await;
            assert!(!page.complete_scan);
            records.extend(page.items.into_iter().map(|item| match item {
                Received::Record(record) => record,
                other => panic!("{other:?}"),
            }));
            at = page.next.or(at);
            cursors.extend(at.clone());
            if !page.more {
                return (records, cursors);
            }
        }
    }

    pub async fn fetch(&self, stream: &str, id: &str) -> Option<Record> {
        let key = RecordKey { connection: "erp".into(), stream: stream.into(), id: id.into() };
        self.kingdee.fetch(&self.cx, &key).await.unwrap()
    }

    /// The twin's customers, in the order of their ids.
    pub fn customers(&self) -> Vec<Value> {
        self.twin.snapshot()["customers"].as_object().unwrap().values().cloned().collect()
    }
}

pub fn create(body: Value, attempt: u32) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Create,
        stream: "customers".into(),
        id: None,
        body,
        base: Value::Null,
        base_version: None,
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt,
    }
}

pub fn update(id: &str, body: Value, base: Value, attempt: u32) -> Delivery {
    Delivery {
        operation: Operation::Update,
        id: Some(ExternalId::from(id)),
        base,
        idempotency_key: "fedcba9876543210fedcba9876543210".to_owned(),
        ..create(body, attempt)
    }
}

/// An invented customer.
pub fn acme() -> Value {
    json!({ "FName": "Huiliu Test Trading ", "FShortName": "测试贸易", "FPhone": "010-55550100", "FTAXREGISTERCODE": "91350100m000100y43" })
}
