//! The way in: every call is guarded here, then a page answers it.
//!
//! Nothing but the login, an invitation and the site's own files is reachable without a session. Whatever changes
//! something is a POST that comes from a page of ours: its origin is ours, and it carries the value of our form.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use huiliu_core::engine::Engine;
use huiliu_core::store::StoreError;
use huiliu_core::store::console;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::access::{self, Throttle, Touch};
use crate::frame::{Section, Shell, Times, Visit};
use crate::language::Language;
use crate::pages;

/// Forms are a few names and numbers; five hundred chosen dead letters are 10 KB.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Passwords hashed at once: each takes 19 MiB and a core for some tens of milliseconds.
const HASHED_AT_ONCE: usize = 2;

/// Pages that watch at once.
const WATCHERS_MAX: usize = 64;

/// What the console needs to know of its surroundings.
pub struct Settings {
    /// Where people reach it: `http://127.0.0.1:7210`, or the https address of a proxy.
    pub address: String,
    /// Called after an action that the stages should hear of.
    pub wake: Box<dyn Fn() + Send + Sync>,
    /// Turns true when the hub stops: open streams end.
    pub stopped: watch::Receiver<bool>,
}

/// Everything that pages need.
pub struct Site {
    /// The engine, of whose store the read side is used, and whose commands are given.
    pub engine: Engine,
    /// Its surroundings.
    pub settings: Settings,
    /// The brake on guessing.
    pub throttle: Throttle,
    /// Seats for those whose password is being hashed.
    pub hashing: Semaphore,
    /// Seats for pages that watch.
    pub watchers: Arc<Semaphore>,
    zone: TimeZone,
    stamp: String,
}

/// The fields of a form that a POST brought.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// A field; empty if it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A page without its frame.
pub struct Content {
    /// What the tab says.
    pub title: String,
    /// The page, escaped.
    pub html: String,
}

/// Why there is no page, or an action was not done.
#[derive(Debug)]
pub enum Failed {
    /// What the address names is not there.
    Missing,
    /// The action was refused; the text is for the reader.
    Refused(String),
    /// The store or a page failed.
    Broken(String),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<askama::Error> for Failed {
    fn from(error: askama::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What pages return.
pub type Result<T> = std::result::Result<T, Failed>;

/// The console of an engine.
pub fn router(engine: Engine, settings: Settings) -> Router {
    let site = Arc::new(Site {
        engine,
        settings,
        throttle: Throttle::default(),
        hashing: Semaphore::new(HASHED_AT_ONCE),
        watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        zone: TimeZone::system(),
        stamp: hex::encode(&Sha256::digest([pages::files::STYLE, pages::files::SCRIPT].concat())[..6]),
    });
    Router::new()
        .route("/", get(pages::connections::show))
        .route("/live/connections", get(pages::live::connections))
        .route("/live/connections/{name}", get(pages::live::connection))
        .route("/connections/{name}", get(pages::connection::show))
        .route("/connections/{name}/pause", post(pages::connection::pause))
        .route("/connections/{name}/resume", post(pages::connection::resume))
        .route("/connections/{name}/brake", post(pages::brakes::settle))
        .route("/connections/{name}/drift", post(pages::drift::accept))
        .route("/customers", get(pages::customers::show))
        .route("/customers/{number}", get(pages::customer::show))
        .route("/records", get(pages::record::show))
        .route("/reviews", get(pages::reviews::list).post(pages::reviews::many))
        .route("/reviews/{number}", get(pages::reviews::one).post(pages::reviews::decide))
        .route("/conflicts", get(pages::conflicts::list))
        .route("/conflicts/{number}", get(pages::conflicts::one).post(pages::conflicts::decide))
        .route("/dead-letters", get(pages::letters::show))
        .route("/dead-letters/retry", post(pages::letters::retry))
        .route("/login", get(pages::door::login).post(pages::door::log_in))
        .route("/logout", post(pages::door::log_out))
        .route("/invite/{token}", get(pages::door::invitation).post(pages::door::accept))
        .route("/static/{file}", get(pages::files::show))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

async fn nowhere(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.no(&visit, &Failed::Missing).await
}

/// Lets a call in, or says why not; what leaves carries the headers that browsers need to be careful.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = admit(&site, request, next).await;
    let headers = response.headers_mut();
    let is_file = headers.contains_key(header::CACHE_CONTROL);
    for (name, value) in careful() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_file {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if site.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// What makes browsers careful. `same-origin` and not `no-referrer`: under the latter browsers send `Origin: null` with
/// our own forms.
fn careful() -> [(header::HeaderName, &'static str); 4] {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                          connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ]
}

async fn admit(site: &Arc<Site>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path.starts_with("/static/") {
        return next.run(Request::from_parts(parts, Body::empty())).await;
    }
    let query = pairs(parts.uri.query().unwrap_or_default().as_bytes());
    let chosen = query.iter().find(|(name, _)| name == "lang").and_then(|(_, word)| Language::of_word(word));
    let session = cookie(&parts.headers, site.cookie_name("session"));
    let user = match &session {
        Some(token) => {
            let (engine, token, touch) = (site.engine.clone(), token.clone(), touch_of(&path));
            match on_thread(move || access::whose(&engine, &token, touch)).await {
                Ok(user) => user,
                Err(error) => return broken(&error.to_string()),
            }
        }
        None => None,
    };
    let before = cookie(&parts.headers, site.cookie_name("form")).filter(|token| token.len() == 43);
    // Before the login forms follow from a cookie of their own, so that nobody can log somebody else in.
    let (token, is_new) = match (&user, session, before) {
        (Some(_), Some(session), _) => (session, false),
        (_, _, Some(before)) => (before, false),
        _ => (access::token(), true),
    };
    let visit = Arc::new(Visit {
        t: chosen.unwrap_or_else(|| language(&parts.headers)),
        user: user.unwrap_or_default(),
        form: access::form_token(&token),
        token,
        path,
        query,
    });
    parts.extensions.insert(visit.clone());
    let mut response = match form(site, &visit, &parts, body).await {
        Err(answer) => answer,
        Ok(form) => {
            parts.extensions.insert(Arc::new(form));
            next.run(Request::from_parts(parts, Body::empty())).await
        }
    };
    if is_new && visit.user.is_empty() {
        response.headers_mut().append(header::SET_COOKIE, site.cookie("form", &visit.token, access::IDLE_US));
    }
    if let Some(chosen) = chosen {
        let year_us = 365 * 24 * 3600 * 1_000_000;
        response.headers_mut().append(header::SET_COOKIE, site.cookie("lang", chosen.word(), year_us));
    }
    response
}

/// A page that looks again by itself is no sign of a person.
fn touch_of(path: &str) -> Touch {
    if path.starts_with("/live/") { Touch::Looked } else { Touch::Used }
}

/// The form of a POST that is ours; a GET has none. The error is the answer.
async fn form(site: &Arc<Site>, visit: &Visit, parts: &Parts, body: Body) -> std::result::Result<Form, Response> {
    let is_open = visit.path == "/login" || visit.path.starts_with("/invite/");
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    if visit.user.is_empty() && !is_open {
        if is_read && !visit.path.starts_with("/live/") {
            let next = if visit.path == "/" { String::new() } else { visit.here(&[]) };
            return Err(Redirect::to(&crate::frame::address("/login", [("next", next.as_str())])).into_response());
        }
        return Err(site.say_no(visit, StatusCode::UNAUTHORIZED, visit.t.no_session()).await);
    }
    if is_read {
        return Ok(Form(Vec::new()));
    }
    if !site.is_ours(&parts.headers) {
        return Err(site.say_no(visit, StatusCode::FORBIDDEN, visit.t.foreign_form()).await);
    }
    #[allow(clippy::disallowed_methods)] // The bound stands beside the call.
    let bytes = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
    let Ok(bytes) = bytes else {
        return Err(site.say_no(visit, StatusCode::PAYLOAD_TOO_LARGE, visit.t.large_form()).await);
    };
    let form = Form(pairs(&bytes));
    if !access::is_form_token(form.get("form"), &visit.token) {
        return Err(site.say_no(visit, StatusCode::FORBIDDEN, visit.t.old_form()).await);
    }
    Ok(form)
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn language(headers: &HeaderMap) -> Language {
    let chosen = ["lang", "__Host-lang"].into_iter().find_map(|name| Language::of_word(&cookie(headers, name)?));
    chosen.unwrap_or_else(|| {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
        Language::of_browser(accepted.unwrap_or_default())
    })
}

fn cookie(headers: &HeaderMap, name: impl AsRef<str>) -> Option<String> {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut all = sent.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    all.find(|(known, _)| *known == name.as_ref()).map(|(_, value)| value.to_owned())
}

fn broken(told: &str) -> Response {
    tracing::error!("the console could not answer: {told}");
    (StatusCode::INTERNAL_SERVER_ERROR, "Huiliu: the store does not answer / 存储没有响应\n").into_response()
}

/// Runs blocking work on a thread made for it.
pub async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> huiliu_core::store::db::Result<T> + Send + 'static,
) -> huiliu_core::store::db::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Corrupt(format!("a page stopped in the middle: {error}"))),
    }
}

impl Site {
    fn is_secure(&self) -> bool {
        self.settings.address.starts_with("https://")
    }

    /// The name of a cookie; over https one that no neighbour domain can set.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.is_secure() { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// A cookie that no script reads and no other site sends along.
    pub fn cookie(&self, name: &str, value: &str, keep_us: i64) -> HeaderValue {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
            self.cookie_name(name),
            keep_us / 1_000_000
        );
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Browsers say with every POST where its form came from. Behind a proxy the address is the configured one.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let text = |name: header::HeaderName| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let origin = text(header::ORIGIN);
        let bare = origin.split_once("://").map_or("", |(_, host)| host);
        origin == self.settings.address.trim_end_matches('/') || (!bare.is_empty() && bare == text(header::HOST))
    }

    /// How time is written for a reader.
    pub fn times(&self, visit: &Visit) -> Times {
        Times::new(visit.t, self.engine.clock.now_us(), &self.zone)
    }

    /// The zone in which days and hours are meant.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Answers with a page that `work` makes, on a thread that may wait for the store.
    pub async fn page(
        self: &Arc<Self>,
        visit: &Arc<Visit>,
        section: Section,
        work: impl FnOnce(&Site, &Visit) -> Result<Content> + Send + 'static,
    ) -> Response {
        let (site, asked) = (self.clone(), visit.clone());
        let made = tokio::task::spawn_blocking(move || {
            let body = work(&site, &asked)?;
            site.framed(&asked, section, &body)
        });
        match made.await {
            Ok(Ok(page)) => html(StatusCode::OK, page),
            Ok(Err(failed)) => self.no(visit, &failed).await,
            Err(error) => self.no(visit, &Failed::Broken(error.to_string())).await,
        }
    }

    /// Carries out what a form asks for and leads on to where `work` says.
    pub async fn act(
        self: &Arc<Self>,
        visit: &Arc<Visit>,
        work: impl FnOnce(&Site, &Visit) -> Result<String> + Send + 'static,
    ) -> Response {
        let (site, asked) = (self.clone(), visit.clone());
        match tokio::task::spawn_blocking(move || work(&site, &asked)).await {
            Ok(Ok(next)) => {
                (self.settings.wake)();
                Redirect::to(&next).into_response()
            }
            Ok(Err(failed)) => self.no(visit, &failed).await,
            Err(error) => self.no(visit, &Failed::Broken(error.to_string())).await,
        }
    }

    /// A page that says why not.
    pub async fn no(self: &Arc<Self>, visit: &Visit, failed: &Failed) -> Response {
        let (status, told) = match failed {
            Failed::Missing => (StatusCode::NOT_FOUND, visit.t.missing().to_owned()),
            Failed::Refused(told) => (StatusCode::CONFLICT, told.clone()),
            Failed::Broken(told) => {
                tracing::error!("the console could not answer: {told}");
                (StatusCode::INTERNAL_SERVER_ERROR, visit.t.broken().to_owned())
            }
        };
        self.say_no(visit, status, &told).await
    }

    async fn say_no(self: &Arc<Self>, visit: &Visit, status: StatusCode, told: &str) -> Response {
        let body = pages::no::page(visit, status, told);
        let site = self.clone();
        let asked = Visit {
            t: visit.t,
            user: visit.user.clone(),
            form: visit.form.clone(),
            token: String::new(),
            path: visit.path.clone(),
            query: visit.query.clone(),
        };
        let framed = tokio::task::spawn_blocking(move || site.framed(&asked, Section::Outside, &body?)).await;
        match framed {
            Ok(Ok(page)) => html(status, page),
            _ => broken("the page that says no failed too"),
        }
    }

    /// The whole page.
    pub fn framed(&self, visit: &Visit, section: Section, body: &Content) -> Result<String> {
        use askama::Template as _;
        // Whoever is not logged in is told nothing, not even how much waits.
        let (reviews, letters) = if visit.user.is_empty() {
            (0, 0)
        } else {
            self.engine
                .store
                .read(|tx| Ok((console::reviews_waiting(tx)?, console::letters_waiting(tx)?.values().sum())))?
        };
        let shell = Shell {
            t: visit.t,
            user: &visit.user,
            form: &visit.form,
            title: &body.title,
            section,
            reviews,
            letters,
            said: visit.asked("said").and_then(|code| pages::said(visit.t, code)),
            other: visit.here(&[("lang", visit.t.other().word())]),
            stamp: &self.stamp,
            body: &body.html,
        };
        Ok(shell.render()?)
    }
}

/// A page as an answer.
pub fn html(status: StatusCode, page: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}
