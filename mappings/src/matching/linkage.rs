//! Which rows of a table are the same customer, learned from the rows themselves: no labels, no training, any columns.
//!
//! Columns with a kind ([`Kind`]) become features, features become comparisons with levels ("equal", "a slip", "different").
//! Blocking rules find the pairs worth comparing; a model of three kinds of pairs (one customer, relatives, strangers) learns
//! from them how telling each level is; clusters grow from the surest pair on. Pure, and the same for the same rows in
//! whatever order they come: they are put in an order of their own before anything is drawn, counted or decided.

mod block;
mod calibrate;
mod choose;
mod cluster;
mod columns;
mod compare;
mod explain;
mod facts;
mod features;
mod forms;
mod frozen;
mod guard;
mod judge;
mod learn;
mod model;
mod profile;
mod resident;
mod settings;
mod sieve;
mod similar;
mod slots;
mod table;

pub use calibrate::{Aim, Basis, Bound, CONFIDENCE, Measured, at_least, at_most, needed};
pub(super) use calibrate::{leave_below, link_from, supports};
pub use columns::Kind;
pub use explain::{Apart, Hop, Otherwise, Weighed, Why, comparisons, explain, levels};
pub use facts::{Facts, Finding};
pub(super) use forms::{folded, full_name};
pub use frozen::{Frozen, MODEL_BYTES_MAX, Records, train};
pub(super) use judge::{Judge, Said, Says, Sheet};
pub(super) use learn::Ruling;
pub use profile::{BITS, Doubt, Profile, profile};
pub use resident::{CustomerId, Event, Resident};
pub use settings::Settings;
pub use table::Table;

use block::row_of;
use choose::number;
use cluster::{Component, Edge};
use compare::{COMPARISONS_MAX, Comparer, Outcome};
use features::Features;
use guard::Guards;
use model::{Model, Pair, scrambled};
use sieve::Sieve;

/// What [`run`] found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The cluster of each row, numbered from 0 in the order of their first rows.
    pub clusters: Vec<u32>,
    /// Pairs that were compared.
    pub compared: usize,
    /// Pairs that are likelier one customer than not.
    pub linked: usize,
    /// Blocking rules that were taken.
    pub rules: usize,
}

/// Tells how far a run is: the step and its number of [`STEPS`].
pub type Progress<'a> = &'a mut dyn FnMut(usize, &'static str);

/// Steps of a run.
pub const STEPS: usize = 6;

/// Clusters the rows of a table.
pub fn run(table: Table, settings: &Settings, progress: Progress<'_>) -> Found {
    let mut found = at_links(table, settings, &[settings.clusters.link], progress);
    found.pop().expect("one for one")
}

/// Clusters the rows of a table once for each of several bounds: bits by which a pair must be likelier one customer.
pub fn at_links(table: Table, settings: &Settings, links: &[f64], progress: Progress<'_>) -> Vec<Found> {
    let rows = table.rows();
    let found = learned(table, settings, progress, |learned, progress| {
        let Learned { order, comparer, model, pairs, seen, rules, .. } = learned;
        let lowest = links.iter().copied().fold(f64::INFINITY, f64::min);
        let edges = all_edges(model, comparer, pairs, seen, lowest);
        progress(6, "form clusters");
        let found = |link: &f64| {
            let edges: Vec<Edge> = edges.iter().copied().filter(|edge| f64::from(edge.bits) >= *link).collect();
            let clusters = as_they_came(order, &formed(learned, &edges, *link, settings));
            Found { clusters, compared: pairs.len(), linked: edges.len(), rules: rules.len() }
        };
        links.iter().map(found).collect()
    });
    let nobody = || Found { clusters: (0..rows).map(number).collect(), compared: 0, linked: 0, rules: 0 };
    found.map_or_else(|| vec![nobody(); links.len()], |(_, found)| found)
}

/// The cluster of each row in the order of the run, formed by these edges.
fn formed(learned: &Learned<'_>, edges: &[Edge], link: f64, settings: &Settings) -> Vec<u32> {
    let (comparer, model, rows) = (learned.comparer, learned.model, learned.order.len());
    let guards = Guards::of(comparer.features);
    let mut all = Component { size: rows, edges: edges.to_vec(), ..Component::default() };
    if !guards.is_empty() {
        all.guards = (0..rows).map(|row| guards.row(comparer.features, row)).collect();
    }
    let mut out = [Outcome::SILENT; COMPARISONS_MAX];
    cluster::clusters(&mut all, link, |a, b| {
        let pair = compared(model, comparer, (a, b), &mut out);
        model.bits(&pair).clamp(settings.clusters.low, settings.clusters.high)
    })
}

/// What was learned from a table, while its features are at hand.
struct Learned<'a> {
    /// Where each row was in the table.
    order: &'a [u32],
    comparer: &'a Comparer<'a>,
    model: &'a Model,
    pairs: &'a [u64],
    /// Pairs that were looked at while learning, in the order of `pairs`.
    seen: &'a [Pair],
    /// The names of the parts of each blocking rule, and how many records behind one key of it are compared.
    rules: &'a [Vec<block::Name>],
    most: &'a [usize],
}

/// Learns from a table and hands what was learned to `use_it`; `None` if there is nothing to learn from.
fn learned<T>(
    mut table: Table,
    settings: &Settings,
    progress: Progress<'_>,
    use_it: impl FnOnce(&Learned<'_>, Progress<'_>) -> T,
) -> Option<(Features, T)> {
    let rows = table.rows();
    progress(1, "bring values into form");
    let order = table.put_in_order();
    let features = Features::of(&table, &settings.streets);
    drop(table);
    let comparer = Comparer::new(&features, settings);
    if rows < 2 || comparer.comparisons.is_empty() {
        return None;
    }
    progress(2, "learn what strangers have in common");
    let mut model = Model::new(&comparer, &settings.learning);
    progress(3, "choose blocking rules");
    let parts = block::parts(&features, rows);
    let rules = choose::choose(&parts, &comparer, &mut model, &settings.learning);
    progress(4, "find pairs");
    let pairs = match rows {
        ..=ROWS_ALL_PAIRS => all_pairs(rows),
        _ => pairs(&parts, rules.iter().map(|rule| (rule.parts.as_slice(), rule.most)), rows, choose::NEIGHBOURS),
    };
    let names = |rule: &choose::Rule| rule.parts.iter().map(|part| parts[*part].name).collect();
    let most: Vec<usize> = rules.iter().map(|rule| rule.most).collect();
    let rules: Vec<Vec<block::Name>> = rules.iter().map(names).collect();
    drop(parts);
    progress(5, "compare pairs");
    let seen = learn(&mut model, &comparer, &pairs, settings);
    let learned = Learned {
        order: &order,
        comparer: &comparer,
        model: &model,
        pairs: &pairs,
        seen: &seen,
        rules: &rules,
        most: &most,
    };
    let used = use_it(&learned, progress);
    Some((features, used))
}

/// The clusters of the rows in the order in which these came, numbered by their first rows.
fn as_they_came(order: &[u32], clusters: &[u32]) -> Vec<u32> {
    let mut of = vec![0; order.len()];
    for (row, cluster) in order.iter().zip(clusters) {
        of[*row as usize] = *cluster;
    }
    cluster::in_order(&of)
}

fn compared(model: &Model, of: &Comparer<'_>, (a, b): (u32, u32), out: &mut [Outcome; COMPARISONS_MAX]) -> Pair {
    of.compare(a as usize, b as usize, out);
    model.pair(a, b, out)
}

/// Learns from the pairs, or from a sample of many; returns those that were looked at, in the same order.
fn learn(model: &mut Model, comparer: &Comparer<'_>, pairs: &[u64], settings: &Settings) -> Vec<Pair> {
    let learning = &settings.learning;
    let every = u64::try_from(pairs.len().div_ceil(learning.training_pairs.max(1)).max(1)).unwrap_or(1);
    let sample = pairs.iter().filter(|pair| scrambled(**pair).is_multiple_of(every)).map(|pair| ends(*pair));
    let mut training: Vec<Pair> = Vec::new();
    comparer.each(sample, |(a, b), out| training.push(model.pair(a, b, out)));
    let each = f64::from(u32::try_from(every).unwrap_or(u32::MAX));
    model.learn(comparer, &training, each, learning, learning.rounds);
    training
}

/// The pairs from `lowest` bits on; those that were `seen`, in the same order, are not compared again.
fn all_edges(model: &Model, comparer: &Comparer<'_>, pairs: &[u64], seen: &[Pair], lowest: f64) -> Vec<Edge> {
    let mut known: Vec<Edge> = seen.iter().filter_map(|pair| edge(model, pair, lowest)).collect();
    let mut seen = seen.iter().peekable();
    let open = pairs.iter().map(|pair| ends(*pair));
    let open = open.filter(|ends| seen.next_if(|seen| (seen.a, seen.b) == *ends).is_none());
    known.extend(edges(model, comparer, open, lowest));
    known
}

/// The pairs of at least so many bits, in their order.
fn edges(
    model: &Model,
    comparer: &Comparer<'_>,
    pairs: impl IntoIterator<Item = (u32, u32)>,
    lowest: f64,
) -> Vec<Edge> {
    let sieve = Sieve::new(model, comparer, lowest);
    let mut edges = Vec::new();
    comparer.each(sieve.pass(pairs), |(a, b), out| edges.extend(edge(model, &model.pair(a, b, out), lowest)));
    edges
}

/// A pair of at least `lowest` bits as an edge.
fn edge(model: &Model, pair: &Pair, lowest: f64) -> Option<Edge> {
    let bits = model.bits(pair);
    #[allow(clippy::cast_possible_truncation)] // Some hundred bits at most.
    (bits >= lowest).then_some(Edge { a: pair.a, b: pair.b, bits: bits as f32 })
}

/// Of so few rows every pair is compared.
const ROWS_ALL_PAIRS: usize = 300;

fn all_pairs(rows: usize) -> Vec<u64> {
    (0..number(rows)).flat_map(|b| (0..b).map(move |a| u64::from(a) << 32 | u64::from(b))).collect()
}

/// All pairs of rows that share a key by one of the rules, each once; a rule is its parts and how many rows with one key are
/// all compared with each other. Where there are more, each is compared with so many `neighbours`.
fn pairs<'a>(
    parts: &[block::Part<'_>],
    rules: impl Iterator<Item = (&'a [usize], usize)>,
    rows: usize,
    neighbours: usize,
) -> Vec<u64> {
    let mut pairs = Vec::new();
    let mut blocks = block::Blocks::default();
    for (rule, most) in rules {
        blocks.each(parts, rule, rows, |_, block| {
            let next = if block.len() > most { neighbours } else { block.len() };
            for (at, a) in block.iter().enumerate() {
                let others = block[at + 1..].iter().take(next);
                pairs.extend(others.map(|b| u64::from(row_of(*a)) << 32 | u64::from(row_of(*b))));
            }
        });
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn ends(pair: u64) -> (u32, u32) {
    #[allow(clippy::cast_possible_truncation)] // The two halves of it.
    ((pair >> 32) as u32, pair as u32)
}
