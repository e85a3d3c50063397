//! What a process of several does.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes webhook calls into the inbox.
    Receive,
    /// Maps, matches, merges and plans what is in the inbox.
    Process,
    /// Pulls from the connected systems, and pushes to them.
    Exchange,
    /// Serves the console.
    Console,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Receive, Self::Process, Self::Exchange, Self::Console];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Exchange => "exchange",
            Self::Console => "console",
        }
    }
}

/// The words of these roles, as `--roles` takes them.
pub fn words(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(",")
}

/// A store on SQLite is one process's: it has to do all the work, though it may go without the console.
///
/// # Errors
/// Something would be done by nobody.
pub fn check(roles: &BTreeSet<Role>, store: &str) -> Result<(), String> {
    if roles.is_empty() {
        return Err("no role is left; write some of receive, process, exchange, console".to_owned());
    }
    let missing = Role::ALL.into_iter().find(|role| *role != Role::Console && !roles.contains(role));
    match missing.filter(|_| store == "sqlite") {
        Some(role) => Err(format!(
            "nobody would {}: a store on SQLite is one process's, which has all roles; several processes share a store on \
             Postgres (hub.store)",
            role.word()
        )),
        None => Ok(()),
    }
}
