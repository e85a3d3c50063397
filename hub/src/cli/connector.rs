//! `huiliu connector`: for those who write connectors.

mod check;
mod new;
mod record;

use std::path::Path;
use std::process::ExitCode;

use crate::language::Language;

/// Checks, begins and records connectors.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu connector new till                    # connectors/till and mappings/till.toml, with comments
  huiliu connector record till customers       # fixtures from a connection, with invented people
  huiliu connector check connectors/till       # what is missing or wrong
  huiliu connector check --write connectors/till   # and what its calls send, for comparison")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(check::Args),
    New(new::Args),
    Record(record::Args),
}

impl Args {
    /// Whether logs are evidence here, and so are kept instead of shown.
    pub fn keeps_logs(&self) -> bool {
        matches!(self.command, Command::Check(_))
    }
}

/// Runs what was asked.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.command {
        Command::Check(args) => check::run(folder, args, language),
        Command::New(args) => new::run(folder, args, language),
        Command::Record(args) => record::run(folder, args, language),
    }
}
