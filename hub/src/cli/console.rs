//! `huiliu console`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_console::access;

use crate::language::Language;
use crate::{console, deployment, say};

/// Lets people into the console, the pages that `huiliu serve` shows.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu console invite\n  huiliu console invite --for wang")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Prints a link that makes an account, once, within an hour.
    Invite(Invite),
}

/// Whom the link is for.
#[derive(clap::Args)]
struct Invite {
    /// The account whose password is lost: the link sets a new one and ends its sessions.
    #[arg(long = "for", value_name = "NAME")]
    name: Option<String>,
}

/// Prints the link.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let Command::Invite(asked) = &args.command;
    let at = deployment::open(folder)?;
    let Some(given) = &at.config.console else {
        return Err(language
            .pick(
                "huiliu.toml has no console; add a table [console] with listen = \"127.0.0.1:7210\"",
                "huiliu.toml 中没有控制台；请添加 [console]，并写 listen = \"127.0.0.1:7210\"",
            )
            .to_owned());
    };
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    let name = match &asked.name {
        None => None,
        Some(name) => {
            let known = access::account(&at.engine, name).map_err(told)?;
            let missing = || say!(language, "there is no account {name}", "没有账号 {name}");
            Some(known.ok_or_else(missing)?)
        }
    };
    let token = access::invite(&at.engine, name.as_deref()).map_err(told)?;
    println!("{}", console::invitation(&given.address(), &token));
    Ok(ExitCode::SUCCESS)
}
