//! One line of a deployment's `rules/survive.toml`: what stands around it keeps its place and its comments.

use std::path::{Path, PathBuf};

use huiliu_mappings::merge::{Rules, SHIPPED};
use huiliu_mappings::model::Model;
use huiliu_mappings::value::FieldName;

use crate::deployment;

/// A changed file that is not written yet.
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// The line.
    pub line: String,
    /// The rules with it.
    pub rules: Rules,
    text: String,
}

/// The deployment's rules with these strategies for a field; where it has no file yet, the shipped ones are its beginning.
///
/// # Errors
/// Mistakes in the file as it stands, or as it would be.
pub fn with(
    folder: &Path,
    entity: &str,
    field: &FieldName,
    strategies: &[String],
    model: &Model,
) -> Result<Change, String> {
    let path = folder.join("rules/survive.toml");
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => SHIPPED.to_owned(),
        Err(error) => return Err(format!("{}: cannot be read: {error}", path.display())),
    };
    let key = if field.label().is_some() { format!("\"{field}\"") } else { field.to_string() };
    let words: Vec<String> = strategies.iter().map(|it| toml::Value::String(it.clone()).to_string()).collect();
    let line = format!("{key} = [{}]", words.join(", "));
    let text = placed(&before, entity, &[&key, field.as_str()], &line);
    let name = path.display().to_string();
    let rules = Rules::parse(&name, &text, model).map_err(|told| deployment::lines(&told))?;
    Ok(Change { path, line, rules, text })
}

/// The text with the line in the place of the one that has one of these keys, or at the beginning of the entity's table.
fn placed(text: &str, entity: &str, keys: &[&str], line: &str) -> String {
    let header = format!("[{entity}]");
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|it| it.trim_start().starts_with(&header)) else {
        return format!("{}\n\n{header}\n{line}\n", text.trim_end());
    };
    let rest = &lines[start + 1..];
    let end = rest.iter().position(|it| it.trim_start().starts_with('[')).map_or(lines.len(), |at| start + 1 + at);
    let is_it = |it: &&str| it.split_once('=').is_some_and(|(key, _)| keys.contains(&key.trim()));
    match lines[start + 1..end].iter().position(is_it) {
        // Strategies over several lines go with their first one.
        Some(at) => {
            let at = start + 1 + at;
            let closed = |text: &str| text.matches('[').count() <= text.matches(']').count();
            let mut last = at;
            while last + 1 < end && !closed(&lines[at..=last].concat()) {
                last += 1;
            }
            lines.splice(at..=last, [line]);
        }
        None => lines.insert(start + 1, line),
    }
    lines.join("\n") + "\n"
}

impl Change {
    /// Writes the file.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn write(&self) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: cannot be written: {error}", self.path.display());
        std::fs::create_dir_all(self.path.parent().unwrap_or(Path::new("."))).map_err(told)?;
        // A file that is half there would be a mistake in the rules: the new one takes the old one's place at once.
        let fresh = self.path.with_extension("toml.new");
        std::fs::write(&fresh, &self.text).and_then(|()| std::fs::rename(&fresh, &self.path)).map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_finds_its_place() {
        let text = "# ours\ndefault = ['most_recent']\n\n[customer] # people\ntags = ['union']\ntitle = [\n  'first',\n]\nowner = 'first'\n\n[order]\nnote = 'first'\n";
        let line = "title = [\"prefer:erp\"]";
        let there = placed(text, "customer", &["title"], line);
        assert_eq!(there, text.replace("title = [\n  'first',\n]", line));
        assert_eq!(placed(&there, "customer", &["title"], line), there);
        let fresh = placed(text, "customer", &["company"], "company = 'first'");
        assert_eq!(fresh, text.replace("# people\n", "# people\ncompany = 'first'\n"));
        assert!(
            placed(text, "deal", &["stage"], "stage = 'first'")
                .ends_with("note = 'first'\n\n[deal]\nstage = 'first'\n")
        );
        assert_eq!(placed("", "deal", &["stage"], "stage = 'first'"), "\n\n[deal]\nstage = 'first'\n");
    }
}
