//! The reference of mapping files, its example, and the JSON Schema: all three are what the parser does.

use std::path::{Path, PathBuf};
use std::process::Command;

use huiliu_mappings::lens::{Lens, laws, schema};
use huiliu_mappings::model::Model;
use serde_json::Value;

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// The blocks of the reference in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(readme()).expect("README.md");
    let start = format!("{language}\n");
    text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(&start).map(str::to_owned)).collect()
}

#[test]
fn the_example_does_what_it_says() {
    let [mapping] = blocks("toml").try_into().expect("one example");
    let [record, canonical] = blocks("json").try_into().expect("a record, and what it reads as");
    let lenses = Lens::parse_file("README.md", &mapping, &Model::shipped()).expect("the example is right");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let canonical: Value = serde_json::from_str(&canonical).expect("JSON");
    let (mapped, issues) = lenses[0].map(&record);
    assert_eq!(issues, []);
    assert_eq!(serde_json::to_value(&mapped.fields).expect("JSON"), canonical);
    assert_eq!(laws::broken(&lenses[0], &record), Vec::<String>::new());
}

#[test]
fn every_key_is_in_the_reference() {
    let text = std::fs::read_to_string(readme()).expect("README.md");
    let (before, rest) = text.split_once("<!-- keys -->\n").expect("a place for the keys");
    let (_, after) = rest.split_once("<!-- /keys -->").expect("its end");
    let right = format!("{before}<!-- keys -->\n{}<!-- /keys -->{after}", schema::tables());
    if std::env::var_os("HUILIU_WRITE").is_some() {
        std::fs::write(readme(), &right).expect("write");
    }
    assert!(
        std::fs::read_to_string(readme()).expect("README.md") == right,
        "mappings/README.md is behind the keys; run `HUILIU_WRITE=1 cargo test -p huiliu-mappings --test schema`"
    );
}

/// A foreign validator finds the schema sound, and takes what the parser takes and refuses what it refuses.
#[test]
fn the_schema_agrees_with_the_parser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join(".cache/test-tools/python/bin/python");
    assert!(python.exists(), "{} is missing: ./test.sh installs it", python.display());
    let mut files: Vec<(String, String)> = std::fs::read_dir(root.join("mappings/systems"))
        .expect("systems")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("a mapping file")))
        .collect();
    files.extend(blocks("toml").into_iter().map(|text| ("README.md".to_owned(), text)));
    let wrong = [
        "[a]\nentity = \"customer\"\n[a.fields]\ntitle = { from = \"/t\", formt = \"x\", limit = \"no\" }",
        "[a]\n[a.fields]\ntitle = \"/t\"",
        "[a]\nentity = \"customer\"\n[a.fields]\ntitle = { from = \"/t\", limit = 0, lossy = true }",
        "[a]\nentity = \"customer\"\n[a.identities]\nemail = { from = \"/t\", normalize = \"date\" }",
        "[a]\nentity = \"customer\"\n[a.identities]\nemail = { scope = \"/t\" }",
        "[a]\nentity = \"customer\"\nfield = {}",
    ];
    files.extend(wrong.iter().map(|text| ("wrong".to_owned(), (*text).to_owned())));
    let folder = std::env::temp_dir().join(format!("huiliu-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (of_schema, of_files) = (folder.join("schema.json"), folder.join("files.json"));
    std::fs::write(&of_schema, schema::mapping().to_string()).expect("write");
    let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    std::fs::write(&of_files, serde_json::to_string(&texts).expect("JSON")).expect("write");
    let script = "import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
print(json.dumps([check.is_valid(tomllib.loads(text)) for text in json.load(open(sys.argv[2]))]))";
    let ran = Command::new(python).arg("-c").arg(script).args([&of_schema, &of_files]).output().expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let valid: Vec<bool> = serde_json::from_slice(&ran.stdout).expect("a list");
    for ((name, text), valid) in files.iter().zip(valid) {
        let parsed = Lens::parse_file(name, text, &Model::shipped());
        assert_eq!(parsed.is_ok(), valid, "{name}:\n{text}\n{:?}", parsed.err());
        assert_eq!(valid, name != "wrong", "{name}:\n{text}");
    }
    std::fs::remove_dir_all(folder).expect("clean");
}
