//! `huiliu go-live`.

use std::path::Path;
use std::process::ExitCode;

use crate::{deployment, live};

/// Shows what a connection would be sent, and with --yes lets it be written from now on.
#[derive(clap::Args)]
pub struct Args {
    /// The connection.
    connection: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

/// Plans every golden record for the connection, and queues the plan if told to.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let connection = args.connection.as_str();
    let plan = if args.yes { live::go(&engine, connection)? } else { live::preview(&engine, connection)? };
    for one in &plan.sample {
        let whom = one.delivery.id.as_ref().map_or("a new record", |id| id.as_str());
        println!("  {} {whom}: {}", one.delivery.operation.as_str(), one.delivery.body);
    }
    if args.yes {
        println!("{connection} is live; {} write(s) are queued", plan.writes);
    } else {
        println!("{} write(s) would go to {connection}; run again with --yes to let them", plan.writes);
    }
    Ok(ExitCode::SUCCESS)
}
