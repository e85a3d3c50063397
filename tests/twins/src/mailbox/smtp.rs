//! The SMTP server: a login, an envelope, a mail.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::wire::{MAIL_BYTES_MAX, Wire};
use super::{Shared, USERNAME};

/// A mail as the SMTP server took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// The mail.
    pub raw: Vec<u8>,
}

impl Sent {
    pub(super) fn snapshot(&self) -> Value {
        json!({ "from": self.from, "to": self.to, "raw": String::from_utf8_lossy(&self.raw).as_ref() })
    }
}

#[derive(Default)]
struct Session {
    greeted: bool,
    authenticated: bool,
    from: Option<String>,
    to: Vec<String>,
}

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    let mut session = Session::default();
    wire.send("220 mailbox.example.test ESMTP\r\n").await?;
    while let Some(line) = wire.line().await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                session.greeted = true;
                let abilities =
                    "250-mailbox.example.test\r\n250-AUTH PLAIN LOGIN\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n";
                wire.send(abilities).await?;
            }
            "AUTH" if session.greeted => {
                session.authenticated = authenticate(&mut wire, &shared, rest).await?;
                let reply: &str =
                    if session.authenticated { "235 2.7.0 welcome\r\n" } else { "535 5.7.8 bad login\r\n" };
                wire.send(reply).await?;
            }
            "MAIL" | "RCPT" | "DATA" if !session.authenticated => wire.send("530 5.7.0 log in first\r\n").await?,
            "MAIL" => {
                session.from = Some(address(rest));
                session.to.clear();
                wire.send("250 2.1.0 sender\r\n").await?;
            }
            "RCPT" if session.from.is_some() => wire.send(recipient(&mut session, rest)).await?,
            "DATA" if !session.to.is_empty() => {
                wire.send("354 go on, end with a dot\r\n").await?;
                let raw = mail(&mut wire).await?;
                if !take(&shared, &mut session, raw) {
                    return Ok(());
                }
                wire.send("250 2.0.0 taken\r\n").await?;
            }
            "RSET" => {
                session = Session { authenticated: session.authenticated, greeted: true, ..Session::default() };
                wire.send("250 2.0.0 forgotten\r\n").await?;
            }
            "NOOP" => wire.send("250 2.0.0 here\r\n").await?,
            "QUIT" => return wire.send("221 2.0.0 bye\r\n").await,
            "RCPT" | "DATA" | "AUTH" => wire.send("503 5.5.1 not now\r\n").await?,
            _ => wire.send("500 5.5.2 unknown command\r\n").await?,
        }
    }
    Ok(())
}

async fn authenticate(wire: &mut Wire, shared: &Shared, rest: &str) -> io::Result<bool> {
    let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
    let password = shared.state().password.clone();
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            let given = if initial.is_empty() { challenge(wire, "").await? } else { decoded(initial.as_bytes()) };
            Ok(given == format!("\0{USERNAME}\0{password}").as_bytes())
        }
        "LOGIN" => {
            let user =
                if initial.is_empty() { challenge(wire, "Username:").await? } else { decoded(initial.as_bytes()) };
            let given = challenge(wire, "Password:").await?;
            Ok(user == USERNAME.as_bytes() && given == password.as_bytes())
        }
        _ => Ok(false),
    }
}

async fn challenge(wire: &mut Wire, text: &str) -> io::Result<Vec<u8>> {
    wire.send(format!("334 {}\r\n", STANDARD.encode(text))).await?;
    Ok(decoded(&wire.line().await?.unwrap_or_default()))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

fn recipient(session: &mut Session, rest: &str) -> &'static str {
    let address = address(rest);
    match address.split('@').next() {
        Some("busy") => "451 4.3.0 try again later\r\n",
        Some("nobody") => "550 5.1.1 no such user\r\n",
        _ => {
            session.to.push(address);
            "250 2.1.5 recipient\r\n"
        }
    }
}

/// What stands between the angle brackets.
fn address(rest: &str) -> String {
    let inner = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(address, _)| address.to_owned())
}

/// The mail up to the lone dot, with doubled dots made single.
async fn mail(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    loop {
        let line = wire.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line == b"." {
            return Ok(raw);
        }
        if raw.len() + line.len() > MAIL_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        raw.extend_from_slice(b"\r\n");
    }
}

/// Keeps the mail; false if the client shall not hear of it.
fn take(shared: &Shared, session: &mut Session, raw: Vec<u8>) -> bool {
    let mut state = shared.state();
    state.sent.push(Sent { from: session.from.take().unwrap_or_default(), to: std::mem::take(&mut session.to), raw });
    let lost = state.lose_replies > 0;
    state.lose_replies = state.lose_replies.saturating_sub(1);
    !lost
}
