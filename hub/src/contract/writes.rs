//! What is written: retries, conflicts, echoes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{
    Connector, Cursor, Cx, Delivery, Network, Opened, Operation, Page, RawRequest, Receipt, Received, Record,
    RecordKey, Result, StreamName, Verified,
};
use huiliu_core::engine::Engine;
use huiliu_core::link::{Link, LinkKey};
use huiliu_core::manifest::{Ability, Manifest};
use huiliu_core::store::{inbox, links};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::value::Fields;
use huiliu_twins::front::Fate;
use huiliu_twins::memory::Memory;
use serde_json::{Value, json};

use super::{Found, IDEMPOTENCY_KEY, Stage, Wrong, broke, create, pump, store, wrong};
use crate::both;

/// A create whose answer was lost is found again, and a delete may be repeated.
pub async fn retries(manifest: &Manifest, stage: &Stage) -> Found {
    let Some(front) = &stage.front else {
        return Ok(both!("not over HTTP: the connector's own tests retry", "不经 HTTP：由连接器自己的测试检查"));
    };
    let (by, cx) = (stage.connector()?, &stage.connection.cx);
    for (stream, body) in &stage.creates {
        let at = format!("streams.{stream}.create");
        let before = (stage.count)(stream);
        front.meet(Fate::LoseAnswer);
        if let Err(lost) = by.push(cx, &create(stream, body, 1)).await
            && lost.kind() != "transient"
        {
            return Err(wrong(
                at,
                both!(
                    "a lost answer is taken for {kind}: {lost}",
                    "丢失的应答被归为 {kind}：{lost}",
                    kind = lost.kind()
                ),
            ));
        }
        let failed = |error| wrong(at.clone(), both!("the create failed: {error}", "新建失败：{error}"));
        let made = by.push(cx, &create(stream, body, 2)).await.map_err(failed)?;
        let again = by.push(cx, &create(stream, body, 3)).await.map_err(failed)?;
        let more = (stage.count)(stream).saturating_sub(before);
        if made.id != again.id || more != 1 {
            return Err(wrong(
                at,
                both!(
                    "a create that was retried made {more} records; give it idempotency_header, lookup, or a value that the system creates by",
                    "重试的新建产生了 {more} 条记录；请声明 idempotency_header、lookup，或系统据以新建的值"
                ),
            ));
        }
        let deletes = manifest.streams.get(stream).is_some_and(|stream| stream.can(Ability::Delete));
        if deletes && stage.rehearsal.is_some() {
            for attempt in 1..=2 {
                let gone = Delivery {
                    operation: Operation::Delete,
                    id: Some(made.id.clone()),
                    body: Value::Null,
                    ..create(stream, body, attempt)
                };
                by.push(cx, &gone).await.map_err(|error| {
                    wrong(format!("streams.{stream}.delete"), both!("the delete failed: {error}", "删除失败：{error}"))
                })?;
            }
        }
    }
    match stage.creates.len() {
        0 => Ok(both!("nothing can be made there", "该系统不支持新建")),
        count => Ok(both!("{count} stream(s), the answer lost once", "{count} 个数据流，应答丢失一次")),
    }
}

/// A CRM beside the system that is told of every customer and knows one more field.
pub fn neighbour(field: &str) -> std::result::Result<(Arc<Memory>, Connection), Wrong> {
    let memory = Arc::new(Memory::new(false));
    let own = [("given_name", "given"), ("display_name", "display"), ("legal_name", "legal")];
    let mut text = "[customers]\nentity = 'customer'\n[customers.fields]\n".to_owned();
    for (name, place) in own.into_iter().filter(|(name, _)| *name != field).chain([(field, "value")]) {
        text.push_str(&format!("{name} = '/{place}'\n"));
    }
    let lenses = Lens::parse_file("neighbour.toml", &text, &Model::shipped())
        .map_err(|told| broke(told.first().map(ToString::to_string).unwrap_or_default()))?;
    let cx = Cx::bare("neighbour", Clock::System, Network::Private);
    let lenses = lenses.into_iter().map(Arc::new).collect();
    let mut connection = Connection::bare(cx, "neighbour", Some(memory.clone()), lenses);
    connection.creates.insert("customers".to_owned());
    Ok((memory, connection))
}

/// The neighbour's first record: somebody of the system's.
const THEIRS: &str = "made1";

/// The field as the neighbour holds it after an edit, in two wordings.
const EDITS: [&str; 3] = ["约周五回访", "改约周六", "约下周一"];

async fn settled(engine: &Engine, stage: &Stage) -> std::result::Result<(), Wrong> {
    let told = pump::settle(engine, true).await.map_err(broke)?;
    match told.first() {
        Some(told) if stage.rehearsal.is_some() => {
            Err(wrong("streams", both!("something failed on the way: {told}", "过程中出错：{told}")))
        }
        _ => Ok(()),
    }
}

async fn no_dead_letters(engine: &Engine) -> std::result::Result<(), Wrong> {
    let letters = pump::read(engine, |tx| inbox::dead_letters(tx, 1)).await.map_err(broke)?;
    match letters.first() {
        Some(letter) => Err(wrong(
            "streams",
            both!("a delivery was given up: {reason}", "有投递被放弃：{reason}", reason = letter.reason),
        )),
        None => Ok(()),
    }
}

/// An edit elsewhere is written once, comes back, and dies.
pub async fn echo(stage: &Stage) -> Found {
    let Some(field) = &stage.field else {
        return Ok(both!("no field travels both ways", "没有双向字段"));
    };
    let (_folder, store) = store()?;
    let (memory, other) = neighbour(field)?;
    let engine = pump::live(store, Clock::System, [stage.connection.clone(), other]).await.map_err(broke)?;
    settled(&engine, stage).await?;
    let before = (stage.writes)();
    memory.edit(THEIRS, &json!({ "value": EDITS[0] }));
    settled(&engine, stage).await?;
    let after = ((stage.writes)(), memory.writes());
    if after.0 == before {
        return Err(wrong(
            "streams",
            both!(
                "an edit of {field} elsewhere was never written here; check `update` and the mapping",
                "别处修改的 {field} 没有写入该系统；请检查 `update` 与映射"
            ),
        ));
    }
    settled(&engine, stage).await?;
    if ((stage.writes)(), memory.writes()) != after {
        return Err(wrong(
            "streams",
            both!(
                "after everything agreed, {field} was written again: what is written does not read back equal",
                "各系统一致之后 {field} 又被写入：写入的内容与读回的不一致"
            ),
        ));
    }
    no_dead_letters(&engine).await?;
    if memory.get(THEIRS)["value"] != EDITS[0] {
        return Err(wrong("streams", both!("the edit of {field} did not survive", "{field} 的修改没有保留下来")));
    }
    Ok(both!("{field} edited elsewhere, written once", "别处修改 {field}，只写入一次"))
}

/// The connector, with the kinds of what its pushes came to.
struct Watched {
    by: Arc<dyn Connector>,
    kinds: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl Connector for Watched {
    fn manifest(&self) -> &Manifest {
        self.by.manifest()
    }

    fn knows_repeat(&self, delivery: &Delivery) -> bool {
        self.by.knows_repeat(delivery)
    }

    fn writes_in_steps(&self) -> bool {
        self.by.writes_in_steps()
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        self.by.check(cx).await
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        self.by.pull(cx, stream, from).await
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        self.by.fetch(cx, key).await
    }

    fn open(&self, cx: &Cx, request: &RawRequest) -> Result<Opened> {
        self.by.open(cx, request)
    }

    fn receive(&self, cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        self.by.receive(cx, request)
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        let result = self.by.push(cx, delivery).await;
        let kind = result.as_ref().err().map_or("done", huiliu_core::connector::ConnectorError::kind);
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).push(kind);
        result
    }
}

/// The link of this connection to the golden record that the neighbour's record belongs to.
async fn linked(engine: &Engine, name: &str) -> std::result::Result<Option<Link>, Wrong> {
    let name = name.to_owned();
    let found = pump::read(engine, move |tx| {
        let key = LinkKey { connection: "neighbour".into(), lens: "customers".to_owned(), id: THEIRS.into() };
        let theirs = links::by_keys(tx, [&key])?.into_iter().next();
        let all = links::by_goldens(tx, theirs.map(|link| link.golden))?;
        Ok(all.into_iter().find(|link| link.key.connection.as_str() == name))
    });
    found.await.map_err(broke)
}

/// Somebody else is faster by a moment: the stale write is refused, the record is read again, and all agree.
pub async fn conflicts(stage: &Stage) -> Found {
    let Some(field) = &stage.field else {
        return Ok(both!("no field travels both ways", "没有双向字段"));
    };
    let by = stage.connector()?;
    let watched = Arc::new(Watched { by: by.clone(), kinds: Mutex::default() });
    let connection = Connection { connector: Some(watched.clone()), ..stage.connection.clone() };
    let (_folder, store) = store()?;
    let (memory, other) = neighbour(field)?;
    let engine = pump::live(store, Clock::System, [connection.clone(), other]).await.map_err(broke)?;
    settled(&engine, stage).await?;
    memory.edit(THEIRS, &json!({ "value": EDITS[0] }));
    settled(&engine, stage).await?;
    let link = linked(&engine, connection.name.as_str()).await?;
    let link = link.ok_or_else(|| {
        wrong("streams", both!("no customer of the system reached the neighbour", "该系统没有客户传到相邻系统"))
    })?;
    let at = connection.lens(&link.key.lens).map(|lens| lens.stream().to_owned()).unwrap_or_default();
    if !connection.can(&at, Ability::Fetch) {
        return Ok(both!(
            "{at} cannot be read alone, so there is no conflict to see",
            "{at} 无法单独读取，无从发现冲突"
        ));
    }
    memory.edit(THEIRS, &json!({ "value": EDITS[1] }));
    pump::pull(&engine).await.map_err(broke)?;
    pump::think(&engine).await.map_err(broke)?;
    // Many systems stamp whole seconds: within one of them nobody can tell two edits apart.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    rival(&connection, &*by, &link, field).await?;
    pump::push(&engine).await.map_err(broke)?;
    let kinds = watched.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Members of a batch cannot be written on a condition: there the later write stands, field by field.
    let batched = by.manifest().batch_size(&at, Operation::Update) > 1;
    if !batched && !kinds.contains(&"conflict") {
        return Err(wrong(
            format!("streams.{at}.update"),
            both!(
                "a write that was planned before somebody's edit went through and buried it; declare `precondition`",
                "在他人修改之前规划的写入被执行并覆盖了对方的修改；请声明 `precondition`"
            ),
        ));
    }
    settled(&engine, stage).await?;
    let calm = (stage.writes)();
    settled(&engine, stage).await?;
    if (stage.writes)() != calm {
        return Err(wrong(
            "streams",
            both!("after the conflict the systems go on writing", "冲突之后各系统仍在不停写入"),
        ));
    }
    no_dead_letters(&engine).await?;
    let (here, there) = (held(&connection, &*by, &link, field).await?, memory.get(THEIRS)["value"].clone());
    if here != there {
        return Err(wrong(
            format!("streams.{at}"),
            both!("after the conflict the systems disagree about {field}", "冲突之后各系统的 {field} 不一致"),
        ));
    }
    if batched {
        return Ok(both!(
            "{field} edited on both sides at once; written in batches, so the later write stands",
            "两边同时修改 {field}；批量写入，以后写的为准"
        ));
    }
    Ok(both!("{field} edited on both sides at once", "两边同时修改 {field}"))
}

async fn read(
    connection: &Connection,
    by: &dyn Connector,
    link: &Link,
) -> std::result::Result<(Arc<Lens>, Record), Wrong> {
    let lens = connection.lens(&link.key.lens).cloned().ok_or_else(|| broke("the lens is gone"))?;
    let key = RecordKey { connection: connection.name.clone(), stream: lens.stream().into(), id: link.key.id.clone() };
    let at = format!("streams.{}.fetch", lens.stream());
    match by.fetch(&connection.cx, &key).await {
        Ok(Some(record)) => Ok((lens, record)),
        Ok(None) => Err(wrong(
            at,
            both!("a record that is there is not found; check `fetch`", "存在的记录读不到；请检查 `fetch`"),
        )),
        Err(error) => Err(wrong(at, both!("the fetch failed: {error}", "读取失败：{error}"))),
    }
}

async fn held(
    connection: &Connection,
    by: &dyn Connector,
    link: &Link,
    field: &str,
) -> std::result::Result<Value, Wrong> {
    let (lens, record) = read(connection, by, link).await?;
    Ok(lens.map(&record.body).0.fields.get(field).cloned().unwrap_or_default())
}

/// Somebody edits the record in the system itself, knowing its newest state.
async fn rival(
    connection: &Connection,
    by: &dyn Connector,
    link: &Link,
    field: &str,
) -> std::result::Result<(), Wrong> {
    let (lens, record) = read(connection, by, link).await?;
    let held = lens.map(&record.body).0.fields.get(field).cloned();
    let only = |value: Value| -> Fields { std::iter::once((field.into(), value)).collect() };
    let edit = Delivery {
        operation: Operation::Update,
        id: Some(record.id.clone()),
        body: lens.render(&only(Value::from(EDITS[2]))),
        base: held.map_or(Value::Null, |held| lens.render(&only(held))),
        base_version: record.version,
        idempotency_key: IDEMPOTENCY_KEY.to_owned(),
        ..create(lens.stream(), &Value::Null, 1)
    };
    let at = format!("streams.{}.update", lens.stream());
    by.push(&connection.cx, &edit)
        .await
        .map(drop)
        .map_err(|error| wrong(at, both!("the update failed: {error}", "更新失败：{error}")))
}
