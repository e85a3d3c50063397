//! Which records hang together: the pieces in which they are clustered.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::choose::number;
use super::super::cluster::{Component, Edge, STEPS};
use super::super::facts::Facts;
use super::super::frozen::Frozen;
use super::Edges;
use super::grown::Grown;

const ALONE: u32 = u32::MAX;

/// The pieces of all rows, as [`super::super::cluster::pieces`] would part them.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    of: Vec<u32>,
    members: Vec<Vec<u32>>,
    free: Vec<u32>,
}

/// Looks for the piece of a row.
struct Search<'a> {
    grown: &'a Grown,
    edges: &'a Edges,
    facts: &'a Facts,
    link: f64,
    most: usize,
    /// Rows of which it was seen that too many hang together by edges of a step.
    large: FxHashSet<(usize, u32)>,
}

impl Search<'_> {
    /// The rows that hang together with one, and the bits that an edge needs there.
    fn piece(&mut self, row: u32) -> (Vec<u32>, f64) {
        for (step, bits) in STEPS.iter().enumerate() {
            let least = self.link + bits;
            if let Some(piece) = self.within(row, step, least) {
                return (piece, least);
            }
        }
        let tied = self.within(row, STEPS.len(), f64::INFINITY);
        (tied.unwrap_or_default(), f64::INFINITY)
    }

    /// All that hang together with a row by edges of at least so many bits; `None` if they are too many.
    fn within(&mut self, row: u32, step: usize, least: f64) -> Option<Vec<u32>> {
        let (mut piece, mut seen, mut at) = (vec![row], FxHashSet::from_iter([row]), 0);
        while at < piece.len() {
            let row = piece[at];
            at += 1;
            if self.large.contains(&(step, row)) || (piece.len() > self.most && least.is_finite()) {
                self.large.extend(piece.iter().map(|row| (step, *row)));
                return None;
            }
            let sure = self.edges.of(row).iter().filter(|(_, bits)| f64::from(*bits) >= least).map(|(other, _)| *other);
            let ruled = self.facts.same(self.grown.id(row)).filter_map(|id| self.grown.row(id));
            piece.extend(sure.chain(ruled).filter(|other| seen.insert(*other)));
        }
        Some(piece)
    }
}

impl Pieces {
    /// The piece of a row.
    pub(super) fn with(&self, row: u32) -> Vec<u32> {
        match self.of.get(row as usize) {
            Some(piece) if *piece != ALONE => self.members[*piece as usize].clone(),
            _ => vec![row],
        }
    }

    /// Takes apart the piece of a row.
    fn open(&mut self, row: u32) -> Vec<u32> {
        let rows = self.with(row);
        if rows.len() > 1 {
            let piece = self.of[row as usize];
            for row in &rows {
                self.of[*row as usize] = ALONE;
            }
            self.members[piece as usize] = Vec::new();
            self.free.push(piece);
        }
        rows
    }

    fn keep(&mut self, rows: &[u32]) {
        let most = rows.iter().max().map_or(0, |row| *row as usize + 1);
        self.of.resize(self.of.len().max(most), ALONE);
        if rows.len() < 2 {
            return;
        }
        let piece = self.free.pop().unwrap_or_else(|| {
            self.members.push(Vec::new());
            number(self.members.len() - 1)
        });
        for row in rows {
            self.of[*row as usize] = piece;
        }
        self.members[piece as usize] = rows.to_vec();
    }

    /// Finds the pieces of all rows that hang together, or did, with those that a change touched; each in the order of its rows'
    /// ranks, with the bits that its edges need.
    pub(super) fn renew(
        &mut self,
        dirty: FxHashSet<u32>,
        grown: &Grown,
        edges: &Edges,
        facts: &Facts,
        model: &Frozen,
    ) -> Vec<(Vec<u32>, f64)> {
        let most = model.clusters.component_most as usize;
        let mut search = Search { grown, edges, facts, link: model.clusters.link, most, large: FxHashSet::default() };
        let (mut opened, mut open, mut done) = (FxHashSet::default(), VecDeque::new(), FxHashSet::default());
        let mut found = Vec::new();
        let reopen = |pieces: &mut Self, row: u32, opened: &mut FxHashSet<u32>, open: &mut VecDeque<u32>| {
            if !opened.contains(&row) {
                let rows = pieces.open(row);
                open.extend(rows.iter().filter(|row| grown.is_there(**row)));
                opened.extend(rows);
            }
        };
        for row in dirty {
            reopen(self, row, &mut opened, &mut open);
        }
        while let Some(row) = open.pop_front() {
            if done.contains(&row) {
                continue;
            }
            let (mut piece, least) = search.piece(row);
            for row in &piece {
                reopen(self, *row, &mut opened, &mut open);
                done.insert(*row);
            }
            piece.sort_unstable_by(|x, y| grown.rank(*x).cmp(&grown.rank(*y)));
            self.keep(&piece);
            found.push((piece, least));
        }
        found
    }
}

/// A piece with all that ties its records, in numbers of its own.
pub(super) fn component(members: &[u32], least: f64, grown: &Grown, edges: &Edges, facts: &Facts) -> Component {
    let at: FxHashMap<u32, u32> = members.iter().copied().zip(0..).collect();
    let mut component = Component { size: members.len(), ..Component::default() };
    for (place, row) in (0..).zip(members) {
        let inside = |other: u32| at.get(&other).copied().filter(|other| place < *other);
        let sure = edges.of(*row).iter().filter(|(_, bits)| f64::from(*bits) >= least);
        component
            .edges
            .extend(sure.filter_map(|(other, bits)| Some(Edge { a: place, b: inside(*other)?, bits: *bits })));
        if !facts.is_empty() {
            let id = grown.id(*row);
            let there = |id: &str| grown.row(id).and_then(inside).map(|other| (place, other));
            component.same.extend(facts.same(id).filter_map(there));
            component.different.extend(facts.different(id).filter_map(there));
        }
    }
    if !grown.guards.is_empty() {
        component.guards = members.iter().map(|row| grown.guards.row(&grown.features, *row as usize)).collect();
    }
    component
}
