//! Several nodes on one Postgres store: the real program, three times, killed and stopped under load. Signed events come in at
//! whichever node answers, and a receiver notes what reaches it: none is lost, none takes effect twice, and what is said
//! about one person arrives in order.
//!
//! Each test is short by default. `HUILIU_NODES_SECONDS=600 cargo test --release -p huiliu-hub --test nodes killed -- --nocapture`
//! kills for ten minutes; figures are printed.

mod cluster;
#[path = "../cli/kit.rs"]
#[allow(dead_code)] // The tests of the command line use the rest.
mod kit;
mod load;
mod target;

use std::time::{Duration, Instant};

use cluster::Cluster;
use load::Load;

/// People about whom something is said, so that each is spoken of again and again.
const PEOPLE: u32 = 40;

/// A lease ends after six seconds, and others look each two; the rest is for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);

fn seconds(given: u64) -> Duration {
    let wanted = std::env::var("HUILIU_NODES_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(wanted.unwrap_or(given))
}

#[test]
fn killed_every_ten_seconds_three_nodes_lose_nothing_and_do_nothing_twice() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::begin(&cluster, PEOPLE, Duration::from_millis(20));
    let (begun, lasts) = (Instant::now(), seconds(32));
    let mut kills = 0;
    while begun.elapsed() < lasts {
        std::thread::sleep(Duration::from_secs(9));
        // Whoever computes meaning, and the others in turn.
        let victim = if kills % 2 == 0 { cluster.holder("meaning") } else { Some(kills / 2 % 3) };
        cluster.kill(victim.unwrap_or(kills % 3));
        kills += 1;
        std::thread::sleep(Duration::from_secs(1));
        cluster.start_again();
    }
    let said = load.end();
    let seen = cluster.settled(&said);
    println!(
        "{kills} kills in {:?}: {} events of {PEOPLE} people, {} reached the target, {} repeats of a key",
        begun.elapsed(),
        said.events,
        seen.effects,
        seen.repeats
    );
    seen.assert_whole(&said);
    cluster.assert_quiet();
}

#[test]
fn a_holder_that_stood_still_writes_nothing_when_it_comes_back() {
    let cluster = Cluster::start(3, &[]);
    let load = Load::begin(&cluster, PEOPLE, Duration::from_millis(20));
    std::thread::sleep(Duration::from_secs(3));
    let mut times = Vec::new();
    for unit in ["meaning", "connection target"] {
        let holder = cluster.holder(unit).expect("somebody has it");
        cluster.signal(holder, "STOP");
        let stopped = Instant::now();
        kit::until("another takes it over", || (cluster.holder(unit).is_some_and(|now| now != holder)).then_some(()));
        times.push(stopped.elapsed());
        // Long enough that the others are well at it when it wakes in the middle of what it did.
        std::thread::sleep(Duration::from_secs(1));
        cluster.signal(holder, "CONT");
        std::thread::sleep(Duration::from_secs(2));
    }
    let said = load.end();
    let seen = cluster.settled(&said);
    println!(
        "stopped, and taken over within {times:?}; {} events, {} effects, {} repeats",
        said.events, seen.effects, seen.repeats
    );
    assert!(times.iter().all(|time| *time < TAKEN_OVER), "{times:?}");
    seen.assert_whole(&said);
    cluster.assert_quiet();
}

#[test]
fn a_clean_stop_hands_over_at_once_and_roles_are_kept() {
    let mut cluster = Cluster::start(3, &["receive,console", "process,exchange", "process,exchange"]);
    let shown = cluster.status();
    let of = |place: usize| cluster.name(place);
    let roles = |name: &str| {
        let all = shown["nodes"].as_array().expect("nodes");
        all.iter().find(|it| it["name"] == name).map(|it| (it["roles"].clone(), it["holds"].clone())).expect("a node")
    };
    assert_eq!(roles(&of(0)), ("receive,console".into(), serde_json::json!([])), "{shown}");
    assert_eq!(cluster.post(1, "evt-x", "{}"), 404, "it takes no calls");
    let load = Load::at(&cluster, 0, PEOPLE, Duration::from_millis(20));
    let (mut times, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(Duration::from_secs(2));
        let holder = cluster.holder("meaning").expect("somebody has it");
        let stopped = cluster.stop(holder);
        kit::until("the other takes it over", || cluster.holder("meaning").filter(|now| *now != holder));
        times.push(stopped.elapsed());
        cluster.start_dead();
    }
    let said = load.end();
    let seen = cluster.settled(&said);
    println!("a clean stop hands over within {times:?}; {} events, {} effects", said.events, seen.effects);
    assert!(times.iter().all(|time| *time < Duration::from_secs(5)), "no lease had to end: {times:?}");
    assert_eq!(seen.repeats, 0, "a clean stop finishes what it sends");
    seen.assert_whole(&said);
    cluster.assert_quiet();
}

#[test]
fn what_comes_in_at_one_node_goes_out_from_another() {
    let cluster = Cluster::start(2, &["receive", "process,exchange"]);
    let load = Load::at(&cluster, 0, 2_000, Duration::from_millis(20));
    std::thread::sleep(seconds(10).min(Duration::from_secs(60)));
    let said = load.end();
    let seen = cluster.settled(&said);
    let mut times = seen.latencies(&said);
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!(
        "webhook in to push out over two nodes, 50/s: p50 {:?}, p90 {:?}, p99 {:?} of {}",
        at(50),
        at(90),
        at(99),
        times.len()
    );
    assert!(at(50) < Duration::from_secs(2), "somebody polls: {:?}", at(50));
    seen.assert_whole(&said);
}
