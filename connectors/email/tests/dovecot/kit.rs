//! A connection to either server, and a line that can be cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{
    Connector as _, Cursor, Cx, Delivery, Network, Operation, Page, Received, Record, RecordKey, Result, StreamName,
};
use huiliu_core::quota::Quota;
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_email::connector::Email;
use huiliu_tests::dovecot::{Dovecot, PASSWORD};
use huiliu_twins::mailbox::MailboxTwin;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When every test mail is received.
pub const RECEIVED_S: i64 = 1_750_000_000;

/// The server under test. The SMTP side is the twin's in both cases: Dovecot sends no mail.
pub enum Server {
    Dovecot(Box<Dovecot>),
    Twin,
}

pub struct Kit {
    pub server: Server,
    pub twin: MailboxTwin,
    pub email: Email,
    pub cx: Cx,
    uids: u32,
}

impl Kit {
    pub async fn dovecot() -> Self {
        let dovecot = Box::new(Dovecot::start());
        let port = dovecot.port.to_string();
        let mut kit = Self::new(Server::Dovecot(dovecot)).await;
        kit.set("imap_port", &port);
        kit.twin.set_password(PASSWORD);
        kit.set_password(PASSWORD);
        kit
    }

    pub async fn twin() -> Self {
        Self::new(Server::Twin).await
    }

    async fn new(server: Server) -> Self {
        let twin = MailboxTwin::start().await.unwrap();
        twin.set_now_s(Some(RECEIVED_S));
        let email = Email::shipped().unwrap();
        let declared = &email.manifest().connector.config;
        let defaults = declared.iter().filter_map(|(name, setting)| Some((name.clone(), setting.default.clone()?)));
        let given = twin.settings().into_iter().map(|(name, value)| (name.to_owned(), value));
        let settings: BTreeMap<String, String> = defaults.chain(given).collect();
        assert!(settings.keys().eq(declared.keys()), "every setting is declared and given");
        let secrets = twin.secrets().into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value)));
        let cx = Cx {
            connection: "post".into(),
            settings: Arc::new(settings),
            secrets: Arc::new(secrets.collect()),
            clock: Clock::manual(1_770_000_000_123_456),
            quota: Arc::new(Quota::unlimited()),
            tokens: Arc::new(TokenVault::in_memory()),
            network: Network::Private,
            offset: Arc::default(),
        };
        Self { server, twin, email, cx, uids: 0 }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        Arc::make_mut(&mut self.cx.settings).insert(name.to_owned(), value.to_owned());
    }

    pub fn set_password(&mut self, password: &str) {
        self.cx.secrets = Arc::new(BTreeMap::from([("password".to_owned(), Secret::new(password))]));
    }

    /// Delivers a mail; its UID is the number of mails so far in this life of the inbox.
    pub fn deliver(&mut self, raw: &[u8]) -> u32 {
        self.uids += 1;
        match &mut self.server {
            Server::Dovecot(dovecot) => dovecot.deliver(raw, RECEIVED_S),
            Server::Twin => assert_eq!(self.twin.deliver(raw), self.uids),
        }
        self.uids
    }

    /// Puts a mail into the folder of sent mails, as a person's mail program does.
    pub fn file_as_sent(&self, raw: &[u8]) {
        let text = std::str::from_utf8(raw).unwrap();
        match &self.server {
            Server::Dovecot(dovecot) => dovecot.say(&[&format!("APPEND Sent (\\Seen) {{{}+}}\r\n{text}", raw.len())]),
            Server::Twin => self.twin.file_as_sent(raw),
        }
    }

    pub fn mark_seen(&self, uid: u32) {
        match &self.server {
            Server::Dovecot(dovecot) => dovecot.say(&[&format!("UID STORE {uid} +FLAGS (\\Seen)")]),
            Server::Twin => self.twin.set_flags(uid, &["\\Seen"]),
        }
    }

    pub fn expunge(&self, uid: u32) {
        match &self.server {
            Server::Dovecot(dovecot) => dovecot.say(&[&format!("UID STORE {uid} +FLAGS (\\Deleted)"), "EXPUNGE"]),
            Server::Twin => self.twin.expunge(uid),
        }
    }

    pub fn renew_inbox(&mut self) {
        self.uids = 0;
        match &self.server {
            Server::Dovecot(dovecot) => dovecot.renew_inbox(),
            Server::Twin => self.twin.renew_inbox(),
        }
    }

    pub async fn page(&self, from: Option<&Cursor>) -> Result<Page> {
        self.email.pull(&self.cx, &StreamName::from("messages"), from).await
    }

    /// Pulls until nothing is waiting: all records in order, and the cursor after each page.
    pub async fn pull_all(&self, from: Option<Cursor>) -> (Vec<Record>, Vec<Cursor>) {
        let (mut records, mut cursors, mut at) = (Vec::new(), Vec::new(), from);
        loop {
            let page = self.page(at.as_ref()).await.unwrap();
            assert!(!page.complete_scan, "a walk from a cursor never shows what is missing");
            records.extend(page.items.into_iter().map(|item| match item {
                Received::Record(record) => record,
                other => panic!("{other:?}"),
            }));
            at = page.next.or(at);
            cursors.extend(at.clone());
            if !page.more {
                return (records, cursors);
            }
        }
    }

    pub async fn fetch(&self, id: &str) -> Option<Record> {
        let key = RecordKey { connection: "post".into(), stream: "messages".into(), id: id.into() };
        self.email.fetch(&self.cx, &key).await.unwrap()
    }

    /// A line between the connector and the IMAP server.
    pub async fn line(&mut self) -> Line {
        let port = self.cx.setting("imap_port").unwrap().parse().unwrap();
        let line = Line::start(port).await;
        self.set("imap_port", &line.port.to_string());
        line
    }
}

/// A mail of so many bytes and a bit, from an invented person.
pub fn mail(number: usize) -> Vec<u8> {
    format!(
        "Message-ID: <{number}.test@example.org>\r\nDate: Mon, 2 Feb 2026 09:15:00 +0000\r\nFrom: Nia {number} \
         <nia{number}@example.org>\r\nTo: hub@example.test\r\nSubject: mail {number}\r\n\r\nhello {number}\r\n"
    )
    .into_bytes()
}

pub fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

/// The delivery that makes a mail: an e-mail from us, unless the body says otherwise.
pub fn create(mut body: Value, attempt: u32) -> Delivery {
    for (field, word) in [("kind", "email"), ("direction", "out")] {
        if body.get(field).is_none() {
            body[field] = word.into();
        }
    }
    Delivery {
        number: 7,
        operation: Operation::Create,
        stream: "messages".into(),
        id: None,
        body,
        base: Value::Null,
        base_version: None,
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt,
    }
}

/// Passes bytes on, counts those from the server, and can break off after a number of them.
pub struct Line {
    pub port: u16,
    passed: Arc<AtomicU64>,
    cut_after: Arc<AtomicU64>,
    said: watch::Receiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Line {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passed, cut_after) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let (saying, said) = watch::channel(String::new());
        let (counted, cut) = (passed.clone(), cut_after.clone());
        let saying = Arc::new(Mutex::new(saying));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, counted.clone(), cut.clone(), saying.clone()));
            }
        });
        Self { port, passed, cut_after, said, task }
    }

    /// Bytes from the server since the last question.
    pub fn passed(&self) -> u64 {
        self.passed.swap(0, Ordering::SeqCst)
    }

    /// Breaks off after so many more bytes from the server; every line after that is closed at once, until it is set
    /// anew.
    pub fn cut_after(&self, bytes: u64) {
        self.passed.store(0, Ordering::SeqCst);
        self.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Waits until the client has said this.
    pub async fn heard(&mut self, text: &str) {
        let heard = self.said.wait_for(|said| said.contains(text));
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the client never said it").unwrap();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    server: u16,
    passed: Arc<AtomicU64>,
    cut_after: Arc<AtomicU64>,
    saying: Arc<Mutex<watch::Sender<String>>>,
) {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(count @ 1..) => {
                    let text = String::from_utf8_lossy(&up[..count]).into_owned();
                    saying.lock().unwrap().send_modify(|said| said.push_str(&text));
                    if server.write_all(&up[..count]).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(count @ 1..) => {
                    let before = passed.fetch_add(count as u64, Ordering::SeqCst);
                    let left = cut_after.load(Ordering::SeqCst).saturating_sub(before);
                    let part = count.min(usize::try_from(left).unwrap_or(usize::MAX));
                    if client.write_all(&down[..part]).await.is_err() || part < count { return }
                }
                _ => return,
            },
        }
    }
}
