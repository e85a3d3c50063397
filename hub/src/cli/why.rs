//! `huiliu why`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::link::LinkKey;

use crate::{deployment, show};

/// Why a record did or did not sync: its story from the inbox to every target.
#[derive(clap::Args)]
pub struct Args {
    /// CONNECTION/STREAM/ID.
    record: LinkKey,
}

/// Prints the story.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    print!("{}", show::why(&engine, &args.record).map_err(|error| error.to_string())?);
    Ok(ExitCode::SUCCESS)
}
