//! `huiliu review`.

mod bulk;
mod learn;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Until, Verdict};
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::stewards;
use huiliu_mappings::matching::Teacher;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::connection;
use super::steward::By;
use crate::deployment;
use crate::language::Language;
use crate::{say, show};

/// So many of those that are put off are counted for a list.
const PUT_OFF_MAX: i64 = 100_000;

/// Shows what waits for a steward, and takes decisions.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu review\n  huiliu review list --json\n  huiliu review link 3 17 --why 'same person'\n  huiliu review apart 4 --why 'father and son'\n  huiliu review later 5 --until 2026-12-24 --why 'she calls back'\n  huiliu review bulk apart --like 4 --why 'households'\n  huiliu review learn --precision 0.99\n  huiliu review held shop customers\n  huiliu review release shop customers --why 'the old branch was closed'\n  huiliu review dismiss shop customers --why 'the export was broken'"
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
    #[command(visible_alias = "same")]
    Link(Link),
    /// Says that the record is none of the candidates; they stay apart.
    #[command(visible_alias = "different")]
    Apart(Apart),
    /// Puts a review off: until a day, or until one of the two says something new.
    Later(Later),
    /// Says the same to many reviews that are alike; shows first how many, and some of them.
    Bulk(bulk::Args),
    /// Learns from what was decided how sure a link must be, and shows what would be otherwise.
    Learn(learn::Args),
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
    /// How many are listed at most, oldest first unless --worth.
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// List those that are put off, too.
    #[arg(long)]
    all: bool,
    /// List those first whose answer is worth the most: how unsure it is, times the records that it is about.
    #[arg(long, conflicts_with = "all")]
    worth: bool,
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
    /// The golden record that it belongs to, one of the candidates; needed where there are several.
    golden: Option<i64>,
    #[command(flatten)]
    by: By,
}

/// The review that is put off.
#[derive(clap::Args)]
struct Later {
    /// The review's number.
    number: i64,
    #[command(flatten)]
    until: When,
    #[command(flatten)]
    by: By,
}

/// Until when.
#[derive(clap::Args)]
struct When {
    /// The day on which it is asked again, YYYY-MM-DD; without it, when one of the two says something new.
    #[arg(long, value_name = "DAY")]
    until: Option<Date>,
}

impl When {
    /// The beginning of that day, where this machine stands.
    fn until(&self) -> Result<Until, String> {
        let Some(day) = self.until else { return Ok(Until::News) };
        let begin = day.to_zoned(TimeZone::system()).map_err(|error| format!("{day}: {error}"))?;
        Ok(Until::At(begin.timestamp().as_microsecond()))
    }
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
        Some(Action::Link(asked)) => link(folder, asked, language),
        Some(Action::Apart(asked)) => decide(folder, asked.number, Verdict::Apart, &asked.by, language),
        Some(Action::Later(asked)) => later(folder, asked, language),
        Some(Action::Bulk(asked)) => bulk::run(folder, asked, language),
        Some(Action::Learn(asked)) => super::learning::run(folder, Teacher::Decisions, &asked.how, language),
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

fn link(folder: &Path, asked: &Link, language: Language) -> Result<ExitCode, String> {
    let number = asked.number;
    let golden = match asked.golden {
        Some(golden) => golden,
        None => {
            let engine = deployment::open(folder)?.engine;
            let only = review::only_candidate(&engine, number).map_err(|error| error.to_string())?;
            only.ok_or_else(|| {
                format!("review {number} has several candidates, or is not there; write which one it is")
            })?
        }
    };
    decide(folder, number, Verdict::Same(golden), &asked.by, language)
}

fn later(folder: &Path, asked: &Later, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let (number, until) = (asked.number, asked.until.until()?);
    review::later(&engine, number, until, asked.by.steward()).map_err(|error| error.to_string())?;
    let then = then(until, language);
    let text = say!(language, "review {number} is put off {then}", "判断 {number} 已推迟，{then}");
    Ok(asked.by.tell(&json!({ "review": number, "until": day(until) }), &text))
}

/// The day until which something is put off, where this machine stands; none until there is news.
fn day(until: Until) -> Option<Date> {
    let Until::At(us) = until else { return None };
    Timestamp::from_microsecond(us).ok().map(|at| at.to_zoned(TimeZone::system()).date())
}

fn then(until: Until, language: Language) -> String {
    match day(until) {
        Some(day) => say!(language, "until {day}", "{day} 再问"),
        None => language.pick("until one of the two says something new", "直到其中一方有新内容").to_owned(),
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
    let now_us = at.engine.clock.now_us();
    let read = at.engine.store.read(|tx| {
        let waiting = if asked.worth {
            Vec::new()
        } else if asked.all {
            stewards::waiting(tx, asked.limit)?
        } else {
            stewards::awake_after(tx, 0, now_us, asked.limit)?
        };
        Ok((waiting, stewards::put_off_after(tx, now_us, PUT_OFF_MAX)?))
    });
    let (mut waiting, put_off) = read.map_err(|error| error.to_string())?;
    if asked.worth {
        let count = usize::try_from(asked.limit).unwrap_or_default();
        waiting = review::most_worth(&at.engine, count).map_err(|error| error.to_string())?;
    }
    let put_off: BTreeMap<i64, Until> = put_off.into_iter().map(|(number, us)| (number, Until::kept(us))).collect();
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
        if let Some(until) = put_off.get(&number) {
            let then = then(*until, language);
            println!("{}", say!(language, "  put off {then}", "  已推迟，{then}"));
        }
        for (golden, why) in &one.candidates {
            let words: Vec<String> = why.comparisons.iter().map(|it| format!("{} {}", it.name, it.level)).collect();
            println!("  {golden} ({:.1}): {}", why.score, words.join(", "));
        }
    }
    let count = waiting.len();
    println!("{}", say!(language, "{count} waiting", "共 {count} 条等待判断"));
    let count = put_off.len();
    if count > 0 && !asked.all {
        println!(
            "{}",
            say!(
                language,
                "{count} put off: `huiliu review list --all`",
                "已推迟 {count} 条：`huiliu review list --all`"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}
