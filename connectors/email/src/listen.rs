//! Waits in IDLE (RFC 2177) until the folder changes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_imap::extensions::idle::IdleResponse;
use async_imap::imap_proto::{MailboxDatum, Response};
use huiliu_core::connector::{ConnectionName, ConnectorError, Cx, Result};

use crate::imap::{Opened, Session, io_of, torn};
use crate::net::within;
use crate::settings::Settings;

/// IDLE is issued anew after this long. A server may end it after 30 minutes; a router on the way forgets a silent line
/// after about ten, and then nothing arrives any more.
const IDLE_MAX: Duration = Duration::from_secs(9 * 60);

/// What each connection's folder looked like when it was last opened, so that a mail which came between a pull and the
/// next IDLE is noticed at once.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<ConnectionName, Opened>>);

impl Seen {
    /// Remembers the folder's state; answers whether it differs from the last one known.
    pub fn note(&self, connection: &ConnectionName, opened: Opened) -> bool {
        let Ok(mut seen) = self.0.lock() else { return false };
        seen.insert(connection.clone(), opened).is_some_and(|before| before != opened)
    }
}

/// Returns when the folder has changed. On a server without IDLE it never returns: the schedule pulls.
///
/// # Errors
/// Those of [`Session`]; [`ConnectorError::Transient`] when the line breaks.
pub async fn listen(cx: &Cx, settings: &Settings, seen: &Seen) -> Result<()> {
    let mut session = Session::open(cx, settings).await?;
    let opened = session.examine(&settings.mailbox).await?;
    if !session.can("IDLE") {
        session.close().await;
        return std::future::pending().await;
    }
    if seen.note(&cx.connection, opened) {
        session.close().await;
        return Ok(());
    }
    loop {
        let mut idle = session.inner.idle();
        within(settings.timeout, async { idle.init().await.map_err(io_of) }).await.map_err(|error| torn(&error))?;
        let changed = wait(&mut idle).await?;
        let ended =
            within(settings.timeout, async { idle.done().await.map_err(io_of) }).await.map_err(|error| torn(&error));
        match (changed, ended) {
            (true, _) => return Ok(()),
            (false, ended) => session.inner = ended?,
        }
    }
}

/// True: the folder changed. False: it is time to issue IDLE anew.
async fn wait(idle: &mut async_imap::extensions::idle::Handle<crate::net::Line>) -> Result<bool> {
    let until = tokio::time::Instant::now() + IDLE_MAX;
    loop {
        // The library's own limit starts anew with every keepalive of the server, so it would never be reached.
        let (heard, _stop) = idle.wait_with_timeout(IDLE_MAX);
        match tokio::time::timeout_at(until, heard).await {
            Err(_) | Ok(Ok(IdleResponse::Timeout)) => return Ok(false),
            Ok(Ok(IdleResponse::NewData(data))) => match data.parsed() {
                Response::MailboxData(MailboxDatum::Exists(_)) | Response::Fetch(..) => return Ok(true),
                _ => {}
            },
            Ok(Ok(IdleResponse::ManualInterrupt)) => {
                return Err(ConnectorError::transient("the IMAP server closed the line while it was listened to"));
            }
            Ok(Err(error)) => return Err(torn(&io_of(error))),
        }
    }
}
