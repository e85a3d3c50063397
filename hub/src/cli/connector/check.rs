//! `huiliu connector check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_core::manifest::Manifest;
use huiliu_mappings::lens::{Lens, laws};
use serde_json::Value;

use crate::language::Language;
use crate::{connectors, deployment, say};

/// Checks a connector's folder: manifest, mapping, fixtures, and the laws on them; says what is missing.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that holds connector.toml.
    connector: PathBuf,
    /// The mapping file; without it `mappings/NAME.toml` or `mappings/systems/NAME.toml` beside `connectors/`.
    #[arg(long)]
    mapping: Option<PathBuf>,
}

/// Tells every mistake; fails if there is one.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let told = examine(folder, &args.connector, args.mapping.as_deref())?;
    for line in &told.fine {
        println!("{}", language.told(line));
    }
    for line in &told.wrong {
        let line = language.told(line);
        println!("{}", say!(language, "wrong: {line}", "错误：{line}"));
    }
    let count = told.wrong.len();
    println!("{}", say!(language, "{count} mistake(s)", "{count} 处错误"));
    Ok(if told.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found.
#[derive(Default)]
pub struct Told {
    /// What is there.
    pub fine: Vec<String>,
    /// What is wrong or missing, each with its place and what to do.
    pub wrong: Vec<String>,
}

/// Looks at everything that can be known without a connection.
pub fn examine(deployment: &Path, folder: &Path, mapping: Option<&Path>) -> Result<Told, String> {
    let mut told = Told::default();
    let file = folder.join("connector.toml");
    let (path, text) = connectors::read(&file).map_err(|told| deployment::lines(&told))?;
    let manifest = match Manifest::parse(&path, &text) {
        Ok(manifest) => manifest,
        Err(mistake) => {
            told.wrong.push(mistake.to_string());
            return Ok(told);
        }
    };
    let name = manifest.connector.name.clone();
    let is_named = folder.canonicalize().is_ok_and(|path| path.file_name().is_some_and(|it| *it == *name));
    if !is_named {
        told.wrong.push(format!("{path}: connector.name is `{name}`; it bears the name of its folder"));
    }
    told.wrong.extend(connectors::unfit(&path, &text).iter().map(ToString::to_string));
    told.fine.push(format!("{path}: {} stream(s)", manifest.streams.len()));
    let lenses = match mapping.map(Path::to_owned).or_else(|| mapping_of(folder, &name)) {
        Some(mapping) => lenses(deployment, &mapping, &manifest, &mut told)?,
        None => {
            told.wrong.push(format!("there is no mappings/{name}.toml: records would be kept and mean nothing"));
            Vec::new()
        }
    };
    for stream in manifest.streams.keys() {
        records(folder, stream, &lenses, &mut told);
    }
    let calls = files(&folder.join("fixtures/webhook"));
    if manifest.webhook.is_some() && calls.is_empty() {
        told.wrong
            .push(format!("{}/fixtures/webhook/ holds no recorded call, and [webhook] is declared", folder.display()));
    }
    Ok(told)
}

/// `mappings/NAME.toml` of a deployment, or `mappings/systems/NAME.toml` of the program's source.
fn mapping_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let root = folder.canonicalize().ok()?.parent()?.parent()?.to_owned();
    let places =
        [root.join("mappings").join(format!("{name}.toml")), root.join(format!("mappings/systems/{name}.toml"))];
    places.into_iter().find(|path| path.is_file())
}

fn lenses(deployment: &Path, mapping: &Path, manifest: &Manifest, told: &mut Told) -> Result<Vec<Lens>, String> {
    let (path, text) = connectors::read(mapping).map_err(|told| deployment::lines(&told))?;
    let lenses = match Lens::parse_file(&path, &text, &deployment::model(deployment)?) {
        Ok(lenses) => lenses,
        Err(mistakes) => {
            told.wrong.extend(mistakes.iter().map(ToString::to_string));
            return Ok(Vec::new());
        }
    };
    for lens in lenses.iter().filter(|lens| !manifest.streams.contains_key(lens.stream())) {
        told.wrong.push(format!("{path}: the connector has no stream `{}`", lens.stream()));
    }
    told.fine.push(format!("{path}: {} table(s)", lenses.len()));
    Ok(lenses)
}

/// The JSON files of a folder, by name; none if it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    found.sort();
    found
}

fn records(folder: &Path, stream: &str, lenses: &[Lens], told: &mut Told) {
    let found = files(&folder.join("fixtures").join(stream));
    if found.is_empty() {
        told.wrong.push(format!(
            "{}/fixtures/{stream}/ holds no record; write one, or run `huiliu connector record CONNECTION {stream}`",
            folder.display()
        ));
    }
    for path in &found {
        let name = path.display();
        let body: Value = match connectors::read(path).map(|(_, text)| serde_json::from_str(&text)) {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => {
                told.wrong.push(format!("{name}: it is not JSON: {error}"));
                continue;
            }
            Err(mistakes) => {
                told.wrong.push(deployment::lines(&mistakes));
                continue;
            }
        };
        for lens in lenses.iter().filter(|lens| lens.stream() == stream && lens.reads(&body)) {
            let (mapped, issues) = lens.map(&body);
            told.wrong.extend(issues.iter().map(|issue| format!("{name}: {}: {}", issue.at, issue.message)));
            told.wrong.extend(laws::broken(lens, &body).iter().map(|law| format!("{name}: {law}")));
            if mapped.fields.is_empty() {
                told.wrong.push(format!("{name}: [{}] finds nothing in it", lens.name()));
            }
        }
    }
    if !found.is_empty() {
        told.fine.push(format!("fixtures/{stream}: {} record(s)", found.len()));
    }
}
