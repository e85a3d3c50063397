//! The fixtures of both folders are what the cards and calendars beside them say.

use std::path::Path;

use huiliu_dav::kind::{Kind, Reading};

fn check(kind: Kind, folder: &str, sources: &str, stream: &str, reading: &Reading) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("fixtures");
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join(sources)).expect("fixtures").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let text = std::fs::read_to_string(&path).expect("a fixture");
        let mut body = kind.read(&text, reading).expect("it is of this kind");
        assert!(body.get("unreadable").is_none(), "{name}");
        body["href"] = format!("/hub/{stream}/{name}").into();
        let expected = serde_json::to_string_pretty(&body).expect("JSON") + "\n";
        let kept = root.join(stream).join(name).with_extension("json");
        if std::env::var_os("HUILIU_WRITE").is_some() {
            std::fs::write(&kept, &expected).expect("the fixture can be written");
        }
        let told = format!("{} is behind; run HUILIU_WRITE=1 cargo test -p huiliu-dav --test fixtures", kept.display());
        assert_eq!(std::fs::read_to_string(&kept).unwrap_or_default(), expected, "{told}");
        seen += 1;
    }
    assert!(seen > 1, "{folder} has {seen} sources");
}

#[test]
fn fixtures_are_what_the_texts_say() {
    check(Kind::Cards, "carddav", "cards", "contacts", &Reading::default());
    let reading = Reading { own: vec!["hub@example.test".to_owned()], zone: None };
    check(Kind::Events, "caldav", "calendars", "events", &reading);
}
