//! Which blocking rules to take: those that bring the most pairs of one customer for the pairs they cost, measured on some
//! of the records.

use std::borrow::Cow;
use std::iter::repeat;

use rustc_hash::{FxHashMap, FxHashSet};

use super::block::{self, Blocks, Key, Part, Wanted, keys};
use super::compare::Comparer;
use super::model::{Dice, Model, Pair, count};
use super::settings::Learning;
use super::table::Id;

/// Records whose blocks are counted; of larger tables a sample stands for all.
const SAMPLE: usize = 10_000;

/// Records whose partners are looked for.
const QUERIES: usize = 1_500;

/// The same in tables larger than the sample.
const QUERIES_LARGE: usize = 800;

/// Rules by which partners are looked for in tables larger than the sample.
const PROBES: usize = 20;

/// The same where they are wide ones.
const PROBES_WIDE: usize = 12;

/// Pairs a record that such a rule costs at most, if there are so narrow ones.
const PROBE_PAIRS: f64 = 2.0;

/// Pairs a record that one rule may cost, and all of them: fewer in larger tables.
const PAIRS_EACH: f64 = 25.0;
const PAIRS_ALL: f64 = 120.0;
const PAIRS_ALL_LARGE: f64 = 10.0;

/// Rules are taken up to here.
const RULES_MAX: usize = 40;

/// A blocking rule and what it costs.
pub(super) struct Rule {
    pub parts: Vec<usize>,
    pairs: f64,
    /// More records than these behind one key are not all compared with each other.
    pub most: usize,
    /// Keys that more records share.
    large: FxHashSet<Key>,
}

/// Of a larger block each record is compared with so many that come next: of records in order those are the most alike.
pub(super) const NEIGHBOURS: usize = 4;

/// A block of so few records is compared whole.
const BLOCK_LEAST: usize = 50;

/// A block of more records than this is not compared whole.
pub(super) fn block_most(rows: usize) -> usize {
    (rows / 4).clamp(50, 400)
}

/// The rules to take, in the order of their worth. The model learns a first time on the way.
pub(super) fn choose(parts: &[Part<'_>], comparer: &Comparer<'_>, model: &mut Model, learning: &Learning) -> Vec<Rule> {
    let rows = comparer.features.rows;
    let mut rules = candidates(parts, rows);
    let pairs = partners(parts, &rules, comparer, model);
    // Partners were looked for from some records only: what they show of how many there are stands for all.
    let queries = if rows <= QUERIES { 0.5 * count(rows) } else { count(queries(rows).len()) };
    model.learn(comparer, &pairs, 0.5 * count(rows) / queries.max(1.0), learning, 8);
    let likely: Vec<(f64, &Pair)> =
        pairs.iter().map(|pair| (chance(model.bits(pair)), pair)).filter(|(chance, _)| *chance > 0.02).collect();
    let asked: Vec<Asked> = likely.into_iter().map(|(chance, pair)| Asked::of(chance, pair, parts, &rules)).collect();
    let found = hurt(&asked, parts, &rules);
    let chosen = cover(&found, &rules, rows);
    let mut taken: Vec<Option<Rule>> = std::mem::take(&mut rules).into_iter().map(Some).collect();
    chosen.into_iter().filter_map(|at| taken[at].take()).collect()
}

/// Takes the rule that finds the most for its price, and again, until little is left to find.
fn cover(found: &[(f64, Vec<u16>)], rules: &[Rule], rows: usize) -> Vec<usize> {
    let all: f64 = found.iter().map(|(chance, _)| chance).sum();
    let most = count(rows) * if rows <= SAMPLE * 3 { PAIRS_ALL } else { PAIRS_ALL_LARGE };
    let (mut chosen, mut spent): (Vec<usize>, f64) = (Vec::new(), 0.0);
    let mut open: Vec<&(f64, Vec<u16>)> = found.iter().collect();
    while chosen.len() < RULES_MAX {
        let mut gains = vec![0.0; rules.len()];
        for (chance, finders) in &open {
            for rule in finders {
                gains[usize::from(*rule)] += chance;
            }
        }
        let worth = |rule: usize| gains[rule] / (rules[rule].pairs + 0.2 * count(rows));
        let affordable = (0..rules.len()).filter(|rule| gains[*rule] > 0.0 && spent + rules[*rule].pairs <= most);
        let Some(best) = affordable.max_by(|x, y| worth(*x).total_cmp(&worth(*y)).then(y.cmp(x))) else { break };
        if gains[best] < 1e-4 * all {
            break;
        }
        spent += rules[best].pairs;
        open.retain(|(_, finders)| !finders.iter().any(|rule| usize::from(*rule) == best));
        chosen.push(best);
    }
    chosen
}

fn chance(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits).exp2())
}

fn queries(rows: usize) -> Vec<usize> {
    if rows <= QUERIES {
        return (0..rows).collect();
    }
    let mut dice = Dice::new(11);
    let many = if rows <= SAMPLE { QUERIES } else { QUERIES_LARGE };
    let mut queries: Vec<usize> = (0..many).map(|_| dice.below(rows)).collect();
    queries.sort_unstable();
    queries.dedup();
    queries
}

/// All rules of one or two parts that are affordable, the cheapest first.
fn candidates(parts: &[Part<'_>], rows: usize) -> Vec<Rule> {
    let sample: Vec<usize> = if rows <= SAMPLE {
        (0..rows).collect()
    } else {
        let mut dice = Dice::new(5);
        let mut sample: Vec<usize> = (0..SAMPLE).map(|_| dice.below(rows)).collect();
        sample.sort_unstable();
        sample.dedup();
        sample
    };
    let scale = count(rows) / count(sample.len()).max(1.0);
    let numbers: Vec<Id> = (0..number(sample.len())).collect();
    let some: Vec<Part<'_>> = parts.iter().map(|part| part.of_some(&sample, &numbers)).collect();
    let mut blocks = Blocks::default();
    let mut measured = |rule: Vec<usize>| measure(&some, rule, sample.len(), scale, block_most(rows), &mut blocks);
    let singles: Vec<Rule> = (0..parts.len()).map(|part| measured(vec![part])).collect();
    let mut rules = Vec::new();
    for i in 0..parts.len() {
        for j in i + 1..parts.len() {
            // A part that is cheap by itself needs no company.
            let cheap = |part: usize| singles[part].large.is_empty() && singles[part].pairs < 0.5 * count(rows);
            if parts[i].group != parts[j].group && !cheap(i) && !cheap(j) {
                rules.push(measured(vec![i, j]));
            }
        }
    }
    rules.extend(singles);
    rules.retain(|rule| (rule.pairs > 0.0 || scale > 1.0) && rule.pairs <= PAIRS_EACH * count(rows));
    rules.sort_by(|x, y| x.pairs.total_cmp(&y.pairs).then_with(|| x.parts.cmp(&y.parts)));
    rules.truncate(usize::from(u16::MAX));
    rules
}

/// What a rule costs, from the blocks of the sample, and up to which size all of a block is compared: where that costs too much
/// because each customer is there many times, blocks are made smaller and not done without.
fn measure(parts: &[Part<'_>], rule: Vec<usize>, rows: usize, scale: f64, most: usize, blocks: &mut Blocks) -> Rule {
    let mut sizes: Vec<(Key, f64)> = Vec::new();
    blocks.each(parts, &rule, rows, |key, block| sizes.push((key, count(block.len()))));
    let is_large = |size: f64, most: usize| size * scale > count(most);
    let cost = |most: usize| {
        let of = |(_, size): &(Key, f64)| {
            if is_large(*size, most) {
                scale * size * count(NEIGHBOURS)
            } else {
                scale * scale * size * (size - 1.0) / 2.0
            }
        };
        sizes.iter().map(of).sum::<f64>()
    };
    let mut most = most;
    while most > BLOCK_LEAST && cost(most) > PAIRS_EACH * scale * count(rows) {
        most /= 2;
    }
    let large = sizes.iter().filter(|(_, size)| is_large(*size, most)).map(|(key, _)| *key).collect();
    Rule { pairs: cost(most), parts: rule, most, large }
}

/// Pairs of the queried records with whoever shares a key with them.
fn partners(parts: &[Part<'_>], rules: &[Rule], comparer: &Comparer<'_>, model: &Model) -> Vec<Pair> {
    let rows = comparer.features.rows;
    let queries = queries(rows);
    let wanted = |part: &Part<'_>| Wanted::of(queries.iter().map(|query| part.of(*query)));
    let wanted: Vec<Wanted> = parts.iter().map(wanted).collect();
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut own = Vec::new();
    let mut passing: FxHashMap<usize, Vec<u32>> = FxHashMap::default();
    for rule in probes(rules, rows) {
        let mut asked: FxHashMap<Key, (Vec<u32>, Vec<u32>)> = FxHashMap::default();
        for query in &queries {
            keys(parts, &rule.parts, *query, &mut own);
            for key in own.iter().filter(|key| !rule.large.contains(*key)) {
                asked.entry(*key).or_default().0.push(number(*query));
            }
        }
        // The part of the most keys lets the fewest rows pass.
        let first = *rule.parts.iter().max_by_key(|part| (wanted[**part].len(), **part)).expect("a rule has a part");
        let hits = passing.entry(first).or_insert_with(|| parts[first].hits(&wanted[first], 0..number(rows)));
        let mut hits = Cow::Borrowed(hits.as_slice());
        for part in rule.parts.iter().filter(|part| **part != first) {
            hits = Cow::Owned(parts[*part].hits(&wanted[*part], hits.iter().copied()));
        }
        for row in hits.iter().copied() {
            keys(parts, &rule.parts, row as usize, &mut own);
            for key in &own {
                if let Some((_, block)) = asked.get_mut(key) {
                    block.push(row);
                }
            }
        }
        for (asking, block) in asked.into_values().filter(|(_, block)| block.len() <= block_most(rows)) {
            for query in asking {
                let pair = |row: &u32| (query.min(*row), query.max(*row));
                found.extend(block.iter().map(pair).filter(|(a, b)| a != b));
            }
        }
        // Many rules find the same pairs.
        found.sort_unstable();
        found.dedup();
    }
    let mut pairs = Vec::with_capacity(found.len());
    comparer.each(found, |(a, b), out| pairs.push(model.pair(a, b, out)));
    pairs
}

/// The rules by which partners are looked for: all of a small table, of a large one those of many kinds that cost about
/// [`PROBE_PAIRS`] a record. Where each customer is there many times none is so narrow: then it is wider ones.
fn probes(rules: &[Rule], rows: usize) -> Vec<&Rule> {
    if rows <= SAMPLE {
        return rules.iter().collect();
    }
    let mut used: FxHashMap<usize, usize> = FxHashMap::default();
    let mut probes = Vec::new();
    let wide = rules.partition_point(|rule| rule.pairs <= PROBE_PAIRS * count(rows));
    for (rule, most) in
        rules[..wide].iter().rev().zip(repeat(PROBES)).chain(rules[wide..].iter().zip(repeat(PROBES_WIDE)))
    {
        if probes.len() >= most {
            break;
        }
        if rule.parts.iter().all(|part| used.get(part).copied().unwrap_or_default() < 4) {
            for part in &rule.parts {
                *used.entry(*part).or_default() += 1;
            }
            probes.push(rule);
        }
    }
    probes
}

/// A pair that is likely one customer, and how it can be found.
struct Asked {
    chance: f64,
    /// For each part, whether the two share a key by it.
    shared: Vec<bool>,
    /// The rules that find it.
    finders: Vec<u16>,
}

impl Asked {
    fn of(chance: f64, pair: &Pair, parts: &[Part<'_>], rules: &[Rule]) -> Self {
        let shared = |part: &Part<'_>| {
            let (mine, theirs) = (part.of(pair.a as usize), part.of(pair.b as usize));
            mine.iter().any(|key| *key != 0 && theirs.contains(key))
        };
        let shared: Vec<bool> = parts.iter().map(shared).collect();
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        let mut is_small = |rule: &Rule| {
            keys(parts, &rule.parts, pair.a as usize, &mut mine);
            keys(parts, &rule.parts, pair.b as usize, &mut theirs);
            mine.iter().any(|key| theirs.contains(key) && !rule.large.contains(key))
        };
        let mut finds =
            |rule: &Rule| rule.parts.iter().all(|part| shared[*part]) && (rule.large.is_empty() || is_small(rule));
        let finders = rules.iter().enumerate().filter(|(_, rule)| finds(rule));
        let finders = finders.filter_map(|(at, _)| u16::try_from(at).ok()).collect();
        Self { chance, shared, finders }
    }
}

/// Pairs that are looked at as if they had one slip more, at most.
const HURT_MOST: usize = 12_000;

/// What was asked, and the same as if in each pair one group of parts more differed, as often as it does among all of them: the
/// records that were asked do not show every way in which others differ.
fn hurt(asked: &[Asked], parts: &[Part<'_>], rules: &[Rule]) -> Vec<(f64, Vec<u16>)> {
    let mut groups: Vec<u8> = parts.iter().map(|part| part.group).filter(|group| *group != block::BOTH_NAMES).collect();
    groups.sort_unstable();
    groups.dedup();
    let differs =
        |it: &Asked, group: u8| !parts.iter().zip(&it.shared).any(|(part, shared)| part.group == group && *shared);
    let all: f64 = asked.iter().map(|it| it.chance).sum();
    let rate = |group: &u8| {
        let differing: f64 = asked.iter().filter(|it| differs(it, *group)).map(|it| it.chance).sum();
        (differing / all.max(f64::MIN_POSITIVE)).clamp(0.01, 0.5)
    };
    let rates: Vec<f64> = groups.iter().map(rate).collect();
    let mut found: Vec<(f64, Vec<u16>)> = asked.iter().map(|it| (it.chance, it.finders.clone())).collect();
    let every = (asked.len() * groups.len()).div_ceil(HURT_MOST).max(1);
    let cases = asked.iter().flat_map(|it| groups.iter().zip(&rates).map(move |(group, rate)| (it, *group, *rate)));
    for (it, group, rate) in cases.step_by(every).filter(|(it, group, _)| !differs(it, *group)) {
        let stands = |rule: &u16| {
            let mut of = rules[usize::from(*rule)].parts.iter();
            of.all(|part| !block::says(parts[*part].group, group))
        };
        found.push((it.chance * rate * count(every), it.finders.iter().copied().filter(stands).collect()));
    }
    found
}

pub(super) fn number(row: usize) -> u32 {
    u32::try_from(row).expect("a table has fewer rows")
}
