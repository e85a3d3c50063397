//! `huiliu review`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Verdict};
use huiliu_core::store::stewards;
use serde_json::json;

use super::steward::By;
use crate::deployment;
use crate::language::Language;
use crate::say;

/// Shows what waits for a steward, and takes decisions.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu review\n  huiliu review list --json\n  huiliu review link 3 17 --why 'same person'\n  huiliu review apart 4 --why 'father and son'\n  huiliu review release shop customers --why 'the old branch was closed'"
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
    /// Says that the record belongs to one of the candidates.
    Link(Link),
    /// Says that the record is none of the candidates; they stay apart.
    Apart(Apart),
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

/// The review that is settled: the record is somebody known.
#[derive(clap::Args)]
struct Link {
    /// The review's number.
    number: i64,
    /// The golden record that it belongs to, one of the candidates.
    golden: i64,
    #[command(flatten)]
    by: By,
}

/// The review that is settled: the record is none of the candidates.
#[derive(clap::Args)]
struct Apart {
    /// The review's number.
    number: i64,
    #[command(flatten)]
    by: By,
}

/// Lists or decides.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Some(Action::Link(asked)) => decide(folder, asked.number, Verdict::Same(asked.golden), &asked.by, language),
        Some(Action::Apart(asked)) => decide(folder, asked.number, Verdict::Apart, &asked.by, language),
        Some(Action::Release(asked)) => {
            let engine = deployment::open(folder)?.engine;
            let (connection, stream) = (&asked.connection, &asked.stream);
            let count =
                review::release(&engine, connection, stream, asked.by.steward()).map_err(|it| it.to_string())?;
            let text = say!(
                language,
                "{connection}/{stream}: at most {count} record(s) that the scan did not show are taken for gone",
                "{connection}/{stream}：扫描未出现的记录（最多 {count} 条）将视为已删除"
            );
            Ok(asked.by.tell(&json!({ "connection": connection, "stream": stream, "missing": count }), &text))
        }
        Some(Action::List(asked)) => list(folder, asked, language),
        None => list(folder, &args.list, language),
    }
}

fn decide(folder: &Path, number: i64, verdict: Verdict, by: &By, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let golden = review::decide(&engine, number, verdict, by.steward()).map_err(|error| error.to_string())?;
    let text = say!(
        language,
        "review {number} is settled: the record belongs to golden record {golden}",
        "判断 {number} 已处理：该记录属于主记录 {golden}"
    );
    Ok(by.tell(&json!({ "review": number, "golden": golden }), &text))
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
