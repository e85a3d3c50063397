//! A deployment folder, put together: store, rules, connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::{Budget, Connection};
use huiliu_core::connector::{Cx, Network};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::{Manifest, budget, place};
use huiliu_core::offset::ClockOffset;
use huiliu_core::pipeline::automate;
use huiliu_core::quota::{Quotas, scope};
use huiliu_core::seal::{Seal, SealedVault};
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_core::store::{Store, streams};
use huiliu_mappings::diagnose::{Diagnostic, suggest};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::matching::{self, Subject, linkage};
use huiliu_mappings::model::Model;
use huiliu_mappings::{automation, merge};

use crate::config::{self, Config};
use crate::{connectors, model_file};

/// An opened deployment.
pub struct Deployment {
    /// The folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The engine over its store.
    pub engine: Engine,
    /// The key of its secrets.
    pub seal: Seal,
}

/// Opens a folder; every mistake says its place and what to do.
pub fn open(folder: &Path) -> Result<Deployment, String> {
    let config = config::read(folder)?;
    let url = match config.hub.store.strip_prefix("sqlite:") {
        Some(path) => {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|error| format!("{}: cannot be made: {error}", parent.display()))?;
            }
            format!("sqlite:{}", path.display())
        }
        None => config.hub.store.clone(),
    };
    let model = model(folder)?;
    let store = Store::open(&url).map_err(|error| error.to_string())?;
    let key = folder.join("data/secret.key");
    std::fs::create_dir_all(folder.join("data")).map_err(|error| format!("data: cannot be made: {error}"))?;
    let seal = Seal::open(&key)?;
    let clock = Clock::System;
    let (file, text) = &config.source;
    let mut directions = merge::Directions::parse_all(file, text, &model).map_err(|told| lines(&told))?;
    let catalog = connectors::catalog_with(&model, folder).map_err(|told| lines(&told))?;
    let offsets = store.read(streams::clock_offsets).map_err(|error| error.to_string())?;
    let quotas = Quotas::of(&store, &clock).map_err(|error| error.to_string())?;
    let mut connections = Vec::new();
    for (name, given) in &config.connections {
        if given.reconcile_percent > 100 {
            let percent = given.reconcile_percent;
            return Err(format!("connections.{name}: reconcile_percent = {percent}: write 0 (never compare) to 100"));
        }
        let (lenses, connector, manifest) = if given.connector == "file" {
            (file_lenses(folder, name, given, &model)?, None, None)
        } else {
            let system = catalog.system(&given.connector).map_err(|told| format!("connections.{name}: {told}"))?;
            let connector =
                connectors::connector(&system.manifest).map_err(|told| format!("connections.{name}: {told}"))?;
            (system.lenses.clone(), Some(connector), Some(system.manifest.clone()))
        };
        has_streams(&config, name, given, &lenses, manifest.as_deref())?;
        has_quotas(&config, name, given, manifest.as_deref())?;
        let vault = Arc::new(SealedVault { store: store.clone(), seal: seal.clone(), connection: name.clone() });
        let known_us = offsets.get(name).copied().unwrap_or(0);
        let cx = cx(name, given, manifest.as_deref(), vault, &clock, &quotas)?;
        let cx = Cx { offset: Arc::new(ClockOffset::known(known_us)), ..cx };
        connections.push(Connection {
            name: name.as_str().into(),
            system: given.connector.clone(),
            connector,
            cx,
            lenses,
            rank: given.rank,
            directions: directions.remove(name).unwrap_or_default(),
            writes: given.writes,
            creates: given.creates.clone(),
            missing: given.missing.over(Budget::MISSING),
            changing: given.changing.over(Budget::CHANGING),
            drift: given.drift.clone(),
        });
    }
    let now_us = clock.now_us();
    let introduced = store.write(|tx| {
        for (name, given) in &config.connections {
            streams::introduce(tx, name, &given.connector, now_us)?;
        }
        Ok(())
    });
    introduced.map_err(|error| error.to_string())?;
    let (matching, survive) = rules(folder, &model)?;
    let engine = Engine::new(store, matching, survive, connections, clock);
    let engine = automated(folder, &model, engine)?;
    Ok(Deployment { folder: folder.to_owned(), config, engine, seal })
}

/// Mistakes, one a line.
pub fn lines(told: &[Diagnostic]) -> String {
    told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The shipped model with the deployment's `model.toml` on top.
pub fn model(folder: &Path) -> Result<Model, String> {
    let mut model = Model::shipped();
    let path = folder.join("model.toml");
    if let Ok(text) = std::fs::read_to_string(&path) {
        model.extend(&path.display().to_string(), &text).map_err(|told| lines(&told))?;
    }
    Ok(model)
}

fn rules(folder: &Path, model: &Model) -> Result<(matching::Rules, merge::Rules), String> {
    let own = |name: &str| {
        let path = folder.join("rules").join(name);
        std::fs::read_to_string(&path).ok().map(|text| (path.display().to_string(), text))
    };
    let matching = match own("match.toml") {
        Some((file, text)) => matching::Rules::parse(&file, &text).map_err(|told| lines(&told))?,
        None => matching::Rules::shipped(),
    };
    let matching = Subject::ALL.into_iter().try_fold(matching, |rules, subject| own_model(folder, rules, subject))?;
    let survive = match own("survive.toml") {
        Some((file, text)) => merge::Rules::parse(&file, &text, model).map_err(|told| lines(&told))?,
        None => merge::Rules::shipped(),
    };
    Ok((matching, survive))
}

/// The rules with the model that the deployment has of its own, if it has one.
fn own_model(folder: &Path, rules: matching::Rules, subject: Subject) -> Result<matching::Rules, String> {
    let path = folder.join("rules").join(format!("{}.model.json", subject.word()));
    if !path.is_file() {
        return Ok(rules);
    }
    let model = model_file::read(&path, &linkage::Settings::shipped())?;
    rules.with_model(subject, model).map_err(|told| format!("{}: {told}", path.display()))
}

/// The engine with the deployment's automation rules.
fn automated(folder: &Path, model: &Model, engine: Engine) -> Result<Engine, String> {
    let path = folder.join("rules/automation.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(engine) };
    let rules = automation::Rules::parse(&path.display().to_string(), &text, model).map_err(|told| lines(&told))?;
    let mistakes = automate::check(&engine, &rules);
    if mistakes.is_empty() { Ok(engine.automated(rules)) } else { Err(lines(&mistakes)) }
}

/// What the deployment says in place of a manifest about what the vendor allows is right.
fn has_quotas(
    config: &Config,
    name: &str,
    given: &config::Connection,
    manifest: Option<&Manifest>,
) -> Result<(), String> {
    let Some(manifest) = manifest else { return Ok(()) };
    let (file, text) = &config.source;
    let wrong = budget::wrong(&manifest.connector, &given.quotas, &format!("connections.{name}.quotas"));
    wrong.first().map_or(Ok(()), |told| Err(place::mistake(file, text, told).to_string()))
}

/// Every stream that a connection's settings name is one of its system: a slip would change nothing, and nobody would see.
fn has_streams(
    config: &Config,
    name: &str,
    given: &config::Connection,
    lenses: &[Arc<Lens>],
    manifest: Option<&Manifest>,
) -> Result<(), String> {
    let declared = manifest.into_iter().flat_map(|manifest| manifest.streams.keys().map(String::as_str));
    let known: BTreeSet<&str> =
        lenses.iter().flat_map(|lens| [lens.name(), lens.stream()]).chain(declared).chain(["*"]).collect();
    let named = given.creates.iter().map(|stream| ("creates".to_owned(), stream));
    let named = named.chain(given.every.keys().map(|stream| (format!("every.{stream}"), stream)));
    let mut named = named.chain(given.drift.0.keys().map(|stream| (format!("drift.{stream}"), stream)));
    let Some((place, stream)) = named.find(|(_, stream)| !known.contains(stream.as_str())) else { return Ok(()) };
    let (file, text) = &config.source;
    let hint = suggest(stream, known.iter().copied());
    let told = format!("connections.{name}.{place}: {} has no stream `{stream}`{hint}", given.connector);
    Err(place::mistake(file, text, &told).to_string())
}

fn file_lenses(folder: &Path, name: &str, given: &config::Connection, model: &Model) -> Result<Vec<Arc<Lens>>, String> {
    let Some(mapping) = &given.mapping else {
        return Err(format!("connections.{name}: a file source needs mapping = \"mappings/{name}.toml\""));
    };
    let path = folder.join(mapping);
    let file = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("{file}: cannot be read: {error}\nrun `huiliu import FILE --suggest --connection {name}` to have one proposed")
    })?;
    let lenses = Lens::parse_file(&file, &text, model).map_err(|told| lines(&told))?;
    Ok(lenses.into_iter().map(Arc::new).collect())
}

fn cx(
    name: &str,
    given: &config::Connection,
    manifest: Option<&Manifest>,
    vault: Arc<SealedVault>,
    clock: &Clock,
    quotas: &Quotas,
) -> Result<Cx, String> {
    let mut settings = given.config.clone();
    let mut secrets = BTreeMap::new();
    let mut scopes = vec![scope::Scope::own(&format!("{}/connection:{name}", given.connector), &[])];
    if let Some(manifest) = manifest {
        let known = &manifest.connector.config;
        if let Some(key) = settings.keys().find(|key| *key != "base_url" && !known.contains_key(*key)) {
            let hint = suggest(key, known.keys().map(String::as_str));
            return Err(format!("connections.{name}: `{}` has no setting `{key}`{hint}", given.connector));
        }
        for (key, setting) in known {
            match (settings.contains_key(key), &setting.default) {
                (false, Some(default)) => {
                    settings.insert(key.clone(), default.clone());
                }
                (false, None) => {
                    return Err(format!("connections.{name}: config.{key} is missing: {}", setting.description));
                }
                (true, _) => {}
            }
        }
        for key in manifest.connector.secret.keys() {
            if let Some(value) = vault.get(&format!("secret.{key}"))? {
                secrets.insert(key.clone(), Secret::new(value.as_str()));
            }
        }
        scopes = scope::of(manifest, &given.quotas, name, &settings);
    }
    Ok(Cx {
        connection: name.into(),
        settings: Arc::new(settings),
        secrets: Arc::new(secrets),
        clock: clock.clone(),
        quota: Arc::new(quotas.quota(scopes)),
        tokens: Arc::new(TokenVault::new(vault)),
        network: match given.network {
            config::Network::Public => Network::Public,
            config::Network::Private => Network::Private,
        },
        offset: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_judges_by_the_model_that_lies_beside_its_rules() {
        let folder = tempfile::tempdir().expect("a folder");
        let loaded = || own_model(folder.path(), matching::Rules::shipped(), Subject::Person);
        let shipped = loaded().expect("no model of its own").model(Subject::Person).rows();
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        let path = folder.path().join("rules/person.model.json");
        std::fs::write(&path, "{}").expect("write");
        let told = loaded().expect_err("no model");
        assert!(told.starts_with(&path.display().to_string()) && told.contains("this is not a model"), "{told}");

        let mut table = linkage::Table::new(&[linkage::Kind::FullName, linkage::Kind::Phone]);
        for at in 0..90 {
            table.push([format!("Anna Berg{}", at % 30).as_str(), format!("0170{}", 10_000 + at % 45).as_str()]);
        }
        let headers = ["full_name", "phone"].map(str::to_owned);
        let model = linkage::train(table, &headers, &linkage::Settings::shipped(), &mut |_, _| ()).expect("a model");
        std::fs::write(&path, model.to_json()).expect("write");
        let rules = loaded().expect("a model of its own");
        assert!(shipped > 5_000 && rules.model(Subject::Person).rows() == 90, "{shipped}");
    }
}
