//! `ExecuteBillQuery`: rows in, JSON objects out.

use huiliu_core::connector::{ConnectorError, Cx, ExternalId, Record, Result, StreamName, Version};
use serde_json::{Map, Value, json};

use crate::streams::{Form, STAMP};
use crate::wire::{Intent, Wire};

const SERVICE: &str = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery";

/// An order of more entries than this is refused: no invented order comes near it, and a reply must stay bounded.
const RECORD_ROWS_MAX: usize = 100_000;

/// Everything a query says besides the form.
pub struct Ask<'a> {
    /// SQL-like condition.
    pub filter: &'a str,
    /// Sort keys.
    pub order: &'a str,
    /// Rows to skip.
    pub start_row: usize,
    /// Rows wanted at most.
    pub limit: usize,
}

/// One row: a value for each key asked for.
pub type Row = Vec<Value>;

/// The rows that answer a query.
pub async fn rows(wire: &Wire, cx: &Cx, form: &Form, ask: &Ask<'_>) -> Result<Vec<Row>> {
    let keys = form.keys();
    let body = json!({ "data": {
        "FormId": form.id,
        "FieldKeys": keys.join(","),
        "FilterString": ask.filter,
        "OrderString": ask.order,
        "TopRowCount": 0,
        "StartRow": ask.start_row,
        "Limit": ask.limit,
    }});
    let Value::Array(list) = wire.call(cx, SERVICE, &body, Intent::Read).await? else {
        return Err(ConnectorError::broken(format!("the query of {} did not answer with rows", form.id)));
    };
    let rows = list.into_iter().map(|row| match row {
        Value::Array(cells) if cells.len() == keys.len() => Ok(cells),
        _ => Err(ConnectorError::broken(format!(
            "the query of {} answered with a row that does not have {} cells; compare the field keys in the settings \
             with QueryBusinessInfo",
            form.id,
            keys.len()
        ))),
    });
    rows.collect()
}

/// Every row of one record, however many there are: `filter` names the record.
pub async fn record_rows(wire: &Wire, cx: &Cx, form: &Form, filter: &str, page: usize) -> Result<Vec<Row>> {
    let order = form.entries.as_ref().map_or(form.key, |entries| entries.key);
    let mut all = Vec::new();
    loop {
        let ask = Ask { filter, order, start_row: all.len(), limit: page };
        let mut more = rows(wire, cx, form, &ask).await?;
        // Basic data is one row; only a form with entries can go on. A tenant may cap pages below what was asked, so
        // only an empty page ends it.
        let is_last = more.is_empty() || form.entries.is_none();
        all.append(&mut more);
        if is_last {
            return Ok(all);
        }
        if all.len() > RECORD_ROWS_MAX {
            return Err(ConnectorError::broken(format!("a record of {} has over {RECORD_ROWS_MAX} entries", form.id)));
        }
    }
}

/// The rows of one record as the record: the header's fields, and the entries as an array.
///
/// A dotted key nests as the vendor nests it when written: `FUseOrgId.FNumber` is `{"FUseOrgId":{"FNumber":…}}`. A
/// key that is asked for both alone and with a dot keeps its own value as `Id`, as the vendor's View does. The system
/// has no null in texts and shows a cleared text as blank; here it is null.
pub fn record(form: &Form, stream: &StreamName, rows: &[Row]) -> Result<Record> {
    let first = rows.first().ok_or_else(|| ConnectorError::broken("a record without rows"))?;
    let mut body = nest(&form.fields, first, "");
    if let Some(entries) = &form.entries {
        let prefix = format!("{}_", entries.name);
        let list = rows.iter().map(|row| Value::Object(nest(&entries.fields, &row[form.fields.len()..], &prefix)));
        body.insert(entries.name.to_owned(), list.collect());
    }
    let id = id_of(form, first)?;
    let version = body.get(STAMP).and_then(Value::as_str).map(|text| version(form, text)).transpose()?;
    Ok(Record { stream: stream.clone(), id, version, body: Value::Object(body) })
}

/// The record id in a row: always its first cell.
pub fn id_of(form: &Form, row: &Row) -> Result<ExternalId> {
    match row.first() {
        Some(Value::Number(id)) => Ok(ExternalId::from(id.to_string())),
        Some(Value::String(id)) if is_id(id) => Ok(ExternalId::from(id)),
        _ => Err(ConnectorError::broken(format!("a row of {} has no number in {}", form.id, form.key))),
    }
}

/// The change stamp in a row, as the system wrote it.
pub fn stamp_of<'a>(form: &Form, row: &'a Row) -> Result<&'a str> {
    let at = form.fields.iter().position(|key| key == STAMP);
    at.and_then(|at| row.get(at)).and_then(Value::as_str).ok_or_else(|| {
        ConnectorError::broken(format!("a row of {} has no {STAMP}; without it changes cannot be followed", form.id))
    })
}

/// Whether a text can be an id of this system. Only such a text may go into a filter without quotes.
pub fn is_id(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text inside a filter.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An instant from a stamp without a zone: the system writes GMT+8 wherever it runs.
pub fn instant(text: &str) -> Option<jiff::Timestamp> {
    let local: jiff::civil::DateTime = text.parse().ok()?;
    jiff::tz::offset(8).to_timestamp(local).ok()
}

fn version(form: &Form, text: &str) -> Result<Version> {
    let at = instant(text)
        .ok_or_else(|| ConnectorError::broken(format!("a row of {} has {STAMP} in an unknown form", form.id)))?;
    Ok(Version::instant(text, at))
}

fn nest(keys: &[String], cells: &[Value], prefix: &str) -> Map<String, Value> {
    let mut body = Map::new();
    for (key, cell) in keys.iter().zip(cells) {
        let key = key.strip_prefix(prefix).unwrap_or(key);
        let value = match cell {
            Value::String(text) if text.trim().is_empty() => Value::Null,
            other => other.clone(),
        };
        let is_shared = keys.iter().any(|other| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
        if is_shared {
            insert(&mut body, &[key, "Id"], value);
        } else {
            insert(&mut body, &key.split('.').collect::<Vec<_>>(), value);
        }
    }
    body
}

fn insert(body: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            body.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = body.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
