//! What events are pushed to: it keeps each key once, as receivers of Standard Webhooks do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kit::script;
use crate::load::Said;

#[derive(Default)]
struct Inner {
    keys: BTreeSet<String>,
    /// Who a record is, by the id that it has here.
    people: BTreeMap<String, u32>,
    effects: Vec<Effect>,
    repeats: usize,
    strange: Vec<String>,
}

struct Effect {
    person: u32,
    step: u32,
    makes: bool,
    at: Instant,
}

/// See the module.
pub struct Target {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

/// What arrived.
pub struct Seen {
    told: Vec<(u32, u32, bool, Instant)>,
    /// Events with a new key.
    pub effects: usize,
    /// Events with a key that was known: they had no effect.
    pub repeats: usize,
    strange: Vec<String>,
}

impl Target {
    pub fn start() -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        let kept = inner.clone();
        let port = script(move |call| {
            let mut inner = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let key = call.headers.get("webhook-id").cloned().unwrap_or_default();
            if inner.keys.insert(key.clone()) {
                inner.take(&key, &call.body);
            } else {
                inner.repeats += 1;
            }
            (200, "{}".to_owned())
        });
        Self { port, inner }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    pub fn seen(&self) -> Seen {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Seen {
            told: inner.effects.iter().map(|it| (it.person, it.step, it.makes, it.at)).collect(),
            effects: inner.effects.len(),
            repeats: inner.repeats,
            strange: inner.strange.clone(),
        }
    }
}

impl Inner {
    fn take(&mut self, key: &str, body: &str) {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let number = |text: &Value| text.as_str().and_then(|text| text.rsplit(' ').next()?.parse::<u32>().ok());
        let makes = event["type"] == "customer.created";
        // A record that the hub made is known by the id of the event that made it.
        let person = if makes {
            number(&event["data"]["display_name"])
        } else {
            self.people.get(event["id"].as_str().unwrap_or_default()).copied()
        };
        let (Some(person), Some(step)) = (person, number(&event["data"]["title"])) else {
            return self.strange.push(body.to_owned());
        };
        if makes {
            self.people.insert(key.to_owned(), person);
        }
        self.effects.push(Effect { person, step, makes, at: Instant::now() });
    }
}

impl Seen {
    fn steps(&self, person: u32) -> Vec<u32> {
        self.told.iter().filter(|it| it.0 == person).map(|it| it.1).collect()
    }

    /// People whose last word is not here.
    pub fn late(&self, said: &Said) -> Vec<u32> {
        let last: BTreeMap<u32, u32> = self.told.iter().map(|it| (it.0, it.1)).collect();
        said.last.iter().filter(|(person, step)| last.get(person) != Some(step)).map(|(person, _)| *person).collect()
    }

    /// Nobody is lost, nobody was made twice, nothing took effect twice or after what came later.
    #[track_caller]
    pub fn assert_whole(&self, said: &Said) {
        assert!(self.strange.is_empty(), "{:?}", self.strange);
        assert!(self.late(said).is_empty(), "lost: {:?}", self.late(said));
        for person in said.last.keys() {
            let steps = self.steps(*person);
            assert!(steps.is_sorted_by(|a, b| a < b), "person {person}: {steps:?}");
            let made = self.told.iter().filter(|it| it.0 == *person && it.2).count();
            assert_eq!(made, 1, "person {person} was made {made} times");
        }
    }

    /// From when each event was sent until it arrived, without the first ones.
    pub fn latencies(&self, said: &Said) -> Vec<Duration> {
        let times = self.told.iter().filter_map(|it| Some(it.3.duration_since(*said.sent.get(&(it.0, it.1))?)));
        times.skip(self.told.len() / 5).collect()
    }
}
