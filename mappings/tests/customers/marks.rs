//! The names beside blocks: whom they tell apart the comparison tells apart, too.

use std::collections::BTreeSet;

use huiliu_mappings::matching::{Candidate, Decision, Evidence, Keys, NameMark, Rules, decide, marked_keys};
use huiliu_mappings::value::Identity;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::people::{Told, World};
use crate::stream::{Met, resolve_seen};

fn keys(rules: &Rules, evidence: &Evidence) -> Keys {
    marked_keys(rules, "customer", evidence)
}

/// Whether a record has to be compared with a customer whose link bears a block of it.
fn is_open(rules: &Rules, record: &Keys, hash: i64, link: &Keys, customer: NameMark) -> bool {
    !link.of_any_name.contains(&hash) || !record.mark.is_apart(customer, rules)
}

#[test]
fn most_strangers_are_told_apart_and_nothing_is_decided_otherwise() {
    let rules = Rules::shipped();
    let told: Vec<Told> = World::new(31, 150).records(3000, 300);
    let all: Vec<Keys> = told.iter().map(|it| keys(&rules, &it.evidence)).collect();
    let (mut met, mut strangers, mut left) = (0, 0, 0);
    resolve_seen(&rules, &told, &mut |it: &Met<'_>| {
        let golden = |link: usize| it.members.iter().find(|(_, links)| links.contains(&link)).map_or(0, |it| *it.0);
        let by_name = |hash: i64, link: usize| all[link].of_any_name.contains(&hash);
        let (mut open, mut by_more) = (BTreeSet::new(), BTreeSet::new());
        for &(hash, link) in it.links {
            let golden = golden(link);
            let customer = NameMark::of_one(it.members[&golden].iter().map(|link| NameMark::of(&told[*link].evidence)));
            open.extend(is_open(&rules, &all[it.at], hash, &all[link], customer).then_some(golden));
            by_more.extend((!by_name(hash, link)).then_some(golden));
        }
        let few: Vec<Candidate> = it.candidates.iter().filter(|one| open.contains(&one.golden)).cloned().collect();
        let decided = decide(&rules, "customer", &told[it.at].evidence, &few);
        assert_eq!(&decided, it.decision, "{:?}", told[it.at].evidence);
        met += it.candidates.len();
        if *it.decision == Decision::Create {
            let by_name = |it: &&Candidate| !by_more.contains(&it.golden);
            strangers += it.candidates.iter().filter(by_name).count();
            left += few.iter().filter(by_name).count();
        }
    });
    println!("{met} met, {strangers} strangers in blocks of any name, of whom {left} have to be compared");
    assert!(strangers > 100 && 4 * left < strangers, "{left} of {strangers}");
}

const GIVEN: &[&str] = &[
    "伟",
    "玮",
    "芳",
    "建国",
    "建军",
    "小明",
    "明",
    "晓明",
    "Wei",
    "xiao ming",
    "xiaoming",
    "Robert",
    "Bob",
    "Bobby",
    "R",
    "Anna",
    "Anne",
    "Hanna",
    "Anna Maria",
    "Mary",
    "Jo",
    "Joe",
    "Christopher",
    "Kristof",
    "Li",
    "Ян",
    "Chen",
    "陈",
    "",
];
const FAMILY: &[&str] = &["陈", "Chen", "陳", "Li", "李", "Smith", "Smyth", "Anna", "Jo", ""];
const FORMS: usize = 5;

/// A record of somebody of one company who was born on one day, so that all of them meet: her name in one of the ways in
/// which it is written, and something beside it.
fn record() -> impl Strategy<Value = Evidence> {
    let names = (0..GIVEN.len(), 0..FAMILY.len(), 0..FORMS);
    (names, prop::collection::vec(0..6_usize, 0..3)).prop_map(|((given, family, form), more)| {
        let (given, family) = (GIVEN[given], FAMILY[family]);
        let mut it = Evidence::default();
        it.fields.insert("birth_date".into(), json!("1990-01-31"));
        it.fields.insert("company".into(), json!("甲乙丙"));
        let mut put = |field: &str, value: String| {
            let old = (!value.is_empty()).then(|| it.fields.insert(field.into(), Value::from(value)));
            drop(old);
        };
        match form {
            0 => {
                put("given_name", given.to_owned());
                put("family_name", family.to_owned());
            }
            1 => put("display_name", format!("{family}{given}")),
            2 => put("display_name", format!("{given} {family}")),
            3 => put("display_name", format!("{family}, {given}")),
            _ => {
                put("given_name", given.to_owned());
                put("display_name", format!("{given} {family}"));
            }
        }
        let mut identify = |kind: &str, value: &str| {
            it.identities.push(Identity { kind: kind.into(), value: value.to_owned() });
        };
        for one in more {
            match one {
                0 => identify("phone", "+8613800138000"),
                1 => identify("email", "a@example.com"),
                2 => identify("tax_id", "DE123456789"),
                3 => {
                    let place = json!({"city": "杭州", "street": "Main Street", "building": "12"});
                    it.fields.insert("addresses.main".into(), place);
                }
                4 => drop(it.fields.insert("kind".into(), json!("person"))),
                _ => drop(it.fields.insert("kind".into(), json!("organization"))),
            }
        }
        it
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// A customer of one record or several, none of which a record meets in a block that leaves it open, is nobody to it.
    #[test]
    fn whom_names_tell_apart_is_nobody(record in record(), links in prop::collection::vec(record(), 1..4)) {
        let rules = Rules::shipped();
        let (mine, theirs) = (keys(&rules, &record), links.iter().map(|it| keys(&rules, it)).collect::<Vec<_>>());
        let customer = NameMark::of_one(links.iter().map(NameMark::of));
        let shared: Vec<(i64, &Keys)> = theirs
            .iter()
            .flat_map(|link| mine.hashes.iter().filter(|hash| link.hashes.contains(hash)).map(move |hash| (*hash, link)))
            .collect();
        prop_assert!(!shared.is_empty());
        let open = shared.iter().any(|(hash, link)| is_open(&rules, &mine, *hash, link, customer));
        let candidates = [Candidate { golden: 1, evidence: links.clone() }];
        prop_assert!(open || decide(&rules, "customer", &record, &candidates) == Decision::Create);
    }
}
