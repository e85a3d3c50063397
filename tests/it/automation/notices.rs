//! How people are told: by mail, and by a robot of a DingTalk group.

use std::sync::{Arc, Mutex};

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::secrets::Secret;
use huiliu_core::store::inbox;
use huiliu_rest::sign;
use huiliu_twins::mailbox::MailboxTwin;
use serde_json::{Value, json};

use super::Firm;
use crate::flow::{on_both_stores, shipped};

const MAILS: &str = r#"
[lost]
entity = "deal"
when = 'stage = "lost"'
do = [{ mail = "mailbox", to = ["{owner}", "sales@example.com"], subject = "{name}", text = "{customer.legal_name} {amount}" }]
"#;

#[test]
fn a_mail_goes_to_whom_the_deal_names() {
    on_both_stores(async |store| {
        let twin = MailboxTwin::start().await.expect("a port");
        let secrets = twin.secrets();
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mailbox = shipped("mailbox", "email", &twin.settings(), &secrets, &Clock::System);
        let firm = Firm::open(store, MAILS, [mailbox]).await;
        firm.settle().await;
        firm.company("retail");
        firm.deal("600000");
        firm.office.edit("deals/d1", &json!({ "owner": "zhang@example.com" }));
        firm.settle().await;
        twin.lose_replies(1);
        firm.office.edit("deals/d1", &json!({ "stage": "lost" }));
        firm.settle().await;
        let sent = twin.sent();
        let raw: Vec<String> = sent.iter().map(|it| String::from_utf8_lossy(&it.raw).into_owned()).collect();
        let id = |raw: &String| raw.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned);
        assert!(sent.iter().all(|it| it.to == ["zhang@example.com", "sales@example.com"]));
        assert!(!raw.is_empty() && raw.iter().all(|one| id(one) == id(&raw[0])), "a repeat has the same Message-ID");

        // A deal whose owner is no address: nothing is sent, and a person is told why.
        let before = twin.sent().len();
        firm.office.edit("deals/d1", &json!({ "stage": "open", "owner": "zhang" }));
        firm.settle().await;
        firm.office.edit("deals/d1", &json!({ "stage": "lost" }));
        firm.settle().await;
        let letters = firm.hub.read(|tx| inbox::dead_letters(tx, 10)).await;
        assert_eq!((twin.sent().len(), letters.len(), letters[0].stage.as_str()), (before, 1, "push"));
    });
}

const ROBOT: &str = r#"
[big]
entity = "deal"
when = 'amount > 500000 CNY'
do = [{ notify = "robot", to = ["13800138000"], text = "{name}" }]
"#;

type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// What a robot is sent, with the answers it gives in turn.
async fn robot(answers: &'static [&'static str]) -> (Heard, Connection) {
    let heard = Heard::default();
    let (taken, listener) = (heard.clone(), tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let address = listener.local_addr().expect("an address");
    let take = move |uri: axum::http::Uri, body: axum::body::Bytes| {
        let taken = taken.clone();
        async move {
            let mut taken = taken.lock().expect("no panic");
            taken.push((uri.to_string(), serde_json::from_slice(&body).expect("JSON")));
            answers.get(taken.len() - 1).unwrap_or(&r#"{"errcode":0,"errmsg":"ok"}"#).to_owned()
        }
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(take)).await });
    let settings = [("base_url", format!("http://{address}"))];
    let secrets = [("access_token", "t0ken"), ("sign", "SECthis is secret")];
    (heard, shipped("robot", "dingtalk_robot", &settings, &secrets, &Clock::System))
}

#[test]
fn a_robot_tells_its_group_and_is_asked_again_when_it_is_busy() {
    on_both_stores(async |store| {
        let (heard, connection) = robot(&[r#"{"errcode":-1,"errmsg":"system busy"}"#]).await;
        let firm = Firm::open(store, ROBOT, [connection]).await;
        firm.settle().await;
        firm.deal("600000");
        firm.settle().await;
        let calls = heard.lock().expect("no panic").clone();
        assert_eq!(calls.len(), 2);
        let (uri, body) = &calls[1];
        let query = url(uri);
        assert_eq!(query[0], ("access_token".to_owned(), "t0ken".to_owned()));
        let stamp: i64 = query[1].1.parse().expect("milliseconds");
        let signature = sign::timestamp_signature(&Secret::new("SECthis is secret"), stamp).expect("a signature");
        assert_eq!((query[1].0.as_str(), &query[2]), ("timestamp", &("sign".to_owned(), signature)));
        assert!(uri.starts_with("/robot/send?"), "{uri}");
        let at = json!({ "atMobiles": ["13800138000"], "atUserIds": ["13800138000"] });
        assert_eq!(*body, json!({ "msgtype": "text", "text": { "content": "年度框架\n#1" }, "at": at }));
    });
}

#[test]
fn a_robot_that_refuses_is_told_to_a_person() {
    on_both_stores(async |store| {
        let (heard, connection) = robot(&[r#"{"errcode":400105,"errmsg":"unsupported msgtype"}"#]).await;
        let firm = Firm::open(store, ROBOT, [connection]).await;
        firm.settle().await;
        firm.deal("600000");
        firm.settle().await;
        assert_eq!(heard.lock().expect("no panic").len(), 1);
        let letters = firm.hub.read(|tx| inbox::dead_letters(tx, 10)).await;
        assert!(letters[0].reason.contains("unsupported msgtype"), "{}", letters[0].reason);
    });
}

/// The pairs of a query, decoded.
fn url(uri: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://robot{uri}")).expect("a URL");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}
