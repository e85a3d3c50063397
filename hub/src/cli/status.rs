//! `huiliu status`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::store::{deliveries, inbox, stewards, streams};
use serde_json::json;

use crate::deployment;

/// Connections, streams, backlog, deliveries, what needs a person.
#[derive(clap::Args)]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Reads and prints.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let read = at.engine.store.read(|tx| {
        let streams: Vec<_> = streams::all(tx)?
            .into_iter()
            .map(|((connection, stream), state)| json!({"connection": connection, "stream": stream, "state": state}))
            .collect();
        let connections: Vec<_> = streams::states(tx)?
            .into_iter()
            .map(|(name, (state, reason))| json!({"connection": name, "state": state, "reason": reason}))
            .collect();
        Ok(json!({
            "connections": connections,
            "streams": streams,
            "backlog": inbox::backlog(tx, "process")?,
            "fetches_waiting": inbox::fetches_waiting(tx)?,
            "deliveries": deliveries::counts(tx)?,
            "dead_letters": inbox::dead_letters(tx, 1000)?.len(),
            "reviews": stewards::waiting(tx, 1000)?.len(),
        }))
    });
    let status = read.map_err(|error| error.to_string())?;
    if args.json {
        println!("{status}");
        return Ok(ExitCode::SUCCESS);
    }
    for one in status["connections"].as_array().into_iter().flatten() {
        println!("{} {} {}", plain(&one["connection"]), plain(&one["state"]), plain(&one["reason"]));
    }
    for one in status["streams"].as_array().into_iter().flatten() {
        let state = &one["state"];
        println!(
            "  {}/{} records {} {}",
            plain(&one["connection"]),
            plain(&one["stream"]),
            state["records"],
            plain(&state["error"])
        );
    }
    for one in status["deliveries"].as_array().into_iter().flatten() {
        println!("  deliveries to {} {}: {}", plain(&one[0]), plain(&one[1]), one[2]);
    }
    println!(
        "inbox backlog {}, keys to fetch {}, dead letters {}, reviews {}",
        status["backlog"], status["fetches_waiting"], status["dead_letters"], status["reviews"]
    );
    Ok(ExitCode::SUCCESS)
}

fn plain(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("")
}
