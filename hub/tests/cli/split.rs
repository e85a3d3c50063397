//! `huiliu split`: what it would do is shown before it is done.

use serde_json::json;

use crate::conflicts::disagreeing;

#[test]
fn a_split_is_shown_before_it_is_done() {
    let folder = disagreeing();
    folder.run(&["go-live", "till", "--yes"]).out();
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["show", "1"]).out().contains("总监"));

    let look = ["split", "till/buyers/1", "--dry-run"];
    let told = folder.run(&look).out();
    assert!(told.contains("a new golden record: till/buyers/1\n") && told.contains("  title: 经理\n"), "{told}");
    assert!(told.contains("golden record 1: 会员表/rows/1\n") && told.contains("  title: 总监\n"), "{told}");
    assert!(told.contains("written to till/buyers/1:\n  /title: 总监 → 经理\n"), "{told}");
    assert!(told.contains("Nothing was changed."), "{told}");
    let told = folder.run(&[&["--lang", "zh"], &look[..]].concat()).out();
    assert!(told.contains("新主记录：till/buyers/1") && told.contains("写入 till/buyers/1："), "{told}");
    let told = folder.run(&[&look[..], &["--json"]].concat()).json();
    assert_eq!(told["writes"][0]["places"], json!({ "/title": ["总监", "经理"] }), "{told}");

    let told = folder.run(&["split", "till/buyers/1"]).err();
    assert!(told.contains("--why"), "{told}");
    let done = folder.run(&["split", "till/buyers/1", "--why", "two people", "--json"]).json();
    assert_eq!(done["rest"], 1, "{done}");
    let told = folder.run(&look).err();
    assert!(told.contains("nothing to part"), "{told}");
}
