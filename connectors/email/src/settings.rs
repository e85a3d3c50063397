//! The settings of a connection, read and checked.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Result};

/// How a line is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// Plain at first, TLS after a command; without the upgrade nothing is said.
    Starttls,
    /// Plain: accepted on loopback and private networks only.
    None,
}

/// One server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the line is protected.
    pub security: Security,
}

/// What of a mail is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Named header fields only.
    Headers,
    /// The whole mail, up to so many bytes.
    Whole(u32),
}

/// A connection's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The IMAP server.
    pub imap: Server,
    /// The SMTP server.
    pub smtp: Server,
    /// Login at both.
    pub username: String,
    /// The address mails are sent from.
    pub from_address: String,
    /// The folder of received mails.
    pub mailbox: String,
    /// The folder of sent mails.
    pub sent_mailbox: Option<String>,
    /// PEM file of a private certificate authority.
    pub ca_file: Option<String>,
    /// What of a mail is read.
    pub depth: Depth,
    /// One exchange with a server takes this long at most.
    pub timeout: Duration,
}

impl Settings {
    /// Reads the settings of a connection.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] naming the setting that is missing or wrong.
    pub fn of(cx: &Cx, timeout: Duration) -> Result<Self> {
        let security = security(cx, "security")?;
        let smtp_security = match cx.setting("smtp_security")? {
            "same" => security,
            _ => self::security(cx, "smtp_security")?,
        };
        let depth = match cx.setting("bodies")? {
            "true" => Depth::Whole(number::<u32>(cx, "max_message_bytes")?.max(1)),
            _ => Depth::Headers,
        };
        let filled =
            |name| Ok::<_, ConnectorError>(Some(cx.setting(name)?.trim().to_owned()).filter(|it| !it.is_empty()));
        Ok(Self {
            imap: Server { host: cx.setting("imap_host")?.trim().to_owned(), port: number(cx, "imap_port")?, security },
            smtp: Server {
                host: cx.setting("smtp_host")?.trim().to_owned(),
                port: number(cx, "smtp_port")?,
                security: smtp_security,
            },
            username: cx.setting("username")?.to_owned(),
            from_address: cx.setting("from_address")?.trim().to_owned(),
            mailbox: cx.setting("mailbox")?.trim().to_owned(),
            sent_mailbox: filled("sent_mailbox")?,
            ca_file: filled("ca_file")?,
            depth,
            timeout,
        })
    }
}

impl Settings {
    /// The folders that are read: received mails, then sent ones.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let sent = self.sent_mailbox.as_deref().filter(|sent| *sent != self.mailbox);
        [self.mailbox.as_str()].into_iter().chain(sent)
    }
}

fn security(cx: &Cx, name: &str) -> Result<Security> {
    match cx.setting(name)? {
        "tls" => Ok(Security::Tls),
        "starttls" => Ok(Security::Starttls),
        "none" => Ok(Security::None),
        _ => Err(wrong(cx, name, "write tls, starttls or none")),
    }
}

fn number<N: std::str::FromStr>(cx: &Cx, name: &str) -> Result<N> {
    cx.setting(name)?.trim().parse().map_err(|_| wrong(cx, name, "write a whole number in its range"))
}

fn wrong(cx: &Cx, name: &str, advice: &str) -> ConnectorError {
    ConnectorError::broken(format!("config.{name} of connection {} is wrong: {advice}", cx.connection))
}
