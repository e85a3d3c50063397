//! `huiliu plan`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::proposal::{self, Rescheduled, Told};
use huiliu_core::replay::FieldCounts;
use huiliu_core::store::proposals::Proposal;
use serde_json::{Value, json};

use super::replay::{numbers, watched};
use super::undo;
use crate::language::Language;
use crate::show::instant;
use crate::{deployment, in_force, say, table};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A masked text is shown as so many points at most: how long it is exactly is part of it.
const POINTS_MAX: usize = 8;

/// Says what edited mappings, rules, authorities and schedules would do, in the hub and in every live system; changes
/// nothing.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu plan\n  huiliu plan --samples 10 --values\n  huiliu plan list\n  huiliu plan show 3 --json"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    make: Make,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists plans, the latest first.
    List(List),
    /// Shows a plan again, and what became of it.
    Show(Show),
}

/// What is planned.
#[derive(clap::Args)]
struct Make {
    /// How many records of each kind are shown.
    #[arg(long, default_value_t = 3)]
    samples: usize,
    /// The name of the person who plans.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    by: String,
    #[command(flatten)]
    how: How,
}

/// How it is shown.
#[derive(clap::Args)]
pub(super) struct How {
    /// Show values in full; otherwise points stand for their characters.
    #[arg(long)]
    pub(super) values: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// What is listed.
#[derive(clap::Args)]
struct List {
    /// How many are listed at most.
    #[arg(long, default_value_t = 20)]
    limit: i64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What is shown.
#[derive(clap::Args)]
struct Show {
    /// The plan's number.
    number: i64,
    #[command(flatten)]
    how: How,
}

/// Plans, lists or shows.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Some(Action::List(asked)) => list(folder, asked, language),
        Some(Action::Show(asked)) => show(folder, asked, language),
        None => make(folder, &args.make, language),
    }
}

fn make(folder: &Path, asked: &Make, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let files = in_force::files(&at)?;
    let planned = watched(|each| proposal::plan(&at.engine, &files, &asked.by, asked.samples, each, &mut |_| {}));
    let planned = planned.map_err(|error| error.to_string())?;
    let told = proposal::told(&planned).map_err(|error| error.to_string())?;
    if asked.how.json {
        println!("{}", as_json(&planned, &told, asked.how.values));
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", shown(&told, asked.how.values, language));
    let number = planned.number;
    println!(
        "{}",
        say!(
            language,
            "This is plan {number}; nothing was changed. `huiliu apply {number}` does it.",
            "这是计划 {number}；未做任何更改。运行 `huiliu apply {number}` 执行。"
        )
    );
    Ok(ExitCode::SUCCESS)
}

fn list(folder: &Path, asked: &List, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let found = proposal::list(&engine, asked.limit).map_err(|error| error.to_string())?;
    for one in &found {
        let told = proposal::told(one).map_err(|error| error.to_string())?;
        if asked.json {
            println!("{}", head(one, &told));
            continue;
        }
        let (number, by, at) = (one.number, &one.made.0, instant(one.made.1));
        let (state, goldens, writes) = (state(&one.state, language), told.report.goldens, writes(&told));
        println!(
            "{}",
            say!(
                language,
                "plan {number}, {state}: {goldens} golden record(s), {writes} write(s); made by {by} at {at}",
                "计划 {number}，{state}：{goldens} 条主记录，{writes} 次写入；{by} 于 {at} 制定"
            )
        );
    }
    if !asked.json {
        let count = found.len();
        println!("{}", say!(language, "{count} plan(s)", "共 {count} 个计划"));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(folder: &Path, asked: &Show, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let one = proposal::one(&engine, asked.number).map_err(|error| error.to_string())?;
    let told = proposal::told(&one).map_err(|error| error.to_string())?;
    let undone = match one.state.as_str() {
        "undoing" | "undone" => {
            Some(proposal::undone(&engine, one.number, undo::SAMPLES).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    if asked.how.json {
        let mut json = as_json(&one, &told, asked.how.values);
        json["undone"] = undone.map_or(Value::Null, |undone| undo::as_json(&undone, asked.how.values));
        println!("{json}");
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", shown(&told, asked.how.values, language));
    let by = [("planned", Some(&one.made)), ("applied", one.applied.as_ref()), ("undone", one.undone.as_ref())];
    for (what, (name, at)) in by.into_iter().filter_map(|(what, by)| Some((what, by?))) {
        let (what, at) = (state(what, language), instant(*at));
        println!("{}", say!(language, "{what} by {name} at {at}", "{what}：{name}，{at}"));
    }
    if let Some(undone) = undone {
        print!("{}", undo::shown(&undone, asked.how.values, language));
    }
    Ok(ExitCode::SUCCESS)
}

fn state(word: &str, language: Language) -> &str {
    match (word, language) {
        ("planned", Language::Zh) => "已制定",
        ("applying", Language::Zh) => "执行中断",
        ("applied", Language::Zh) => "已执行",
        ("undoing", Language::Zh) => "撤销中断",
        ("undone", Language::Zh) => "已撤销",
        ("applying", Language::En) => "stopped while it was applied",
        ("undoing", Language::En) => "stopped while it was taken back",
        ("undone", Language::En) => "taken back",
        (other, _) => other,
    }
}

fn writes(told: &Told) -> u64 {
    told.report.writes.values().sum()
}

fn head(one: &Proposal, told: &Told) -> Value {
    json!({
        "plan": one.number,
        "state": one.state,
        "made_by": one.made.0,
        "made_at": instant(one.made.1),
        "applied_at": one.applied.as_ref().map(|it| instant(it.1)),
        "undone_at": one.undone.as_ref().map(|it| instant(it.1)),
        "goldens": told.report.goldens,
        "writes": writes(told),
    })
}

fn as_json(one: &Proposal, told: &Told, values: bool) -> Value {
    let pair = |(before, after): &(Value, Value)| json!([hidden(before, values), hidden(after, values)]);
    let mut json = head(one, told);
    json["report"] = json!(told.report);
    json["samples"] = told
        .samples
        .iter()
        .map(|it| {
            let diff: BTreeMap<&str, Value> =
                it.diff.iter().map(|(field, both)| (field.as_str(), pair(both))).collect();
            json!({ "golden": it.golden, "entity": it.entity, "diff": diff })
        })
        .collect();
    json["write_samples"] = told
        .writes
        .iter()
        .map(|it| {
            let places: BTreeMap<&String, Value> = it.places.iter().map(|(place, both)| (place, pair(both))).collect();
            json!({ "connection": it.connection, "stream": it.stream, "id": it.id, "places": places })
        })
        .collect();
    json["schedule"] = json!(told.schedule);
    json["waiting"] = json!(told.waiting);
    json
}

fn shown(told: &Told, values: bool, language: Language) -> String {
    let report = &told.report;
    let mut text = numbers(report, language);
    text += &places(&report.places, language);
    for it in &told.samples {
        text += &format!("  {} {}\n", it.entity, it.golden);
        for (field, (before, after)) in &it.diff {
            text += &format!("    {field}: {} → {}\n", hidden(before, values), hidden(after, values));
        }
    }
    for it in &told.writes {
        let id = it.id.as_deref().unwrap_or(language.pick("a new record", "新记录"));
        text += &format!("  {}/{}/{id}\n", it.connection, it.stream);
        for (place, (before, after)) in &it.places {
            text += &format!("    {place}: {} → {}\n", hidden(before, values), hidden(after, values));
        }
    }
    for it in &told.schedule {
        text += &rhythm(it, language);
    }
    if told.waiting > 0 {
        let waiting = told.waiting;
        text += &say!(
            language,
            "{waiting} item(s) and change(s) wait to be processed or planned; what becomes of them is no part of this\n",
            "{waiting} 个条目和更改仍在等待处理或规划；它们的结果不在此计划内\n"
        );
    }
    if report.is_empty() && told.schedule.is_empty() {
        text += language.pick("Nothing would change.\n", "不会有任何变化。\n");
    }
    text
}

fn places(places: &BTreeMap<String, FieldCounts>, language: Language) -> String {
    if places.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = places
        .iter()
        .map(|(place, counts)| {
            let counts = [counts.filled, counts.changed, counts.emptied].map(|count| count.to_string());
            std::iter::once(place.clone()).chain(counts).collect()
        })
        .collect();
    let heads = match language {
        Language::En => ["Written", "Filled", "Changed", "Emptied"],
        Language::Zh => ["写入位置", "补充", "更改", "清空"],
    };
    table::columns(&heads, &rows)
}

fn rhythm(it: &Rescheduled, language: Language) -> String {
    let stream = &it.stream;
    let often = |seconds: i64| {
        let (every, day) = (every(seconds), DAY / seconds.max(1));
        say!(language, "every {every} ({day} times a day)", "每 {every}（每天 {day} 次）")
    };
    match (it.before.map(often), it.after.map(often)) {
        (Some(before), Some(after)) => say!(
            language,
            "{stream} would be pulled {after}, in place of {before}\n",
            "{stream} 的拉取间隔将改为{after}，原为{before}\n"
        ),
        (_, Some(after)) => say!(language, "{stream} would be pulled {after}\n", "{stream} 将开始拉取，{after}\n"),
        _ => say!(language, "{stream} would not be pulled any more\n", "{stream} 将不再拉取\n"),
    }
}

/// As huiliu.toml says it.
fn every(seconds: i64) -> String {
    match seconds {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A value, or its shape: points for characters, so that a plan can be shown around.
pub(super) fn hidden(value: &Value, values: bool) -> Value {
    match value {
        _ if values => value.clone(),
        Value::String(text) => Value::String("•".repeat(text.chars().count().min(POINTS_MAX))),
        Value::Number(_) => Value::String("•".to_owned()),
        Value::Array(items) => items.iter().map(|item| hidden(item, values)).collect(),
        Value::Object(parts) => {
            Value::Object(parts.iter().map(|(name, part)| (name.clone(), hidden(part, values))).collect())
        }
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_value_keeps_its_shape() {
        let value = json!({ "name": "李雷", "phones": ["13800138000", null], "age": 40, "vip": true });
        let shape = json!({ "name": "••", "phones": ["••••••••", null], "age": "•", "vip": true });
        assert_eq!(hidden(&value, false), shape);
        assert_eq!(hidden(&value, true), value);
    }

    #[test]
    fn rhythms_are_told_as_they_are_written() {
        assert_eq!([30, 600, 7200, 5400].map(every), ["30s", "10m", "2h", "90m"]);
        let it = Rescheduled { stream: "shop/orders".to_owned(), before: Some(600), after: Some(60) };
        let told = "shop/orders would be pulled every 1m (1440 times a day), in place of every 10m (144 times a day)\n";
        assert_eq!(rhythm(&it, Language::En), told);
    }
}
