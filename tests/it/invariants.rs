//! Invariants of ARCHITECTURE.md that no stage's own tests show, each under its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::ExternalId;
use huiliu_core::engine::Engine;
use huiliu_core::manifest::{Ability, Manifest};
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::seal::{Seal, SealedVault};
use huiliu_core::secrets::{Token, TokenStore as _};
use huiliu_core::store::db::Result;
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::json;

/// Makes the database itself refuse every write to a table, as a full disk would, or allow it again.
fn refuse(store: &Store, table: &str, refused: bool) {
    let statements: Vec<String> = match (store.kind(), refused) {
        ("sqlite", true) => ["INSERT", "UPDATE"]
            .iter()
            .map(|verb| {
                format!(
                    "CREATE TRIGGER no_{verb}_{table} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
            })
            .collect(),
        ("sqlite", false) => ["INSERT", "UPDATE"].iter().map(|it| format!("DROP TRIGGER no_{it}_{table}")).collect(),
        (_, true) => vec![
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'"
                .to_owned(),
            format!("CREATE TRIGGER no_{table} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"),
        ],
        (_, false) => vec![format!("DROP TRIGGER no_{table} ON {table}")],
    };
    let run = |tx: &mut huiliu_core::store::Tx<'_>| -> Result<()> {
        statements.iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop))
    };
    store.write(run).expect("a trigger");
}

struct Pair {
    engine: Engine,
    a: Arc<Memory>,
    b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

/// Two live systems in memory; records of `a` are created in `b`.
fn pair(store: Store) -> Pair {
    let clock = Clock::manual(DAY_ONE_US);
    let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(false)));
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = kit::live(store, clock, connections);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Pair { engine, a, b, runtime }
}

impl Pair {
    fn pull(&self, name: &str) -> Result<pull::Pulled> {
        let connection = &self.engine.connections[name];
        self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1))
    }

    fn cursor(&self, name: &str) -> Option<String> {
        let all = self.engine.store.read(streams::all).expect("streams");
        all.get(&(name.to_owned(), "customers".to_owned())).and_then(|state| state.cursor.clone())
    }

    fn arrived(&self) -> Vec<String> {
        let items = self.engine.store.read(|tx| inbox::after(tx, 0, 100)).expect("the inbox");
        items.into_iter().filter_map(|item| item.external_id).collect()
    }

    fn think(&self) {
        while process::batch(&self.engine).expect("process").items > 0 {}
        while plan::batch(&self.engine).expect("plan").0 > 0 {}
    }
}

#[test]
fn cursor_never_leads() {
    on_both_stores(|store| {
        let pair = pair(store);
        pair.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        refuse(&pair.engine.store, "inbox", true);
        assert!(pair.pull("a").is_err(), "the page cannot be kept");
        refuse(&pair.engine.store, "inbox", false);
        assert_eq!(pair.cursor("a"), None, "so the cursor stays");
        refuse(&pair.engine.store, "stream_state", true);
        assert!(pair.pull("a").is_err(), "the cursor cannot be kept");
        refuse(&pair.engine.store, "stream_state", false);
        assert_eq!(pair.arrived(), Vec::<String>::new(), "so the page is not kept either");
        assert_eq!(pair.pull("a").expect("both can be kept").records, 1);
        assert_eq!((pair.arrived(), pair.cursor("a")), (vec!["1".to_owned()], Some("1".to_owned())));
    });
}

#[test]
fn delivery_is_complete() {
    on_both_stores(|store| {
        let pair = pair(store);
        pair.pull("b").expect("pull");
        pair.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "经理"}));
        pair.pull("a").expect("pull");
        pair.think();
        let b = &pair.engine.connections["b"];
        pair.runtime.block_on(push::batch(&pair.engine, b)).expect("push");
        pair.pull("b").expect("pull");
        pair.think();
        pair.a.edit("1", &json!({"title": "总监"}));
        pair.pull("a").expect("pull");
        pair.think();
        let open = pair.engine.store.read(|tx| deliveries::open_of(tx, [1])).expect("deliveries");
        let [planned] = open.as_slice() else { panic!("one change, one target: {}", open.len()) };
        let delivery = &planned.delivery;
        assert_eq!(delivery.id.as_ref().map(ExternalId::as_str), Some("made1"), "the target");
        assert_eq!(delivery.body, json!({"title": "总监"}), "exactly the changed field");
        assert_eq!(delivery.base, json!({"title": "经理"}), "what the target held");
        assert_eq!(delivery.base_version.as_ref().map(|version| version.text.as_str()), Some("1"));
        assert_eq!(delivery.idempotency_key.len(), 32);
        // Other rules from now on change nothing about what was planned: push makes no choice.
        let mut others = [kit::connection("a", &pair.engine.clock, Some(pair.a.clone())), b.clone()];
        others[1].lenses.clear();
        let later = Engine::new(
            pair.engine.store.clone(),
            matching::Rules::shipped(),
            merge::Rules::shipped(),
            others,
            pair.engine.clock.clone(),
        );
        pair.runtime.block_on(push::batch(&later, &later.connections["b"])).expect("push");
        assert_eq!(pair.b.get("made1")["title"], "总监");
    });
}

/// Senders drop events: every shipped stream that webhooks tell of is pulled, too.
#[test]
fn webhooks_are_hints() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("connectors") {
        let path = entry.expect("an entry").path().join("connector.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let manifest = Manifest::parse(&path.display().to_string(), &text).expect("a manifest");
        let Some(webhook) = &manifest.webhook else { continue };
        let Some(route) = &webhook.route else { continue };
        for stream in route.topics.values() {
            let declared = manifest.stream(stream).expect("a stream");
            // A sender that can only send has nothing to pull from; its manifest names no address to ask.
            if manifest.streams.values().any(|it| it.can(Ability::Pull)) {
                assert!(declared.can(Ability::Pull), "{}.{stream} has webhooks only", manifest.connector.name);
                seen.insert(format!("{}.{stream}", manifest.connector.name));
            }
        }
    }
    assert!(seen.contains("shopify.customers"), "{seen:?}");
}

#[test]
fn secrets_have_names() {
    on_both_stores(|store| {
        let folder = tempfile::tempdir().expect("a folder");
        let seal = Seal::open(&folder.path().join("key")).expect("a key");
        let vault = SealedVault { store: store.clone(), seal, connection: "shop".to_owned() };
        vault.put("secret.webhook", "open sesame").expect("put");
        let token = Token {
            access: "at-7391".into(),
            refresh: None,
            expires_at_us: None,
            extra: BTreeMap::default(),
            rotates: false,
        };
        vault.save("oauth", &token).expect("save");
        assert_eq!(vault.get("secret.webhook").expect("get").expect("there").as_str(), "open sesame");
        let rows = store.read(|tx| {
            tx.query("SELECT name, sealed FROM token ORDER BY name", &[], |row| Ok((row.text(0)?, row.blob(1)?)))
        });
        let rows = rows.expect("rows");
        assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["secret.webhook", "token.oauth"]);
        for (name, sealed) in rows {
            let open = String::from_utf8_lossy(&sealed).into_owned();
            assert!(!open.contains("sesame") && !open.contains("7391"), "{name} lies open in the store");
        }
        assert!(!format!("{token:?}").contains("7391"), "a token has no debug form");
    });
}

/// What was kept, through the same rules into an empty store, gives the same golden records; and what is kept is what
/// came, byte for byte.
#[test]
fn inbox_is_immutable() {
    on_both_stores(|store| {
        let first = kit::engine(store);
        let sent: Vec<inbox::InboxItem> = (0..40)
            .map(|at| {
                let (system, person) = (["a", "b", "c"][at % 3], at % 7);
                let body = json!({"name": format!("客户{person}"), "email": format!("P{person}@Example.com "),
                    "title": format!("t{at}"), "tags": [format!("g{}", at % 4)]});
                kit::record(&format!("{system}/customers/{person}"), i64::try_from(at * 31 % 17).unwrap_or(0), &body)
            })
            .collect();
        for part in sent.chunks(9) {
            kit::feed(&first, part);
        }
        let kept = first.store.read(|tx| inbox::after(tx, 0, 100)).expect("the inbox");
        let bodies = |items: &[inbox::InboxItem]| items.iter().map(|it| it.body.clone()).collect::<Vec<_>>();
        assert_eq!(bodies(&kept), bodies(&sent));
        let folder = tempfile::tempdir().expect("a folder");
        let empty = Store::open(&format!("sqlite:{}", folder.path().join("again.db").display())).expect("a store");
        let second = kit::engine(empty);
        kit::feed(&second, &kept);
        assert_eq!(kit::customers(&second), kit::customers(&first));
        assert_eq!(kit::customers(&first).len(), 7);
    });
}
