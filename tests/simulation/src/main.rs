//! Plays simulated days from the command line; fails with the shortest history of the first seed that fails.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use huiliu_simulation::days::{Days, play_days, story};
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
    /// A bug to plant: deaf, hasty-cursor, blind-create, restamped.
    #[arg(long, default_value = "none", value_parser = Mutant::parse)]
    mutant: Mutant,
}

/// The scenarios of `all`, and their shares in ten.
const ALL: [(&str, u64); 3] = [("calm", 1), ("storm", 7), ("gone", 2)];

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
    let threads = cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let parts: Vec<(String, u64)> = match cli.scenario.as_str() {
        "all" => ALL.iter().map(|(name, share)| ((*name).to_owned(), (cli.days * share).div_ceil(10))).collect(),
        name => vec![(name.to_owned(), cli.days)],
    };
    for (name, count) in parts {
        let scenario = find(&name)?;
        let days = Days { scenario: &scenario, first: cli.seed, count, threads, mutant: cli.mutant };
        // How fast it goes is about this machine: nothing in a day depends on it.
        let begun = Instant::now();
        let total = play_days(days)?;
        let seconds = begun.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // Some tens of thousands of days at the most.
        let rate = total.days as f64 / seconds * 60.0;
        println!(
            "{name}: {} days in {seconds:.1} s ({rate:.0} a minute), {} edits, {} writes, {} steps",
            total.days, total.edits, total.writes, total.steps
        );
        if let Some((seed, _)) = total.failed {
            return Err(story(days, &name, seed)?);
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<Scenario, String> {
    if let Some(scenario) = Scenario::shipped(name) {
        return Ok(scenario);
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let known: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        format!("scenario {name}: {error}; write one of {}, or the path of a file", known.join(", "))
    })?;
    Scenario::parse(&text).map_err(|error| format!("{name}: {error}"))
}
