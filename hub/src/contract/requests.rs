//! What the declared calls send, as fixtures: `fixtures/requests/STREAM.ABILITY.json` holds the requests of one ability,
//! so that a reader can lay them beside the vendor's page, and a change of manifest, mapping or engine shows itself.
//!
//! They are made, never written by hand: the stream's fullest fixture goes through its lens and the engine to the
//! rehearsal. Credentials are left out. A crate's requests are its own tests' matter.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{Connector, Cursor, Delivery, ExternalId, Operation, RecordKey};
use huiliu_core::manifest::{Ability, Driver, Manifest};
use huiliu_mappings::lens::Lens;
use huiliu_twins::rehearsal::{Rehearsal, Request};
use serde_json::{Value, json};

use super::{Found, Stage, Wrong, broke, create, fixtures, rehearse, wrong};
use crate::both;

/// The files by name: `customers.create.json` and its requests.
pub type Files = BTreeMap<String, Value>;

/// Records in a stream: one page and a little more.
const RECORDS: usize = 3;

/// 2026-06-01 in microseconds: some calls say when they are made, and a fixture must say the same every time.
const NOW_US: i64 = 1_780_272_000_000_000;

/// What the calls of a system send.
///
/// # Errors
/// A call that cannot be made.
pub async fn made(folder: &Path, manifest: &Manifest, lenses: &[Arc<Lens>]) -> Result<Files, Wrong> {
    let cast = rehearse::cast(folder, manifest, lenses, 0);
    let mut files = Files::new();
    for (name, stream) in &manifest.streams {
        let Some(record) = rehearse::fullest(folder, name) else { continue };
        let lens = lenses.iter().find(|lens| lens.stream() == name && lens.reads(&record));
        // Copies of one record, so that no random value is sent.
        let mut cast = cast.clone();
        cast.records.insert(name.clone(), vec![record.clone(); RECORDS]);
        let rehearsal = Rehearsal::start(manifest, cast).await.map_err(broke)?;
        let mut connection = rehearse::connection(&rehearsal, lenses, &rehearsal.base_url())?;
        connection.cx.clock = Clock::manual(NOW_US);
        let by = connection.connector.clone().ok_or_else(|| broke("the stage has no connector"))?;
        let desk =
            Desk { rehearsal: &rehearsal, by: &*by, connection: &connection, stream: name, record: &record, lens };
        for ability in [Ability::Pull, Ability::Fetch, Ability::Create, Ability::Update, Ability::Delete] {
            if !stream.can(ability) {
                continue;
            }
            let word = word(ability);
            let done = desk.one(ability).await;
            done.map_err(|error| {
                wrong(format!("streams.{name}.{word}"), both!("the call failed: {error}", "调用失败：{error}"))
            })?;
            files.insert(format!("{name}.{word}.json"), shown(&rehearsal.requests()));
            let operation = operation(ability).filter(|operation| manifest.batch_size(name, *operation) > 1);
            if let Some(operation) = operation {
                let several = [desk.delivery(operation, 1), desk.delivery(operation, 2)];
                for result in by.push_many(&connection.cx, &several).await {
                    result.map_err(|error| {
                        wrong(
                            format!("streams.{name}.{word}.batch"),
                            both!("the batch failed: {error}", "批量调用失败：{error}"),
                        )
                    })?;
                }
                files.insert(format!("{name}.{word}.batch.json"), shown(&rehearsal.requests()));
            }
        }
    }
    Ok(files)
}

fn word(ability: Ability) -> &'static str {
    match ability {
        Ability::Pull => "pull",
        Ability::Fetch => "fetch",
        Ability::Create => "create",
        Ability::Update => "update",
        Ability::Delete => "delete",
    }
}

fn operation(ability: Ability) -> Option<Operation> {
    match ability {
        Ability::Create => Some(Operation::Create),
        Ability::Update => Some(Operation::Update),
        Ability::Delete => Some(Operation::Delete),
        Ability::Pull | Ability::Fetch => None,
    }
}

struct Desk<'a> {
    rehearsal: &'a Rehearsal,
    by: &'a dyn Connector,
    connection: &'a huiliu_core::connection::Connection,
    stream: &'a str,
    record: &'a Value,
    lens: Option<&'a Arc<Lens>>,
}

impl Desk<'_> {
    fn id(&self) -> ExternalId {
        let stream = self.rehearsal.manifest().stream(self.stream).unwrap_or_default();
        let key = stream.key.unwrap_or_default();
        let id = huiliu_rest::pointer::find(self.record, &key).into_iter().find_map(huiliu_rest::pointer::text);
        ExternalId::from(id.unwrap_or_default())
    }

    fn delivery(&self, operation: Operation, number: i64) -> Delivery {
        let body = self.lens.map_or_else(|| json!({}), |lens| rehearse::written(lens, self.record));
        let id = (operation != Operation::Create).then(|| self.id());
        let body = if operation == Operation::Delete { Value::Null } else { body };
        Delivery { number, operation, id, ..create(self.stream, &body, 1) }
    }

    async fn one(&self, ability: Ability) -> Result<(), huiliu_core::connector::ConnectorError> {
        let (cx, stream) = (&self.connection.cx, self.stream.into());
        match ability {
            // All pages of the first run, and the first page of the next one.
            Ability::Pull => {
                let mut from: Option<Cursor> = None;
                loop {
                    let page = self.by.pull(cx, &stream, from.as_ref()).await?;
                    from = page.next.or(from);
                    if !page.more {
                        break;
                    }
                }
                self.by.pull(cx, &stream, from.as_ref()).await.map(drop)
            }
            Ability::Fetch => {
                let key = RecordKey { connection: self.connection.name.clone(), stream, id: self.id() };
                self.by.fetch(cx, &key).await.map(drop)
            }
            Ability::Create | Ability::Update | Ability::Delete => {
                let operation = operation(ability).unwrap_or(Operation::Update);
                let mut delivery = self.delivery(operation, 1);
                if let Some(id) = delivery.id.clone().filter(|_| self.connection.can(self.stream, Ability::Fetch)) {
                    let key = RecordKey { connection: self.connection.name.clone(), stream, id };
                    delivery.base_version = self.by.fetch(cx, &key).await?.and_then(|record| record.version);
                    self.rehearsal.requests();
                }
                self.by.push(cx, &delivery).await.map(drop)
            }
        }
    }
}

fn shown(requests: &[Request]) -> Value {
    let one = |request: &Request| {
        let mut shown = json!({ "method": request.method, "target": request.target });
        if !request.headers.is_empty() {
            shown["headers"] = json!(request.headers);
        }
        if !request.body.is_null() {
            shown["body"] = request.body.clone();
        }
        shown
    };
    requests.iter().map(one).collect()
}

/// Writes the files that differ, and removes those that belong to no call; their names are returned.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, files: &Files) -> Result<Vec<String>, String> {
    let place = folder.join("fixtures").join(fixtures::REQUESTS);
    let failed = |error: std::io::Error| format!("{}: cannot be written: {error}", place.display());
    let mut changed = Vec::new();
    if !files.is_empty() {
        std::fs::create_dir_all(&place).map_err(failed)?;
    }
    for (name, value) in files {
        let (path, text) = (place.join(name), format!("{value:#}\n"));
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            std::fs::write(&path, text).map_err(failed)?;
            changed.push(name.clone());
        }
    }
    for path in fixtures::files(&place) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            std::fs::remove_file(&path).map_err(failed)?;
            changed.push(name);
        }
    }
    Ok(changed)
}

/// The names of files that are missing, differ, or belong to no call.
pub fn behind(folder: &Path, files: &Files) -> Vec<String> {
    let kept: Files = fixtures::values(folder, fixtures::REQUESTS)
        .into_iter()
        .map(|(name, value)| (name.rsplit('/').next().unwrap_or_default().to_owned(), value))
        .collect();
    let changed = files.iter().filter(|(name, value)| kept.get(*name) != Some(value)).map(|(name, _)| name);
    let extra = kept.keys().filter(|name| !files.contains_key(*name));
    changed.chain(extra).cloned().collect()
}

/// The requests are those of the fixtures.
pub async fn same(stage: &Stage) -> Found {
    let by = stage.connector()?;
    if by.manifest().connector.driver != Driver::Rest {
        return Ok(both!("a crate: its own tests look at what it sends", "由 Rust 实现：发送内容由其自身测试检查"));
    }
    let manifest = crate::contract::files::manifest(&stage.folder)?;
    let files = made(&stage.folder, &manifest, &stage.connection.lenses).await?;
    match behind(&stage.folder, &files).as_slice() {
        [] => Ok(both!("{count} file(s)", "{count} 个文件", count = files.len())),
        names => Err(wrong(
            format!("fixtures/{}", fixtures::REQUESTS),
            both!(
                "not what the calls send: {names}; run `huiliu connector check --write {folder}`, and compare them with the vendor's page",
                "与实际发送的内容不符：{names}；请运行 `huiliu connector check --write {folder}`，并与厂商文档核对",
                names = names.join(", "),
                folder = stage.folder.display()
            ),
        )),
    }
}
