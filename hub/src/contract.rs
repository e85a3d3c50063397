//! The contract that every connector keeps, as checks that anybody can run: `huiliu connector check` on a folder of
//! files against a rehearsal, the project's own tests on every connector and its twin or real server.
//!
//! A check is one promise. It takes a connector on its [`Stage`] and says what it looked at, or what is wrong, where in
//! the manifest, and what to do.

pub mod calls;
pub mod files;
pub mod fixtures;
pub mod log;
pub mod privacy;
pub mod pump;
pub mod reads;
pub mod rehearse;
pub mod requests;
pub mod writes;

use std::path::PathBuf;
use std::sync::Arc;

use huiliu_core::connection::Connection;
use huiliu_core::connector::{Connector, Delivery, Operation};
use huiliu_core::manifest::{Ability, Manifest};
use huiliu_core::store::Store;
use huiliu_twins::front::Front;
use huiliu_twins::rehearsal::Rehearsal;
use serde_json::Value;

use crate::language::Language;

/// A sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both {
    /// English.
    pub en: String,
    /// 简体中文.
    pub zh: String,
}

impl Both {
    /// The sentence in this language.
    pub fn pick(&self, language: Language) -> &str {
        language.pick(&self.en, &self.zh)
    }
}

/// A sentence in both languages: `both!("{count} pages", "{count} 页")`.
#[macro_export]
macro_rules! both {
    ($en:literal, $zh:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::contract::Both { en: format!($en $(, $name = $value)*), zh: format!($zh $(, $name = $value)*) }
    };
}

/// What is wrong: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The place as a dotted path of the manifest (`streams.customers.create`), or a file of the folder.
    pub at: String,
    /// What was found, and what to do.
    pub says: Both,
}

/// What a check comes to: what it looked at, or what is wrong.
pub type Found = Result<Both, Wrong>;

/// Something is wrong at this place.
pub fn wrong(at: impl Into<String>, says: Both) -> Wrong {
    Wrong { at: at.into(), says }
}

/// The stage itself failed: the store, a port.
fn broke(told: impl std::fmt::Display) -> Wrong {
    let en = told.to_string();
    let zh = Language::Zh.told(&en);
    wrong("", both!("the check itself could not run: {en}", "检查本身无法进行：{zh}"))
}

/// A connector on its stage.
pub struct Stage {
    /// The connection, with the front in between where the system speaks HTTP.
    pub connection: Connection,
    /// Where calls can be interfered with.
    pub front: Option<Front>,
    /// A secret that proves calls to the system, with a wrong value of the right form. None: there is no such call.
    pub bad_secret: Option<(String, String)>,
    /// Replies that are errors, in the system's own words: status, body, kind.
    pub refusals: Vec<(u16, String, String)>,
    /// Streams with more records than one page holds.
    pub paged: Vec<String>,
    /// Records that can be made: stream and body.
    pub creates: Vec<(String, Value)>,
    /// How many records of a stream the system holds.
    pub count: Box<dyn Fn(&str) -> usize>,
    /// A canonical field of customers that travels both ways. None: nobody else can change a record there.
    pub field: Option<String>,
    /// The system's own writes since the start, for quiescence.
    pub writes: Box<dyn Fn() -> u64>,
    /// The stand-in made of manifest and fixtures, where the stage has no other.
    pub rehearsal: Option<Arc<Rehearsal>>,
    /// The connector's folder.
    pub folder: PathBuf,
}

impl Stage {
    fn connector(&self) -> Result<Arc<dyn Connector>, Wrong> {
        self.connection.connector.clone().ok_or_else(|| broke("the stage has no connector"))
    }
}

/// One promise of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Good and bad credentials are told apart.
    Credentials,
    /// Paging ends, and resuming from any cursor gives the same records.
    Paging,
    /// Replay adds nothing.
    Replay,
    /// Refusals become the right kind.
    Refusals,
    /// Bounds hold.
    Bounds,
    /// A tampered, stale or repeated webhook is refused or deduplicated.
    Webhooks,
    /// A retried push keeps its key and makes no second record.
    Retries,
    /// A conflict refetches and replans.
    Conflicts,
    /// An echo changes nothing.
    Echo,
    /// No secret or personal value reaches a log.
    Privacy,
    /// What the declared calls send is what the fixtures say.
    Requests,
}

impl Check {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 11] = [
        Self::Credentials,
        Self::Paging,
        Self::Replay,
        Self::Refusals,
        Self::Bounds,
        Self::Webhooks,
        Self::Retries,
        Self::Conflicts,
        Self::Echo,
        Self::Privacy,
        Self::Requests,
    ];

    /// The promise in words.
    pub fn promise(self) -> Both {
        match self {
            Self::Credentials => both!("good and bad credentials are told apart", "能区分有效与无效的凭据"),
            Self::Paging => both!("paging ends and resumes from any cursor", "分页能结束，并可从任一游标继续"),
            Self::Replay => both!("replay adds nothing", "重放不新增任何内容"),
            Self::Refusals => both!("refusals become the right kind", "各种拒绝被归入正确的类别"),
            Self::Bounds => both!("bounds hold", "大小与时间的上限有效"),
            Self::Webhooks => {
                both!(
                    "webhooks that are tampered, stale or repeated are refused or deduplicated",
                    "被篡改、过期或重复的 webhook 被拒绝或去重"
                )
            }
            Self::Retries => both!("a retried push makes no second record", "重试写入不会产生第二条记录"),
            Self::Conflicts => both!("a conflict refetches and replans", "冲突后重新读取并重新规划"),
            Self::Echo => both!("an echo changes nothing", "回声不改变任何内容"),
            Self::Privacy => both!("no secret or personal value reaches a log", "密钥与个人信息不会进入日志"),
            Self::Requests => {
                both!("the calls send what fixtures/requests says", "各调用发送的内容与 fixtures/requests 一致")
            }
        }
    }

    /// Runs the check on a stage of its own.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn run(self, stage: &Stage) -> Found {
        let manifest = stage.connector()?.manifest().clone();
        match self {
            Self::Credentials => reads::credentials(&manifest, stage).await,
            Self::Paging => reads::paging(&manifest, stage).await,
            Self::Replay => reads::replay(&manifest, stage).await,
            Self::Refusals => reads::refusals(&manifest, stage).await,
            Self::Bounds => reads::bounds(&manifest, stage).await,
            Self::Webhooks => calls::webhooks(&manifest, stage).await,
            Self::Retries => writes::retries(&manifest, stage).await,
            Self::Conflicts => writes::conflicts(stage).await,
            Self::Echo => writes::echo(stage).await,
            Self::Privacy => privacy::privacy(&manifest, stage).await,
            Self::Requests => requests::same(stage).await,
        }
    }
}

/// The streams that are pulled.
fn pulled(manifest: &Manifest) -> Vec<String> {
    manifest.streams.iter().filter(|(_, stream)| stream.can(Ability::Pull)).map(|(name, _)| name.clone()).collect()
}

/// The key of the suite's deliveries.
pub const IDEMPOTENCY_KEY: &str = "00112233445566778899aabbccddeeff";

/// A create of the suite.
pub fn create(stream: &str, body: &Value, attempt: u32) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Create,
        stream: stream.into(),
        id: None,
        body: body.clone(),
        base: Value::Null,
        base_version: None,
        idempotency_key: IDEMPOTENCY_KEY.to_owned(),
        attempt,
    }
}

/// A store of its own, gone with the folder.
fn store() -> Result<(tempfile::TempDir, Store), Wrong> {
    let folder = tempfile::tempdir().map_err(broke)?;
    let store = Store::open(&format!("sqlite:{}", folder.path().join("check.db").display())).map_err(broke)?;
    Ok((folder, store))
}
