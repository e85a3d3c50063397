//! Clusters out of weighed pairs: the surest pair first, and two clusters join only if their records agree on the whole.

use super::choose::number;

/// Pairs across two clusters that are looked at before they join.
const CROSS_MAX: usize = 64;

/// Where too many records hang together, only pairs that are surer by so many bits count, step by step.
pub(super) const STEPS: [f64; 7] = [0.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0];

/// A pair and the bits for one customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub a: u32,
    pub b: u32,
    pub bits: f32,
}

/// Records and what ties them, numbered from 0 in an order that is theirs whenever they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Component {
    pub size: usize,
    /// The smaller number first.
    pub edges: Vec<Edge>,
    /// Pairs that a steward found to be one customer, and two.
    pub same: Vec<(u32, u32)>,
    pub different: Vec<(u32, u32)>,
    /// Of each record the identities of which one customer has one: which, and its value. Empty if there are none.
    pub guards: Vec<Vec<(u8, u32)>>,
}

/// Clusters while they grow. A cluster is called by the record that it began with.
struct Growing {
    of: Vec<u32>,
    /// The member after each record, [`LAST`] after the last one.
    next: Vec<u32>,
    /// Of each cluster its last member, and how many it has.
    last: Vec<u32>,
    sizes: Vec<u32>,
    guards: Vec<Vec<(u8, u32)>>,
}

const LAST: u32 = u32::MAX;

impl Growing {
    fn of(&self, record: u32) -> usize {
        self.of[record as usize] as usize
    }

    fn members(&self, cluster: usize) -> Vec<u32> {
        let after = |record: &u32| Some(self.next[*record as usize]).filter(|next| *next != LAST);
        std::iter::successors(Some(number(cluster)), after).collect()
    }

    fn join(&mut self, big: usize, small: usize) {
        self.next[self.last[big] as usize] = number(small);
        self.last[big] = self.last[small];
        self.sizes[big] += self.sizes[small];
        let mut joining = number(small);
        while joining != LAST {
            self.of[joining as usize] = number(big);
            joining = self.next[joining as usize];
        }
        if !self.guards.is_empty() {
            let guards = std::mem::take(&mut self.guards[small]);
            self.guards[big].extend(guards);
        }
    }

    /// Whether both have an identity of which one customer has one, and not the same.
    fn clash(&self, x: usize, y: usize) -> bool {
        let of = |cluster: usize| self.guards.get(cluster).map_or(&[][..], Vec::as_slice);
        of(x).iter().any(|(at, value)| of(y).iter().any(|(other, its)| at == other && value != its))
    }
}

/// The cluster of each record. `bits` weighs any pair of them, the smaller number first.
pub(super) fn clusters(of: &mut Component, link: f64, mut bits: impl FnMut(u32, u32) -> f64) -> Vec<u32> {
    of.edges.sort_unstable_by(|x, y| y.bits.total_cmp(&x.bits).then_with(|| (x.a, x.b).cmp(&(y.a, y.b))));
    let alone: Vec<u32> = (0..number(of.size)).collect();
    let mut growing = Growing {
        next: vec![LAST; of.size],
        last: alone.clone(),
        sizes: vec![1; of.size],
        of: alone,
        guards: std::mem::take(&mut of.guards),
    };
    of.same.sort_unstable();
    for (a, b) in &of.same {
        let (x, y) = (growing.of(*a), growing.of(*b));
        if x != y {
            growing.join(x, y);
        }
    }
    for edge in &of.edges {
        let (x, y) = (growing.of(edge.a), growing.of(edge.b));
        if x == y {
            continue;
        }
        let (big, small) = if growing.sizes[x] >= growing.sizes[y] { (x, y) } else { (y, x) };
        // Of two rows alone the pair itself tells all.
        let alone = growing.sizes[big] == 1;
        if (alone || mean(&growing.members(big), &growing.members(small), &mut bits) >= link)
            && !growing.clash(x, y)
            && !of.different.iter().any(|(a, b)| {
                let between = (growing.of(*a), growing.of(*b));
                between == (x, y) || between == (y, x)
            })
        {
            growing.join(big, small);
        }
    }
    growing.of
}

/// What the pairs across two clusters weigh on the mean, of many a sample.
pub(super) fn mean(big: &[u32], small: &[u32], bits: &mut impl FnMut(u32, u32) -> f64) -> f64 {
    let across = big.len() * small.len();
    let step = across.div_ceil(CROSS_MAX).max(1);
    let (mut sum, mut looked) = (0.0, 0.0);
    for at in (0..across).step_by(step) {
        let (i, j) = (big[at / small.len()], small[at % small.len()]);
        sum += bits(i.min(j), i.max(j));
        looked += 1.0;
    }
    sum / looked
}

/// Parts the records into components of at most `most`, by edges of at least `link` bits. What is larger is parted by surer
/// edges alone, again and again; what is too large even then falls into what stewards tied. So what one record can
/// change is bounded, and where it falls follows from the edges and nothing else.
pub(super) fn pieces(rows: usize, edges: &[Edge], same: &[(u32, u32)], link: f64, most: usize) -> Vec<(Vec<u32>, f64)> {
    let mut open: Vec<bool> = vec![true; rows];
    let mut pieces = Vec::new();
    for least in STEPS.into_iter().map(|step| link + step).chain([f64::INFINITY]) {
        let mut roots: Vec<u32> = (0..rows).map(number).collect();
        let sure = edges.iter().filter(|edge| f64::from(edge.bits) >= least).map(|edge| (edge.a, edge.b));
        for (a, b) in sure.chain(same.iter().copied()).filter(|(a, b)| open[*a as usize] && open[*b as usize]) {
            let (x, y) = (root(&mut roots, a), root(&mut roots, b));
            roots[x.max(y) as usize] = x.min(y);
        }
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); rows];
        for row in (0..number(rows)).filter(|row| open[*row as usize]) {
            members[root(&mut roots, row) as usize].push(row);
        }
        for piece in members.into_iter().filter(|it| !it.is_empty() && (it.len() <= most || least.is_infinite())) {
            for row in &piece {
                open[*row as usize] = false;
            }
            if piece.len() > 1 {
                pieces.push((piece, least));
            }
        }
        if !open.contains(&true) {
            break;
        }
    }
    pieces
}

fn root(roots: &mut [u32], row: u32) -> u32 {
    let mut at = row;
    while roots[at as usize] != at {
        roots[at as usize] = roots[roots[at as usize] as usize];
        at = roots[at as usize];
    }
    at
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
