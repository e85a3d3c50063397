//! Chinese, in every command: the ordinary way and the failing one hold no English sentence.

use crate::kit::Folder;

/// Words that stand in Chinese texts as they are: names of systems, keys, commands, values.
fn is_name(word: &str) -> bool {
    const NAMES: &[&str] = &[
        "huiliu",
        "webhook",
        "json",
        "lines",
        "excel",
        "sqlite",
        "postgres",
        "csv",
        "xlsx",
        "mapping",
        "mappings",
        "connect",
        "import",
        "most_recent",
        "customer",
        "customers",
        "toml",
    ];
    NAMES.contains(&word)
}

/// Three English words in a row are a sentence. What stands in back quotes, paths and examples is not read.
#[track_caller]
fn is_chinese(what: &[&str], text: &str) {
    let mut plain = String::new();
    for (at, part) in text.split('`').enumerate() {
        plain.push_str(if at % 2 == 0 { part } else { "，" });
    }
    // A connector's own description is in the language of its manifest.
    let described = |line: &str| {
        line.starts_with("  secret.") || line.starts_with("shop: Shopify. ") || line.contains("config.shop：")
    };
    let lines = plain.lines().filter(|line| !line.trim_start().starts_with(['#', '[', '{']) && !described(line));
    for line in lines {
        let mut row = 0;
        for word in line.split_whitespace() {
            // A list of names is no sentence.
            let is_listed = word.ends_with(',');
            let word = word.trim_matches(|c: char| ".:;()!?".contains(c));
            let is_word = word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase()) && !is_name(word);
            row = if is_word && !is_listed { row + 1 } else { 0 };
            assert!(row < 3, "{what:?} says in English: {line}");
        }
    }
    assert!(text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{what:?} says no Chinese: {text}");
}

const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\nemail = { from = '/email', normalize = 'email' }\n\
                       [rows.fields]\ndisplay_name = '/name'\nemails.work = { from = '/email', normalize = 'email' }\n";

fn deployment() -> Folder {
    let folder = Folder::new(
        "[connections.members]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\n\
         [connections.shop]\nconnector = 'shopify'\nconfig.shop = 'demo'\n",
    );
    folder.write("mappings/members.toml", MAPPING);
    folder.write("members.csv", "id,name,email\n1,李雷,li@example.com\n,无名,\n2,韩梅梅,han@example.com\n");
    folder
}

/// Runs in Chinese; what is said, on both channels.
fn say(folder: &Folder, args: &[&str], input: &str) -> (bool, String) {
    let said = folder.tell(&[&["--lang", "zh"], args].concat(), input);
    (said.fine, format!("{}{}", said.out, said.err))
}

#[test]
fn every_command_speaks_chinese_when_it_works() {
    let folder = deployment();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (members, made, sheet) = (path("members.csv"), path("new"), path("made.csv"));
    let commands: &[&[&str]] = &[
        &["init", &made],
        &["import", &members, "--profile"],
        &["import", &members, "--suggest", "--connection", "branch"],
        &["import", &members, "--connection", "members", "--dry-run"],
        &["import", &members, "--connection", "members"],
        &["status"],
        &["show", "1"],
        &["why", "members/rows/1"],
        &["dead-letters"],
        &["dead-letters", "retry"],
        &["review"],
        &["drift"],
        &["conflicts"],
        &["export", "--out", &sheet],
        &["pin", "1", "display_name", "李磊", "--why", "更正"],
        &["unpin", "1", "display_name", "--why", "更正"],
        &["link", "1", "2", "--why", "同一人"],
        &["split", "members/rows/2", "--why", "两个人"],
        &["connect", "members"],
        &["connector", "new", "till"],
        &["replay"],
        &["plan"],
        &["plan", "list"],
        &["plan", "show", "1"],
        &["apply", "1", "--anyway"],
    ];
    for args in commands {
        let (fine, said) = say(&folder, args, "");
        assert!(fine, "{args:?}: {said}");
        is_chinese(args, &said);
    }
    let till = path("connectors/till");
    let (fine, said) = say(&folder, &["connector", "check", "--write", &till], "");
    assert!(fine, "{said}");
    is_chinese(&["connector", "check"], &said);
    let (fine, said) = say(&folder, &["secret", "shop", "access_token"], "x\n");
    assert!(fine, "{said}");
    is_chinese(&["secret"], &said);
    is_chinese(&["check"], &say(&folder, &["check"], "").1);
    is_chinese(&["go-live"], &say(&folder, &["go-live", "shop"], "").1);
}

#[test]
fn every_command_speaks_chinese_when_it_fails() {
    let folder = deployment();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (config, nowhere, members) = (path(""), path("nowhere.csv"), path("members.csv"));
    folder.write("odd.pdf", "x");
    folder.write("bad.xlsx", "x");
    let (odd, bad) = (path("odd.pdf"), path("bad.xlsx"));
    let commands: &[&[&str]] = &[
        &["init", &config],
        &["import", &nowhere, "--connection", "members"],
        &["import", &members, "--suggest", "--connection", "members"],
        &["import", &members, "--suggest", "--connection", "shop"],
        &["import", &members, "--suggest", "--connection", "tryton"],
        &["import", &odd, "--connection", "members"],
        &["import", &bad, "--connection", "members"],
        &["import", &members, "--connection", "membrs"],
        &["export", "custmer"],
        &["export", "--format", "xlsx"],
        &["export", "--out", "x.pdf"],
        &["secret", "shop", "access_tokn"],
        &["secret", "shop", "access_token"],
        &["secret", "shp", "access_token"],
        &["resume", "shop"],
        &["resume", "shp"],
        &["sync", "shop", "custmers"],
        &["sync", "members"],
        &["sync", "shp"],
        &["reconcile", "shp"],
        &["reconcile", "members"],
        &["reconcile", "shop", "--stream", "custmers"],
        &["show", "nobody@example.com"],
        &["dead-letters", "--connection", "shp"],
        &["dead-letters", "retry", "99"],
        &["review", "apart", "7", "--why", "否"],
        &["review", "release", "shop", "customers", "--why", "否"],
        &["link", "1", "99", "--why", "否"],
        &["split", "members/rows/99", "--why", "否"],
        &["unpin", "99", "title", "--why", "否"],
        &["map", "shopfy", "x.json"],
        &["map", "shopify", &nowhere],
        &["map", "shopify", "x.json", "--stream", "nothing"],
        &["connector", "new", "Bad Name"],
        &["connector", "check", &nowhere],
        &["connector", "record", "members", "rows"],
        &["connector", "record", "shp", "customers"],
        &["connect", "shop"],
        &["connect", "till"],
        &["connect", "till", "--connector", "file"],
        &["connect", "shop", "--network", "private"],
        &["go-live", "shp"],
        &["plan", "show", "99"],
        &["apply", "99"],
        &["undo", "99"],
    ];
    for args in commands {
        let (fine, said) = say(&folder, args, "");
        assert!(!fine, "{args:?} works: {said}");
        is_chinese(args, &said);
    }
}

#[test]
fn a_mistake_in_the_configuration_is_told_in_chinese() {
    let folder = deployment();
    for (config, word) in [
        ("[hub]\nstor = 'x'\n", "未知的键"),
        ("[hub]\nstore = 'mysql:x'\n", "sqlite:路径"),
        ("[connections.a]\nconnector = 'file'\n", "文件来源需要"),
        ("[connections.a]\nconnector = 'shopfy'\n", "没有名为"),
        ("[connections.a]\nconnector = 'shopify'\n", "缺少 config.shop"),
        ("[connections.a]\nconnector = 'shopify'\nconfig.shp = 'x'\n", "没有设置"),
        (
            "[connections.a]\nconnector = 'shopify'\nconfig.shop = 'x'\ndrift = { custmers = 'park_row' }\n",
            "没有数据流",
        ),
    ] {
        folder.write("huiliu.toml", config);
        let (fine, said) = say(&folder, &["status"], "");
        assert!(!fine && said.contains(word), "{config}: {said}");
        is_chinese(&["status", config], &said);
    }
    std::fs::remove_file(folder.path().join("huiliu.toml")).unwrap();
    for command in ["status", "serve", "check", "export"] {
        let (fine, said) = say(&folder, &[command], "");
        assert!(!fine && said.contains("huiliu init"), "{said}");
        is_chinese(&[command], &said);
    }
}
