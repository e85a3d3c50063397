//! A form on somebody's web page: its HTML from the command line, and its visitors in a real browser.

use serde_json::{Value, json};

use crate::kit::{Folder, browse, free_port, until};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const CONSENT: &str = "Write me about pumps";

/// A deployment with a form for the pages of this shop, and its port.
fn deployment(shop: u16) -> (Folder, u16) {
    let port = free_port();
    let folder = Folder::new(&format!(
        "[hub]\nlisten = '127.0.0.1:{port}'\n[connections.contact]\nconnector = 'webform'\n\
         config.origins = 'http://localhost:{shop}'\nconfig.title = 'Ask us 咨询'\nconfig.consents = 'email'\n\
         config.consent_text = '{CONSENT}'\nconfig.consent_version = 'v3'\n\
         [connections.shop]\nconnector = 'shopify'\nconfig.shop = 'demo'\n"
    ));
    (folder, port)
}

#[test]
fn the_html_is_printed_in_both_languages() {
    let (folder, _) = deployment(80);
    let url = ["--url", "https://hub.example.com/"];
    let form = |before: &[&str], after: &[&str]| folder.run(&[before, &["webform", "contact"], &url, after].concat());
    let told = form(&[], &[]).err();
    assert!(told.contains("secret.form") && told.contains("huiliu connect contact"), "{told}");
    let told = form(&["--lang", "zh"], &[]).err();
    assert!(told.contains("没有设置") && told.contains("huiliu connect contact"), "{told}");
    folder.tell(&["secret", "contact", "form"], "short\n").out();
    assert!(form(&[], &[]).err().contains("shorter than 16 characters"));
    assert!(form(&["--lang", "zh"], &[]).err().contains("少于 16 个字符"));
    folder.tell(&["secret", "contact", "form"], &format!("{KEY}\n")).out();

    let english = form(&[], &[]).out();
    assert!(
        english.contains("E-mail *") && english.contains(">Send</button>") && english.contains(CONSENT),
        "{english}"
    );
    assert!(
        english.contains("\"https://hub.example.com/hooks/contact\"") && english.contains("<noscript>"),
        "{english}"
    );
    let chinese = form(&["--lang", "zh"], &[]).out();
    assert!(chinese.contains("电子邮箱 *") && chinese.contains(">提交</button>"), "{chinese}");
    assert!(!english.contains(KEY) && !chinese.contains(KEY), "the key stays here");
    // The frame's language is the visitor's.
    let frame = form(&[], &["--frame"]).out();
    assert!(
        frame.starts_with("<iframe src=\"https://hub.example.com/hooks/contact\" title=\"Ask us 咨询\""),
        "{frame}"
    );
    assert!(!frame.contains("<script") && frame == form(&["--lang", "zh"], &["--frame"]).out(), "{frame}");

    let none = |args: &[&str]| folder.run(args).err();
    assert!(none(&["webform", "shop", "--url", "https://x.example"]).contains("is no web form"));
    assert!(none(&["--lang", "zh", "webform", "shop", "--url", "https://x.example"]).contains("不是网页表单"));
    assert!(none(&["webform", "contact", "--url", "ftp://x.example"]).contains("write https://"));
    assert!(none(&["--lang", "zh", "webform", "contact", "--url", "x"]).contains("请以 https:// 开头"));
}

/// Names and values of a customer as `show --json` tells them.
fn shown(folder: &Folder, whom: &str) -> (Value, Value) {
    let told = folder.run(&["show", whom, "--json"]).json();
    let values = told["values"].as_array().expect("a list").iter();
    let values = values.map(|it| (it["field"].as_str().expect("a name").to_owned(), it["value"].clone()));
    (Value::Object(values.collect()), told["timeline"].clone())
}

#[test]
fn visitors_write_and_bots_are_kept_out() {
    let shop = free_port();
    let (folder, port) = deployment(shop);
    folder.tell(&["secret", "contact", "form"], &format!("{KEY}\n")).out();
    let url = format!("http://127.0.0.1:{port}");
    let pasted = |more: &[&str]| {
        let html =
            |lang: &str| folder.run(&[&["--lang", lang, "webform", "contact", "--url", &url], more].concat()).out();
        json!({"en": html("en"), "zh": html("zh")})
    };
    let (script, frame) = (pasted(&[]), pasted(&["--frame"]));
    let _serving = folder.serve(port, &[]);
    let shots = std::env::var("HUILIU_SHOTS").ok();
    let told = browse("webform/visit.mjs", &json!({"port": shop, "script": script, "frame": frame, "shots": shots}));
    let problems: Vec<&str> = told["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let seen = &told["seen"];
    let stops = json!(["name", "email", "phone", "company", "message", "consent_email", "BUTTON"]);
    assert_eq!((&seen["stops"], &seen["framedStops"]), (&stops, &stops), "the trap is no stop of the keyboard");
    assert_eq!(seen["sent"], "Thank you. We have received it.");
    assert_eq!(seen["framed"], "提交成功，谢谢！");
    assert_eq!(seen["again"], "We have this already. To send another, reload the page.");
    assert_eq!(seen["greedy"], seen["sent"], "a bot learns nothing");
    assert!(seen["hasty"].as_str().is_some_and(|it| it.contains("faster than anybody can write")), "{seen}");
    assert_eq!((&seen["strangersForm"], &seen["strangersFrame"]), (&json!(false), &json!(0)));
    assert_eq!(seen["quiet"], "post");

    // Two people wrote, and nobody else.
    let known = until("both are processed", || {
        let known = folder.run(&["export"]).out();
        (known.lines().count() >= 2).then_some(known)
    });
    assert_eq!(known.lines().count(), 2, "{known}");
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).expect("the store");
    let mut kept = store.prepare("SELECT body FROM inbox WHERE connection = 'contact' ORDER BY position").expect("sql");
    let kept: Vec<Vec<u8>> =
        kept.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect();
    let kept: Vec<Value> = kept.iter().map(|body| serde_json::from_slice(body).expect("JSON")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (body, page) in kept
        .iter()
        .zip([format!("http://localhost:{shop}/en/script?utm_source=newsletter"), format!("http://localhost:{shop}/")])
    {
        let consent = &body["consent"]["email"];
        assert_eq!(
            (&consent["given"], &consent["text"], &consent["version"]),
            (&json!(true), &json!(CONSENT), &json!("v3"))
        );
        assert_eq!(body["page"], json!(page));
    }

    let (li, timeline) = shown(&folder, "1");
    assert_eq!((&li["display_name"], &li["emails.main"]), (&json!("Li Lei"), &json!("li.lei@example.com")), "{li}");
    assert_eq!((&li["consent.email"], &li["lifecycle"]), (&json!("pending"), &json!("lead")), "{li}");
    assert_eq!(li["custom.source_channel"], "newsletter", "{li}");
    assert!(timeline.to_string().contains("Which pump?"), "{timeline}");
    let (han, timeline) = shown(&folder, "3");
    assert_eq!((&han["display_name"], &han["language"]), (&json!("韩梅梅"), &json!("zh")), "{han}");
    assert!(timeline.to_string().contains("请回电"), "{timeline}");
}
