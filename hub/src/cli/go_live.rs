//! `huiliu go-live`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::State;
use huiliu_core::pipeline::plan;
use huiliu_core::store::{goldens, streams};

use crate::deployment;

/// Shows what a connection would be sent, and with --yes lets it be written from now on.
#[derive(clap::Args)]
pub struct Args {
    /// The connection.
    connection: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

/// Golden records looked at in one step of a plan.
const STEP: i64 = 500;

/// Plans every golden record for the connection, and queues the plan if told to.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let (connection, yes) = (args.connection.as_str(), args.yes);
    let engine = &at.engine;
    let entities: Vec<String> = match engine.connections.get(connection) {
        Some(known) => known.lenses.iter().map(|lens| lens.entity().as_str().to_owned()).collect(),
        None => return Err(format!("huiliu.toml has no connection `{connection}`")),
    };
    if yes {
        let now_us = engine.clock.now_us();
        let set = engine.store.write(|tx| streams::set_state(tx, connection, State::Live, None, now_us));
        set.map_err(|error| error.to_string())?;
    }
    let (mut count, mut sample) = (0, Vec::new());
    for entity in entities {
        let mut after = 0;
        loop {
            let _turn = engine.meaning();
            let step = engine.store.write(|tx| {
                let page = goldens::after(tx, &entity, after, STEP)?;
                let ids = page.iter().map(|golden| golden.id).collect();
                let planned = plan::plan(engine, tx, &ids, Some(connection))?;
                if yes {
                    plan::queue(engine, tx, &planned)?;
                }
                Ok((page.last().map(|golden| golden.id), planned))
            });
            let (last, planned) = step.map_err(|error| error.to_string())?;
            count += planned.len();
            sample.extend(planned.into_iter().take(5_usize.saturating_sub(sample.len())));
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    for one in &sample {
        let whom = one.delivery.id.as_ref().map_or("a new record", |id| id.as_str());
        println!("  {} {whom}: {}", one.delivery.operation.as_str(), one.delivery.body);
    }
    if yes {
        println!("{connection} is live; {count} write(s) are queued");
    } else {
        println!("{count} write(s) would go to {connection}; run again with --yes to let them");
    }
    Ok(ExitCode::SUCCESS)
}
