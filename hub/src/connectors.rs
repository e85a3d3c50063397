//! What ships: manifests, mapping files, and the connectors that need Rust.

use std::sync::Arc;

use huiliu_core::catalog::{Catalog, File};
use huiliu_core::connector::Connector;
use huiliu_core::manifest::Manifest;
use huiliu_kingdee::connector::Kingdee;
use huiliu_mappings::diagnose::Diagnostic;
use huiliu_mappings::model::Model;
use huiliu_wecom::wecom::WeCom;

const MANIFESTS: &[File<'static>] = &[
    ("connectors/kingdee/connector.toml", include_str!("../../connectors/kingdee/connector.toml")),
    ("connectors/wecom/connector.toml", include_str!("../../connectors/wecom/connector.toml")),
];

const MAPPINGS: &[File<'static>] = &[
    ("mappings/systems/kingdee.toml", include_str!("../../mappings/systems/kingdee.toml")),
    ("mappings/systems/wecom.toml", include_str!("../../mappings/systems/wecom.toml")),
];

/// The catalog of what ships.
pub fn catalog(model: &Model) -> Result<Catalog, Vec<Diagnostic>> {
    Catalog::load(model, MANIFESTS.iter().copied(), MAPPINGS.iter().copied())
}

/// The connector of a system.
pub fn connector(manifest: &Manifest) -> Result<Arc<dyn Connector>, String> {
    match manifest.connector.name.as_str() {
        "kingdee" => Ok(Arc::new(Kingdee::new(manifest.clone()).map_err(|error| error.to_string())?)),
        "wecom" => Ok(Arc::new(WeCom::new(manifest.clone()))),
        name => Err(format!("no connector is called `{name}`; shipped are file, kingdee, wecom")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_ships_fits_together() {
        let catalog = catalog(&Model::shipped()).unwrap_or_else(|told| {
            panic!("{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        });
        for (name, system) in catalog.systems() {
            assert_eq!(connector(&system.manifest).unwrap().manifest().connector.name, *name);
            assert!(!system.lenses.is_empty(), "{name} has no lens");
        }
    }
}
