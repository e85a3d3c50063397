//! `huiliu secret`.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::seal::SealedVault;

use crate::deployment;

/// Seals a secret of a connection, read from standard input.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu secret shop access_token < token.txt")]
pub struct Args {
    /// The connection.
    connection: String,
    /// The secret's name in the connector's manifest.
    name: String,
}

/// Reads the value and seals it.
pub fn run(folder: &Path, args: Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let Args { connection, name } = args;
    let Some(known) = at.engine.connections.get(&connection) else {
        return Err(format!("huiliu.toml has no connection `{connection}`"));
    };
    let secrets = known.connector.as_ref().map(|it| it.manifest().connector.secret.clone()).unwrap_or_default();
    if !secrets.contains_key(&name) {
        let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
        return Err(format!("`{}` has no secret `{name}`; it has: {}", known.system, names.join(", ")));
    }
    let mut value = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut value).map_err(|error| format!("standard input: {error}"))?;
    if value.trim().is_empty() {
        return Err("standard input is empty: huiliu secret CONNECTION NAME < FILE".to_owned());
    }
    let vault = SealedVault { store: at.engine.store.clone(), seal: at.seal.clone(), connection };
    vault.put(&format!("secret.{name}"), value.trim())?;
    println!("sealed");
    Ok(ExitCode::SUCCESS)
}
