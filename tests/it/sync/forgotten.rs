//! Writes that met a conflict are owed until they are made, and keys that were not read until they are.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Received};
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_tests::kit::{call, customers, on_both_stores};
use serde_json::{Value, json};

use super::{Rig, rig};

impl Rig {
    /// A change of a is on its way to b, when b's record gets another version by this patch.
    fn meet(&self, patch: &Value) {
        self.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        self.settle();
        self.a.edit("1", &json!({"title": "B"}));
        let connection = &self.engine.connections["a"];
        self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap();
        process::batch(&self.engine).unwrap();
        plan::batch(&self.engine).unwrap();
        self.b.edit("made1", patch);
    }

    fn push_to_b(&self) {
        assert_eq!(self.runtime.block_on(push::batch(&self.engine, &self.engine.connections["b"])).unwrap(), 1);
    }
}

#[test]
fn a_conflict_whose_record_cannot_be_read_just_then_forgets_nothing() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.meet(&json!({"title": "A"}));
        rig.b.fail_next_fetch(ConnectorError::transient("HTTP 500"));
        rig.push_to_b();
        assert_eq!(rig.b.get("made1")["title"], "A", "it met a conflict");
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "B");
        assert_eq!(rig.settle(), 0);
    });
}

#[test]
fn an_empty_field_that_was_never_heard_of_is_no_edit() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.meet(&json!({"phone": null}));
        rig.push_to_b();
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "B");
        assert_eq!(rig.settle(), 0);
    });
}

/// Found by the simulation: eight tries in eight minutes were over before a ban of ten was.
#[test]
fn a_key_is_read_when_the_system_said_and_not_given_up_before() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        rig.settle();
        let after = Some(Duration::from_secs(600));
        rig.a.fail_next_fetch(ConnectorError::RateLimited { detail: "HTTP 429".to_owned(), after });
        rig.a.edit("1", &json!({"title": "B"}));
        call(&rig.engine, "a", &[Received::Hint { stream: "customers".into(), id: "1".into() }]);
        process::batch(&rig.engine).unwrap();
        let fetch = || rig.runtime.block_on(pull::fetches(&rig.engine, &rig.engine.connections["a"])).unwrap();
        assert_eq!(fetch(), 1);
        rig.engine.clock.advance_us(599_000_000);
        assert_eq!(fetch(), 0, "it was told to wait");
        rig.engine.clock.advance_us(1_000_000);
        assert_eq!(fetch(), 1);
        process::batch(&rig.engine).unwrap();
        assert_eq!(customers(&rig.engine)[0].0["title"], "B");
    });
}
