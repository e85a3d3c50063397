//! Documents that tell the truth: links lead somewhere, the map names what exists, both READMEs say the same.

use crate::tree::{ending, none, root};

/// The fenced blocks of a document with their language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let parts = text.split("```").skip(1).step_by(2);
    parts
        .map(|part| {
            let (language, body) = part.split_once('\n').unwrap_or((part, ""));
            (language.trim().to_owned(), body.to_owned())
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut mistakes = Vec::new();
    for (path, text) in ending(".md") {
        let folder = root().join(&path).parent().expect("a folder").to_owned();
        for part in text.split("](").skip(1) {
            let target = part.split([')', ' ', '#']).next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !outside && !folder.join(target).exists() {
                mistakes.push(format!("{path}: the link to {target} leads nowhere"));
            }
        }
    }
    none(&mistakes);
}

/// Paths in back quotes that start with a folder of ours.
#[test]
fn named_paths_exist() {
    let root = root();
    let mut mistakes = Vec::new();
    for (path, text) in ending(".md") {
        let beside = root.join(&path).parent().expect("a folder").to_owned();
        for quoted in text.split('`').skip(1).step_by(2) {
            let name = quoted.split([' ', ':', '#']).next().unwrap_or_default();
            let looks = name.contains('/')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
                && !name.starts_with('/')
                && !name.starts_with("target/");
            let first = name.split('/').next().unwrap_or_default();
            if looks && root.join(first).is_dir() && !root.join(name).exists() && !beside.join(name).exists() {
                mistakes.push(format!("{path}: `{name}` does not exist"));
            }
        }
    }
    none(&mistakes);
}

#[test]
fn the_map_names_every_folder() {
    let architecture = ending("ARCHITECTURE.md").remove(0).1;
    let mut mistakes = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir()
            && !name.starts_with('.')
            && name != "target"
            && !architecture.contains(&format!("`{name}/`"))
        {
            mistakes.push(format!("ARCHITECTURE.md does not say what {name}/ is for"));
        }
    }
    none(&mistakes);
}

/// The commands of a block, without what is said behind `#`.
fn commands(block: &str) -> Vec<String> {
    let line =
        |line: &str| line.split(" #").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    block.lines().map(line).filter(|line| !line.is_empty()).collect()
}

#[test]
fn both_readmes_say_the_same() {
    let english = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let chinese = std::fs::read_to_string(root().join("README.zh-CN.md")).expect("README.zh-CN.md");
    let code = |text: &str| -> Vec<(String, Vec<String>)> {
        let all = blocks(text).into_iter();
        all.filter(|(language, _)| !language.is_empty() && language != "text")
            .map(|(language, body)| (language, commands(&body)))
            .collect()
    };
    assert_eq!(code(&english), code(&chinese), "the code of the two READMEs differs");
    let heads = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| line.chars().take_while(|c| *c == '#').count())
            .collect::<Vec<_>>()
    };
    assert_eq!(heads(&english), heads(&chinese), "the headings of the two READMEs differ");
}

/// Every `huiliu` command of every document is one that the program takes.
#[test]
fn commands_are_taken() {
    let mut mistakes = Vec::new();
    let mut seen = 0;
    for (path, text) in ending(".md") {
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| language == "sh") {
            for line in commands(&block).iter().filter(|line| line.starts_with("huiliu ")) {
                seen += 1;
                let words = line.split_whitespace().take_while(|word| !word.starts_with(['<', '>', '|']));
                if let Err(told) = <huiliu_hub::cli::Cli as clap::Parser>::try_parse_from(words)
                    && told.use_stderr()
                {
                    mistakes.push(format!("{path}: `{line}`: {told}"));
                }
            }
        }
    }
    assert!(seen > 15, "only {seen} commands were found");
    none(&mistakes);
}

/// Every example of a configuration parses, whatever stands for `…`.
#[test]
fn configurations_parse() {
    let mut seen = 0;
    for (path, text) in ending(".md") {
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| language == "toml") {
            if ["[connections", "[console", "[hub", "[intake"].iter().any(|head| block.starts_with(head)) {
                seen += 1;
                if let Err(told) = huiliu_hub::config::parse(&path, &block) {
                    panic!("{told}");
                }
            }
        }
    }
    assert!(seen >= 4, "only {seen} examples were found");
}
