//! Plays simulated days from the command line; fails with the shortest history of the first seed that fails.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use huiliu_simulation::days::{Days, Total, play_days, story};
use huiliu_simulation::mutant::Mutant;
use huiliu_simulation::scenario::{SHIPPED, Scenario};

/// A day is many small texts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays simulated days: the hub's real stages, systems in memory, a clock that is moved, faults by seed.
#[derive(Parser)]
struct Cli {
    /// A shipped scenario, a file, or `all`: each of calm, storm and gone for a share of the days.
    #[arg(long, default_value = "all")]
    scenario: String,
    /// How many days.
    #[arg(long, default_value_t = 1000)]
    days: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days at a time.
    #[arg(long)]
    threads: Option<usize>,
    /// Fails if it takes longer.
    #[arg(long)]
    minutes: Option<u64>,
    /// A bug to plant: deaf, hasty-cursor, blind-create, restamped.
    #[arg(long, default_value = "none", value_parser = Mutant::parse)]
    mutant: Mutant,
}

/// The scenarios of `all`, and their shares in ten.
const ALL: [(&str, u64); 3] = [("calm", 1), ("storm", 7), ("gone", 2)];

/// The scenarios take turns, so that time which runs out takes from each its share.
const TURNS: u64 = 10;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let parts: Vec<(String, u64)> = match cli.scenario.as_str() {
        "all" => ALL.iter().map(|(name, share)| ((*name).to_owned(), (cli.days * share).div_ceil(10))).collect(),
        name => vec![(name.to_owned(), cli.days)],
    };
    let begun = Instant::now();
    let mut played: Vec<Total> = parts.iter().map(|_| Total::default()).collect();
    for turn in 0..TURNS {
        for ((name, count), total) in parts.iter().zip(&mut played) {
            let from = turn * count / TURNS;
            let count = (turn + 1) * count / TURNS - from;
            total.add(part(cli, name, cli.seed + from, count, begun)?);
        }
    }
    let mut whole = Total::default();
    for ((name, _), total) in parts.iter().zip(played) {
        let Total { days, edits, writes, steps, .. } = total;
        println!("{name}: {days} days, {edits} edits, {writes} writes, {steps} steps, 0 violations");
        whole.add(total);
    }
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // Some tens of thousands of days at the most.
    let rate = whole.days as f64 / seconds * 60.0;
    println!("{} simulated days in {seconds:.0} s ({rate:.0} a minute), 0 violations", whole.days);
    let wanted: u64 = parts.iter().map(|(_, count)| count).sum();
    if whole.days < wanted {
        return Err(format!("{wanted} days were to be played; give it more time, or play fewer"));
    }
    Ok(())
}

/// Plays some days of one scenario; fails with the story of the first that fails.
fn part(cli: &Cli, name: &str, first: u64, count: u64, begun: Instant) -> Result<Total, String> {
    let scenario = find(name)?;
    let threads = cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let until = cli.minutes.map(|minutes| begun + Duration::from_secs(60 * minutes));
    let days = Days { scenario: &scenario, first, count, threads, until, mutant: cli.mutant };
    let total = play_days(days)?;
    match total.failed {
        Some((seed, _)) => Err(story(days, name, seed)?),
        None => Ok(total),
    }
}

fn find(name: &str) -> Result<Scenario, String> {
    if let Some(scenario) = Scenario::shipped(name) {
        return Ok(scenario);
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let known: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        format!("scenario {name}: {error}; write one of {}, or the path of a file", known.join(", "))
    })?;
    Scenario::parse(name, &text)
}
