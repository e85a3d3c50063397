//! A thousand creates that were stored and then cut, with the hub killed as well: a thousand records. Once where the
//! system is told a value by which it knows a repeat (contacts, by e-mail address), once where all there is is a search
//! whose index lags behind by 30 s (companies). The hub runs in process on a virtual clock: it is killed by dropping what
//! it was about to do, and opening the store anew; `hub/tests/crash` kills the real program.

use std::collections::BTreeSet;

use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, deliveries, goldens, inbox, streams};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, record};
use huiliu_tests::postgres;
use huiliu_twins::front::{Fate, Front};
use huiliu_twins::hubspot::HubspotTwin;
use serde_json::json;

use crate::flow::shipped;

/// Trials of each kind on each store: a thousand of each kind together.
const TRIALS: usize = 500;

/// What is made is found by a search so much later.
const LAG_MS: i64 = 30_000;

const SOURCE: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
phone = "/phone"
[customers.fields]
kind = "/kind"
legal_name = "/company"
family_name = "/family"
given_name = "/given"
emails.main = "/email"
phones.work = "/phone"
"#;

struct Desk {
    url: String,
    kind: &'static str,
    twin: HubspotTwin,
    front: Front,
    clock: Clock,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

fn engine(url: &str, kind: &str, base_url: String, twin: &HubspotTwin, clock: &Clock) -> Engine {
    let store = Store::open(url).expect("the store opens");
    let mut settings = twin.settings("https://hub.example");
    settings[0].1 = base_url;
    let mut crm = shipped("crm", "hubspot", &settings, &twin.secrets(), clock);
    crm.creates.insert(kind.to_owned());
    let mut source = kit::connection("a", clock, None);
    source.lenses = kit::lenses(SOURCE);
    Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), [source, crm], clock.clone())
}

impl Desk {
    fn open(url: String, kind: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (twin, front) = runtime.block_on(async {
            let twin = HubspotTwin::start().await.expect("a port");
            let front = Front::of(&twin.url()).await;
            (twin, front)
        });
        let clock = Clock::manual(DAY_ONE_US);
        twin.set_now_ms(Some(DAY_ONE_US / 1_000));
        twin.set_index_lag_ms(LAG_MS);
        let base_url = front.instead_of(&twin.settings("")[0].1);
        let engine = engine(&url, kind, base_url, &twin, &clock);
        let live = engine.store.write(|tx| {
            streams::introduce(tx, "crm", "hubspot", DAY_ONE_US)?;
            streams::set_state(tx, "crm", State::Live, None, DAY_ONE_US)
        });
        live.unwrap();
        let desk = Self { url, kind, twin, front, clock, engine, runtime };
        desk.pull();
        desk
    }

    fn pull(&self) {
        let (engine, crm) = (&self.engine, &self.engine.connections["crm"]);
        let pulled = self.runtime.block_on(pull::stream(engine, crm, &self.kind.into(), 1)).unwrap();
        assert_eq!(pulled.error, None);
        while process::batch(engine).unwrap().items > 0 {}
        while plan::batch(engine).unwrap().0 > 0 {}
    }

    /// Customers arrive, and each is to be made in the CRM.
    fn arrive(&self, count: usize) {
        let items: Vec<_> = (0..count)
            .map(|number| {
                let body = if self.kind == "companies" {
                    let name = format!("{:x}贸易有限公司", 0x9e37_79b9_u64.wrapping_mul(number as u64 + 1));
                    json!({ "kind": "organization", "company": name, "phone": format!("+861064{number:06}") })
                } else {
                    let email = format!("n{number}@example.com");
                    json!({ "kind": "person", "family": "N", "given": format!("N{number}"), "email": email })
                };
                record(&format!("a/customers/{number}"), 0, &body)
            })
            .collect();
        kit::feed(&self.engine, &items);
        while plan::batch(&self.engine).unwrap().0 > 0 {}
        let waiting = self.engine.store.read(|tx| Ok(deliveries::counts(tx)?.into_iter().map(|it| it.2).sum::<i64>()));
        assert_eq!(waiting.unwrap(), i64::try_from(count).unwrap(), "each is planned once");
    }

    /// Sends what is due; if `dies`, the hub is killed once so many more records are there.
    fn push(&mut self, dies: Option<usize>) -> usize {
        let (engine, crm) = (self.engine.clone(), self.engine.connections["crm"].clone());
        let Some(more) = dies else { return self.runtime.block_on(push::batch(&engine, &crm)).unwrap() };
        let there = self.records() + more;
        let task = self.runtime.spawn(async move { push::batch(&engine, &crm).await });
        while self.records() < there && !task.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        task.abort();
        let _ = self.runtime.block_on(task);
        self.restart();
        more
    }

    /// The store is opened anew, as after a kill.
    fn restart(&mut self) {
        let base_url = self.front.instead_of(&self.twin.settings("")[0].1);
        self.engine = engine(&self.url, self.kind, base_url, &self.twin, &self.clock);
        push::recover(&self.engine).unwrap();
    }

    fn records(&self) -> usize {
        self.twin.snapshot(self.kind).as_object().map_or(0, serde_json::Map::len)
    }

    fn undone(&self) -> usize {
        let counts = self.engine.store.read(deliveries::counts).unwrap();
        counts.iter().filter(|it| it.1 != "done").map(|it| usize::try_from(it.2).unwrap()).sum()
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
        self.twin.set_now_ms(Some(self.clock.now_us() / 1_000));
    }
}

/// Whatever makes a record is stored and then cut, and every third batch the hub dies in the middle of it.
fn trials(url: String, kind: &'static str) {
    let mut desk = Desk::open(url, kind);
    desk.arrive(TRIALS);
    // What makes a record carries its properties; a search names those that it wants in a list.
    (0..TRIALS).for_each(|_| desk.front.meet_with("\"properties\":{", Fate::LoseAnswer));
    let mut batch = 0;
    loop {
        batch += 1;
        let dies = (batch % 3 == 0).then_some(1 + batch % 7);
        if desk.push(dies) == 0 {
            break;
        }
    }
    assert_eq!(desk.undone(), TRIALS, "nobody knows what was stored");
    for second in 0..600 {
        if desk.undone() == 0 {
            break;
        }
        desk.wait(1);
        // Dying while it looks is no worse.
        let dies = (second == 40 || second == 65).then_some(0);
        while desk.push(dies) > 0 && dies.is_none() {}
        assert!(desk.records() <= TRIALS, "{second} s later a second one was made");
    }
    assert_eq!((desk.undone(), desk.records()), (0, TRIALS));
    // A batch of contacts is one call; each company is a call of its own, and each was cut.
    assert!(kind == "contacts" || desk.front.waiting() == 0);
    let all = desk.twin.snapshot(kind);
    let names = if kind == "companies" { "name" } else { "email" };
    let unique: BTreeSet<&str> = all.as_object().unwrap().values().filter_map(|it| it[names].as_str()).collect();
    assert_eq!(unique.len(), TRIALS);
    // What comes back is what was sent: nobody is made of it, and nothing is written.
    let writes = desk.twin.writes();
    desk.wait(3_600);
    desk.pull();
    assert_eq!(desk.push(None), 0);
    let (customers, letters) = desk
        .engine
        .store
        .read(|tx| Ok((goldens::after(tx, "customer", 0, 10_000)?.len(), inbox::dead_letters(tx, 10)?)))
        .unwrap();
    assert_eq!((customers, letters.len(), desk.twin.writes()), (TRIALS, 0, writes));
}

fn on_both_stores_at_once(kind: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite:{}", folder.path().join("hub.db").display());
    std::thread::scope(|both| {
        let one = both.spawn(|| trials(sqlite, kind));
        let other = both.spawn(|| trials(postgres::database(), kind));
        one.join().expect("on SQLite");
        other.join().expect("on Postgres");
    });
}

#[test]
fn a_thousand_cut_creates_make_a_thousand_contacts() {
    on_both_stores_at_once("contacts");
}

#[test]
fn a_thousand_cut_creates_make_a_thousand_companies_though_the_search_lags() {
    on_both_stores_at_once("companies");
}

/// What keeps them apart is the wait: an index that lags longer than the manifest says would show it.
#[test]
fn without_the_wait_there_would_be_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut desk = Desk::open(format!("sqlite:{}", folder.path().join("hub.db").display()), "companies");
    desk.twin.set_index_lag_ms(10 * 60_000);
    desk.arrive(1);
    desk.front.meet(Fate::LoseAnswer);
    desk.push(None);
    desk.wait(59);
    assert_eq!((desk.push(None), desk.records()), (0, 1), "it waits");
    desk.wait(2);
    desk.push(None);
    assert_eq!(desk.records(), 2);
}
