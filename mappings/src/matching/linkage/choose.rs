//! Which blocking rules to take: those that bring the most pairs of one customer for the pairs they cost, measured on some
//! of the records.

use rustc_hash::{FxHashMap, FxHashSet};

use super::block::{Blocks, Key, Part, Wanted, keys};
use super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::model::{Dice, Model, Pair, count};
use super::settings::Learning;
use super::table::Id;

/// Records whose blocks are counted; of larger tables a sample stands for all.
const SAMPLE: usize = 10_000;

/// Records whose partners are looked for.
const QUERIES: usize = 1_500;

/// The same in tables larger than the sample.
const QUERIES_LARGE: usize = 400;

/// Rules by which partners are looked for in tables larger than the sample.
const PROBES: usize = 24;

/// Pairs a record that one rule may cost, and all of them: fewer in larger tables.
const PAIRS_EACH: f64 = 25.0;
const PAIRS_ALL: f64 = 120.0;
const PAIRS_ALL_LARGE: f64 = 10.0;

/// Each pair is to be found by so many rules.
const TIMES: usize = 3;

/// Rules are taken up to here.
const RULES_MAX: usize = 40;

/// A blocking rule and what it costs.
pub(super) struct Rule {
    pub parts: Vec<usize>,
    pairs: f64,
    /// Keys that too many records share.
    large: FxHashSet<Key>,
}

/// A block of more records than this says nothing.
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
    let found: Vec<(f64, Vec<u16>)> =
        likely.into_iter().map(|(chance, pair)| (chance, finders(parts, &rules, pair))).collect();
    let chosen = cover(&found, &rules, rows);
    let mut taken: Vec<Option<Rule>> = std::mem::take(&mut rules).into_iter().map(Some).collect();
    chosen.into_iter().filter_map(|at| taken[at].take()).collect()
}

/// Takes the rule that finds the most for its price, and again, until little is left to find; and all that again, without the
/// rules that were taken: the records that were asked do not show every way in which others differ.
fn cover(found: &[(f64, Vec<u16>)], rules: &[Rule], rows: usize) -> Vec<usize> {
    let small = rows <= SAMPLE * 3;
    let all: f64 = found.iter().map(|(chance, _)| chance).sum();
    let most = count(rows) * if small { PAIRS_ALL } else { PAIRS_ALL_LARGE };
    let (mut chosen, mut spent): (Vec<usize>, f64) = (Vec::new(), 0.0);
    for _ in 0..TIMES {
        let mut open: Vec<&(f64, Vec<u16>)> = found.iter().collect();
        while chosen.len() < RULES_MAX {
            let mut gains = vec![0.0; rules.len()];
            for (chance, finders) in &open {
                for rule in finders {
                    gains[usize::from(*rule)] += chance;
                }
            }
            for rule in &chosen {
                gains[*rule] = 0.0;
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

/// What a rule costs, from the blocks of the sample.
fn measure(parts: &[Part<'_>], rule: Vec<usize>, rows: usize, scale: f64, most: usize, blocks: &mut Blocks) -> Rule {
    let (mut pairs, mut large) = (0.0, FxHashSet::default());
    blocks.each(parts, &rule, rows, |key, block| {
        let size = count(block.len());
        if size * scale > count(most) {
            large.insert(key);
        } else {
            pairs += scale * scale * size * (size - 1.0) / 2.0;
        }
    });
    Rule { parts: rule, pairs, large }
}

/// Pairs of the queried records with whoever shares a key with them.
fn partners(parts: &[Part<'_>], rules: &[Rule], comparer: &Comparer<'_>, model: &Model) -> Vec<Pair> {
    let rows = comparer.features.rows;
    let queries = queries(rows);
    let wanted = |part: &Part<'_>| Wanted::of(queries.iter().map(|query| part.of(*query)));
    let wanted: Vec<Wanted> = parts.iter().map(wanted).collect();
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut own = Vec::new();
    for rule in probes(rules, rows) {
        let mut asked: FxHashMap<Key, (Vec<u32>, Vec<u32>)> = FxHashMap::default();
        for query in &queries {
            keys(parts, &rule.parts, *query, &mut own);
            for key in own.iter().filter(|key| !rule.large.contains(*key)) {
                asked.entry(*key).or_default().0.push(number(*query));
            }
        }
        let mut hits: Vec<u32> = parts[rule.parts[0]].hits(&wanted[rule.parts[0]], 0..number(rows));
        for part in &rule.parts[1..] {
            hits = parts[*part].hits(&wanted[*part], hits.into_iter());
        }
        for row in hits {
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
    let mut out = [Outcome::SILENT; COMPARISONS_MAX];
    let compared = |(a, b): (u32, u32)| {
        comparer.compare(a as usize, b as usize, &mut out);
        model.pair(a, b, &out)
    };
    found.into_iter().map(compared).collect()
}

/// The rules by which partners are looked for: all of a small table, of a large one wide ones of many kinds.
fn probes(rules: &[Rule], rows: usize) -> Vec<&Rule> {
    if rows <= SAMPLE {
        return rules.iter().collect();
    }
    let mut used: FxHashMap<usize, usize> = FxHashMap::default();
    let mut probes = Vec::new();
    for rule in rules.iter().rev().filter(|rule| rule.pairs <= 15.0 * count(rows)) {
        if probes.len() == PROBES {
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

/// The rules that would find a pair.
fn finders(parts: &[Part<'_>], rules: &[Rule], pair: &Pair) -> Vec<u16> {
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
    let found = rules.iter().enumerate().filter(|(_, rule)| finds(rule));
    found.filter_map(|(at, _)| u16::try_from(at).ok()).collect()
}

pub(super) fn number(row: usize) -> u32 {
    u32::try_from(row).expect("a table has fewer rows")
}
