//! `huiliu serve`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::runtime;
use crate::language::Language;
use crate::roles::{self, Role};
use crate::{deployment, in_force, run};

/// Set for a process that takes the place of one whose files are in force no more.
const AGAIN: &str = "HUILIU_SERVES_AGAIN";

/// Runs the hub until it is stopped.
#[derive(clap::Args)]
#[command(
    after_help = "Several processes share the work of one store on Postgres, by the same files: each takes a share, and when \
one dies the others take over what it did within seconds. `huiliu status` shows them.

Examples:
  huiliu serve
  huiliu serve --roles receive,console                                  # takes calls, and leaves the work to others
  huiliu serve --roles process,exchange --listen 127.0.0.1:7202         # works; it is asked for /metrics only
  huiliu --log-format json serve
  curl http://127.0.0.1:7200/metrics"
)]
pub struct Args {
    /// What this process does, of several that share a store on Postgres; without it hub.roles of huiliu.toml, or all.
    #[arg(long, value_name = "ROLE,…", value_enum, value_delimiter = ',')]
    roles: Vec<Role>,
    /// Where it listens for webhook calls, where several run on one machine; without it hub.listen of huiliu.toml.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Serves until ctrl-c or SIGTERM. When other files come into force it begins anew, by them.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let mut at = deployment::open(folder)?;
    if !args.roles.is_empty() {
        at.config.hub.roles = args.roles.iter().copied().collect();
    }
    if let Some(listen) = &args.listen {
        at.config.hub.listen.clone_from(listen);
    }
    roles::check(&at.config.hub.roles, at.engine.store.kind())?;
    let _only = at.engine.store.serve_alone().map_err(|error| error.to_string())?;
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
