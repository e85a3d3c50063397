//! `huiliu check`.

use std::path::Path;
use std::process::ExitCode;

use super::runtime;
use crate::deployment;

/// Checks configuration, mapping files and, with --reach, that every system answers.
#[derive(clap::Args)]
pub struct Args {
    /// Also call every system with its credentials.
    #[arg(long)]
    reach: bool,
}

/// Opens the deployment, which checks its files, and calls its systems if asked.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let mut bad = 0;
    for (name, connection) in &at.engine.connections {
        println!("{name}: {} with {} mapping table(s)", connection.system, connection.lenses.len());
        if let (true, Some(connector)) = (args.reach, &connection.connector) {
            match runtime()?.block_on(connector.check(&connection.cx)) {
                Ok(()) => println!("  answers, and the credentials work"),
                Err(error) => {
                    bad += 1;
                    println!("  {}: {error}", error.kind());
                }
            }
        }
    }
    println!("{} connection(s), store {}", at.engine.connections.len(), at.engine.store.kind());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
