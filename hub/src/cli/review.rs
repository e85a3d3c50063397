//! `huiliu review`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Steward};
use huiliu_core::store::stewards;

use crate::deployment;
use crate::language::Language;
use crate::say;

/// Shows what waits for a steward, and takes decisions.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu review\n  huiliu review list --json\n  huiliu review release shop customers --why 'the old branch was closed'"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists records that may be somebody known; the same as no word at all.
    List(List),
    /// Lets a complete scan close the records that it did not show, though they are many.
    Release(Release),
}

/// What is listed.
#[derive(clap::Args)]
struct List {
    /// How many are listed at most, oldest first.
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The scan that is let go.
#[derive(clap::Args)]
struct Release {
    /// The connection.
    connection: String,
    /// Its stream, as `huiliu status` names it.
    stream: String,
    #[command(flatten)]
    by: By,
}

/// Who decides, and why.
#[derive(clap::Args)]
pub(super) struct By {
    /// The reason, kept for those who ask later.
    #[arg(long)]
    why: String,
    /// The name of the person who decides.
    #[arg(long, env = "USER", default_value = "steward")]
    by: String,
}

impl By {
    /// As core takes it.
    pub(super) fn steward(&self) -> Steward<'_> {
        Steward { name: &self.by, why: &self.why }
    }
}

/// Lists or decides.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Some(Action::Release(asked)) => {
            let engine = deployment::open(folder)?.engine;
            let (connection, stream) = (&asked.connection, &asked.stream);
            let count =
                review::release(&engine, connection, stream, asked.by.steward()).map_err(|it| it.to_string())?;
            println!(
                "{}",
                say!(
                    language,
                    "{connection}/{stream}: at most {count} record(s) that the scan did not show are taken for gone",
                    "{connection}/{stream}：扫描未出现的记录（最多 {count} 条）将视为已删除"
                )
            );
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::List(asked)) => list(folder, asked, language),
        None => list(folder, &args.list, language),
    }
}

fn list(folder: &Path, asked: &List, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let waiting = at.engine.store.read(|tx| stewards::waiting(tx, asked.limit)).map_err(|error| error.to_string())?;
    if asked.json {
        for one in &waiting {
            println!("{}", serde_json::to_string(one).map_err(|error| error.to_string())?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for one in &waiting {
        let (number, golden) = (one.number, one.golden);
        println!(
            "{}",
            say!(
                language,
                "review {number}: golden record {golden} may be one of",
                "判断 {number}：主记录 {golden} 可能与下列之一相同"
            )
        );
        for (golden, why) in &one.candidates {
            let words: Vec<String> = why.comparisons.iter().map(|it| format!("{} {}", it.name, it.level)).collect();
            println!("  {golden} ({:.1}): {}", why.score, words.join(", "));
        }
    }
    let count = waiting.len();
    println!("{}", say!(language, "{count} waiting", "共 {count} 条等待判断"));
    Ok(ExitCode::SUCCESS)
}
