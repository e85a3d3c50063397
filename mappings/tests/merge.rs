//! Which value survives, row by row.

use std::collections::BTreeMap;

use huiliu_mappings::merge::{Contribution, GoldenRecord, Pin, Rules, Said, survive};
use huiliu_mappings::model::Model;
use huiliu_mappings::value::FieldName;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What one link said: its name, `connection/…`, its rank, and its statements (field, value, when).
struct Link {
    name: String,
    rank: i32,
    said: BTreeMap<FieldName, Said>,
}

fn link(name: &str, rank: i32, said: &[(&str, Value, i64)]) -> Link {
    let said = said.iter().map(|(field, value, at_us)| ((*field).into(), Said { value: value.clone(), at_us: *at_us }));
    Link { name: name.to_owned(), rank, said: said.collect() }
}

fn golden(rules: &Rules, links: &[Link], pins: &BTreeMap<FieldName, Pin>) -> GoldenRecord {
    let contributions: Vec<Contribution<'_>> = links
        .iter()
        .map(|it| {
            let connection = it.name.split('/').next().unwrap_or("");
            Contribution { link: &it.name, connection, connector: "twin", rank: it.rank, said: &it.said }
        })
        .collect();
    survive(rules, "customer", &contributions, pins)
}

fn rules(text: &str) -> Rules {
    Rules::parse("survive.toml", text, &Model::shipped()).expect("rules parse")
}

/// One field of a customer, under one rule: the value that survives, the rule that chose it, the values that lost.
fn check(rule: &str, field: &str, said_by: &[(&str, Value, i64)], expected: &(Value, &str, &[Value])) {
    let text = if rule.is_empty() { String::new() } else { format!("[customer]\n{field} = {rule}") };
    let mut links: Vec<Link> =
        said_by.iter().map(|(name, value, at)| link(name, 0, &[(field, value.clone(), *at)])).collect();
    for _ in 0..links.len() {
        links.rotate_left(1);
        let golden = golden(&rules(&text), &links, &BTreeMap::new());
        assert_eq!(golden.fields.get(field).unwrap_or(&Value::Null), &expected.0, "{rule} {field}");
        let provenance = &golden.provenance[field];
        assert_eq!(provenance.rule, expected.1, "{rule} {field}");
        let lost: Vec<Value> = provenance.lost.iter().map(|it| it.value.clone()).collect();
        assert_eq!(lost, expected.2, "{rule} {field}");
    }
}

#[test]
fn each_strategy_chooses() {
    let two = [("erp/c/1", json!("a"), 1), ("shop/c/2", json!("bbb"), 2)];
    let (a, b) = (json!("a"), json!("bbb"));
    check("", "title", &two[..1], &(a.clone(), "only", &[]));
    check("", "title", &two, &(b.clone(), "most_recent", std::slice::from_ref(&a)));
    check("'first'", "title", &two, &(a.clone(), "first", std::slice::from_ref(&b)));
    check("['longest']", "title", &two, &(b.clone(), "longest", std::slice::from_ref(&a)));
    check("['prefer:erp']", "title", &two, &(a.clone(), "prefer:erp", std::slice::from_ref(&b)));
    check("['prefer:twin']", "title", &two, &(b.clone(), "prefer:twin", std::slice::from_ref(&a)));
    check("['prefer:crm']", "title", &two, &(b.clone(), "most_recent", std::slice::from_ref(&a)));
    check("['prefer:crm', 'first']", "title", &two, &(a.clone(), "first", std::slice::from_ref(&b)));
}

#[test]
fn the_longest_counts_characters_and_parts() {
    let names = [("a/c/1", json!("欧阳娜娜"), 1), ("b/c/1", json!("Ouyan"), 2), ("c/c/1", json!("Oúyan"), 3)];
    check("'longest'", "display_name", &names, &(json!("Oúyan"), "longest", &[json!("Ouyan"), json!("欧阳娜娜")]));
    let (short, long) = (json!({"city": "杭州"}), json!({"city": "杭州", "street": "文一路"}));
    let addresses = [("a/c/1", long.clone(), 1), ("b/c/1", short.clone(), 2)];
    let text = "[customer]\naddresses.main = 'longest'";
    let links: Vec<Link> =
        addresses.iter().map(|(name, value, at)| link(name, 0, &[("addresses.main", value.clone(), *at)])).collect();
    assert_eq!(golden(&rules(text), &links, &BTreeMap::new()).fields["addresses.main"], long);
}

#[test]
fn a_cleared_field_competes_by_recency_only() {
    let later = [("erp/c/1", json!("a"), 1), ("shop/c/1", Value::Null, 2)];
    check("", "title", &later, &(Value::Null, "most_recent", &[json!("a")]));
    for (rule, chosen) in [("'first'", "first"), ("'longest'", "longest"), ("['prefer:shop', 'first']", "first")] {
        check(rule, "title", &later, &(json!("a"), chosen, &[]));
    }
    check("'prefer:shop'", "title", &later, &(Value::Null, "most_recent", &[json!("a")]));
    check("", "title", &[("erp/c/1", json!("a"), 2), ("shop/c/1", Value::Null, 1)], &(json!("a"), "most_recent", &[]));
    check("", "title", &[("erp/c/1", Value::Null, 2), ("shop/c/1", json!("a"), 2)], &(json!("a"), "most_recent", &[]));
    check(
        "'first'",
        "title",
        &[("erp/c/1", Value::Null, 2), ("shop/c/1", Value::Null, 3)],
        &(Value::Null, "most_recent", &[]),
    );
    check("", "title", &later[1..], &(Value::Null, "only", &[]));
}

#[test]
fn a_union_keeps_what_everybody_says_now() {
    let sets = [("a/c/1", json!(["x", "y"]), 1), ("b/c/1", json!(["w", "x"]), 2), ("c/c/1", Value::Null, 3)];
    check("'union'", "tags", &sets, &(json!(["w", "x", "y"]), "union", &[]));
    let emails =
        [("a/c/1", json!("a@example.com"), 1), ("b/c/1", json!("b@example.com"), 2), ("c/c/1", Value::Null, 3)];
    let links: Vec<Link> =
        emails.iter().map(|(name, value, at)| link(name, 0, &[("emails.work", value.clone(), *at)])).collect();
    let golden = golden(&rules("[customer]\nemails = 'union'"), &links, &BTreeMap::new());
    assert_eq!(golden.fields["emails.work"], "b@example.com");
    assert_eq!(golden.provenance["emails.work"].rule, "union");
    assert_eq!(golden.provenance["emails.work"].lost[0].value, "a@example.com");
}

#[test]
fn ties_fall_to_the_rank_then_to_the_link() {
    let said = |value: &str| vec![("title", json!(value), 5)];
    let by_rank = [link("a/c/1", 2, &said("x")), link("b/c/1", 1, &said("y"))];
    let by_link = [link("b/c/1", 1, &said("y")), link("a/c/1", 1, &said("x"))];
    for rule in ["", "[customer]\ntitle = 'first'", "[customer]\ntitle = 'longest'"] {
        assert_eq!(golden(&rules(rule), &by_rank, &BTreeMap::new()).fields["title"], "y", "{rule}");
        assert_eq!(golden(&rules(rule), &by_link, &BTreeMap::new()).fields["title"], "x", "{rule}");
    }
}

#[test]
fn a_pin_wins_and_what_lost_is_kept() {
    let links = [link("a/c/1", 0, &[("title", json!("a"), 1)]), link("b/c/1", 0, &[("title", json!("b"), 2)])];
    let pin = |value: Value| BTreeMap::from([("title".into(), Pin { value, by: "ann".to_owned(), at_us: 0 })]);
    let pinned = golden(&Rules::shipped(), &links, &pin(json!("p")));
    assert_eq!(pinned.fields["title"], "p");
    assert_eq!((pinned.provenance["title"].link.as_str(), pinned.provenance["title"].rule.as_str()), ("pin", "pin"));
    let lost: Vec<&str> = pinned.provenance["title"].lost.iter().map(|it| it.link.as_str()).collect();
    assert_eq!(lost, ["b/c/1", "a/c/1"]);
    let emptied = golden(&Rules::shipped(), &links, &pin(Value::Null));
    assert!(!emptied.fields.contains_key("title"));
    assert_eq!(emptied.provenance["title"].lost.len(), 2);
    assert_eq!(golden(&Rules::shipped(), &[], &pin(json!("p"))).fields["title"], "p");
}

#[test]
fn one_label_has_its_own_rule() {
    let rules = rules("[customer]\nemails = 'most_recent'\nphones.work = 'first'");
    let said = |value: &str, at: i64| [("phones.work", json!(value), at), ("phones.home", json!(value), at)];
    let links = [link("a/c/1", 0, &said("1", 1)), link("b/c/1", 0, &said("2", 2))];
    let golden = golden(&rules, &links, &BTreeMap::new());
    assert_eq!((&golden.fields["phones.work"], &golden.fields["phones.home"]), (&json!("1"), &json!("2")));
}

fn check_mistake(text: &str, expected: &str) {
    let told = Rules::parse("s.toml", text, &Model::shipped()).expect_err(expected);
    assert!(told[0].to_string().contains(expected), "{expected}: {told:?}");
}

#[test]
fn mistakes_have_a_place_and_the_nearest_word() {
    let shipped =
        Rules::parse("survive.toml", include_str!("../rules/survive.toml"), &Model::shipped()).expect("shipped");
    assert_eq!(shipped.preferred().into_iter().collect::<Vec<_>>(), ["kingdee"]);
    check_mistake(
        "default = ['most_recnt']",
        "s.toml:1:12: unknown strategy `most_recnt`; did you mean `most_recent`?",
    );
    check_mistake("[customer]\ntagz = ['union']", "s.toml:2:1: `customer` has no field `tagz`; did you mean `tags`?");
    check_mistake("[custmer]\ntags = ['union']", "s.toml:1:2: unknown entity `custmer`; did you mean `customer`?");
    check_mistake("defualt = ['first']", "did you mean `default`?");
    check_mistake("[customer]\ntitle = ['union']", "`title` has one value");
    check_mistake("[customer]\ntitle.x = ['first']", "`title` takes no label");
    check_mistake("[customer]\ntitle = ['first', 'longest']", "s.toml:2:19: never reached");
    check_mistake("[customer]\ntitle = ['prefer:']", "`prefer:` needs the name");
    check_mistake("[customer]\ntitle = []", "write at least one strategy");
    check_mistake("[customer]\ntitle = 5", "write at least one strategy");
    check_mistake("customer = 'first'", "write a table [customer]");
}

const RULES: &str = "default = 'most_recent'\n[customer]\ntags = 'union'\nemails = 'union'\ntitle = ['prefer:a', 'longest']\n\
    company = 'first'\nremark = 'longest'\n";

fn said(field: &'static str) -> impl Strategy<Value = (&'static str, Value, i64)> {
    let value = match field {
        "tags" => prop_oneof![Just(Value::Null), Just(json!(["x"])), Just(json!(["w", "x"])), Just(json!([]))].boxed(),
        _ => prop_oneof![Just(Value::Null), Just(json!("p")), Just(json!("q")), Just(json!("rr"))].boxed(),
    };
    (Just(field), value, 0_i64..4)
}

/// A link's name, rank and statements.
type Row = (String, i32, Vec<(&'static str, Value, i64)>);

fn links() -> impl Strategy<Value = Vec<Row>> {
    let fields = prop::sample::select(vec!["tags", "emails.work", "title", "company", "remark", "display_name"]);
    let one = ("[a-d]/c/[12]", 0..2_i32, prop::collection::vec(fields.prop_flat_map(said), 0..6));
    prop::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn order_does_not_matter((links, shuffled) in links().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))) {
        let rules = rules(RULES);
        let build = |all: &[Row]| all.iter().map(|(name, rank, said)| link(name, *rank, said)).collect::<Vec<_>>();
        let first = golden(&rules, &build(&links), &BTreeMap::new());
        prop_assert_eq!(&golden(&rules, &build(&shuffled), &BTreeMap::new()), &first);
        prop_assert!(first.fields.values().all(|value| !value.is_null()));
    }

    /// Values are never invented, and none is forgotten: each is the golden one, part of it, or lost.
    #[test]
    fn nothing_is_invented_or_forgotten(links in links()) {
        let links: Vec<Link> = links.iter().map(|(name, rank, said)| link(name, *rank, said)).collect();
        let golden = golden(&rules(RULES), &links, &BTreeMap::new());
        for (field, provenance) in &golden.provenance {
            let said: Vec<&Value> = links.iter().filter_map(|it| it.said.get(field)).map(|it| &it.value).filter(|it| !it.is_null()).collect();
            let won = golden.fields.get(field);
            let within = |value: &Value| match (value.as_array(), won.and_then(Value::as_array)) {
                (Some(some), Some(all)) => some.iter().all(|item| all.contains(item)),
                _ => won == Some(value),
            };
            prop_assert!(said.iter().all(|value| within(value) || provenance.lost.iter().any(|it| it.value == **value)));
            prop_assert!(provenance.lost.iter().all(|it| said.contains(&&it.value)));
            prop_assert!(field.as_str() == "tags" || won.is_none_or(|won| said.contains(&won)));
        }
    }

    /// What survived, said by one more link at the same time, changes no value.
    #[test]
    fn saying_the_golden_values_again_changes_nothing(links in links()) {
        let rules = rules(RULES);
        let mut links: Vec<Link> = links.iter().map(|(name, rank, said)| link(name, *rank, said)).collect();
        let first = golden(&rules, &links, &BTreeMap::new());
        let again: Vec<(&str, Value, i64)> = first.fields.iter().map(|(field, value)| (field.as_str(), value.clone(), first.provenance[field].at_us)).collect();
        links.push(link("z/c/9", 9, &again));
        prop_assert_eq!(golden(&rules, &links, &BTreeMap::new()).fields, first.fields);
    }
}
