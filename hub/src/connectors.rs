//! What ships: manifests, mapping files, and the connectors that need Rust.

use std::sync::Arc;

use huiliu_core::catalog::{Catalog, File};
use huiliu_core::connector::Connector;
use huiliu_core::manifest::{Driver, Manifest};
use huiliu_kingdee::connector::Kingdee;
use huiliu_mappings::diagnose::Diagnostic;
use huiliu_mappings::model::Model;
use huiliu_rest::connector::RestConnector;
use huiliu_wecom::wecom::WeCom;

const MANIFESTS: &[File<'static>] = &[
    ("connectors/kingdee/connector.toml", include_str!("../../connectors/kingdee/connector.toml")),
    ("connectors/shopify/connector.toml", include_str!("../../connectors/shopify/connector.toml")),
    ("connectors/webhook/connector.toml", include_str!("../../connectors/webhook/connector.toml")),
    ("connectors/wecom/connector.toml", include_str!("../../connectors/wecom/connector.toml")),
];

const MAPPINGS: &[File<'static>] = &[
    ("mappings/systems/kingdee.toml", include_str!("../../mappings/systems/kingdee.toml")),
    ("mappings/systems/shopify.toml", include_str!("../../mappings/systems/shopify.toml")),
    ("mappings/systems/webhook.toml", include_str!("../../mappings/systems/webhook.toml")),
    ("mappings/systems/wecom.toml", include_str!("../../mappings/systems/wecom.toml")),
];

/// The catalog of what ships.
pub fn catalog(model: &Model) -> Result<Catalog, Vec<Diagnostic>> {
    Catalog::load(model, MANIFESTS.iter().copied(), MAPPINGS.iter().copied())
}

/// The connector of a system: a manifest with `driver = "rest"` is all that the REST engine needs; the others are listed
/// here.
pub fn connector(manifest: &Manifest) -> Result<Arc<dyn Connector>, String> {
    let manifest = manifest.clone();
    if manifest.connector.driver == Driver::Rest {
        return Ok(Arc::new(RestConnector::new(manifest).map_err(|told| told.to_string())?));
    }
    match manifest.connector.name.as_str() {
        "kingdee" => Ok(Arc::new(Kingdee::new(manifest).map_err(|error| error.to_string())?)),
        "wecom" => Ok(Arc::new(WeCom::new(manifest))),
        name => Err(format!(
            "connectors/{name}/connector.toml says driver = \"rust\", but this program holds no Rust for it; it does for \
             kingdee and wecom. A system that is only a manifest says driver = \"rest\""
        )),
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
