//! What of a lesson is about people, or about organizations: which weights it speaks for, and how they judge decisions that
//! they have not seen.

use super::super::features::is_organization;
use super::super::linkage::{self, Frozen, Progress, Ruling, Settings, Table};
use super::super::verdict::called;
use super::super::{CUSTOMER, Candidate, Comparison, Known, Rules, Subject, compare, hash};
use super::{Agreement, Answer, Decided, Judged, Lesson, RECORDS_LEAST, RULINGS_LEAST, Teacher, Weights, bounds};

/// Decisions are held out in so many parts.
const FOLDS: usize = 5;

/// From so many on the weights are moved to where the decisions are the least of a surprise, if others then are less of one.
const CORRECTED_LEAST: usize = 300;

/// How far a weight may go for it, and the chance before any comparison: bits that are nothing unusual.
const USUAL_MORE: [f64; 2] = [1.0, 2.0];

/// Each number is looked at so often; by then they hardly move.
const SWEEPS: usize = 60;

/// Weights that were chosen, and how they judge decisions that they have not seen.
pub(super) struct Chosen {
    pub weights: Weights,
    pub model: Frozen,
    pub seen: Vec<Judged>,
}

/// What of a lesson is about one subject.
pub(super) struct Class<'a> {
    rules: &'a Rules,
    subject: Subject,
    lesson: &'a Lesson,
    pub decided: Vec<&'a Decided>,
    /// The places of its records.
    pub members: Vec<usize>,
}

impl<'a> Class<'a> {
    pub(super) fn of(rules: &'a Rules, subject: Subject, lesson: &'a Lesson) -> Self {
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

    /// The weights that are proposed. Each of several is judged by the decisions of a part that it has not seen.
    pub(super) fn chosen(&self, teacher: Teacher, progress: Progress<'_>) -> Result<Chosen, String> {
        let (in_force, decisions) = (self.rules.model(self.subject), self.decided.len());
        let kept = |weights: Weights| (weights, vec![in_force.clone(); FOLDS + 1]);
        let mut open = match teacher {
            Teacher::Records => vec![(Weights::OfRecords, vec![self.trained(progress)?; FOLDS + 1])],
            Teacher::Decisions if decisions < RULINGS_LEAST => vec![kept(Weights::TooFew)],
            Teacher::Decisions => vec![kept(Weights::Kept), (Weights::Learned, self.taught(progress))],
        };
        if teacher == Teacher::Decisions && decisions >= CORRECTED_LEAST {
            let (_, taught) = &open[1];
            let corrected = taught.iter().zip(std::iter::once(FOLDS).chain(0..FOLDS));
            let corrected: Result<Vec<Frozen>, String> = corrected.map(|(it, fold)| self.corrected(it, fold)).collect();
            open.push((Weights::Corrected, corrected?));
        }
        let mut best: Option<(f64, Chosen)> = None;
        for (weights, models) in open {
            let mut seen: Vec<(usize, Judged)> = Vec::with_capacity(decisions);
            for (fold, model) in models[1..].iter().enumerate() {
                let at = (0..decisions).filter(|at| self.fold(*at) == fold);
                seen.extend(at.zip(self.judged(&self.by(model)?, |decided| self.fold(decided) == fold)));
            }
            seen.sort_by_key(|(at, _)| *at);
            let seen: Vec<Judged> = seen.into_iter().map(|(_, it)| it).collect();
            let surprise = Agreement::of(seen.iter().map(|it| (it, [0.0; 2]))).surprise;
            if best.as_ref().is_none_or(|(least, _)| surprise < *least) {
                let model = models.into_iter().next().expect("a model of all");
                best = Some((surprise, Chosen { weights, model, seen }));
            }
        }
        Ok(best.expect("there are weights to choose from").1)
    }

    /// The rules with this model.
    fn by(&self, model: &Frozen) -> Result<Rules, String> {
        self.rules.clone().with_model(self.subject, model.clone())
    }

    /// A model moved to where all decisions but those of a part are the least of a surprise: logistic regression with the bits
    /// of the model as what is known before, one number a level, each held to stay where it is.
    fn corrected(&self, model: &Frozen, without: usize) -> Result<Frozen, String> {
        let judged = self.judged(&self.by(model)?, |decided| self.fold(decided) != without);
        let places = model.level_bits().count();
        // The chance before any comparison is part of every sum, and stands behind the levels.
        let (mut more, mut sums) = (vec![0.0; places + 1], judged.iter().map(|it| it.bits).collect::<Vec<f64>>());
        let mut told: Vec<Vec<usize>> = vec![Vec::new(); places + 1];
        for (at, it) in judged.iter().enumerate() {
            it.levels.iter().chain([&places]).for_each(|level| told[*level].push(at));
        }
        for _ in 0..SWEEPS {
            for (level, at) in told.iter().enumerate().filter(|(_, at)| !at.is_empty()) {
                let usual = USUAL_MORE[usize::from(level == places)];
                let (mut slope, mut bend) = (more[level] / (usual * usual), 1.0 / (usual * usual));
                for at in at {
                    let chance = 1.0 / (1.0 + (-sums[*at]).exp2());
                    slope += (chance - if judged[*at].same { 1.0 } else { 0.0 }) * std::f64::consts::LN_2;
                    bend += chance * (1.0 - chance) * std::f64::consts::LN_2.powi(2);
                }
                let step = (-slope / bend).clamp(-usual, usual);
                more[level] += step;
                for at in at {
                    sums[*at] += step;
                }
            }
        }
        Ok(model.with_more(&more[..places], more[places]))
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
    pub(super) fn held_out(&self, seen: &[Judged], precision: f64, review: f64) -> Agreement {
        let bounds = |fold: usize| -> [f64; 2] {
            let others = seen.iter().enumerate().filter(|(at, _)| self.fold(*at) != fold);
            let others: Vec<Judged> = others.map(|(_, it)| it.clone()).collect();
            bounds(&others, precision, review).map(|bound| bound.bits)
        };
        let bounds: Vec<[f64; 2]> = (0..FOLDS).map(bounds).collect();
        Agreement::of(seen.iter().enumerate().map(|(at, it)| (it, bounds[self.fold(at)])))
    }

    /// The decisions at these places, as some rules see them.
    pub(super) fn judged(&self, rules: &Rules, is_meant: impl Fn(usize) -> bool) -> Vec<Judged> {
        let all = [f64::NEG_INFINITY, f64::INFINITY].map(|bound| rules.clone().with_bounds(self.subject, [bound; 2]));
        let known: Vec<(&str, &str)> =
            rules.model(self.subject).level_bits().map(|(comparison, level, _)| (called(comparison), level)).collect();
        let judge = |it: &&Decided| {
            let evidence = |at: &usize| self.lesson.records[*at].clone();
            let candidate = Candidate { golden: 1, evidence: it.others.iter().map(evidence).collect() };
            let record = &self.lesson.records[it.record];
            let held = |rules: &Rules| compare(rules, CUSTOMER, record, &Known::NOTHING, &candidate);
            let [(why, most), (_, least)] = [held(&all[0]), held(&all[1])];
            let place =
                |it: &Comparison| known.iter().position(|known| *known == (it.name.as_str(), it.level.as_str()));
            let levels = why.comparisons.iter().filter_map(place).collect();
            Judged { bits: why.score, same: it.same, levels, answers: [Answer::from(&most), Answer::from(&least)] }
        };
        let meant = self.decided.iter().enumerate().filter(|(at, _)| is_meant(*at));
        meant.map(|(_, it)| judge(it)).collect()
    }
}
