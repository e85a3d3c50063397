//! `huiliu show`.

use std::path::Path;
use std::process::ExitCode;

use crate::{deployment, show};

/// A golden record: every value with its source, links, changes.
#[derive(clap::Args)]
pub struct Args {
    /// Its number.
    customer: i64,
}

/// Prints the golden record.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let customer = args.customer;
    let shown = show::customer(&deployment::open(folder)?.engine, customer).map_err(|error| error.to_string())?;
    print!("{}", shown.ok_or_else(|| format!("no golden record has the number {customer}"))?);
    Ok(ExitCode::SUCCESS)
}
