//! `huiliu replay`.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::replay::{self, Progress, Replayed, Report, Scope};
use huiliu_mappings::diagnose::suggest;
use serde_json::json;

use super::connection;
use crate::language::Language;
use crate::{deployment, in_force, say, table};

/// Reads what is kept through today's mappings, model and rules: shows what would change, then asks, then does it. No
/// system is asked.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu replay --dry-run\n  huiliu replay --connection shop --stream customers\n  huiliu replay --record shop/customers/1001 --yes\n  huiliu replay --rematch --dry-run"
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Do it without asking: for scripts.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// How many golden records that change are shown.
    #[arg(long, default_value_t = 3)]
    samples: usize,
    /// The name of the person who does it.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    by: String,
    /// Print one JSON object; without --yes nothing is changed.
    #[arg(long)]
    json: bool,
}

/// What is read anew.
#[derive(clap::Args)]
struct Which {
    /// Only records of this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Only records of this stream.
    #[arg(long, conflicts_with = "record")]
    stream: Option<String>,
    /// Only this record, as CONNECTION/STREAM/ID.
    #[arg(long, conflicts_with = "connection")]
    record: Option<LinkKey>,
    /// Also decide anew who is who, of every record: after match.toml or a model changed.
    #[arg(long, conflicts_with_all = ["connection", "stream", "record"])]
    rematch: bool,
}

/// Shows, asks, applies.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let engine = at.engine.clone();
    let scope = scope(&engine, &args.which, language)?;
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    let seen = watched(|each| replay::look(&engine, &scope, args.samples, each)).map_err(told)?;
    if !args.json {
        print!("{}", shown(&seen, language));
    }
    let asks = !args.yes && !args.json && !args.dry_run && !seen.report.is_empty();
    let agreed = args.yes || (asks && agreed(language)?);
    let done = if agreed {
        in_force::enter(&at)?;
        Some(watched(|each| replay::apply(&engine, &scope, &args.by, 0, each)).map_err(told)?)
    } else {
        None
    };
    if args.json {
        println!("{}", json!({ "would": seen, "done": done }));
    } else if let Some(done) = done {
        let (number, Report { goldens, changes, .. }) = (done.number, &done.report);
        println!(
            "{}",
            say!(
                language,
                "replay {number} is done: {goldens} golden record(s) differ, {changes} change(s) written",
                "重放 {number} 完成：{goldens} 条主记录有变化，写入 {changes} 条更改"
            )
        );
    } else if !seen.report.is_empty() {
        println!("{}", language.pick("Nothing was changed.", "未做任何更改。"));
    }
    Ok(ExitCode::SUCCESS)
}

fn scope(engine: &Engine, args: &Which, language: Language) -> Result<Scope, String> {
    let (mut wanted, mut stream) = (args.connection.as_deref(), args.stream.as_deref());
    if let Some(record) = &args.record {
        (wanted, stream) = (Some(record.connection.as_str()), Some(record.lens.as_str()));
    }
    let chosen = match wanted {
        Some(name) => vec![connection(engine, name, language)?],
        None => engine.connections.values().collect(),
    };
    if let Some(stream) = stream {
        let lenses = chosen.iter().flat_map(|it| &it.lenses);
        let known: Vec<&str> = lenses.flat_map(|lens| [lens.stream(), lens.name()]).collect();
        if !known.contains(&stream) {
            let hint = suggest(stream, known.iter().copied());
            return Err(say!(
                language,
                "no mapping reads a stream `{stream}`{hint}; `huiliu status` lists the streams",
                "没有映射读取数据流 `{stream}`{hint}；`huiliu status` 可列出数据流"
            ));
        }
    }
    let record = args.record.as_ref().map(ToString::to_string);
    Ok(Scope { connection: args.connection.clone(), stream: args.stream.clone(), record, rematch: args.rematch })
}

/// Shows how far it is, and leaves as much time to live traffic as it takes itself.
pub(super) fn watched<T>(work: impl FnOnce(replay::Each<'_>) -> T) -> T {
    let bar = indicatif::ProgressBar::new(0);
    let mut began = Instant::now();
    let done = work(&mut |Progress { at, of }| {
        bar.set_length(u64::try_from(of).unwrap_or(0));
        bar.set_position(u64::try_from(at).unwrap_or(0));
        std::thread::sleep(began.elapsed());
        began = Instant::now();
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    done
}

pub(super) fn shown(seen: &Replayed, language: Language) -> String {
    let report = &seen.report;
    let mut text = numbers(report, language);
    for sample in &seen.samples {
        text += &format!("  {} {}\n", sample.entity, sample.golden);
        for (field, (before, after)) in &sample.diff {
            text += &format!("    {field}: {before} → {after}\n");
        }
    }
    let changes = &report.changes;
    if report.is_empty() {
        text += language.pick("Nothing would change.\n", "不会有任何变化。\n");
    } else if report.goldens == 0 && *changes > 0 {
        text += &say!(language, "{changes} change(s) would be planned anew\n", "将重新规划 {changes} 条更改\n");
    }
    text
}

/// What a replay changes, in numbers.
pub(super) fn numbers(report: &Report, language: Language) -> String {
    let records = report.records;
    let mut text = say!(language, "{records} record(s) read anew.\n", "重新读取了 {records} 条记录。\n");
    for (outcome, count) in report.outcomes.iter().filter(|(outcome, _)| *outcome != "unchanged") {
        text += &format!("  {}: {count}\n", word(outcome, language));
    }
    text += &fields(report, language);
    let Report { goldens, joined, parted, asked, unread, letters, .. } = report;
    let lines = [
        (*goldens, say!(language, "{goldens} golden record(s) would differ", "{goldens} 条主记录将有变化")),
        (
            *joined,
            say!(language, "{joined} record(s) would join another golden record", "{joined} 条记录将并入其他主记录"),
        ),
        (*parted, say!(language, "{parted} record(s) would part from theirs", "{parted} 条记录将从主记录拆出")),
        (*asked, say!(language, "{asked} record(s) would be asked about", "{asked} 条记录将提交人工审核")),
        (
            *unread,
            say!(
                language,
                "{unread} kept item(s) that no mapping read would run again",
                "{unread} 条此前没有映射的条目将重新处理"
            ),
        ),
        (*letters, say!(language, "{letters} dead letter(s) would run again", "{letters} 条死信将重新处理")),
    ];
    for (_, line) in lines.iter().filter(|(count, _)| *count > 0) {
        text += &format!("{line}\n");
    }
    for (kind, count) in &report.writes {
        text += &say!(language, "{count} write(s) to {kind} would be owed\n", "将产生 {count} 次写入：{kind}\n");
    }
    for (name, counts) in &report.issues {
        let (appeared, vanished) = (counts.appeared, counts.vanished);
        text += &say!(
            language,
            "issue {name}: appears in {appeared}, vanishes from {vanished}\n",
            "问题 {name}：新增 {appeared}，消失 {vanished}\n"
        );
    }
    text
}

fn fields(report: &Report, language: Language) -> String {
    if report.fields.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = report
        .fields
        .iter()
        .map(|(field, counts)| {
            let counts = [counts.filled, counts.changed, counts.emptied].map(|count| count.to_string());
            std::iter::once(field.clone()).chain(counts).collect()
        })
        .collect();
    let heads = match language {
        Language::En => ["Field", "Filled", "Changed", "Emptied"],
        Language::Zh => ["字段", "补充", "更改", "清空"],
    };
    table::columns(&heads, &rows)
}

fn word(outcome: &str, language: Language) -> String {
    let said = match outcome {
        "changed" => language.pick("read otherwise now", "读取结果有变化"),
        "not_kept" => language.pick("left as they are: what arrived is no longer kept", "保持原样：原始数据已不再保存"),
        "no_mapping" => language.pick("left as they are: no mapping reads them", "保持原样：没有映射读取"),
        "not_readable" => language.pick("left as they are: the connector cannot read them", "保持原样：连接器无法读取"),
        other => other,
    };
    said.to_owned()
}

/// Asks the person at the terminal; without a terminal the answer is no.
pub(super) fn agreed(language: Language) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        println!("{}", language.pick("Run again with --yes to do this.", "加上 --yes 再次运行即可执行。"));
        return Ok(false);
    }
    super::yes(language.pick("Do this, and tell the live connections? [y/N] ", "执行，并通知已上线的连接？[y/N] "))
}
