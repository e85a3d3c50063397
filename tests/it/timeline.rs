//! The timeline of a customer: an equal hash proves nothing.

use huiliu_core::explain;
use huiliu_core::store::links;
use huiliu_mappings::matching::hash;
use huiliu_tests::kit::{engine, feed, on_both_stores, record};
use serde_json::json;

#[test]
fn an_equal_hash_attaches_no_strangers_order() {
    on_both_stores(|store| {
        let engine = engine(store);
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"})),
                record("a/orders/o1", 2, &json!({"no": "1", "customer": "9"})),
                record("a/orders/o2", 3, &json!({"no": "2", "customer": "1"})),
            ],
        );
        // As if the hashes of two names were equal.
        let collision = [(hash(&["record", "a", "customers", "1"]), 2)];
        engine.store.write(|tx| links::put_references(tx, &collision)).unwrap();
        let shown = explain::customer(&engine, 1).unwrap().unwrap().timeline;
        assert_eq!(shown.iter().map(|entry| &entry.fields["number"]).collect::<Vec<_>>(), [&json!("2")]);
    });
}
