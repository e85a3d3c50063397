//! Absent, null and empty, as each field of each system means them: a value that was cleared travels as the other side
//! wants to hear it, what says nothing changes nothing, and what is left alone stays.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::store::Store;
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use serde_json::json;

use crate::flow::{Hub, on_both_stores};

/// What leaves out what has no value, whose null says nothing of a remark, and whose empty title is no title.
const A: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
emails.main = "/email"
title = { from = "/title", empty = "cleared" }
company = { from = "/company", absent = "cleared" }
remark = { from = "/remark", null = "absent", clear = "leave" }
custom.industry = "/industry"
"#;

/// What clears a title by an empty text, and cannot clear a company.
const B: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
emails.main = "/email"
title = { from = "/title", empty = "cleared", clear = "empty" }
company = { from = "/company", clear = "leave" }
remark = "/remark"
custom.industry = "/industry"
"#;

async fn two(store: Store) -> (Arc<Memory>, Arc<Memory>, Hub, Clock) {
    let clock = Clock::manual(DAY_ONE_US);
    let (a, b) = (Arc::new(Memory::scanned(true)), Arc::new(Memory::new(false)));
    let mut one = kit::connection("a", &clock, Some(a.clone()));
    let mut other = kit::connection("b", &clock, Some(b.clone()));
    (one.lenses, other.lenses) = (kit::lenses(A), kit::lenses(B));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [one, other]).await;
    (a, b, hub, clock)
}

#[test]
fn absent_null_and_cleared_travel_as_each_field_means_them() {
    on_both_stores(async |store| {
        let (a, b, hub, clock) = two(store).await;
        let settle = async || {
            clock.advance_us(60_000_000);
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
        };
        let whole = json!({ "email": "li@example.com", "title": "Chief", "company": "Jia", "remark": "old friend",
            "industry": "tea" });
        a.edit("1", &whole);
        settle().await;
        assert_eq!(b.get("made1"), whole, "made with all of it");
        // An empty title is cleared, and b hears an empty text; a remark of null says nothing; what is not mentioned stays.
        a.edit("1", &json!({ "title": "", "remark": null }));
        settle().await;
        let both = b.get("made1");
        assert_eq!((&both["title"], &both["remark"]), (&json!(""), &json!("old friend")));
        assert_eq!((&both["company"], &both["industry"]), (&json!("Jia"), &json!("tea")));
        // The company and the industry are left out now: of the one that means cleared, of the other nothing.
        a.remove("1");
        a.edit("1", &json!({ "email": "li@example.com", "title": "", "remark": null }));
        settle().await;
        let golden = &hub.goldens("customer").await[0].0;
        assert_eq!((golden.get("company"), &golden["custom.industry"]), (None, &json!("tea")));
        assert_eq!(b.get("made1")["company"], "Jia", "b cannot clear it and is left alone");
        // A null clears where nothing else is said.
        b.edit("made1", &json!({ "industry": null, "remark": null }));
        settle().await;
        let golden = &hub.goldens("customer").await[0].0;
        assert_eq!((golden.get("custom.industry"), golden.get("remark"), golden.get("title")), (None, None, None));
        assert_eq!((&a.get("1")["industry"], a.get("1").get("remark")), (&json!(null), Some(&json!(null))));
        // Nothing of it is written twice.
        let writes = (a.writes(), b.writes());
        for _ in 0..3 {
            settle().await;
        }
        assert_eq!((a.writes(), b.writes()), writes);
    });
}
