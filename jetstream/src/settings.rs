//! How the hub reaches its stream.

use std::path::PathBuf;

use huiliu_core::secrets::Secret;

/// See the module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `nats://host:4222` or `tls://host:4222`, at least one; the servers tell of each other.
    pub servers: Vec<String>,
    /// How the hub proves who it is.
    pub login: Login,
    /// Files for TLS.
    pub tls: Tls,
    /// The stream. It is made when it is not there.
    pub stream: String,
    /// The subject that calls are sent to.
    pub subject: String,
    /// How many servers keep each message.
    pub replicas: usize,
    /// How much may wait in the stream, in bytes: beyond it calls are refused, nothing is dropped.
    pub max_bytes: i64,
    /// What an acknowledgement must mean.
    pub sync: Sync,
    /// The servers' monitoring addresses (`http://host:8222`): there they say whether they sync always.
    pub monitors: Vec<String>,
}

/// What an acknowledgement must mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// A majority of the replicas has written the call through to the disk.
    #[default]
    Always,
    /// A majority of the replicas has it, on a disk within the interval that the servers are set to.
    Interval,
}

/// How the hub proves who it is.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nobody asks.
    #[default]
    None,
    /// A name and a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The text of a `.creds` file: a JWT and its key.
    Credentials(Secret),
}

/// Files for TLS. With `tls://` in an address it is used without any.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The private authority that signed the servers' certificates.
    pub ca: Option<PathBuf>,
    /// The hub's own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}
