//! What is read anew.

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::link::LinkKey;
use crate::store::inbox;

/// What is read anew: everything, or what these name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Only records of this connection.
    pub connection: Option<String>,
    /// Only records of this stream.
    pub stream: Option<String>,
    /// Only this record: `connection/lens/id`.
    pub record: Option<String>,
    /// Whether it is decided anew who is who, also where nothing that was said reads otherwise: after the rules of matching
    /// or a model changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rematch: bool,
}

impl Scope {
    pub(super) fn key(&self) -> Option<LinkKey> {
        self.record.as_deref()?.parse().ok()
    }

    /// Connection, stream and name of every lens of today that reads what the scope names.
    pub(super) fn lenses(&self, engine: &Engine) -> Vec<(String, String, String)> {
        let all = engine.connections.iter().flat_map(|(name, it)| it.lenses.iter().map(move |lens| (name, lens)));
        all.map(|(name, lens)| (name.clone(), lens.stream().to_owned(), lens.name().to_owned()))
            .filter(|(connection, stream, _)| {
                self.connection.as_ref().is_none_or(|it| it == connection)
                    && self.stream.as_ref().is_none_or(|it| it == stream)
            })
            .collect()
    }

    pub(super) fn pairs(&self, engine: &Engine) -> Vec<(String, String)> {
        self.lenses(engine).into_iter().map(|(connection, _, lens)| (connection, lens)).collect()
    }

    pub(super) fn holds(&self, engine: &Engine, key: &LinkKey) -> bool {
        if let Some(only) = self.key() {
            return only == *key;
        }
        let stream = || {
            let lens = engine.connections.get(key.connection.as_str()).and_then(|it| it.lens(&key.lens));
            lens.map_or_else(|| key.lens.clone(), |lens| lens.stream().to_owned())
        };
        self.connection.as_deref().is_none_or(|it| it == key.connection.as_str())
            && self.stream.as_ref().is_none_or(|it| *it == stream())
    }

    pub(super) fn names(&self, letter: &inbox::DeadLetter) -> bool {
        let same = |wanted: &Option<String>, given: Option<&str>| wanted.as_deref().is_none_or(|it| Some(it) == given);
        let (connection, stream, id) = match self.key() {
            Some(key) => (Some(key.connection.as_str().to_owned()), Some(key.lens), Some(key.id.as_str().to_owned())),
            None => (self.connection.clone(), self.stream.clone(), None),
        };
        same(&connection, Some(&letter.connection))
            && same(&stream, letter.stream.as_deref())
            && same(&id, letter.external_id.as_deref())
    }
}
