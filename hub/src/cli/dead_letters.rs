//! `huiliu dead-letters`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::retry;
use huiliu_core::store::inbox::{self, DeadLetter};

use super::no_connection;
use crate::deployment;
use crate::language::Language;
use crate::{say, table};

/// Lists items that need a person, and runs them again once mended.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu dead-letters\n  huiliu dead-letters --stage push --json\n  huiliu dead-letters retry\n  huiliu dead-letters retry 17 18"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists them, oldest first; the same as no word at all.
    List(List),
    /// Runs them again: deliveries are sent, items of the inbox processed, keys fetched once more.
    Retry(Retry),
}

/// Which letters are listed.
#[derive(clap::Args)]
struct List {
    /// Only those of this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Only those of this stage.
    #[arg(long, value_parser = ["intake", "import", "process", "fetch", "push"])]
    stage: Option<String>,
    /// How many are listed at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Which letters run again.
#[derive(clap::Args)]
struct Retry {
    /// The numbers of the letters; without any, all that wait.
    numbers: Vec<i64>,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// Lists or retries.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Some(Action::Retry(asked)) => again(folder, asked, language),
        Some(Action::List(asked)) => list(folder, asked, language),
        None => list(folder, &args.list, language),
    }
}

fn list(folder: &Path, asked: &List, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    if let Some(name) = asked.connection.as_deref().filter(|name| !at.engine.connections.contains_key(*name)) {
        return Err(no_connection(&at.engine, name, language));
    }
    let all = at.engine.store.read(|tx| inbox::dead_letters(tx, i64::MAX)).map_err(|error| error.to_string())?;
    let fits = |one: &&DeadLetter| {
        asked.connection.as_ref().is_none_or(|name| *name == one.connection)
            && asked.stage.as_ref().is_none_or(|stage| *stage == one.stage)
    };
    let found: Vec<&DeadLetter> = all.iter().filter(fits).collect();
    let shown = found.iter().take(asked.limit);
    if asked.json {
        for one in shown {
            println!("{}", serde_json::to_string(one).map_err(|error| error.to_string())?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = shown
        .map(|one| {
            let place = [Some(one.connection.as_str()), one.stream.as_deref(), one.external_id.as_deref()];
            let place: Vec<&str> = place.into_iter().flatten().collect();
            vec![one.number.to_string(), one.stage.clone(), place.join("/"), language.told(&one.reason)]
        })
        .collect();
    if !rows.is_empty() {
        let heads = match language {
            Language::En => ["Number", "Stage", "Record", "Reason"],
            Language::Zh => ["编号", "阶段", "记录", "原因"],
        };
        print!("{}", table::columns(&heads, &rows));
    }
    let (count, shown) = (found.len(), rows.len());
    println!(
        "{}",
        if count == 0 {
            language.pick("No dead letter waits.", "没有等待处理的死信。").to_owned()
        } else {
            say!(
                language,
                "{count} waiting, {shown} shown; once mended: `huiliu dead-letters retry [NUMBER…]`",
                "共 {count} 条等待，显示 {shown} 条；修复后运行：`huiliu dead-letters retry [编号…]`"
            )
        }
    );
    Ok(ExitCode::SUCCESS)
}

fn again(folder: &Path, asked: &Retry, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let chosen: Option<BTreeSet<i64>> = (!asked.numbers.is_empty()).then(|| asked.numbers.iter().copied().collect());
    if let Some(chosen) = &chosen {
        let all = at.engine.store.read(|tx| inbox::dead_letters(tx, i64::MAX)).map_err(|error| error.to_string())?;
        let known: BTreeSet<i64> = all.iter().map(|one| one.number).collect();
        if let Some(number) = chosen.difference(&known).next() {
            return Err(say!(
                language,
                "no dead letter {number} waits; `huiliu dead-letters` lists those that do",
                "没有编号为 {number} 的等待死信；`huiliu dead-letters` 可列出全部"
            ));
        }
    }
    let done = retry::dead_letters(&at.engine, chosen.as_ref()).map_err(|error| error.to_string())?;
    if asked.json {
        println!("{}", serde_json::to_string(&done).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    let retry::Retried { deliveries, items, fetches, asked, left } = done;
    println!(
        "{}",
        say!(
            language,
            "{deliveries} delivery(ies) to send again, {items} item(s) to process again, {fetches} key(s) to fetch again; \
             a running `huiliu serve` takes them up within seconds",
            "重新发送 {deliveries} 条投递，重新处理 {items} 条，重新获取 {fetches} 个；运行中的 `huiliu serve` 会在几秒内处理"
        )
    );
    if !asked.is_empty() {
        let count = asked.len();
        println!(
            "{}",
            say!(
                language,
                "{count} stay(s): their records may be there already; look, then name those that are not, one by one",
                "{count} 条保留：其记录可能已经存在；请先核查，再逐个指定确实不存在的编号"
            )
        );
    }
    if !left.is_empty() {
        let count = left.len();
        println!(
            "{}",
            say!(
                language,
                "{count} stay(s): rows of a file are mended in the file and imported again",
                "{count} 条保留：文件中的行请在文件里修正后重新导入"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}
