//! The connections that can be called, exchangeable while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use huiliu_core::connector::{ConnectionName, Connector, Cx};

/// One connection that can be called.
pub struct Hook {
    /// Its name, the last part of the URL.
    pub connection: ConnectionName,
    /// The connector: its manifest says how a call proves its origin.
    pub connector: Arc<dyn Connector>,
    /// Settings, secrets and time of the connection.
    pub cx: Cx,
}

/// All of them. Clones share the list, so a change of configuration reaches a running router.
#[derive(Clone, Default)]
pub struct Hooks(Arc<RwLock<BTreeMap<ConnectionName, Arc<Hook>>>>);

impl Hooks {
    /// A list with these connections.
    pub fn new(hooks: impl IntoIterator<Item = Hook>) -> Self {
        let list = Self::default();
        list.replace(hooks);
        list
    }

    /// Takes these connections instead of the former ones; calls in flight end with what they began with.
    pub fn replace(&self, hooks: impl IntoIterator<Item = Hook>) {
        let fresh = hooks.into_iter().map(|hook| (hook.connection.clone(), Arc::new(hook))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The connection of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Hook>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
