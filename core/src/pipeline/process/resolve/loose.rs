//! Links that nothing holds in their golden record any more: what joined them was taken back, or turned out to be a value
//! that many customers share.
//!
//! Who was joined by evidence that is gone is parted when the others contradict it: people change their addresses, and
//! remain who they are, together with those who know no other address. Who was joined by a ruling, or because a system made
//! one of two, is not parted.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::partition::groups;
use huiliu_mappings::matching::{self, Evidence, partition};

use super::Batch;
use crate::engine::Engine;
use crate::link::{Link, LinkState, evidence_of};
use crate::review;
use crate::store::db::{Result, Tx};
use crate::store::goldens;

/// Golden records of more links are not looked through, pair by pair: that would be some hundred comparisons at once.
const LINKS_MAX: usize = 24;

impl Batch {
    /// Whether so many customers have a value in common that it says nothing about any of them. What follows from who is
    /// one customer by now would depend on the order of arrival: so those are counted who are called differently, and the
    /// records of one system, for each of which that has a customer.
    fn is_shared_by_many(&self, engine: &Engine, hash: i64) -> bool {
        let most = engine.matching.shared_by_max();
        let Some(bearers) = self.bearers.get(&hash).filter(|it| it.len() > most) else { return false };
        let links: Vec<&Link> = bearers.iter().filter_map(|it| self.links.get(it)).collect();
        let mut systems: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for link in &links {
            *systems.entry((link.key.connection.as_str(), &link.key.lens)).or_default() += 1;
        }
        let said: Vec<Evidence> = links.iter().map(|link| link.state.evidence()).collect();
        systems.values().any(|count| *count > most) || partition::names(&said) > most
    }

    /// Takes away identities that many customers share.
    pub(super) fn without_shared(&self, engine: &Engine, entity: &str, mut evidence: Evidence) -> Evidence {
        evidence.identities.retain(|identity| {
            !engine.matching.may_be_shared(identity)
                || !self.is_shared_by_many(engine, matching::identity_block(&engine.matching, entity, identity))
        });
        evidence
    }

    /// Values that many share.
    fn shared_now(&self, engine: &Engine) -> BTreeSet<i64> {
        self.bearers.keys().copied().filter(|hash| self.is_shared_by_many(engine, *hash)).collect()
    }

    pub(super) fn note_shared(&mut self, engine: &Engine) {
        self.shared = self.shared_now(engine);
    }

    /// Parts what only values held that came to be shared by many in this batch, and joins whom values prove again to be
    /// one that are not.
    pub(super) fn loosen_shared(&mut self, engine: &Engine, position: i64) {
        let now = self.shared_now(engine);
        let of = |hash: &i64| self.blocks.get(hash).into_iter().flatten().copied().filter(|golden| *golden != 0);
        let anew: BTreeSet<i64> = now.difference(&self.shared).flat_map(of).collect();
        let again: BTreeSet<i64> = self.shared.difference(&now).flat_map(of).collect();
        let touched: Vec<i64> = anew.union(&again).flat_map(|golden| self.members(*golden)).collect();
        for golden in anew {
            let links = self.members(golden);
            let before = evidence_of(links.iter().filter_map(|it| self.links.get(it)).map(|it| &it.state));
            self.loosen(engine, golden, &before, None, position);
        }
        // What kept some apart, a choice between strangers with the same number, is gone with it.
        for number in &touched {
            self.seen_in_blocks(engine, *number);
        }
        for number in touched {
            self.join(engine, number, position);
        }
    }

    /// Lets others of this batch find a link's golden record.
    fn seen_in_blocks(&mut self, engine: &Engine, number: i64) {
        let golden = self.links.get(&number).map_or(0, |link| link.golden);
        for hash in self.blocks_of(engine, number) {
            self.blocks.entry(hash).or_default().insert(golden);
        }
    }

    /// Parts what only the former words of a link held: `before` is its memory of then.
    pub(super) fn loosen_from(&mut self, engine: &Engine, number: i64, before: &LinkState, position: i64) {
        let Some(link) = self.links.get(&number).filter(|link| !link.state.is_same_evidence(before)) else { return };
        let golden = link.golden;
        let links = self.members(golden);
        let then = |it: &i64| if *it == number { Some(before) } else { self.links.get(it).map(|it| &it.state) };
        let before = evidence_of(links.iter().filter_map(then));
        self.loosen(engine, golden, &before, Some(number), position);
    }

    /// Where the links of these golden records came from.
    pub(super) fn load_origins(&mut self, tx: &mut Tx<'_>, goldens: BTreeSet<i64>) -> Result<()> {
        let many: BTreeMap<i64, Vec<i64>> = goldens
            .into_iter()
            .map(|golden| (golden, self.members(golden)))
            .filter(|(_, links)| links.len() > 1)
            .collect();
        if many.is_empty() {
            return Ok(());
        }
        let mut steps = review::steps(tx, &many.values().flatten().copied().collect::<Vec<_>>())?;
        // What this batch did is not in the store yet.
        for &(number, by, home) in &self.homes {
            steps.entry(number).or_default().insert(by, home);
        }
        for &(number, golden) in &self.stays {
            steps.entry(number).or_default().entry(golden).or_insert(golden);
        }
        for (golden, links) in many {
            self.origins.extend(review::origins(golden, &steps, &links));
        }
        let homes: BTreeSet<i64> =
            self.origins.values().copied().filter(|home| !self.goldens.contains_key(home)).collect();
        let homes = if homes.is_empty() { Vec::new() } else { goldens::by_ids(tx, homes)? };
        self.goldens.extend(homes.into_iter().map(|golden| (golden.id, golden)));
        Ok(())
    }

    /// Gives links a golden record of their own: the one they had, or a new one.
    pub fn part(&mut self, numbers: &BTreeSet<i64>, home: Option<i64>) -> i64 {
        let first = numbers.first().copied().unwrap_or_default();
        let golden = home.unwrap_or_else(|| self.create(first));
        if let Some(record) = self.goldens.get_mut(&golden) {
            record.merged_into = None;
        }
        for number in numbers {
            self.move_link(*number, golden);
        }
        golden
    }

    pub(super) fn members(&self, golden: i64) -> Vec<i64> {
        self.clusters.get(&golden).into_iter().flatten().copied().collect()
    }

    /// Parts a golden record into groups that something holds, if there are several. `before` is what each of its links said
    /// then, `changed` the link that says something new; none where a value turned out to be shared by many.
    fn loosen(&mut self, engine: &Engine, golden: i64, before: &[Evidence], changed: Option<i64>, position: i64) {
        let links = self.members(golden);
        let entity = self.goldens.get(&golden).map_or("", |it| it.entity.as_str()).to_owned();
        if golden == 0 || links.len() < 2 || links.len() > LINKS_MAX || before.len() != links.len() {
            return;
        }
        let after = evidence_of(links.iter().filter_map(|it| self.links.get(it)).map(|it| &it.state));
        let after: Vec<Evidence> = after.into_iter().map(|it| self.without_shared(engine, &entity, it)).collect();
        let holds = |a: &Evidence, b: &Evidence| matching::holds(&engine.matching, &entity, a, b);
        let glue = self.glue(engine, &entity, golden, &links, before);
        let against = |a: usize, b: usize| matching::contradicts(&engine.matching, &entity, &after[a], &after[b]);
        // What a record that is gone said stays said.
        let is_open = |at: usize| self.links.get(&links[at]).is_some_and(|link| link.open);
        let former = |a: usize, b: usize| {
            holds(&before[a], &before[b]) && !(is_open(a) && is_open(b) && (changed.is_none() || against(a, b)))
        };
        let now = groups(links.len(), |a, b| {
            self.is_ruled(links[a], links[b]) || holds(&after[a], &after[b]) || glue.bind(a, b) || former(a, b)
        });
        let mut parts: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for (at, part) in now.iter().enumerate() {
            parts.entry(*part).or_default().insert(links[at]);
        }
        if parts.len() > 1 {
            let parts: Vec<BTreeSet<i64>> = parts.into_values().collect();
            let stays = self.stays(golden, &parts, changed.unwrap_or_default());
            let targets = vec![None; parts.len()];
            for own in self.part_into(engine, golden, &parts, stays, &targets, position) {
                self.doubt(own);
            }
        }
    }

    /// What joins links of a golden record beside what they said.
    pub(super) fn glue(&self, engine: &Engine, entity: &str, golden: i64, links: &[i64], said: &[Evidence]) -> Glue {
        let holds = |a: &Evidence, b: &Evidence| matching::holds(&engine.matching, entity, a, b);
        let then = groups(links.len(), |a, b| self.is_ruled(links[a], links[b]) || holds(&said[a], &said[b]));
        let origins = links.iter().map(|it| self.origins.get(it).copied()).collect();
        let mut glue = Glue { whole: Vec::new(), then, origins, golden };
        glue.whole = groups(links.len(), |a, b| glue.then[a] == glue.then[b] || glue.joins(a, b));
        glue
    }

    /// What stewards ruled to be one is one, whatever the evidence says by now.
    pub(super) fn obey(&mut self, engine: &Engine, number: i64, position: i64) {
        let Some(own) = self.links.get(&number).map(|link| link.golden) else { return };
        let partners = self.partners(number).into_iter().filter_map(|it| self.links.get(&it)).map(|link| link.golden);
        let mut golden: BTreeSet<i64> =
            partners.filter(|it| *it != 0 && *it != own && !self.is_apart(number, own, *it)).collect();
        if golden.is_empty() {
            return;
        }
        golden.extend((own != 0).then_some(own));
        self.bring(engine, number, &golden.into_iter().collect::<Vec<_>>(), position);
    }

    /// The links to which rulings bind this one.
    pub fn partners(&self, number: i64) -> BTreeSet<i64> {
        self.same.get(&number).cloned().unwrap_or_default()
    }

    pub(super) fn is_ruled(&self, a: i64, b: i64) -> bool {
        self.same.get(&a).is_some_and(|partners| partners.contains(&b))
    }

    /// Which part keeps the golden record: whose it was, else those of whom nothing changed.
    pub(super) fn stays(&self, golden: i64, parts: &[BTreeSet<i64>], changed: i64) -> usize {
        let owns = |part: &BTreeSet<i64>| part.iter().any(|it| self.origins.get(it) == Some(&golden));
        let unchanged = || parts.iter().position(|part| !part.contains(&changed));
        parts.iter().position(owns).or_else(unchanged).unwrap_or(0)
    }

    /// One part stays, the others go where they are to be, or back where they came from. Returns the golden record of each.
    pub(super) fn part_into(
        &mut self,
        engine: &Engine,
        golden: i64,
        parts: &[BTreeSet<i64>],
        stays: usize,
        targets: &[Option<i64>],
        position: i64,
    ) -> Vec<i64> {
        let origin = |number: &i64| self.origins.get(number).copied();
        let homes: Vec<Option<i64>> = parts
            .iter()
            .zip(targets)
            .map(|(part, target)| {
                let is_home = |number: &i64, home: i64| origin(number) == Some(home);
                // Who moved by a word of his own leaves the number to those who said nothing.
                let is_quiet = |number: &i64| !self.contest.has_spoken(*number);
                let elsewhere = |home: &i64| {
                    let is_left = part.iter().any(|it| is_home(it, *home) && is_quiet(it));
                    let mut others = parts.iter().filter(|it| *it != part).flatten();
                    others.any(|it| is_home(it, *home) && (!is_left || is_quiet(it)))
                };
                let dead = |home: &i64| self.goldens.get(home).is_some_and(|it| it.merged_into.is_some());
                let former = part.iter().filter_map(origin).filter(|it| *it != golden && dead(it) && !elsewhere(it));
                target.or_else(|| former.min())
            })
            .collect();
        let mut owns = vec![golden; parts.len()];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| *at != stays) {
            owns[at] = self.part(part, homes[at]);
            self.dirty(owns[at], position, "split");
            for number in part {
                if targets[at].is_some() {
                    self.voices.joined(*number, golden);
                }
                self.seen_in_blocks(engine, *number);
            }
        }
        let left: BTreeSet<i64> = parts[stays].iter().flat_map(|number| self.blocks_of(engine, *number)).collect();
        for hash in parts.iter().flatten().flat_map(|number| self.blocks_of(engine, *number)).collect::<Vec<_>>() {
            if let Some(goldens) = self.blocks.get_mut(&hash).filter(|_| !left.contains(&hash)) {
                goldens.remove(&golden);
            }
        }
        self.dirty(golden, position, "split");
        self.parted.insert(golden);
        owns
    }
}

/// What joins links beside their evidence.
pub(super) struct Glue {
    /// By link: the group that stays together as far as nothing that they said changes.
    whole: Vec<usize>,
    /// By link: the group that evidence held together then.
    then: Vec<usize>,
    /// By link: the golden record that it had at first, if that is known.
    origins: Vec<Option<i64>>,
    golden: i64,
}

impl Glue {
    /// Whether something else than what they said binds two links. Groups that evidence did not join were joined by
    /// something else, and stay so.
    pub(super) fn bind(&self, a: usize, b: usize) -> bool {
        self.joins(a, b) || self.whole[a] != self.whole[b]
    }

    /// A record that evidence never held, such as one that we made, belongs to those with whom it came, else to those who
    /// were here.
    fn joins(&self, a: usize, b: usize) -> bool {
        (self.is_alone(a) && self.belongs(a, b)) || (self.is_alone(b) && self.belongs(b, a))
    }

    fn is_alone(&self, at: usize) -> bool {
        self.then.iter().filter(|group| **group == self.then[at]).count() == 1
    }

    fn belongs(&self, alone: usize, to: usize) -> bool {
        let mate = |other: usize| {
            other != alone && self.origins[other].is_some() && self.origins[other] == self.origins[alone]
        };
        if (0..self.then.len()).any(mate) {
            return mate(to);
        }
        let host = self.origins.iter().position(|it| *it == Some(self.golden)).unwrap_or(0);
        to == host || (alone == host && to == usize::from(host == 0))
    }
}
