//! `huiliu match explain`: why two are one customer or not, in both languages.

use serde_json::Value;

use crate::kit::Folder;

/// Three customers, two of them twice; c hangs together with a by b alone.
const PEOPLE: &str = "id,first name,last name,born,email,street address\n\
    a,Lei,Li,1990-02-28,li.lei@example.com,12 Harbour Road\n\
    m,Mei,Li,1992-07-01,li.mei@example.com,12 Harbour Road\n\
    c,Lei,Lii,1990-02-28,li.lei@example.com,12 Harbour Rd\n\
    d,Anna,Berg,1981-11-05,anna@berg.example,7 Mill Lane\n\
    e,Berg,Anna,1981-11-05,,7 Mill Lane\n";

const COLUMNS: &str = "id = 'record_id'\n\"first name\" = 'given_name'\n\"last name\" = 'family_name'\nborn = 'birth_date'\n\
    email = 'email'\n\"street address\" = 'address'\n";

fn explain(folder: &Folder, more: &[&str]) -> crate::kit::Said {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (people, columns) = (path("people.csv"), path("columns.toml"));
    let args = [&["match", "explain", &people][..], &more[..2], &["--columns", &columns], &more[2..]].concat();
    folder.run(&args)
}

fn folder() -> Folder {
    let folder = Folder::new("");
    folder.write("people.csv", PEOPLE);
    folder.write("columns.toml", COLUMNS);
    folder
}

/// What the parts of a sum add up to.
fn total(why: &Value) -> f64 {
    let number = |it: &Value| it.as_f64().unwrap();
    let each = why["comparisons"].as_array().unwrap();
    number(&why["prior"])
        + each.iter().map(|it| number(&it["usual"]) + number(&it["rarity"])).sum::<f64>()
        + number(&why["relatives"])
}

#[test]
fn two_records_of_a_file_are_explained_part_by_part() {
    let folder = folder();
    let told = explain(&folder, &["a", "c"]).out();
    for word in [
        "a and c are one customer: ",
        "family name ",
        "1990-02-28",
        "alike",
        "relatives would agree in it, too",
        "They were compared, ",
        "if nothing said",
        "as it is",
    ] {
        assert!(told.contains(word), "{word} is not in\n{told}");
    }
    let chinese = explain(&folder, &["a", "c", "--lang", "zh"]).out();
    for word in ["a 与 c 是同一个客户：", "相近", "亲属或同事也会如此相同", "比较", "若缺失", "即现状"]
    {
        assert!(chinese.contains(word), "{word} is not in\n{chinese}");
    }
    assert_eq!(told.lines().count(), chinese.lines().count());
    let why = explain(&folder, &["a", "c", "--json"]).json();
    assert!((total(&why) - why["bits"].as_f64().unwrap()).abs() < 1e-4, "{why}");
    assert_eq!(why["through"][0]["record"], "c", "{why}");
    // Why not: a brother or sister under the same roof; the birth date alone would not do, and it is said what would.
    let told = explain(&folder, &["a", "m"]).out();
    assert!(told.contains("a and m are two customers: "), "{told}");
    assert!(
        told.contains("It would be linked with ") || told.contains("No single comparison would turn it."),
        "{told}"
    );
    let why = explain(&folder, &["a", "m", "--json"]).json();
    assert!(!why["together"].as_bool().unwrap() && why["bits"].as_f64() < why["link"].as_f64(), "{why}");
    assert!((total(&why) - why["bits"].as_f64().unwrap()).abs() < 1e-4, "{why}");
}

#[test]
fn a_model_explains_as_it_judges() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (people, columns, model, out) = (path("people.csv"), path("columns.toml"), path("m.json"), path("out.csv"));
    folder.run(&["match", "train", &people, "--columns", &columns, "--out", &model]).out();
    folder.run(&["match", "run", &people, "--columns", &columns, "--model", &model, "--out", &out]).out();
    let clusters = folder.read("out.csv");
    let of = |id: &str| clusters.lines().find_map(|line| line.strip_prefix(&format!("{id},"))).unwrap().to_owned();
    for (a, b) in [("a", "c"), ("a", "m"), ("d", "e"), ("a", "d")] {
        let why = explain(&folder, &[a, b, "--model", &model, "--json"]).json();
        assert_eq!(why["together"], of(a) == of(b), "{why}");
        assert!((total(&why) - why["bits"].as_f64().unwrap()).abs() < 1e-4, "{why}");
    }
}

#[test]
fn a_mistake_says_what_to_write() {
    let folder = folder();
    for (args, told, chinese) in [
        (&["a", "x"][..], "people.csv: there is no record `x`", "没有记录 `x`"),
        (&["a", "a"], "that is one record; write two", "请写两条记录"),
    ] {
        assert!(explain(&folder, args).err().contains(told));
        let said = explain(&folder, &[args, &["--lang", "zh"]].concat()).err();
        assert!(said.contains(chinese), "{said}");
    }
    let columns = folder.path().join("columns.toml").display().to_string();
    let said = folder.run(&["match", "explain", "a", "c", "--columns", &columns]).err();
    assert!(said.contains("--columns and --model are about a file; write it before the two records"), "{said}");
}

const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\nemail = { from = '/email', normalize = 'email' }\n\
    phone = { from = '/phone', normalize = 'phone', region = 'CN' }\n\
    [rows.fields]\nkind = { const = 'person' }\ndisplay_name = '/name'\n\
    birth_date = { from = '/born', normalize = 'date' }\ncompany = '/company'\n";

#[test]
fn two_that_the_hub_knows_are_explained_by_the_rules_of_the_pipeline() {
    let folder =
        Folder::new("[connections.members]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\n");
    folder.write("mappings/members.toml", MAPPING);
    folder.write(
        "members.csv",
        "id,name,email,phone,born,company\n1,李雷,li@example.com,13800138000,1990-02-28,汇流科技\n\
         2,李雷,,13800138000,1990-02-28,\n3,韩梅梅,han@example.com,,1991-03-01,汇流科技\n4,李雷,,,1990-02-28,\n",
    );
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "members", "--yes"]).out();
    // One customer by the same number: record against record.
    let one = folder.run(&["match", "explain", "members/rows/1", "members/rows/2"]).out();
    for word in [
        "members/rows/1 and members/rows/2 are one customer, golden record 1",
        "the rules answer: one customer",
        "13800138000",
    ] {
        assert!(one.contains(word), "{word} is not in\n{one}");
    }
    // A name and a birth date are a question; an e-mail address would be the answer.
    let json = folder.run(&["match", "explain", "1", "members/rows/4", "--json"]).json();
    let sum: f64 = json["why"]["comparisons"].as_array().unwrap().iter().map(|it| it["weight"].as_f64().unwrap()).sum();
    assert!((sum - json["why"]["score"].as_f64().unwrap()).abs() < 1e-9, "{json}");
    assert_eq!(json["together"], false, "{json}");
    assert_eq!(json["answer"], "ask", "{json}");
    assert!(json["asked"].is_i64(), "the review that waits is named: {json}");
    let turns = |what: &str| {
        json["what_if"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["what"] == what && it["turns"] == true && it["answer"] == "same")
    };
    assert!(turns("identity:email") && turns("identity:phone"), "{json}");
    let chinese = folder.run(&["--lang", "zh", "match", "explain", "1", "members/rows/4"]).out();
    for word in ["1 与 members/rows/4 是两个客户", "请管理员判断", "正在等待处理", "假如", "会改变判断"]
    {
        assert!(chinese.contains(word), "{word} is not in\n{chinese}");
    }
    // What a steward ruled stands above it.
    let number = json["asked"].to_string();
    folder.run(&["review", "apart", &number, "--why", "father and son"]).out();
    let told = folder.run(&["match", "explain", "1", "members/rows/4"]).out();
    assert!(told.contains("A steward ruled that") && told.contains("are two, and that stands"), "{told}");
    let strangers = folder.run(&["match", "explain", "members/rows/2", "members/rows/3"]).out();
    assert!(strangers.contains("two customers") && strangers.contains("different"), "{strangers}");
    for (a, b, told) in
        [("1", "99", "nobody is known by `99`"), ("1", "1", "both are golden record 1; name two of its records")]
    {
        let said = folder.run(&["match", "explain", a, b]).err();
        assert!(said.contains(told), "{said}");
    }
}
