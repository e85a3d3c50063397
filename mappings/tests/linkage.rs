//! The batch matcher on invented people whose truth is known.

#[path = "arriving/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet};

use dice::Dice;
use huiliu_mappings::matching::linkage::{self, Found, Kind, Settings, Table};

const KINDS: [Kind; 8] = [
    Kind::RecordId,
    Kind::GivenName,
    Kind::FamilyName,
    Kind::BirthDate,
    Kind::Email,
    Kind::Phone,
    Kind::Address,
    Kind::City,
];

/// Rows of invented people, some of them twice with slips and gaps, some in one household, and who is who.
fn people(count: usize, twice: usize) -> (Vec<Vec<String>>, Vec<usize>) {
    let mut dice = Dice(42);
    let given: Vec<String> = (0..60).map(|_| dice.word(2)).collect();
    let family: Vec<String> = (0..200).map(|_| dice.word(3)).collect();
    let streets: Vec<String> = (0..80).map(|_| dice.word(3) + " street").collect();
    let cities: Vec<String> = (0..12).map(|_| dice.word(3)).collect();
    let (mut rows, mut truth): (Vec<Vec<String>>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut home: Option<Vec<String>> = None;
    for person in 0..count {
        let lives = home.clone().filter(|_| dice.hits(30));
        // Two of one name under one roof are told apart by nobody.
        let name = loop {
            let name = &given[dice.below(60)];
            if lives.as_ref().is_none_or(|home| home[1] != *name) {
                break name.clone();
            }
        };
        let surname = lives.as_ref().map_or_else(|| family[dice.below(200)].clone(), |home| home[2].clone());
        let born = format!("{}-{:02}-{:02}", 1940 + dice.below(65), 1 + dice.below(12), 1 + dice.below(28));
        let row = vec![
            String::new(),
            name.clone(),
            surname.clone(),
            born,
            format!("{name}.{surname}{}@example.com", dice.below(90)),
            lives.as_ref().map_or_else(|| format!("07{:09}", dice.below(999_999_999)), |home| home[5].clone()),
            lives
                .as_ref()
                .map_or_else(|| format!("{} {}", 1 + dice.below(150), streets[dice.below(80)]), |home| home[6].clone()),
            lives.map_or_else(|| cities[dice.below(12)].clone(), |home| home[7].clone()),
        ];
        home = Some(row.clone());
        let copies = 1 + usize::from(dice.hits(twice));
        for copy in 0..copies {
            let mut cells = row.clone();
            cells[0] = format!("r{}", rows.len());
            for cell in cells.iter_mut().skip(1).filter(|_| copy > 0) {
                if dice.hits(10) {
                    *cell = dice.slip(cell);
                } else if dice.hits(12) {
                    cell.clear();
                }
            }
            rows.push(cells);
            truth.push(person);
        }
    }
    (rows, truth)
}

fn run(rows: &[Vec<String>]) -> Found {
    let mut table = Table::new(&KINDS);
    for row in rows {
        table.push(row.iter().map(String::as_str));
    }
    linkage::run(table, &Settings::shipped(), &mut |_, _| ())
}

/// Right pairs, pairs that were said, pairs that are true.
fn pairs(found: &[u32], truth: &[usize]) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    for a in 0..truth.len() {
        for b in a + 1..truth.len() {
            let (said, real) = (found[a] == found[b], truth[a] == truth[b]);
            counts = (counts.0 + usize::from(said && real), counts.1 + usize::from(said), counts.2 + usize::from(real));
        }
    }
    counts
}

#[test]
fn duplicates_are_found_and_households_stay_apart() {
    let (rows, truth) = people(800, 40);
    let found = run(&rows);
    let (right, said, real) = pairs(&found.clusters, &truth);
    assert!(real > 250, "{real}");
    let mixed = |(a, b): &(usize, usize)| found.clusters[*a] == found.clusters[*b] && truth[*a] != truth[*b];
    let wrong: Vec<_> = (0..rows.len())
        .flat_map(|b| (0..b).map(move |a| (a, b)))
        .filter(mixed)
        .map(|(a, b)| [&rows[a], &rows[b]])
        .collect();
    assert!(right * 1000 >= said * 995, "precision: {right} of {said}; wrong: {wrong:#?}");
    assert!(right * 100 >= real * 97, "recall: {right} of {real}");
    assert!(found.compared < 40 * rows.len(), "{} pairs were compared", found.compared);
}

#[test]
fn without_labels_the_estimates_are_near_the_truth() {
    let (rows, truth) = people(800, 40);
    let mut table = Table::new(&KINDS);
    for row in &rows {
        table.push(row.iter().map(String::as_str));
    }
    let profile = linkage::profile(table, &Settings::shipped(), &mut |_, _| ()).unwrap();
    assert_eq!(profile.found.clusters, run(&rows).clusters, "it looks at the run itself");
    let (right, said, real) = pairs(&profile.found.clusters, &truth);
    let count = |pairs: usize| f64::from(u32::try_from(pairs).unwrap());
    let share = |part: usize, all: usize| count(part) / count(all);
    assert!((profile.together - count(said)).abs() < 1e-6, "{} pairs of {said}", profile.together);
    assert!((profile.precision() - share(right, said)).abs() < 0.02, "precision {}", profile.precision());
    assert!((profile.recall() - share(right, real)).abs() < 0.04, "recall {}", profile.recall());
    let customers: std::collections::BTreeSet<usize> = truth.iter().copied().collect();
    assert!(profile.customers().abs_diff(customers.len()) < 20, "{} customers", profile.customers());
    assert_eq!(profile.repeats(), rows.len() - profile.customers());
    assert_eq!(profile.bits.iter().sum::<usize>(), profile.found.compared);
    let far: Vec<f64> = profile.doubts.iter().map(|it| it.bits.abs()).collect();
    assert!(!far.is_empty() && far.is_sorted(), "the greatest doubt first: {far:?}");
}

#[test]
fn where_nobody_is_twice_nobody_is_linked() {
    let (rows, truth) = people(1000, 0);
    let (_, said, _) = pairs(&run(&rows).clusters, &truth);
    assert!(said <= 2, "{said} pairs");
}

#[test]
fn a_run_repeats_itself() {
    let (rows, _) = people(400, 30);
    let (one, other) = (run(&rows), run(&rows));
    assert_eq!((one.clusters, one.compared, one.linked), (other.clusters, other.compared, other.linked));
}

#[test]
fn people_with_a_hundred_records_each_are_found() {
    let mut dice = Dice(3);
    let (mut rows, mut truth) = (Vec::new(), Vec::new());
    for person in 0..15 {
        let name = [dice.word(3), dice.word(3), dice.word(4)];
        for _ in 0..100 {
            let mut row = name.clone();
            let at = dice.below(12);
            if at < 3 {
                row[at] = if dice.hits(50) { dice.slip(&row[at]) } else { String::new() };
            }
            rows.push(row);
            truth.push(person);
        }
    }
    let mut table = Table::new(&[Kind::GivenName, Kind::FamilyName, Kind::City]);
    for row in &rows {
        table.push(row.iter().map(String::as_str));
    }
    let found = linkage::run(table, &Settings::shipped(), &mut |_, _| ());
    let (right, said, real) = pairs(&found.clusters, &truth);
    assert!(right * 100 >= said * 99, "precision: {right} of {said}");
    assert!(right * 100 >= real * 90, "recall: {right} of {real}");
}

/// People, households, rows that are there twice and say little, and chains: each row has one slip more than the one before.
fn tangled() -> Vec<Vec<String>> {
    let (mut rows, _) = people(1000, 40);
    let mut dice = Dice(5);
    for at in 0..150 {
        let mut row = rows[dice.below(1000)].clone();
        for cell in row.iter_mut().skip(if at % 3 == 0 { 3 } else { 8 }) {
            cell.clear();
        }
        let copies = vec![row; 1 + at % 4];
        rows.extend(copies);
    }
    for _ in 0..60 {
        let mut row = rows[dice.below(1000)].clone();
        for _ in 0..5 {
            let at = 1 + dice.below(7);
            row[at] = if dice.hits(60) { dice.slip(&row[at]) } else { rows[dice.below(1000)][at].clone() };
            rows.push(row.clone());
        }
    }
    for (at, row) in rows.iter_mut().enumerate() {
        row[0] = format!("r{at}");
    }
    rows
}

/// The partition by the keys of the records.
fn partition(rows: &[Vec<String>], found: &Found) -> BTreeSet<BTreeSet<String>> {
    let mut clusters: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for (row, cluster) in rows.iter().zip(&found.clusters) {
        clusters.entry(*cluster).or_default().insert(row[0].clone());
    }
    clusters.into_values().collect()
}

#[test]
fn rows_in_any_order_make_one_partition() {
    let mut rows = tangled();
    let one = run(&rows);
    let expected = partition(&rows, &one);
    assert!(expected.len() > 900 && expected.iter().any(|cluster| cluster.len() > 4), "{}", expected.len());
    let mut dice = Dice(9);
    for order in 0..2 {
        match order {
            0 => rows.reverse(),
            _ => (1..rows.len()).rev().for_each(|at| rows.swap(at, dice.below(at + 1))),
        }
        let other = run(&rows);
        assert_eq!((one.compared, one.linked, one.rules), (other.compared, other.linked, other.rules), "order {order}");
        let found = partition(&rows, &other);
        let differing: Vec<_> = expected.symmetric_difference(&found).take(4).collect();
        assert!(differing.is_empty(), "order {order}: {differing:?}");
    }
}

#[test]
fn a_table_may_be_empty_tiny_or_silent() {
    assert!(run(&[]).clusters.is_empty());
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    assert_eq!(run(&[row(["1", "Lei", "Li"])]).clusters, [0]);
    // Rows that are too short, and rows that say nothing.
    assert_eq!(run(&[row(["1", "", ""]), row(["2", "", ""]), vec![]]).clusters, [0, 1, 2]);
    // In a handful of rows, too, an equal name and birth date are one customer, and a name alone is not.
    let born = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let (li, lii) = (["1", "Lei", "Li", "1990-02-28"], ["2", "Lei", "Lii", "1990-02-28"]);
    let few = [born(li), born(lii), born(["3", "Mei", "Han", "1992-07-01"]), born(["4", "Lei", "Wang", ""])];
    assert_eq!(run(&few).clusters, [0, 0, 1, 2]);
}

#[test]
fn names_of_one_cell_and_chinese_names_are_read() {
    let mut rows = Vec::new();
    let mut dice = Dice(7);
    let (families, given) = ("赵钱孙李周吴郑王冯陈", "伟芳娜敏静丽强磊军洋艳勇杰娟涛明超霞平刚");
    let at = |text: &str, at: usize| text.chars().nth(at).unwrap();
    let mut truth = Vec::new();
    for person in 0..300 {
        let name: String =
            [at(families, dice.below(10)), at(given, dice.below(20)), at(given, dice.below(20))].iter().collect();
        let mobile = format!("138{:08}", dice.below(99_999_999));
        let born = format!("{}{:02}{:02}", 1950 + dice.below(50), 1 + dice.below(12), 1 + dice.below(28));
        rows.push([name.clone(), mobile.clone(), born.clone()]);
        truth.push(person);
        if person % 3 == 0 {
            rows.push([name, if person % 2 == 0 { mobile } else { String::new() }, born]);
            truth.push(person);
        }
    }
    let mut table = Table::new(&[Kind::FullName, Kind::Phone, Kind::BirthDate]);
    for row in &rows {
        table.push(row.iter().map(String::as_str));
    }
    let found = linkage::run(table, &Settings::shipped(), &mut |_, _| ());
    let (right, said, real) = pairs(&found.clusters, &truth);
    assert!((right, said) == (real, real) && real == 100, "{right} {said} {real}");
}

#[test]
fn a_mistake_in_the_settings_has_a_place_and_a_hint() {
    let shipped = include_str!("../rules/linkage.toml");
    let told = |text: &str| Settings::parse("linkage.toml", text).unwrap_err().to_string();
    let wrong = told(&shipped.replacen("[compare.email]", "[compare.emial]", 1));
    assert!(wrong.contains("[compare.email] is missing"), "{wrong}");
    let wrong = told(&format!("{shipped}\n[compare.emial]\nshared = true\nlevels = {{ equal = 0.5 }}\n"));
    assert!(wrong.contains("did you mean `email`?"), "{wrong}");
    let wrong = told(&shipped.replacen("same_mailbox = 0.06", "same_box = 0.06", 1));
    assert!(
        wrong.starts_with("linkage.toml:") && wrong.contains("has the levels equal, slip, same_mailbox"),
        "{wrong}"
    );
    let wrong = told(&shipped.replacen("equal = 0.72", "equal = 1.72", 1));
    assert!(wrong.contains("between 0 and 1"), "{wrong}");
    let wrong = told(&shipped.replacen("strength", "strenght", 1));
    assert!(wrong.contains("did you mean `strength`?"), "{wrong}");
}

#[test]
fn every_kind_has_a_word_and_headers_are_recognised() {
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.word()), Ok(*kind));
    }
    assert_eq!(Kind::parse("surname"), Ok(Kind::FamilyName));
    let told = Kind::parse("famly_name").unwrap_err();
    assert!(told.contains("did you mean `family_name`?"), "{told}");
    for (header, kind) in [
        ("Surname", Kind::FamilyName),
        ("Born", Kind::BirthDate),
        ("E-Mail", Kind::Email),
        ("手机号", Kind::Phone),
        ("x", Kind::Ignore),
    ] {
        assert_eq!(Kind::guess(header), kind, "{header}");
    }
}
