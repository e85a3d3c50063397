//! Pull: pages of a stream into the inbox, each together with its cursor; and the fetching of hinted keys.

use tracing::Instrument as _;

mod backfill;

use crate::connection::{Connection, State};
use crate::connector::{
    ConnectionName, Connector, ConnectorError, Cursor, JsonText, Page, Received, Record, RecordKey, StreamName, Version,
};
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::pipeline::blocking;
use crate::quota::Lane;
use crate::store::db::Result;
use crate::store::inbox::{self, ASKED, DeadLetter, FetchRequest, InboxItem, ItemKind};
use crate::store::streams::{self, Mark, Scan, StreamState};

pub use backfill::backfill;

/// Pages in one turn of a stream: a long backfill lets the other streams of its connection have theirs.
const PAGES_MAX: usize = 1000;

/// A pull of more pages than this is no news any more: it goes behind what is.
const LIVE_PAGES: usize = 10;

/// Keys fetched in one turn.
const FETCHES: i64 = 32;

/// A hinted key is given up after this many failures; the schedule still finds the record.
const FETCH_FAILURES_MAX: i64 = 8;

/// What one turn of a stream brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Records and deletions appended to the inbox.
    pub records: usize,
    /// Why the turn ended early.
    pub error: Option<String>,
    /// Whether more is waiting: the turn had its share of pages.
    pub more: bool,
}

/// Pulls a stream up to its end. `every_us`: when it is due again.
#[tracing::instrument(name = "pull", skip_all, fields(connection = %connection.name, stream = %stream))]
pub async fn stream(engine: &Engine, connection: &Connection, stream: &StreamName, every_us: i64) -> Result<Pulled> {
    let Some(connector) = connection.connector.clone() else { return Ok(Pulled::default()) };
    let connector = &*connector;
    let mut pulled = Pulled::default();
    let key = (connection.name.as_str().to_owned(), stream.as_str().to_owned());
    let here = engine.clone();
    let mut state = blocking(move || Ok(here.store.read(streams::all)?.remove(&key).unwrap_or_default())).await?;
    if let Some(finding) = state.drift {
        pulled.error =
            Some(format!("it is stopped: its records changed their form; see `huiliu drift show {finding}`"));
        return Ok(pulled);
    }
    let is_first = state.read_to.is_none();
    let lane = |page: usize| if is_first || page > LIVE_PAGES { Lane::Backfill } else { Lane::Live };
    let mut ahead = None;
    for page_number in 1..=PAGES_MAX {
        if state.scan.is_none() {
            let here = engine.clone();
            let at_us = engine.clock.now_us();
            state.scan = Some(blocking(move || Ok(Scan { at_us, ..here.store.read(streams::here)? })).await?);
        }
        let (now_us, answer) = match ahead.take() {
            Some(asked) => asked,
            None => ask(engine, connection, connector, stream, state.cursor.as_deref(), lane(page_number)).await,
        };
        match answer {
            Ok(page) => {
                let more = page.more;
                pulled.records += page.items.len();
                count(connection, stream, page.items.len());
                let from = page.next.clone().map(|next| next.as_str().to_owned()).or_else(|| state.cursor.clone());
                let (here, whose, name) = (engine.clone(), connection.clone(), stream.clone());
                let stored = blocking(move || arrived(&here, &whose, &name, page, &state, now_us, every_us));
                if !more {
                    stored.await?;
                    return Ok(pulled);
                }
                // The system makes the next page while this one is stored. It moves no cursor before its own turn.
                if page_number < PAGES_MAX {
                    let next = ask(engine, connection, connector, stream, from.as_deref(), lane(page_number + 1));
                    let (stored, asked) = tokio::join!(stored, next);
                    state = stored?;
                    ahead = Some(asked);
                } else {
                    stored.await?;
                    break;
                }
            }
            Err(error) => {
                pulled.error = Some(error.to_string());
                let (here, whose, name) = (engine.clone(), connection.clone(), stream.clone());
                blocking(move || failed(&here, &whose, &name, &error, state, every_us)).await?;
                return Ok(pulled);
            }
        }
    }
    pulled.more = true;
    Ok(pulled)
}

/// Asks for the page at a cursor, in a lane of the quota; says when, in microseconds since 1970 UTC, and what came back.
async fn ask(
    engine: &Engine,
    connection: &Connection,
    connector: &dyn Connector,
    stream: &StreamName,
    from: Option<&str>,
    lane: Lane,
) -> (i64, crate::connector::Result<Page<JsonText>>) {
    let asked_us = engine.clock.now_us();
    (asked_us, connector.pull_text(&connection.cx.in_lane(lane), stream, from.map(Cursor::from).as_ref()).await)
}

fn count(connection: &Connection, stream: &StreamName, records: usize) {
    let labels = [("connection", connection.name.to_string()), ("stream", stream.to_string())];
    metrics::counter!("huiliu_pulled_records_total", &labels).increment(records as u64);
}

/// The page and its cursor in one transaction: a cursor never leads.
fn arrived(
    engine: &Engine,
    connection: &Connection,
    stream: &StreamName,
    page: Page<JsonText>,
    before: &StreamState,
    asked_us: i64,
    every_us: i64,
) -> Result<StreamState> {
    let now_us = engine.clock.now_us();
    let (next, more) = (page.next.clone(), page.more);
    let Arrived { items, hints, records } = unpack(connection, stream, page, before.scan, asked_us)?;
    let offset_us = connection.cx.offset.to_keep();
    let state = StreamState {
        cursor: next.map(|next| next.as_str().to_owned()).or_else(|| before.cursor.clone()),
        // A list that is longer than a turn goes on with the next one.
        due_us: if more { asked_us } else { asked_us + every_us },
        ok_us: Some(now_us),
        scan: before.scan.filter(|_| more),
        records: before.records + records,
        ..StreamState::default()
    };
    engine.store.write(|tx| {
        inbox::append(tx, &items)?;
        inbox::ask_fetch(tx, &hints, now_us)?;
        if let Some(offset_us) = offset_us {
            streams::set_clock_offset(tx, connection.name.as_str(), offset_us)?;
        }
        streams::put(tx, connection.name.as_str(), stream.as_str(), &state)?;
        if !more {
            let began_us = before.scan.map_or(asked_us, |scan| scan.at_us);
            streams::mark_read(tx, connection.name.as_str(), stream.as_str(), began_us)?;
        }
        point(Point::PageWritten);
        Ok(())
    })?;
    point(Point::PageCommitted);
    if let Some(offset_us) = offset_us {
        connection.cx.offset.kept(offset_us);
    }
    Ok(state)
}

/// A page, ready to be stored.
struct Arrived {
    items: Vec<InboxItem>,
    hints: Vec<(String, String, String, i64)>,
    records: i64,
}

/// `scan`: where the scan began whose last page this may be.
fn unpack(
    connection: &Connection,
    stream: &StreamName,
    page: Page<JsonText>,
    scan: Option<Scan>,
    asked_us: i64,
) -> Result<Arrived> {
    let mut hints = std::collections::BTreeSet::new();
    let mut items = Vec::with_capacity(page.items.len());
    for received in page.items {
        match received {
            Received::Record(record) => items.push(text_item(connection, record, asked_us)?),
            Received::Deleted { stream, id, version } => {
                items.push(deleted_item(connection, stream.as_str(), id.as_str(), version.as_ref(), asked_us)?);
            }
            Received::Hint { stream, id } => {
                hints.insert((
                    connection.name.as_str().to_owned(),
                    stream.as_str().to_owned(),
                    id.as_str().to_owned(),
                    0,
                ));
            }
            Received::Merged { stream, id, into } => {
                items.push(merged_item(connection, stream.as_str(), id.as_str(), into.as_str(), asked_us)?);
            }
            Received::Poke { .. } => {}
        }
    }
    let records = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let (true, Some(scan)) = (page.complete_scan, scan) {
        items.push(scan_item(&connection.name, stream, &Mark { scan, released_by: None }, asked_us)?);
    }
    Ok(Arrived { items, hints: hints.into_iter().collect(), records })
}

/// The mark of a scan that read everything.
pub(crate) fn scan_item(
    connection: &ConnectionName,
    stream: &StreamName,
    mark: &Mark,
    at_us: i64,
) -> Result<InboxItem> {
    Ok(InboxItem {
        connection: connection.as_str().to_owned(),
        kind: ItemKind::Scan,
        stream: Some(stream.as_str().to_owned()),
        body: serde_json::to_vec(mark)?,
        received_us: at_us,
        ..InboxItem::default()
    })
}

pub(crate) fn record_item(connection: &Connection, record: &Record, asked_us: i64) -> Result<InboxItem> {
    let Record { stream, id, version, body } = record;
    let (stream, id, version) = (stream.clone(), id.clone(), version.clone());
    text_item(connection, Record { stream, id, version, body: JsonText::from(body) }, asked_us)
}

fn text_item(connection: &Connection, record: Record<JsonText>, asked_us: i64) -> Result<InboxItem> {
    Ok(InboxItem {
        connection: connection.name.as_str().to_owned(),
        kind: ItemKind::Record,
        stream: Some(record.stream.as_str().to_owned()),
        external_id: Some(record.id.as_str().to_owned()),
        version: record.version.as_ref().map(serde_json::to_string).transpose()?,
        body: record.body.into_bytes(),
        received_us: asked_us,
        clock_offset_us: connection.cx.offset.us(),
        ..InboxItem::default()
    })
}

/// A record that was asked for by its key: it is as it stands there, whatever a list may show later.
pub(crate) fn asked_item(connection: &Connection, record: &Record, asked_us: i64) -> Result<InboxItem> {
    Ok(InboxItem { target: Some(ASKED.to_owned()), ..record_item(connection, record, asked_us)? })
}

pub(crate) fn deleted_item(
    connection: &Connection,
    stream: &str,
    id: &str,
    version: Option<&Version>,
    asked_us: i64,
) -> Result<InboxItem> {
    Ok(InboxItem {
        connection: connection.name.as_str().to_owned(),
        kind: ItemKind::Deleted,
        stream: Some(stream.to_owned()),
        external_id: Some(id.to_owned()),
        version: version.map(serde_json::to_string).transpose()?,
        received_us: asked_us,
        clock_offset_us: connection.cx.offset.us(),
        ..InboxItem::default()
    })
}

/// The mark that a system made one record of two.
fn merged_item(connection: &Connection, stream: &str, id: &str, into: &str, asked_us: i64) -> Result<InboxItem> {
    let item = deleted_item(connection, stream, id, None, asked_us)?;
    Ok(InboxItem { kind: ItemKind::Merged, body: into.as_bytes().to_vec(), ..item })
}

/// What a question for one record found. Under another id it is: first who it is now, then what it holds, so that the
/// survivor takes over the history of the record that was asked for.
pub(crate) fn found(connection: &Connection, asked: &str, record: &Record, asked_us: i64) -> Result<Vec<InboxItem>> {
    let item = asked_item(connection, record, asked_us)?;
    if record.id.as_str() == asked {
        return Ok(vec![item]);
    }
    let merged = merged_item(connection, record.stream.as_str(), asked, record.id.as_str(), asked_us)?;
    Ok(vec![InboxItem { target: item.target.clone(), ..merged }, item])
}

fn failed(
    engine: &Engine,
    connection: &Connection,
    stream: &StreamName,
    error: &ConnectorError,
    mut state: StreamState,
    every_us: i64,
) -> Result<()> {
    let now_us = engine.clock.now_us();
    let text = error.to_string();
    tracing::warn!(connection = %connection.name, %stream, kind = error.kind(), "pull failed: {text}");
    state.failures += 1;
    // 1 s, 2 s, 4 s …, never later than the schedule would have come.
    let backoff_us =
        1_000_000_i64.checked_shl(u32::try_from(state.failures - 1).unwrap_or(20).min(20)).unwrap_or(every_us);
    state.due_us = now_us.saturating_add(backoff_us.min(every_us.max(1_000_000)).max(error.told_us()));
    state.stopped = matches!(error, ConnectorError::Broken { .. } | ConnectorError::Rejected { .. });
    if matches!(error, ConnectorError::CursorExpired { .. }) {
        state.cursor = None;
        state.scan = None;
    }
    state.error_kind = Some(error.kind().to_owned());
    state.error = Some(text.clone());
    engine.store.write(|tx| {
        if matches!(error, ConnectorError::Unauthorized { .. }) {
            streams::set_state(tx, connection.name.as_str(), State::Paused, Some(&text), now_us)?;
        }
        streams::put(tx, connection.name.as_str(), stream.as_str(), &state)
    })
}

/// Fetches hinted keys of a connection that are due; returns how many.
pub async fn fetches(engine: &Engine, connection: &Connection) -> Result<usize> {
    let Some(connector) = connection.connector.clone() else { return Ok(0) };
    let now_us = engine.clock.now_us();
    let (here, name) = (engine.clone(), connection.name.clone());
    let due = blocking(move || here.store.read(|tx| inbox::due_fetches(tx, name.as_str(), now_us, FETCHES))).await?;
    let count = due.len();
    let cx = connection.cx.in_lane(Lane::Live);
    for request in due {
        let key = RecordKey {
            connection: connection.name.clone(),
            stream: request.stream.as_str().into(),
            id: request.external_id.as_str().into(),
        };
        let span =
            tracing::info_span!("fetch", connection = %connection.name, stream = %key.stream, item = request.cause);
        let asked_us = engine.clock.now_us();
        let found = connector.fetch(&cx, &key).instrument(span).await;
        let (here, whose) = (engine.clone(), connection.clone());
        blocking(move || fetched(&here, &whose, &request, found, asked_us)).await?;
    }
    Ok(count)
}

fn fetched(
    engine: &Engine,
    connection: &Connection,
    request: &FetchRequest,
    found: crate::connector::Result<Option<Record>>,
    asked_us: i64,
) -> Result<()> {
    let found = match found {
        Ok(found) => found,
        Err(error) => return not_fetched(engine, connection, request, &error),
    };
    let items = read_items(connection, &request.stream, &request.external_id, found.as_ref(), asked_us)?;
    engine.store.write(|tx| {
        inbox::append(tx, &items)?;
        inbox::close_fetch(tx, request)?;
        point(Point::FetchWritten);
        Ok(())
    })?;
    point(Point::FetchCommitted);
    Ok(())
}

/// What a record that was read alone brings into the inbox; none: it does not exist (any more).
pub(crate) fn read_items(
    connection: &Connection,
    stream: &str,
    id: &str,
    found: Option<&Record>,
    asked_us: i64,
) -> Result<Vec<InboxItem>> {
    match found {
        Some(record) => self::found(connection, id, record, asked_us),
        None => Ok(vec![deleted_item(connection, stream, id, None, asked_us)?]),
    }
}

fn not_fetched(engine: &Engine, connection: &Connection, request: &FetchRequest, error: &ConnectorError) -> Result<()> {
    let now_us = engine.clock.now_us();
    let reason = error.to_string();
    tracing::warn!(connection = %connection.name, stream = request.stream, kind = error.kind(), "fetch failed: {reason}");
    let hopeless = matches!(error, ConnectorError::Rejected { .. } | ConnectorError::Broken { .. });
    engine.store.write(|tx| {
        if matches!(error, ConnectorError::Unauthorized { .. }) {
            streams::set_state(tx, connection.name.as_str(), State::Paused, Some(&reason), now_us)?;
        }
        if hopeless || request.failures >= FETCH_FAILURES_MAX {
            let letter = DeadLetter {
                number: 0,
                stage: "fetch".to_owned(),
                connection: request.connection.clone(),
                stream: Some(request.stream.clone()),
                external_id: Some(request.external_id.clone()),
                item: request.cause,
                reason: reason.clone(),
                at_us: now_us,
            };
            inbox::bury(tx, &[letter])?;
            return inbox::close_fetch(tx, request);
        }
        // A quota that is used up for ten minutes must not use up the tries as well.
        let wait_us = (1_000_000_i64 << request.failures.clamp(0, 10)).max(error.told_us());
        inbox::delay_fetch(tx, request, now_us.saturating_add(wait_us))
    })
}
