//! `huiliu conflicts`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::conflict::{self, Conflict, Wanted, Word};
use huiliu_core::engine::Engine;
use huiliu_core::replay::{self, Scope};
use serde_json::json;

use super::replay::{agreed, shown as replayed, watched};
use super::steward::By;
use crate::language::Language;
use crate::show::{instant, plain};
use crate::{deployment, in_force, rules_file, say};

/// Golden records that a rule would change and that are shown before it is made.
const SAMPLES: usize = 3;

/// Shows fields that two systems said differently, and takes decisions. Nothing waits for them: a rule has settled each.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu conflicts\n  huiliu conflicts list --customer 17 --json\n  huiliu conflicts decide 3 --winner shop --why 'he told us'\n  huiliu conflicts decide 3 --winner erp --always --why 'the ERP knows titles'"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists conflicts, the latest first; the same as no word at all.
    List(List),
    /// Keeps the value that stands, or restores one that lost.
    Decide(Decide),
}

/// What is listed.
#[derive(clap::Args)]
struct List {
    /// Only those of this golden record.
    #[arg(long)]
    customer: Option<i64>,
    /// Only those in which this connection spoke.
    #[arg(long)]
    connection: Option<String>,
    /// Only those about this field, or this family of fields.
    #[arg(long)]
    field: Option<String>,
    /// How many are listed at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The decision.
#[derive(clap::Args)]
struct Decide {
    /// The conflict's number.
    number: i64,
    /// Whose word it is to be: a connection, or a record as CONNECTION/STREAM/ID.
    #[arg(long)]
    winner: String,
    /// Make a rule of it: shows the line for rules/survive.toml and what it would change, then asks.
    #[arg(long)]
    always: bool,
    /// Make the rule without asking: for scripts.
    #[arg(long, requires = "always")]
    yes: bool,
    #[command(flatten)]
    by: By,
}

/// Lists or decides.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Some(Action::Decide(asked)) if asked.always => always(folder, asked, language),
        Some(Action::Decide(asked)) => decide(folder, asked, language),
        Some(Action::List(asked)) => list(folder, asked, language),
        None => list(folder, &args.list, language),
    }
}

fn list(folder: &Path, asked: &List, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let wanted =
        Wanted { golden: asked.customer, connection: asked.connection.as_deref(), field: asked.field.as_deref() };
    let found = conflict::list(&engine, &wanted, i64::MAX, asked.limit).map_err(|error| error.to_string())?;
    if asked.json {
        for one in &found {
            println!("{}", serde_json::to_string(one).map_err(|error| error.to_string())?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for one in &found {
        print!("{}", shown(one, language));
    }
    let count = found.len();
    println!("{}", say!(language, "{count} conflict(s), each settled by a rule", "共 {count} 条冲突，均已按规则取值"));
    Ok(ExitCode::SUCCESS)
}

fn shown(one: &Conflict, language: Language) -> String {
    let (number, golden, field, rule) = (one.number, one.golden, &one.field, &one.rule);
    let entity = crate::show::entity(&one.entity, language);
    let mut text = say!(
        language,
        "conflict {number}: {entity} {golden}, {field}\n",
        "冲突 {number}：{entity} {golden}，{field}\n"
    );
    let (value, record, at) = told(&one.winner, language);
    text += &say!(
        language,
        "  stands: {value}   said by {record} at {at}, chosen by {rule}\n",
        "  采用：{value}   来自 {record}，{at}，按 {rule} 选取\n"
    );
    for word in &one.lost {
        let (value, record, at) = told(word, language);
        text += &say!(
            language,
            "  lost:   {value}   said by {record} at {at}\n",
            "  未采用：{value}   来自 {record}，{at}\n"
        );
    }
    text
}

fn told(word: &Word, language: Language) -> (String, &str, String) {
    let value = if word.value.is_null() {
        language.pick("(cleared)", "（已清空）").to_owned()
    } else {
        plain(&word.value)
    };
    (value, &word.record, instant(word.said_us))
}

fn decide(folder: &Path, asked: &Decide, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let done = conflict::decide(&engine, asked.number, &asked.winner, asked.by.steward());
    let done = done.map_err(|error| error.to_string())?;
    let (number, golden, field) = (asked.number, done.golden, &done.field);
    let text = if done.verdict == "pinned" {
        say!(
            language,
            "conflict {number} is decided: {field} of golden record {golden} is pinned to {value}, until `huiliu unpin {golden} \
             {field}`",
            "冲突 {number} 已处理：主记录 {golden} 的 {field} 已固定为 {value}，直到运行 `huiliu unpin {golden} {field}`",
            value = plain(&done.value)
        )
    } else {
        say!(
            language,
            "conflict {number} is decided: {field} of golden record {golden} stays {value}",
            "冲突 {number} 已处理：主记录 {golden} 的 {field} 仍为 {value}",
            value = plain(&done.value)
        )
    };
    Ok(asked.by.tell(&json!({ "conflict": number, "decided": done }), &text))
}

/// One decision becomes a rule: its line is shown with what it would change, then it is written and everything that is
/// known is computed anew under it.
fn always(folder: &Path, asked: &Decide, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let found = conflict::one(&at.engine, asked.number).map_err(|error| error.to_string())?;
    let Some(found) = found.filter(|one| one.decided.is_none()) else {
        let number = asked.number;
        return Err(format!("there is no conflict {number}, or it is over; see `huiliu conflicts`"));
    };
    let strategies = found.strategies(&at.engine, found.word(&asked.winner)?)?;
    let model = deployment::model(folder)?;
    let change = rules_file::with(folder, &found.entity, &found.field, &strategies, &model)?;
    let (entity, line, path) = (&found.entity, &change.line, change.path.display().to_string());
    let engine = under(&at.engine, change.rules.clone());
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    let seen = watched(|each| replay::look(&engine, &Scope::default(), SAMPLES, each)).map_err(told)?;
    if !asked.by.json {
        println!(
            "{}",
            say!(
                language,
                "{path}, under [{entity}]:\n  {line}\nIt would do this:",
                "{path} 的 [{entity}] 中：\n  {line}\n它将带来："
            )
        );
        print!("{}", replayed(&seen, language));
    }
    let done = asked.yes || (!asked.by.json && agreed(language)?);
    if done {
        change.write()?;
        in_force::enter(&at)?;
        conflict::ruled(&engine, asked.number, line, asked.by.steward()).map_err(|error| error.to_string())?;
        watched(|each| replay::apply(&engine, &Scope::default(), asked.by.steward().name, 0, each)).map_err(told)?;
    }
    let text = if done {
        language.pick(
            "The rule is written and everything known follows it. A running `huiliu serve` reads rules as it starts: restart it.",
            "规则已写入，已知数据均已按它重新计算。运行中的 `huiliu serve` 启动时才读取规则：请重启。",
        )
    } else {
        language.pick("Nothing was changed.", "未做任何更改。")
    };
    Ok(asked.by.tell(&json!({ "file": path, "entity": entity, "line": line, "would": seen, "done": done }), text))
}

fn under(engine: &Engine, rules: huiliu_mappings::merge::Rules) -> Engine {
    let connections = engine.connections.values().cloned();
    Engine::new(engine.store.clone(), engine.matching.clone(), rules, connections, engine.clock.clone())
}
