//! What is kept of a run, and read again.

use std::collections::BTreeMap;

use huiliu_mappings::matching::linkage::{self, Facts, Frozen, Settings};

use crate::order::{batch, grouped};
use crate::world::{Cells, World, learned, model, table};

fn there(rows: &[Cells]) -> BTreeMap<String, Cells> {
    rows.iter().enumerate().map(|(at, cells)| (format!("{at:04}"), cells.clone())).collect()
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let read = model();
    assert_eq!(read.to_json(), learned());
    assert!(learned().len() < 200_000, "{} bytes", learned().len());
    assert!(!learned().contains("example.com"), "a model tells nobody's address");
}

#[test]
fn a_model_finds_in_its_own_records_what_it_found_when_it_learned() {
    let rows = World::new(7, 300).people(900);
    let (of, _) = table(&rows);
    let first = linkage::run(of, &Settings::shipped(), &mut |_, _| ());
    let ids: Vec<String> = there(&rows).into_keys().collect();
    let learned = grouped(ids.iter().map(String::as_str).zip(first.clusters));
    let judged = batch(&model(), &there(&rows), &Facts::default(), false);
    let common = judged.iter().filter(|cluster| learned.contains(cluster)).count();
    assert!(common * 100 >= learned.len() * 99, "{common} of {}", learned.len());
}

#[test]
fn people_of_whom_nothing_was_ever_seen_are_found_too() {
    let mut world = World::new(99, 40);
    let mut rows = Vec::new();
    for _ in 0..30 {
        let person = world.person();
        rows.push(person.clone());
        rows.push(world.again(&person));
    }
    let found = batch(&model(), &there(&rows), &Facts::default(), false);
    let right = |ids: &&Vec<String>| {
        let numbers: Vec<usize> = ids.iter().map(|id| id.parse::<usize>().unwrap() / 2).collect();
        numbers.len() == 2 && numbers[0] == numbers[1]
    };
    let pairs = found.iter().filter(right).count();
    assert!(pairs >= 24, "{pairs} of 30");
    let wrong = found.iter().filter(|ids| ids.len() > 1 && !right(ids)).count();
    assert!(wrong <= 1, "{wrong}");
}

#[test]
fn a_damaged_model_says_what_is_wrong_with_it() {
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut file: serde_json::Value = serde_json::from_str(learned()).unwrap();
        change(&mut file);
        Frozen::parse(&file.to_string(), &Settings::shipped()).unwrap_err()
    };
    let told = [
        (with(&|file| file["version"] = 9.into()), "the model has version 9, this program reads 1"),
        (with(&|file| file["format"] = "else".into()), "this is not a model"),
        (with(&|file| file["more"] = 1.into()), "unknown field `more`"),
        (with(&|file| file["comparisons"][0]["same"] = vec![0.5].into()), "`given_name` has other levels"),
        (
            with(&|file| file["comparisons"][1]["same"][0] = 1e9.into()),
            "`family_name`: 1000000000 bits is out of bounds",
        ),
        (
            with(&|file| file["rules"][0]["parts"][0] = "given_name/smell".into()),
            "part of a blocking rule is called `given_name/smell`",
        ),
        (with(&|file| file["columns"][1]["kind"] = "family_name".into()), ", the model has "),
        (with(&|file| file["columns"][1]["kind"] = "nonsense".into()), "no kind of column is called `nonsense`"),
        (with(&|file| file["rules"][0]["most"] = 1.into()), "`most` is 1, not 2 to 10000"),
        (with(&|file| file["priors"][0][1] = 77.into()), "there are no sources"),
        (with(&|file| file["features"][0]["values"]["usual"] = 0.into()), "has a count of 0"),
        (Frozen::parse("record_id,cluster_id\n", &Settings::shipped()).unwrap_err(), "this is not a model"),
        (
            Frozen::parse(&learned()[..2000], &Settings::shipped()).unwrap_err(),
            "the model is damaged: EOF while parsing",
        ),
    ];
    for (error, expected) in told {
        assert!(error.contains(expected), "{error}: {expected}");
    }
}
