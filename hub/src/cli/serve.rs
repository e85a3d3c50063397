//! `huiliu serve`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::runtime;
use crate::language::Language;
use crate::{deployment, in_force, run};

/// Set for a process that takes the place of one whose files are in force no more.
const AGAIN: &str = "HUILIU_SERVES_AGAIN";

/// Runs the hub until it is stopped.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu serve\n  huiliu --log-format json serve\n  curl http://127.0.0.1:7200/metrics"
)]
pub struct Args {}

/// Serves until ctrl-c or SIGTERM. When other files come into force it begins anew, by them.
pub fn run(folder: &Path, _args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    // Two machines with different files would take turns for ever.
    if std::env::var_os(AGAIN).is_some() {
        in_force::expect(&at)?;
    }
    in_force::enter(&at)?;
    let engine = at.engine.clone();
    runtime()?.block_on(run::serve(at, language))?;
    if engine.is_superseded().map_err(|error| error.to_string())? {
        return Err(anew());
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the program anew in this very process; returns only if that fails.
fn anew() -> String {
    let program = std::env::current_exe();
    let error = match &program {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).env(AGAIN, "1").exec(),
        Err(error) => std::io::Error::from(error.kind()),
    };
    format!("other files are in force, and this process cannot be started again by itself: {error}; start it again")
}
