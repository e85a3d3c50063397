//! `huiliu sync`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{automate, plan, process, pull, push};
use huiliu_core::store::meter::{self, Meter};
use huiliu_core::store::overview;
use huiliu_mappings::diagnose::suggest;

use super::{connection, runtime};
use crate::language::Language;
use crate::run::Borrowed;
use crate::{completeness, deployment, in_force, run, say};

/// Pulls a connection's streams now, processes what they bring, and sends what follows.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu sync shop\n  huiliu sync shop customers --json\n  huiliu sync shop --backfill"
)]
pub struct Args {
    /// The connection's name in huiliu.toml.
    connection: String,
    /// One of its streams; without it, all that can be pulled.
    stream: Option<String>,
    /// Read the streams from their beginning, beside the live pull: nothing newer is overwritten, and a backfill that was
    /// stopped goes on where it was.
    #[arg(long)]
    backfill: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// Where a stream is read from.
#[derive(Clone, Copy)]
enum From {
    /// Where the last pull ended.
    Cursor,
    /// Its beginning, or where an unfinished backfill stopped.
    Beginning,
}

/// What a sync did.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Done {
    pulled: usize,
    processed: usize,
    created: usize,
    changes: usize,
    reviews: usize,
    sent: usize,
    dead: usize,
    /// Records that are known to differ still: the run is not complete.
    differing: i64,
    /// Records that the brake holds back: neither is it then.
    held: i64,
    errors: Vec<String>,
}

/// Pulls, processes, plans and pushes until nothing of it waits.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let known = connection(&at.engine, &args.connection, language)?.clone();
    let mut schedule = run::schedule(&at, &known)?;
    if let Some(stream) = &args.stream {
        let names: Vec<String> = schedule.iter().map(|(name, _)| name.to_string()).collect();
        schedule.retain(|(name, _)| name.as_str() == stream);
        if schedule.is_empty() {
            let hint = suggest(stream, names.iter().map(String::as_str));
            let (system, names, hint) = (&known.system, names.join(", "), language.told(&hint));
            return Err(say!(
                language,
                "{system} cannot pull a stream `{stream}`{hint}; it pulls: {names}",
                "{system} 无法拉取数据流 `{stream}`{hint}；可拉取：{names}"
            ));
        }
    }
    if schedule.is_empty() {
        let name = &args.connection;
        return Err(say!(
            language,
            "{name} has no stream that can be pulled: it only listens, or brings files (`huiliu import`)",
            "{name} 没有可拉取的数据流：它只接收推送，或来自文件（`huiliu import`）"
        ));
    }
    in_force::enter(&at)?;
    let from = if args.backfill { From::Beginning } else { From::Cursor };
    let bar = indicatif::ProgressBar::new_spinner();
    let done = runtime()?.block_on(sync(&at.engine, &known, &schedule, from, &bar));
    bar.finish_and_clear();
    let mut done = done?;
    let mut meters = at.engine.store.read(meter::read).map_err(|error| error.to_string())?;
    let is_ours = |it: &Meter| schedule.iter().any(|(stream, _)| stream.as_str() == it.stream);
    meters.retain(|it| it.connection == args.connection && is_ours(it));
    done.differing = meters.iter().map(Meter::differing).sum();
    let now = at.engine.store.read(overview::standing).map_err(|error| error.to_string())?;
    let held = schedule.iter().map(|(stream, _)| completeness::held_back(&now, &args.connection, stream.as_str()));
    done.held = held.sum();
    if args.json {
        println!("{}", serde_json::to_string(&done).map_err(|error| error.to_string())?);
    } else {
        let Done { pulled, processed, created, changes, reviews, sent, dead, .. } = &done;
        println!(
            "{}",
            say!(
                language,
                "{pulled} pulled, {processed} processed: {created} golden records made, {changes} changes, {reviews} for \
                 review, {dead} dead letters; {sent} deliveries tried",
                "拉取 {pulled}，处理 {processed}：新建主记录 {created}，更改 {changes}，待判断 {reviews}，死信 {dead}；尝试投递 {sent}"
            )
        );
        done.errors.iter().for_each(|error| println!("{}", language.told(error)));
        let open = [completeness::open(&meters, language), completeness::held(done.held, language)];
        open.iter().flatten().for_each(|told| println!("{told}"));
    }
    Ok(if done.errors.is_empty() && done.differing + done.held == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn sync(
    engine: &Engine,
    connection: &Connection,
    schedule: &[(huiliu_core::connector::StreamName, std::time::Duration)],
    from: From,
    bar: &indicatif::ProgressBar,
) -> Result<Done, String> {
    let mut done = Done::default();
    let borrowed = Borrowed::all_free(engine, "sync")?;
    let told = |error: huiliu_core::store::StoreError| error.to_string();
    for (stream, every) in schedule {
        bar.set_message(stream.to_string());
        let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        loop {
            let pulled = match from {
                From::Cursor => pull::stream(engine, connection, stream, every_us).await,
                From::Beginning => pull::backfill(engine, connection, stream).await,
            };
            let pulled = pulled.map_err(told)?;
            let failed = pulled.error.is_some();
            done.pulled += pulled.records;
            bar.set_position(done.pulled as u64);
            done.errors.extend(pulled.error.map(|error| format!("{}/{stream}: {error}", connection.name)));
            think(engine, &mut done).await?;
            if failed || !pulled.more {
                break;
            }
        }
    }
    loop {
        let fetched = pull::fetches(engine, connection).await.map_err(told)?;
        think(engine, &mut done).await?;
        let mut sent = 0;
        for (target, mine) in borrowed.each() {
            sent += push::batch(mine, target).await.map_err(told)?;
        }
        done.sent += sent;
        if fetched + sent == 0 {
            return Ok(done);
        }
    }
}

/// Processes and plans until nothing waits.
async fn think(engine: &Engine, done: &mut Done) -> Result<(), String> {
    let here = engine.clone();
    let worked = tokio::task::spawn_blocking(move || {
        let mut worked = Done::default();
        loop {
            let batch = process::batch(&here)?;
            let (changes, _) = plan::batch(&here)?;
            if batch.items + changes + automate::batch(&here)?.0 == 0 {
                return Ok::<_, huiliu_core::store::StoreError>(worked);
            }
            worked.processed += batch.items;
            worked.created += batch.created;
            worked.changes += batch.changes;
            worked.reviews += batch.reviews;
            worked.dead += batch.dead;
        }
    });
    let worked = worked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    done.processed += worked.processed;
    done.created += worked.created;
    done.changes += worked.changes;
    done.reviews += worked.reviews;
    done.dead += worked.dead;
    Ok(())
}
