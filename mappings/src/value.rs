//! Canonical words: field names, their values, identities and references.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name_type!(
    /// A canonical field: `given_name`, or a family and a label: `emails.work`, `consent.email`, `custom.vip_level`.
    FieldName
);
name_type!(
    /// A canonical entity: `customer`, `order`, `interaction`, `deal`, `ticket`, `product`.
    EntityName
);
name_type!(
    /// The kind of an identity: `email`, `phone`, `unionid`, `external_userid`, `tax_id`, …
    IdentityKind
);

impl FieldName {
    /// The part before the first dot: `emails` of `emails.work`; the whole name of a field without a label.
    pub fn family(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(family, _)| family)
    }

    /// The part after the first dot, if there is one: `work` of `emails.work`.
    pub fn label(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, label)| label)
    }
}

/// Canonical values by field. A field that is missing is "no opinion"; JSON null is "cleared".
///
/// Values are in canonical form (see [`crate::normalize`]), so equality of JSON is equality of meaning: text as a
/// trimmed non-empty string; integers and exact decimals as strings of digits (`"12.50"`); money as
/// `{"amount":"12.50","currency":"CNY"}`; instants as RFC 3339 in UTC ending in `Z`; dates as `YYYY-MM-DD`; phones as
/// `{"number":"+8613800138000","type":"mobile"}`; addresses as an object of text parts; sets as sorted arrays;
/// lists (order lines) as arrays of objects of canonical values; booleans as JSON booleans.
pub type Fields = BTreeMap<FieldName, serde_json::Value>;

/// A normalized value that may link records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// What kind of value it is; `rules/match.toml` gives each kind its strength.
    pub kind: IdentityKind,
    /// The normalized value. For a scoped id the scope is part of it (`corp:external_userid`).
    pub value: String,
}

/// How a record of another entity (an order, an interaction) names the customer it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// A record of the same connection, by the lens that maps it and its external id.
    Record {
        /// The lens (usually the stream) of the referenced record.
        lens: String,
        /// The external id of the referenced record.
        id: String,
    },
    /// Any golden record that holds this identity.
    Identity(Identity),
}

/// One record in canonical words, before matching.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MappedRecord {
    /// What the record says, by canonical field.
    pub fields: Fields,
    /// Values that may link this record to a golden record.
    pub identities: Vec<Identity>,
    /// Whom the record belongs to, strongest first.
    pub references: Vec<Reference>,
}

/// Something in a record that could not be mapped. The rest of the record is mapped all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The canonical field that misses its value.
    pub field: FieldName,
    /// JSON pointer of the offending value in the vendor's record.
    pub at: String,
    /// A stable word for programs: `not_a_phone`, `empty_text`, `wrong_type`, …
    pub code: String,
    /// What is wrong and what was expected. Never contains the value itself, which may be personal.
    pub message: String,
}
