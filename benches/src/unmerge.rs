//! Wrong merges, lived with and taken back, beside a run in which they never happened; benches/README.md says how to read
//! it.

use std::process::ExitCode;

use clap::Parser;
use huiliu_core::store::Store;
use huiliu_tests::postgres;
use huiliu_tests::unmerge::{Size, round};

/// Plays a script of merges, edits and splits twice, with the merges and without them, and compares golden records with
/// where each value came from, their ids, and every field of every record of three systems.
#[derive(Parser)]
struct Cli {
    /// Customers.
    #[arg(long, default_value_t = 1_000)]
    customers: usize,
    /// Wrong merges.
    #[arg(long, default_value_t = 50)]
    merges: usize,
    /// Edits while they last.
    #[arg(long, default_value_t = 5_000)]
    edits: usize,
    /// From which the script is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run with the merges on Postgres in place of SQLite.
    #[arg(long)]
    postgres: bool,
}

fn main() -> ExitCode {
    let Cli { customers, merges, edits, seed, postgres } = Cli::parse();
    let folder = tempfile::tempdir().map_err(|error| error.to_string());
    let opened = folder.as_ref().map_err(Clone::clone).and_then(|folder| {
        let sqlite = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let open = |url: &str| Store::open(url).map_err(|error| error.to_string());
        Ok((open(&if postgres { postgres::database() } else { sqlite("play.db") })?, open(&sqlite("control.db"))?))
    });
    match opened {
        Ok((store, control)) => {
            let done = round(store, control, Size { customers, merges, edits, seed });
            println!("{} golden records merged away, {} writes while people lived with it", done.merged, done.writes);
            println!("{} of {} records were not as without the merges", done.records_astray, done.records);
            println!("{} writes put them back: golden records, ids, links and records are equal", done.writes_back);
            println!("{:.1} s for both runs", done.seconds);
            ExitCode::SUCCESS
        }
        Err(told) => {
            eprintln!("unmerge-bench: {told}");
            ExitCode::FAILURE
        }
    }
}
