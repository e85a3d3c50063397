//! `huiliu`: the command line.

use std::process::ExitCode;

use clap::Parser as _;
use huiliu_hub::cli::{self, Cli};
use huiliu_hub::{logs, memory};

/// Records are many small texts: the system's allocator takes a third of the time of an import.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::keep_small();
    let cli = Cli::parse();
    if !cli.keeps_logs() {
        logs::start(cli.log_format, cli.log_level());
    }
    // One TLS provider for the whole process: two compiled in would make the first connection panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::run(cli) {
        Ok(code) => code,
        Err(told) => {
            eprintln!("huiliu: {told}");
            ExitCode::FAILURE
        }
    }
}
