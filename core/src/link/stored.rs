//! The form of a link's memory in the store.

use std::collections::BTreeMap;

use huiliu_mappings::merge::Said;
use huiliu_mappings::value::{FieldName, Fields, Identity, Reference};
use serde::{Deserialize, Serialize, Serializer};

use super::LinkState;

impl LinkState {
    /// The form in the store: what most fields have in common is written once.
    pub fn to_json(&self) -> String {
        let at_us = self.said_us();
        let stored = StoredRef {
            at: at_us,
            said: Values(&self.said),
            when: Pairs(
                self.said
                    .iter()
                    .filter(|(_, said)| said.at_us != at_us)
                    .map(|(field, said)| (field, said.at_us))
                    .collect(),
            ),
            held: Pairs(
                self.held
                    .iter()
                    .filter(|(field, value)| self.said.get(*field).is_none_or(|said| said.value != **value))
                    .collect(),
            ),
            wrote: &self.written,
            ids: self.identities.iter().map(|it| (it.kind.as_str(), it.value.as_str())).collect(),
            copies: self
                .identities_held
                .iter()
                .filter(|it| !self.identities.contains(it))
                .map(|it| (it.kind.as_str(), it.value.as_str()))
                .collect(),
            over: self.identities_over.iter().map(|it| (it.kind.as_str(), it.value.as_str())).collect(),
            gone: self.identities_gone.iter().map(|it| (it.kind.as_str(), it.value.as_str())).collect(),
            refs: &self.references,
            fresh_us: self.fresh_us,
            wrote_us: self.wrote_us,
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads the form in the store.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_str(text)?;
        let mut held = stored.said.clone();
        held.extend(stored.held);
        let when = |field: &FieldName| stored.when.get(field).copied().unwrap_or(stored.at);
        let said = stored.said.into_iter().map(|(field, value)| {
            let at_us = when(&field);
            (field, Said { value, at_us })
        });
        let said = said.collect();
        let identity = |(kind, value): (String, String)| Identity { kind: kind.into(), value };
        let identities: Vec<Identity> = stored.ids.into_iter().map(identity).collect();
        let copies = stored.copies.into_iter().map(identity);
        let identities_held = identities.iter().cloned().chain(copies).collect();
        let identities_over = stored.over.into_iter().map(identity).collect();
        let identities_gone = stored.gone.into_iter().map(identity).collect();
        let (written, references) = (stored.wrote, stored.refs);
        let (fresh_us, wrote_us) = (stored.fresh_us, stored.wrote_us);
        Ok(Self {
            said,
            held,
            written,
            identities,
            identities_held,
            identities_over,
            identities_gone,
            references,
            fresh_us,
            wrote_us,
        })
    }
}

/// What was said, without when.
struct Values<'a>(&'a BTreeMap<FieldName, Said>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(field, said)| (field, &said.value)))
    }
}

/// A few fields, mostly none, as a map.
struct Pairs<'a, T>(Vec<(&'a FieldName, T)>);

impl<T> Pairs<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(field, value)| (*field, value)))
    }
}

#[derive(Serialize)]
struct StoredRef<'a> {
    at: i64,
    said: Values<'a>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    when: Pairs<'a, i64>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    held: Pairs<'a, &'a serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    wrote: &'a Fields,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    copies: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    over: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "<[Reference]>::is_empty")]
    refs: &'a [Reference],
    #[serde(skip_serializing_if = "is_never")]
    fresh_us: i64,
    #[serde(skip_serializing_if = "is_never")]
    wrote_us: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_never(at_us: &i64) -> bool {
    *at_us == 0
}

#[derive(Deserialize)]
struct Stored {
    at: i64,
    said: Fields,
    #[serde(default)]
    when: BTreeMap<FieldName, i64>,
    #[serde(default)]
    held: Fields,
    #[serde(default)]
    wrote: Fields,
    #[serde(default)]
    ids: Vec<(String, String)>,
    #[serde(default)]
    copies: Vec<(String, String)>,
    #[serde(default)]
    over: Vec<(String, String)>,
    #[serde(default)]
    gone: Vec<(String, String)>,
    #[serde(default)]
    refs: Vec<Reference>,
    #[serde(default)]
    fresh_us: i64,
    #[serde(default)]
    wrote_us: i64,
}
