//! The canonical model as data: entities, their fields, types, and which fields identify.

use crate::diagnose::Diagnostic;

/// The entities and fields of `model.toml`, extended by a deployment's own file.
#[derive(Clone, Debug, Default)]
pub struct Model {}

impl Model {
    /// The model that ships with the hub.
    pub fn shipped() -> Self {
        Self {}
    }

    /// Adds the fields and entities of a deployment's file to this model.
    pub fn extend(&mut self, _file: &str, _text: &str) -> Result<(), Vec<Diagnostic>> {
        Ok(())
    }
}
