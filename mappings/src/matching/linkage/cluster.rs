//! Clusters out of weighed pairs: the surest pair first, and two clusters join only if their records agree on the whole.

/// Pairs across two clusters that are looked at before they join.
const CROSS_MAX: usize = 64;

/// A pair and the bits for one customer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub a: u32,
    pub b: u32,
    pub bits: f32,
}

/// The cluster of each row. `bits` weighs any pair of rows.
pub(super) fn clusters(rows: usize, edges: &mut [Edge], link: f64, mut bits: impl FnMut(u32, u32) -> f64) -> Vec<u32> {
    edges.sort_unstable_by(|x, y| y.bits.total_cmp(&x.bits).then_with(|| (x.a, x.b).cmp(&(y.a, y.b))));
    let mut of: Vec<u32> = (0..rows).map(super::choose::number).collect();
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); rows];
    for edge in edges.iter() {
        let (x, y) = (of[edge.a as usize] as usize, of[edge.b as usize] as usize);
        if x == y {
            continue;
        }
        for it in [x, y] {
            if members[it].is_empty() {
                members[it].push(super::choose::number(it));
            }
        }
        let (big, small) = if members[x].len() >= members[y].len() { (x, y) } else { (y, x) };
        let across = members[big].len() * members[small].len();
        let step = across.div_ceil(CROSS_MAX).max(1);
        let (mut sum, mut looked) = (0.0, 0.0);
        for at in (0..across).step_by(step) {
            let (i, j) = (members[big][at / members[small].len()], members[small][at % members[small].len()]);
            sum += bits(i.min(j), i.max(j));
            looked += 1.0;
        }
        if sum / looked >= link {
            let joining = std::mem::take(&mut members[small]);
            for row in &joining {
                of[*row as usize] = super::choose::number(big);
            }
            members[big].extend(joining);
        }
    }
    of
}

/// The same clusters, numbered from 0 in the order of their first rows.
pub(super) fn in_order(of: &[u32]) -> Vec<u32> {
    let mut numbers = vec![u32::MAX; of.len()];
    let mut next = 0;
    let number = |cluster: &u32| {
        let number = &mut numbers[*cluster as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *number
    };
    of.iter().map(number).collect()
}
