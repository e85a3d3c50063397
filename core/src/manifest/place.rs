//! Where a mistake of a manifest stands: from `streams.customers.pull: …` to file, line and column.

use std::ops::Range;

use huiliu_mappings::diagnose::Diagnostic;
use toml::de::{DeTable, DeValue};

/// A mistake that says its place as a dotted path of keys (`connector.errors[2]: what is wrong`), with the line of the
/// deepest key that the file has: what a stream inherits stands in `[defaults]`.
pub fn mistake(file: &str, text: &str, told: &str) -> Diagnostic {
    let place = told.split(": ").next().unwrap_or_default();
    Diagnostic::at(file, text, &span(text, place), told)
}

/// The bytes of the deepest key of a dotted path.
pub fn span(text: &str, place: &str) -> Range<usize> {
    let mut found = 0..0;
    let Ok(root) = DeTable::parse(text) else { return found };
    let root = DeValue::Table(root.into_inner());
    let mut value = &root;
    for part in place.split(['.', '[']) {
        let next = match (value, part.trim_end_matches(']').parse::<usize>()) {
            (DeValue::Array(list), Ok(at)) => list.get(at).map(|it| (it.span(), it.get_ref())),
            (DeValue::Table(table), _) => {
                let entry = table.iter().find(|(key, _)| key.get_ref() == part);
                entry.map(|(key, it)| (key.span(), it.get_ref()))
            }
            _ => None,
        };
        let Some((span, inner)) = next else { break };
        found = span;
        value = inner;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "[connector]\nerrors = [\n  { at = '/a' },\n  { at = 'b' },\n]\n[streams.orders]\nfetch = { path = '/x' }\n";

    #[test]
    fn the_deepest_known_key_has_the_line() {
        let line = |told: &str| mistake("c.toml", TEXT, told).to_string();
        assert_eq!(
            line("connector.errors[1]: `b` is no pointer"),
            "c.toml:4:3: connector.errors[1]: `b` is no pointer"
        );
        assert_eq!(line("streams.orders.fetch.path: bad"), "c.toml:7:11: streams.orders.fetch.path: bad");
        assert_eq!(line("streams.orders.pull: records: bad"), "c.toml:6:10: streams.orders.pull: records: bad");
        assert_eq!(line("webhook: bad"), "c.toml:1:1: webhook: bad");
    }
}
