//! Both languages, everywhere: a text of the program stands beside its Chinese, or in the catalog.

use std::collections::BTreeSet;

use crate::tree::{ending, none};

/// Where messages to people come from.
const SOURCES: &[&str] = &["hub/src/", "core/src/", "mappings/src/", "connectors/file/src/", "jetstream/src/"];

/// Files whose texts are not said to a person at the terminal, or not in a sentence.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("core/src/manifest/readme.rs", "writes the connectors' READMEs, which are English"),
    ("core/src/manifest", "mistakes in manifests are told to their writers, beside English keys"),
    ("core/src/secrets.rs", "the form of a token in a debugger"),
    ("hub/src/demo", "the day's persons and systems; its sentences are said in both"),
    ("hub/src/example.rs", "comments of huiliu.toml, whose keys are English"),
    ("hub/src/metrics.rs", "descriptions for Prometheus"),
    ("hub/src/endpoints.rs", "answers to supervisors"),
    ("mappings/src/lens/schema.rs", "the JSON Schema, which editors show beside English keys"),
    ("connectors/file/src/suggest.rs", "a mapping file, whose keys are English"),
];

/// A text in the source, and the code before it.
struct Literal {
    line: usize,
    text: String,
    before: String,
}

/// So much code before a text says what it is for.
const BEFORE: usize = 300;

/// The texts of a source file outside of comments and tests.
fn literals(source: &str) -> Vec<Literal> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let (mut found, mut code, mut rest) = (Vec::new(), String::new(), source);
    while let Some(first) = rest.chars().next() {
        let line = source[..source.len() - rest.len()].matches('\n').count() + 1;
        let before = |code: &str| code.chars().skip(code.chars().count().saturating_sub(BEFORE)).collect::<String>();
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some((text, after)) = raw(rest).filter(|_| !code.ends_with(|c: char| c.is_alphanumeric())) {
            found.push(Literal { line, text: text.to_owned(), before: before(&code) });
            (code, rest) = (code + "\"\"", after);
        } else if first == '"' {
            let (text, after) = escaped(&rest[1..]);
            found.push(Literal { line, text, before: before(&code) });
            (code, rest) = (code + "\"\"", after);
        } else if let Some(after) = character(rest) {
            (code, rest) = (code + "' '", after);
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// `r#"…"#`: the text, and what follows.
fn raw(rest: &str) -> Option<(&str, &str)> {
    let inner = rest.strip_prefix('r')?;
    let marks = inner.len() - inner.trim_start_matches('#').len();
    let inner = inner[marks..].strip_prefix('"')?;
    inner.split_once(&format!("\"{}", "#".repeat(marks)))
}

/// A character, not a lifetime.
fn character(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        return escape.get(1..)?.split_once('\'').map(|(_, after)| after);
    }
    inner.chars().next().and_then(|c| inner[c.len_utf8()..].strip_prefix('\''))
}

/// A text up to its quote, its escapes read, and what follows.
fn escaped(rest: &str) -> (String, &str) {
    let (mut text, mut at) = (String::new(), rest.char_indices());
    while let Some((place, c)) = at.next() {
        match c {
            '"' => return (text, &rest[place + 1..]),
            '\\' => match at.next().map(|(_, c)| c) {
                Some('n') => text.push_str("\\n"),
                Some('\n') => {
                    let blank = rest[place + 2..].len() - rest[place + 2..].trim_start().len();
                    at = rest[place + 2 + blank..].char_indices();
                    let (more, after) = escaped(at.as_str());
                    return (text + &more, after);
                }
                Some(c) => text.push(c),
                None => break,
            },
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    (text, "")
}

/// A text with `{}` for every hole.
fn form(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = text.split('{');
    let mut form = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        form += "{}";
        form += part.split_once('}').map_or("", |(_, after)| after);
    }
    form.replace('\u{1}', "{").replace('\u{2}', "}")
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// Two words of small letters at least: less is a key, a name, a unit.
fn is_sentence(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphabetic() && c != '_');
    let words = words.filter(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase()));
    text.trim().contains(' ') && words.count() >= 2 && !is_chinese(text)
}

/// Whether what stands before says that no person reads it, or that she reads it in her language.
fn is_elsewhere(before: &str, text: &str) -> bool {
    let statement = before.rsplit([';', '}']).next().unwrap_or_default();
    let calls = [
        "say!(",
        "both!(",
        "Both {",
        "pick(",
        "tracing::",
        "info_span!(",
        "#[command(",
        "#[arg(",
        "metrics::",
        ".expect(",
        "debug_assert",
    ];
    calls.iter().any(|call| statement.contains(call))
        || statement.contains("Language::En")
        || statement.contains("(en, zh)")
        || [
            "SELECT ",
            "INSERT ",
            "UPDATE ",
            "DELETE ",
            "WHERE ",
            "FROM ",
            "CROSS JOIN",
            "PRAGMA ",
            " AND ",
            " AS ",
            "ON CONFLICT",
            "CREATE TABLE",
            ".received_us",
            "l.external_id",
            "('pending'",
        ]
        .iter()
        .any(|word| text.contains(word))
        || text.starts_with("text/")
        // A table of TOML.
        || (text.starts_with('[') && text.contains("]\\n"))
}

fn catalog() -> BTreeSet<String> {
    let text = include_str!("../../hub/src/language/messages.zh.txt");
    let blocks = text.split("\n\n").filter_map(|block| block.trim().lines().find(|line| !line.starts_with('#')));
    blocks.map(str::to_owned).collect()
}

#[test]
fn every_message_is_said_in_both_languages() {
    let known = catalog();
    let (mut mistakes, mut seen) = (Vec::new(), 0);
    let ours = |path: &str| SOURCES.iter().any(|start| path.starts_with(start));
    for (path, source) in ending(".rs").into_iter().filter(|(path, _)| ours(path)) {
        if EXCEPTIONS.iter().any(|(start, _)| path.starts_with(start)) {
            continue;
        }
        for literal in literals(&source) {
            let form = form(&literal.text);
            if !is_sentence(&form) || is_elsewhere(&literal.before, &form) {
                continue;
            }
            seen += 1;
            if !known.contains(&form) && !known.contains(&format!("{form}{{}}")) {
                let line = literal.line;
                mistakes.push(format!(
                    "{path}:{line}: `{form}` has no Chinese: use say!, or add it to hub/src/language/messages.zh.txt"
                ));
            }
        }
    }
    assert!(seen > 80, "only {seen} messages were found");
    none(&mistakes);
}

#[test]
fn texts_are_found_as_they_are_written() {
    let source = "// \"no\"\nErr(format!(\"a {x:?} is \\\n    no {{word}}\\n\"));\nlet c = '\"'; f(r#\"raw \"x\"\"#); fn f<'a>() {}\n";
    let found: Vec<String> = literals(source).iter().map(|it| form(&it.text)).collect();
    assert_eq!(found, ["a {} is no {word}\\n", "raw \"x\""]);
}
