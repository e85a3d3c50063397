//! `huiliu serve`.

use std::path::Path;
use std::process::ExitCode;

use super::runtime;
use crate::language::Language;
use crate::{deployment, run};

/// Runs the hub until it is stopped.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu serve\n  huiliu --log-format json serve\n  curl http://127.0.0.1:7200/metrics"
)]
pub struct Args {}

/// Serves until ctrl-c or SIGTERM.
pub fn run(folder: &Path, _args: &Args, language: Language) -> Result<ExitCode, String> {
    runtime()?.block_on(run::serve(deployment::open(folder)?, language))?;
    Ok(ExitCode::SUCCESS)
}
