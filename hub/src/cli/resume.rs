//! `huiliu resume`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::store::streams;

use crate::deployment;

/// Ends the pause of a connection after its credentials were mended.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu resume shop")]
pub struct Args {
    /// The connection.
    connection: String,
}

/// Returns the connection to the state it had before the pause.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let connection = args.connection.as_str();
    let now_us = at.engine.clock.now_us();
    let resumed =
        at.engine.store.write(|tx| streams::resume(tx, connection, now_us)).map_err(|error| error.to_string())?;
    if resumed == 0 { Err(format!("{connection} is not paused")) } else { Ok(ExitCode::SUCCESS) }
}
