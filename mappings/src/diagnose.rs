//! Mistakes in files, as sentences with a place: file, line, column, what is wrong, and the nearest right word.

use std::fmt;
use std::ops::Range;

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Diagnostic {
    /// A mistake at a byte range of `text`, the content of `file`.
    pub fn at(file: &str, text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let before = &text[..start];
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
            message: message.into(),
        }
    }

    /// A TOML error, with the nearest known key appended when serde names the expected ones.
    pub fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        let mut quoted = message.split('`').skip(1).step_by(2);
        let unknown = message.starts_with("unknown ").then(|| quoted.next()).flatten();
        let hint = unknown.map_or(String::new(), |word| suggest(word, quoted));
        Self::at(file, text, &span, format!("{message}{hint}"))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// The known word nearest to `word`, if one is near enough to be what the writer meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` for the nearest known word, or nothing.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or(String::new(), |best| format!("; did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let diagnostic = Diagnostic::at("a.toml", "客户 = 1\n名字 = x\n", &(18..19), "bad");
        assert_eq!(diagnostic.to_string(), "a.toml:2:4: bad");
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct File {
            normalize: Option<String>,
            region: Option<String>,
        }
        let text = "normalise = 'email'\n";
        let error = toml::from_str::<File>(text).unwrap_err();
        let told = Diagnostic::from_toml("m.toml", text, &error).to_string();
        assert!(told.starts_with("m.toml:1:1: unknown field `normalise`"), "{told}");
        assert!(told.ends_with("did you mean `normalize`?"), "{told}");
    }

    #[test]
    fn a_far_word_suggests_nothing() {
        assert_eq!(suggest("zzz", ["email", "phone"]), "");
    }
}
