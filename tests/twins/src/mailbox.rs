//! A mailbox: an IMAP4rev1 server with IDLE and CONDSTORE, and an SMTP server for submission.
//!
//! It speaks what a client of one account needs and answers `BAD` to the rest. Its quirks are the protocol's own:
//! `n:*` names the last mail even when it is older than n, flags of other mails are told in between, UIDs are void when
//! the folder is made anew. SMTP answers 451 to recipients named `busy`, 550 to recipients named `nobody`.

mod folder;
mod imap;
mod smtp;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use smtp::Sent;

use folder::Folder;

/// The account's login and address.
const USERNAME: &str = "hub@example.test";

/// The account's password at the start.
const PASSWORD: &str = "twin mailbox \"password\"";

/// A running mailbox. It ends when this is dropped.
pub struct MailboxTwin {
    shared: Arc<Shared>,
    imap: SocketAddr,
    smtp: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What all connections see.
struct Shared {
    state: Mutex<State>,
    /// Counts changes, so that idling connections wake.
    changed: watch::Sender<u64>,
}

struct State {
    password: String,
    folders: BTreeMap<String, Folder>,
    sent: Vec<Sent>,
    lose_replies: usize,
    now_s: Option<i64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    fn now(&self) -> jiff::Timestamp {
        // A stand-in for a system with a clock of its own.
        #[allow(clippy::disallowed_methods)]
        let own = || jiff::Timestamp::now();
        self.now_s.and_then(|now_s| jiff::Timestamp::from_second(now_s).ok()).unwrap_or_else(own)
    }
}

impl MailboxTwin {
    /// Starts both servers on free loopback ports, with the empty folders `INBOX` and `Sent`.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let folders = BTreeMap::from([("INBOX".to_owned(), Folder::new(1000)), ("Sent".to_owned(), Folder::new(2000))]);
        let state = State { password: PASSWORD.to_owned(), folders, sent: Vec::new(), lose_replies: 0, now_s: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: watch::Sender::new(0) });
        let imap = TcpListener::bind(("127.0.0.1", 0)).await?;
        let smtp = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (imap_address, smtp_address) = (imap.local_addr()?, smtp.local_addr()?);
        let (one, other) = (shared.clone(), shared.clone());
        let tasks = vec![
            tokio::spawn(serve(imap, move |stream| imap::serve(stream, one.clone()))),
            tokio::spawn(serve(smtp, move |stream| smtp::serve(stream, other.clone()))),
        ];
        Ok(Self { shared, imap: imap_address, smtp: smtp_address, tasks })
    }

    /// The settings of a connection to this mailbox.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("imap_host", self.imap.ip().to_string()),
            ("imap_port", self.imap.port().to_string()),
            ("smtp_host", self.smtp.ip().to_string()),
            ("smtp_port", self.smtp.port().to_string()),
            ("username", USERNAME.to_owned()),
            ("from_address", USERNAME.to_owned()),
            ("sent_mailbox", "Sent".to_owned()),
            ("security", "none".to_owned()),
        ]
    }

    /// The secrets of a connection to this mailbox.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("password", self.shared.state().password.clone())]
    }

    /// Where the IMAP server listens.
    pub fn imap_address(&self) -> SocketAddr {
        self.imap
    }

    /// Where the SMTP server listens.
    pub fn smtp_address(&self) -> SocketAddr {
        self.smtp
    }

    /// Puts a mail into the inbox and wakes who is idling. Answers its UID.
    pub fn deliver(&self, raw: &[u8]) -> u32 {
        let uid = {
            let mut state = self.shared.state();
            let now = state.now();
            state.folders.get_mut("INBOX").map_or(0, |inbox| inbox.add(raw, &[], now))
        };
        self.shared.wake();
        uid
    }

    /// Puts a mail into `Sent`, as the user's mail program does after sending.
    pub fn file_as_sent(&self, raw: &[u8]) {
        let mut state = self.shared.state();
        let now = state.now();
        if let Some(sent) = state.folders.get_mut("Sent") {
            sent.add(raw, &["\\Seen".to_owned()], now);
        }
    }

    /// Sets the flags of a mail in the inbox, as its user would in another program.
    pub fn set_flags(&self, uid: u32, flags: &[&str]) {
        if let Some(inbox) = self.shared.state().folders.get_mut("INBOX") {
            inbox.set_flags(uid, flags);
        }
        self.shared.wake();
    }

    /// Removes a mail from the inbox for good.
    pub fn expunge(&self, uid: u32) {
        if let Some(inbox) = self.shared.state().folders.get_mut("INBOX") {
            inbox.expunge(uid);
        }
        self.shared.wake();
    }

    /// Makes the inbox anew: it is empty, and UIDs begin again under another UIDVALIDITY.
    pub fn renew_inbox(&self) {
        if let Some(inbox) = self.shared.state().folders.get_mut("INBOX") {
            *inbox = Folder::new(inbox.validity + 1);
        }
        self.shared.wake();
    }

    /// Changes the password, as a user would: the old one is refused from now on.
    pub fn set_password(&self, password: &str) {
        password.clone_into(&mut self.shared.state().password);
    }

    /// The SMTP server takes this many mails without its answer reaching the sender.
    pub fn lose_replies(&self, count: usize) {
        self.shared.state().lose_replies = count;
    }

    /// Stops the mailbox's clock at so many seconds since 1970, or lets it run.
    pub fn set_now_s(&self, now_s: Option<i64>) {
        self.shared.state().now_s = now_s;
    }

    /// The mails that the SMTP server has taken, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared.state().sent.clone()
    }

    /// The folders' mails (UID, flags, text) and the sent ones, for people and comparisons.
    pub fn snapshot(&self) -> Value {
        let state = self.shared.state();
        let folders: BTreeMap<&String, Value> = state.folders.iter().map(|(name, it)| (name, it.snapshot())).collect();
        let sent: Vec<Value> = state.sent.iter().map(Sent::snapshot).collect();
        json!({ "folders": folders, "sent": sent })
    }
}

impl Drop for MailboxTwin {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Takes connections; each ends with its client, or when the listener's task is dropped.
async fn serve<S>(listener: TcpListener, session: impl Fn(TcpStream) -> S)
where
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut sessions = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        sessions.spawn(session(stream));
        while sessions.try_join_next().is_some() {}
    }
}
