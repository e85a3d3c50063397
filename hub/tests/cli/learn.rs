//! `huiliu review learn` and `huiliu match learn`: a model of the deployment's own, proposed, adopted, taken back.

use serde_json::{Value, json};

use crate::kit::{Folder, Said};

const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\n\
    phone = { from = '/phone', normalize = 'phone', region = 'CN' }\n\
    [rows.fields]\nkind = { const = 'person' }\ndisplay_name = '/name'\nbirth_date = '/born'\ncompany = '/company'\n";

const FAMILIES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗";
const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红文辉力梅雪峰鑫浩宇佳欣怡晨博睿思子轩";
const BRANDS: &str = "华信恒泰鑫源盛达宏图天瑞嘉诚博远金鼎卓越";

/// Numbers that look thrown together and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn one(&mut self, of: &str) -> char {
        let all: Vec<char> = of.chars().collect();
        all[self.below(all.len())]
    }

    fn name(&mut self) -> String {
        [self.one(FAMILIES), self.one(GIVEN), self.one(GIVEN)].into_iter().collect()
    }

    fn born(&mut self) -> String {
        format!("{}-{:02}-{:02}", 1950 + self.below(50), 1 + self.below(12), 1 + self.below(28))
    }

    fn company(&mut self) -> String {
        format!("杭州{}{}科技有限公司", self.one(BRANDS), self.one(BRANDS))
    }
}

/// A deployment of two files.
fn folder() -> Folder {
    let file =
        |name: &str| format!("[connections.{name}]\nconnector = 'file'\nmapping = 'mappings/rows.toml'\nkey = 'id'\n");
    let folder = Folder::new(&["shop", "erp"].map(file).concat());
    folder.write("mappings/rows.toml", MAPPING);
    folder
}

/// So many people of whom both systems know name and date of birth; namesakes in one company, of whom both tell no date; and
/// people whom only one knows.
fn import(folder: &Folder, mark: &str, [people, namesakes, others]: [usize; 3]) {
    let mut dice = Dice(mark.bytes().map(u64::from).sum());
    let mut both = String::from("id,name,born,company,phone\n");
    for at in 0..people {
        both.push_str(&format!("{mark}p{at},{},{},,\n", dice.name(), dice.born()));
    }
    for at in 0..namesakes {
        both.push_str(&format!("{mark}n{at},{},,{},\n", dice.name(), dice.company()));
    }
    let mut shop = both.clone();
    for at in 0..others {
        let phone = format!("138{:08}", dice.below(100_000_000));
        shop.push_str(&format!("{mark}s{at},{},{},{},{phone}\n", dice.name(), dice.born(), dice.company()));
    }
    for (name, text) in [("shop", shop), ("erp", both)] {
        folder.write("rows.csv", &text);
        let file = folder.path().join("rows.csv").display().to_string();
        folder.run(&["import", &file, "--connection", name, "--yes"]).out();
    }
}

/// A steward calls everybody: who was born on one day is one, who only works in one company is not.
fn decide(folder: &Folder) -> usize {
    let bulk = |word: &str, comparison: &str| {
        let args = ["review", "bulk", word, "--comparison", comparison, "--why", "called", "--yes", "--json"];
        folder.run(&args).json()["done"].as_array().unwrap().len()
    };
    bulk("same", "birth_date equal") + bulk("different", "company equal")
}

fn learn(folder: &Folder, more: &[&str]) -> Said {
    folder.run(&[&["review", "learn"], more].concat())
}

fn files(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("rules")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|it| it.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn people(told: &Value) -> &Value {
    assert_eq!(told["proposals"][0]["of"], "person", "{told}");
    &told["proposals"][0]
}

/// Namesakes are the less sure ones, so their answers are worth more.
fn the_unsure_come_first(folder: &Folder) {
    let first = |args: &[&str]| -> Value {
        let told = folder.run(&[&["review", "list", "--json"], args].concat()).out();
        serde_json::from_str(told.lines().next().unwrap()).unwrap()
    };
    let (oldest, worth) = (first(&[]), first(&["--worth"]));
    let score = |review: &Value| review["candidates"][0][1]["score"].as_f64().unwrap();
    assert!(score(&worth) < score(&oldest) && worth["number"].as_i64() > oldest["number"].as_i64(), "{worth}");
}

fn the_proposal_is_shown(folder: &Folder) {
    let told = learn(folder, &["--precision", "0.95"]).out();
    for words in [
        "A model of people, learned from 860 stored record(s) and 320 decision(s) of stewards.",
        "weight now",
        "linked from",
        "asked from",
        "% is right",
        "in force",
        "proposed, held out",
        "pair(s) of 860 stored record(s) were judged by both",
        "asked → linked: 40",
        "huiliu match explain shop/rows/bp0 erp/rows/bp0",
        "Of organizations nothing is proposed: no steward has decided",
        "Nothing was changed; --adopt puts it in force.",
    ] {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    let told = learn(folder, &["--precision", "0.95", "--lang", "zh"]).out();
    for words in [
        "个人的模型，学自 860 条已存的记录和管理员的 320 次判断。",
        "当前权重",
        "相连界限",
        "正确",
        "提议（留出检验）",
        "询问 → 相连：40",
        "组织：没有提议：管理员尚未对此类记录作过判断",
        "未做任何更改；加 --adopt 采用。",
    ] {
        assert!(told.contains(words), "{words} 不在其中\n{told}");
    }
}

#[test]
fn a_model_that_heeds_stewards_is_shown_before_it_is_adopted_and_can_be_taken_back() {
    let folder = folder();
    import(&folder, "a", [260, 60, 100]);
    let none = learn(&folder, &[]).err();
    assert!(none.contains("people: no steward has decided about such records yet"), "{none}");
    let none = learn(&folder, &["--lang", "zh"]).err();
    assert!(none.contains("个人：管理员尚未对此类记录作过判断"), "{none}");
    assert_eq!(decide(&folder), 320);
    // What arrives since waits for an answer.
    import(&folder, "b", [40, 10, 20]);
    let waiting = |folder: &Folder| folder.run(&["review", "list", "--json"]).out().lines().count();
    assert_eq!(waiting(&folder), 50);

    the_unsure_come_first(&folder);
    the_proposal_is_shown(&folder);
    assert_eq!((files(&folder), waiting(&folder)), (Vec::new(), 50), "a look writes nothing");

    let told = learn(&folder, &["--precision", "0.95", "--of", "people", "--adopt", "--json"]).json();
    let it = people(&told);
    assert_eq!((&it["decisions"], &it["worse"], &it["link"]["by"]), (&json!(320), &json!(false), &json!("decisions")));
    assert!(it["link"]["bits"].as_f64().unwrap() < 10.0 && it["link"]["least"].as_f64().unwrap() >= 0.95, "{it}");
    let [linked, wrong] = [0, 1].map(|at| it["held_out"]["linked"][at].as_u64().unwrap());
    assert!(linked >= 250 && wrong * 20 <= linked, "{it}");
    assert!(it["held_out"]["surprise"].as_f64().unwrap() < it["in_force"]["surprise"].as_f64().unwrap(), "{it}");
    let turns = told["turns"]["turns"].as_array().unwrap();
    assert!(turns.iter().any(|it| it["before"] == "ask" && it["after"] == "same" && it["pairs"] == 40), "{told}");
    assert_eq!(files(&folder), ["person.model.json"]);

    let explained = folder.run(&["match", "explain", "shop/rows/bp1", "erp/rows/bp1"]).out();
    assert!(explained.contains("the rules answer: one customer"), "{explained}");
    // Whoever comes now is judged by it: the ones are linked, the others left, and nobody is asked.
    import(&folder, "f", [30, 5, 0]);
    assert_eq!(waiting(&folder), 50);
    let explained = folder.run(&["match", "explain", "shop/rows/fp1", "erp/rows/fp1"]).out();
    assert!(explained.contains("are one customer, golden record"), "{explained}");
    let explained = folder.run(&["match", "explain", "shop/rows/fn1", "erp/rows/fn1"]).out();
    assert!(explained.contains("are two customers; the rules answer: two customers"), "{explained}");

    let first = folder.read("rules/person.model.json");
    learn(&folder, &["--precision", "0.9", "--of", "people", "--adopt"]).out();
    assert_eq!(files(&folder), ["person.model.json", "person.model.json.former"]);
    assert_eq!(folder.read("rules/person.model.json.former"), first);
    let told = learn(&folder, &["--undo"]).out();
    assert!(told.contains("person.model.json is what it was before"), "{told}");
    assert_eq!(folder.read("rules/person.model.json"), first);
    let told = learn(&folder, &["--undo", "--lang", "zh"]).out();
    assert!(told.contains("已移除（此前没有该文件）：重新使用自带模型"), "{told}");
    assert_eq!(files(&folder), ["person.model.json.undone"]);
    let none = learn(&folder, &["--undo"]).err();
    assert!(none.contains("nothing that was adopted is there to be taken back"), "{none}");
}

#[test]
fn few_decisions_move_no_weight_and_claim_nothing() {
    let folder = folder();
    import(&folder, "c", [24, 6, 0]);
    assert_eq!(decide(&folder), 30);
    let told = learn(&folder, &["--precision", "0.99", "--json"]).json();
    let it = people(&told);
    assert_eq!((&it["weights"], &it["moved"], &it["link"]["by"]), (&json!("too_few"), &json!([]), &json!("chances")));
    let missing = it["link"]["missing"].as_u64().unwrap();
    assert_eq!(missing + it["link"]["of"].as_u64().unwrap(), 299, "{it}");
    let told = learn(&folder, &["--precision", "0.99"]).out();
    assert!(told.contains("The weights stay: from 50 decisions on") && told.contains("do not prove 99 %"), "{told}");
    for (args, said) in [
        (&["--precision", "1.5"][..], "write a share from 0.5 to 0.9999"),
        (&["--anyway"], "--adopt"),
        (&["--undo", "--adopt"], "cannot be used with"),
    ] {
        let told = learn(&folder, args).err();
        assert!(told.contains(said), "{said} is not in\n{told}");
    }
    let path = folder.path().join("mine.json").display().to_string();
    learn(&folder, &["--out", &path]).out();
    assert!(folder.read("mine.json").contains("\"precision\": 0.999") && files(&folder).is_empty());
}

#[test]
fn a_model_of_the_stored_records_needs_no_decisions() {
    let folder = folder();
    import(&folder, "d", [100, 10, 0]);
    let few = folder.run(&["match", "learn", "--lang", "zh"]).err();
    assert!(few.contains("个人：220 条记录太少，至少需要 1000 条"), "{few}");
    import(&folder, "e", [350, 20, 100]);
    let sampled = folder.run(&["match", "learn", "--of", "people", "--sample", "600"]).err();
    assert!(sampled.contains("records are too few to learn from, 1000 are the least"), "{sampled}");
    let args = ["match", "learn", "--of", "people", "--look", "300"];
    let told = folder.run(&args).out();
    for words in
        ["learned from 1060 stored record(s) and 0 decision(s)", "The weights are what the records show", "weight now"]
    {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    let [one, other] = [(); 2].map(|()| folder.run(&[&args[..], &["--json"]].concat()).out());
    assert_eq!(one, other, "the same, to the last bit");
    folder.run(&[&args[..], &["--adopt"]].concat()).out();
    let model: Value = serde_json::from_str(&folder.read("rules/person.model.json")).unwrap();
    assert_eq!((&model["rows"], &model["aim"]["by"]), (&json!(1060), &json!("chances")), "{}", model["aim"]);
    folder.run(&["check"]).out();
    folder.run(&["match", "learn", "--undo"]).out();

    // Stewards find that those who bear one name in one company are one. The records alone do not show it, so what they teach
    // is the worse judge, and is not adopted by the way.
    let args = ["review", "bulk", "same", "--comparison", "company equal", "--why", "called", "--yes"];
    folder.run(&args).out();
    let adopt = ["match", "learn", "--of", "people", "--look", "50", "--adopt"];
    let told = folder.run(&adopt).out_of_failure();
    assert!(told.contains("is a worse judge of them than the model in force"), "{told}");
    assert!(
        told.contains("Not adopted, because it is a worse judge; --adopt --anyway adopts it all the same"),
        "{told}"
    );
    let told = folder.run(&[&adopt[..], &["--lang", "zh"]].concat()).out_of_failure();
    assert!(told.contains("未采用，因为它的判断更差"), "{told}");
    assert_eq!(files(&folder), ["person.model.json.undone"]);
    folder.run(&[&adopt[..], &["--anyway"]].concat()).out();
    assert_eq!(files(&folder), ["person.model.json", "person.model.json.undone"]);
}
