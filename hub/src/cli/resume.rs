//! `huiliu resume`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::store::streams;

use super::connection;
use crate::language::Language;
use crate::{deployment, say};

/// Ends the pause of a connection after its credentials were mended.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu resume shop")]
pub struct Args {
    /// The connection.
    connection: String,
}

/// Returns the connection to the state it had before the pause.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let name = args.connection.as_str();
    connection(&at.engine, name, language)?;
    let now_us = at.engine.clock.now_us();
    let resumed = at.engine.store.write(|tx| streams::resume(tx, name, now_us)).map_err(|error| error.to_string())?;
    if resumed == 0 {
        return Err(say!(
            language,
            "{name} is not paused; `huiliu status` shows how the connections stand",
            "{name} 没有暂停；`huiliu status` 可查看各连接的状态"
        ));
    }
    println!("{}", say!(language, "{name} goes on", "{name} 已恢复"));
    Ok(ExitCode::SUCCESS)
}
