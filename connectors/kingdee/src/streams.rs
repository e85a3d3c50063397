//! The forms behind the streams, and the fields read of each.

use huiliu_core::connector::{ConnectorError, Cx, Result, StreamName};

/// One form, ready to be queried for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The vendor's form id.
    pub id: &'static str,
    /// Key of the primary key: bills have `FID`, basic data its own.
    pub key: &'static str,
    /// Keys read of the record itself; the primary key first.
    pub fields: Vec<String>,
    /// The repeated part, if the form has one.
    pub entries: Option<Entries>,
}

/// The repeated part of a form: each of its rows becomes one row of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Its name, and the name of the array in a record.
    pub name: &'static str,
    /// Key of its primary key, with the entry's name before it, as a query wants it.
    pub key: &'static str,
    /// Keys read of an entry; the primary key first.
    pub fields: Vec<String>,
}

/// When a record changed last: seconds (some tables: milliseconds) in GMT+8, without a zone.
pub const STAMP: &str = "FModifyDate";

/// The form id of the one stream that can be written.
pub const CUSTOMER_FORM: &str = "BD_Customer";

const CUSTOMER_FIELDS: &[&str] = &[
    "FCUSTID",
    "FNumber",
    "FName",
    "FShortName",
    "FDocumentStatus",
    "FForbidStatus",
    "FCreateOrgId.FNumber",
    "FUseOrgId.FNumber",
    STAMP,
];

const ORDER_FIELDS: &[&str] = &[
    "FID",
    "FBillNo",
    "FDate",
    "FDocumentStatus",
    "FCustId",
    "FCustId.FNumber",
    "FSaleOrgId.FNumber",
    "FSalerId.FNumber",
    STAMP,
];

const ENTRY_KEY: &str = "FSaleOrderEntry_FEntryId";

const ENTRY_FIELDS: &[&str] = &[ENTRY_KEY, "FMaterialId.FNumber", "FQty"];

impl Form {
    /// The form behind a stream, with the fields that the connection asks for.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] for an unknown stream or a malformed field key in the settings.
    pub fn of(cx: &Cx, stream: &StreamName) -> Result<Self> {
        match stream.as_str() {
            "customers" => Ok(Self {
                id: CUSTOMER_FORM,
                key: "FCUSTID",
                fields: keys(cx, CUSTOMER_FIELDS, "customer_fields")?,
                entries: None,
            }),
            "orders" => Ok(Self {
                id: "SAL_SaleOrder",
                key: "FID",
                fields: keys(cx, ORDER_FIELDS, "order_fields")?,
                entries: Some(Entries {
                    name: "FSaleOrderEntry",
                    key: ENTRY_KEY,
                    fields: keys(cx, ENTRY_FIELDS, "order_entry_fields")?,
                }),
            }),
            other => Err(ConnectorError::broken(format!("kingdee has no stream {other}; it has customers and orders"))),
        }
    }

    /// Adds keys to what is read, each once.
    pub fn read_also(&mut self, keys: impl IntoIterator<Item = String>) {
        for key in keys {
            if !self.fields.contains(&key) {
                self.fields.push(key);
            }
        }
    }

    /// All keys of a query, in the order of its rows.
    pub fn keys(&self) -> Vec<&str> {
        let entries = self.entries.iter().flat_map(|entries| entries.fields.iter());
        self.fields.iter().chain(entries).map(String::as_str).collect()
    }
}

/// The fixed keys and those of a setting, each once.
fn keys(cx: &Cx, fixed: &[&str], setting: &str) -> Result<Vec<String>> {
    let mut keys: Vec<String> = fixed.iter().map(|&key| key.to_owned()).collect();
    for key in cx.setting(setting)?.split(',').map(str::trim).filter(|key| !key.is_empty()) {
        if !is_field_key(key) {
            return Err(ConnectorError::broken(format!(
                "config.{setting} of connection {}: {key:?} is no field key; write keys like FName or FCustId.FNumber \
                 with commas between them",
                cx.connection
            )));
        }
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

/// Letters, digits, `_` and dots between them: nothing that could end a field list or a filter.
pub fn is_field_key(key: &str) -> bool {
    key.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}
