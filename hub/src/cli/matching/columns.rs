//! What each column of a file is, said in a TOML file or guessed from the headers.

use std::path::Path;

use huiliu_mappings::diagnose::{Diagnostic, suggest};
use huiliu_mappings::matching::linkage::Kind;
use toml::Spanned;

use crate::language::Language;
use crate::say;

/// Reads the file; a header that the records have not got, or a kind that there is none of, is an error with its place.
pub(super) fn read(path: &Path, headers: &[String]) -> Result<Vec<Kind>, String> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: cannot be read: {error}"))?;
    let given: std::collections::BTreeMap<Spanned<String>, Spanned<String>> =
        toml::from_str(&text).map_err(|error| Diagnostic::from_toml(&file, &text, &error).to_string())?;
    let mut kinds = vec![Kind::Ignore; headers.len()];
    for (header, word) in &given {
        let at = headers.iter().position(|it| it == header.get_ref()).ok_or_else(|| {
            let hint = suggest(header.get_ref(), headers.iter().map(String::as_str));
            let told = format!("the records have no column `{}`{hint}", header.get_ref());
            Diagnostic::at(&file, &text, &header.span(), told).to_string()
        })?;
        kinds[at] =
            Kind::parse(word.get_ref()).map_err(|told| Diagnostic::at(&file, &text, &word.span(), told).to_string())?;
    }
    if kinds.iter().filter(|kind| **kind == Kind::RecordId).count() > 1 {
        return Err(format!("{file}: only one column can be the record_id"));
    }
    Ok(kinds)
}

/// The file that says what the headers seem to be; what nobody knows is a line that waits for a word.
pub(super) fn proposed(headers: &[String], language: Language) -> String {
    let words: Vec<&str> = Kind::words().collect();
    let words = words.join(", ");
    let mut text = say!(language, "# What each column is: {words}.\n", "# 每一列是什么：{words}。\n", words = words);
    for header in headers {
        let key = toml::Value::String(header.clone());
        let kind = Kind::guess(header);
        let aside = if kind == Kind::Ignore { language.pick("  # not compared", "  # 不参与比较") } else { "" };
        text.push_str(&format!("{key} = \"{}\"{aside}\n", kind.word()));
    }
    text
}

/// Names the columns that are not compared, so that nobody wonders.
pub(super) fn left_out(headers: &[String], kinds: &[Kind], language: Language) -> Option<String> {
    let left: Vec<&str> =
        headers.iter().zip(kinds).filter(|(_, kind)| **kind == Kind::Ignore).map(|(it, _)| it.as_str()).collect();
    (!left.is_empty()).then(|| say!(language, "not compared: {left}", "不参与比较：{left}", left = left.join(", ")))
}
