//! `huiliu apply`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::proposal::{self, Moved};
use serde_json::json;

use super::replay::watched;
use crate::language::Language;
use crate::{deployment, in_force, say};

/// Carries out what `huiliu plan` showed; after a stop, goes on with it. Refuses if files or records changed since.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu apply 3\n  huiliu apply 3 --anyway --json")]
pub struct Args {
    /// The plan's number.
    number: i64,
    /// Do it although records changed since it was planned: what they need is computed from what is there now.
    #[arg(long)]
    anyway: bool,
    /// The name of the person who does it.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    by: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Applies a plan.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let files = in_force::files(&at)?;
    in_force::keep(folder, &files)?;
    let moved = if args.anyway { Moved::Accepted } else { Moved::Refused };
    let done = watched(|each| proposal::apply(&at.engine, args.number, &files, &args.by, moved, each));
    let done = done.map_err(|error| error.to_string())?;
    let (number, goldens) = (done.number, done.report.goldens);
    let writes: u64 = done.report.writes.values().sum();
    if args.json {
        println!(
            "{}",
            json!({ "plan": number, "applied": done.done, "as_planned": done.as_planned, "report": done.report })
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{}",
        say!(
            language,
            "plan {number} is applied: {goldens} golden record(s) differ, {writes} write(s) follow with `huiliu serve` or \
             `huiliu sync`. `huiliu undo {number}` takes it back.",
            "计划 {number} 已执行：{goldens} 条主记录有变化，{writes} 次写入将由 `huiliu serve` 或 `huiliu sync` 完成。可用 \
             `huiliu undo {number}` 撤销。"
        )
    );
    if done.as_planned {
        println!("{}", language.pick("Every value is as it was planned.", "每个值均与计划一致。"));
    } else {
        let effects = done.report.sum.effects;
        println!(
            "{}",
            say!(
                language,
                "{effects} value(s) changed, and not all as they were planned: records moved meanwhile.",
                "共更改 {effects} 个值，并非全部与计划一致：其间有记录发生了变化。"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}
