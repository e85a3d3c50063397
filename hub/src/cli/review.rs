//! `huiliu review`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::store::stewards;

use crate::deployment;

/// Records that may be somebody known and wait for a steward.
#[derive(clap::Args)]
pub struct Args {}

/// Prints the queue.
pub fn run(folder: &Path, _args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let waiting = at.engine.store.read(|tx| stewards::waiting(tx, 100)).map_err(|error| error.to_string())?;
    for one in &waiting {
        println!("review {}: golden record {} may be one of", one.number, one.golden);
        for (golden, why) in &one.candidates {
            let words: Vec<String> = why.comparisons.iter().map(|it| format!("{} {}", it.name, it.level)).collect();
            println!("  {golden} (score {:.1}): {}", why.score, words.join(", "));
        }
    }
    println!("{} waiting", waiting.len());
    Ok(ExitCode::SUCCESS)
}
