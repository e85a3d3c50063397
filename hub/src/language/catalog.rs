//! English messages and their Chinese, as forms with holes: `{}: cannot be opened: {}`.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Pairs of lines, parted by empty ones: the English form, the Chinese one. `{}` is a hole, `{2}` the second one; `\n` is
/// a line end.
const FORMS: &str = include_str!("messages.zh.txt");

/// What stands in a hole may itself be a message, which may hold one: no error is wrapped more often than this.
const DEPTH_MAX: usize = 6;

/// A message with holes, and what it is in Chinese.
struct Form {
    /// The texts between the holes.
    parts: Vec<String>,
    chinese: String,
}

/// The forms by the first word of their text before the first hole, and those that begin with a hole.
struct Catalog {
    begun: HashMap<String, Vec<Form>>,
    open: Vec<Form>,
}

fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let mut catalog = Catalog { begun: HashMap::new(), open: Vec::new() };
        for (english, chinese) in pairs() {
            let parts: Vec<String> = english.split("{}").map(str::to_owned).collect();
            let form = Form { parts, chinese };
            match first_word(&form.parts[0]) {
                Some(word) => catalog.begun.entry(word.to_owned()).or_default().push(form),
                None => catalog.open.push(form),
            }
        }
        catalog
    })
}

/// The first word, if a blank ends it: what is cut by a hole is no whole word.
fn first_word(text: &str) -> Option<&str> {
    text.split_once(' ').map(|(word, _)| word).filter(|word| !word.is_empty())
}

/// The pairs of the file.
fn pairs() -> impl Iterator<Item = (String, String)> {
    let blocks = FORMS.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks.filter_map(|block| {
        let mut lines = block.trim().lines().filter(|line| !line.starts_with('#'));
        Some((unescaped(lines.next()?), unescaped(lines.next()?)))
    })
}

fn unescaped(line: &str) -> String {
    line.replace("\\n", "\n")
}

/// A message in Chinese: the whole, or line by line, or what follows its place.
pub(super) fn chinese(message: &str) -> String {
    translated(message, 0).unwrap_or_else(|| {
        if message.contains('\n') {
            message.lines().map(chinese).collect::<Vec<_>>().join("\n")
        } else {
            message.to_owned()
        }
    })
}

fn translated(message: &str, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX || message.is_empty() {
        return None;
    }
    let catalog = catalog();
    let begun = first_word(message).and_then(|word| catalog.begun.get(word));
    let best = begun.into_iter().flatten().chain(&catalog.open).filter_map(|form| Some((form, form.holes(message)?)));
    // Of several the one that says most itself.
    if let Some((form, holes)) = best.max_by_key(|(form, _)| form.parts.iter().map(String::len).sum::<usize>()) {
        let inner = |hole: &str| translated(hole, depth + 1).unwrap_or_else(|| hole.to_owned());
        return Some(form.fill(&holes.into_iter().map(inner).collect::<Vec<_>>()));
    }
    // A place in front: `huiliu.toml:2:1: …`, `shop/customers: …`.
    let mut places = message.match_indices(": ");
    places.find_map(|(at, _)| {
        let rest = translated(&message[at + 2..], depth + 1)?;
        let place = translated(&message[..at], depth + 1).unwrap_or_else(|| message[..at].to_owned());
        Some(format!("{place}：{rest}"))
    })
}

impl Form {
    /// What stands in the holes, if the message has this form.
    fn holes<'a>(&self, message: &'a str) -> Option<Vec<&'a str>> {
        let (first, rest) = self.parts.split_first()?;
        let mut left = message.strip_prefix(first.as_str())?;
        let mut holes = Vec::new();
        for (at, part) in rest.iter().enumerate() {
            let is_last = at + 1 == rest.len();
            let end = match (is_last, part.as_str()) {
                (true, part) => left.len().checked_sub(part.len()).filter(|_| left.ends_with(part))?,
                (false, part) => left.find(part)?,
            };
            holes.push(&left[..end]);
            left = &left[end + part.len()..];
        }
        left.is_empty().then_some(holes)
    }

    fn fill(&self, holes: &[String]) -> String {
        let mut text = self.chinese.clone();
        for (at, hole) in holes.iter().enumerate() {
            let numbered = format!("{{{}}}", at + 1);
            text = if text.contains(&numbered) { text.replace(&numbered, hole) } else { text.replacen("{}", hole, 1) };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_whole_and_told_once() {
        let mut known = std::collections::BTreeSet::new();
        for block in FORMS.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let lines: Vec<&str> = block.trim().lines().filter(|line| !line.starts_with('#')).collect();
            assert!(lines.len() == 2 || lines.is_empty(), "two lines are wanted: {block}");
        }
        for (english, chinese) in pairs() {
            let holes = english.matches("{}").count();
            let filled =
                (1..=holes).filter(|at| chinese.contains(&format!("{{{at}}}"))).count() + chinese.matches("{}").count();
            assert_eq!(holes, filled, "{english}\n{chinese}");
            assert!(!chinese.is_ascii(), "no Chinese: {chinese}");
            assert!(known.insert(english.clone()), "told twice: {english}");
        }
    }

    #[test]
    fn a_message_is_found_whatever_stands_in_its_holes() {
        let told = chinese("a b.csv: cannot be opened: No such file or directory (os error 2)");
        assert_eq!(told, "a b.csv：无法打开：没有那个文件或目录");
        let told =
            chinese("huiliu.toml:2:1: unknown field `stor`, expected one of `store`, `listen`; did you mean `store`?");
        assert!(told.starts_with("huiliu.toml:2:1：未知的键 `stor`") && told.ends_with("；是不是 `store`？"), "{told}");
        assert_eq!(chinese("what the catalog does not know"), "what the catalog does not know");
    }
}
