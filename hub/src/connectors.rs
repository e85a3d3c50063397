//! What ships: manifests, mapping files, and the connectors that need Rust.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use huiliu_core::catalog::{Catalog, File};
use huiliu_core::connector::Connector;
use huiliu_core::manifest::{Driver, Manifest, place};
use huiliu_dav::connector::Dav;
use huiliu_email::connector::Email;
use huiliu_kingdee::connector::Kingdee;
use huiliu_mappings::diagnose::Diagnostic;
use huiliu_mappings::model::Model;
use huiliu_rest::connector::RestConnector;
use huiliu_tryton::connector::Tryton;
use huiliu_wecom::wecom::WeCom;

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The catalog of what ships.
pub fn catalog(model: &Model) -> Result<Catalog, Vec<Diagnostic>> {
    Catalog::load(model, MANIFESTS.iter().copied(), MAPPINGS.iter().copied())
}

/// What ships, and what a deployment brings: `connectors/NAME/connector.toml` is a system, `mappings/NAME.toml` is what
/// the records of the system `NAME` mean. Where both have a file, the deployment's stands in place of the shipped one.
pub fn catalog_with(model: &Model, folder: &Path) -> Result<Catalog, Vec<Diagnostic>> {
    let mut files = Vec::new();
    for name in own_names(folder) {
        files.push((name.clone(), read(&folder.join("connectors").join(&name).join("connector.toml"))?));
    }
    let shipped = |path: &str, mine: &[(String, (String, String))]| {
        mine.iter().all(|(name, _)| system_of(path) != Some(name.as_str()))
    };
    let manifests: Vec<File<'_>> = MANIFESTS
        .iter()
        .copied()
        .filter(|(path, _)| shipped(path, &files))
        .chain(files.iter().map(|(_, (path, text))| (path.as_str(), text.as_str())))
        .collect();
    let mut mine = Vec::new();
    for name in manifests.iter().filter_map(|(path, _)| system_of(path)) {
        let path = folder.join("mappings").join(format!("{name}.toml"));
        if path.is_file() {
            mine.push((name.to_owned(), read(&path)?));
        }
    }
    let mappings = MAPPINGS
        .iter()
        .copied()
        .filter(|(path, _)| shipped(path, &mine))
        .chain(mine.iter().map(|(_, (path, text))| (path.as_str(), text.as_str())));
    let catalog = Catalog::load(model, manifests.iter().copied(), mappings)?;
    let mistakes: Vec<Diagnostic> = files.iter().flat_map(|(_, (path, text))| unfit(path, text)).collect();
    if mistakes.is_empty() { Ok(catalog) } else { Err(mistakes) }
}

/// What the engine cannot run in a manifest that parses, each with its line.
pub fn unfit(file: &str, text: &str) -> Vec<Diagnostic> {
    let Ok(manifest) = Manifest::parse(file, text) else { return Vec::new() };
    if manifest.connector.driver == Driver::Rest {
        let told = RestConnector::new(manifest).err().map(|told| told.mistakes).unwrap_or_default();
        return told.iter().map(|told| place::mistake(file, text, told)).collect();
    }
    let told = connector(&manifest).err().map(|told| place::mistake(file, text, &format!("connector.driver: {told}")));
    told.into_iter().collect()
}

/// The folders in a deployment's `connectors/` that hold a manifest, by name.
fn own_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("connectors")).into_iter().flatten().flatten();
    let with_manifest = entries.filter(|entry| entry.path().join("connector.toml").is_file());
    let mut names: Vec<String> = with_manifest.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// `shop` for `connectors/shop/connector.toml` and for `mappings/shop.toml`.
fn system_of(path: &str) -> Option<&str> {
    let mut parts = path.rsplit('/');
    match parts.next()? {
        "connector.toml" => parts.next(),
        file => file.strip_suffix(".toml"),
    }
}

/// A manifest or a mapping is a page or two; a file above this size, in bytes, is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A small text file with its name; a mistake names the file.
pub fn read(path: &Path) -> Result<(String, String), Vec<Diagnostic>> {
    let name = path.display().to_string();
    let wrong = |what: String| vec![Diagnostic::at(&name, "", &(0..0), what)];
    let file = std::fs::File::open(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    let mut text = String::new();
    let most = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let length = most.map_err(|error| wrong(format!("it cannot be read as text: {error}")))?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(wrong("it has more than 1 MiB; a manifest or mapping file is a page or two".to_owned()));
    }
    Ok((name, text))
}

/// The connector of a system: a manifest with `driver = "rest"` is all that the REST engine needs; the others are listed
/// here.
pub fn connector(manifest: &Manifest) -> Result<Arc<dyn Connector>, String> {
    let manifest = manifest.clone();
    if manifest.connector.driver == Driver::Rest {
        return Ok(Arc::new(RestConnector::new(manifest).map_err(|told| told.to_string())?));
    }
    match manifest.connector.name.as_str() {
        "carddav" | "caldav" => Ok(Arc::new(Dav::new(manifest)?)),
        "email" => Ok(Arc::new(Email::new(manifest))),
        "kingdee" => Ok(Arc::new(Kingdee::new(manifest))),
        "tryton" => Ok(Arc::new(Tryton::new(manifest))),
        "wecom" => Ok(Arc::new(WeCom::new(manifest))),
        name => Err(format!(
            "connectors/{name}/connector.toml says driver = \"rust\", but this program holds no Rust for it; it does for \
             caldav, carddav, email, kingdee, tryton and wecom. A system that is only a manifest says driver = \"rest\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use huiliu_core::manifest::{Ability, Stream};

    use super::*;

    #[test]
    fn everything_that_ships_fits_together() {
        let catalog = catalog(&Model::shipped()).unwrap_or_else(|told| {
            panic!("{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        });
        for (name, system) in catalog.systems() {
            assert_eq!(connector(&system.manifest).unwrap().manifest().connector.name, *name);
            // What only speaks, as a robot of a group does, has nothing to map.
            let hears = |stream: &Stream| [Ability::Pull, Ability::Fetch].into_iter().any(|it| stream.can(it));
            let is_mute = system.manifest.webhook.is_none() && !system.manifest.streams.values().any(hears);
            assert!(is_mute || !system.lenses.is_empty(), "{name} has no lens");
        }
    }

    fn deployment(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn told(files: &[(&str, &str)]) -> String {
        let told = catalog_with(&Model::shipped(), deployment(files).path()).unwrap_err();
        told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    const TILL: &str = r#"[connector]
name = "till"
title = "Till"
about = "The till's buyers."
driver = "rest"
base_url = "https://till.example"
[auth]
kind = "none"
reason = "it stands in the same room"
[defaults]
key = "/id"
[streams.buyers]
records = "/items"
paginate = { kind = "none" }
pull = { path = "/buyers" }
"#;
    const MEANS: &str = "[buyers]\nentity = 'customer'\n[buyers.fields]\ndisplay_name = '/name'\n";

    #[test]
    fn a_deployment_brings_its_own() {
        let folder = deployment(&[
            ("connectors/till/connector.toml", TILL),
            ("mappings/till.toml", MEANS),
            ("mappings/members.toml", "[rows]\nthis belongs to a file source\n"),
            ("mappings/shopify.toml", &MEANS.replace("buyers", "customers")),
        ]);
        let catalog = catalog_with(&Model::shipped(), folder.path()).unwrap();
        let till = catalog.system("till").unwrap();
        assert_eq!(till.lenses[0].stream(), "buyers");
        assert_eq!(connector(&till.manifest).unwrap().manifest().connector.name, "till");
        let shopify = &catalog.system("shopify").unwrap().lenses;
        assert_eq!(shopify.len(), 1, "the deployment's mapping stands in place of the shipped one");
        assert!(!catalog.system("wecom").unwrap().lenses.is_empty());
    }

    #[test]
    fn mistakes_in_own_files_name_file_and_line() {
        let manifest = |from: &str, to: &str| told(&[("connectors/till/connector.toml", &TILL.replace(from, to))]);
        for (from, to, line, word) in [
            ("driver", "drivr", ":5:1: ", "did you mean `driver`?"),
            ("name = \"till\"", "name = \"tull\"", ":2:1: ", "the folder is called `till`"),
            ("path = \"/buyers\"", "path = \"/{config.shop}\"", ":15:10: ", "config.shop is not declared"),
            ("records = \"/items\"", "", ":15:1: ", "`records` is missing"),
            ("\"rest\"", "\"rust\"", ":5:1: ", "holds no Rust for it"),
        ] {
            let told = manifest(from, to);
            assert!(told.contains("connectors/till/connector.toml") && told.contains(line), "{told}");
            assert!(told.contains(word), "{told}");
        }
        let mapping = |text: &str| told(&[("connectors/till/connector.toml", TILL), ("mappings/till.toml", text)]);
        let told = mapping(&MEANS.replace("[buyers", "[byers"));
        assert!(
            told.contains("mappings/till.toml:1:1: `till` has no stream `byers`; did you mean `buyers`?"),
            "{told}"
        );
        assert!(mapping(&MEANS.replace("display_name", "dislay_name")).contains("mappings/till.toml:4:"));
    }
}
