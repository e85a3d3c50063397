//! What the pretended database holds, and its models' methods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// An error of Odoo: its class, its text, and the status that JSON-2 gives it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) message: String,
    pub(super) status: u16,
}

impl Fault {
    pub(super) fn new(status: u16, name: &'static str, message: &str) -> Self {
        Self { name, message: message.to_owned(), status }
    }

    fn value(message: &str) -> Self {
        Self::new(500, "builtins.ValueError", message)
    }
}

#[derive(Clone, Debug)]
struct Row {
    values: Map<String, Value>,
    write_us: i64,
}

/// Everything the database keeps, by model and id.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: BTreeMap<(&'static str, u64), Row>,
    pub(super) writes: u64,
    made: u64,
}

const PARTNER: &[&str] = &[
    "name",
    "is_company",
    "email",
    "phone",
    "vat",
    "function",
    "street",
    "street2",
    "city",
    "zip",
    "country_code",
    "parent_id",
    "lang",
    "active",
    "comment",
];
const ORDER: &[&str] = &["name", "state", "date_order", "amount_total", "currency_id", "partner_id"];

/// A model's own name and its fields.
fn model(name: &str) -> Result<(&'static str, &'static [&'static str]), Fault> {
    match name {
        "res.partner" => Ok(("res.partner", PARTNER)),
        "sale.order" => Ok(("sale.order", ORDER)),
        _ => Err(Fault::new(404, "werkzeug.exceptions.NotFound", "the model does not exist")),
    }
}

impl Book {
    pub(super) fn add(&mut self, name: &'static str, vals: &Value, at_us: i64) -> u64 {
        self.made += 1;
        let id = self.made;
        let mut values = Map::new();
        for field in if name == "res.partner" { PARTNER } else { ORDER } {
            values.insert((*field).to_owned(), Value::Bool(false));
        }
        if name == "res.partner" {
            values.insert("active".to_owned(), Value::Bool(true));
        } else {
            let civil = Timestamp::from_microsecond(at_us).unwrap_or_default();
            let defaults = json!({ "name": format!("S{id:05}"), "state": "draft", "currency_id": [7, "CNY"],
                "amount_total": 0, "date_order": stamp(civil.as_microsecond()) });
            values.extend(defaults.as_object().cloned().unwrap_or_default());
        }
        self.rows.insert((name, id), Row { values, write_us: at_us });
        self.edit(name, id, vals, at_us);
        id
    }

    pub(super) fn edit(&mut self, name: &'static str, id: u64, vals: &Value, at_us: i64) {
        let partner = |id: u64| self.rows.get(&("res.partner", id)).map(|row| row.values["name"].clone());
        let mut set = Map::new();
        for (field, value) in vals.as_object().into_iter().flatten() {
            let value = match (field.as_str(), value.as_u64()) {
                ("partner_id" | "parent_id", Some(other)) => json!([other, partner(other)]),
                _ if value.is_null() || *value == json!("") => Value::Bool(false),
                _ => value.as_str().map_or_else(|| value.clone(), |text| json!(text.trim())),
            };
            set.insert(field.clone(), value);
        }
        if let Some(row) = self.rows.get_mut(&(name, id)) {
            row.values.extend(set);
            row.write_us = at_us;
        }
    }

    pub(super) fn remove(&mut self, name: &'static str, id: u64) {
        self.rows.remove(&(name, id));
    }

    pub(super) fn all(&self, name: &str) -> BTreeMap<String, Value> {
        let mine = self.rows.iter().filter(|((model, _), _)| *model == name);
        mine.map(|((_, id), row)| (id.to_string(), Value::Object(row.values.clone()))).collect()
    }

    /// One method of a model with named arguments.
    pub(super) fn call(&mut self, name: &str, method: &str, named: &Value, now_us: i64) -> Result<Value, Fault> {
        let (name, known) = model(name)?;
        let checked = |vals: &Value| {
            let unknown = vals.as_object().and_then(|map| map.keys().find(|field| !known.contains(&field.as_str())));
            match unknown {
                Some(field) => Err(Fault::value(&format!("Invalid field '{field}' in '{name}'"))),
                None => Ok(()),
            }
        };
        match method {
            "search_read" => self.search_read(name, known, named),
            "create" => {
                let lists = named["vals_list"].as_array().cloned().unwrap_or_default();
                let mut ids = Vec::new();
                for vals in &lists {
                    checked(vals)?;
                    if vals["name"].as_str().is_none_or(str::is_empty) {
                        let text = "Missing required value for the field 'Name' (name).";
                        return Err(Fault::new(422, "odoo.exceptions.ValidationError", text));
                    }
                    ids.push(self.add(name, vals, now_us));
                    self.writes += 1;
                }
                Ok(json!(ids))
            }
            "write" => {
                checked(&named["vals"])?;
                for id in named["ids"].as_array().into_iter().flatten() {
                    let id = id.as_u64().ok_or_else(|| Fault::value("an id is a number"))?;
                    if !self.rows.contains_key(&(name, id)) {
                        let text = "Record does not exist or has been deleted.";
                        return Err(Fault::new(404, "odoo.exceptions.MissingError", text));
                    }
                    self.edit(name, id, &named["vals"], now_us);
                    self.writes += 1;
                }
                Ok(Value::Bool(true))
            }
            _ => Err(Fault::new(404, "builtins.AttributeError", "the method does not exist")),
        }
    }

    fn search_read(&self, name: &str, known: &[&str], named: &Value) -> Result<Value, Fault> {
        let no_terms = Vec::new();
        let terms = named["domain"].as_array().unwrap_or(&no_terms);
        let asks_active = terms.iter().any(|term| term[0] == "active");
        let hides = named["context"]["active_test"] != json!(false) && !asks_active;
        let mut found = Vec::new();
        for ((model, id), row) in &self.rows {
            if *model != name || (hides && row.values.get("active") == Some(&Value::Bool(false))) {
                continue;
            }
            let mut fits = true;
            for term in terms {
                fits &= holds(*id, row, term)?;
            }
            if fits {
                found.push((*id, row));
            }
        }
        let limit = named["limit"].as_u64().map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let fields: Vec<&str> = named["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(field) = fields.iter().find(|it| !known.contains(it) && !["id", "write_date"].contains(it)) {
            return Err(Fault::value(&format!("Invalid field '{field}' on model '{name}'")));
        }
        let shown = found.into_iter().take(limit).map(|(id, row)| {
            let mut record = Map::from_iter([("id".to_owned(), json!(id))]);
            for field in &fields {
                let value = if *field == "write_date" { json!(stamp(row.write_us)) } else { row.value(id, field) };
                record.insert((*field).to_owned(), value);
            }
            Value::Object(record)
        });
        Ok(shown.collect())
    }
}

impl Row {
    fn value(&self, id: u64, field: &str) -> Value {
        if field == "id" { json!(id) } else { self.values.get(field).cloned().unwrap_or(Value::Bool(false)) }
    }
}

/// Whether one term of a domain holds. Stamps are compared with all their digits, though they are shown without.
fn holds(id: u64, row: &Row, term: &Value) -> Result<bool, Fault> {
    let (field, wanted) = (term[0].as_str().unwrap_or_default(), &term[2]);
    if field == "write_date" {
        let civil = wanted.as_str().and_then(|text| text.parse::<jiff::civil::DateTime>().ok());
        let at = civil.and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil).ok());
        let at_us = at.ok_or_else(|| Fault::value("not a time"))?.as_microsecond();
        return Ok(row.write_us >= at_us);
    }
    let held = row.value(id, field);
    match term[1].as_str() {
        Some("=") if field == "id" && !wanted.is_u64() => Err(Fault::value("an id is a number")),
        Some("=") => Ok(held == *wanted),
        Some(">") => match (held.as_u64(), wanted.as_u64()) {
            (Some(held), Some(wanted)) => Ok(held > wanted),
            _ => Err(Fault::value("an id is a number")),
        },
        _ => Err(Fault::value("this domain cannot be understood")),
    }
}

/// `2026-01-02 03:04:05`, of UTC: what is finer is cut.
fn stamp(at_us: i64) -> String {
    let at = Timestamp::from_second(at_us.div_euclid(1_000_000)).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
