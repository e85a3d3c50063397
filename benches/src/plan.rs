//! A change of the rules on many customers: planned, applied and taken back; benches/README.md says how to read it.

use std::process::ExitCode;

use clap::Parser;
use huiliu_core::store::Store;
use huiliu_tests::{postgres, rules};

/// Plans a change of authorities, directions and a mapping between two systems, applies it, compares every value that
/// became another with the plan, takes it back, and compares every record with what it was, byte by byte.
#[derive(Parser)]
struct Cli {
    /// Customers that both systems know; each stands for four to five values that become others.
    #[arg(long, default_value_t = 22_500)]
    customers: usize,
    /// On Postgres in place of SQLite.
    #[arg(long)]
    postgres: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let folder = tempfile::tempdir().map_err(|error| error.to_string());
    let sqlite = |folder: &tempfile::TempDir| format!("sqlite:{}", folder.path().join("plan.db").display());
    let url = folder.as_ref().map(|folder| if cli.postgres { postgres::database() } else { sqlite(folder) });
    let store = url.map_err(Clone::clone).and_then(|url| Store::open(&url).map_err(|error| error.to_string()));
    match store {
        Ok(store) => {
            let done = rules::round(store, cli.customers);
            let [plan, apply, sent, undo, back] = done.seconds;
            let (effects, writes) = (done.effects, done.writes);
            println!("{effects} values became others, each as it was planned, with {writes} writes");
            println!(
                "plan {plan:.1} s, apply {apply:.1} s, its writes {sent:.1} s, undo {undo:.1} s, its writes {back:.1} s"
            );
            println!("every record is what it was, byte by byte");
            ExitCode::SUCCESS
        }
        Err(told) => {
            eprintln!("plan-bench: {told}");
            ExitCode::FAILURE
        }
    }
}
