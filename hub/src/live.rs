//! From observing to live: what a connection would be sent, and the step itself.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_core::connection::State;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::plan;
use huiliu_core::store::deliveries::Planned;
use huiliu_core::store::{goldens, links, streams};

/// Golden records looked at in one step of a plan: short enough that live traffic hardly waits for its turn.
const STEP: i64 = 500;

/// What a connection is owed, by stream and operation.
#[derive(Debug, Default)]
pub struct Plan {
    /// The kinds of writes.
    pub kinds: BTreeMap<(String, &'static str), Kind>,
}

/// Writes of one kind.
#[derive(Debug, Default)]
pub struct Kind {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub sample: Vec<Planned>,
}

impl Plan {
    /// How many writes there are.
    pub fn writes(&self) -> usize {
        self.kinds.values().map(|kind| kind.count).sum()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Forget,
    Queue,
}

/// What would be written if the connection went live now, with so many samples of each kind. Changes nothing.
pub fn preview(engine: &Engine, connection: &str, samples: usize) -> Result<Plan, String> {
    walk(engine, connection, Then::Forget, samples)
}

/// Lets the connection be written from now on, and queues what it is owed.
pub fn go(engine: &Engine, connection: &str) -> Result<Plan, String> {
    if engine.connections.contains_key(connection) {
        let now_us = engine.clock.now_us();
        let set = engine.store.write(|tx| streams::set_state(tx, connection, State::Live, None, now_us));
        set.map_err(|error| error.to_string())?;
    }
    walk(engine, connection, Then::Queue, 0)
}

fn walk(engine: &Engine, connection: &str, then: Then, samples: usize) -> Result<Plan, String> {
    let Some(known) = engine.connections.get(connection) else {
        return Err(format!("huiliu.toml has no connection `{connection}`"));
    };
    let entities: BTreeSet<&str> = known.lenses.iter().map(|lens| lens.entity().as_str()).collect();
    let mut plan = Plan::default();
    for entity in entities {
        let mut after = 0;
        loop {
            let _turn = engine.meaning();
            let step = engine.store.write(|tx| {
                tx.lock(links::MEANING_LOCK)?;
                let page = goldens::after(tx, entity, after, STEP)?;
                let ids = page.iter().map(|golden| golden.id).collect();
                let planned = plan::plan(engine, tx, &ids, Some(connection))?;
                if then == Then::Queue {
                    plan::queue(engine, tx, &planned)?;
                }
                Ok((page.last().map(|golden| golden.id), planned))
            });
            let (last, planned) = step.map_err(|error| error.to_string())?;
            for one in planned {
                let name = (one.delivery.stream.as_str().to_owned(), one.delivery.operation.as_str());
                let kind = plan.kinds.entry(name).or_default();
                kind.count += 1;
                if kind.sample.len() < samples {
                    kind.sample.push(one);
                }
            }
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(plan)
}
