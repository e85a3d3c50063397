//! A system in memory whose lists lose records, as those of real ones do: pages move while they are read, an index lags
//! behind, and what is committed late or shares a stamp is behind the cursor already. It counts its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified,
};
use huiliu_core::manifest::Manifest;
use serde_json::Value;

use crate::memory::Memory;

/// Records on a page of its list.
pub const PAGE: usize = 10;

/// How it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A list of all first, then what changed since; one record alone, too.
    Changes,
    /// A list of all, always, and nothing alone.
    Lists,
    /// One record alone; what is new is told by calls only.
    Alone,
}

/// See the module.
pub struct Leaky {
    /// What it holds; people edit it here.
    pub records: Memory,
    manifest: Manifest,
    reads: Reads,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    /// What lists show of a record instead of what it is; none: nothing.
    lagging: BTreeMap<String, Option<Record>>,
    /// A record that is removed when the page that begins with this many records was read.
    moving: Option<(usize, String)>,
    /// Records that nobody may see any more.
    forbidden: BTreeSet<String>,
    /// Records that show another title whenever they are read.
    flickering: BTreeSet<String>,
    /// The next call fails.
    failing: Option<ConnectorError>,
    calls: i64,
}

impl Leaky {
    /// An empty system.
    pub fn new(reads: Reads) -> Self {
        let abilities = match reads {
            Reads::Changes => r#""pull", "fetch", "create", "update""#,
            Reads::Lists => r#""pull", "create", "update""#,
            Reads::Alone => r#""fetch", "update""#,
        };
        let text = format!(
            "[connector]\nname = \"kit\"\ntitle = \"Kit\"\nabout = \"A system in memory.\"\ndriver = \"rust\"\n\
             [streams.customers]\nabilities = [{abilities}]\n"
        );
        let manifest = Manifest::parse("kit/connector.toml", &text).expect("the kit's manifest is right");
        let records = if reads == Reads::Lists { Memory::scanned(false) } else { Memory::new(false) };
        Self { records, manifest, reads, faults: Mutex::default() }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists and fetches so far.
    pub fn calls(&self) -> i64 {
        self.faults().calls
    }

    /// Lists show this record as it is now, whatever happens to it, until the index catches up.
    pub async fn lag(&self, cx: &Cx, id: &str) {
        let key = RecordKey { connection: cx.connection.clone(), stream: "customers".into(), id: id.into() };
        let shown = self.records.fetch(cx, &key).await.expect("memory answers");
        self.faults().lagging.insert(id.to_owned(), shown);
    }

    /// The index shows everything again.
    pub fn catch_up(&self) {
        self.faults().lagging.clear();
    }

    /// When the page behind `offset` records was read, a record before it goes, and those after it move up.
    pub fn move_pages(&self, offset: usize, id: &str) {
        self.faults().moving = Some((offset, id.to_owned()));
    }

    /// Nobody may see this record any more.
    pub fn forbid(&self, id: &str) {
        self.faults().forbidden.insert(id.to_owned());
    }

    /// Everything may be seen again.
    pub fn allow_all(&self) {
        self.faults().forbidden.clear();
    }

    /// This record shows another title whenever it is read, or is steady again.
    pub fn flicker(&self, id: &str, flickers: bool) {
        let mut faults = self.faults();
        if flickers {
            faults.flickering.insert(id.to_owned())
        } else {
            faults.flickering.remove(id)
        };
    }

    /// The next list or fetch fails.
    pub fn fail_next(&self, error: ConnectorError) {
        self.faults().failing = Some(error);
    }

    fn called(&self) -> Result<()> {
        let mut faults = self.faults();
        faults.calls += 1;
        faults.failing.take().map_or(Ok(()), Err)
    }

    /// Everything as lists show it.
    async fn listed(&self, cx: &Cx) -> Result<Vec<Record>> {
        let mut listed = Vec::new();
        for id in self.records.ids() {
            let key =
                RecordKey { connection: cx.connection.clone(), stream: "customers".into(), id: id.as_str().into() };
            let now = self.records.fetch(cx, &key).await?;
            let faults = self.faults();
            if faults.forbidden.contains(&id) {
                continue;
            }
            listed.extend(faults.lagging.get(&id).cloned().unwrap_or(now));
        }
        Ok(listed)
    }

    async fn page(&self, cx: &Cx, offset: usize) -> Result<Page> {
        let all = self.listed(cx).await?;
        let more = all.len() > offset + PAGE;
        let next = if more { format!("page {}", offset + PAGE) } else { self.after_list(&all) };
        let items = all.into_iter().skip(offset).take(PAGE).map(Received::Record).collect();
        let moving = {
            let mut faults = self.faults();
            faults.moving.take_if(|(at, _)| *at == offset)
        };
        if let Some((_, id)) = moving {
            self.records.remove(&id);
        }
        let complete_scan = self.reads == Reads::Lists && !more;
        Ok(Page { items, next: Some(Cursor::from(next)), more, complete_scan })
    }

    fn after_list(&self, all: &[Record]) -> String {
        match self.reads {
            Reads::Lists => "page 0".to_owned(),
            _ => format!("since {}", all.iter().filter_map(stamp).max().unwrap_or(0)),
        }
    }
}

fn stamp(record: &Record) -> Option<i64> {
    record.version.as_ref()?.order
}

#[async_trait]
impl Connector for Leaky {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, cx: &Cx, _stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        self.called()?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| ConnectorError::broken("cursor"));
        match from.and_then(|from| from.as_str().split_once(' ')) {
            Some(("since", after)) => {
                let after = number(after)?;
                let items: Vec<Record> =
                    self.listed(cx).await?.into_iter().filter(|it| stamp(it).is_some_and(|it| it > after)).collect();
                let last = items.iter().filter_map(stamp).max().unwrap_or(after);
                let items = items.into_iter().map(Received::Record).collect();
                let next = Some(Cursor::from(format!("since {last}")));
                Ok(Page { items, next, more: false, complete_scan: false })
            }
            Some((_, offset)) => self.page(cx, usize::try_from(number(offset)?).unwrap_or(0)).await,
            None => self.page(cx, 0).await,
        }
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        self.called()?;
        if self.faults().forbidden.contains(key.id.as_str()) {
            return Ok(None);
        }
        let found = self.records.fetch(cx, key).await?;
        let faults = self.faults();
        let flickers = faults.flickering.contains(key.id.as_str());
        Ok(found.map(|mut record| {
            if flickers {
                record.body["title"] = Value::String(format!("Title {}", faults.calls));
            }
            record
        }))
    }

    fn receive(&self, cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        self.records.receive(cx, request)
    }

    fn knows_repeat(&self, delivery: &Delivery) -> bool {
        self.records.knows_repeat(delivery)
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        self.records.push(cx, delivery).await
    }
}
