//! Typed looks into a table: each names the place of what is not as expected.

use toml::de::{DeTable, DeValue};

use super::{Parser, Place, Table};
use crate::diagnose::{Diagnostic, suggest};
use crate::lens::path::Path;

impl Parser<'_> {
    pub(super) fn wrong(&mut self, place: &Place, message: impl Into<String>) {
        self.mistakes.push(Diagnostic::at(self.file, self.text, place, message));
    }

    pub(super) fn known_keys(&mut self, table: &Table<'_>, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&&**key.get_ref()) {
                let hint = suggest(key.get_ref(), known.iter().copied());
                self.wrong(&key.span(), format!("unknown key `{}`{hint}", key.get_ref()));
            }
        }
    }

    pub(super) fn word(&mut self, table: &Table<'_>, key: &str) -> Option<(String, Place)> {
        let value = table.get(key)?;
        let word = value.get_ref().as_str().map(|word| (word.to_owned(), value.span()));
        if word.is_none() {
            self.wrong(&value.span(), format!("`{key}` is a text: write it in quotes"));
        }
        word
    }

    pub(super) fn choice(&mut self, table: &Table<'_>, key: &str, known: &[&str]) -> Option<String> {
        let (word, place) = self.word(table, key)?;
        if known.contains(&word.as_str()) {
            return Some(word);
        }
        let hint = suggest(&word, known.iter().copied());
        self.wrong(&place, format!("`{key}` is one of {}{hint}", known.join(", ")));
        None
    }

    pub(super) fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong(&value.span(), format!("`{key}` is true or false"));
        None
    }

    pub(super) fn table<'t>(&mut self, table: &'t Table<'_>, key: &str) -> Option<&'t DeTable<'t>> {
        let value = table.get(key)?;
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.wrong(&value.span(), format!("`{key}` is a table"));
        }
        found
    }

    pub(super) fn path_of(&mut self, table: &Table<'_>, key: &str) -> Option<Path> {
        let (pointer, place) = self.word(table, key)?;
        self.path(&pointer, &place)
    }

    pub(super) fn path(&mut self, pointer: &str, place: &Place) -> Option<Path> {
        Path::parse(pointer).map_err(|message| self.wrong(place, message)).ok()
    }

    pub(super) fn region(&mut self, table: &Table<'_>) -> Option<String> {
        let (region, place) = self.word(table, "region")?;
        if region.parse::<phonenumber::country::Id>().is_err() {
            self.wrong(&place, format!("unknown region `{region}`; write two capital letters such as CN"));
        }
        Some(region)
    }
}
