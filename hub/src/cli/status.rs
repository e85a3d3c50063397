//! `huiliu status`.

mod nodes;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::State;
use huiliu_core::store::brakes::{Caught, Kind};
use huiliu_core::store::leases::{self, NodeRow};
use huiliu_core::store::overview::{self, Overview};
use huiliu_core::store::streams::{self, StreamState};
use serde_json::{Value, json};

use super::intake;
use crate::deployment::{self, Deployment};
use crate::language::Language;
use crate::{completeness, say, table};

/// Shows connections, streams, what waits, and what needs a person.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu status\n  huiliu status --json | jq .dead_letters")]
pub struct Args {
    /// Print one JSON object: connections, streams, deliveries, completeness, dead_letters, nodes, and what waits.
    #[arg(long)]
    json: bool,
}

/// Reads and prints.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let read = at.engine.store.read(|tx| Ok((overview::read(tx)?, streams::clock_offsets(tx)?, leases::nodes(tx)?)));
    let (now, offsets, all) = read.map_err(|error| error.to_string())?;
    if args.json {
        println!("{}", as_json(&at, &now, &offsets, &all));
    } else {
        print!("{}", connections(&at, &now, language));
        print!("{}", clocks(&offsets, language));
        print!("{}", streams(&at, &now, language));
        print!("{}", brakes(&now, language));
        print!("{}", deliveries(&now, language));
        print!("{}", compared(&now, language));
        print!("{}", nodes::nodes(&all, language));
        print!("{}", waiting(&now, language));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(at: &Deployment, now: &Overview, offsets: &BTreeMap<String, i64>, nodes: &[NodeRow]) -> Value {
    let ahead_seconds = |name: &String| offsets.get(name).copied().unwrap_or(0) / 1_000_000;
    let system = |name: &str| at.engine.connections.get(name).map(|connection| connection.system.clone());
    let connections: Vec<Value> = now
        .connections
        .iter()
        .map(|(name, state, reason)| {
            json!({"connection": name, "system": system(name), "state": state, "reason": reason,
                "clock_ahead_seconds": ahead_seconds(name)})
        })
        .collect();
    let streams: Vec<Value> = now
        .streams
        .iter()
        .map(|(connection, stream, state)| json!({"connection": connection, "stream": stream, "state": state}))
        .collect();
    let deliveries: Vec<Value> = now
        .deliveries
        .iter()
        .map(|(connection, state, count)| json!({"connection": connection, "state": state, "count": count}))
        .collect();
    let letters: Vec<Value> =
        now.dead_letters.iter().map(|(stage, count)| json!({"stage": stage, "count": count})).collect();
    let drift: Vec<Value> = now
        .drift
        .iter()
        .map(|(connection, findings, waiting)| json!({"connection": connection, "findings": findings, "waiting": waiting}))
        .collect();
    json!({
        "store": at.engine.store.kind(),
        "nodes": nodes,
        "connections": connections,
        "streams": streams,
        "deliveries": deliveries,
        "dead_letters": letters,
        "brakes": now.brakes,
        "intake": now.logs.iter().map(intake::as_json).collect::<Vec<_>>(),
        "inbox_waiting": now.inbox_waiting,
        "changes_waiting": now.changes_waiting,
        "fetches_waiting": now.fetches_waiting,
        "reviews_waiting": now.reviews_waiting,
        "completeness": now.meters,
        "drift": drift,
    })
}

fn connections(at: &Deployment, now: &Overview, language: Language) -> String {
    let rows: Vec<Vec<String>> = now
        .connections
        .iter()
        .map(|(name, state, reason)| {
            let known = at.engine.connections.get(name);
            let system = known.map_or("-", |connection| connection.system.as_str());
            let note = match (known, state, reason) {
                (None, ..) => language.pick("not in huiliu.toml", "不在 huiliu.toml 中").to_owned(),
                (Some(_), State::Paused, reason) => {
                    let reason = language.told(reason.as_deref().unwrap_or_default());
                    say!(
                        language,
                        "{reason}; mend it, then `huiliu connect {name}`",
                        "{reason}；修复后运行 `huiliu connect {name}`"
                    )
                }
                (Some(it), ..) if it.connector.is_none() => {
                    language.pick("a source of files: `huiliu import`", "文件来源：`huiliu import`").to_owned()
                }
                (Some(it), ..) if !it.writes => {
                    language.pick("writes = false: it is only read", "writes = false：只读").to_owned()
                }
                (Some(_), State::Observing, _) => {
                    say!(
                        language,
                        "writes nothing until `huiliu go-live {name}`",
                        "运行 `huiliu go-live {name}` 之前不写入"
                    )
                }
                (Some(_), State::Live, _) => String::new(),
            };
            vec![name.clone(), system.to_owned(), state_word(*state, language).to_owned(), note]
        })
        .collect();
    let heads = match language {
        Language::En => ["Connection", "System", "State", "Note"],
        Language::Zh => ["连接", "系统", "状态", "说明"],
    };
    table::columns(&heads, &rows)
}

/// The systems whose clocks are off, and by how much.
fn clocks(offsets: &BTreeMap<String, i64>, language: Language) -> String {
    let mut text = String::new();
    for (name, offset_us) in offsets.iter().filter(|(_, offset_us)| **offset_us != 0) {
        let seconds = offset_us.abs() / 1_000_000;
        text += &if *offset_us > 0 {
            say!(
                language,
                "the clock of {name} is {seconds} s ahead; its stamps are corrected\n",
                "{name} 的时钟快 {seconds} 秒；其时间戳已校正\n"
            )
        } else {
            say!(
                language,
                "the clock of {name} is {seconds} s behind; its stamps are corrected\n",
                "{name} 的时钟慢 {seconds} 秒；其时间戳已校正\n"
            )
        };
    }
    text
}

/// The state in words.
pub(super) fn state_word(state: State, language: Language) -> &'static str {
    match state {
        State::Observing => language.pick("observing", "观察中"),
        State::Live => language.pick("live", "已上线"),
        State::Paused => language.pick("paused", "已暂停"),
    }
}

fn streams(at: &Deployment, now: &Overview, language: Language) -> String {
    if now.streams.is_empty() {
        return String::new();
    }
    let now_us = at.engine.clock.now_us();
    let rows: Vec<Vec<String>> = now
        .streams
        .iter()
        .map(|(connection, stream, state)| {
            let last =
                state.ok_us.map_or_else(|| language.pick("never", "从未").to_owned(), |us| ago(now_us - us, language));
            vec![
                format!("{connection}/{stream}"),
                state.records.to_string(),
                last,
                trouble(state, connection, stream, language),
            ]
        })
        .collect();
    let heads = match language {
        Language::En => ["Stream", "Records", "Last pull", "Note"],
        Language::Zh => ["数据流", "记录数", "上次拉取", "说明"],
    };
    format!("\n{}", table::columns(&heads, &rows))
}

/// What is held back, and what to do about it.
fn brakes(now: &Overview, language: Language) -> String {
    let lines = now.brakes.iter().map(|caught| {
        let Caught { connection, stream, kind, held, of_links, .. } = caught;
        let what = match kind {
            Kind::Missing => language.pick("would be gone", "被删除"),
            Kind::Changing => language.pick("would change", "变化"),
        };
        say!(
            language,
            "\n{connection}/{stream}: {held} of {of_links} records {what} at once; they are held back and nothing is passed \
             on.\n  huiliu review held {connection} {stream}            # shows them\n  huiliu review release {connection} \
             {stream} --why …  # lets them in\n  huiliu review dismiss {connection} {stream} --why …  # forgets them\n",
            "\n{connection}/{stream}：{of_links} 条记录中有 {held} 条同时{what}；已暂缓，未向其他系统传递。\n  huiliu review held \
             {connection} {stream}            # 查看\n  huiliu review release {connection} {stream} --why …  # 放行\n  huiliu \
             review dismiss {connection} {stream} --why …  # 丢弃\n"
        )
    });
    lines.collect()
}

fn trouble(state: &StreamState, connection: &str, stream: &str, language: Language) -> String {
    if let Some(brake) = state.brake {
        let (missing, open) = (brake.missing, brake.open);
        return say!(
            language,
            "a scan missed {missing} of {open} records and closed none; if they are gone: `huiliu review release {connection} \
             {stream} --why …`",
            "扫描少了 {open} 条中的 {missing} 条，未删除任何一条；若确已删除：`huiliu review release {connection} {stream} --why …`"
        );
    }
    if let Some(finding) = state.drift {
        return say!(
            language,
            "stopped: its records changed their form: `huiliu drift show {finding}`",
            "已停止：其记录的格式发生了变化：`huiliu drift show {finding}`"
        );
    }
    let waits = state.held.is_some() && state.read_to.is_none();
    let Some(error) = state.error.as_deref().map(|error| language.told(error)) else {
        let told = language.pick("creates wait for the first complete read", "新建操作等待首次完整读取");
        return if waits { told.to_owned() } else { String::new() };
    };
    if state.stopped {
        say!(
            language,
            "stopped: {error}; once mended, `huiliu sync {connection} {stream}`",
            "已停止：{error}；修复后运行 `huiliu sync {connection} {stream}`"
        )
    } else {
        let failures = state.failures;
        say!(language, "failed {failures} time(s), tried again: {error}", "失败 {failures} 次，将重试：{error}")
    }
}

fn ago(us: i64, language: Language) -> String {
    let seconds = us.max(0) / 1_000_000;
    let (count, en, zh) = match seconds {
        0..60 => (seconds, "s", "秒"),
        60..3600 => (seconds / 60, "min", "分钟"),
        3600..172_800 => (seconds / 3600, "h", "小时"),
        _ => (seconds / 86_400, "days", "天"),
    };
    say!(language, "{count} {en} ago", "{count} {zh}前")
}

fn deliveries(now: &Overview, language: Language) -> String {
    if now.deliveries.is_empty() {
        return String::new();
    }
    let count = |name: &str, state: &str| {
        let found = now.deliveries.iter().find(|(connection, known, _)| connection == name && known == state);
        found.map_or(0, |(_, _, count)| *count).to_string()
    };
    let mut names: Vec<&str> = now.deliveries.iter().map(|(name, ..)| name.as_str()).collect();
    names.dedup();
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| vec![(*name).to_owned(), count(name, "pending"), count(name, "sending"), count(name, "dead")])
        .collect();
    let heads = match language {
        Language::En => ["Deliveries to", "Waiting", "Sending", "Dead"],
        Language::Zh => ["投递目标", "等待", "发送中", "失败"],
    };
    format!("\n{}", table::columns(&heads, &rows))
}

fn compared(now: &Overview, language: Language) -> String {
    let table = completeness::table(&now.meters, completeness::Detail::Streams, language);
    if table.is_empty() { table } else { format!("\n{table}") }
}

fn waiting(now: &Overview, language: Language) -> String {
    let letters: i64 = now.dead_letters.iter().map(|(_, count)| count).sum();
    let Overview { inbox_waiting, changes_waiting, fetches_waiting, reviews_waiting, .. } = now;
    let mut text = say!(
        language,
        "\nWaiting: {inbox_waiting} in the inbox, {changes_waiting} to plan, {fetches_waiting} to fetch\n",
        "\n等待：收件箱 {inbox_waiting}，待规划 {changes_waiting}，待获取 {fetches_waiting}\n"
    );
    for state in &now.logs {
        text += &intake::line(state, language);
    }
    if letters > 0 {
        text += &say!(
            language,
            "{letters} dead letter(s) need a person: `huiliu dead-letters`\n",
            "{letters} 条死信需要人工处理：`huiliu dead-letters`\n"
        );
    }
    for (connection, findings, waiting) in &now.drift {
        text += &say!(
            language,
            "{connection} changed the form of its records: {findings} finding(s), {waiting} waiting: `huiliu drift`\n",
            "{connection} 的记录格式发生变化：{findings} 项，{waiting} 条等待：`huiliu drift`\n"
        );
    }
    if *reviews_waiting > 0 {
        text += &say!(
            language,
            "{reviews_waiting} record(s) wait for a steward: `huiliu review`\n",
            "{reviews_waiting} 条记录等待人工判断：`huiliu review`\n"
        );
    }
    let stopped = now.logs.iter().any(|it| it.trouble.is_some());
    if letters == 0 && *reviews_waiting == 0 && now.drift.is_empty() && !stopped {
        text += language.pick("Nothing needs a person.\n", "没有需要人工处理的事项。\n");
    }
    text
}
