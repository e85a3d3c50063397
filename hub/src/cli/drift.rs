//! `huiliu drift`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::drift::{self, Finding, Kind, Part, Redriven, Shown, State};
use huiliu_core::store::{StoreError, drifts};
use serde_json::json;

use super::steward::By;
use crate::deployment::{self, Deployment};
use crate::language::Language;
use crate::{say, table};

/// Shows where systems changed the form of their records, what waits because of it, and runs that again.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu drift\n  huiliu drift --all --json\n  huiliu drift show 3\n  huiliu drift retry\n  huiliu drift accept 3 --why 'the field is gone for good'"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists findings, oldest first; the same as no word at all.
    List(List),
    /// Shows one finding, what waits for it, and the line of the mapping to mend.
    Show(Show),
    /// Runs what waits again where the mapping was mended; `huiliu serve` does so when it starts.
    Retry(Retry),
    /// Takes the new form as it is; what waits runs again.
    Accept(Accept),
}

/// Which findings are listed.
#[derive(clap::Args)]
struct List {
    /// Those that are over, too.
    #[arg(long)]
    all: bool,
    /// How many are listed at most.
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The finding that is shown.
#[derive(clap::Args)]
struct Show {
    /// Its number.
    number: i64,
    /// How many waiting records are shown at most.
    #[arg(long, default_value_t = 10)]
    limit: i64,
    /// Print one JSON object: the finding, and the records that wait.
    #[arg(long)]
    json: bool,
}

/// How the end is told.
#[derive(clap::Args)]
struct Retry {
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// The finding that is accepted.
#[derive(clap::Args)]
struct Accept {
    /// Its number.
    number: i64,
    #[command(flatten)]
    by: By,
}

/// Lists, shows, runs again or accepts.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    match &args.action {
        None => list(&at, &args.list, language),
        Some(Action::List(asked)) => list(&at, asked, language),
        Some(Action::Show(asked)) => show(&at, asked, language),
        Some(Action::Retry(asked)) => {
            let done = drift::redrive(&at.engine).map_err(|error| error.to_string())?;
            told(&done, asked.json, language)
        }
        Some(Action::Accept(asked)) => {
            let done = drift::accept(&at.engine, asked.number, asked.by.steward());
            let done = done.map_err(|error| match error {
                StoreError::Refused => missing(asked.number, language),
                error => error.to_string(),
            })?;
            told(&done, false, language)
        }
    }
}

fn missing(number: i64, language: Language) -> String {
    say!(
        language,
        "no finding {number} waits; `huiliu drift` lists those that do",
        "没有编号为 {number} 的待处理变化；`huiliu drift` 可列出全部"
    )
}

fn list(at: &Deployment, asked: &List, language: Language) -> Result<ExitCode, String> {
    let read = at.engine.store.read(|tx| {
        let found = if asked.all { drifts::recent(tx, asked.limit)? } else { drifts::open(tx)? };
        Ok((found, drifts::waiting_counts(tx)?))
    });
    let (mut found, waiting) = read.map_err(|error| error.to_string())?;
    found.sort_by_key(|one| one.number);
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    let count = |one: &Finding| waiting.get(&one.number).copied().unwrap_or(0);
    if asked.json {
        for one in &found {
            println!("{}", json!({"finding": one, "waiting": count(one)}));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| {
            vec![
                one.number.to_string(),
                format!("{}/{}", one.connection, one.lens),
                language.told(&one.sentence()),
                one.policy.as_str().to_owned(),
                count(one).to_string(),
                state(one.state, language).to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        println!("{}", language.pick("No system changed the form of its records.", "没有系统改变记录的格式。"));
        return Ok(ExitCode::SUCCESS);
    }
    let heads = match language {
        Language::En => ["Number", "Records", "Found", "Policy", "Waiting", "State"],
        Language::Zh => ["编号", "记录", "变化", "策略", "等待", "状态"],
    };
    print!("{}", table::columns(&heads, &rows));
    println!(
        "{}",
        language.pick(
            "More about one: `huiliu drift show NUMBER`. Once the mapping is mended: `huiliu drift retry`.",
            "查看详情：`huiliu drift show 编号`。修正映射后：`huiliu drift retry`。"
        )
    );
    Ok(ExitCode::SUCCESS)
}

fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Open => language.pick("open", "待处理"),
        State::Noted => language.pick("taken", "已接受（按策略）"),
        State::Accepted => language.pick("accepted", "已接受"),
        State::Back => language.pick("as before again", "已恢复原样"),
        State::Mended => language.pick("mended", "已修正"),
    }
}

fn show(at: &Deployment, asked: &Show, language: Language) -> Result<ExitCode, String> {
    let read = drift::shown(&at.engine, asked.number, asked.limit).map_err(|error| error.to_string())?;
    let Some((finding, rows)) = read else { return Err(missing(asked.number, language)) };
    if asked.json {
        println!("{}", json!({"finding": finding, "waiting": rows}));
        return Ok(ExitCode::SUCCESS);
    }
    let (number, connection, lens) = (finding.number, &finding.connection, &finding.lens);
    let what = language.told(&finding.sentence());
    let state = state(finding.state, language);
    println!("{number} {connection}/{lens}: {what} ({state}, {})", finding.policy.as_str());
    if !finding.detail.fields.is_empty() {
        let fields = finding.detail.fields.join(", ");
        println!("{}", say!(language, "  it is read as {fields}", "  读作 {fields}"));
    }
    if let Some((alike, of)) = finding.detail.alike.filter(|(_, of)| *of > 0) {
        println!(
            "{}",
            say!(
                language,
                "  {alike} of {of} compared records show the same value there",
                "  比较的 {of} 条记录中有 {alike} 条在该处的值相同"
            )
        );
    }
    if finding.state == State::Open {
        println!("  {}", advice(at, &finding, language));
    }
    for row in &rows {
        println!("  {}", line(row, language));
    }
    Ok(ExitCode::SUCCESS)
}

/// What to write where.
fn advice(at: &Deployment, finding: &Finding, language: Language) -> String {
    let system = at.engine.connections.get(&finding.connection).map_or("", |it| it.system.as_str());
    let (lens, place, number) = (&finding.lens, &finding.place, finding.number);
    let file = match at.config.connections.get(&finding.connection).and_then(|it| it.mapping.clone()) {
        Some(own) => own,
        None => format!("mappings/{system}.toml"),
    };
    match (finding.kind, &finding.detail.suggestion) {
        (Kind::Vanished, Some(to)) => say!(
            language,
            "mend [{lens}] in {file}: write \"{to}\" where it says \"{place}\", then `huiliu drift retry`",
            "修正 {file} 中的 [{lens}]：把 \"{place}\" 改为 \"{to}\"，然后运行 `huiliu drift retry`"
        ),
        (Kind::Vanished, None) => say!(
            language,
            "mend [{lens}] in {file}, which reads \"{place}\", then `huiliu drift retry`; if it is gone for good: `huiliu \
             drift accept {number} --why …`",
            "修正 {file} 中读取 \"{place}\" 的 [{lens}]，然后运行 `huiliu drift retry`；若确已取消：`huiliu drift accept {number} \
             --why …`"
        ),
        (Kind::UnknownValue, _) => say!(
            language,
            "add the value to `values` at \"{place}\" of [{lens}] in {file}, then `huiliu drift retry`",
            "在 {file} 的 [{lens}] 中把该值加入 \"{place}\" 的 `values`，然后运行 `huiliu drift retry`"
        ),
        (Kind::Retyped, _) => say!(
            language,
            "mend what reads \"{place}\" of [{lens}] in {file}, then `huiliu drift retry`",
            "修正 {file} 的 [{lens}] 中读取 \"{place}\" 的规则，然后运行 `huiliu drift retry`"
        ),
        (Kind::Refused, _) => say!(
            language,
            "map a field to \"{place}\" of [{lens}] in {file}, then `huiliu drift retry`",
            "在 {file} 的 [{lens}] 中把一个字段写到 \"{place}\"，然后运行 `huiliu drift retry`"
        ),
    }
}

/// A record that waits: its name, what waits, what stands at the place, and the record.
fn line(row: &Shown, language: Language) -> String {
    const CHARS_MAX: usize = 200;
    let part = match row.parked.part {
        Part::Row => language.pick("the record waits", "整条记录等待"),
        Part::Value => language.pick("the value waits", "该值等待"),
        Part::Delivery => language.pick("the delivery waits", "投递等待"),
    };
    let value = row.value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
    let body = row.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let cut: String = body.chars().take(CHARS_MAX).collect();
    let more = if cut.len() < body.len() { "…" } else { "" };
    format!("{}: {part}{value}\n    {cut}{more}", row.parked.key)
}

fn told(done: &Redriven, is_json: bool, language: Language) -> Result<ExitCode, String> {
    if is_json {
        println!("{}", serde_json::to_string(done).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    let Redriven { findings, rows, values, deliveries, superseded, not_kept, left } = done;
    println!(
        "{}",
        say!(
            language,
            "{findings} finding(s) over: {rows} record(s) processed again, {values} value(s) taken in, {deliveries} \
             delivery(ies) planned anew; {superseded} had something newer",
            "{findings} 项变化已了结：重新处理 {rows} 条记录，补入 {values} 个值，重新规划 {deliveries} 条投递；{superseded} 条已有更新的内容"
        )
    );
    if *left > 0 || *not_kept > 0 {
        println!(
            "{}",
            say!(
                language,
                "{left} go on waiting: today's mapping cannot read them either; {not_kept} are no longer kept",
                "{left} 条继续等待：当前映射仍无法读取；{not_kept} 条已不再保存"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}
