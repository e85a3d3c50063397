//! `huiliu`: the command line.

use std::process::ExitCode;

use clap::Parser as _;
use huiliu_hub::cli::{self, Cli};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    // One TLS provider for the whole process: two compiled in would make the first connection panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(told) => {
            eprintln!("huiliu: {told}");
            ExitCode::FAILURE
        }
    }
}
