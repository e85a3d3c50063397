//! A model of a deployment's own: what it would be, from the records that are there or from what stewards decided about
//! them, and how it would do on decisions that it did not see. A proposal; nothing is changed.

mod class;

use serde::Serialize;

use super::linkage::{Aim, Bound, Frozen, Progress, leave_below, link_from, supports};
use super::{Decision, Evidence, Rules, Subject};
use class::{Chosen, Class};

/// From so many decisions on they move the weights; fewer only the bounds.
pub const RULINGS_LEAST: usize = 50;

/// Fewer records than these know less of common names and towns than the model that ships with the hub.
pub const RECORDS_LEAST: usize = 1_000;

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

/// What the weights of a proposal are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// A model of the stored records, of which it knows nothing but what they say.
    OfRecords,
    /// Those in force: the decisions are too few to move them.
    TooFew,
    /// Those in force: new ones are worse judges of decisions that they have not seen.
    Kept,
    /// Learned anew beside the records, with the decisions as what is known of these pairs.
    Learned,
    /// The same, and then moved, as little as possible, to where the decisions are the least of a surprise.
    Corrected,
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
    /// What its weights are.
    pub weights: Weights,
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
    if teacher == Teacher::Decisions && decisions == 0 {
        return Err("no steward has decided about such records yet".to_owned());
    }
    let before = rules.bounds(subject);
    let Chosen { weights, model, seen } = class.chosen(teacher, progress)?;
    let [link, review] = bounds(&seen, precision, before[1]);
    let former = Agreement::of(class.judged(rules, |_| true).iter().map(|it| (it, before)));
    let held_out = class.held_out(&seen, precision, before[1]);
    let aim = Aim {
        precision,
        by: link.by,
        decisions: u32::try_from(decisions).unwrap_or(u32::MAX),
        bounds: Some([link.bits, review.bits]),
        measured: None,
    };
    let moved = moved(rules.model(subject), &model);
    let model = model.aiming(aim);
    let is_worse = held_out.is_worse_than(&former, precision);
    Ok(Proposal {
        subject,
        model,
        weights,
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
#[derive(Clone, Debug)]
struct Judged {
    bits: f64,
    same: bool,
    /// The levels that were reached, by their places in [`Frozen::level_bits`].
    levels: Vec<usize>,
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
