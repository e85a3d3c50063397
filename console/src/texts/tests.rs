use super::*;

/// What stands in braces, in order of the alphabet.
fn braces(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect();
    names.sort_unstable();
    names
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[test]
fn both_languages_say_the_same() {
    // Signs and names that are the same everywhere, and the link that speaks the other language.
    let free = ["comma", "colon", "nothing", "other_language", "identity_unionid"];
    let mut mistakes = Vec::new();
    for (name, en, zh) in ALL.iter().chain(fields::ALL).filter(|(name, ..)| !free.contains(name)) {
        if braces(en) != braces(zh) {
            mistakes.push(format!("{name}: {en} | {zh}: other values"));
        }
        if en.trim().is_empty() || en.chars().any(is_han) {
            mistakes.push(format!("{name}: {en}: no English"));
        }
        let words = zh.chars().any(is_han) || braces(zh).len() > 1;
        if !words {
            mistakes.push(format!("{name}: {zh}: no Chinese"));
        }
        if zh.contains(|c: char| ",;!?".contains(c)) {
            mistakes.push(format!("{name}: {zh}: a sign of the other script"));
        }
        let (ends_en, ends_zh) = (en.ends_with(['.', '?']), zh.ends_with(['。', '？']));
        if ends_en != ends_zh {
            mistakes.push(format!("{name}: {en} | {zh}: one is a sentence"));
        }
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
    let count = ALL.len() + fields::ALL.len();
    assert!(count > 250, "only {count} texts");
}

#[test]
fn sentences_are_said_in_both() {
    assert_eq!(Language::En.said_retried(2, 1), "2 tried again; 1 must be mended elsewhere first.");
    assert_eq!(Language::Zh.said_retried(2, 1), "已重试 2 项；1 项需先在别处修正。");
}
