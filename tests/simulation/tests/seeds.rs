//! Seeds: a day repeats itself, days hold, planted bugs are found and their stories are short.
//!
//! These are some days of a development build, about a minute of two processors; CONTRIBUTING.md says how to play more.

use huiliu_simulation::days::{Days, play_days, story};
use huiliu_simulation::hub::Kit;
use huiliu_simulation::mutant::Mutant;
use huiliu_simulation::scenario::Scenario;
use huiliu_simulation::script::Script;
use huiliu_simulation::world::play;

fn scenario(name: &str) -> Scenario {
    Scenario::shipped(name).expect("a shipped scenario")
}

fn days(scenario: &Scenario, count: u64, mutant: Mutant) -> Days<'_> {
    Days { scenario, first: 1, count, threads: 2, until: None, mutant }
}

/// The same seed gives the same history, line by line.
#[test]
fn a_seed_repeats_itself() {
    let kit = Kit::new().expect("a kit");
    for name in ["storm", "gone"] {
        let scenario = scenario(name);
        for seed in 1..=2 {
            let script = Script::of(&scenario, seed);
            let [first, again] = [(); 2].map(|()| play(&kit, &scenario, &script, Mutant::None, true));
            assert!(first.history.len() > 100, "{name} {seed}");
            for (a, b) in first.history.iter().zip(&again.history) {
                assert_eq!(a, b, "{name} {seed}");
            }
            assert_eq!(first.history.len(), again.history.len(), "{name} {seed}");
        }
    }
}

#[test]
fn days_end_well() {
    for (name, count) in [("calm", 5), ("storm", 25), ("gone", 10)] {
        let scenario = scenario(name);
        let days = days(&scenario, count, Mutant::None);
        let total = play_days(days).expect("days");
        if let Some((seed, _)) = total.failed {
            panic!("{}", story(days, name, seed).expect("a story"));
        }
        assert_eq!(total.days, count);
        assert!(total.edits > 10 * usize::try_from(count).expect("few") && total.writes > total.edits, "{total:?}");
    }
}

/// Three systems that trim, re-case, regroup and coerce: each edit is written to the two others and never comes back.
/// The scenario itself has 10,000 edits; a development build plays 500 of them.
#[test]
fn echoes_die() {
    let mut scenario = scenario("echo");
    scenario.day.edits = 500;
    scenario.day.follows = 50;
    scenario.day.hours = 24;
    let total = play_days(days(&scenario, 1, Mutant::None)).expect("a day");
    assert_eq!(total.failed, None);
    assert!(total.edits > 450 && total.writes > total.edits, "{total:?}");
}

/// What no day may let pass.
#[test]
fn planted_bugs_are_found() {
    for mutant in Mutant::ALL {
        let scenario = scenario(if mutant == Mutant::HastyCursor { "hasty" } else { "storm" });
        let total = play_days(days(&scenario, 60, mutant)).expect("days");
        let (seed, wrong) = total.failed.unwrap_or_else(|| panic!("{mutant:?} lives through {} days", total.days));
        eprintln!("{mutant:?}: day {seed} of {}: {}", total.days, wrong[0]);
    }
}

/// A failing day is told in as few events as it takes, and how to see it again.
#[test]
fn a_story_is_short() {
    let scenario = scenario("storm");
    let days = days(&scenario, 60, Mutant::BlindCreate);
    let (seed, _) = play_days(days).expect("days").failed.expect("a failing day");
    let story = story(days, "storm", seed).expect("a story");
    let events: usize =
        story.lines().find_map(|line| line.split_once(" events are enough")?.0.parse().ok()).expect("events");
    assert!(events <= 3, "{story}");
    assert!(story.contains(&format!("--seed {seed} --days 1 --mutant blind-create")), "{story}");
    assert!(story.contains(" times in ") && story.contains("CutAfter"), "{story}");
}
