//! The command line: one command, one file.

mod apply;
mod check;
mod conflicts;
mod connect;
mod connector;
mod console;
mod dead_letters;
mod demo;
mod drift;
mod export;
mod go_live;
mod import;
mod init;
mod intake;
mod learning;
mod map;
mod matching;
mod plan;
mod quota;
mod reconcile;
mod replay;
mod resume;
mod review;
mod rules;
mod schema;
mod secret;
mod serve;
mod show;
mod split;
mod status;
mod steward;
mod sync;
mod undo;
mod webform;
mod why;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_mappings::diagnose::suggest;

use crate::language::Language;
use crate::logs::Format;
use crate::say;

/// Huiliu 汇流: one golden record per customer, and every connected system in step with it.
#[derive(Parser)]
#[command(name = "huiliu", version, about, long_about = None)]
pub struct Cli {
    /// The deployment folder, which holds huiliu.toml.
    #[arg(long, short = 'C', default_value = ".", global = true)]
    folder: PathBuf,
    /// The language of answers; otherwise that of HUILIU_LANG or of the system (LC_ALL, LC_MESSAGES, LANG).
    #[arg(long, value_name = "LANGUAGE", global = true)]
    lang: Option<Language>,
    /// How logs are written to standard error; RUST_LOG chooses what is logged, info and above when unset.
    #[arg(long, value_enum, default_value_t, env = "HUILIU_LOG_FORMAT", global = true)]
    pub log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Connect(connect::Args),
    Serve(serve::Args),
    Demo(demo::Args),
    Import(import::Args),
    Export(export::Args),
    Secret(secret::Args),
    GoLive(go_live::Args),
    Resume(resume::Args),
    Intake(intake::Args),
    Reconcile(reconcile::Args),
    Replay(replay::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Undo(undo::Args),
    Sync(sync::Args),
    Status(status::Args),
    Quota(quota::Args),
    Show(show::Args),
    Why(why::Args),
    Review(review::Args),
    Conflicts(conflicts::Args),
    Rules(rules::Args),
    Link(steward::Link),
    Split(split::Args),
    Pin(steward::Pin),
    Unpin(steward::Unpin),
    DeadLetters(dead_letters::Args),
    Drift(drift::Args),
    Map(map::Args),
    Match(matching::Args),
    Connector(connector::Args),
    Console(console::Args),
    Schema(schema::Args),
    Webform(webform::Args),
}

impl Cli {
    /// What is logged unless `RUST_LOG` says otherwise. The demo tells its own story, and warnings are part of it.
    pub fn log_level(&self) -> &'static str {
        if matches!(self.command, Command::Demo(_)) { "error" } else { "info" }
    }
}

impl Cli {
    /// Whether logs are evidence in this command, and so are kept instead of shown.
    pub fn keeps_logs(&self) -> bool {
        matches!(&self.command, Command::Connector(args) if args.keeps_logs())
    }
}

/// Runs what was asked. An error is a text for the person at the terminal, in her language.
pub fn run(cli: Cli) -> Result<ExitCode, String> {
    let language = cli.lang.unwrap_or_else(Language::of_environment);
    command(cli, language).map_err(|told| language.told(&told))
}

fn command(cli: Cli, language: Language) -> Result<ExitCode, String> {
    let folder = cli.folder.as_path();
    match cli.command {
        Command::Init(args) => init::run(&args, language),
        Command::Connect(args) => connect::run(folder, &args, language),
        Command::Check(args) => check::run(folder, &args, language),
        Command::Serve(args) => serve::run(folder, &args, language),
        Command::Demo(args) => demo::run(folder, &args, language),
        Command::Import(args) => import::run(folder, &args, language),
        Command::Export(args) => export::run(folder, &args, language),
        Command::Secret(args) => secret::run(folder, args, language),
        Command::GoLive(args) => go_live::run(folder, &args, language),
        Command::Resume(args) => resume::run(folder, &args, language),
        Command::Intake(args) => intake::run(folder, &args, language),
        Command::Reconcile(args) => reconcile::run(folder, &args, language),
        Command::Replay(args) => replay::run(folder, &args, language),
        Command::Plan(args) => plan::run(folder, &args, language),
        Command::Apply(args) => apply::run(folder, &args, language),
        Command::Undo(args) => undo::run(folder, &args, language),
        Command::Sync(args) => sync::run(folder, &args, language),
        Command::Status(args) => status::run(folder, &args, language),
        Command::Quota(args) => quota::run(folder, &args, language),
        Command::Show(args) => show::run(folder, &args, language),
        Command::Why(args) => why::run(folder, &args, language),
        Command::Link(args) => steward::link(folder, &args, language),
        Command::Split(args) => split::run(folder, &args, language),
        Command::Pin(args) => steward::pin(folder, &args, language),
        Command::Unpin(args) => steward::unpin(folder, &args, language),
        Command::Review(args) => review::run(folder, &args, language),
        Command::Conflicts(args) => conflicts::run(folder, &args, language),
        Command::Rules(args) => rules::run(folder, &args, language),
        Command::DeadLetters(args) => dead_letters::run(folder, &args, language),
        Command::Drift(args) => drift::run(folder, &args, language),
        Command::Connector(args) => connector::run(folder, &args, language),
        Command::Console(args) => console::run(folder, &args, language),
        Command::Map(args) => map::run(folder, &args, language),
        Command::Match(args) => matching::run(folder, &args, language),
        Command::Webform(args) => webform::run(folder, &args, language),
        Command::Schema(args) => Ok(schema::run(&args)),
    }
}

/// Asks the person at the terminal.
fn yes(question: &str) -> Result<bool, String> {
    print!("{question}");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes" | "是"))
}

/// A runtime for commands that call a system.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Runtime::new().map_err(|error| format!("cannot start: {error}"))
}

/// A connection of the deployment, or the nearest known name.
fn connection<'a>(engine: &'a Engine, name: &str, language: Language) -> Result<&'a Connection, String> {
    engine.connections.get(name).ok_or_else(|| no_connection(engine, name, language))
}

/// There is no such connection; the nearest known name, and how to add one.
fn no_connection(engine: &Engine, name: &str, language: Language) -> String {
    let hint = language.told(&suggest(name, engine.connections.keys().map(String::as_str)));
    say!(
        language,
        "huiliu.toml has no connection `{name}`{hint}; `huiliu connect {name}` says how to add it",
        "huiliu.toml 中没有连接 `{name}`{hint}；`huiliu connect {name}` 会说明如何添加"
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    fn look(path: &str, command: &clap::Command, gaps: &mut Vec<String>) {
        // clap takes the full stop away.
        let sentence = |text: Option<&clap::builder::StyledStr>| {
            text.is_some_and(|text| text.to_string().starts_with(char::is_uppercase) && text.to_string().contains(' '))
        };
        if command.get_name() == "help" {
            return;
        }
        if command.get_about().is_none() {
            gaps.push(format!("{path} says nothing"));
        }
        let is_word = path.split(' ').count() == 2;
        if is_word && !command.get_after_help().is_some_and(|text| text.to_string().contains("huiliu ")) {
            gaps.push(format!("{path} shows no example"));
        }
        let arguments = command.get_arguments().filter(|it| !["help", "version"].contains(&it.get_id().as_str()));
        for argument in arguments.filter(|argument| !sentence(argument.get_help())) {
            gaps.push(format!("{path} {}: no sentence", argument.get_id()));
        }
        for below in command.get_subcommands() {
            look(&format!("{path} {}", below.get_name()), below, gaps);
        }
    }

    #[test]
    fn help_is_complete() {
        let mut command = Cli::command();
        command.build();
        let mut gaps = Vec::new();
        look("huiliu", &command, &mut gaps);
        assert!(gaps.is_empty(), "{}", gaps.join("\n"));
    }
}
