//! The models that ship with the hub follow from invented people.

use std::path::PathBuf;

use huiliu_mappings::matching::linkage::{self, Aim, Basis, Frozen, Measured, Settings, Table};
use huiliu_mappings::matching::{Candidate, Evidence, Rules, Subject, decide};
use huiliu_mappings::value::Identity;

use crate::BY_HAND;
use crate::people::{Told, World};
use crate::stream::resolve;

/// Such customers are learned from; no test judges by these.
const SEED: u64 = 1;

fn told(subject: Subject) -> Vec<Told> {
    match subject {
        Subject::Person => World::new(SEED, 400).records(4_000, 0),
        Subject::Organization => World::new(SEED, 400).records(0, 2_000),
    }
}

/// The first row of each record, as the pipeline compares it.
fn table(rules: &Rules, subject: Subject, told: &[Told]) -> Table {
    let kinds: Vec<_> = subject.columns().iter().map(|(_, kind)| *kind).collect();
    let mut table = Table::new(&kinds);
    for it in told {
        table.push(subject.rows(rules, &it.evidence)[0].iter().map(AsRef::as_ref));
    }
    table
}

fn path(subject: Subject) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("rules/{}.model.json", subject.word()))
}

fn learned(subject: Subject) -> Frozen {
    let (rules, settings) = (Rules::shipped(), Settings::shipped());
    let headers: Vec<String> = subject.columns().iter().map(|(header, _)| (*header).to_owned()).collect();
    linkage::train(table(&rules, subject, &told(subject)), &headers, &settings, &mut |_, _| ()).expect("a model")
}

/// The shares of links that shall be right, which is what `rules/match.toml` links from: of a thousand one is wrong.
const PRECISION: f64 = 0.999;

/// What both models link of other people than those that they were learned from, and what of it is wrong.
fn measured(models: &[Frozen; 2]) -> [Measured; 2] {
    let with = |rules: Rules, (subject, model): (Subject, &Frozen)| rules.with_model(subject, model.clone());
    let rules = Subject::ALL.into_iter().zip(models).try_fold(Rules::shipped(), with).expect("the columns are known");
    let mut measured = [Measured { linked: 0, wrong: 0 }; 2];
    for (seed, _) in BY_HAND {
        let told = crate::told(seed);
        let golden = resolve(&rules, &told).golden;
        for b in 0..told.len() {
            for a in (0..b).filter(|a| golden[*a] == golden[b]) {
                let it = &mut measured[Subject::of([&told[a].evidence, &told[b].evidence]) as usize];
                it.linked += 1;
                it.wrong += u32::from(told[a].who != told[b].who);
            }
        }
    }
    measured
}

/// Writes the models where `HUILIU_WRITE` is set, else compares: what stands in the files is what is learned from the
/// generator, but for the last digits, in which machines differ.
#[test]
fn the_shipped_models_are_learned_from_invented_people() {
    let models = Subject::ALL.map(learned);
    let measured = measured(&models);
    for ((subject, learned), measured) in Subject::ALL.into_iter().zip(models).zip(measured) {
        println!("{}: {measured:?}", subject.word());
        let aim =
            Aim { precision: PRECISION, by: Basis::Chances, decisions: 0, bounds: None, measured: Some(measured) };
        let (learned, path) = (learned.aiming(aim), path(subject));
        if std::env::var_os("HUILIU_WRITE").is_some() {
            std::fs::write(&path, learned.to_json()).expect("the models are written");
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the shipped model");
        let [mut old, mut new]: [serde_json::Value; 2] =
            [&text, &learned.to_json()].map(|text| serde_json::from_str(text).expect("JSON"));
        let numbers = |model: &mut serde_json::Value| {
            let mut numbers = vec![model["prior"].take(), model["related"].take()];
            for it in model["comparisons"].as_array_mut().expect("comparisons") {
                numbers.extend(["same", "strangers"].map(|side| it[side].take()));
            }
            let flat = numbers.into_iter().flat_map(|it| it.as_array().cloned().unwrap_or_else(|| vec![it]));
            flat.map(|it| it.as_f64().expect("a number")).collect::<Vec<f64>>()
        };
        let (mine, theirs) = (numbers(&mut old), numbers(&mut new));
        let close = mine.len() == theirs.len() && mine.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-3);
        assert!(
            close && old == new,
            "{}: run `HUILIU_WRITE=1 cargo test -p huiliu-mappings --test customers shipped`",
            path.display()
        );
        assert!(text.len() < 300_000, "{} bytes", text.len());
    }
}

#[test]
fn a_deployment_may_have_a_model_of_its_own_with_fewer_columns() {
    let (settings, columns) = (Settings::shipped(), ["given_name", "family_name", "phone"]);
    let kinds = |header: &&str| *Subject::Person.columns().iter().find(|it| it.0 == *header).expect("a column");
    let offered: Vec<_> = columns.iter().map(kinds).collect();
    let mut table = Table::new(&offered.iter().map(|it| it.1).collect::<Vec<_>>());
    for at in 0..300 {
        let (given, family, phone) =
            (format!("g{}", at % 40), format!("f{}", at % 60), format!("0170{}", 10_000 + at % 150));
        table.push([given.as_str(), family.as_str(), phone.as_str()]);
    }
    let train = |headers: [&str; 3]| {
        linkage::train(table.clone(), &headers.map(str::to_owned), &settings, &mut |_, _| ()).expect("a model")
    };
    let rules = Rules::shipped().with_model(Subject::Person, train(columns)).expect("its columns are known");
    assert_eq!(rules.model(Subject::Person).rows(), 300);
    let same = |phone: &str| Candidate { golden: 1, evidence: vec![evidence(phone)] };
    let judged = |rules: &Rules| decide(rules, "customer", &evidence("1"), &[same("2")]);
    assert_ne!(judged(&rules), judged(&Rules::shipped()), "it is the deployment's model that judges");
    let told = Rules::shipped().with_model(Subject::Person, train(["given_name", "surname", "phone"])).unwrap_err();
    assert!(told.starts_with("the model has the column `surname` (family_name);"), "{told}");
}

/// Somebody with a name and a telephone of one digit more.
fn evidence(digit: &str) -> Evidence {
    let mut it = Evidence::default();
    it.fields.insert("display_name".into(), "Anna Berg".into());
    it.fields.insert("birth_date".into(), "1990-01-31".into());
    it.identities.push(Identity { kind: "phone".into(), value: format!("+49170123456{digit}") });
    it
}
