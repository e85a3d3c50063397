//! From observing to live: what a connection would be sent, and the step itself.

use huiliu_core::connection::State;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::plan;
use huiliu_core::store::deliveries::Planned;
use huiliu_core::store::{goldens, streams};

/// Golden records looked at in one step of a plan: short enough that live traffic hardly waits for its turn.
const STEP: i64 = 500;

/// Writes that are shown: enough to see what kind they are.
const SAMPLE: usize = 5;

/// What a connection is owed.
#[derive(Debug, Default)]
pub struct Plan {
    /// How many writes.
    pub writes: usize,
    /// The first of them.
    pub sample: Vec<Planned>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Forget,
    Queue,
}

/// What would be written if the connection went live now. Changes nothing.
pub fn preview(engine: &Engine, connection: &str) -> Result<Plan, String> {
    walk(engine, connection, Then::Forget)
}

/// Lets the connection be written from now on, and queues what it is owed.
pub fn go(engine: &Engine, connection: &str) -> Result<Plan, String> {
    if engine.connections.contains_key(connection) {
        let now_us = engine.clock.now_us();
        let set = engine.store.write(|tx| streams::set_state(tx, connection, State::Live, None, now_us));
        set.map_err(|error| error.to_string())?;
    }
    walk(engine, connection, Then::Queue)
}

fn walk(engine: &Engine, connection: &str, then: Then) -> Result<Plan, String> {
    let Some(known) = engine.connections.get(connection) else {
        return Err(format!("huiliu.toml has no connection `{connection}`"));
    };
    let entities: std::collections::BTreeSet<&str> = known.lenses.iter().map(|lens| lens.entity().as_str()).collect();
    let mut plan = Plan::default();
    for entity in entities {
        let mut after = 0;
        loop {
            let _turn = engine.meaning();
            let step = engine.store.write(|tx| {
                let page = goldens::after(tx, entity, after, STEP)?;
                let ids = page.iter().map(|golden| golden.id).collect();
                let planned = plan::plan(engine, tx, &ids, Some(connection))?;
                if then == Then::Queue {
                    plan::queue(engine, tx, &planned)?;
                }
                Ok((page.last().map(|golden| golden.id), planned))
            });
            let (last, planned) = step.map_err(|error| error.to_string())?;
            plan.writes += planned.len();
            plan.sample.extend(planned.into_iter().take(SAMPLE.saturating_sub(plan.sample.len())));
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(plan)
}
