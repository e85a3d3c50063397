//! Files in, as a person brings them: what would happen first, then the import, then what was refused; and out again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kit::Folder;

const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\nphone = { from = '/手机', normalize = 'phone' }\n\
                       [rows.fields]\ndisplay_name = '/姓名'\nphones.mobile = '/手机'\ntitle = '/职务'\nbirth_date = '/生日'\n";

fn deployment() -> Folder {
    let folder = Folder::new(
        "[connections.crm]\nconnector = 'file'\nmapping = 'mappings/rows.toml'\nkey = '编号'\n\
         [connections.members]\nconnector = 'file'\nmapping = 'mappings/rows.toml'\nkey = '编号'\nrank = 1\n",
    );
    folder.write("mappings/rows.toml", MAPPING);
    folder.write("crm.csv", "编号,姓名,手机,职务\n1,李雷,13800138000,经理\n2,韩梅梅,13900139000,总监\n");
    folder.write(
        "members.csv",
        "编号,姓名,手机,职务,生日\n1,李雷,138-0013-8000,董事,1990-01-31\n2,王小明,13700137000,,不详\n\
         3,王小明,13700137000,会计,\n,赵六,13600136000,,\n5,孙七,13500135000,,,多余\n6,,,,坏\n",
    );
    folder
}

fn path(folder: &Folder, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// Every table of the store, row by row.
fn dump(folder: &Folder) -> BTreeMap<String, Vec<String>> {
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).unwrap();
    let mut tables = store.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows = |name: &String| {
        let mut statement = store.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            Ok((0..width).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}

#[test]
fn a_dry_run_tells_what_the_import_does_and_writes_nothing() {
    let folder = deployment();
    folder.run(&["import", &path(&folder, "crm.csv"), "--connection", "crm"]).out();
    let before = dump(&folder);
    let members = path(&folder, "members.csv");
    let told = folder.run(&["import", &members, "--connection", "members", "--dry-run", "--json"]).json();
    assert_eq!(dump(&folder), before, "a preview left something behind");
    let names: Vec<String> = std::fs::read_dir(folder.path().join("data"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with("preview")), "{names:?}");
    assert!(!folder.path().join("members.rejects.csv").exists(), "a preview writes no file");

    let outcome = &told["outcome"];
    let counts = ["creates", "joins", "within", "updates", "conflicts", "unchanged", "reviews"]
        .map(|it| outcome[it].as_i64().unwrap());
    assert_eq!((&told["rows"], &told["rejected"]), (&json!(6), &json!(3)), "{told}");
    assert_eq!(counts[..4], [1, 1, 1, 1], "{outcome}");
    let conflict = &outcome["samples"]["conflicts"][0];
    assert_eq!(
        (&conflict["field"], &conflict["value"], &conflict["lost"]),
        (&json!("title"), &json!("董事"), &json!("经理"))
    );
    assert_eq!((&conflict["winner"], &conflict["loser"]), (&json!("members/rows/1"), &json!("crm/rows/1")));
    let phone =
        &told["profile"]["columns"].as_array().unwrap().iter().find(|it| it["name"] == "生日").unwrap()["bad"][0];
    assert_eq!((&phone["kind"], &phone["count"]), (&json!("date"), &json!(2)), "{phone}");
    assert_eq!(told["profile"]["duplicates"][0]["samples"], json!([[3, 4]]));

    let shown = folder.run(&["import", &members, "--connection", "members", "--dry-run"]).out();
    for text in [
        "New golden records",
        "joins: members/rows/1 is golden record 1",
        "conflict: title: 董事",
        "rejected: members.csv line 5",
    ] {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
    let shown = folder.run(&["--lang", "zh", "import", &members, "--connection", "members", "--dry-run"]).out();
    for text in [
        "新建主记录",
        "并入：members/rows/1 即主记录 1",
        "冲突：title：采用 members/rows/1 的 董事",
        "为空",
        "日期：2（第 3、7 行）",
    ] {
        assert!(shown.contains(text), "{text}\n{shown}");
    }

    // What was told is what happens.
    let done = folder.run(&["import", &members, "--connection", "members", "--json"]).json();
    assert_eq!((&done["rows"], &done["rejected"], &done["created"]), (&json!(6), &json!(3), &json!(1)), "{done}");
    assert_eq!(folder.run(&["export"]).out().lines().count(), 3);
    let shown = folder.run(&["show", "1"]).out();
    assert!(shown.contains("董事") && shown.contains("经理"), "{shown}");
    let again = folder.run(&["import", &members, "--connection", "members", "--dry-run", "--json"]).json();
    let unchanged =
        ["creates", "joins", "within", "updates", "unchanged"].map(|it| again["outcome"][it].as_i64().unwrap());
    assert_eq!(unchanged, [0, 0, 0, 0, 3], "{again}");
}

#[test]
fn rejected_rows_are_mended_in_their_own_file() {
    let folder = deployment();
    let text = folder.read("members.csv");
    let gb = encoding_rs::GB18030.encode(&text).0.into_owned();
    std::fs::write(folder.path().join("members.csv"), gb).unwrap();
    let told = folder.run(&["import", &path(&folder, "members.csv"), "--connection", "members"]).out();
    let rejects = path(&folder, "members.rejects.csv");
    assert!(told.contains("3 rejected") && told.contains(&rejects), "{told}");
    let made = std::fs::read(&rejects).unwrap();
    let made = encoding_rs::GB18030.decode(&made).0.into_owned();
    let lines: Vec<&str> = made.lines().collect();
    assert_eq!(lines[0], "编号,姓名,手机,职务,生日,huiliu_reason");
    assert!(lines[1].starts_with(",赵六,13600136000,,,\"the column `编号`"), "{made}");
    assert!(lines[2].starts_with("5,孙七,13500135000,,,多余,6 cells under 5 headers"), "{made}");
    assert!(lines[3].starts_with("6,,,,坏,") && lines[3].contains("finds nothing in it"), "{made}");
    assert_eq!(lines.len(), 4);
    let letters = folder.run(&["dead-letters", "--json"]).out();
    assert_eq!(letters.lines().count(), 3, "{letters}");
    // Two are mended, one is not.
    let mended = made.replace("\n,赵六", "\n4,赵六").replace(",,,多余,", ",,,");
    std::fs::write(&rejects, encoding_rs::GB18030.encode(&mended).0).unwrap();
    let done = folder.run(&["import", &rejects, "--connection", "members", "--json"]).json();
    assert_eq!((&done["rows"], &done["rejected"], &done["created"]), (&json!(3), &json!(1), &json!(2)), "{done}");
    assert!(done["rejects"].as_str().unwrap().ends_with("members.rejects.rejects.csv"));
    assert!(!folder.run(&["export"]).out().contains("huiliu_reason"));
}

#[test]
fn a_profile_needs_no_deployment() {
    let folder = Folder::new("nothing");
    folder.write("a.csv", "编号,手机,邮箱\n1,13800138000,li@example.com\n2,12,\n1,138 0013 8000,bad\n");
    let file = path(&folder, "a.csv");
    let told = folder.run(&["import", &file, "--profile", "--json"]).json();
    assert_eq!(told["rows"], 3);
    let kinds: Vec<&Value> = told["duplicates"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["phone", "key"]);
    let shown = folder.run(&["import", &file, "--profile"]).out();
    assert!(shown.contains("33.3 %") && shown.contains("phone: 1 (row 3)") && shown.contains("rows 2 = 4"), "{shown}");
    let shown = folder.run(&["--lang", "zh", "import", &file, "--profile"]).out();
    assert!(shown.contains("电话：1（第 3 行）") && shown.contains("邮箱：1（第 4 行）"), "{shown}");
}

#[test]
fn tables_for_people_have_their_words_and_begin_no_formula() {
    let folder = deployment();
    folder.write("crm.csv", "编号,姓名,手机,职务\n1,=cmd()|x,13800138000,@经理\n2,韩梅梅,13900139000,-1\n");
    folder.run(&["import", &path(&folder, "crm.csv"), "--connection", "crm"]).out();
    let made = path(&folder, "made.csv");
    let told = folder.run(&["--lang", "zh", "export", "--out", &made]);
    assert!(told.fine && told.err.contains("2 条记录"), "{told:?}");
    let text = folder.read("made.csv");
    assert_eq!(
        text,
        "\u{feff}主记录编号,姓名,电话（手机）,职位\r\n1,'=cmd()|x,'+8613800138000,'@经理\r\n2,韩梅梅,'+8613900139000,'-1\r\n"
    );
    let text = folder.run(&["export", "--format", "csv"]).out();
    assert!(text.starts_with("\u{feff}id,display_name,phones.mobile,title\r\n"), "{text}");
    let made = path(&folder, "made.xlsx");
    folder.run(&["--lang", "zh", "export", "--out", &made]).out();
    let mut rows = Vec::new();
    huiliu_file::read::rows(std::path::Path::new(&made), &mut |(_, row)| {
        rows.push(row.unwrap());
        true
    })
    .unwrap();
    assert_eq!(
        rows[0],
        json!({"主记录编号": "1", "姓名": "=cmd()|x", "电话（手机）": "+8613800138000", "职位": "@经理"})
    );
    for (args, word) in [
        (vec!["export", "customr"], "did you mean `customer`?"),
        (vec!["export", "--format", "xlsx"], "--out FILE.xlsx"),
        (vec!["export", "--out", "x.pdf"], "tells no format"),
    ] {
        let told = folder.run(&args).err();
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn a_sheet_is_chosen_by_name() {
    let folder = deployment();
    let mut table = huiliu_file::write::Xlsx::new(&["编号".to_owned(), "姓名".to_owned()]).unwrap();
    table.row(&["1".to_owned(), "李雷".to_owned()]).unwrap();
    table.finish(&folder.path().join("a.xlsx")).unwrap();
    let file = path(&folder, "a.xlsx");
    let told = folder.run(&["import", &file, "--connection", "crm", "--sheet", "x"]).err();
    assert!(told.contains("no sheet is called `x`; there are: Sheet1"), "{told}");
    let done = folder.run(&["import", &file, "--connection", "crm", "--sheet", "Sheet1", "--json"]).json();
    assert_eq!(done["created"], 1);
    let told = folder.run(&["import", &file, "--connection", "cmr"]).err();
    assert!(told.contains("did you mean `crm`?"), "{told}");
}

#[test]
fn a_source_of_files_is_begun_by_one_command() {
    let folder = Folder::new("[hub]\n");
    folder.write("members.csv", "编号,姓名,邮箱\n1,李雷,li@example.com\n");
    let file = folder.path().join("members.csv").display().to_string();
    let told = folder.run(&["import", &file, "--connection", "members"]).err();
    assert!(told.contains("--suggest --connection members` adds it"), "{told}");
    let proposed = folder.run(&["import", &file, "--suggest"]).out();
    let begin = ["import", file.as_str(), "--suggest", "--connection", "members"];
    let said = folder.run(&begin).out();
    assert!(said.contains("added [connections.members]") && said.contains("--dry-run"), "{said}");
    assert_eq!(folder.read("mappings/members.toml"), proposed);
    assert!(folder.read("huiliu.toml").ends_with(
        "[connections.members]\nconnector = \"file\"\nmapping = \"mappings/members.toml\"\nkey = \"编号\"  # the column that names a row\n"
    ));
    // What is there is never written over.
    folder.write("mappings/members.toml", "[rows]\nentity = 'customer'\n[rows.fields]\ndisplay_name = '/姓名'\n");
    let (config, told) = (folder.read("huiliu.toml"), folder.run(&begin).err());
    assert!(told.contains("cannot be written"), "{told}");
    assert_eq!(folder.read("huiliu.toml"), config);
    assert!(folder.read("mappings/members.toml").contains("display_name = '/姓名'"));
    let done = folder.run(&["import", &file, "--connection", "members"]).out();
    assert!(done.contains("1 rows: 1 golden records made"), "{done}");
    for taken in ["shopify", "a/b", ".x"] {
        let told = folder.run(&["import", &file, "--suggest", "--connection", taken]).err();
        assert!(told.contains("cannot name a source of files"), "{told}");
    }
    assert_eq!(folder.read("huiliu.toml"), config);
}
