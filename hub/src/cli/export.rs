//! `huiliu export`.

use std::path::Path;
use std::process::ExitCode;

use crate::{deployment, export};

/// Writes golden records as JSON Lines to standard output.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu export > customers.jsonl\n  huiliu export order | jq .fields")]
pub struct Args {
    /// What is written: customer, order, interaction, deal, ticket or product.
    #[arg(default_value = "customer")]
    entity: String,
}

/// Writes every living golden record of the entity.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let entity = &args.entity;
    let written = export::export(&deployment::open(folder)?.engine, entity, &mut std::io::stdout().lock())?;
    eprintln!("{written} {entity} record(s)");
    Ok(ExitCode::SUCCESS)
}
