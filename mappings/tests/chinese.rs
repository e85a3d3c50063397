//! Chinese people and companies whose truth is known, with namesakes, families, branches and neighbours among them. The sets
//! are made by `benches/matching/chinese.py` from published lists; its head says what they hold.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::chinese::address::Address;
use huiliu_mappings::chinese::company::{self, Agreement, Company};
use huiliu_mappings::chinese::person::Person;
use huiliu_mappings::matching::linkage::{self, Kind, Settings, Table};

/// A set: what its columns are, the rows without their keys, and who each is.
struct Set {
    kinds: Vec<Kind>,
    rows: Vec<Vec<String>>,
    truth: Vec<String>,
}

/// Cells of a line; a cell with a comma stands in quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut is_quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            _ => cells.last_mut().expect("one at least").push(c),
        }
    }
    cells
}

impl Set {
    /// Reads a set. Its columns are told by nothing but their headers, as `huiliu match columns` does.
    fn read(records: &str, truth: &str) -> Self {
        let mut lines = records.lines().map(cells);
        let kinds: Vec<Kind> = lines.next().expect("a header").iter().map(|header| Kind::guess(header)).collect();
        assert!(!kinds.contains(&Kind::Ignore), "every header is known: {kinds:?}");
        let known: BTreeMap<&str, &str> = truth.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
        let rows: Vec<Vec<String>> = lines.collect();
        let truth = rows.iter().map(|row| known[row[0].as_str()].to_owned()).collect();
        Self { kinds, rows, truth }
    }

    fn people() -> Self {
        Self::read(include_str!("chinese/people.csv"), include_str!("chinese/people.truth.csv"))
    }

    fn companies() -> Self {
        Self::read(include_str!("chinese/companies.csv"), include_str!("chinese/companies.truth.csv"))
    }

    fn clusters(&self) -> Vec<u32> {
        let mut table = Table::new(&self.kinds);
        for row in &self.rows {
            table.push(row.iter().map(String::as_str));
        }
        linkage::run(table, &Settings::shipped(), &mut |_, _| ()).clusters
    }

    /// The cells of a kind that are filled.
    fn cells(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let at = self.kinds.iter().position(|it| *it == kind).expect("a column of that kind");
        self.rows.iter().map(move |row| row[at].as_str()).filter(|cell| !cell.is_empty())
    }
}

/// Pairs that are right, said and true.
fn pairs(found: &[u32], truth: &[String]) -> [usize; 3] {
    let mut counts = [0; 3];
    for b in 0..truth.len() {
        for a in 0..b {
            let (said, real) = (found[a] == found[b], truth[a] == truth[b]);
            counts[0] += usize::from(said && real);
            counts[1] += usize::from(said);
            counts[2] += usize::from(real);
        }
    }
    counts
}

/// The bar: pairwise F1 of at least 0.95, in thousandths.
fn check_f1(set: &Set) {
    let [right, said, real] = pairs(&set.clusters(), &set.truth);
    let f1 = 2000 * right / (said + real);
    assert!(real > 400 && f1 >= 950, "F1 .{f1}: {right} right, {said} said, {real} true");
}

#[test]
fn chinese_people_are_found_and_namesakes_and_families_stay_apart() {
    check_f1(&Set::people());
}

#[test]
fn chinese_companies_are_found_and_branches_and_namesakes_stay_apart() {
    check_f1(&Set::companies());
}

#[test]
fn every_chinese_record_matches_itself() {
    for mut set in [Set::people(), Set::companies()] {
        let count = set.rows.len();
        set.rows.extend(set.rows.clone());
        let clusters = set.clusters();
        let failed: Vec<&Vec<String>> =
            (0..count).filter(|at| clusters[*at] != clusters[at + count]).map(|at| &set.rows[at]).collect();
        assert!(failed.is_empty(), "{} of {count}: {failed:?}", failed.len());
    }
}

#[test]
fn every_chinese_value_is_read_and_equals_itself() {
    let (people, companies) = (Set::people(), Set::companies());
    for name in people.cells(Kind::FullName).filter(|name| !name.is_ascii()) {
        assert!(Person::parse(name).is_some(), "{name}");
    }
    for name in companies.cells(Kind::Name) {
        let it = Company::parse(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(company::compare(&it, &it), Agreement::Same, "{name}");
    }
    for line in people.cells(Kind::Address).chain(companies.cells(Kind::Address)) {
        let it = Address::parse(line).unwrap_or_else(|| panic!("{line}"));
        assert!(!it.places.is_empty() && !it.road.is_empty(), "{line}: {it:?}");
    }
}

/// Short and full names of the set against each other, beside the simple rule that a short name's characters occur in the
/// full one in their order. Where several companies of the set bear the 字号, the pairs that name place and trade are asked
/// about: whose the 字号 alone is, no name tells.
#[test]
fn short_names_of_companies_find_their_full_names() {
    let set = Set::companies();
    let at = set.kinds.iter().position(|kind| *kind == Kind::Name).expect("a name");
    let names: Vec<(Company, &str, &str)> = (set.rows.iter().zip(&set.truth))
        .filter_map(|(row, truth)| Some((Company::parse(&row[at])?, row[at].as_str(), truth.as_str())))
        .collect();
    let bearers = |brand: &str| -> usize {
        let bears = |it: &Company| format!("{}{}", it.brand, it.trade).contains(brand);
        names.iter().filter(|(it, ..)| bears(it)).map(|(.., who)| who).collect::<BTreeSet<_>>().len()
    };
    let shorts = names.iter().filter(|(it, ..)| !it.is_full && it.branch.is_none());
    let can_tell = |short: &Company, full: &Company| {
        let told = !short.trade.is_empty() && !short.regions.is_empty() && !full.regions.is_empty();
        told || bearers(&short.brand) == 1
    };
    let in_order = |few: &str, many: &str| {
        let mut many = many.chars();
        few.chars().all(|c| many.any(|d| c == d))
    };
    let (mut ours, mut simple) = ([0; 3], [0; 3]);
    for (short, few, who) in shorts {
        for (full, many, whose) in names.iter().filter(|(it, ..)| it.is_full && can_tell(short, it)) {
            let ours_said = company::compare(short, full) >= Agreement::Alike;
            for (counts, said) in [(&mut ours, ours_said), (&mut simple, in_order(few, many))] {
                counts[0] += usize::from(said && who == whose);
                counts[1] += usize::from(said);
                counts[2] += usize::from(who == whose);
            }
        }
    }
    let f1 = |[right, said, real]: [usize; 3]| 2000 * right / (said + real).max(1);
    println!("short names: {ours:?} F1 .{}, in order {simple:?} F1 .{}", f1(ours), f1(simple));
    assert!(f1(ours) >= 950 && f1(ours) > f1(simple) && ours[2] > 60, "{ours:?} {simple:?}");
}
