//! `huiliu reconcile`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use huiliu_core::connection::Connection;
use huiliu_core::connector::StreamName;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::reconcile::{self, Pace};
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::divergences::{Divergence, Kind, State};
use huiliu_core::store::meter::{self, Meter};
use huiliu_core::store::{overview, streams};
use huiliu_mappings::diagnose::suggest;
use serde_json::json;

use super::{connection, runtime};
use crate::language::Language;
use crate::run::Borrowed;
use crate::{completeness, deployment, say, table};

/// Compares every record of the systems with what the hub holds and owes, now; repairs what differs, and looks again.
/// `huiliu serve` does the same all the time, slowly, within a share of each quota.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu reconcile\n  huiliu reconcile shop --stream customers\n  huiliu reconcile shop --json | jq .open\n\nIt ends with status 1 while anything differs."
)]
pub struct Args {
    /// Only this connection.
    connection: Option<String>,
    /// Only this stream.
    #[arg(long)]
    stream: Option<String>,
    /// Print one JSON object: whether all is complete, the meter of each stream and field, and what is open.
    #[arg(long)]
    json: bool,
}

/// A repair that has not come through after this long is left to `huiliu serve`.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Divergences that are listed.
const SHOWN: usize = 50;

/// Divergences that are read at most.
const OPEN_MAX: i64 = 20_000;

/// Which streams of which connection a run is about.
type Chosen = (Connection, BTreeSet<StreamName>);

/// Compares, repairs, tells.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let chosen = chosen(&engine, args, language)?;
    let began_us = engine.clock.now_us();
    let bar = indicatif::ProgressBar::new_spinner();
    let errors = runtime()?.block_on(reconcile(&engine, &chosen, &bar));
    bar.finish_and_clear();
    let errors = errors?;
    let is_chosen = |name: &str, stream: &str| {
        chosen.iter().any(|(it, streams)| it.name.as_str() == name && streams.contains(&StreamName::from(stream)))
    };
    let read = engine.store.read(|tx| Ok((meter::read(tx)?, meter::open(tx, OPEN_MAX)?, overview::standing(tx)?)));
    let (mut meters, mut open, now) = read.map_err(|error| error.to_string())?;
    meters.retain(|it| is_chosen(&it.connection, &it.stream));
    open.retain(|it| is_chosen(&it.connection, &it.stream));
    let streams =
        chosen.iter().flat_map(|(it, streams)| streams.iter().map(|stream| (it.name.as_str(), stream.as_str())));
    let held: i64 = streams.map(|(name, stream)| completeness::held_back(&now, name, stream)).sum();
    let is_whole = |it: &Meter| it.is_complete() && it.last_us.is_some_and(|ended_us| ended_us >= began_us);
    let is_complete = errors.is_empty() && open.is_empty() && held == 0 && meters.iter().all(is_whole);
    if args.json {
        println!(
            "{}",
            json!({ "complete": is_complete, "streams": meters, "open": open, "held": held, "errors": errors })
        );
    } else {
        print!("{}", completeness::table(&meters, completeness::Detail::Fields, language));
        print!("{}", listed(&open, language));
        for error in &errors {
            println!("{}", language.told(error));
        }
        if let Some(told) = completeness::held(held, language) {
            println!("{told}");
        }
        println!("{}", verdict(is_complete, &meters, language));
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(engine: &Engine, args: &Args, language: Language) -> Result<Vec<Chosen>, String> {
    let connections = match &args.connection {
        Some(name) => vec![connection(engine, name, language)?],
        None => engine.connections.values().collect(),
    };
    let mut chosen = Vec::new();
    let mut names = BTreeSet::new();
    for connection in connections {
        let mut streams = reconcile::streams_of(connection);
        names.extend(streams.iter().map(ToString::to_string));
        streams.retain(|it| args.stream.as_ref().is_none_or(|wanted| it.as_str() == wanted));
        if !streams.is_empty() {
            chosen.push((connection.clone(), streams.into_iter().collect()));
        }
    }
    match (&args.stream, chosen.is_empty()) {
        (_, false) => Ok(chosen),
        (Some(stream), true) => {
            let hint = language.told(&suggest(stream, names.iter().map(String::as_str)));
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            Err(say!(
                language,
                "no stream `{stream}` can be compared{hint}; there are: {names}",
                "没有可比对的数据流 `{stream}`{hint}；现有：{names}"
            ))
        }
        (None, true) => Err(language
            .pick(
                "nothing can be compared: no connection has a stream that can be listed or read",
                "没有可比对的内容：没有任何连接的数据流可以列出或读取",
            )
            .to_owned()),
    }
}

/// One whole round over each stream, with everything that follows from it. The answer is what went wrong.
async fn reconcile(engine: &Engine, chosen: &[Chosen], bar: &indicatif::ProgressBar) -> Result<Vec<String>, String> {
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    let borrowed = Borrowed::all_free(engine, "reconcile")?;
    for (connection, streams) in chosen {
        for stream in streams {
            reconcile::begin(engine, connection, stream).map_err(told)?;
        }
    }
    follow(engine, &borrowed).await?;
    let (mut errors, mut moved, mut compared) = (Vec::new(), Instant::now(), 0);
    loop {
        let mut next_us = None;
        for (connection, streams) in chosen {
            let done = reconcile::batch(engine, connection, &Pace::Now(streams.clone())).await.map_err(told)?;
            compared += done.records;
            bar.set_message(connection.name.to_string());
            bar.set_position(compared as u64);
            if let Some(error) = done.error {
                errors.push(format!("{}: {error}", connection.name));
                continue;
            }
            if done.records + done.confirmed + done.repaired > 0 {
                moved = Instant::now();
            }
            if done.wakes {
                pull_due(engine, connection, streams).await?;
                follow(engine, &borrowed).await?;
            }
            next_us = [next_us, done.next_us].into_iter().flatten().min();
        }
        let wait_us = next_us.map_or(i64::MAX, |next| next - engine.clock.now_us());
        let wait = Duration::from_micros(u64::try_from(wait_us).unwrap_or(0));
        // What is due in hours is the next round, or needs a person.
        if wait > WAIT_MAX || moved.elapsed() > WAIT_MAX || !errors.is_empty() {
            return Ok(errors);
        }
        tokio::time::sleep(wait).await;
        if !wait.is_zero() {
            follow(engine, &borrowed).await?;
        }
    }
}

/// Pulls what a repair brought forward.
async fn pull_due(engine: &Engine, connection: &Connection, wanted: &BTreeSet<StreamName>) -> Result<(), String> {
    let known = engine.store.read(streams::all).map_err(|error| error.to_string())?;
    for stream in wanted {
        let key = (connection.name.as_str().to_owned(), stream.as_str().to_owned());
        let now_us = engine.clock.now_us();
        if known.get(&key).is_some_and(|state| state.due_us <= now_us && !state.stopped) {
            /// The schedule of `huiliu serve` is its own: this only keeps the pull from being due at once.
            const EVERY_US: i64 = 60_000_000;
            pull::stream(engine, connection, stream, EVERY_US).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Fetches, processes, plans and pushes until nothing of it is due.
async fn follow(engine: &Engine, borrowed: &Borrowed) -> Result<(), String> {
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    loop {
        let mut moved = 0;
        for connection in engine.connections.values() {
            moved += pull::fetches(engine, connection).await.map_err(told)?;
        }
        let here = engine.clone();
        let thought = tokio::task::spawn_blocking(move || Ok(process::batch(&here)?.items + plan::batch(&here)?.0));
        moved += thought.await.map_err(|error| error.to_string())?.map_err(told)?;
        for (connection, mine) in borrowed.each() {
            moved += push::batch(mine, connection).await.map_err(told)?;
        }
        if moved == 0 {
            return Ok(());
        }
    }
}

fn listed(open: &[Divergence], language: Language) -> String {
    if open.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = open
        .iter()
        .take(SHOWN)
        .map(|one| {
            let fields: Vec<&str> = one.fields.iter().map(huiliu_mappings::value::FieldName::as_str).collect();
            let reason = one.reason.as_deref().map(|reason| language.told(reason)).unwrap_or_default();
            vec![
                format!("{}/{}/{}", one.connection, one.stream, one.external_id),
                kind(one.kind, language).to_owned(),
                fields.join(", "),
                state(one.state, language).to_owned(),
                reason,
            ]
        })
        .collect();
    let heads = match language {
        Language::En => ["Record", "Difference", "Fields", "State", "Note"],
        Language::Zh => ["记录", "差异", "字段", "状态", "说明"],
    };
    let mut text = format!("\n{}", table::columns(&heads, &rows));
    if open.len() > SHOWN {
        let more = open.len() - SHOWN;
        text += &say!(language, "and {more} more: --json shows all\n", "另有 {more} 条：用 --json 查看全部\n");
    }
    text
}

fn kind(kind: Kind, language: Language) -> &'static str {
    match kind {
        Kind::Unseen => language.pick("the hub never saw it", "汇流从未收到"),
        Kind::Vanished => language.pick("the system does not show it any more", "对方系统已不再显示"),
        Kind::Missed => language.pick("an edit was missed", "漏掉了修改"),
        Kind::Uncreated => language.pick("it should be there and was not created", "应在对方新建但未新建"),
        Kind::Undelivered => language.pick("a value was not delivered", "有值未送达"),
    }
}

fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Suspected => language.pick("checking", "核实中"),
        State::Repairing => language.pick("repairing", "修复中"),
        State::Stuck => language.pick("needs a person", "需要人工处理"),
        State::Repaired => language.pick("repaired", "已修复"),
    }
}

fn verdict(is_complete: bool, meters: &[Meter], language: Language) -> String {
    let compared: i64 = meters.iter().map(|it| it.compared).sum();
    let repaired: i64 = meters.iter().map(|it| it.repaired).sum();
    if is_complete {
        return say!(
            language,
            "\nComplete: {compared} records compared, all the same; {repaired} were repaired lately.",
            "\n完整：已比对 {compared} 条记录，全部一致；近期修复 {repaired} 条。"
        );
    }
    language
        .pick(
            "\nNot complete yet: `huiliu serve` goes on comparing and repairing; `huiliu status` shows how far it is.",
            "\n尚不完整：`huiliu serve` 会继续比对和修复；`huiliu status` 可查看进度。",
        )
        .to_owned()
}
