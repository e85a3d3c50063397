//! Composes a mail and hands it to SMTP, so that a repeat can be recognised: its Message-ID is the delivery's key.

use std::time::{Duration, SystemTime};

use huiliu_core::connector::{ConnectorError, Cx, Delivery, ExternalId, Operation, Receipt, Record, Result};
use jiff::Timestamp;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::{Mailbox, Mailboxes, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use serde_json::Value;

use crate::imap::{Mail, Session};
use crate::settings::{Security, Settings};
use crate::{mime, net};

/// Recipients of one mail: a longer list is a mailing, which this is not for.
const RECIPIENTS_MAX: usize = 100;

/// A mail is sent within this time of being written: an older interaction is history, and mailing it to people once a
/// connection may create would be a disaster. An outage of a day is rare enough for a person to look at what waited.
const AGE_SECONDS_MAX: i64 = 86_400;

/// Sends the mail of a create: an e-mail, from us, written just now. Other interactions are never made into mails.
///
/// # Errors
/// [`ConnectorError::Rejected`] if the mail cannot be composed or the server refuses it for good,
/// [`ConnectorError::Transient`] if it may be accepted later, [`ConnectorError::Unauthorized`] if the login is refused.
pub async fn push(cx: &Cx, settings: &Settings, delivery: &Delivery) -> Result<Receipt> {
    if delivery.operation != Operation::Create {
        return Err(rejected("", "a mail that was sent can be neither changed nor taken back"));
    }
    let written_s = check_is_letter(cx, &delivery.body)?;
    let mail = compose(cx, settings, delivery, written_s)?;
    if delivery.attempt > 1 && was_sent(cx, settings, &mail.message_id).await? {
        return Ok(receipt(settings, delivery, &mail));
    }
    let mut smtp = login(cx, settings).await?;
    let sent = timed(settings, smtp.send(&mail.envelope, &mail.bytes)).await;
    drop(tokio::time::timeout(settings.timeout, smtp.quit()).await);
    sent.map_err(|error| refused_mail(&error))?;
    if let Some(folder) = &settings.sent_mailbox
        && let Err(error) = keep_copy(cx, settings, folder, &mail).await
    {
        // The mail is out: failing now would send it again.
        tracing::warn!(connection = %cx.connection, delivery = delivery.number, %error, "no copy of a sent mail was kept");
    }
    Ok(receipt(settings, delivery, &mail))
}

/// Logs in at the SMTP server and leaves.
///
/// # Errors
/// [`ConnectorError::Unauthorized`] if the login is refused, and those of [`net::connect`].
pub async fn check(cx: &Cx, settings: &Settings) -> Result<()> {
    let mut smtp = login(cx, settings).await?;
    drop(tokio::time::timeout(settings.timeout, smtp.quit()).await);
    Ok(())
}

struct Composed {
    message_id: String,
    envelope: Envelope,
    bytes: Vec<u8>,
}

/// Whether this is a mail to send. Answers when it was written, in seconds since 1970.
fn check_is_letter(cx: &Cx, body: &Value) -> Result<i64> {
    for (field, word) in [("kind", "email"), ("direction", "out")] {
        if body[field].as_str() != Some(word) {
            let reason = format!("only an interaction whose {field} is `{word}` is sent as a mail");
            return Err(rejected(&format!("/{field}"), &reason));
        }
    }
    let now_s = cx.clock.now_us() / 1_000_000;
    let Some(told) = body["date"].as_str() else { return Ok(now_s) };
    let written: Timestamp = told.parse().map_err(|_| rejected("/date", "this is no instant of RFC 3339"))?;
    if written.as_second() < now_s - AGE_SECONDS_MAX {
        return Err(rejected("/date", "it was written more than a day ago: that is history, and is not mailed"));
    }
    // A clock that runs ahead does not date a mail into the future.
    Ok(written.as_second().min(now_s))
}

fn compose(cx: &Cx, settings: &Settings, delivery: &Delivery, written_s: i64) -> Result<Composed> {
    let body = &delivery.body;
    let from: Mailbox = settings.from_address.parse().map_err(|_| {
        ConnectorError::broken(format!("config.from_address of connection {} is not an e-mail address", cx.connection))
    })?;
    let message_id = format!("{}@{}", delivery.idempotency_key, from.email.domain());
    let own = from.email.to_string();
    let mut builder = Message::builder().from(from).message_id(Some(format!("<{message_id}>"))).date(at(written_s));
    let mut recipients = mailboxes(body, "to")?;
    if recipients.is_empty() {
        recipients = mailboxes(body, "participants")?;
        recipients.retain(|mailbox| !mailbox.email.to_string().eq_ignore_ascii_case(&own));
    }
    let copies = mailboxes(body, "cc")?;
    if recipients.is_empty() {
        return Err(rejected("/to", "the mail names no recipient"));
    }
    if recipients.len() + copies.len() > RECIPIENTS_MAX {
        return Err(rejected("/to", "the mail names more than 100 recipients; that is a mailing, send it elsewhere"));
    }
    builder = builder.mailbox(lettre::message::header::To::from(recipients.into_iter().collect::<Mailboxes>()));
    if !copies.is_empty() {
        builder = builder.mailbox(lettre::message::header::Cc::from(copies.into_iter().collect::<Mailboxes>()));
    }
    if let Some(subject) = body["subject"].as_str() {
        builder = builder.subject(one_line(subject));
    }
    if let Some(replied) = body["in_reply_to"].as_str().filter(|id| mime::is_message_id(id)) {
        builder = builder.in_reply_to(format!("<{replied}>"));
    }
    if let Some(references) = body["references"].as_array() {
        let known = references.iter().filter_map(Value::as_str).filter(|id| mime::is_message_id(id));
        let known: Vec<String> = known.map(|id| format!("<{id}>")).collect();
        if !known.is_empty() {
            builder = builder.references(known.join(" "));
        }
    }
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let message = builder.singlepart(SinglePart::plain(text));
    let message = message.map_err(|error| rejected("", &format!("the mail cannot be composed: {error}")))?;
    Ok(Composed { message_id, envelope: message.envelope().clone(), bytes: message.formatted() })
}

/// Recipients as the records show them (`{name, address}`), or as plain texts.
fn mailboxes(body: &Value, field: &str) -> Result<Vec<Mailbox>> {
    let list = match &body[field] {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let mut found = Vec::with_capacity(list.len());
    for one in list {
        let address = one.as_str().or_else(|| one["address"].as_str()).unwrap_or_default();
        let address =
            address.trim().parse().map_err(|_| rejected(&format!("/{field}"), "this is not an e-mail address"))?;
        found.push(Mailbox::new(one["name"].as_str().map(one_line), address));
    }
    Ok(found)
}

/// A text that stays inside its header: the library stops at a line break in a name.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

fn at(seconds: i64) -> SystemTime {
    // Whole seconds: a Date field has no more, and the stored record must equal what is read back.
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// The record as a pull would read it from the folder of sent mails.
fn receipt(settings: &Settings, delivery: &Delivery, mail: &Composed) -> Receipt {
    let size = u32::try_from(mail.bytes.len()).unwrap_or(u32::MAX);
    let seen = vec!["\\Seen".to_owned()];
    let shown = Mail { uid: 1, size, internal_date: String::new(), flags: seen, raw: mail.bytes.clone() };
    let (id, body) = mime::read(&shown, settings);
    let stored = Record { stream: delivery.stream.clone(), id: id.clone(), version: None, body };
    Receipt { id: ExternalId::from(id.as_str()), stored: Some(stored), version: None }
}

/// Whether an earlier attempt's mail is in one of the folders. If no folder keeps sent mails this cannot be known, and
/// the mail goes out again under the same Message-ID, by which the recipient's system recognises the repeat.
async fn was_sent(cx: &Cx, settings: &Settings, message_id: &str) -> Result<bool> {
    let mut session = Session::open(cx, settings).await?;
    let mut found = false;
    for folder in settings.folders() {
        session.examine(folder).await?;
        found = !session.search_id(message_id).await?.is_empty();
        if found {
            break;
        }
    }
    session.close().await;
    Ok(found)
}

async fn keep_copy(cx: &Cx, settings: &Settings, folder: &str, mail: &Composed) -> Result<()> {
    let mut session = Session::open(cx, settings).await?;
    session.examine(folder).await?;
    // Some servers keep a copy by themselves.
    if session.search_id(&mail.message_id).await?.is_empty() {
        session.append(folder, &mail.bytes).await?;
    }
    session.close().await;
    Ok(())
}

async fn login(cx: &Cx, settings: &Settings) -> Result<AsyncSmtpConnection> {
    let password = cx.secret("password")?;
    cx.quota.acquire().await;
    let server = &settings.smtp;
    let line = net::connect(cx, settings, server).await?;
    // Our own host name is nobody's business: the domain of the sender is a valid greeting.
    let domain = settings.from_address.rsplit('@').next().unwrap_or("localhost");
    let hello = ClientId::Domain(domain.to_owned());
    let opened = timed(settings, AsyncSmtpConnection::connect_with_transport(Box::new(line), &hello)).await;
    let mut smtp = opened.map_err(|error| refused_line(&error))?;
    if server.security == Security::Starttls {
        let mut tls = TlsParameters::builder(server.host.clone());
        if let Some(pem) = net::ca_pem(settings)? {
            let authority = Certificate::from_pem(&pem)
                .map_err(|_| ConnectorError::broken("config.ca_file holds no valid PEM certificates"))?;
            tls = tls.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        let tls = tls.build().map_err(|error| ConnectorError::broken(format!("TLS cannot be set up: {error}")))?;
        timed(settings, smtp.starttls(tls, &hello)).await.map_err(|error| refused_line(&error))?;
    }
    let credentials = Credentials::new(settings.username.clone(), password.expose().to_owned());
    let authenticated = timed(settings, smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)).await;
    authenticated.map_err(|error| refused_login(&error))?;
    Ok(smtp)
}

/// What stopped an exchange with the SMTP server.
enum Stopped {
    Smtp(lettre::transport::smtp::Error),
    TimedOut,
}

impl Stopped {
    /// The three digits of the server's answer, if it gave one.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Smtp(error) => error.status().map(u16::from),
            Self::TimedOut => None,
        }
    }

    /// Whether the client itself refused to go on: the server lacks what is needed.
    fn is_client(&self) -> bool {
        matches!(self, Self::Smtp(error) if error.is_client())
    }
}

async fn timed<T>(
    settings: &Settings,
    exchange: impl Future<Output = std::result::Result<T, lettre::transport::smtp::Error>>,
) -> std::result::Result<T, Stopped> {
    match tokio::time::timeout(settings.timeout, exchange).await {
        Ok(done) => done.map_err(Stopped::Smtp),
        Err(_) => Err(Stopped::TimedOut),
    }
}

fn refused_line(stopped: &Stopped) -> ConnectorError {
    match (stopped.code(), stopped) {
        (Some(code @ 500..), _) => {
            ConnectorError::broken(format!("the SMTP server refuses the connection with {code}"))
        }
        (None, Stopped::Smtp(error)) if error.is_client() => {
            ConnectorError::broken("the SMTP server offers no STARTTLS; try config.smtp_security = \"tls\"")
        }
        (None, Stopped::Smtp(error)) if error.is_tls() => {
            ConnectorError::broken("TLS with the SMTP server failed; check host, port, security and config.ca_file")
        }
        (code, _) => interrupted("the SMTP server is not ready", code),
    }
}

fn refused_login(stopped: &Stopped) -> ConnectorError {
    match stopped.code() {
        Some(code @ 500..) => ConnectorError::Unauthorized {
            detail: format!("the SMTP server refuses the login with {code}; check config.username and secret.password"),
        },
        None if stopped.is_client() => {
            ConnectorError::broken("the SMTP server offers no login by password (AUTH PLAIN or LOGIN) on this port")
        }
        code => interrupted("the SMTP server cannot check the login right now", code),
    }
}

/// The server's text often repeats the recipient's address, so only its code is told.
fn refused_mail(stopped: &Stopped) -> ConnectorError {
    match stopped.code() {
        Some(code @ (530 | 535)) => ConnectorError::Unauthorized {
            detail: format!("the SMTP server wants another login ({code}); check config.username and secret.password"),
        },
        Some(code @ (550 | 551 | 553)) => rejected("/to", &format!("the SMTP server refuses a recipient with {code}")),
        Some(code @ 500..) => rejected("", &format!("the SMTP server refuses the mail with {code}")),
        None if stopped.is_client() => rejected("/to", "the SMTP server takes no addresses beyond ASCII"),
        code => interrupted("the SMTP server did not take the mail", code),
    }
}

fn interrupted(what: &str, code: Option<u16>) -> ConnectorError {
    let why = code.map_or_else(|| "the line broke".to_owned(), |code| format!("it answered {code}"));
    ConnectorError::transient(format!("{what}: {why}"))
}

fn rejected(at: &str, reason: &str) -> ConnectorError {
    ConnectorError::Rejected { at: at.to_owned(), reason: reason.to_owned() }
}
