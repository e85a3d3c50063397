//! The models behind the streams, the fields read of each, and what a row becomes.

use huiliu_core::connector::{ConnectorError, ExternalId, Received, Record, Result, StreamName, Version};
use serde_json::{Map, Value, json};

/// One stream: a model with the child records that belong to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// The vendor's model.
    pub model: &'static str,
    /// Fields of the model and, with a dot, of what it refers to.
    fields: &'static [&'static str],
    /// Child records: their changes leave no mark on the parent.
    pub children: &'static [Child],
}

/// Child records of a model.
#[derive(Debug, PartialEq, Eq)]
pub struct Child {
    /// The parent's field.
    pub field: &'static str,
    /// Their model.
    pub model: &'static str,
}

const PARTIES: Stream = Stream {
    name: "parties",
    model: "party.party",
    fields: &[
        "name",
        "code",
        "active",
        "replaced_by",
        "lang.code",
        "tax_identifier.type",
        "tax_identifier.code",
        "contact_mechanisms.type",
        "contact_mechanisms.value",
        "contact_mechanisms.name",
        "contact_mechanisms.active",
        "contact_mechanisms._timestamp",
        "addresses.street",
        "addresses.postal_code",
        "addresses.city",
        "addresses.subdivision.name",
        "addresses.country.code",
        "addresses.active",
        "identifiers.type",
        "identifiers.code",
        "identifiers.active",
    ],
    children: &[
        Child { field: "contact_mechanisms", model: "party.contact_mechanism" },
        Child { field: "addresses", model: "party.address" },
        Child { field: "identifiers", model: "party.identifier" },
    ],
};

const SALES: Stream = Stream {
    name: "sales",
    model: "sale.sale",
    fields: &[
        "number",
        "reference",
        "description",
        "sale_date",
        "state",
        "party",
        "currency.code",
        "untaxed_amount",
        "tax_amount",
        "total_amount",
        "invoice_state",
        "shipment_state",
        "comment",
        "lines.type",
        "lines.product.code",
        "lines.product.name",
        "lines.description",
        "lines.quantity",
        "lines.unit.symbol",
        "lines.unit_price",
        "lines.amount",
        "lines.currency.code",
    ],
    children: &[Child { field: "lines", model: "sale.line" }],
};

/// When a row changed last is its `write_date`, or, as long as nobody wrote it, its `create_date`.
pub const STAMPS: [&str; 2] = ["write_date", "create_date"];

/// Kinds of contact mechanisms that a mapping may name. One that a party does not have reads as null, so that a removed
/// one is seen to be cleared.
pub const KINDS: [&str; 5] = ["email", "phone", "mobile", "fax", "website"];

impl Stream {
    /// The stream of this name.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] for an unknown one.
    pub fn of(name: &StreamName) -> Result<&'static Self> {
        match name.as_str() {
            "parties" => Ok(&PARTIES),
            "sales" => Ok(&SALES),
            other => Err(ConnectorError::broken(format!("tryton has no stream {other}; it has parties and sales"))),
        }
    }

    /// Everything that is read of a row.
    pub fn fields(&self) -> Vec<String> {
        let own = self.fields.iter().chain(&STAMPS).chain(&["_timestamp"]).map(|&field| field.to_owned());
        let children = self.children.iter().flat_map(|child| STAMPS.map(|stamp| format!("{}.{stamp}", child.field)));
        own.chain(children).collect()
    }

    /// A row as a record; an archived one is a deletion, as it is for Tryton's own users.
    pub fn received(&self, row: Value) -> Result<Received> {
        let record = self.record(row)?;
        let Record { stream, id, version, body } = record;
        if is_active(&body) {
            return Ok(Received::Record(Record { stream, id, version, body }));
        }
        Ok(Received::Deleted { stream, id, version })
    }

    /// A row as a record, archived or not.
    pub fn record(&self, row: Value) -> Result<Record> {
        let id = id_of(&row)?;
        let version = self.newest(&row).map(version).transpose()?;
        let Value::Object(mut body) = row else { return Err(odd()) };
        if self.name == PARTIES.name {
            shape_party(&mut body);
        } else if let Some(Value::Array(lines)) = body.get_mut("lines") {
            // Titles, comments and subtotals stand between the lines that are sold.
            lines.retain(|line| line["type"] == "line");
        }
        Ok(Record {
            stream: self.name.into(),
            id: ExternalId::from(id.to_string()),
            version,
            body: Value::Object(body),
        })
    }

    /// The latest stamp of a row and its children. Stamps are texts of one length, so they compare as texts.
    pub fn newest<'a>(&self, row: &'a Value) -> Option<&'a str> {
        let children = self.children.iter().filter_map(|child| row[child.field].as_array()).flatten();
        children.chain([row]).filter_map(stamp).max()
    }
}

fn stamp(row: &Value) -> Option<&str> {
    STAMPS.iter().find_map(|stamp| row[*stamp].as_str())
}

/// The number of a row.
pub fn id_of(row: &Value) -> Result<u64> {
    row["id"].as_u64().ok_or_else(odd)
}

fn odd() -> ConnectorError {
    ConnectorError::broken("Tryton answered with a row that has no id or no readable stamp")
}

fn version(stamp: &str) -> Result<Version> {
    Ok(Version::instant(stamp, stamp.parse().map_err(|_| odd())?))
}

/// On SQLite the server writes booleans as numbers; a record has them as every other database does.
fn is_active(row: &Value) -> bool {
    !matches!(&row["active"], Value::Bool(false)) && row["active"].as_u64() != Some(0)
}

fn shape_party(body: &mut Map<String, Value>) {
    let is_shown = is_active(&Value::Object(body.clone()));
    body.insert("active".to_owned(), Value::Bool(is_shown));
    let mut take = |name: &str| -> Vec<Value> {
        let list = body.remove(name).and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let shown = list.into_iter().filter(is_active);
        shown
            .map(|mut it| {
                it["active"] = Value::Bool(true);
                it
            })
            .collect()
    };
    let (mechanisms, addresses, identifiers) = (take("contact_mechanisms"), take("addresses"), take("identifiers"));
    let numbers = mechanisms.iter().filter(|it| it["type"] == "phone" || it["type"] == "mobile");
    let numbers: Vec<Value> = numbers.map(|it| it["value"].clone()).collect();
    let mut kinds: Map<String, Value> = KINDS.iter().map(|kind| ((*kind).to_owned(), json!([]))).collect();
    for mechanism in mechanisms {
        let kind = mechanism["type"].as_str().unwrap_or("other").to_owned();
        if let Value::Array(list) = kinds.entry(kind).or_insert_with(|| json!([])) {
            list.push(mechanism);
        }
    }
    for list in kinds.values_mut().filter(|list| list.as_array().is_some_and(Vec::is_empty)) {
        *list = json!([{ "value": null }]);
    }
    body.insert("contact_mechanisms".to_owned(), Value::Object(kinds));
    body.insert("phone_numbers".to_owned(), Value::Array(numbers));
    body.insert("addresses".to_owned(), if addresses.is_empty() { json!([null]) } else { Value::Array(addresses) });
    body.insert("identifiers".to_owned(), Value::Array(identifiers));
    for name in ["lang", "tax_identifier"] {
        if body.get(name).is_none_or(Value::is_null) {
            body.insert(name.to_owned(), json!({ "code": null }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_mechanisms_stand_by_kind_without_archived_ones() {
        let row = json!({
            "id": 7, "active": 1, "name": "林", "write_date": null, "create_date": "2026-02-03T04:05:06.000007Z",
            "contact_mechanisms": [
                { "id": 1, "type": "email", "value": "a@example.org", "active": 0 },
                { "id": 2, "type": "email", "value": "b@example.org", "active": 1,
                  "write_date": "2026-02-03T04:05:06.000009Z" },
                { "id": 3, "type": "mobile", "value": "+86 138 0013 8001", "active": true },
                { "id": 4, "type": "irc", "value": "#tea", "active": true },
            ],
            "addresses": [], "tax_identifier": null,
        });
        let record = PARTIES.record(row.clone()).unwrap();
        let value = |at: &str| record.body.pointer(at).cloned();
        assert_eq!(value("/contact_mechanisms/email/0/value"), Some(json!("b@example.org")));
        assert_eq!(value("/contact_mechanisms/email/1"), None);
        assert_eq!(value("/contact_mechanisms/fax/0/value"), Some(Value::Null));
        assert_eq!(value("/contact_mechanisms/irc/0/value"), Some(json!("#tea")));
        assert_eq!(value("/phone_numbers"), Some(json!(["+86 138 0013 8001"])));
        assert_eq!((value("/addresses/0"), value("/tax_identifier/code")), (Some(Value::Null), Some(Value::Null)));
        let version = record.version.unwrap();
        assert_eq!(version.order.map(|at_us| at_us % 1_000_000), Some(9), "a child changed last");
        let mut archived = row;
        archived["active"] = json!(false);
        assert!(matches!(PARTIES.received(archived).unwrap(), Received::Deleted { .. }));
    }
}
