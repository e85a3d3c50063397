//! A model of a deployment's own: what it would be, from the records that are there or from what stewards decided about
//! them, and how it would do on decisions that it did not see. A proposal; nothing is changed.

use serde::Serialize;

use super::features::is_organization;
use super::linkage::{
    self, Aim, Basis, Bound, Frozen, Progress, Ruling, Settings, Table, leave_below, link_from, supports,
};
use super::{CUSTOMER, Candidate, Decision, Evidence, Known, Rules, Subject, compare, hash};

/// From so many decisions on they move the weights; fewer only the bounds.
pub const RULINGS_LEAST: usize = 50;

/// Fewer records than these know less of common names and towns than the model that ships with the hub.
pub const RECORDS_LEAST: usize = 1_000;

/// Decisions are held out in so many parts.
const FOLDS: usize = 5;

/// A chance below this counts as this: nothing is impossible.
const CHANCE_LEAST: f64 = 1e-6;

/// What new weights may lose on decisions that they did not see, as a share, and be held to be no worse.
const NO_WORSE: f64 = 1.01;

/// What is learned from.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// Records, in an order that stays the same.
    pub records: Vec<Evidence>,
    /// What stewards decided about them.
    pub decided: Vec<Decided>,
}

/// A steward's decision: a record, and the records of one customer against which it was held, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The record.
    pub record: usize,
    /// The others.
    pub others: Vec<usize>,
    /// Whether they are one customer.
    pub same: bool,
}

/// What the weights are learned from. The bounds follow from decisions in both cases, if there are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teacher {
    /// The records alone: a new model of them.
    Records,
    /// Decisions beside the records: the model in force, with other weights.
    Decisions,
}

/// What the rules answer about two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Two customers, as far as anybody can tell.
    Different,
    /// Perhaps one; a steward is asked.
    Ask,
    /// One customer.
    Same,
}

impl From<&Decision> for Answer {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Link { .. } => Self::Same,
            Decision::Review { .. } => Self::Ask,
            Decision::Create => Self::Different,
        }
    }
}

/// A level of a comparison whose weight would be another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// The comparison.
    pub comparison: &'static str,
    /// The level.
    pub level: &'static str,
    /// Bits by now; none if the model in force does not compare it.
    pub before: Option<f64>,
    /// Bits as proposed.
    pub after: f64,
}

/// How answers fit what stewards decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Decisions.
    pub of: usize,
    /// Of these, those on whose side the weights are: more likely one customer than not, or less likely.
    pub agrees: usize,
    /// Linked without a question, and the wrong ones of these.
    pub linked: [usize; 2],
    /// Asked about.
    pub asked: usize,
    /// Left without a question, and the wrong ones of these.
    pub left: [usize; 2],
    /// What a decision is a surprise, bits on the mean; the less the better.
    pub surprise: f64,
}

/// A model that could take the place of the one in force.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Whom it is a model of.
    pub subject: Subject,
    /// The model, with its bounds.
    pub model: Frozen,
    /// Whether its weights are new, and not only its bounds.
    pub is_weighed_anew: bool,
    /// Records that it was learned from.
    pub records: usize,
    /// Decisions about its subject.
    pub decisions: usize,
    /// Weights that differ, those that move the most first.
    pub moved: Vec<Moved>,
    /// The bounds by now.
    pub before: [f64; 2],
    /// From where on it links.
    pub link: Bound,
    /// From where on it asks.
    pub review: Bound,
    /// The model in force on the decisions.
    pub former: Agreement,
    /// The proposed one on decisions that were held out, part by part: each was judged by weights and bounds that had not
    /// seen it.
    pub held_out: Agreement,
    /// Whether it does worse there than the model in force.
    pub is_worse: bool,
}

/// What would be proposed to the model of a subject, for links of which this share is right.
///
/// # Errors
/// There are too few records or decisions; the text says how many are needed.
pub fn learn(
    rules: &Rules,
    subject: Subject,
    lesson: &Lesson,
    teacher: Teacher,
    precision: f64,
    progress: Progress<'_>,
) -> Result<Proposal, String> {
    let class = Class::of(rules, subject, lesson);
    let (records, decisions) = (class.members.len(), class.decided.len());
    let is_weighed_anew = teacher == Teacher::Records || decisions >= RULINGS_LEAST;
    let models = match teacher {
        Teacher::Records => vec![class.trained(progress)?; FOLDS + 1],
        Teacher::Decisions if decisions == 0 => return Err("no steward has decided about such records yet".to_owned()),
        Teacher::Decisions if is_weighed_anew => class.taught(progress),
        Teacher::Decisions => vec![rules.model(subject).clone(); FOLDS + 1],
    };
    let by = |model: &Frozen| rules.clone().with_model(subject, model.clone());
    let former: Vec<Judged> = class.judged(rules, |_| true);
    let mut seen: Vec<Option<Judged>> = vec![None; decisions];
    for (fold, model) in models[1..].iter().enumerate() {
        let at: Vec<usize> = (0..decisions).filter(|at| class.fold(*at) == fold).collect();
        let judged = class.judged(&by(model)?, |decided| class.fold(decided) == fold);
        for (at, judged) in at.into_iter().zip(judged) {
            seen[at] = Some(judged);
        }
    }
    // Each by weights that had not seen it: what these say of a decision is what they will say of another one.
    let seen: Vec<Judged> = seen.into_iter().flatten().collect();
    let before = rules.bounds(subject);
    let [link, review] = bounds(&seen, precision, before[1]);
    let former = Agreement::of(former.iter().map(|it| (it, before)));
    let held_out = class.held_out(&seen, precision, before[1]);
    let aim = Aim {
        precision,
        by: link.by,
        decisions: u32::try_from(decisions).unwrap_or(u32::MAX),
        bounds: Some([link.bits, review.bits]),
        measured: None,
    };
    let model = models.into_iter().next().expect("a model of all").aiming(aim);
    let moved = if is_weighed_anew { moved(rules.model(subject), &model) } else { Vec::new() };
    let is_worse = held_out.is_worse_than(&former, precision);
    Ok(Proposal {
        subject,
        model,
        is_weighed_anew,
        records,
        decisions,
        moved,
        before,
        link,
        review,
        former,
        held_out,
        is_worse,
    })
}

fn bounds(judged: &[Judged], precision: f64, review: f64) -> [Bound; 2] {
    let linkable: Vec<(f64, bool)> = judged.iter().filter(|it| it.may_link()).map(|it| (it.bits, it.same)).collect();
    let link = link_from(&linkable, precision);
    let leavable = judged.iter().filter(|it| it.may_leave() && it.bits < link.bits);
    let leavable: Vec<(f64, bool)> = leavable.map(|it| (it.bits, it.same)).collect();
    let mut below = leave_below(&leavable, review);
    below.bits = below.bits.min(link.bits);
    [link, below]
}

fn moved(before: &Frozen, after: &Frozen) -> Vec<Moved> {
    let known: Vec<(&str, &str, f64)> = before.level_bits().collect();
    let of = |(comparison, level, after): (&'static str, &'static str, f64)| {
        let before = known.iter().find(|it| (it.0, it.1) == (comparison, level)).map(|it| it.2);
        Moved { comparison, level, before, after }
    };
    let mut moved: Vec<Moved> = after.level_bits().map(of).filter(|it| it.by() >= MOVED_LEAST).collect();
    moved.sort_by(|x, y| y.by().total_cmp(&x.by()).then_with(|| (x.comparison, x.level).cmp(&(y.comparison, y.level))));
    moved
}

/// Bits that are worth a word.
const MOVED_LEAST: f64 = 0.05;

impl Moved {
    /// How far, in bits.
    pub fn by(&self) -> f64 {
        (self.after - self.before.unwrap_or_default()).abs()
    }
}

/// A decision as the rules see it, whatever the bounds are.
#[derive(Clone, Copy, Debug)]
struct Judged {
    bits: f64,
    same: bool,
    /// The answer if every sum were enough, and if none were.
    answers: [Answer; 2],
}

impl Judged {
    /// Whether the bound of a link decides about it: neither a proof nor a contradiction does.
    fn may_link(&self) -> bool {
        self.answers[0] == Answer::Same && self.answers[1] != Answer::Same
    }

    /// Whether the bound of a question decides about it.
    fn may_leave(&self) -> bool {
        self.answers[0] != Answer::Different && self.answers[1] == Answer::Different
    }

    fn answer(&self, [link, review]: [f64; 2]) -> Answer {
        match self.answers {
            [Answer::Same, _] if self.bits >= link => Answer::Same,
            [Answer::Different, _] => Answer::Different,
            [_, Answer::Different] if self.bits >= review => Answer::Ask,
            [_, least] => least,
        }
    }
}

impl Agreement {
    fn count(&mut self, it: &Judged, bounds: [f64; 2]) {
        self.of += 1;
        self.agrees += usize::from((it.bits > 0.0) == it.same);
        match it.answer(bounds) {
            Answer::Same => add(&mut self.linked, !it.same),
            Answer::Ask => self.asked += 1,
            Answer::Different => add(&mut self.left, it.same),
        }
        let chance = 1.0 / (1.0 + (-it.bits).exp2());
        let of_truth = if it.same { chance } else { 1.0 - chance };
        self.surprise -= of_truth.max(CHANCE_LEAST).log2();
    }

    /// How decisions fit, each by bounds of its own.
    fn of<'a>(judged: impl Iterator<Item = (&'a Judged, [f64; 2])>) -> Self {
        let mut sums = Self::default();
        for (it, bounds) in judged {
            sums.count(it, bounds);
        }
        sums.surprise /= f64::from(u32::try_from(sums.of.max(1)).unwrap_or(u32::MAX));
        sums
    }

    /// Weights that are worse judges, or bounds that do not hold what they promise.
    fn is_worse_than(&self, former: &Self, precision: f64) -> bool {
        let [linked, wrong] = self.linked;
        self.surprise > NO_WORSE * former.surprise
            || (wrong > former.linked[1] && supports(wrong, linked, 1.0 - precision))
    }
}

fn add([of, wrong]: &mut [usize; 2], is_wrong: bool) {
    *of += 1;
    *wrong += usize::from(is_wrong);
}

/// What of a lesson is about one subject.
struct Class<'a> {
    rules: &'a Rules,
    subject: Subject,
    lesson: &'a Lesson,
    decided: Vec<&'a Decided>,
    /// The places of its records.
    members: Vec<usize>,
}

impl<'a> Class<'a> {
    fn of(rules: &'a Rules, subject: Subject, lesson: &'a Lesson) -> Self {
        let all = |it: &Decided| it.others.iter().chain([&it.record]).copied().collect::<Vec<usize>>();
        let is_own = |it: &&Decided| Subject::of(all(it).into_iter().map(|at| &lesson.records[at])) == subject;
        let decided: Vec<&Decided> = lesson.decided.iter().filter(is_own).collect();
        let about = |at: &usize| is_organization(&lesson.records[*at]) == (subject == Subject::Organization);
        let mut members: Vec<usize> = (0..lesson.records.len()).filter(about).collect();
        members.extend(decided.iter().flat_map(|it| all(it)));
        members.sort_unstable();
        members.dedup();
        Self { rules, subject, lesson, decided, members }
    }

    /// A model of the records alone.
    fn trained(&self, progress: Progress<'_>) -> Result<Frozen, String> {
        let records = self.members.len();
        if records < RECORDS_LEAST {
            return Err(format!(
                "{records} records are too few to learn from, {RECORDS_LEAST} are the least: a smaller model would forget how \
                 common names and towns are"
            ));
        }
        let columns = self.subject.columns();
        let mut table = Table::new(&columns.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
        for at in &self.members {
            table.push(self.subject.rows(self.rules, &self.lesson.records[*at])[0].iter().map(AsRef::as_ref));
        }
        let headers: Vec<String> = columns.iter().map(|(header, _)| (*header).to_owned()).collect();
        linkage::train(table, &headers, &Settings::shipped(), progress)
    }

    /// The model in force with weights of all decisions, and then without each part of them.
    fn taught(&self, progress: Progress<'_>) -> Vec<Frozen> {
        let model = self.rules.model(self.subject);
        let offered = self.subject.columns();
        let places: Vec<usize> =
            model.columns().filter_map(|column| offered.iter().position(|it| *it == column)).collect();
        let mut records = model.records();
        for at in &self.members {
            let rows = self.subject.rows(self.rules, &self.lesson.records[*at]);
            records.push(&format!("{at:09}"), places.iter().map(|place| rows[0][*place].as_ref()));
        }
        let row = |at: &usize| self.members.binary_search(at).expect("members hold all that was decided about");
        let rulings = |it: &Decided| -> Vec<Ruling> {
            let others: Vec<&usize> = it.others.iter().filter(|other| **other != it.record).collect();
            let weight = 1.0 / f64::from(u32::try_from(others.len().max(1)).unwrap_or(u32::MAX));
            let ruling = |other: &usize| Ruling { rows: (row(&it.record), row(other)), same: it.same, weight };
            others.into_iter().map(ruling).collect()
        };
        let without = |fold: usize| -> Vec<Ruling> {
            let kept = self.decided.iter().enumerate().filter(|(at, _)| self.fold(*at) != fold);
            kept.flat_map(|(_, it)| rulings(it)).collect()
        };
        // No decision is of the fold behind the last.
        let sets: Vec<Vec<Ruling>> = std::iter::once(FOLDS).chain(0..FOLDS).map(without).collect();
        model.learned_again(records, &sets, &Settings::shipped(), progress)
    }

    /// The part to which a decision belongs; all of one record are in one.
    fn fold(&self, at: usize) -> usize {
        let mixed = hash(&["fold", &self.decided[at].record.to_string()]).unsigned_abs();
        usize::try_from(mixed % FOLDS as u64).unwrap_or_default()
    }

    /// How decisions fit that were judged by weights that had not seen them, each by bounds that have not seen it either.
    fn held_out(&self, seen: &[Judged], precision: f64, review: f64) -> Agreement {
        let bounds = |fold: usize| -> [f64; 2] {
            let others = seen.iter().enumerate().filter(|(at, _)| self.fold(*at) != fold);
            let others: Vec<Judged> = others.map(|(_, it)| *it).collect();
            bounds(&others, precision, review).map(|bound| bound.bits)
        };
        let bounds: Vec<[f64; 2]> = (0..FOLDS).map(bounds).collect();
        Agreement::of(seen.iter().enumerate().map(|(at, it)| (it, bounds[self.fold(at)])))
    }

    /// The decisions at these places, as some rules see them.
    fn judged(&self, rules: &Rules, is_meant: impl Fn(usize) -> bool) -> Vec<Judged> {
        let all = [f64::NEG_INFINITY, f64::INFINITY].map(|bound| rules.clone().with_bounds(self.subject, [bound; 2]));
        let judge = |it: &&Decided| {
            let evidence = |at: &usize| self.lesson.records[*at].clone();
            let candidate = Candidate { golden: 1, evidence: it.others.iter().map(evidence).collect() };
            let record = &self.lesson.records[it.record];
            let held = |rules: &Rules| compare(rules, CUSTOMER, record, &Known::NOTHING, &candidate);
            let [(why, most), (_, least)] = [held(&all[0]), held(&all[1])];
            Judged { bits: why.score, same: it.same, answers: [Answer::from(&most), Answer::from(&least)] }
        };
        let meant = self.decided.iter().enumerate().filter(|(at, _)| is_meant(*at));
        meant.map(|(_, it)| judge(it)).collect()
    }
}

/// What the basis of a bound is called in a file and in JSON.
impl Basis {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chances => "chances",
            Self::Decisions => "decisions",
        }
    }
}
