//! `huiliu review`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Verdict};
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::stewards;
use serde_json::json;

use super::connection;
use super::steward::By;
use crate::deployment;
use crate::language::Language;
use crate::{say, show};

/// Shows what waits for a steward, and takes decisions.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu review\n  huiliu review list --json\n  huiliu review link 3 17 --why 'same person'\n  huiliu review apart 4 --why 'father and son'\n  huiliu review held shop customers\n  huiliu review release shop customers --why 'the old branch was closed'\n  huiliu review dismiss shop customers --why 'the export was broken'"
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
    /// Shows what the brake holds back of a stream: what would be gone, and what would change.
    Held(Held),
    /// Lets what the brake holds back in, though it is much: records that a complete scan did not show are gone, and
    /// what would be gone or changed at once is taken in.
    Release(Brake),
    /// Forgets what the brake holds back: the records stay as they were known.
    Dismiss(Brake),
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

/// What is shown.
#[derive(clap::Args)]
struct Held {
    /// The connection.
    connection: String,
    /// Its stream, as `huiliu status` names it.
    stream: String,
    /// How many are shown at most.
    #[arg(long, default_value_t = 20)]
    limit: i64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The brake that is let go.
#[derive(clap::Args)]
struct Brake {
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
        Some(Action::Held(asked)) => held(folder, asked, language),
        Some(Action::Release(asked)) => {
            let engine = deployment::open(folder)?.engine;
            let (connection, stream) = (&asked.connection, &asked.stream);
            let count =
                review::release(&engine, connection, stream, asked.by.steward()).map_err(|it| it.to_string())?;
            let text = say!(
                language,
                "{connection}/{stream}: what was held back is taken in, at most {count} record(s)",
                "{connection}/{stream}：已放行，最多涉及 {count} 条记录"
            );
            Ok(asked.by.tell(&json!({ "connection": connection, "stream": stream, "released": count }), &text))
        }
        Some(Action::Dismiss(asked)) => {
            let engine = deployment::open(folder)?.engine;
            let (connection, stream) = (&asked.connection, &asked.stream);
            let count =
                review::dismiss(&engine, connection, stream, asked.by.steward()).map_err(|it| it.to_string())?;
            let text = say!(
                language,
                "{connection}/{stream}: what was held back of {count} record(s) is forgotten; they stay as they were known",
                "{connection}/{stream}：已丢弃对 {count} 条记录的暂缓内容，记录保持原样"
            );
            Ok(asked.by.tell(&json!({ "connection": connection, "stream": stream, "dismissed": count }), &text))
        }
        Some(Action::List(asked)) => list(folder, asked, language),
        None => list(folder, &args.list, language),
    }
}

fn held(folder: &Path, asked: &Held, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    connection(&engine, &asked.connection, language)?;
    let held = review::held(&engine, &asked.connection, &asked.stream, asked.limit).map_err(|it| it.to_string())?;
    for one in &held {
        if asked.json {
            println!("{}", serde_json::to_string(one).map_err(|error| error.to_string())?);
            continue;
        }
        let record = &one.record;
        if one.kind == Kind::Missing {
            println!("{}", say!(language, "{record} would be gone", "{record} 将被删除"));
        } else {
            println!("{}", say!(language, "{record} would change:", "{record} 将变化："));
        }
        for (field, (before, after)) in &one.fields {
            let (before, after) = (show::plain(before), show::plain(after));
            println!("  {field}: {before} → {after}");
        }
    }
    if held.is_empty() && !asked.json {
        println!("{}", language.pick("nothing is held back there", "没有暂缓的内容"));
    }
    Ok(ExitCode::SUCCESS)
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
