//! `huiliu dead-letters`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::store::{deliveries, inbox};

use crate::deployment;

/// Items that need a person.
#[derive(clap::Args)]
pub struct Args {
    /// Send dead deliveries again.
    #[arg(long)]
    retry: bool,
}

/// Prints what waits, and sends dead deliveries again if asked.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let now_us = at.engine.clock.now_us();
    let waiting = at.engine.store.read(|tx| inbox::dead_letters(tx, 1000)).map_err(|error| error.to_string())?;
    for one in &waiting {
        println!("{} {} {}: {}", one.number, one.stage, one.connection, one.reason);
    }
    if args.retry {
        let again = waiting.iter().filter(|one| one.stage == "push");
        let done = at.engine.store.write(|tx| {
            let mut revived = Vec::new();
            for one in again {
                deliveries::revive(tx, one.item, now_us)?;
                revived.push(one.number);
            }
            inbox::mark_retried(tx, revived)
        });
        println!("{} delivery(ies) will be sent again", done.map_err(|error| error.to_string())?);
    } else {
        println!("{} waiting", waiting.len());
    }
    Ok(ExitCode::SUCCESS)
}
