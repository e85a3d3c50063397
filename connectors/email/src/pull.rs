//! Walks the folders by (UIDVALIDITY, UID, MODSEQ).
//!
//! A pull first reads what changed among the mails it knows (CONDSTORE), then the mails above the highest known UID.
//! A changed UIDVALIDITY starts over; records are keyed by Message-ID, so nothing comes out twice. A mail that vanished
//! from the folder stays known: absence is not deletion, and deleting a mail does not undo a conversation. So QRESYNC,
//! which adds the list of vanished UIDs to what CONDSTORE tells (RFC 7162 section 3.2), is not asked for.

use std::collections::BTreeMap;

use huiliu_core::connector::{ConnectorError, Cursor, Cx, ExternalId, Page, Received, Record, Result, StreamName};
use serde::{Deserialize, Serialize};

use crate::imap::{Mail, Opened, Session};
use crate::mime;
use crate::settings::{Depth, Settings};

/// Mails in a page of headers: about 400 kB.
const PAGE_HEADERS: usize = 200;

/// Mails in a page of whole mails: 20 MiB with the default bound for one.
const PAGE_WHOLE: usize = 20;

/// UIDs asked for at once when looking for new mails; the answer lists each, and each page asks anew.
const NEW_WINDOW: u32 = 2_000;

/// UIDs asked for at once when looking for changes; the answer lists only what changed.
const CHANGED_WINDOW: u32 = 100_000;

/// Windows in one pull: a sparse folder gives up its turn now and then and goes on from the cursor.
const WINDOWS_MAX: usize = 100;

/// A folder without Message-IDs is searched this far for one mail.
const NAMELESS_MAX: usize = 2_000;

/// Where the walk through each folder stands.
type Places = BTreeMap<String, Place>;

/// Where the walk through a folder stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The folder's generation; UIDs of another one mean nothing.
    uidvalidity: u32,
    /// Every mail up to here has been read.
    uid: u32,
    /// Every change up to here has been read; 0 where the server does not count changes.
    modseq: u64,
    /// A walk through changes that takes more than one page.
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<Sweep>,
}

/// An unfinished walk through the changes since [`Place::modseq`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sweep {
    /// The folder's modification sequence when the walk began.
    upto: u64,
    /// Changes up to this UID have been read.
    uid: u32,
}

/// One page: of the received mails, and of the sent ones when no received mail is waiting. Also answers how the folder
/// of received mails looked.
///
/// # Errors
/// [`ConnectorError::CursorExpired`] for a cursor that this code did not write, and those of [`Session`].
pub async fn pull(cx: &Cx, settings: &Settings, stream: &StreamName, from: Option<&Cursor>) -> Result<(Page, Opened)> {
    let mut before = from.map(read_cursor).transpose()?.unwrap_or_default();
    let mut session = Session::open(cx, settings).await?;
    let (mut inbox, mut places, mut items, mut more) = (None, Places::new(), Vec::new(), false);
    for folder in settings.folders() {
        let place = before.remove(folder);
        if more {
            places.extend(place.map(|place| (folder.to_owned(), place)));
            continue;
        }
        let opened = session.examine(folder).await?;
        inbox = inbox.or(Some(opened));
        let mut walk = Walk { place: start(place, &opened), opened, uids: Vec::new(), windows: 0, settings };
        let settled = walk.changes(&mut session).await?;
        more = !(settled && walk.news(&mut session).await?);
        for mail in session.fetch(&walk.uids).await? {
            items.push(Received::Record(record(settings, stream, &mail)));
        }
        places.insert(folder.to_owned(), walk.place);
    }
    session.close().await;
    let next = serde_json::to_string(&places).map_err(|error| ConnectorError::broken(error.to_string()))?;
    Ok((Page { items, next: Some(Cursor::from(next)), more, complete_scan: false }, inbox.unwrap_or_default()))
}

/// One mail by its record id, newest first if it is there more than once.
///
/// # Errors
/// Those of [`Session`].
pub async fn fetch(cx: &Cx, settings: &Settings, stream: &StreamName, id: &ExternalId) -> Result<Option<Record>> {
    let mut session = Session::open(cx, settings).await?;
    let mut found = None;
    for folder in settings.folders() {
        found = find(&mut session, settings, folder, stream, id).await?;
        if found.is_some() {
            break;
        }
    }
    session.close().await;
    Ok(found)
}

async fn find(
    session: &mut Session,
    settings: &Settings,
    folder: &str,
    stream: &StreamName,
    id: &ExternalId,
) -> Result<Option<Record>> {
    session.examine(folder).await?;
    let mut uids = if mime::is_message_id(id.as_str()) {
        session.search_id(id.as_str()).await?
    } else {
        session.search("NOT HEADER MESSAGE-ID \"@\"").await?
    };
    uids.reverse();
    uids.truncate(NAMELESS_MAX);
    for page in uids.chunks(page_size(settings)) {
        let mails = session.fetch(page).await?;
        let known = mails.iter().rev().map(|mail| record(settings, stream, mail)).find(|record| record.id == *id);
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

struct Walk<'a> {
    place: Place,
    opened: Opened,
    uids: Vec<u32>,
    windows: usize,
    settings: &'a Settings,
}

impl Walk<'_> {
    /// Collects changed mails; false if the page is full before all are known.
    async fn changes(&mut self, session: &mut Session) -> Result<bool> {
        let now = self.opened.modseq_max.unwrap_or(0);
        let Place { modseq, uid: last, .. } = self.place;
        if self.place.sweep.is_none() && (modseq == 0 || now <= modseq) {
            // A server that begins to count has nothing to tell of the time before.
            self.place.modseq = modseq.max(now);
            return Ok(true);
        }
        let mut sweep = self.place.sweep.unwrap_or(Sweep { upto: now, uid: 0 });
        while sweep.uid < last {
            let hi = sweep.uid.saturating_add(CHANGED_WINDOW).min(last);
            let changed = session.changed(sweep.uid + 1, hi, modseq).await?;
            sweep.uid = self.take(&changed, hi);
            if self.is_full() && sweep.uid < last {
                self.place.sweep = Some(sweep);
                return Ok(false);
            }
        }
        self.place.sweep = None;
        self.place.modseq = sweep.upto;
        Ok(true)
    }

    /// Collects new mails; false if the page is full before all are known.
    async fn news(&mut self, session: &mut Session) -> Result<bool> {
        // The open end `n:*` names the last mail even when it is older than n, so it is used only where the server
        // does not say where the end is, and every answer is held against the range.
        let last = self.opened.uid_next.map_or(u32::MAX, |next| next.saturating_sub(1));
        while self.place.uid < last {
            if self.is_full() {
                return Ok(false);
            }
            let lo = self.place.uid + 1;
            let open = self.opened.uid_next.is_none();
            let hi = if open { last } else { self.place.uid.saturating_add(NEW_WINDOW).min(last) };
            let end = if open { "*".to_owned() } else { hi.to_string() };
            let mut found = session.search(&format!("UID {lo}:{end}")).await?;
            found.retain(|uid| (lo..=hi).contains(uid));
            if open {
                let reached = found.last().copied().unwrap_or(self.place.uid);
                self.place.uid = self.take(&found, reached);
                return Ok(self.place.uid == reached);
            }
            self.place.uid = self.take(&found, hi);
        }
        Ok(true)
    }

    /// Takes as many as the page holds. Answers up to where everything is known now: `end`, or the last one taken.
    fn take(&mut self, found: &[u32], end: u32) -> u32 {
        self.windows += 1;
        let room = page_size(self.settings).saturating_sub(self.uids.len());
        let taken = &found[..room.min(found.len())];
        self.uids.extend(taken);
        if taken.len() < found.len() { taken.last().copied().unwrap_or(found[0] - 1) } else { end }
    }

    fn is_full(&self) -> bool {
        self.uids.len() >= page_size(self.settings) || self.windows >= WINDOWS_MAX
    }
}

fn start(place: Option<Place>, opened: &Opened) -> Place {
    place.filter(|place| place.uidvalidity == opened.uid_validity).unwrap_or(Place {
        uidvalidity: opened.uid_validity,
        modseq: opened.modseq_max.unwrap_or(0),
        ..Place::default()
    })
}

fn read_cursor(cursor: &Cursor) -> Result<Places> {
    serde_json::from_str(cursor.as_str()).map_err(|_| ConnectorError::CursorExpired {
        detail: "the stored place in the mailbox cannot be read; the folder is read from its start".to_owned(),
    })
}

fn page_size(settings: &Settings) -> usize {
    if settings.depth == Depth::Headers { PAGE_HEADERS } else { PAGE_WHOLE }
}

fn record(settings: &Settings, stream: &StreamName, mail: &Mail) -> Record {
    let (id, body) = mime::read(mail, settings);
    // No version: a modification sequence starts anew with the folder, and would make the second reading look stale.
    Record { stream: stream.clone(), id, version: None, body }
}
