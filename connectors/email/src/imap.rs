//! The few IMAP commands that are needed (RFC 3501).
//!
//! The library's own helpers end quietly when the line breaks in the middle of an answer; here an answer counts only
//! when its tagged `OK` has arrived, so a torn answer can never look like a short one.

use std::io;

use async_imap::Client;
use async_imap::imap_proto::{
    AttributeValue, Capability, MailboxDatum, MessageSection, Outcome, Response, ResponseCode, SectionPath, Status,
};
use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use huiliu_core::connector::{ConnectorError, Cx, Result};

use crate::net::{self, Line, within};
use crate::settings::{Depth, Security, Settings};

/// A logged-in connection.
pub struct Session {
    pub(crate) inner: async_imap::Session<Line>,
    settings: Settings,
    abilities: Vec<String>,
}

/// What the server says when a folder is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Changes when UIDs no longer mean what they meant.
    pub uid_validity: u32,
    /// The UID that the next mail will have at least.
    pub uid_next: Option<u32>,
    /// The highest modification sequence, where the server has CONDSTORE (RFC 7162).
    pub modseq_max: Option<u64>,
}

/// A mail as the server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Its UID.
    pub uid: u32,
    /// Its size in bytes.
    pub size: u32,
    /// When the server received it, in the server's words.
    pub internal_date: String,
    /// Its flags.
    pub flags: Vec<String>,
    /// The header fields, or the mail up to the configured bound.
    pub raw: Vec<u8>,
}

/// Header fields that are read when bodies are not.
const FIELDS: &str = "DATE FROM TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES CONTENT-TYPE";

/// So much of a header is read. Real ones of these fields stay below 10 kB; long recipient lists reach further, and
/// are cut.
const HEADER_BYTES_MAX: u32 = 64 << 10;

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`ConnectorError::Unauthorized`] if the login is refused, and those of [`net::connect`].
    pub async fn open(cx: &Cx, settings: &Settings) -> Result<Self> {
        let password = cx.secret("password")?;
        cx.quota.acquire().await;
        let server = &settings.imap;
        let mut client = Client::new(net::connect(cx, settings, server).await?);
        match within(settings.timeout, client.read_response()).await.map_err(|error| torn(&error))? {
            Some(greeting) if !matches!(greeting.parsed(), Response::Data { status: Status::Bye, .. }) => {}
            _ => return Err(ConnectorError::transient("the IMAP server closed the line instead of greeting")),
        }
        if server.security == Security::Starttls {
            let upgrade = client.run_command_and_check_ok("STARTTLS", None);
            within(settings.timeout, async { upgrade.await.map_err(io_of) }).await.map_err(|error| {
                if error.kind() == io::ErrorKind::Unsupported {
                    return ConnectorError::broken("the IMAP server offers no STARTTLS; try config.security = \"tls\"");
                }
                torn(&error)
            })?;
            // What came after the answer was not protected: it goes away with the old client's buffer.
            client = Client::new(net::protect(client.into_inner(), settings, server).await?);
        }
        let login = tokio::time::timeout(settings.timeout, client.login(&settings.username, password.expose())).await;
        let inner = match login {
            Ok(Ok(inner)) => inner,
            Ok(Err((error, _))) => return Err(refused_login(&error)),
            Err(_) => return Err(torn(&io::ErrorKind::TimedOut.into())),
        };
        let mut session = Self { inner, settings: settings.clone(), abilities: Vec::new() };
        session.abilities = session.abilities().await?;
        if session.can("ID") {
            // Some providers (163.com, 126.com) let nobody open a folder who has not said their name (RFC 2971).
            session.ask("ID (\"name\" \"huiliu\")", |_| {}).await?;
        }
        Ok(session)
    }

    /// Whether the server announced this ability.
    pub fn can(&self, ability: &str) -> bool {
        self.abilities.iter().any(|known| known.eq_ignore_ascii_case(ability))
    }

    async fn abilities(&mut self) -> Result<Vec<String>> {
        let mut abilities = Vec::new();
        self.ask("CAPABILITY", |said| {
            if let Response::Capabilities(found) = said {
                abilities.extend(found.iter().map(|ability| match ability {
                    Capability::Imap4rev1 => "IMAP4rev1".to_owned(),
                    Capability::Auth(kind) => format!("AUTH={kind}"),
                    Capability::Atom(word) => word.to_string(),
                }));
            }
        })
        .await?;
        Ok(abilities)
    }

    /// Sends a command and reads its whole answer; `hear` gets each part. What was heard counts only if this succeeds.
    ///
    /// # Errors
    /// [`ConnectorError::Transient`] if the line breaks or the server is busy, [`ConnectorError::Broken`] if it refuses.
    pub async fn ask(&mut self, command: &str, mut hear: impl FnMut(&Response<'_>) + Send) -> Result<()> {
        let limit = self.settings.timeout;
        let exchange = async {
            let tag = self.inner.run_command(command).await.map_err(io_of)?;
            loop {
                let data = self.inner.read_response().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                match data.parsed() {
                    Response::Done { tag: done, status, outcome } if *done == tag => {
                        return Ok(verdict(command, status, outcome));
                    }
                    said => hear(said),
                }
            }
        };
        within(limit, exchange).await.map_err(|error| torn(&error))?
    }

    /// Opens a folder to read it; nothing about it changes.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn examine(&mut self, folder: &str) -> Result<Opened> {
        let mut opened = Opened::default();
        // Some servers begin to count changes only when they are asked to (RFC 7162 section 3.1.8).
        let counting = if self.can("CONDSTORE") { " (CONDSTORE)" } else { "" };
        self.ask(&format!("EXAMINE {}{counting}", quoted(&folder_name(folder))?), |said| {
            if let Response::Data { outcome: Outcome { code: Some(code), .. }, .. } = said {
                match code {
                    ResponseCode::UidValidity(validity) => opened.uid_validity = *validity,
                    ResponseCode::UidNext(next) => opened.uid_next = Some(*next),
                    ResponseCode::HighestModSeq(max) => opened.modseq_max = Some(*max),
                    _ => {}
                }
            }
        })
        .await?;
        if opened.uid_validity == 0 {
            return Err(ConnectorError::broken("the IMAP server has no lasting ids (UIDVALIDITY) for this folder"));
        }
        Ok(opened)
    }

    /// The UIDs that fit, in order.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn search(&mut self, query: &str) -> Result<Vec<u32>> {
        let mut uids = Vec::new();
        self.ask(&format!("UID SEARCH {query}"), |said| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = said {
                uids.extend(found);
            }
        })
        .await?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// The UIDs of mails with this Message-ID (without angle brackets) in the open folder.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn search_id(&mut self, message_id: &str) -> Result<Vec<u32>> {
        self.search(&format!("HEADER MESSAGE-ID {}", quoted(&format!("<{message_id}>"))?)).await
    }

    /// The UIDs from `first` to `last` whose flags changed after `modseq`, in order.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn changed(&mut self, first: u32, last: u32, modseq: u64) -> Result<Vec<u32>> {
        let mut uids = Vec::new();
        let query = format!("UID FETCH {first}:{last} (UID) (CHANGEDSINCE {modseq})");
        self.ask(&query, |said| uids.extend(mail_of(said).map(|mail| mail.uid))).await?;
        uids.retain(|uid| (first..=last).contains(uid));
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// The mails with these UIDs; what is no longer there is left out.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn fetch(&mut self, uids: &[u32]) -> Result<Vec<Mail>> {
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let set: Vec<String> = uids.iter().map(u32::to_string).collect();
        let part = match self.settings.depth {
            Depth::Headers => format!("BODY.PEEK[HEADER.FIELDS ({FIELDS})]<0.{HEADER_BYTES_MAX}>"),
            Depth::Whole(bytes_max) => format!("BODY.PEEK[]<0.{bytes_max}>"),
        };
        let query = format!("UID FETCH {} (UID RFC822.SIZE INTERNALDATE FLAGS {part})", set.join(","));
        let mut mails: Vec<Mail> = Vec::new();
        self.ask(&query, |said| mails.extend(mail_of(said))).await?;
        // A server may tell of other mails' flags in between: only what was asked for counts, and only whole.
        mails.retain(|mail| uids.contains(&mail.uid) && !mail.internal_date.is_empty());
        mails.sort_by_key(|mail| mail.uid);
        mails.dedup_by_key(|mail| mail.uid);
        Ok(mails)
    }

    /// Puts a mail into a folder, as read.
    ///
    /// # Errors
    /// [`ConnectorError::Transient`] if it did not work.
    pub async fn append(&mut self, folder: &str, mail: &[u8]) -> Result<()> {
        let name = folder_name(folder);
        let appended = self.inner.append(&name, Some("(\\Seen)"), None, mail);
        within(self.settings.timeout, async { appended.await.map_err(io_of) }).await.map_err(|error| torn(&error))
    }

    /// Says goodbye; that it was heard does not matter.
    pub async fn close(mut self) {
        drop(tokio::time::timeout(self.settings.timeout, self.inner.logout()).await);
    }
}

fn mail_of(said: &Response<'_>) -> Option<Mail> {
    let Response::Fetch(_, attributes) = said else { return None };
    let mut mail = Mail::default();
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => mail.uid = *uid,
            AttributeValue::Rfc822Size(size) => mail.size = *size,
            AttributeValue::InternalDate(date) => mail.internal_date = date.to_string(),
            AttributeValue::Flags(flags) => mail.flags = flags.iter().map(ToString::to_string).collect(),
            AttributeValue::BodySection {
                section: None | Some(SectionPath::Full(MessageSection::Header)),
                data: Some(bytes),
                ..
            } => mail.raw = bytes.to_vec(),
            _ => {}
        }
    }
    Some(mail).filter(|mail| mail.uid > 0)
}

/// The server's text may name people and folders, so it is not repeated; the command's first words are ours.
fn verdict(command: &str, status: &Status, outcome: &Outcome<'_>) -> Result<()> {
    let verb = command.split(' ').next().unwrap_or_default();
    let said = outcome.information.as_deref().unwrap_or_default();
    match status {
        Status::Ok => Ok(()),
        Status::No if is_temporary(said) => {
            Err(ConnectorError::transient(format!("the IMAP server is not ready for {verb}; it is asked again")))
        }
        Status::No if verb == "EXAMINE" => Err(ConnectorError::broken(
            "the IMAP server has no such folder, or keeps it closed; correct config.mailbox and config.sent_mailbox",
        )),
        Status::No | Status::Bad => Err(ConnectorError::broken(format!("the IMAP server refuses {verb}"))),
        _ => Err(ConnectorError::transient(format!("the IMAP server ended the line at {verb}"))),
    }
}

fn refused_login(error: &async_imap::error::Error) -> ConnectorError {
    use async_imap::error::Error;
    match error {
        Error::No(said) if is_temporary(said) => {
            ConnectorError::transient("the IMAP server cannot check the login right now; it is asked again")
        }
        Error::No(_) | Error::Bad(_) | Error::Validate(_) => ConnectorError::Unauthorized {
            detail:
                "the IMAP server refuses the login; check config.username and secret.password (many providers want \
                     an app password)"
                    .to_owned(),
        },
        _ => ConnectorError::transient("the line to the IMAP server broke at the login"),
    }
}

/// The codes of RFC 5530 that pass by themselves.
fn is_temporary(said: &str) -> bool {
    let said = said.to_ascii_uppercase();
    ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "TEMPORARY", "TRY AGAIN"]
        .iter()
        .any(|code| said.contains(code))
}

/// The library puts received bytes into its errors, and those are people's mails: only the kind is kept.
pub(crate) fn torn(error: &io::Error) -> ConnectorError {
    match error.kind() {
        io::ErrorKind::Other => {
            ConnectorError::transient("the IMAP server's answer could not be read; it is asked again")
        }
        io::ErrorKind::FileTooLarge => {
            ConnectorError::broken("the IMAP server sent more than was asked for; lower config.max_message_bytes")
        }
        kind => ConnectorError::transient(format!("the line to the IMAP server broke: {kind}")),
    }
}

pub(crate) fn io_of(error: async_imap::error::Error) -> io::Error {
    use async_imap::error::Error;
    match error {
        Error::Io(error) => error,
        Error::ConnectionLost => io::ErrorKind::UnexpectedEof.into(),
        Error::Bad(_) | Error::No(_) => io::ErrorKind::Unsupported.into(),
        _ => io::Error::other("unreadable"),
    }
}

fn quoted(text: &str) -> Result<String> {
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(ConnectorError::broken("a text for the IMAP server holds control or non-ASCII characters"));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A folder's name as it travels: modified UTF-7 (RFC 3501 section 5.1.3). A name that is ASCII already, such as the
/// encoded form copied from the provider's help page, stays as it is.
fn folder_name(name: &str) -> String {
    if name.is_ascii() {
        return name.to_owned();
    }
    let engine = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);
    let mut encoded = String::new();
    let mut wide: Vec<u8> = Vec::new();
    for letter in name.chars().map(Some).chain([None]) {
        let plain = letter.filter(|letter| (' '..='~').contains(letter));
        if (plain.is_some() || letter.is_none()) && !wide.is_empty() {
            encoded.push_str(&format!("&{}-", engine.encode(&wide)));
            wide.clear();
        }
        match (plain, letter) {
            (Some('&'), _) => encoded.push_str("&-"),
            (Some(plain), _) => encoded.push(plain),
            (None, Some(letter)) => {
                wide.extend(letter.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
            }
            (None, None) => {}
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_travel_in_utf_7() {
        // The examples of RFC 3501 section 5.1.3, and the Sent folder of a Chinese provider.
        assert_eq!(folder_name("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(folder_name("已发送"), "&XfJT0ZAB-");
        assert_eq!(folder_name("&XfJT0ZAB-"), "&XfJT0ZAB-");
        assert_eq!(folder_name("INBOX"), "INBOX");
    }

    #[test]
    fn a_login_never_reaches_a_log() {
        assert!(log::STATIC_MAX_LEVEL < log::LevelFilter::Trace);
    }
}
