//! Measures of a clustering against the truth: over pairs, over records (B-cubed; Bagga and Baldwin 1998), over whole clusters.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Score {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Score {
    fn of(right: f64, said: f64, true_ones: f64) -> Self {
        // Nothing said is never wrong; nothing to find is always found.
        let part = |of: f64, all: f64| if all > 0.0 { of / all } else { 1.0 };
        Self::from(part(right, said), part(right, true_ones))
    }

    fn from(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        Self { precision, recall, f1: if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 } }
    }
}

/// All measures of one clustering.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Scores {
    pub pairwise: Score,
    pub b_cubed: Score,
    pub clusters: Score,
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn pairs(number: usize) -> f64 {
    count(number) * (count(number) - 1.0) / 2.0
}

fn sizes(of: &[u32]) -> BTreeMap<u32, usize> {
    let mut sizes = BTreeMap::new();
    for cluster in of {
        *sizes.entry(*cluster).or_insert(0) += 1;
    }
    sizes
}

/// Measures: the cluster that was found for each record, and the true one.
pub(super) fn scores(found: &[u32], truth: &[u32]) -> Scores {
    let mut cells: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for (said, real) in found.iter().zip(truth) {
        *cells.entry((*said, *real)).or_insert(0) += 1;
    }
    let (said, real) = (sizes(found), sizes(truth));
    let right: f64 = cells.values().map(|cell| pairs(*cell)).sum();
    let all = |sizes: &BTreeMap<u32, usize>| sizes.values().map(|size| pairs(*size)).sum::<f64>();
    let over = |of: &dyn Fn(&(u32, u32)) -> usize| {
        cells.iter().map(|(key, cell)| count(*cell) * count(*cell) / count(of(key))).sum::<f64>()
    };
    let records = count(found.len()).max(1.0);
    let exact = cells.iter().filter(|((x, y), cell)| **cell == said[x] && **cell == real[y]).count();
    Scores {
        pairwise: Score::of(right, all(&said), all(&real)),
        b_cubed: Score::from(over(&|key| said[&key.0]) / records, over(&|key| real[&key.1]) / records),
        clusters: Score::of(count(exact), count(said.len()), count(real.len())),
    }
}

/// Rows of the clusters that mix the most records, and of the customers that are split into the most clusters.
pub(super) fn worst(found: &[u32], truth: &[u32], most: usize) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    (mixed(found, truth, most), mixed(truth, found, most))
}

fn mixed(by: &[u32], of: &[u32], most: usize) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (row, cluster) in by.iter().enumerate() {
        groups.entry(*cluster).or_default().push(row);
    }
    let wrong = |rows: &[usize]| {
        let mut inside: BTreeMap<u32, usize> = BTreeMap::new();
        for row in rows {
            *inside.entry(of[*row]).or_insert(0) += 1;
        }
        let distinct: BTreeSet<u32> = inside.keys().copied().collect();
        let apart = pairs(rows.len()) - inside.values().map(|size| pairs(*size)).sum::<f64>();
        (distinct.len() > 1).then_some(apart)
    };
    let mut groups: Vec<(f64, Vec<usize>)> =
        groups.into_values().filter_map(|rows| wrong(&rows).map(|apart| (apart, rows))).collect();
    groups.sort_by(|x, y| y.0.total_cmp(&x.0).then_with(|| x.1.cmp(&y.1)));
    groups.into_iter().take(most).map(|(_, rows)| rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: {1,2,3} {4} found, {1,2} {3,4} true.
    #[test]
    fn a_small_case_worked_out_by_hand() {
        let (found, truth) = ([7, 7, 7, 9], [1, 1, 2, 2]);
        let scores = scores(&found, &truth);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(scores.pairwise.precision, 1.0 / 3.0) && close(scores.pairwise.recall, 0.5), "{scores:?}");
        assert!(close(scores.b_cubed.precision, (2.0 / 3.0 * 2.0 + 1.0 / 3.0 + 1.0) / 4.0), "{scores:?}");
        assert!(close(scores.b_cubed.recall, (1.0 + 1.0 + 0.5 + 0.5) / 4.0), "{scores:?}");
        assert!(close(scores.clusters.f1, 0.0), "{scores:?}");
        assert_eq!(worst(&found, &truth, 5), (vec![vec![0, 1, 2]], vec![vec![2, 3]]));
    }

    #[test]
    fn the_truth_scores_one() {
        let truth = [0, 0, 1, 2, 2, 2];
        let scores = scores(&[5, 5, 4, 9, 9, 9], &truth);
        assert_eq!((scores.pairwise.f1, scores.b_cubed.f1, scores.clusters.f1), (1.0, 1.0, 1.0));
        assert_eq!(worst(&truth, &truth, 5), (vec![], vec![]));
    }
}
