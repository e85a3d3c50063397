//! `huiliu why`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::explain;
use huiliu_core::link::LinkKey;

use crate::language::Language;
use crate::{deployment, show};

/// Tells why a record did or did not sync: its story from the inbox to every target.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu why shop/customers/1001\n  huiliu why members/rows/1 --json")]
pub struct Args {
    /// The record, as CONNECTION/STREAM/ID.
    record: LinkKey,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the story.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let told = explain::record(&engine, &args.record).map_err(|error| error.to_string())?;
    if args.json {
        println!("{}", serde_json::to_string(&told).map_err(|error| error.to_string())?);
    } else {
        print!("{}", show::why(&told, language));
    }
    Ok(ExitCode::SUCCESS)
}
