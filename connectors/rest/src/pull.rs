//! One page of a stream.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cursor, JsonText, Page, Received, Record, Result, StreamName};
use huiliu_core::manifest::{Changes, DeletedWhen, Deletes, Method, Paginate, Pull, Stream};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cursor::Position;
use crate::failure::Verb;
use crate::listed::Marks;
use crate::paging::{self, Asked, Shown};
use crate::template::{self, Values};
use crate::wire::{Answer, Draft, Wire, graphql_body};
use crate::{record, version};

/// Pages of one run. At the smallest page size met (50) this is fifty million records; a run that reads more goes in
/// circles.
const PAGES_MAX: u64 = 1_000_000;

/// Reads one page of the records or, after them, of the deletions.
pub async fn page(
    wire: &Wire<'_>,
    name: &StreamName,
    stream: &Stream,
    from: Option<&Cursor>,
) -> Result<Page<JsonText>> {
    let mut position = Position::open(from)?;
    let changes = stream.changes.as_deref();
    // Without a way to ask for changes, every run reads everything.
    position.full |= !asks_since(stream) && changes.is_none();
    if position.is_begin() {
        position.full |= changes.is_some_and(|changes| is_due(changes, &position, wire.cx.clock.now()));
        position.until = Some(wire.cx.clock.now());
    }
    let changed = changes.filter(|_| !position.full).map(|changes| changes_of(stream, changes));
    let gone = stream.deletes.as_ref().map(|deletes| listing_of(stream, deletes));
    let deletes = position.deletes;
    let listed = gone.as_ref().filter(|_| deletes).or(changed.as_ref()).unwrap_or(stream);
    let pull = listed.pull.as_ref().ok_or_else(|| ConnectorError::broken(format!("stream {name} cannot be pulled")))?;
    let paginate = listed.paginate.clone().unwrap_or(Paginate::None {});
    let list = Listing { wire, name, listed, pull, paginate: &paginate, deletes, marks: Marks::of(listed) };
    let mut leaf = list.read(&position).await?;
    // The former page said that there is this one, and a list that was cut short looks exactly like its end.
    let is_empty_inside = leaf.items.is_empty() && position.page.is_some();
    if is_empty_inside {
        leaf = list.read(&position).await?;
    }
    let Leaf { mut items, answer, draft } = leaf;
    let headers = &answer.response.headers;
    position.started = position.started.or_else(|| Some(version::system_now(headers, wire.cx.clock.now())));
    let shown = Shown { reply: &answer.value, records: items.len(), last: items.last().and_then(id_of) };
    let next = paging::next(&paginate, position.page.as_deref(), &draft.url, headers, &shown)?;
    if items.is_empty() {
        // Another page after one without records: what was on it is not known, so this run is no complete one.
        position.gap |= next.is_some();
        if is_empty_inside {
            list.ends_at(&position).await?;
        }
    }
    let seen = fingerprint(&items);
    // Numbered pages move up when a record before them vanishes or changes its place, and what was first on this page
    // is then last on the former one. So that one is read once more, after this one.
    let mut moved = false;
    if paging::is_numbered(&paginate) && position.page.is_some() {
        let shifted = list.read(&Position { page: position.former.clone(), ..position.clone() }).await?.items;
        moved = fingerprint(&shifted) != position.seen;
        if moved {
            items.extend(shifted);
        }
    }
    // Two pages alike are a circle, unless as many new records came before them as a page holds.
    if !moved && seen.is_some() && seen == position.seen && next.is_some() {
        return Err(ConnectorError::broken(format!(
            "{}: two pages show the same records; check `paginate`",
            draft.what
        )));
    }
    items.iter().filter_map(stamp_of).for_each(|stamp| position.meet(stamp));
    position.seen = seen;
    position.pages += 1;
    if position.pages > PAGES_MAX {
        return Err(ConnectorError::broken(format!("{}: paging does not end", draft.what)));
    }
    // Before a first run ended there is no stamp, and nothing that a deletion could end.
    let asks_deletes = gone.as_ref().is_some_and(|gone| !deletes && (position.since.is_some() || !asks_since(gone)));
    // A manifest's own first stamp leaves out what is older.
    let floor = stream.pull.as_ref().and_then(|pull| pull.since.as_ref()?.first.as_ref());
    let (full, gap) = (position.full && floor.is_none(), position.gap);
    let (place, more) = match next {
        Some(next) => (position.at(next), true),
        None if asks_deletes => (position.at_deletes(), true),
        None => (position.end(), false),
    };
    Ok(Page { items, next: Some(place.cursor()?), more, complete_scan: full && !more && !gap })
}

/// A list that is under way, and how its pages are asked for.
struct Listing<'a> {
    wire: &'a Wire<'a>,
    name: &'a StreamName,
    listed: &'a Stream,
    pull: &'a Pull,
    paginate: &'a Paginate,
    deletes: bool,
    marks: Marks,
}

/// One of its pages.
struct Leaf {
    items: Vec<Received<JsonText>>,
    /// The reply without the records.
    answer: Answer,
    draft: Draft,
}

impl Listing<'_> {
    async fn read(&self, position: &Position) -> Result<Leaf> {
        let list = Some(self.listed.records.clone().unwrap_or_default());
        let draft = draft(self.wire, self.name, self.pull, self.paginate, position, Verb::Pull)?;
        let draft = Draft { list, ..draft };
        let mut answer = self.wire.send(&draft).await?;
        let records = match answer.records.take() {
            Some(records) => records,
            None => take_records(self.name, self.listed, &mut answer.value)?.iter().map(JsonText::from).collect(),
        };
        let items =
            records.into_iter().map(|text| record::listed(self.name, self.listed, &self.marks, text, self.deletes));
        Ok(Leaf { items: items.collect::<Result<_>>()?, answer, draft })
    }

    /// Whether numbered pages end at an empty one: the page after it has no records either.
    async fn ends_at(&self, position: &Position) -> Result<()> {
        let Some(beyond) = paging::beyond(self.paginate, position.page.as_deref()) else { return Ok(()) };
        match self.read(&Position { page: Some(beyond), ..position.clone() }).await {
            Ok(leaf) if leaf.items.is_empty() => Ok(()),
            Ok(leaf) => Err(ConnectorError::transient(format!(
                "{}: a page without records stands before pages with some; it is read again",
                leaf.draft.what
            ))),
            // Beyond the end some systems answer that there is no such page.
            Err(ConnectorError::Gone { .. } | ConnectorError::Rejected { .. } | ConnectorError::Broken { .. }) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a listing is asked by a stamp.
fn asks_since(listed: &Stream) -> bool {
    listed.pull.as_ref().is_some_and(|pull| pull.since.is_some())
}

/// Whether everything is to be read again: the list of changes does not show all there is to know.
fn is_due(changes: &Changes, position: &Position, now: Timestamp) -> bool {
    let every = Duration::from_secs(changes.full_every_seconds);
    position.scanned.is_none_or(|scanned| now.duration_since(scanned).unsigned_abs() >= every)
}

/// The list of changes, as a stream of its own.
pub(crate) fn changes_of(stream: &Stream, changes: &Changes) -> Stream {
    Stream {
        records: changes.records.clone().or_else(|| stream.records.clone()),
        paginate: changes.paginate.clone().or_else(|| stream.paginate.clone()),
        pull: Some(changes.pull.clone()),
        changes: None,
        deletes: None,
        ..stream.clone()
    }
}

/// The list of deletions, as a stream of its own.
pub(crate) fn listing_of(stream: &Stream, deletes: &Deletes) -> Stream {
    Stream {
        key: deletes.key.clone().or_else(|| stream.key.clone()),
        version: deletes.version.clone(),
        version_kind: stream.version_kind,
        // Whatever stands in the list is deleted.
        deleted_when: Some(DeletedWhen { at: String::new(), equals: None, merged_into: deletes.merged_into.clone() }),
        records: deletes.records.clone().or_else(|| stream.records.clone()),
        paginate: deletes.paginate.clone().or_else(|| stream.paginate.clone()),
        pull: Some(deletes.pull.clone()),
        ..Stream::default()
    }
}

/// The call for a page.
pub fn draft(
    wire: &Wire<'_>,
    name: &StreamName,
    pull: &Pull,
    paginate: &Paginate,
    position: &Position,
    verb: Verb,
) -> Result<Draft> {
    let stamp = stamp_to_send(pull, position.since)?;
    let until = until_to_send(pull, position)?;
    let first = match paginate {
        Paginate::Keyset { first, .. } => Some(first.as_str()),
        _ => None,
    };
    let values = Values {
        cursor: position.page.as_deref().or(first),
        stamp: stamp.as_deref(),
        until: until.as_deref(),
        ..wire.values()
    };
    let mut url = wire.url(pull.path.as_deref(), &pull.params, &values)?;
    let mut body = match &pull.body {
        Some(body) => template::json(body, &values)?,
        None => None,
    };
    let mut asked = Asked { url: &mut url, body: &mut body };
    if let (Some(param), Some(stamp)) = (pull.since.as_ref().and_then(|since| since.param.as_ref()), &stamp) {
        paging::place(&mut asked, param, Value::from(stamp.as_str()));
    }
    paging::ask(paginate, position.page.as_deref(), &mut asked)?;
    let (method, body) = match &pull.graphql {
        Some(document) => (Method::Post, Some(graphql_body(document, body))),
        None => (pull.method, body),
    };
    Ok(Draft {
        what: format!("pull {name} of {}", wire.cx.connection),
        verb,
        method,
        url,
        headers: Vec::new(),
        body,
        graphql: pull.graphql.is_some(),
        idempotency_key: None,
        list: None,
    })
}

/// The stamp as the system wants to hear it: that of the former run less the overlap, or the manifest's first one.
fn stamp_to_send(pull: &Pull, since: Option<Timestamp>) -> Result<Option<String>> {
    let Some(rule) = &pull.since else { return Ok(None) };
    let Some(since) = since else { return Ok(rule.first.clone()) };
    let early = since.saturating_sub(Duration::from_secs(rule.overlap_seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = version::write(rule, early.max(Timestamp::UNIX_EPOCH))?;
    Ok(Some(rule.write.replace("{stamp}", &text)))
}

/// The upper bound of a run, in the form of its stamps.
fn until_to_send(pull: &Pull, position: &Position) -> Result<Option<String>> {
    let (Some(rule), Some(until)) = (&pull.since, position.until) else { return Ok(None) };
    version::write(rule, until).map(Some)
}

fn take_records(name: &StreamName, stream: &Stream, reply: &mut Value) -> Result<Vec<Value>> {
    let pointer = stream.records.as_deref().unwrap_or_default();
    match reply.pointer_mut(pointer).map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        // Some systems write null for a page without records.
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(ConnectorError::broken(format!(
            "the reply to pulling {name} has no list at `{pointer}`; compare `records` with the system's reply"
        ))),
    }
}

fn stamp_of<B>(item: &Received<B>) -> Option<Timestamp> {
    let (Received::Record(Record { version, .. }) | Received::Deleted { version, .. }) = item else {
        return None;
    };
    let version = version.as_ref().filter(|version| version.is_instant)?;
    Timestamp::from_microsecond(version.order?).ok()
}

/// Names the ids of a page, in their order.
fn fingerprint<B>(items: &[Received<B>]) -> Option<String> {
    let mut hash = Sha256::new();
    for id in items.iter().filter_map(id_of) {
        hash.update(id.as_bytes());
        hash.update([0]);
    }
    (!items.is_empty()).then(|| hex::encode(&hash.finalize()[..8]))
}

fn id_of<B>(item: &Received<B>) -> Option<&str> {
    match item {
        Received::Record(Record { id, .. }) | Received::Deleted { id, .. } | Received::Merged { id, .. } => {
            Some(id.as_str())
        }
        Received::Hint { .. } | Received::Poke { .. } => None,
    }
}
