//! The connections to Postgres: so many at most, kept for reuse, and known to the server by the process that has them.

use std::error::Error as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::session::Session;
use super::{Result, StoreError, postgres_tls};

/// Connections kept open while nobody needs them.
const IDLE_MAX: usize = 6;

/// Connections open at once, unless the URL says otherwise (`connections=`). A server takes 100 by default: that is six
/// processes. More would not help: those who compute meaning take turns anyway.
const OPEN_MAX: usize = 16;

/// With fewer whoever thinks and reads beside could wait for himself.
const OPEN_MIN: usize = 4;

/// Who waits longer for a connection is told so.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A server that does not answer by then is taken for dead.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A server, or a network, that says nothing for so long is asked, and given up as long after.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// The server ends what was begun and not gone on with for so long, and with it the locks of a process that stands still.
/// What it has to say besides errors and warnings is nobody's business.
const SET_UP: &str = "SET idle_in_transaction_session_timeout = 60000; SET client_min_messages = warning";

/// All connections of a process.
pub struct Pool {
    config: Config,
    tls: postgres_tls::Tls,
    most: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// Those in use, too.
    open: usize,
    /// Since when the server cannot be reached.
    away: Option<Instant>,
}

/// The right to have one connection; whatever becomes of the work, it is given back.
struct Place<'p>(&'p Pool);

/// What the server knows the connections of a node by.
pub fn server_name(node: &str) -> String {
    format!("huiliu {node}")
}

impl Pool {
    /// For a URL, which may say `connections=N`. Opens nothing yet.
    pub fn new(url: &str, node: &str) -> Result<Self> {
        let wrong = || {
            StoreError::Open("store: not a Postgres URL; write postgres://user:password@host:5432/database".to_owned())
        };
        let (url, most) = bound(url)?;
        let mut config = url.parse::<Config>().map_err(|_| wrong())?;
        config.application_name(server_name(node)).keepalives_idle(SILENT_MAX);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENT_MAX);
        }
        Ok(Self { config, tls: postgres_tls::tls()?, most, state: Mutex::default(), freed: Condvar::new() })
    }

    /// A connection that nobody else has and that counts for nothing: for a listener, which keeps it.
    pub fn apart(&self) -> Result<Session> {
        let opened = Session::open(&self.config, self.tls.clone(), SET_UP);
        if opened.is_ok()
            && let Some(since) = self.state().away.take()
        {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "Postgres at {} answers again", places(&self.config));
        }
        opened.map_err(|error| match error {
            StoreError::Postgres(error) if error.as_db_error().is_none() => {
                self.state().away.get_or_insert_with(Instant::now);
                // The driver itself says only what it was doing.
                let cause = std::iter::successors(error.source(), |&it| it.source()).last();
                let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
                StoreError::Open(format!(
                    "Postgres at {} cannot be reached: {cause}; is it running there, and is hub.store right?",
                    places(&self.config)
                ))
            }
            other => other,
        })
    }

    /// Works with a connection, once one is free. One that broke is not kept, nor are those that were open with it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let (place, known) = self.place()?;
        let mut session = match known {
            Some(session) => session,
            None => self.apart()?,
        };
        let result = work(&mut session);
        let told = matches!(&result, Err(StoreError::Postgres(error)) if error.is_closed() || is_ended(error));
        let is_broken = told || session.is_closed();
        if is_broken {
            self.close_idle();
        } else {
            place.keep(session);
        }
        result
    }

    fn place(&self) -> Result<(Place<'_>, Option<Session>)> {
        let until = Instant::now() + WAIT_MAX;
        let mut state = self.state();
        loop {
            while let Some(session) = state.idle.pop() {
                if !session.is_closed() {
                    return Ok((Place(self), Some(session)));
                }
                state.open -= 1;
            }
            if state.open < self.most {
                state.open += 1;
                return Ok((Place(self), None));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Open(format!(
                    "all {} connections to Postgres are in use, and none became free within {} s: the server is slow, or \
                     it may give more (`?connections=` at the end of hub.store)",
                    self.most,
                    WAIT_MAX.as_secs()
                )));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Closes what nobody uses: the server is another one by now.
    fn close_idle(&self) {
        let mut state = self.state();
        state.open -= state.idle.len();
        state.idle.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between loses count of no connection: each is counted before it is opened.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    fn keep(self, session: Session) {
        let mut state = self.0.state();
        if state.idle.len() < IDLE_MAX {
            state.idle.push(session);
            state.open += 1;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.freed.notify_one();
    }
}

/// Whether the server ended the session: it shuts down, an administrator or another node ended it, or it stood still for too long.
fn is_ended(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("57P") || code.code() == "25P03")
}

/// Where a server is looked for.
fn places(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.last()).copied().unwrap_or(5432);
    hosts.enumerate().map(|(at, host)| format!("{host}:{}", port(at))).collect::<Vec<_>>().join(", ")
}

/// Takes `connections=N` out of a URL.
fn bound(url: &str) -> Result<(String, usize)> {
    let Some((place, query)) = url.split_once('?') else { return Ok((url.to_owned(), OPEN_MAX)) };
    let (mine, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|part| part.starts_with("connections="));
    let url = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    let Some(given) = mine.last().and_then(|part| part.strip_prefix("connections=")) else {
        return Ok((url, OPEN_MAX));
    };
    let most = given.parse().ok().filter(|most| *most >= OPEN_MIN);
    let most = most.ok_or_else(|| {
        StoreError::Open(format!("store: connections={given}: write a whole number, {OPEN_MIN} or more"))
    })?;
    Ok((url, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_without_users_and_passwords() {
        let of = |url: &str| places(&url.parse().expect("a URL"));
        assert_eq!(of("postgres://me:secret@db.example:6000/x"), "db.example:6000");
        assert_eq!(of("postgres://me@one,two/x"), "one:5432, two:5432");
    }

    #[test]
    fn the_bound_is_taken_out_of_the_url() {
        let of = |url: &str| bound(url).expect("a bound");
        assert_eq!(of("postgres://a@b/c"), ("postgres://a@b/c".to_owned(), OPEN_MAX));
        assert_eq!(of("postgres://a@b/c?connections=40"), ("postgres://a@b/c".to_owned(), 40));
        assert_eq!(
            of("postgres://a@b/c?sslmode=disable&connections=7"),
            ("postgres://a@b/c?sslmode=disable".to_owned(), 7)
        );
        assert!(bound("postgres://a@b/c?connections=2").is_err() && bound("postgres://a@b/c?connections=x").is_err());
    }
}
