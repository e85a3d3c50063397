//! Manifests and mapping files, loaded and checked together.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_mappings::diagnose::{Diagnostic, suggest};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;

use crate::manifest::{Manifest, budget, place};

/// One external system: how it speaks and what its records mean.
#[derive(Clone, Debug)]
pub struct System {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The lenses of its mapping file.
    pub lenses: Vec<Arc<Lens>>,
}

/// All systems by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    systems: BTreeMap<String, System>,
}

/// A file of the catalog: its name as the user knows it, and its text.
pub type File<'a> = (&'a str, &'a str);

impl Catalog {
    /// Loads manifests and mapping files; a mapping file `shop.toml` belongs to the system `shop`. All mistakes at once.
    pub fn load<'a>(
        model: &Model,
        manifests: impl IntoIterator<Item = File<'a>>,
        mappings: impl IntoIterator<Item = File<'a>>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut catalog = Self::default();
        let mut mistakes = Vec::new();
        for (file, text) in manifests {
            match Manifest::parse(file, text) {
                Ok(manifest) => {
                    let name = manifest.connector.name.clone();
                    mistakes.extend(misnamed(file, text, &name));
                    mistakes.extend(budget::mistakes(&manifest).iter().map(|told| place::mistake(file, text, told)));
                    catalog.systems.insert(name, System { manifest: Arc::new(manifest), lenses: Vec::new() });
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for (file, text) in mappings {
            match Lens::parse_file(file, text, model) {
                Ok(lenses) => mistakes.extend(catalog.attach(file, text, lenses)),
                Err(told) => mistakes.extend(told),
            }
        }
        mistakes.extend(catalog.share());
        if mistakes.is_empty() { Ok(catalog) } else { Err(mistakes) }
    }

    /// Gives the lenses of one system to those that say the same in another way (`connector.mapping`).
    fn share(&mut self) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let sharing: Vec<(String, String)> = self
            .systems
            .iter()
            .filter_map(|(name, system)| Some((name.clone(), system.manifest.connector.mapping.clone()?)))
            .collect();
        for (name, from) in sharing {
            let file = format!("connectors/{name}/connector.toml");
            let lenses = self.systems.get(&from).map(|system| system.lenses.clone());
            let Some(lenses) = lenses else {
                let hint = suggest(&from, self.systems.keys().map(String::as_str));
                let message = format!("connector.mapping: no connector is called `{from}`{hint}");
                mistakes.push(Diagnostic::at(&file, "", &(0..0), message));
                continue;
            };
            if let Some(system) = self.systems.get_mut(&name) {
                let known = |lens: &&Arc<Lens>| system.manifest.streams.contains_key(lens.stream());
                system.lenses = lenses.iter().filter(known).cloned().collect();
            }
        }
        mistakes
    }

    fn attach(&mut self, file: &str, text: &str, lenses: Vec<Lens>) -> Vec<Diagnostic> {
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".toml");
        let Some(system) = self.systems.get_mut(name) else {
            let hint = suggest(name, self.systems.keys().map(String::as_str));
            let message = format!("no connector is called `{name}`{hint}; a mapping file bears its connector's name");
            return vec![Diagnostic::at(file, text, &(0..0), message)];
        };
        let streams = &system.manifest.streams;
        let unknown = lenses.iter().filter(|lens| !streams.contains_key(lens.stream())).map(|lens| {
            let place = text.find(&format!("[{}", lens.name())).unwrap_or(0);
            let hint = suggest(lens.stream(), streams.keys().map(String::as_str));
            let message = format!("`{name}` has no stream `{}`{hint}", lens.stream());
            Diagnostic::at(file, text, &(place..place), message)
        });
        let unknown: Vec<Diagnostic> = unknown.collect();
        system.lenses.extend(lenses.into_iter().map(Arc::new));
        unknown
    }

    /// A system by name, or the nearest known name.
    pub fn system(&self, name: &str) -> Result<&System, String> {
        self.systems.get(name).ok_or_else(|| {
            format!("no connector is called `{name}`{}", suggest(name, self.systems.keys().map(String::as_str)))
        })
    }

    /// All systems.
    pub fn systems(&self) -> impl Iterator<Item = (&String, &System)> {
        self.systems.iter()
    }
}

/// A connector bears the name of its folder: people look for it there, and its mapping file bears it too.
fn misnamed(file: &str, text: &str, name: &str) -> Option<Diagnostic> {
    let folder = file.rsplit('/').nth(1).filter(|folder| *folder != name)?;
    Some(place::mistake(file, text, &format!("connector.name: it says `{name}`, and the folder is called `{folder}`")))
}
