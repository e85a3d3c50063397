//! Merges that were wrong, taken back.

use huiliu_core::store::Store;
use huiliu_tests::kit::on_both_stores;
use huiliu_tests::unmerge::{Size, round};

/// `unmerge-bench` plays it in full size.
#[test]
fn what_was_merged_wrongly_is_as_if_it_never_had_been() {
    on_both_stores(|store| {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Store::open(&format!("sqlite:{}", folder.path().join("control.db").display())).expect("a store");
        let done = round(store, control, Size { customers: 120, merges: 15, edits: 400, seed: 1 });
        assert!(done.records_astray > 30 && done.writes_back > 30, "{done:?}");
    });
}
