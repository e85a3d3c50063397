//! `huiliu quota`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::quota::forecast::{self, Budget, Known, Reading, Standing};

use crate::deployment;
use crate::language::Language;
use crate::{say, table};

/// Shows what vendors allow, what was used of it, and how long reads that are under way will take.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu quota\n  huiliu quota --json | jq .reads")]
pub struct Args {
    /// Print one JSON object: budgets and reads.
    #[arg(long)]
    json: bool,
}

/// Reads and prints.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let now_us = at.engine.clock.now_us();
    let standing = at.engine.store.read(|tx| forecast::read(tx, now_us)).map_err(|error| error.to_string())?;
    if args.json {
        println!("{}", serde_json::to_string(&standing).map_err(|error| error.to_string())?);
    } else {
        print!("{}", text(&standing, now_us, language));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(standing: &Standing, now_us: i64, language: Language) -> String {
    if standing.budgets.is_empty() && standing.reads.is_empty() {
        return say!(language, "Nothing was called yet.\n", "尚未调用任何系统。\n");
    }
    let rows: Vec<Vec<String>> = standing.budgets.iter().flat_map(|it| rows(it, now_us, language)).collect();
    let heads = match language {
        Language::En => ["Budget", "Allowed", "Used", "By lane", "Note"],
        Language::Zh => ["配额", "允许", "已用", "按优先级", "说明"],
    };
    let mut text = if rows.is_empty() { String::new() } else { table::columns(&heads, &rows) };
    for read in &standing.reads {
        text += &format!("\n{}\n", reading(read, language));
    }
    text
}

fn rows(budget: &Budget, now_us: i64, language: Language) -> Vec<Vec<String>> {
    let note = note(budget, now_us, language);
    if budget.limits.is_empty() {
        let free = language.pick("no limit is declared", "未声明限额").to_owned();
        return vec![vec![budget.name.clone(), free, String::new(), String::new(), note]];
    }
    let row = |known: &Known| {
        let (calls, believed, seconds) = (known.calls, known.believed, known.seconds);
        let allowed = if calls == believed {
            say!(language, "{calls} in {seconds} s", "{seconds} 秒内 {calls} 次")
        } else {
            say!(language, "{believed} (of {calls}) in {seconds} s", "{seconds} 秒内 {believed} 次（声明 {calls} 次）")
        };
        let lanes = known.by_lane.iter().filter(|(_, used)| **used > 0);
        let lanes: Vec<String> = lanes.map(|(lane, used)| format!("{} {used}", lane_word(lane, language))).collect();
        vec![budget.name.clone(), allowed, known.used.to_string(), lanes.join(", "), note.clone()]
    };
    budget.limits.iter().map(row).collect()
}

fn note(budget: &Budget, now_us: i64, language: Language) -> String {
    let mut notes = Vec::new();
    if let Some(until_us) = budget.paused_until_us {
        let left = span((until_us - now_us) / 1_000_000 + 1, language);
        notes.push(say!(language, "silent for {left} more", "暂停，还有 {left}"));
    }
    if budget.refusals > 0 {
        let count = budget.refusals;
        notes.push(say!(language, "refused {count} times", "被拒绝 {count} 次"));
    }
    notes.join(", ")
}

/// How a read stands. What is urgent goes before it, so it delays nothing.
fn reading(read: &Reading, language: Language) -> String {
    let Reading { connection, stream, records, total, per_minute, left_seconds } = read;
    let pace = per_minute.map_or_else(String::new, |pace| say!(language, ", {pace} a minute", "，每分钟 {pace} 条"));
    match (total, left_seconds) {
        (Some(total), Some(left_seconds)) => {
            let left = span(*left_seconds, language);
            say!(
                language,
                "{connection}/{stream}: {records} of about {total} records{pace}. The rest takes {left} and delays nothing.",
                "{connection}/{stream}：约 {total} 条中的 {records} 条{pace}。其余还需 {left}，不影响其他调用。"
            )
        }
        _ => say!(
            language,
            "{connection}/{stream}: {records} records{pace}. How many there are is not known yet; it delays nothing.",
            "{connection}/{stream}：{records} 条{pace}。总数尚不清楚；不影响其他调用。"
        ),
    }
}

fn lane_word(lane: &str, language: Language) -> &str {
    match lane {
        "interactive" => language.pick("interactive", "交互"),
        "live" => language.pick("live", "实时"),
        "repair" => language.pick("repair", "修复"),
        "backfill" => language.pick("backfill", "回填"),
        other => other,
    }
}

/// `3 h 10 min`, `40 s`.
fn span(seconds: i64, language: Language) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        say!(language, "{hours} h {minutes} min", "{hours} 小时 {minutes} 分钟")
    } else if minutes > 0 {
        say!(language, "{minutes} min", "{minutes} 分钟")
    } else {
        say!(language, "{rest} s", "{rest} 秒")
    }
}
