//! Pages that stay true while they are looked at: server-sent events carry the part that changed, rendered as ever.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{connection, connections};
use crate::access::{self, Touch};
use crate::frame::Visit;
use crate::site::{Result, Site};

/// How often a watched page is rendered anew.
const EVERY: Duration = Duration::from_secs(2);

/// A stream ends after this; the browser opens the next one by itself.
const LIFE: Duration = Duration::from_secs(600);

type Render = dyn Fn(&Site, &Visit) -> Result<String> + Send + Sync;

/// All connections.
pub async fn connections(site: State<Arc<Site>>, visit: Extension<Arc<Visit>>) -> Response {
    watch(site.0, visit.0, Arc::new(|site: &Site, visit: &Visit| connections::live(site, visit)))
}

/// One connection.
pub async fn connection(site: State<Arc<Site>>, visit: Extension<Arc<Visit>>, Path(name): Path<String>) -> Response {
    watch(site.0, visit.0, Arc::new(move |site: &Site, visit: &Visit| connection::live(site, visit, &name)))
}

struct Watcher {
    site: Arc<Site>,
    visit: Arc<Visit>,
    render: Arc<Render>,
    stopped: watch::Receiver<bool>,
    last: String,
    until: Instant,
    is_over: bool,
    _seat: OwnedSemaphorePermit,
}

fn watch(site: Arc<Site>, visit: Arc<Visit>, render: Arc<Render>) -> Response {
    let Ok(seat) = site.watchers.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let stopped = site.settings.stopped.clone();
    let until = Instant::now() + LIFE;
    let watcher = Watcher { site, visit, render, stopped, last: String::new(), until, is_over: false, _seat: seat };
    Sse::new(stream::unfold(watcher, next)).keep_alive(KeepAlive::default()).into_response()
}

/// The next event: a part that changed. The stream ends with the session, with its time, and with the hub.
async fn next(mut watcher: Watcher) -> Option<(std::result::Result<Event, Infallible>, Watcher)> {
    while !watcher.is_over && Instant::now() < watcher.until && !*watcher.stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = watcher.stopped.changed() => return None,
        }
        let (site, visit, render) = (watcher.site.clone(), watcher.visit.clone(), watcher.render.clone());
        let rendered = tokio::task::spawn_blocking(move || {
            let user = access::whose(&site.engine, &visit.token, Touch::Looked)?;
            if user.as_deref() == Some(visit.user.as_str()) { render(&site, &visit).map(Some) } else { Ok(None) }
        });
        match rendered.await {
            Ok(Ok(Some(html))) if html != watcher.last => {
                watcher.last.clone_from(&html);
                return Some((Ok(Event::default().event("part").data(html.replace('\r', ""))), watcher));
            }
            // The session is over: the page asks for a login when somebody comes back to it.
            Ok(Ok(None)) => {
                watcher.is_over = true;
                return Some((Ok(Event::default().event("over").data("")), watcher));
            }
            _ => {}
        }
    }
    None
}
