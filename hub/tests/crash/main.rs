//! The crash suite: the real program is killed with a signal that it cannot catch, at every named point
//! (`core/src/crash.rs`) and at random, started again, on both stores. A little day is played over the twins of a shop,
//! a CRM and WeCom meanwhile, and the end is what it is when nobody was killed: every record and every golden record,
//! none lost, none twice, and nothing written afterwards.
//!
//! `HUILIU_CRASH_ONLY=push_answered` plays the days of one point alone, and
//! `HUILIU_CRASH_SEEDS=50 cargo test -p huiliu-hub --test crash` kills at random for longer.

mod day;
#[path = "../cli/kit.rs"]
#[allow(dead_code)] // The tests of the command line use the rest.
mod kit;
mod log;
mod plans;
mod program;
mod webhooks;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex};

use huiliu_core::crash::Point;
use program::Fate;
use world::{Store, World};

/// Days played side by side: each waits for schedules of a second most of its time.
const TOGETHER: usize = 6;

/// The end of a day on which nobody was killed.
static UNTROUBLED: LazyLock<String> = LazyLock::new(|| day::play(World::open(Store::Sqlite, Fate::default())));

/// Plays days side by side; each must end like the untroubled one.
fn play_all(days: impl IntoIterator<Item = (Store, String, Fate)>) {
    LazyLock::force(&UNTROUBLED);
    let waiting = Mutex::new(days.into_iter().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|all| {
        for _ in 0..TOGETHER {
            all.spawn(|| {
                loop {
                    let Some((store, name, fate)) = waiting.lock().expect("no panic").pop_front() else { return };
                    let name = format!("{name} on {store:?}");
                    match catch_unwind(AssertUnwindSafe(|| day::play(World::open(store, fate)))) {
                        Ok(end) if end == *UNTROUBLED => {}
                        Ok(end) => failed.lock().expect("no panic").push(format!("{name}: it ends with\n{end}")),
                        Err(_) => failed.lock().expect("no panic").push(format!("{name}: see the panic above")),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{}\n\nwithout a kill it ends with\n{}", failed.join("\n"), *UNTROUBLED);
}

/// A day on which the serving hub dies at this point. None: only a command passes it.
fn fate(point: Point) -> Option<Fate> {
    let here = format!("{}:1", point.name());
    let deaths = match point {
        Point::BackfillWritten | Point::BackfillCommitted => return None,
        Point::ReplayWritten | Point::ReplayCommitted => return None,
        Point::CommandWritten | Point::CommandCommitted => return None,
        point if log::POINTS.contains(&point) => return None,
        point if plans::APPLY.contains(&point) || plans::UNDO.contains(&point) => return None,
        // Something must be on its way when it comes back.
        Point::RecoverWritten | Point::RecoverCommitted => vec!["attempt_committed:1".to_owned(), here],
        _ => vec![here],
    };
    let shop_is_late = matches!(point, Point::CatchUpWritten | Point::CatchUpCommitted);
    Some(Fate { deaths: deaths.into(), shop_is_late, ..Fate::default() })
}

#[test]
fn killed_at_any_point_it_ends_as_if_it_never_was() {
    let only = std::env::var("HUILIU_CRASH_ONLY").ok();
    let wanted = Point::ALL.iter().filter(|point| only.as_deref().is_none_or(|only| point.name() == only));
    let served = wanted.filter_map(|point| Some((point.name(), fate(*point)?)));
    let days = served.flat_map(|(name, fate)| Store::BOTH.map(|store| (store, name.to_owned(), fate.clone())));
    play_all(days.collect::<Vec<_>>());
}

/// A fixed small number of seeds; more by `HUILIU_CRASH_SEEDS`.
#[test]
fn killed_at_random_it_ends_as_if_it_never_was() {
    let seeds = std::env::var("HUILIU_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_u64);
    let days = (1..=seeds).flat_map(|seed| {
        Store::BOTH.map(|store| (store, format!("seed {seed}"), Fate { seed: Some(seed), ..Fate::default() }))
    });
    play_all(days.collect::<Vec<_>>());
}

/// Commands that were killed are given once more, beside the serving hub: they go on, and change nothing that is right.
#[test]
fn a_killed_command_goes_on_when_it_is_given_again() {
    for store in Store::BOTH {
        let world = World::open(store, Fate::default());
        let end = day::play_then(world, |world| {
            let golden = world.golden("lei.li@example.com");
            plans::play(world);
            let elsewhere = [&plans::APPLY[..], &plans::UNDO[..], &log::POINTS[..]].concat();
            let others = |point: &&Point| !elsewhere.contains(point);
            for point in Point::ALL.iter().filter(|point| fate(**point).is_none()).filter(others) {
                let args: &[&str] = match point {
                    Point::BackfillWritten | Point::BackfillCommitted => &["sync", "shop", "--backfill"],
                    Point::CommandWritten | Point::CommandCommitted => {
                        &["pin", &golden, "company", "甲有限公司", "--why", "it is so"]
                    }
                    _ => &["replay", "--yes"],
                };
                world.program.dies(args, &format!("{}:1", point.name()));
                world.program.folder.run(args).out();
            }
        });
        assert_eq!(plans::without_later_tellings(&end), *UNTROUBLED, "{store:?}");
    }
}
