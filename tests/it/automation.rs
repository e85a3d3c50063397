//! Automation rules, end to end: a deal that grows is told to the director in WeCom and makes a follow-up, once, whatever
//! is repeated, lost or replayed; loops end; a dry run says what then happens.

mod notices;
mod office;

use std::sync::{Arc, Mutex};

use huiliu_core::automation::{self, Fired, Replayed, Tried, Verdict};
use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::Network;
use huiliu_core::explain;
use huiliu_core::pipeline::{automate, plan, process};
use huiliu_core::secrets::Secret;
use huiliu_core::store::firings::State;
use huiliu_core::store::{Store, deliveries, goldens, inbox};
use huiliu_mappings::automation::Rules;
use huiliu_mappings::model::Model;
use huiliu_rest::sign;
use huiliu_tests::receiver::Receiver;
use huiliu_twins::wecom::{AGENT_ID, CALLBACK_TOKEN, CORP_ID, CORP_SECRET, ENCODING_AES_KEY, WecomTwin};
use serde_json::json;

use crate::flow::{Hub, on_both_stores, shipped};
use office::Office;

/// The issue's own example.
const BIG_DEAL: &str = r#"
[big_deal]
entity = "deal"
when = 'amount > 500000 CNY and customer.industry = "manufacturing"'
do = [
    { notify = "wecom", to = ["director"], text = "{customer.legal_name}: {name}, {amount}" },
    { create = "crm.tasks", fields = { subject = "Follow up {name}", kind = "call", body = "{id}" } },
]
"#;

const SIGNING: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A hub over an office and whatever else rules reach.
struct Firm {
    office: Arc<Office>,
    hub: Hub,
}

impl Firm {
    async fn open(store: Store, rules: &str, others: impl IntoIterator<Item = Connection>) -> Self {
        let clock = Clock::System;
        let office = Office::open();
        let hub = Hub::live(store, clock.clone(), [office.connection(&clock)].into_iter().chain(others)).await;
        let hub = with(&hub, rules).await;
        Self { office, hub }
    }

    async fn settle(&self) {
        assert_eq!(self.hub.settle(true).await, Vec::<String>::new());
    }

    /// A company, and a deal with it.
    fn company(&self, industry: &str) {
        let company = json!({ "name": "甲有限公司", "industry": industry, "tax": "91310000MA1K35X17N" });
        self.office.edit("customers/c1", &company);
    }

    fn deal(&self, amount: &str) {
        let deal = json!({ "name": "年度框架", "amount": amount, "currency": "CNY", "customer": "c1" });
        self.office.edit("deals/d1", &deal);
    }

    /// What rules did because of the first golden record of an entity.
    async fn fired(&self, entity: &'static str) -> Vec<Fired> {
        let first = self.hub.read(move |tx| Ok(goldens::after(tx, entity, 0, 1)?[0].id)).await;
        let engine = self.hub.engine.clone();
        let told = tokio::task::spawn_blocking(move || explain::customer(&engine, first));
        told.await.expect("no panic").expect("the store works").expect("it is there").rules
    }

    async fn states(&self, entity: &'static str) -> Vec<State> {
        self.fired(entity).await.into_iter().map(|it| it.firing.state).collect()
    }

    /// A dry run over all that ever changed.
    async fn tried(&self, rule: &'static str) -> Tried {
        let engine = self.hub.engine.clone();
        let tried = tokio::task::spawn_blocking(move || {
            automation::since(&engine, engine.automation.rule(rule).expect("a rule"), 0, 100)
        });
        tried.await.expect("no panic").expect("the store works")
    }

    async fn replay(&self, rule: &'static str) -> Replayed {
        let engine = self.hub.engine.clone();
        let done = tokio::task::spawn_blocking(move || {
            automation::replay(&engine, engine.automation.rule(rule).expect("a rule"), 0)
        });
        done.await.expect("no panic").expect("the store works")
    }
}

fn rules(text: &str) -> Rules {
    Rules::parse("rules/automation.toml", text, &Model::shipped()).expect("the rules are right")
}

/// The hub with these rules; they are known before anything happens.
async fn with(hub: &Hub, text: &str) -> Hub {
    let rules = rules(text);
    assert_eq!(automate::check(&hub.engine, &rules), []);
    let engine = hub.engine.automated(rules);
    let here = engine.clone();
    tokio::task::spawn_blocking(move || automate::batch(&here)).await.expect("no panic").expect("the store works");
    Hub { engine }
}

async fn wecom() -> (Arc<WecomTwin>, Connection) {
    let twin = WecomTwin::start().await;
    twin.add_member("director");
    let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", twin.base_url()), ("agent_id", AGENT_ID.to_string())];
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    let connection = shipped("wecom", "wecom", &settings, &secrets, &Clock::System);
    (twin, connection)
}

fn told(number: i64, amount: &str) -> (String, String) {
    ("director".to_owned(), format!("甲有限公司: 年度框架, {amount}.00 CNY\n#{number}"))
}

#[test]
fn a_big_deal_with_a_manufacturer_is_told_to_the_director_and_followed_up() {
    on_both_stores(async |store| {
        let (twin, connection) = wecom().await;
        let firm = Firm::open(store, BIG_DEAL, [connection]).await;
        firm.settle().await;
        firm.company("manufacturing");
        firm.deal("400000");
        firm.settle().await;
        assert_eq!(twin.messages(), [], "it is not big yet");

        // It grows while WeCom and the office lose their answers: both are asked again, and nothing is done twice.
        twin.lose_reply("message/send");
        firm.office.lose_answer();
        firm.deal("600000");
        firm.settle().await;
        assert_eq!(twin.messages(), [told(1, "600000")]);
        let deal = firm.hub.read(|tx| Ok(goldens::after(tx, "deal", 0, 1)?[0].id)).await;
        let task = json!({ "subject": "Follow up 年度框架", "kind": "call", "note": deal.to_string() });
        assert_eq!(firm.office.all("tasks"), [task]);

        // What it did is told beside the deal.
        let fired = firm.fired("deal").await;
        assert_eq!((fired.len(), fired[0].firing.rule.as_str(), fired[0].firing.depth), (1, "big_deal", 0));
        let done: Vec<_> =
            fired[0].actions.iter().map(|it| (it.word.as_str(), it.target.as_str(), it.state.as_deref())).collect();
        assert_eq!(done, [("notify", "wecom", Some("done")), ("create", "crm.tasks", Some("done"))]);
        assert_eq!(fired[0].actions[1].made.as_deref(), Some("t1"));

        // Echoes, repeats, and a deal that is big already: nothing new. What was small again and grows again is new.
        firm.office.edit("deals/d1", &json!({ "stage": "won" }));
        firm.settle().await;
        firm.deal("700000");
        firm.settle().await;
        assert_eq!(twin.messages().len(), 1);
        firm.deal("300000");
        firm.settle().await;
        firm.deal("800000");
        firm.settle().await;
        assert_eq!(twin.messages(), [told(1, "600000"), told(2, "800000")]);
        assert_eq!(firm.office.all("tasks").len(), 2);

        // A dry run over the past says the same, and a replay has nothing to do.
        let tried = firm.tried("big_deal").await;
        assert_eq!(tried.would.iter().map(|it| it.verdict).collect::<Vec<_>>(), [Verdict::Fired, Verdict::Fired]);
        let texts: Vec<_> =
            tried.would.iter().map(|it| it.actions[0].body.clone().expect("a message")["text"].clone()).collect();
        assert_eq!(texts, ["甲有限公司: 年度框架, 600000.00 CNY", "甲有限公司: 年度框架, 800000.00 CNY"]);
        let done = firm.replay("big_deal").await;
        assert_eq!((done.fired, done.already), (0, 2));
        firm.settle().await;
        assert_eq!((twin.messages().len(), firm.office.all("tasks").len()), (2, 2));
        assert_eq!(firm.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    });
}

#[test]
fn a_first_complete_read_fires_nothing_and_a_replay_does_what_the_dry_run_said_once() {
    on_both_stores(async |store| {
        let (twin, connection) = wecom().await;
        let firm = Firm::open(store, BIG_DEAL, [connection]).await;
        firm.company("manufacturing");
        firm.deal("600000");
        firm.settle().await;
        assert_eq!((twin.messages().len(), firm.states("deal").await), (0, vec![State::FirstRead]));

        let tried = firm.tried("big_deal").await;
        assert_eq!((tried.met, tried.would[0].verdict), (1, Verdict::FirstRead));
        let done = firm.replay("big_deal").await;
        assert_eq!((done.fired, done.already), (1, 0));
        firm.settle().await;
        let said = tried.would[0].actions[0].body.as_ref().expect("a message")["text"].as_str().expect("a text");
        assert_eq!(twin.messages(), [("director".to_owned(), format!("{said}\n#1"))], "as the dry run said");
        let task = tried.would[0].actions[1].body.clone().expect("a task");
        assert_eq!(firm.office.all("tasks"), [task]);
        assert_eq!(firm.states("deal").await, [State::Fired]);

        let again = firm.replay("big_deal").await;
        assert_eq!((again.fired, again.already), (0, 1));
        firm.settle().await;
        assert_eq!((twin.messages().len(), firm.office.all("tasks").len()), (1, 1));
    });
}

#[test]
fn what_a_deal_refers_to_may_make_the_condition_true() {
    on_both_stores(async |store| {
        let (twin, connection) = wecom().await;
        let firm = Firm::open(store, BIG_DEAL, [connection]).await;
        firm.settle().await;
        // The deal is there before its company.
        firm.deal("600000");
        firm.settle().await;
        assert_eq!(twin.messages().len(), 0);
        firm.company("manufacturing");
        firm.settle().await;
        assert_eq!(twin.messages(), [told(1, "600000")]);

        // The company leaves the industry and comes back to it.
        firm.company("retail");
        firm.settle().await;
        firm.company("manufacturing");
        firm.settle().await;
        assert_eq!(twin.messages(), [told(1, "600000"), told(2, "600000")]);

        // A deal that belongs to nobody is given to the company: none of its fields changes.
        firm.office.edit("deals/d2", &json!({ "name": "年度框架", "amount": "900000", "currency": "CNY" }));
        firm.settle().await;
        assert_eq!(twin.messages().len(), 2);
        firm.office.edit("deals/d2", &json!({ "customer": "c1" }));
        firm.settle().await;
        assert_eq!(twin.messages().last(), Some(&told(3, "900000")));
    });
}

const LOOPS: &str = r#"
[again]
entity = "interaction"
on = "created"
do = [{ create = "crm.tasks", fields = { subject = "again {subject}" } }]
[vip]
entity = "deal"
when = 'amount > 500000 CNY'
each = true
do = [{ tag = "大客户", on = "customer" }]
[tagged]
entity = "customer"
each = true
when = 'tags contains "大客户"'
do = [{ tag = "大客户" }, { tag = "重点" }]
"#;

#[test]
fn rules_that_lead_to_each_other_end() {
    on_both_stores(async |store| {
        let firm = Firm::open(store, LOOPS, []).await;
        firm.settle().await;
        firm.office.edit("tasks/t0", &json!({ "subject": "call" }));
        firm.settle().await;
        let again = |count: usize| format!("{}call", "again ".repeat(count));
        let mut subjects: Vec<String> =
            firm.office.all("tasks").iter().map(|it| it["subject"].as_str().unwrap_or_default().to_owned()).collect();
        subjects.sort_by_key(String::len);
        assert_eq!(subjects, [0, 1, 2, 3, 4].map(again), "the fifth led to nothing");
        let all = firm.hub.read(|tx| goldens::after(tx, "interaction", 0, 10)).await;
        let engine = firm.hub.engine.clone();
        let last = all.iter().find(|it| it.fields["subject"] == again(4)).expect("the last one").id;
        let told = tokio::task::spawn_blocking(move || explain::customer(&engine, last)).await.expect("no panic");
        let told = told.expect("the store works").expect("it is there").rules;
        assert_eq!((told[0].firing.state, told[0].firing.depth, told[0].actions.len()), (State::TooDeep, 4, 0));

        // A tag is a change, too; the rule that it wakes finds it there, and rests.
        firm.company("retail");
        firm.deal("600000");
        firm.settle().await;
        let company = firm.hub.goldens("customer").await.remove(0).0;
        assert_eq!(company["tags"], json!(["大客户", "重点"]));
        assert_eq!(firm.office.all("customers")[0]["tags"], json!(["大客户", "重点"]), "it is carried to the systems");
        let depths: Vec<i64> = firm.fired("customer").await.iter().map(|it| it.firing.depth).collect();
        assert_eq!(depths, [1, 2]);

        // What a person adds stands beside it, and what the hub added stays.
        firm.office.edit("customers/c1", &json!({ "tags": ["大客户", "老客户", "重点"] }));
        firm.settle().await;
        assert_eq!(firm.hub.goldens("customer").await.remove(0).0["tags"], json!(["大客户", "老客户", "重点"]));
    });
}

const EVENTS: &str = r#"
[moved]
entity = "deal"
on = ["changed:stage"]
do = [{ webhook = "events" }]
"#;

async fn events(network: Network) -> (Receiver, Connection) {
    let receiver = Receiver::start().await;
    let secrets = [("webhook", SIGNING), ("signing", SIGNING)];
    let mut connection = shipped("events", "webhook", &[("url", receiver.url())], &secrets, &Clock::System);
    connection.cx.network = network;
    (receiver, connection)
}

#[test]
fn an_event_is_signed_keeps_its_id_and_tells_what_changed() {
    on_both_stores(async |store| {
        let (receiver, connection) = events(Network::Private).await;
        let firm = Firm::open(store, EVENTS, [connection]).await;
        firm.settle().await;
        firm.company("retail");
        firm.deal("600000");
        firm.settle().await;
        assert_eq!(receiver.calls().len(), 0, "a new deal did not move");
        receiver.answer(500);
        firm.office.edit("deals/d1", &json!({ "stage": "won" }));
        firm.settle().await;
        let calls = receiver.calls();
        assert_eq!(calls.len(), 2, "it was tried again");
        assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
        let stamp = calls[1].header("webhook-timestamp").parse().expect("seconds");
        let signature =
            sign::standard_webhook(&Secret::new(SIGNING), calls[1].header("webhook-id"), stamp, &calls[1].body);
        assert_eq!(calls[1].header("webhook-signature"), signature.expect("a signature"));
        let event = calls[1].event();
        let data = &event["data"];
        assert_eq!(
            (&event["type"], &data["rule"], &data["changed"]),
            (&json!("rule.fired"), &json!("moved"), &json!(["stage"]))
        );
        assert_eq!(data["fields"]["amount"], json!({ "amount": "600000.00", "currency": "CNY" }));
        firm.deal("700000");
        firm.settle().await;
        assert_eq!(receiver.calls().len(), 2, "the amount alone is not what it listens to");
    });
}

#[test]
fn a_private_address_is_refused_and_a_person_told() {
    on_both_stores(async |store| {
        let (receiver, connection) = events(Network::Public).await;
        let firm = Firm::open(store, EVENTS, [connection]).await;
        firm.settle().await;
        firm.deal("600000");
        firm.settle().await;
        firm.office.edit("deals/d1", &json!({ "stage": "won" }));
        firm.settle().await;
        assert_eq!(receiver.calls().len(), 0);
        let letters = firm.hub.read(|tx| inbox::dead_letters(tx, 10)).await;
        assert_eq!((letters.len(), letters[0].stage.as_str(), letters[0].connection.as_str()), (1, "push", "events"));
        assert!(letters[0].reason.contains("private"), "{}", letters[0].reason);
        assert_eq!(firm.fired("deal").await[0].actions[0].state.as_deref(), Some("dead"));
    });
}

#[test]
fn what_was_enqueued_before_a_stop_is_sent_after_it_under_the_same_key() {
    on_both_stores(async |store| {
        let (receiver, connection) = events(Network::Private).await;
        let firm = Firm::open(store, EVENTS, [connection]).await;
        firm.settle().await;
        firm.deal("600000");
        firm.settle().await;
        firm.office.edit("deals/d1", &json!({ "stage": "won" }));
        firm.hub.pull().await;
        // Everything but the sending; then another process goes on with the same store.
        let engine = firm.hub.engine.clone();
        let thought = tokio::task::spawn_blocking(move || {
            while process::batch(&engine)?.items + plan::batch(&engine)?.0 + automate::batch(&engine)?.0 > 0 {}
            engine.store.read(deliveries::counts)
        });
        let counts = thought.await.expect("no panic").expect("the store works");
        assert_eq!(counts, [("events".to_owned(), "pending".to_owned(), 1)]);
        let connections: Vec<Connection> = firm.hub.engine.connections.values().cloned().collect();
        let hub = Hub::live(firm.hub.engine.store.clone(), Clock::System, connections).await;
        let after = Firm { office: firm.office.clone(), hub: with(&hub, EVENTS).await };
        after.settle().await;
        assert_eq!(receiver.calls().len(), 1);
        assert_eq!(after.states("deal").await, [State::Fired]);
    });
}

#[test]
fn mistakes_beside_the_connections_name_line_and_the_nearest_word() {
    let (told, runtime) = (Mutex::new(Vec::new()), tokio::runtime::Runtime::new().expect("a runtime"));
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    runtime.block_on(async {
        let office = Office::open();
        let clock = Clock::System;
        let mut shut = office.connection(&clock);
        shut.name = "shut".into();
        shut.writes = false;
        let hub = Hub::live(store, clock.clone(), [office.connection(&clock), shut]).await;
        for action in [
            "{ create = 'crn.tasks', fields = { subject = 'x' } }",
            "{ create = 'crm.task', fields = { subject = 'x' } }",
            "{ create = 'crm.deals', fields = { name = 'x' } }",
            "{ create = 'crm.tasks', fields = { subjct = 'x' } }",
            "{ create = 'crm.tasks', fields = { subject = 'x', kind = 'cal' } }",
            "{ create = 'shut.tasks', fields = { subject = 'x' } }",
            "{ notify = 'crm', to = 'x', text = 'y' }",
            "{ webhook = 'crm' }",
        ] {
            let text = format!("[a]\nentity = 'deal'\ndo = [{action}]\n");
            let mistakes = automate::check(&hub.engine, &rules(&text));
            told.lock().expect("no panic").push(mistakes[0].to_string());
        }
    });
    let told = told.into_inner().expect("no panic");
    let expected = [
        "no connection is called `crn`; did you mean `crm`?",
        "`crm` has no stream `task`; did you mean `tasks`?",
        "nothing can be made in the stream `deals` of `crm`",
        "the mapping of `crm.tasks` writes no field `subjct`; did you mean `subject`?",
        "kind: ",
        "the connection `shut` may not be written (writes = false in huiliu.toml)",
        "`notify` cannot go to `crm`: the connector `kit` has no stream `notices` to send to",
        "`webhook` cannot go to `crm`: the connector `kit` has no stream `events` to send to",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(&format!("rules/automation.toml:3:7: {expected}")), "{told}");
    }
}
