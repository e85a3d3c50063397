//! Drift, as people meet it: named by `huiliu drift` and the console in both languages, mended, or taken as it is.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::console::hub_of;
use crate::kit::Folder;
use crate::operate::{BUYERS, deployment, till};

type Buyers = Arc<Mutex<Vec<Value>>>;

/// What the till calls a title from now on; none: nothing.
fn rename(buyers: &Buyers, from: &str, to: Option<&str>) {
    for buyer in buyers.lock().unwrap().iter_mut() {
        let value = buyer.as_object_mut().and_then(|it| it.remove(from)).expect("it has one");
        if let Some(to) = to {
            buyer[to] = value;
        }
    }
}

/// A till whose thirty buyers were read, and then had their titles under another name.
fn renamed() -> (Folder, Buyers) {
    let buyer = |at: usize| json!({"id": format!("b-{at}"), "email": format!("p{at}@example.com"), "title": format!("title {at}")});
    let buyers = Arc::new(Mutex::new((0..30).map(buyer).collect::<Vec<_>>()));
    let folder = deployment(till(&buyers));
    folder.run(&["sync", "till"]).out();
    assert_eq!(folder.run(&["drift"]).out(), "No system changed the form of its records.\n");
    rename(&buyers, "title", Some("job"));
    folder.run(&["sync", "till"]).out();
    (folder, buyers)
}

#[test]
fn a_renamed_field_is_named_mended_and_run_again() {
    let (folder, buyers) = renamed();
    let listed = folder.run(&["drift"]).out();
    let line = listed.lines().find(|line| line.contains("till/buyers")).unwrap_or_else(|| panic!("{listed}"));
    for word in ["/title vanished from the records; did it become /job?", "park_value", "30", "open"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    let chinese = folder.run(&["--lang", "zh", "drift"]).out();
    assert!(chinese.contains("记录中不再有 /title；是否改成了 /job？") && chinese.contains("待处理"), "{chinese}");
    let one = folder.run(&["drift", "--json"]).json();
    assert_eq!((&one["finding"]["kind"], &one["waiting"]), (&json!("vanished"), &json!(30)), "{one}");
    let shown = folder.run(&["drift", "show", "1", "--limit", "1"]).out();
    for word in [
        "it is read as title",
        "30 of 30 compared records show the same value there",
        "mend [buyers] in mappings/till.toml: write \"/job\" where it says \"/title\", then `huiliu drift retry`",
        "the value waits",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let told = folder.run(&["drift", "show", "9"]).err();
    assert!(told.contains("no finding 9 waits"), "{told}");
    assert!(folder.run(&["status"]).out().contains("huiliu drift"));
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = title 7"), "nothing is lost meanwhile");

    // The till goes on; then the mapping is mended.
    buyers.lock().unwrap()[7]["job"] = json!("Manager");
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = title 7"));
    folder.write("mappings/till.toml", &BUYERS.replace("'/title'", "'/job'"));
    let done = folder.run(&["drift", "retry", "--json"]).json();
    assert_eq!((&done["findings"], &done["values"], &done["left"]), (&json!(1), &json!(30), &json!(0)), "{done}");
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = Manager"));
    assert_eq!(folder.run(&["drift"]).out(), "No system changed the form of its records.\n");
    assert!(folder.run(&["drift", "--all"]).out().contains("mended"));
}

#[test]
fn a_dropped_field_is_taken_as_it_is_by_a_command_or_a_click() {
    let (folder, buyers) = renamed();
    let told = folder.run(&["drift", "accept", "9", "--why", "gone"]).err();
    assert!(told.contains("no finding 9 waits"), "{told}");
    let told = folder.run(&["drift", "accept", "1", "--why", "the till has no titles any more"]).out();
    assert!(told.contains("1 finding(s) over"), "{told}");
    assert!(folder.run(&["--lang", "zh", "drift", "--all"]).out().contains("已接受"));
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = title 7"), "and nobody is cleared");
    // What is read now under the new name goes as well.
    folder.write("mappings/till.toml", &BUYERS.replace("'/title'", "'/job'"));
    folder.run(&["sync", "till", "--backfill"]).out();
    rename(&buyers, "job", None);
    folder.run(&["sync", "till"]).out();

    let hub = hub_of(folder);
    hub.account();
    let session = hub.log_in();
    let (english, chinese) = (hub.get("/connections/till", &session).body, hub.get_zh("/connections/till", &session));
    assert!(english.contains("Changed form") && english.contains("/job vanished from the records."), "{english}");
    assert!(chinese.contains("格式变化") && chinese.contains("记录中不再有 /job。"), "{chinese}");
    let form = hub.get("/connections/till", &session).form();
    let click = |number: &str| hub.post("/connections/till/drift", &session, &form, &format!("finding={number}"));
    assert_eq!(click("9").status, 409);
    let done = click("2");
    assert!(done.header("location").starts_with("/connections/till?said=accepted."), "{} {}", done.status, done.body);
    assert!(!hub.get("/connections/till", &session).body.contains("Changed form"));
    assert_eq!(click("2").status, 409, "somebody settled it before");
}
