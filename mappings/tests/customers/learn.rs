//! Models of a deployment's own: from its records, and from what stewards decided about them.

use huiliu_mappings::matching::linkage::{Basis, Frozen, Settings, needed};
use huiliu_mappings::matching::{
    Candidate, Decided, Known, Lesson, Proposal, Rules, Subject, Teacher, Weights, compare, learn,
};

use crate::people::{Told, World};
use crate::stream::{Resolved, resolve, score};

fn people(seed: u64, count: usize) -> Vec<Told> {
    World::new(seed, 150).records(count, 0)
}

/// What a steward, who is always right, decides about the first questions.
fn lesson(told: &[Told], found: &Resolved, decisions: usize) -> Lesson {
    let records = told.iter().map(|it| it.evidence.clone()).collect();
    let asked = found.asked.iter().flat_map(|(at, all)| all.iter().map(|others| (*at, others.clone())));
    let decided = asked.take(decisions).map(|(record, others)| {
        let same = others.iter().any(|other| told[*other].who == told[record].who);
        Decided { record, others, same }
    });
    Lesson { decided: decided.collect(), records }
}

fn proposed(rules: &Rules, lesson: &Lesson, teacher: Teacher, precision: f64) -> Proposal {
    learn(rules, Subject::Person, lesson, teacher, precision, &mut |_, _| ()).expect("a proposal")
}

fn with(model: &Frozen) -> Rules {
    Rules::shipped().with_model(Subject::Person, model.clone()).expect("its columns are known")
}

/// What a model does to people whom it never saw: pairwise precision and F1 of what is linked, and questions.
fn on_others(rules: &Rules) -> [usize; 3] {
    let mut sums = [0; 3];
    for seed in [31, 32] {
        let told = people(seed, 1500);
        let found = resolve(rules, &told);
        let linked = score(&found.golden, &told);
        for (sum, it) in sums.iter_mut().zip([linked.precision, linked.f1, found.questions(&told).1]) {
            *sum += it / 2;
        }
    }
    sums
}

#[test]
fn what_stewards_decided_lets_a_model_link_more_at_the_precision_that_is_stated() {
    let rules = Rules::shipped();
    let here = people(21, 1500);
    let found = resolve(&rules, &here);
    let before = on_others(&rules);
    println!("before: {before:?}");
    let mut f1 = before[1];
    for (decisions, by) in [(60, Basis::Chances), (300, Basis::Decisions)] {
        let it = proposed(&rules, &lesson(&here, &found, decisions), Teacher::Decisions, 0.95);
        let after = on_others(&with(&it.model));
        println!("{decisions} {:?}: {after:?}, {:?}, {:?}, held out {:?}", it.weights, it.link, it.former, it.held_out);
        assert!(
            matches!(it.weights, Weights::Learned | Weights::Corrected) && !it.is_worse && it.link.by == by,
            "{it:?}"
        );
        assert!(it.held_out.surprise < it.former.surprise, "weights that saw decisions judge others better: {it:?}");
        assert!(after[0] >= 950, "{decisions}: a precision of .95 is stated, {after:?} reached");
        assert!(after[1] > f1 && after[2] < before[2], "{decisions}: {after:?}, before {before:?}");
        f1 = after[1];
    }
}

#[test]
fn few_decisions_claim_nothing() {
    let rules = Rules::shipped();
    let here = people(22, 600);
    let found = resolve(&rules, &here);
    let few = proposed(&rules, &lesson(&here, &found, 40), Teacher::Decisions, 0.95);
    assert!(few.weights == Weights::TooFew && few.moved.is_empty(), "{:?}", few.moved);
    assert_eq!((few.link.by, few.link.missing), (Basis::Chances, needed(0.95, few.link.wrong) - few.link.of));
    assert!(few.link.bits >= 4.3, "the model's own chances, or more: {:?}", few.link);
    let level: Vec<_> = few.model.level_bits().collect();
    assert_eq!(level, rules.model(Subject::Person).level_bits().collect::<Vec<_>>());
    // Three thousand are needed for one in a thousand: the bound is where it was, or higher.
    let sure = proposed(&rules, &lesson(&here, &found, 1_000), Teacher::Decisions, 0.999);
    assert!(sure.link.by == Basis::Chances && sure.link.bits >= 10.0 && sure.link.missing >= 2_900, "{:?}", sure.link);

    let told = |teacher, lesson: &Lesson, subject| {
        learn(&rules, subject, lesson, teacher, 0.95, &mut |_, _| ()).expect_err("too few")
    };
    let none = lesson(&here, &found, 0);
    assert_eq!(told(Teacher::Decisions, &none, Subject::Person), "no steward has decided about such records yet");
    let little = Lesson { records: none.records[..300].to_vec(), decided: Vec::new() };
    let few = told(Teacher::Records, &little, Subject::Person);
    assert!(few.starts_with("300 records are too few to learn from, 1000 are the least"), "{few}");
}

/// The same pairs, once ruled to be one, once to be two: what they show is likelier of one customer, or less likely.
#[test]
fn rulings_move_the_weights_their_way() {
    let rules = Rules::shipped();
    let here = people(23, 700);
    let found = resolve(&rules, &here);
    let mut lesson = lesson(&here, &found, 150);
    let differs = |it: &Decided| {
        let evidence = it.others.iter().map(|at| lesson.records[*at].clone()).collect();
        let candidate = Candidate { golden: 1, evidence };
        let (why, _) = compare(&rules, "customer", &lesson.records[it.record], &Known::NOTHING, &candidate);
        it.others.len() == 1 && why.outcomes().contains(&("birth_date".to_owned(), "different".to_owned()))
    };
    let some: Vec<Decided> = lesson.decided.iter().filter(|it| differs(it)).cloned().collect();
    assert!(some.len() >= 3, "{}", some.len());
    // Fifty at least move weights: those that are left, again and again.
    lesson.decided = some.into_iter().cycle().take(60).collect();
    let bits = [true, false].map(|same| {
        lesson.decided.iter_mut().for_each(|it| it.same = same);
        let it = proposed(&rules, &lesson, Teacher::Decisions, 0.95);
        it.model.level_bits().find(|it| (it.0, it.1) == ("birth_date", "different")).expect("a level").2
    });
    println!("{bits:?}");
    assert!(bits[0] > bits[1] + 0.5, "{bits:?}");
}

#[test]
fn a_model_of_the_records_alone_is_held_against_what_stewards_decided() {
    let rules = Rules::shipped();
    let here = people(21, 1500);
    let found = resolve(&rules, &here);
    let lesson = lesson(&here, &found, 300);
    let it = proposed(&rules, &lesson, Teacher::Records, 0.95);
    assert!(it.model.rows() == here.len() && it.weights == Weights::OfRecords && !it.moved.is_empty());
    // It knows fewer records than the shipped one, and these decisions show it.
    assert!(it.held_out.surprise > it.former.surprise && it.is_worse, "{:?}, {:?}", it.former, it.held_out);
    let [one, other] = [(); 2].map(|()| proposed(&rules, &lesson, Teacher::Decisions, 0.95).model.to_json());
    assert_eq!(one, other, "the same, to the last bit");
    let read = Frozen::parse(&one, &Settings::shipped()).expect("a model");
    assert_eq!(read.to_json(), one);
    let bounds = with(&read).bounds(Subject::Person);
    assert_eq!(Some(format!("{bounds:?}")), read.aim().and_then(|aim| aim.bounds).map(|it| format!("{it:?}")));
}
