//! What must hold under load: memory stays, and nothing that was acknowledged is lost, whatever ends the hub.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use huiliu_core::store::{Store, inbox};

use crate::load::{Load, dribble, event_id};
use crate::open::Open;
use crate::process::Child;
use crate::servers::{self, Server};
use crate::text;

/// Connections of the load under which the hub is killed.
const CONNECTIONS: usize = 64;

/// Loads the hub and prints, each tenth of the time, how fast it answers and what it holds.
pub async fn soak(seconds: u64, connections: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(Server::Hub, folder.path())?;
    let child = Child::start(Server::Hub, folder.path(), None)?;
    let mut load = Load::new(child.port, connections, 0);
    load.start(0).await?;
    println!("{:>8}{:>10}{:>10}{:>12}", "seconds", "acks/s", "CPU us", "RSS MiB");
    let stretch = Duration::from_secs_f64(seconds_of(seconds) / 10.0);
    let (mut done, mut used) = (0, child.used());
    for tenth in 1..=10_u32 {
        tokio::time::sleep(stretch).await;
        let (now, after) = (load.done(), child.used());
        let acks = seconds_of(now - done);
        println!(
            "{:>8.0}{:>10.0}{:>10.1}{:>12.1}",
            (stretch * tenth).as_secs_f64(),
            acks / stretch.as_secs_f64(),
            seconds_of(after.cpu_us - used.cpu_us) / acks,
            after.rss_mib
        );
        (done, used) = (now, after);
    }
    let tally = load.stop().await?;
    let told = (tally.refused, tally.odd);
    drop(child);
    lost(folder.path(), tally.acknowledged)?;
    if told.0 == 0 && told.1.is_empty() { Ok(()) } else { Err(format!("{} refused, {}", told.0, told.1)) }
}

/// A count as a number to divide by.
#[allow(clippy::cast_precision_loss)]
fn seconds_of(count: u64) -> f64 {
    count as f64
}

/// Kills the hub under load, again and again over one store.
pub async fn kill(times: u32) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(Server::Hub, folder.path())?;
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for time in 0..times {
        let mut child = Child::start(Server::Hub, folder.path(), None)?;
        let mut load = Load::new(child.port, CONNECTIONS, 5);
        load.start(next).await?;
        // Each time at another moment of a group's way.
        tokio::time::sleep(Duration::from_micros(1_000_000 + u64::from(time) * 1_717)).await;
        child.kill()?;
        next = load.next();
        acknowledged.extend(load.stop().await?.acknowledged);
    }
    println!("killed {times} times");
    lost(folder.path(), acknowledged)
}

/// More connections than the hub has places for: it must say so, keep its memory, and lose nothing.
pub async fn flood(connections: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(Server::Hub, folder.path())?;
    let child = Child::start(Server::Hub, folder.path(), None)?;
    let mut load = Load::new(child.port, connections, 0);
    load.start(0).await?;
    let mut done = load.done();
    println!("{:>8}{:>10}{:>12}", "seconds", "acks/s", "RSS MiB");
    for second in (2..=10).step_by(2) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = load.done();
        println!("{second:>8}{:>10}{:>12.1}", (now - done) / 2, child.used().rss_mib);
        done = now;
    }
    let tally = load.stop().await?;
    println!("{} were told to come again later, {}", tally.refused, tally.odd);
    drop(child);
    lost(folder.path(), tally.acknowledged)
}

/// Connections of an overload: more than calls may wait.
const OVERLOADED: usize = 8000;

/// Four times as many events a second as the hub takes, sent when they are due, over whichever connection is free: it must say
/// so, keep its memory, and lose nothing.
pub async fn overload(seconds: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(Server::Hub, folder.path())?;
    let child = Child::start(Server::Hub, folder.path(), None)?;
    let mut load = Load::new(child.port, CONNECTIONS, 0);
    load.start(0).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = load.done();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sustained = (load.done() - before) / 3;
    // Far behind those that are on their way yet.
    let first = load.next() + 1_000_000;
    let mut all = load.stop().await?.acknowledged;
    println!("{sustained} acks/s over {CONNECTIONS} connections; four times that for {seconds} s");
    let open = Open::start(child.port, OVERLOADED, 4.0 * seconds_of(sustained), first).await?;
    println!("{:>8}{:>12}{:>8}{:>10}{:>10}{:>12}", "seconds", "answers/s", "times", "acks/s", "again/s", "RSS MiB");
    let mut before = open.answered();
    for second in 1..=seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = open.answered();
        let [kept, again] = [now[0] - before[0], now[1] - before[1]];
        let (answers, rss) = (kept + again, child.used().rss_mib);
        let times = seconds_of(answers) / seconds_of(sustained);
        println!("{second:>8}{answers:>12}{times:>8.1}{kept:>10}{again:>10}{rss:>12.1}");
        before = now;
    }
    let mut tally = open.stop().await?;
    tally.took_us.sort_unstable();
    let p99_us = tally.took_us.get(tally.took_us.len() * 99 / 100).copied().unwrap_or(0);
    println!("{} told to come again later, {}, p99 of the kept {} ms", tally.refused, tally.odd, p99_us / 1000);
    drop(child);
    all.extend(tally.acknowledged);
    lost(folder.path(), all)
}

/// Connections that say a head byte by byte: they must be let go, keep nobody out, and not grow its memory.
pub async fn slow(connections: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(Server::Hub, folder.path())?;
    let child = Child::start(Server::Live, folder.path(), None)?;
    let mut load = Load::new(child.port, 8, 0);
    load.start(0).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut done = load.done();
    println!("{:>8}{:>10}{:>12}", "slow", "acks/s", "RSS MiB");
    println!("{:>8}{:>10}{:>12.1}", 0, done / 2, child.used().rss_mib);
    let mut slow = tokio::task::JoinSet::new();
    (0..connections).for_each(|_| drop(slow.spawn(dribble(child.port))));
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        while let Some(ended) = slow.try_join_next() {
            ended.map_err(text)??;
        }
        let now = load.done();
        println!("{:>8}{:>10}{:>12.1}", slow.len(), now - done, child.used().rss_mib);
        done = now;
    }
    let tally = load.stop().await?;
    println!("{} told to come again later, {}", tally.refused, tally.odd);
    let left = slow.len();
    drop(child);
    lost(folder.path(), tally.acknowledged)?;
    if left == 0 { Ok(()) } else { Err(format!("{left} slow connections are still there")) }
}

/// Looks for every acknowledged event in the inbox.
fn lost(folder: &Path, acknowledged: Vec<u64>) -> Result<(), String> {
    let store = Store::open(&format!("sqlite:{}", folder.join("data/huiliu.db").display())).map_err(text)?;
    let (mut kept, mut twice, mut position) = (BTreeSet::new(), 0, 0);
    loop {
        let items = store.read(|tx| inbox::after(tx, position, 1000)).map_err(text)?;
        let Some(last) = items.last() else { break };
        position = last.position;
        for item in items {
            let headers: Vec<(String, String)> =
                serde_json::from_str(item.headers.as_deref().unwrap_or_default()).map_err(text)?;
            let event = headers.into_iter().find(|(name, _)| name == "x-shopify-event-id").map(|it| it.1);
            twice += u64::from(!kept.insert(event.unwrap_or_default()));
        }
    }
    let acknowledged: BTreeSet<u64> = acknowledged.into_iter().collect();
    let missing = acknowledged.iter().filter(|number| !kept.contains(&event_id(**number))).count();
    println!("{} events acknowledged, {} kept, {missing} lost, {twice} kept twice", acknowledged.len(), kept.len());
    if missing == 0 && twice == 0 { Ok(()) } else { Err("events were lost or kept twice".to_owned()) }
}
