//! `huiliu demo`.

use std::path::Path;
use std::process::ExitCode;

use super::runtime;
use crate::demo::{self, Options};
use crate::language::Language;

/// Plays a day with pretended systems on this machine; ends well only if all of them agree.
///
/// The deployment is a temporary folder that is removed at the end, unless --folder names a new one to keep.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu demo\n  huiliu demo --seconds 60")]
pub struct Args {
    /// End after the day, at most after so many seconds, instead of running on until ctrl-c.
    #[arg(long)]
    seconds: Option<u64>,
}

/// Exit status 0 only if every system agrees at the end.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let folder = (folder != Path::new(".")).then(|| folder.to_owned());
    let options = Options { folder, seconds: args.seconds, language };
    let verdict = runtime()?.block_on(async { demo::run(&options, |_| ()).await })?;
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
