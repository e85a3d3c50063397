//! Who is this, and why did a record sync or not?

use huiliu_core::explain;
use huiliu_hub::language::Language;
use huiliu_hub::show;
use huiliu_tests::kit::{engine, feed, on_both_stores, record};
use serde_json::json;

#[test]
fn a_customer_is_found_by_what_a_person_knows_and_shown_with_its_origins() {
    on_both_stores(|store| {
        let engine = engine(store);
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com", "title": "经理"})),
                record(
                    "b/customers/x",
                    2,
                    &json!({"name": "李雷", "email": "li@example.com", "title": "总监", "phone": "13800138000"}),
                ),
                record("c/customers/9", 3, &json!({"name": "韩梅梅", "email": "han@example.com", "phone": "call me"})),
            ],
        );
        for known in ["1", "b/customers/x", "LI@Example.com", "138 0013 8000", "+8613800138000"] {
            assert_eq!(explain::find(&engine, known).unwrap(), [1], "{known}");
        }
        assert_eq!(explain::find(&engine, "nobody@example.com").unwrap(), Vec::<i64>::new());
        let told = explain::customer(&engine, 1).unwrap().unwrap();
        let english = show::customer(&told, Language::En);
        for expected in [
            "title = 总监   said by b/customers/x, chosen by most_recent",
            "against 经理 of a/customers/1",
            "phones.main = +8613800138000   said by b/customers/x\n",
            "b/customers/x   the same by identity:email",
        ] {
            assert!(english.contains(expected), "{expected}\nnot in\n{english}");
        }
        let chinese = show::customer(&told, Language::Zh);
        assert!(chinese.contains("title = 总监   来自 b/customers/x，按 most_recent 选取"), "{chinese}");
        assert_eq!(english.lines().count(), chinese.lines().count());
    });
}

#[test]
fn a_story_says_what_arrived_and_what_was_refused() {
    on_both_stores(|store| {
        let engine = engine(store);
        let first =
            record("c/customers/9", 3, &json!({"name": "韩梅梅", "email": "han@example.com", "phone": "call me"}));
        feed(&engine, &[first.clone(), first]);
        let story = explain::record(&engine, &"c/customers/9".parse().unwrap()).unwrap();
        let (english, chinese) = (show::why(&story, Language::En), show::why(&story, Language::Zh));
        assert!(english.contains("inbox 1: new, nobody known: made a golden record"), "{english}");
        assert!(english.contains("could not be mapped: phones.main at /phone"), "{english}");
        assert!(english.contains("inbox 2: held already"), "{english}");
        assert!(chinese.contains("收件箱 2：内容已知"), "{chinese}");
        assert!(!english.contains("call me"), "an issue never repeats the value");
        let story = explain::record(&engine, &"c/customers/10".parse().unwrap()).unwrap();
        assert!(show::why(&story, Language::Zh).contains("从未收到"));
    });
}
