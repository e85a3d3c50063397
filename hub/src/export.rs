//! Golden records out: JSON Lines, or tables for people. Page by page, whatever there is of them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use huiliu_core::engine::Engine;
use huiliu_core::store::goldens::{self, Golden};
use huiliu_file::write::{Csv, Xlsx};
use huiliu_mappings::model::Model;
use huiliu_mappings::value::FieldName;
use serde_json::Value;

use crate::language::Language;
use crate::show::plain;

/// Records read at once.
const PAGE: i64 = 1000;

/// Columns of a table: labels are free text, so a deployment may have many; a spreadsheet has no more than this.
const COLUMNS_MAX: usize = 16_384;

/// A form of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON Lines: one object a line, values as they are.
    Jsonl,
    /// CSV in UTF-8.
    Csv,
    /// A workbook.
    Xlsx,
}

impl Format {
    /// The form that an ending promises.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// The golden records of one entity.
pub struct Table<'a> {
    /// Where they are.
    pub engine: &'a Engine,
    /// What their fields are called.
    pub model: &'a Model,
    /// What they are.
    pub entity: &'a str,
    /// The language of the headers.
    pub language: Language,
}

impl Table<'_> {
    /// Writes every living golden record; returns how many.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> Result<u64, String> {
        if format == Format::Jsonl {
            return self.each(&mut |golden| {
                let line = serde_json::json!({"id": golden.id, "entity": golden.entity, "fields": golden.fields});
                writeln!(out, "{line}").map_err(|error| format!("cannot write: {error}"))
            });
        }
        let columns = self.columns()?;
        let mut table = Csv::new(out, &self.headers(&columns))?;
        let count = self.each(&mut |golden| table.row(&cells(golden, &columns)))?;
        table.finish()?;
        Ok(count)
    }

    /// Writes a workbook; returns how many records it holds.
    pub fn workbook(&self, path: &Path) -> Result<u64, String> {
        let columns = self.columns()?;
        let mut table = Xlsx::new(&self.headers(&columns))?;
        let count = self.each(&mut |golden| table.row(&cells(golden, &columns)))?;
        table.finish(path)?;
        Ok(count)
    }

    fn each(&self, take: &mut dyn FnMut(&Golden) -> Result<(), String>) -> Result<u64, String> {
        let (mut after, mut count) = (0, 0);
        loop {
            let page = self.engine.store.read(|tx| goldens::after(tx, self.entity, after, PAGE));
            let page = page.map_err(|error| error.to_string())?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.id;
            for golden in &page {
                take(golden)?;
                count += 1;
            }
        }
    }

    /// The fields that any record has, in the order of their names. They are looked for first: a table begins with its
    /// headers.
    fn columns(&self) -> Result<Vec<FieldName>, String> {
        let mut known = BTreeSet::new();
        self.each(&mut |golden| {
            let new: Vec<FieldName> = golden.fields.keys().filter(|field| !known.contains(*field)).cloned().collect();
            known.extend(new);
            if known.len() >= COLUMNS_MAX {
                return Err(format!("more than {COLUMNS_MAX} fields are in use; export JSON Lines"));
            }
            Ok(())
        })?;
        Ok(known.into_iter().collect())
    }

    fn headers(&self, columns: &[FieldName]) -> Vec<String> {
        let id = self.language.pick("id", "主记录编号").to_owned();
        std::iter::once(id).chain(columns.iter().map(|field| self.header(field))).collect()
    }

    /// `emails.work`, or `邮箱（工作）`.
    fn header(&self, field: &FieldName) -> String {
        let spec = self.model.fields(self.entity).and_then(|fields| fields.get(field.family()));
        match (self.language, spec.and_then(|spec| spec.zh.as_deref()), field.label()) {
            (Language::En, ..) | (_, None, _) => field.to_string(),
            (Language::Zh, Some(name), None) => name.to_owned(),
            (Language::Zh, Some(name), Some(label)) => format!("{name}（{}）", label_zh(label)),
        }
    }
}

/// The labels that mappings use; another one stands as it is.
fn label_zh(label: &str) -> &str {
    match label {
        "main" => "主要",
        "work" => "工作",
        "home" => "家庭",
        "mobile" => "手机",
        "billing" => "账单",
        "shipping" | "delivery" => "收货",
        "email" => "邮件",
        "sms" => "短信",
        "phone" => "电话",
        other => other,
    }
}

fn cells(golden: &Golden, columns: &[FieldName]) -> Vec<String> {
    let of = |field| golden.fields.get(field).filter(|value| !value.is_null()).map(cell).unwrap_or_default();
    std::iter::once(golden.id.to_string()).chain(columns.iter().map(of)).collect()
}

/// A value in one cell: texts as they are, lists of objects (order lines) as JSON, which loses nothing.
fn cell(value: &Value) -> String {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => value.to_string(),
        Value::Object(parts) => match parts.get("text").and_then(Value::as_str) {
            Some(text) if parts.len() == 1 => text.to_owned(),
            _ => plain(value),
        },
        other => plain(other),
    }
}
