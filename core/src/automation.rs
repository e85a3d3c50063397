//! Automation rules for people: whom a rule would have met, what it did, and doing it for what is past.
//!
//! The running stage is [`crate::pipeline::automate`]. A dry run asks it the same questions and sends nothing.

use huiliu_mappings::automation::Rule;
use serde::Serialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::pipeline::automate::look::{self, Occasion, View, look};
use crate::pipeline::automate::{self, BATCH_CHANGES, Due, act};
use crate::pipeline::plan::PLAN_LOCK;
use crate::pipeline::process::MEANING_LOCK;
use crate::store::db::{Result, Tx};
use crate::store::firings::{self, Done, Firing, Held, State};
use crate::store::{console, goldens};

/// Golden records that a dry run over the present reads at once.
const PAGE: i64 = 500;

/// A firing with what it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fired {
    /// The firing.
    #[serde(flatten)]
    pub firing: Firing,
    /// Its actions.
    pub actions: Vec<Done>,
}

/// The last firings of a golden record, oldest first.
pub(crate) fn fired(tx: &mut Tx<'_>, golden: i64, count: i64) -> Result<Vec<Fired>> {
    let told = firings::told_of(tx, golden, count)?;
    Ok(told.into_iter().map(|(firing, actions)| Fired { firing, actions }).collect())
}

/// What a dry run says of a rule at one record and change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would fire.
    WouldFire,
    /// It did.
    Fired,
    /// A first complete read brought what was so before; `replay` fires for it.
    FirstRead,
    /// Too many rules led to it, one after the other.
    TooDeep,
}

/// What a rule would have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Would {
    /// The golden record.
    pub golden: i64,
    /// The change's position; none: as it is now.
    pub change: Option<i64>,
    /// When the change was, microseconds since 1970 UTC; none: now.
    pub at_us: Option<i64>,
    /// Whether it would.
    pub verdict: Verdict,
    /// Its actions.
    pub actions: Vec<Rendered>,
}

/// An action as it would be sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// `tag`, `create`, `webhook`, `notify` or `mail`.
    pub word: &'static str,
    /// Where it goes.
    pub target: String,
    /// What is sent; none: it stays in the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Why nothing could be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a dry run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tried {
    /// Records, or changes, that were looked at.
    pub looked: usize,
    /// How many met the rule.
    pub met: usize,
    /// The first of them.
    pub would: Vec<Would>,
}

fn rendered(engine: &Engine, rule: &Rule, change: i64, view: &View) -> Vec<Rendered> {
    let actions = rule.actions.iter();
    actions
        .map(|(action, _)| {
            let outgoing = act::outgoing(engine, rule, action, change, "", view);
            let (body, detail) = match outgoing {
                Ok(outgoing) => (outgoing.map(|it| it.body), None),
                Err(told) => (None, Some(told)),
            };
            Rendered { word: action.word(), target: automate::target(action), body, detail }
        })
        .collect()
}

/// Of which records the rule's condition holds now, of one or of all; shows the first `count`.
pub fn present(engine: &Engine, rule: &Rule, only: Option<i64>, count: usize) -> Result<Tried> {
    let mut tried = Tried::default();
    let mut last = 0;
    loop {
        let page = engine.store.read(|tx| {
            let ids = match only {
                Some(id) => vec![id],
                None => goldens::ids_after(tx, &[rule.entity.as_str()], last, PAGE)?,
            };
            let seen = look::present(engine, tx, rule, &ids.iter().copied().collect())?;
            Ok((ids.last().copied(), seen))
        })?;
        tried.looked += page.1.len();
        for (view, _) in page.1.iter().filter(|(_, holds)| *holds) {
            tried.met += 1;
            if tried.would.len() < count {
                let actions = rendered(engine, rule, 0, view);
                let verdict = Verdict::WouldFire;
                tried.would.push(Would { golden: view.golden, change: None, at_us: None, verdict, actions });
            }
        }
        match page.0 {
            Some(id) if only.is_none() => last = id,
            _ => return Ok(tried),
        }
    }
}

/// At which changes since an instant the rule would have fired, or did; shows the first `count`.
pub fn since(engine: &Engine, rule: &Rule, since_us: i64, count: usize) -> Result<Tried> {
    let mut tried = Tried::default();
    let (mut position, end) = bounds(engine, since_us)?;
    let mut held = Held::new();
    while position < end {
        let (last, looked, due, known) = engine.store.read(|tx| {
            let step = step(engine, tx, rule, position, end, &mut held)?;
            let known = firings::of_goldens(tx, step.2.iter().map(|it| it.occasion.view.golden))?;
            Ok((step.0, step.1, step.2, known))
        })?;
        tried.looked += looked;
        tried.met += due.len();
        for it in due.iter().take(count.saturating_sub(tried.would.len())) {
            let Occasion { change, at_us, view, .. } = &it.occasion;
            let before =
                known.iter().find(|old| old.rule == rule.name && old.change == *change && old.golden == view.golden);
            let verdict = match before.map_or(it.state, |before| before.state) {
                State::Fired if before.is_some() => Verdict::Fired,
                State::Fired => Verdict::WouldFire,
                State::FirstRead => Verdict::FirstRead,
                State::TooDeep => Verdict::TooDeep,
            };
            let actions = rendered(engine, rule, *change, view);
            let (change, at_us) = (Some(*change), Some(*at_us));
            tried.would.push(Would { golden: view.golden, change, at_us, verdict, actions });
        }
        position = last;
    }
    Ok(tried)
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Changes that were looked at.
    pub looked: usize,
    /// Firings that were made now.
    pub fired: usize,
    /// Firings that had been made before.
    pub already: usize,
    /// What too many rules led to: it stays as it is.
    pub too_deep: usize,
}

/// Fires a rule for changes since an instant at which it did not fire yet, those of a first complete read too.
pub fn replay(engine: &Engine, rule: &Rule, since_us: i64) -> Result<Replayed> {
    let mut done = Replayed::default();
    let (mut position, end) = bounds(engine, since_us)?;
    let mut held = Held::new();
    while position < end {
        let _turn = engine.meaning();
        let (last, looked, met, fired, deep) = engine.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            tx.lock(PLAN_LOCK)?;
            let (last, looked, mut due) = step(engine, tx, rule, position, end, &mut held)?;
            for it in due.iter_mut().filter(|it| it.state == State::FirstRead) {
                it.state = State::Fired;
            }
            let deep = due.iter().filter(|it| it.state == State::TooDeep).count();
            let fired = automate::fire(engine, tx, &due)?;
            Ok((last, looked, due.len(), fired, deep))
        })?;
        done.looked += looked;
        done.fired += fired;
        done.too_deep += deep;
        done.already += met - fired - deep;
        position = last;
    }
    Ok(done)
}

/// The positions of the change log between which it is looked: an instant, and the end.
fn bounds(engine: &Engine, since_us: i64) -> Result<(i64, i64)> {
    engine.store.read(|tx| Ok((goldens::position_before(tx, since_us)?, tx.max("position", "change_log")?)))
}

/// The next changes after a position: the last of them, how many they are, and where the rule fires.
fn step<'r>(
    engine: &Engine,
    tx: &mut Tx<'_>,
    rule: &'r Rule,
    position: i64,
    end: i64,
    held: &mut Held,
) -> Result<(i64, usize, Vec<Due<'r>>)> {
    let mut changes = console::changes_after(tx, position, BATCH_CHANGES)?;
    changes.retain(|change| change.position <= end);
    let last = changes.last().map_or(end, |change| change.position);
    let mut occasions = look(engine, tx, &[rule], &changes)?;
    occasions.retain(|it| it.fires(held));
    Ok((last, changes.len(), automate::judged(engine, tx, occasions)?))
}
