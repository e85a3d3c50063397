//! Who is who where one record could belong to several that are not one another: looked at anew, all at once, so that no
//! order of arrival decides.
//!
//! Most arrivals meet nobody, or somebody whom nothing speaks against; then one look at the arrival is enough. Where it is
//! not, everybody who is tied to them is loaded, and the groups follow from what all of them say
//! ([`matching::partition`]). Those for whom that stays so are marked in the store: what is said about one of them may
//! decide about the others, at any later time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use huiliu_mappings::matching::partition::{Bonds, RECORDS_MAX, partition, ties};
use huiliu_mappings::matching::{self, Decision, Evidence};

use super::{BLOCK_LINKS_MAX, Batch};
use crate::engine::Engine;
use crate::link::{Link, evidence_of};
use crate::store::blocks::{self, Tail};
use crate::store::db::{Result, Tx};
use crate::store::stewards;

/// So often more of those who are tied to each other are loaded, before what is known must do. A chain of that many steps
/// from one record to another ties strangers.
const STEPS_MAX: usize = 8;

/// What is to be looked at anew.
#[derive(Default)]
pub(crate) struct Contest {
    /// Links of this batch that could belong to several, and those to whom they could.
    seeds: BTreeSet<i64>,
    /// Links that spoke in this batch about who they are.
    spoke: BTreeSet<i64>,
    /// Loaded links that are marked in the store.
    marked: BTreeSet<i64>,
    /// Blocks that marked links left in this batch.
    left: BTreeSet<i64>,
    /// Blocks of which all that is known was loaded.
    loaded: BTreeSet<i64>,
    /// Golden records of whose links it is known where they came from.
    traced: BTreeSet<i64>,
    steps: usize,
    /// Pairs of links that were compared since all of the batch spoke, lower number first.
    ties: RefCell<HashMap<(i64, i64), bool>>,
    /// To mark, and marks to take away.
    pub tied: BTreeSet<i64>,
    pub freed: BTreeSet<i64>,
}

impl Contest {
    /// Whether this batch heard something new from a link.
    pub(super) fn has_spoken(&self, number: i64) -> bool {
        self.spoke.contains(&number)
    }
}

/// Golden records that ties connect, each with what its links say.
#[derive(Default)]
struct Around {
    said: BTreeMap<i64, Vec<(i64, Evidence)>>,
    /// Each with all that it is tied to. Those of too many links are left out.
    components: Vec<BTreeSet<i64>>,
    /// Blocks and golden records that were not loaded yet.
    wanted: BTreeSet<i64>,
    untraced: BTreeSet<i64>,
}

impl Batch {
    /// Notes what was loaded with the batch.
    pub(super) fn begin_contest(&mut self, tx: &mut Tx<'_>, hashes: BTreeSet<i64>) -> Result<()> {
        self.contest.loaded.extend(hashes);
        self.contest.marked.extend(stewards::contested(tx, self.links.keys().copied())?);
        Ok(())
    }

    /// A link said something about who it is; `left`: blocks that it bore before and does not bear any more.
    pub(super) fn spoke(&mut self, number: i64, left: impl IntoIterator<Item = i64>) {
        self.contest.spoke.insert(number);
        if self.contest.marked.contains(&number) {
            self.contest.left.extend(left);
        }
    }

    /// Everybody in this golden record is looked at anew.
    pub(super) fn doubt(&mut self, golden: i64) {
        let members = self.members(golden);
        self.contest.seeds.extend(members);
    }

    /// Notes whom a link is tied to by itself, though the decision about it does not join them.
    pub(super) fn note_contest(&mut self, engine: &Engine, number: i64, blocks: &[i64], decision: &Decision) {
        let Some(link) = self.links.get(&number) else { return };
        let entity = link.entity.as_str();
        let (linked, against) = match decision {
            Decision::Link { golden, against, .. } => (golden.as_slice(), *against),
            _ => (&[][..], false),
        };
        let mut seeds: BTreeSet<i64> = BTreeSet::new();
        let brings_others = self.cluster(link.golden).nth(1).is_some() && link.golden != 0;
        if against || (brings_others && !linked.is_empty()) {
            seeds.insert(number);
            seeds.extend(linked.iter().filter_map(|golden| self.clusters.get(golden)).flatten());
        }
        let near: BTreeSet<i64> = blocks.iter().filter_map(|hash| self.blocks.get(hash)).flatten().copied().collect();
        let is_other = |it: &i64| *it != 0 && *it != link.golden && !linked.contains(it);
        let others: Vec<i64> = near.into_iter().filter(is_other).collect();
        let mine = if others.is_empty() { Evidence::default() } else { link.state.evidence() };
        let mine = self.without_shared(engine, entity, mine);
        for golden in others {
            let links = evidence_of(self.cluster(golden).map(|it| &it.state));
            if links.iter().any(|their| ties(&engine.matching, entity, &mine, their)) {
                seeds.insert(number);
                seeds.extend(self.clusters.get(&golden).into_iter().flatten());
            }
        }
        self.contest.seeds.extend(seeds);
    }

    /// The golden records with which looking begins.
    fn doubtful(&self) -> BTreeSet<i64> {
        let golden = |number: &i64| self.links.get(number).map_or(0, |link| link.golden);
        let is_marked =
            |id: &i64| self.clusters.get(id).into_iter().flatten().any(|it| self.contest.marked.contains(it));
        let spoke = self.contest.spoke.iter().map(golden).filter(is_marked);
        let met =
            self.contest.left.iter().filter_map(|hash| self.blocks.get(hash)).flatten().copied().filter(is_marked);
        let mut all: BTreeSet<i64> = self.contest.seeds.iter().map(golden).chain(spoke).chain(met).collect();
        all.remove(&0);
        all
    }

    /// Blocks and golden records that must be loaded before anybody is looked at anew; none if nothing is left to load.
    pub(crate) fn wanted(&mut self, engine: &Engine) -> Option<(BTreeSet<i64>, BTreeSet<i64>)> {
        if self.contest.steps == STEPS_MAX || (self.contest.seeds.is_empty() && self.contest.marked.is_empty()) {
            return None;
        }
        self.contest.steps += 1;
        let around = self.around(engine);
        let more = self.contest.left.iter().filter(|hash| !self.contest.loaded.contains(hash));
        let wanted: BTreeSet<i64> = around.wanted.iter().chain(more).copied().collect();
        (!wanted.is_empty() || !around.untraced.is_empty()).then_some((wanted, around.untraced))
    }

    /// Loads more of the crosswalk; what this batch knows already stays as it has made it.
    pub(crate) fn widen(
        &mut self,
        tx: &mut Tx<'_>,
        tail: &Tail,
        (hashes, untraced): (BTreeSet<i64>, BTreeSet<i64>),
    ) -> Result<()> {
        let found = blocks::shared(tx, tail, hashes.iter().copied(), BLOCK_LINKS_MAX)?;
        let fresh: BTreeSet<i64> =
            found.iter().map(|it| it.golden).filter(|it| *it != 0 && !self.goldens.contains_key(it)).collect();
        let more = Self::gather(tx, Vec::new(), fresh)?;
        let strangers: Vec<i64> = more.links.keys().copied().filter(|it| !self.links.contains_key(it)).collect();
        for (number, link) in more.links {
            if self.links.contains_key(&number) {
                continue;
            }
            self.by_key.insert(link.key.clone(), number);
            self.clusters.entry(link.golden).or_default().insert(number);
            self.links.insert(number, link);
        }
        self.goldens.extend(more.goldens);
        self.pins.extend(more.pins);
        self.apart.extend(more.apart);
        self.same.extend(more.same);
        self.near_links(found);
        self.contest.loaded.extend(hashes);
        self.contest.marked.extend(stewards::contested(tx, strangers.iter().copied())?);
        let waiting = stewards::waiting_of(tx, strangers)?;
        self.waiting.extend(waiting.into_iter().map(|review| (review.link, review)));
        self.contest.traced.extend(untraced.iter().copied());
        self.load_origins(tx, untraced)
    }

    fn around(&self, engine: &Engine) -> Around {
        let mut around = Around::default();
        let mut seen: BTreeSet<i64> = BTreeSet::new();
        for start in self.doubtful() {
            if !seen.insert(start) {
                continue;
            }
            let (mut component, mut next) = (BTreeSet::from([start]), vec![start]);
            let mut count = 0;
            while let Some(golden) = next.pop() {
                count += self.members(golden).len();
                if count > RECORDS_MAX {
                    break;
                }
                for other in self.tied_to(engine, golden, &mut around) {
                    if seen.insert(other) {
                        component.insert(other);
                        next.push(other);
                    }
                }
            }
            if count <= RECORDS_MAX {
                around.untraced.extend(component.difference(&self.contest.traced));
                around.components.push(component);
            }
        }
        around
    }

    /// The golden records of which some link is tied to one of this one.
    fn tied_to(&self, engine: &Engine, golden: i64, around: &mut Around) -> Vec<i64> {
        let entity = self.goldens.get(&golden).map_or("", |it| it.entity.as_str());
        let mut tied = Vec::new();
        for (number, mine) in self.said_of(engine, golden, around) {
            let blocks = self.blocks_of(engine, number);
            let near: BTreeSet<i64> = blocks.iter().filter_map(|it| self.blocks.get(it)).flatten().copied().collect();
            around.wanted.extend(blocks.into_iter().filter(|hash| !self.contest.loaded.contains(hash)));
            for other in near.into_iter().filter(|it| *it != 0 && *it != golden) {
                let theirs = self.said_of(engine, other, around);
                if theirs.iter().any(|their| self.are_tied(engine, entity, (number, &mine), (their.0, &their.1))) {
                    tied.push(other);
                }
            }
        }
        tied
    }

    fn are_tied(&self, engine: &Engine, entity: &str, a: (i64, &Evidence), b: (i64, &Evidence)) -> bool {
        let pair = (a.0.min(b.0), a.0.max(b.0));
        *self.contest.ties.borrow_mut().entry(pair).or_insert_with(|| ties(&engine.matching, entity, a.1, b.1))
    }

    /// What each link of a golden record says, without what many share.
    fn said_of(&self, engine: &Engine, golden: i64, around: &mut Around) -> Vec<(i64, Evidence)> {
        let all = || {
            let links = self.members(golden);
            let said = evidence_of(links.iter().filter_map(|it| self.links.get(it)).map(|it| &it.state));
            let entity = self.goldens.get(&golden).map_or("", |it| it.entity.as_str());
            links.into_iter().zip(said.into_iter().map(|it| self.without_shared(engine, entity, it))).collect()
        };
        around.said.entry(golden).or_insert_with(all).clone()
    }

    /// Makes of all that were drawn into it what follows from what they say.
    pub(crate) fn reconsider(&mut self, engine: &Engine, position: i64) {
        if self.contest.seeds.is_empty() && self.contest.marked.is_empty() {
            return;
        }
        let mut around = self.around(engine);
        for component in std::mem::take(&mut around.components) {
            let mut links: Vec<(i64, Evidence)> = Vec::new();
            for golden in &component {
                links.extend(self.said_of(engine, *golden, &mut around));
            }
            self.look_anew(engine, &links, &component, position);
        }
        self.reblock_moved(engine);
    }

    fn look_anew(&mut self, engine: &Engine, links: &[(i64, Evidence)], goldens: &BTreeSet<i64>, position: i64) {
        let entity = goldens.first().and_then(|it| self.goldens.get(it)).map_or("", |it| it.entity.as_str()).to_owned();
        let numbers: Vec<i64> = links.iter().map(|it| it.0).collect();
        let said: Vec<Evidence> = links.iter().map(|it| it.1.clone()).collect();
        let (mut bound, mut held) = (BTreeSet::new(), BTreeSet::new());
        for golden in goldens {
            self.bind_in(engine, &entity, *golden, &mut bound, &mut held);
        }
        let pair = |a: usize, b: usize| (numbers[a].min(numbers[b]), numbers[a].max(numbers[b]));
        let one = |a: usize, b: usize| bound.contains(&pair(a, b)) || self.is_ruled(numbers[a], numbers[b]);
        let held = |a: usize, b: usize| held.contains(&pair(a, b));
        let apart = |a: usize, b: usize| self.apart.contains(&pair(a, b));
        let bonds = Bonds { one: &one, held: &held, apart: &apart };
        let group = partition(&engine.matching, &entity, &said, &bonds);
        let group_of: BTreeMap<i64, usize> = numbers.iter().copied().zip(group.iter().copied()).collect();
        let mut doubtful = self.arrange(engine, goldens, &group_of, position);
        for (at, number) in numbers.iter().enumerate() {
            let ties =
                |other: usize| self.are_tied(engine, &entity, (*number, &said[at]), (numbers[other], &said[other]));
            let is_tied = (0..said.len()).any(|other| group[other] != group[at] && ties(other));
            if is_tied {
                self.contest.tied.insert(*number);
                doubtful.insert(*number);
            } else if self.contest.marked.contains(number) {
                self.contest.freed.insert(*number);
            }
        }
        for number in doubtful {
            let golden = self.links.get(&number).map_or(0, |link| link.golden);
            if let Decision::Review { candidates } = self.decide(engine, number, &self.blocks_of(engine, number)) {
                self.ask(engine, number, golden, candidates);
            }
        }
    }

    /// Pairs of links of one golden record that belong together beside what they say. `bound` whatever that is: what a system
    /// merged, and what says nothing of its own about who it is. `held` as long as nothing contradicts it: what joined them
    /// is gone, or was never more than a question.
    fn bind_in(
        &self,
        engine: &Engine,
        entity: &str,
        golden: i64,
        bound: &mut BTreeSet<(i64, i64)>,
        held: &mut BTreeSet<(i64, i64)>,
    ) {
        let links = self.members(golden);
        let whole: Vec<&Link> = links.iter().filter_map(|it| self.links.get(it)).collect();
        if links.len() < 2 || whole.len() != links.len() {
            return;
        }
        let said = evidence_of(whole.iter().map(|it| &it.state));
        let glue = self.glue(engine, entity, golden, &links, &said);
        let agree = |a: usize, b: usize| {
            !ties(&engine.matching, entity, &said[a], &said[b])
                && matching::holds(&engine.matching, entity, &said[a], &said[b])
        };
        let of_one_system = |a: &Link, b: &Link| (&a.key.connection, &a.key.lens) == (&b.key.connection, &b.key.lens);
        for a in 0..links.len() {
            for b in a + 1..links.len() {
                let is_former = of_one_system(whole[a], whole[b]) && !(whole[a].open && whole[b].open);
                let is_mute = said[a].identities.is_empty() || said[b].identities.is_empty();
                let is_glued = glue.bind(a, b);
                if is_former || (is_glued && is_mute) {
                    bound.insert((links[a], links[b]));
                } else if is_glued || agree(a, b) {
                    held.insert((links[a], links[b]));
                }
            }
        }
    }

    /// Moves links so that the golden records are these groups. Returns those that were parted from others.
    fn arrange(
        &mut self,
        engine: &Engine,
        goldens: &BTreeSet<i64>,
        group_of: &BTreeMap<i64, usize>,
        position: i64,
    ) -> BTreeSet<i64> {
        let mut anchors: BTreeMap<usize, i64> = BTreeMap::new();
        let mut plans: Vec<(i64, Vec<BTreeSet<i64>>, usize)> = Vec::new();
        let of = |part: &BTreeSet<i64>| part.first().and_then(|it| group_of.get(it)).copied().unwrap_or_default();
        for golden in goldens {
            let mut parts: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
            for number in self.members(*golden) {
                parts.entry(group_of.get(&number).copied().unwrap_or_default()).or_default().insert(number);
            }
            let mut parts: Vec<BTreeSet<i64>> = parts.into_values().collect();
            parts.sort_unstable();
            let stays = self.stays(*golden, &parts, 0);
            if let Some(part) = parts.get(stays) {
                anchors.entry(of(part)).or_insert(*golden);
            }
            plans.push((*golden, parts, stays));
        }
        let mut moved = BTreeSet::new();
        for (golden, parts, stays) in plans.iter().filter(|it| it.1.len() > 1) {
            let others = parts.iter().enumerate().filter(|(at, _)| at != stays);
            moved.extend(others.flat_map(|(_, part)| part.iter().copied()));
            let targets: Vec<Option<i64>> = parts.iter().map(|part| anchors.get(&of(part)).copied()).collect();
            let owns = self.part_into(engine, *golden, parts, *stays, &targets, position);
            for (part, own) in parts.iter().zip(owns) {
                anchors.entry(of(part)).or_insert(own);
            }
        }
        let mut one: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for (number, group) in group_of {
            one.entry(*group).or_default().extend(self.links.get(number).map(|link| link.golden));
        }
        for same in one.into_values().filter(|same| same.len() > 1) {
            self.absorb(&same.into_iter().collect::<Vec<_>>(), position);
        }
        moved
    }
}
