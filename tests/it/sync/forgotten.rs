//! Writes that met a conflict are owed until they are made.

use huiliu_core::connector::ConnectorError;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_tests::kit::on_both_stores;
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
