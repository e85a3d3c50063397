//! What can be known of a connector's folder by reading it: manifest, mapping, fixtures, and the laws on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use huiliu_core::manifest::{Driver, Manifest};
use huiliu_mappings::lens::{Lens, laws};
use serde_json::Value;

use super::{Both, Wrong, calls, fixtures, wrong};
use crate::both;
use crate::language::Language;
use crate::{connectors, deployment};

/// What was found.
#[derive(Default)]
pub struct Told {
    /// What is there.
    pub fine: Vec<Both>,
    /// What is wrong or missing, each with its place and what to do.
    pub wrong: Vec<Both>,
    /// The manifest, if it can be read.
    pub manifest: Option<Manifest>,
    /// The manifest's file and text, for places in it.
    pub text: (String, String),
    /// The mapping, if it can be read.
    pub lenses: Vec<Arc<Lens>>,
}

impl Told {
    /// A diagnosis is written in English, and told in Chinese.
    fn mistake(&mut self, told: &str) {
        self.wrong.push(Both { en: told.to_owned(), zh: Language::Zh.told(told) });
    }
}

/// A folder's manifest.
///
/// # Errors
/// It cannot be read.
pub fn manifest(folder: &Path) -> Result<Manifest, Wrong> {
    let told = |told: String| wrong("connector.toml", Both { zh: Language::Zh.told(&told), en: told });
    let (path, text) = connectors::read(&folder.join("connector.toml")).map_err(|it| told(deployment::lines(&it)))?;
    Manifest::parse(&path, &text).map_err(|it| told(it.to_string()))
}

/// Looks at everything that can be known without calling anything.
///
/// # Errors
/// There is no manifest, or the deployment's model is wrong.
pub fn examine(at: &Path, folder: &Path, mapping: Option<&Path>) -> Result<Told, String> {
    let mut told = Told::default();
    let (path, text) = connectors::read(&folder.join("connector.toml")).map_err(|told| deployment::lines(&told))?;
    told.text = (path.clone(), text.clone());
    let manifest = match Manifest::parse(&path, &text) {
        Ok(manifest) => manifest,
        Err(mistake) => {
            told.mistake(&mistake.to_string());
            return Ok(told);
        }
    };
    let name = manifest.connector.name.clone();
    if !folder.canonicalize().is_ok_and(|path| path.file_name().is_some_and(|it| *it == *name)) {
        told.wrong.push(both!(
            "{path}: connector.name is `{name}`; it bears the name of its folder",
            "{path}：connector.name 为 `{name}`，应与文件夹同名"
        ));
    }
    for mistake in connectors::unfit(&path, &text) {
        told.mistake(&mistake.to_string());
    }
    for reserved in [fixtures::CALLS, fixtures::REQUESTS].into_iter().filter(|it| manifest.streams.contains_key(*it)) {
        told.wrong.push(both!(
            "{path}: no stream can be called `{reserved}`: its fixtures have another meaning",
            "{path}：数据流不能命名为 `{reserved}`：该文件夹另有用途"
        ));
    }
    told.fine.push(both!("{path}: {count} stream(s)", "{path}：{count} 个数据流", count = manifest.streams.len()));
    // Two ways to speak with one system mean the same.
    let means = manifest.connector.mapping.as_ref().unwrap_or(&name);
    match mapping.map(Path::to_owned).or_else(|| mapping_of(folder, means)) {
        Some(mapping) => lenses(at, &mapping, &manifest, &mut told)?,
        None => told.wrong.push(both!(
            "there is no mappings/{name}.toml: records would be kept and mean nothing",
            "缺少 mappings/{name}.toml：记录会被保存，但没有含义"
        )),
    }
    for stream in manifest.streams.keys() {
        records(folder, &manifest, stream, &mut told);
    }
    webhook_calls(folder, &manifest, &mut told);
    told.manifest = Some(manifest);
    Ok(told)
}

/// `mappings/NAME.toml` of a deployment, or `mappings/systems/NAME.toml` of the program's source.
fn mapping_of(folder: &Path, name: &str) -> Option<PathBuf> {
    // As the reader named it, where that says enough.
    let named = folder.parent().filter(|it| it.file_name().is_some()).and_then(Path::parent).map(Path::to_owned);
    let root = named.or_else(|| Some(folder.canonicalize().ok()?.parent()?.parent()?.to_owned()))?;
    let places =
        [root.join("mappings").join(format!("{name}.toml")), root.join(format!("mappings/systems/{name}.toml"))];
    places.into_iter().find(|path| path.is_file())
}

fn lenses(at: &Path, mapping: &Path, manifest: &Manifest, told: &mut Told) -> Result<(), String> {
    let (path, text) = connectors::read(mapping).map_err(|told| deployment::lines(&told))?;
    let lenses = match Lens::parse_file(&path, &text, &deployment::model(at)?) {
        Ok(lenses) => lenses,
        Err(mistakes) => {
            for mistake in &mistakes {
                told.mistake(&mistake.to_string());
            }
            return Ok(());
        }
    };
    for lens in lenses.iter().filter(|lens| !manifest.streams.contains_key(lens.stream())) {
        let stream = lens.stream();
        told.wrong.push(both!("{path}: the connector has no stream `{stream}`", "{path}：连接器没有数据流 `{stream}`"));
    }
    told.fine.push(both!("{path}: {count} table(s)", "{path}：{count} 个表", count = lenses.len()));
    told.lenses = lenses.into_iter().map(Arc::new).collect();
    Ok(())
}

fn webhook_calls(folder: &Path, manifest: &Manifest, told: &mut Told) {
    let Some(webhook) = &manifest.webhook else { return };
    let (calls, place) = (fixtures::values(folder, fixtures::CALLS), folder.display());
    if calls.is_empty() {
        told.wrong.push(both!(
            "{place}/fixtures/webhook/ holds no recorded call, and [webhook] is declared",
            "{place}/fixtures/webhook/ 中没有录制的调用，但声明了 [webhook]"
        ));
        return;
    }
    for topic in calls::missing_topics(webhook, &calls) {
        told.wrong.push(both!(
            "{place}/fixtures/webhook/ holds no call of the topic `{topic}`, and [webhook.route] declares it",
            "{place}/fixtures/webhook/ 中没有主题为 `{topic}` 的调用，但 [webhook.route] 声明了它"
        ));
    }
    told.fine.push(both!("fixtures/webhook: {count} call(s)", "fixtures/webhook：{count} 个调用", count = calls.len()));
}

fn records(folder: &Path, manifest: &Manifest, stream: &str, told: &mut Told) {
    let key = manifest.stream(stream).and_then(|it| it.key).filter(|_| manifest.connector.driver == Driver::Rest);
    let found = fixtures::files(&folder.join("fixtures").join(stream));
    if found.is_empty() {
        let place = folder.display();
        told.wrong.push(both!(
            "{place}/fixtures/{stream}/ holds no record; write one, or run `huiliu connector record CONNECTION {stream}`",
            "{place}/fixtures/{stream}/ 中没有记录；请手写一条，或运行 `huiliu connector record 连接名 {stream}`"
        ));
    }
    for path in &found {
        let name = path.display();
        let body: Value = match connectors::read(path).map(|(_, text)| serde_json::from_str(&text)) {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => {
                told.wrong.push(both!("{name}: it is not JSON: {error}", "{name}：不是有效的 JSON：{error}"));
                continue;
            }
            Err(mistakes) => {
                told.mistake(&deployment::lines(&mistakes));
                continue;
            }
        };
        if let Some(key) = key.as_ref().filter(|key| body.pointer(key).is_none_or(Value::is_null)) {
            told.wrong
                .push(both!("{name}: it has no id at {key}; compare `key`", "{name}：{key} 处没有标识；请检查 `key`"));
        }
        let lenses = told.lenses.clone();
        for lens in lenses.iter().filter(|lens| lens.stream() == stream && lens.reads(&body)) {
            let (mapped, issues) = lens.map(&body);
            for issue in &issues {
                told.mistake(&format!("{name}: {}: {}", issue.at, issue.message));
            }
            for law in laws::broken(lens, &body) {
                told.mistake(&format!("{name}: {law}"));
            }
            if mapped.fields.is_empty() {
                told.wrong.push(both!(
                    "{name}: [{lens}] finds nothing in it",
                    "{name}：[{lens}] 在其中找不到任何内容",
                    lens = lens.name()
                ));
            }
        }
    }
    if !found.is_empty() {
        told.fine.push(both!(
            "fixtures/{stream}: {count} record(s)",
            "fixtures/{stream}：{count} 条记录",
            count = found.len()
        ));
    }
}
