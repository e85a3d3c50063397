//! `huiliu match`: a file of anybody's, without a deployment.

use crate::kit::{Folder, Said};

/// Three customers, two of them twice: a slip and a gap; Mei Han and Lei Li share an address.
const PEOPLE: &str = "id,first name,last name,born,email,street address,comment\n\
    a,Lei,Li,1990-02-28,li.lei@example.com,12 Harbour Road,x\n\
    b,Mei,Li,1992-07-01,li.mei@example.com,12 Harbour Road,x\n\
    c,Lei,Lii,1990-02-28,li.lei@example.com,12 Harbour Rd,y\n\
    d,Anna,Berg,1981-11-05,anna@berg.example,7 Mill Lane,y\n\
    e,Berg,Anna,1981-11-05,,7 Mill Lane,z\n";

const COLUMNS: &str = "id = 'record_id'\n\"first name\" = 'given_name'\n\"last name\" = 'family_name'\nborn = 'birth_date'\n\
    email = 'email'\n\"street address\" = 'address'\n";

const TRUTH: &str = "record_id,cluster_id\na,1\nb,2\nc,1\nd,3\ne,3\n";

fn folder() -> Folder {
    let folder = Folder::new("");
    folder.write("people.csv", PEOPLE);
    folder.write("columns.toml", COLUMNS);
    folder.write("truth.csv", TRUTH);
    folder
}

fn run(folder: &Folder, more: &[&str]) -> Said {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let args: Vec<String> =
        more.iter().map(|arg| arg.strip_prefix('@').map_or_else(|| (*arg).to_owned(), path)).collect();
    folder.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The records of each cluster.
fn clusters(text: &str) -> Vec<Vec<String>> {
    let mut clusters: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().skip(1) {
        let (id, cluster) = line.split_once(',').unwrap();
        match clusters.iter_mut().find(|(known, _)| known == cluster) {
            Some((_, ids)) => ids.push(id.to_owned()),
            None => clusters.push((cluster.to_owned(), vec![id.to_owned()])),
        }
    }
    clusters.into_iter().map(|(_, ids)| ids).collect()
}

#[test]
fn a_file_is_clustered_and_its_cost_told() {
    let folder = folder();
    let said = run(&folder, &["match", "run", "@people.csv", "--columns", "@columns.toml", "--out", "@clusters.csv"]);
    let told = said.err;
    assert!(said.fine, "{told}");
    let text = folder.read("clusters.csv");
    assert!(text.starts_with("record_id,cluster_id\n"), "{text}");
    assert_eq!(clusters(&text), [vec!["a", "c"], vec!["b"], vec!["d", "e"]]);
    for word in
        ["not compared: comment", "5 records, ", " pairs compared, ", "3 clusters", "wall time ", "peak memory "]
    {
        assert!(told.contains(word), "{told}");
    }
    // The headers say the same; what they do not say is left out. Without an id the place in the file names a record.
    let nameless = PEOPLE.replacen("id,", "nr,", 1);
    folder.write("nameless.csv", &nameless);
    let said = run(&folder, &["match", "run", "@nameless.csv", "--out", "@clusters.csv", "--train=false"]);
    assert!(said.fine && said.err.contains("not compared: nr\n"), "{}", said.err);
    assert!(folder.read("clusters.csv").contains("\n5,"), "{}", folder.read("clusters.csv"));
}

#[test]
fn the_columns_that_are_proposed_can_be_read_back() {
    let folder = folder();
    let proposed = run(&folder, &["match", "columns", "@people.csv"]).out();
    assert!(proposed.contains("\"first name\" = \"given_name\"\n"), "{proposed}");
    assert!(proposed.contains("\"born\" = \"birth_date\"\n"), "{proposed}");
    folder.write("seen.csv", &PEOPLE.replacen("born", "seen", 1));
    let other = run(&folder, &["match", "columns", "@seen.csv"]).out();
    assert!(other.contains("\"seen\" = \"ignore\"  # not compared\n"), "{other}");
    folder.write("proposed.toml", &proposed);
    let said = run(&folder, &["match", "run", "@people.csv", "--columns", "@proposed.toml", "--out", "@clusters.csv"]);
    assert!(said.fine, "{}", said.err);
}

#[test]
fn a_mistake_has_a_place_and_a_hint() {
    let folder = folder();
    for (columns, told, chinese) in [
        (
            "emial = 'email'\n",
            "columns.toml:1:1: the records have no column `emial`; did you mean `email`?",
            "记录中没有列",
        ),
        ("email = 'emial'\n", "columns.toml:1:9: no kind of column is called `emial`; did you mean `email`?", "列类型"),
        ("email = 'record_id'\nid = 'record_id'\n", "only one column can be the record_id", "只能有一列"),
        ("id = 'record_id'\n", "no column is compared", "没有任何列参与比较"),
    ] {
        folder.write("columns.toml", columns);
        let args = ["match", "run", "@people.csv", "--columns", "@columns.toml", "--out", "@clusters.csv"];
        let said = run(&folder, &args);
        assert!(!said.fine && said.err.contains(told), "{}", said.err);
        let said = run(&folder, &[&["--lang", "zh"][..], &args[..]].concat());
        assert!(said.err.contains(chinese), "{}", said.err);
    }
    folder.write("columns.toml", COLUMNS);
    folder.write("people.csv", &PEOPLE.replacen("Mill Lane,y", "Mill Lane,y,one,too,many", 1));
    let said = run(&folder, &["match", "run", "@people.csv", "--columns", "@columns.toml", "--out", "@clusters.csv"]);
    assert!(said.err.contains("people.csv:5: 10 cells under 7 headers"), "{}", said.err);
}

/// Sixty households of two, each of whom stands twice in the file: with a slip, a gap, names in each other's place.
fn many() -> String {
    const GIVEN: [&str; 10] = ["Lei", "Mei", "Anna", "Bert", "Carla", "Dirk", "Emil", "Frieda", "Gustav", "Hedwig"];
    let mut text = "id,first name,last name,born,email,street address\n".to_owned();
    for at in 0..120 {
        let (home, first) = (at / 2, GIVEN[(at * 7 + at / 10) % 10]);
        let family = format!(
            "{}{}",
            ["Kra", "Som", "Win", "Vog", "Ber", "Hol"][home % 6],
            ["nz", "mer", "ter", "tel", "gau"][home / 12]
        );
        let born = format!("19{}-{:02}-{:02}", 40 + at * 37 % 60, 1 + at * 5 % 12, 1 + at * 11 % 28);
        let (mail, house) = (format!("{first}{at}@example.com"), home * 7 % 90 + 3);
        let road = ["Harbour", "Mill", "Garden", "Station"][home % 4];
        text.push_str(&format!("{at}a,{first},{family},{born},{mail},{house} {road} Road\n"));
        text.push_str(&match at % 5 {
            0 => format!("{at}b,{first},{family}e,{born},{mail},{house} {road} Road\n"),
            1 => format!("{at}b,{family},{first},{born},,{house} {road} Road\n"),
            2 => format!("{at}b,{first}i,{family},{born},,{house} {road} Rd\n"),
            3 => format!("{at}b,{first},{family},,{mail},5 Hill Lane\n"),
            _ => format!("{at}b,{first},{family},{born},x{mail},{house} {road} Road\n"),
        });
    }
    text
}

#[test]
fn a_model_is_learned_kept_and_judges_all_at_once_as_one_by_one() {
    let folder = folder();
    folder.write("many.csv", &many());
    let said = run(&folder, &["match", "train", "@many.csv", "--columns", "@columns.toml", "--out", "@model.json"]);
    assert!(said.fine && said.err.contains("learned from 240 records, 5 columns"), "{}", said.err);
    // The model knows the columns by their headers, and is asked about records that it has not seen.
    let told = run(&folder, &["match", "run", "@people.csv", "--model", "@model.json", "--out", "@clusters.csv"]);
    assert!(told.fine, "{}", told.err);
    let found = clusters(&folder.read("clusters.csv"));
    assert!(found[0].contains(&"c".to_owned()) && found.last().unwrap() == &["d", "e"], "{found:?}");
    let one = ["match", "run", "@people.csv", "--model", "@model.json", "--one-by-one", "--out", "@one.csv"];
    let said = run(&folder, &one);
    assert!(said.fine && said.err.contains("5 records one by one, "), "{}", said.err);
    assert_eq!(clusters(&folder.read("one.csv")), clusters(&folder.read("clusters.csv")));
    // Other headers, told by a file.
    folder.write("others.csv", &PEOPLE.replacen("first name,last name,born", "rufname,nachname,geboren", 1));
    folder.write("others.toml", "id = 'record_id'\nrufname = 'given_name'\nnachname = 'family_name'\n");
    let others =
        ["match", "run", "@others.csv", "--columns", "@others.toml", "--model", "@model.json", "--out", "@o.csv"];
    let said = run(&folder, &others);
    assert!(said.fine && said.err.contains("not in the file: born"), "{}", said.err);
    folder.write("twice.csv", &PEOPLE.replacen("\nb,", "\na,", 1));
    let twice = ["match", "run", "@twice.csv", "--model", "@model.json", "--one-by-one", "--out", "@one.csv"];
    let said = run(&folder, &twice);
    assert!(!said.fine && said.err.contains("two rows have the same record_id"), "{}", said.err);
    let model = folder.read("model.json");
    folder.write("model.json", &model.replacen("\"version\": 1", "\"version\": 7", 1));
    let said = run(&folder, &[&["--lang", "zh"][..], &one].concat());
    assert!(!said.fine && said.err.contains("模型的版本是 7"), "{}", said.err);
}

#[test]
fn a_result_is_held_against_the_truth() {
    let folder = folder();
    let args = ["match", "evaluate", "@people.csv", "--columns", "@columns.toml", "--truth", "@truth.csv"];
    let told = run(&folder, &args).out();
    assert!(told.contains("precision  recall  F1\n") && told.contains("1.0000     1.0000  1.0000\n"), "{told}");
    let chinese = run(&folder, &[&["--lang", "zh"][..], &args[..]].concat()).out();
    assert!(chinese.contains("精确率") && chinese.contains("5 条记录"), "{chinese}");
    let plot = [&args[..], &["--plot", "@curve.svg"][..]].concat();
    assert!(run(&folder, &plot).fine);
    let drawn = folder.read("curve.svg");
    assert!(drawn.starts_with("<svg ") && drawn.matches("<polyline ").count() == 3, "{drawn}");
    assert!(drawn.contains(">precision<") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
    // A truth that says otherwise: d and e are two.
    folder.write("truth.csv", &TRUTH.replacen("e,3", "e,4", 1));
    let found = run(&folder, &[&args[..], &["--json"][..]].concat()).json();
    assert_eq!(found["scores"]["pairwise"]["precision"], serde_json::json!(0.5), "{found}");
    assert_eq!(found["mixed"], serde_json::json!([["d", "e"]]), "{found}");
    assert!(found["curve"].as_array().unwrap().len() > 5, "{found}");
    let told = run(&folder, &args).out();
    assert!(told.contains("\n  d e\n    huiliu match explain "), "the worst error leads to its reasons: {told}");
    folder.write("truth.csv", "record_id,cluster_id\na,1\n");
    let told = run(&folder, &args).err();
    assert!(told.contains("truth.csv: no row for the record `b`"), "{told}");
}

#[test]
fn without_the_truth_a_file_has_a_profile() {
    let folder = folder();
    folder.write("many.csv", &many());
    let args = ["match", "evaluate", "@many.csv", "--columns", "@columns.toml"];
    let told = run(&folder, &args).out();
    for word in [
        "are another one's repeat",
        "estimates of the model",
        "pairs compared",
        "greatest doubt",
        "huiliu match explain ",
    ] {
        assert!(told.contains(word), "{word} is not in\n{told}");
    }
    let chinese = run(&folder, &[&["--lang", "zh"][..], &args[..]].concat()).out();
    assert!(chinese.contains("条记录") && chinese.contains("模型的估计（无标注）"), "{chinese}");
    let json = run(&folder, &[&args[..], &["--json"][..]].concat()).json();
    assert_eq!(json["records"], 240, "{json}");
    let (customers, repeats) = (json["customers"].as_u64().unwrap(), json["repeats"].as_u64().unwrap());
    assert!(customers + repeats == 240 && (100..=140).contains(&customers), "120 people are there: {json}");
    // Namesakes of one street are taken for one here and there, and the estimate knows that it is not sure of them.
    let precision = json["estimated"]["precision"].as_f64().unwrap();
    assert!((0.7..0.99).contains(&precision), "{json}");
    let said = run(&folder, &[&args[..], &["--plot", "@curve.svg"][..]].concat());
    assert!(said.err().contains("--truth"), "a curve needs the truth");
}
