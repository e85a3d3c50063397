//! `huiliu.toml`: the deployment, as its IT team writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use huiliu_core::connection::OwnBudget;
use huiliu_core::drift::Policies;
use huiliu_core::manifest::budget::Budget;
use huiliu_core::retention::Retention;
use huiliu_core::store::db::SERVING_CACHE_MIB;
use huiliu_mappings::diagnose::Diagnostic;
use serde::Deserialize;

use crate::roles::Role;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[hub]`.
    #[serde(default)]
    pub hub: Hub,
    /// `[console]`; without it there is none.
    pub console: Option<Console>,
    /// `[retention]`.
    #[serde(default, deserialize_with = "retention")]
    pub retention: Retention,
    /// `[intake]`; without it calls are kept in the store itself.
    pub intake: Option<Intake>,
    /// `[connections.NAME]`.
    #[serde(default)]
    pub connections: BTreeMap<String, Connection>,
    /// The file's name and text, for what is checked against the model.
    #[serde(skip)]
    pub source: (String, String),
}

/// `[hub]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hub {
    /// `sqlite:PATH` (relative to the folder) or `postgres://…`.
    pub store: String,
    /// Address of the HTTP endpoints.
    pub listen: String,
    /// Where the browser returns to after a sign-in with OAuth 2. Every vendor's app must know this very address; on
    /// this machine (127.0.0.1) `huiliu connect` listens there while it waits.
    pub redirect: String,
    /// Pages of an SQLite store that `serve` keeps in memory, in MiB. More makes a store of some millions faster.
    pub cache_mib: NonZeroU32,
    /// Connections to the HTTP endpoints at one time; each may take some kilobytes.
    pub connections_max: usize,
    /// Whoever has connected, or was answered, must have sent the head of a call within so many seconds.
    pub head_seconds: u32,
    /// What `huiliu serve` does on this machine, of several that share a store on Postgres: `roles = ["receive"]`. All by
    /// default; `--roles` counts before it.
    pub roles: BTreeSet<Role>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            store: "sqlite:data/huiliu.db".to_owned(),
            listen: "127.0.0.1:7200".to_owned(),
            redirect: "http://127.0.0.1:7201/callback".to_owned(),
            cache_mib: NonZeroU32::new(SERVING_CACHE_MIB).unwrap_or(NonZeroU32::MIN),
            connections_max: huiliu_webhooks::Bounds::default().places,
            head_seconds: 15,
            roles: Role::ALL.into(),
        }
    }
}

/// `[retention]`: how long things are kept, in days or for ever.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    repeats: Option<Span>,
    inbox: Option<Span>,
}

/// `90d`, or `forever`.
struct Span(Option<Duration>);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bad = || serde::de::Error::custom(format!("`{text}` is no time to keep things; write 90d or forever"));
        if text == "forever" {
            return Ok(Self(None));
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()).filter(|days| *days > 0);
        let days = days.ok_or_else(bad)?;
        Ok(Self(Some(Duration::from_hours(24 * u64::from(days)))))
    }
}

fn retention<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Retention, D::Error> {
    let (given, usual) = (Kept::deserialize(from)?, Retention::default());
    let keep = |span: Option<Span>, usual| span.map_or(usual, |span| span.0);
    Ok(Retention { repeats: keep(given.repeats, usual.repeats), inbox: keep(given.inbox, usual.inbox) })
}

/// `[console]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// The address of the pages: an own one, which no public proxy passes on.
    #[serde(default = "console_listen")]
    pub listen: String,
    /// Where people reach it, if a proxy stands before it: `https://hub.example.com`. Over https cookies are sealed to it.
    address: Option<String>,
}

impl Console {
    /// Where people reach it.
    pub fn address(&self) -> String {
        self.address.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }
}

fn console_listen() -> String {
    "127.0.0.1:7210".to_owned()
}

/// `[intake]`: a NATS JetStream stream before the inbox.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// The NATS servers: `["nats://10.0.0.1:4222", …]`, or `tls://`.
    pub servers: Vec<String>,
    /// The stream; it is made if it is not there.
    #[serde(default = "intake_stream")]
    pub stream: String,
    /// The subject that calls are sent to.
    #[serde(default = "intake_subject")]
    pub subject: String,
    /// How many servers keep each call.
    #[serde(default = "intake_replicas")]
    pub replicas: usize,
    /// How much may wait in the stream, in MiB; beyond it calls are refused, none is dropped.
    #[serde(default = "intake_max_mb")]
    pub max_mb: u32,
    /// `always` (the default): an acknowledged call is on the disks of a majority of the replicas. `interval`: it is
    /// there within the servers' sync interval.
    #[serde(default)]
    pub sync: IntakeSync,
    /// The servers' monitoring addresses, which say whether they sync always: `["http://10.0.0.1:8222", …]`.
    #[serde(default)]
    pub monitors: Vec<String>,
    /// How the hub proves who it is: `none`, `password` (with `user`), `token` or `credentials` (the text of a `.creds`
    /// file). The secret is sealed with `huiliu secret intake password`.
    #[serde(default)]
    pub login: IntakeLogin,
    /// The name for `login = "password"`.
    pub user: Option<String>,
    /// The private authority of the servers' certificates, a file relative to the folder.
    pub ca: Option<String>,
    /// The hub's own certificate, a file relative to the folder.
    pub certificate: Option<String>,
    /// Its key.
    pub key: Option<String>,
}

/// What an acknowledgement of the stream must mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeSync {
    /// It is on the disks.
    #[default]
    Always,
    /// It is on the disks later.
    Interval,
}

/// How the hub proves to the NATS servers who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeLogin {
    /// Nobody asks.
    #[default]
    None,
    /// A name and a password.
    Password,
    /// A token.
    Token,
    /// The text of a `.creds` file.
    Credentials,
}

impl IntakeLogin {
    /// The name of its secret.
    pub fn secret(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Password => Some("password"),
            Self::Token => Some("token"),
            Self::Credentials => Some("credentials"),
        }
    }
}

fn intake_stream() -> String {
    "huiliu_intake".to_owned()
}

fn intake_subject() -> String {
    "huiliu.intake".to_owned()
}

fn intake_replicas() -> usize {
    3
}

fn intake_max_mb() -> u32 {
    4096
}

/// One account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The connector, or `file` for a source of files.
    pub connector: String,
    /// Settings of the connector.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Lower wins a tie of recency.
    #[serde(default)]
    pub rank: i32,
    /// Whether it may be written at all.
    #[serde(default = "yes")]
    pub writes: bool,
    /// Streams in which records may be created.
    #[serde(default)]
    pub creates: BTreeSet<String>,
    /// How much of a stream may go in an hour, or be missing from a complete scan, before it is held back:
    /// `{ links = 10, percent = 2 }`, whichever is more.
    #[serde(default)]
    pub missing: OwnBudget,
    /// How much of a stream may change in an hour before it is held back: `{ links = 500, percent = 50 }`.
    #[serde(default)]
    pub changing: OwnBudget,
    /// Percent of its calls that the slow comparison with the hub may take; 0 switches it off.
    #[serde(default = "reconcile_percent")]
    pub reconcile_percent: u32,
    /// Webhook calls that may wait for the disk at one time; more are told to come again (429).
    #[serde(default = "calls_at_once")]
    pub calls_at_once: usize,
    /// Webhook calls in a second; more are told to come again (429). Without it there is no limit.
    pub calls_per_second: Option<std::num::NonZeroU32>,
    /// What the vendor allows this account, in place of what the connector's manifest says; in the same words.
    #[serde(default)]
    pub quotas: Vec<Budget>,
    /// What is done when the form of records changes, by stream, `*` for all others: `{ customers = "park_row" }`.
    #[serde(default)]
    pub drift: Policies,
    /// `public` (the default) or `private`: whether private addresses may be called.
    #[serde(default)]
    pub network: Network,
    /// Which way single fields travel, and which the connection owns: `fields.customer.phones = "in"`. The words are
    /// checked against the model when the deployment is opened.
    #[serde(default)]
    pub fields: toml::Table,
    /// Schedules by stream: `contacts = "10m"`.
    #[serde(default)]
    pub every: BTreeMap<String, String>,
    /// For `file`: the mapping file, relative to the folder.
    pub mapping: Option<String>,
    /// For `file`: the column that names a row; without it a row is named by its content.
    pub key: Option<String>,
}

/// Which addresses may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Public ones.
    #[default]
    Public,
    /// Private ones too.
    Private,
}

fn reconcile_percent() -> u32 {
    huiliu_core::pipeline::reconcile::SHARE_PERCENT
}

fn calls_at_once() -> usize {
    huiliu_webhooks::Limits::default().at_once
}

fn yes() -> bool {
    true
}

/// What `huiliu init` writes.
pub const EXAMPLE: &str = include_str!("../huiliu.example.toml");

/// A store that is named by the environment stands before that of the file: its password need not lie in a file that is
/// kept under version control.
pub const STORE: &str = "HUILIU_STORE";

/// Reads `huiliu.toml` of a folder.
pub fn read(folder: &Path) -> Result<Config, String> {
    let path = folder.join("huiliu.toml");
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("{name}: cannot be read: {error}\nrun `huiliu init {}` to make one", folder.display())
    })?;
    let mut config = parse(&name, &text)?;
    if let Some(store) = std::env::var_os(STORE) {
        config.hub.store = store.into_string().map_err(|_| format!("{STORE} is not UTF-8"))?;
    }
    Ok(config)
}

/// Parses the text of a `huiliu.toml`.
pub fn parse(file: &str, text: &str) -> Result<Config, String> {
    let mut config: Config =
        toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error).to_string())?;
    config.source = (file.to_owned(), text.to_owned());
    Ok(config)
}

/// Writes a table to the end of the folder's `huiliu.toml`; nothing is written unless the whole still parses.
///
/// # Errors
/// What is wrong with the table, or with the file.
pub fn append(folder: &Path, table: &str) -> Result<(), String> {
    let path = folder.join("huiliu.toml");
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
    parse(&shown, &format!("{text}\n{table}"))?;
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).map_err(|error| format!("{shown}: {error}"))?;
    file.write_all(format!("\n{table}").as_bytes()).map_err(|error| format!("{shown}: {error}"))
}

/// `30s`, `5m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration; write 30s, 5m or 1h");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_parses() {
        let config = parse("huiliu.toml", EXAMPLE).unwrap();
        assert!(config.connections.is_empty(), "a new deployment has no connection that somebody did not ask for");
    }

    #[test]
    fn a_mistake_names_file_line_and_the_right_word() {
        let told = parse("huiliu.toml", "[hub]\nstor = 'sqlite:x'\n").unwrap_err();
        assert!(
            told.starts_with("huiliu.toml:2:1: unknown field `stor`") && told.ends_with("did you mean `store`?"),
            "{told}"
        );
    }

    #[test]
    fn what_is_kept_is_said_in_days() {
        let kept = |text: &str| parse("huiliu.toml", text).map(|config| config.retention);
        let days = |days: u64| Some(Duration::from_hours(24 * days));
        assert_eq!(kept(""), Ok(Retention { repeats: days(30), inbox: None }));
        let told = kept("[retention]\ninbox = '400d'\nrepeats = 'forever'\n");
        assert_eq!(told, Ok(Retention { repeats: None, inbox: days(400) }));
        for bad in ["400", "0d", "1y", "-1d", "d", "4294967296d"] {
            let told = kept(&format!("[retention]\ninbox = '{bad}'\n")).unwrap_err();
            let said = format!("`{bad}` is no time to keep things; write 90d or forever");
            assert!(told.starts_with("huiliu.toml:2:") && told.contains(&said), "{told}");
        }
        let told = kept("[retention]\ninbx = '4d'\n").unwrap_err();
        assert!(told.starts_with("huiliu.toml:2:1") && told.ends_with("did you mean `inbox`?"), "{told}");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("5m").unwrap().as_secs(), 300);
        assert!(["5", "m", "", "0s", "5d"].iter().all(|bad| duration(bad).is_err()));
    }
}
