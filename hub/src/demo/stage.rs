//! The stage: what is told to whoever watches, in her language, 80 columns wide.

use std::io::Write as _;
use std::time::Duration;

use crate::language::Language;

/// Columns of the narrowest terminal that is still common.
const COLUMNS: usize = 80;

/// Tells the story on standard output.
pub struct Stage {
    /// The reader's language.
    pub language: Language,
    scenes: usize,
}

impl Stage {
    /// An empty stage.
    pub fn new(language: Language) -> Self {
        Self { language, scenes: 0 }
    }

    /// A heading.
    pub fn heading(&self, en: &str, zh: &str) {
        line("");
        paragraph("", "", self.language.pick(en, zh));
    }

    /// Plain text below a heading.
    #[allow(clippy::unused_self)] // All of the stage's verbs read alike.
    pub fn text(&self, text: &str) {
        paragraph("  ", "  ", text);
    }

    /// A command to copy: one row, however long.
    #[allow(clippy::unused_self)]
    pub fn command(&self, text: &str) {
        line(&format!("    {text}"));
    }

    /// What a person does.
    pub fn act(&mut self, en: &str, zh: &str) {
        self.scenes += 1;
        let first = format!("{:>2}  ", self.scenes);
        paragraph(&first, "    ", self.language.pick(en, zh));
    }

    /// What followed, and how long it took.
    pub fn followed(&self, en: &str, zh: &str, after: Duration) {
        let seconds = format!("  {:.1} s", after.as_secs_f64());
        paragraph("    ✓ ", "      ", &format!("{}{seconds}", self.language.pick(en, zh)));
    }

    /// What should have followed.
    pub fn missed(&self, en: &str, zh: &str) {
        let lead = self.language.pick("did not happen: ", "没有发生：");
        paragraph("    ✗ ", "      ", &format!("{lead}{}", self.language.pick(en, zh)));
    }

    /// A name with its numbers, in a column.
    pub fn number(&self, en: &str, zh: &str, value: &str) {
        let name = self.language.pick(en, zh);
        let gap = 26_usize.saturating_sub(columns(name)).max(1);
        paragraph(&format!("  {name}{}", " ".repeat(gap)), &" ".repeat(28), value);
    }
}

fn paragraph(first: &str, further: &str, text: &str) {
    for row in wrap(first, further, text) {
        line(&row);
    }
}

/// A reader who has gone away (`| head`) does not end the day.
fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Terminals show East Asian letters two columns wide.
fn width(letter: char) -> usize {
    if letter >= '\u{1100}' && !('\u{2000}'..'\u{2e80}').contains(&letter) { 2 } else { 1 }
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Breaks a text at blanks and between East Asian letters; a closing sign stays with its word.
fn wrap(first: &str, further: &str, text: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = first.to_owned();
    let mut fresh = true;
    for piece in pieces(text) {
        if !fresh && columns(&row) + columns(piece.trim_end()) > COLUMNS {
            rows.push(row.trim_end().to_owned());
            row = further.to_owned();
        }
        row += piece;
        fresh = false;
    }
    rows.push(row.trim_end().to_owned());
    rows
}

/// The parts between which a row may end.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((_, letter)) = letters.next() {
        let Some((at, next)) = letters.peek().copied() else { break };
        let between =
            (width(letter) == 2 || width(next) == 2) && !"，。；：、）！？,.;:)".contains(next) && letter != '（';
        if next != ' ' && (letter == ' ' || between) {
            pieces.push(&text[from..at]);
            from = at;
        }
    }
    pieces.push(&text[from..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_too_wide_and_nothing_is_lost() {
        let english = "The hub reads, compares and writes to nobody. ".repeat(5);
        let chinese = "顾问在企业微信给韩梅梅打上标签 vip，随后商店里也有了这个标签。".repeat(4);
        for text in [english, chinese] {
            let rows = wrap(" 1  ", "    ", &text);
            assert!(rows.len() > 2 && rows.iter().all(|row| columns(row) <= COLUMNS), "{rows:#?}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).skip(1).collect::<String>();
            assert_eq!(letters(&rows.concat()), letters(&format!("1{text}")));
            assert!(!rows.iter().any(|row| row.trim_start().starts_with(['，', '。'])), "{rows:#?}");
        }
    }
}
