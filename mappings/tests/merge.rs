//! Which value survives, row by row.

use std::collections::BTreeMap;

use huiliu_mappings::merge::{Contribution, Directions, GoldenRecord, Pin, Rules, Said, Way, survive};
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
    directed(rules, links, pins, &BTreeMap::new())
}

fn directed(
    rules: &Rules,
    links: &[Link],
    pins: &BTreeMap<FieldName, Pin>,
    directions: &BTreeMap<String, Directions>,
) -> GoldenRecord {
    let contributions: Vec<Contribution<'_>> = links
        .iter()
        .map(|it| {
            let connection = it.name.split('/').next().unwrap_or("");
            let directions = directions.get(connection).unwrap_or(Directions::none());
            Contribution { link: &it.name, connection, connector: "twin", rank: it.rank, directions, said: &it.said }
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
fn what_most_connections_say_wins_where_it_is_ahead() {
    let said = |name: &'static str, value: &str, at: i64| (name, json!(value), at);
    let three = [said("a/c/1", "x", 1), said("b/c/1", "x", 2), said("c/c/1", "y", 3)];
    check("'most_frequent'", "title", &three, &(json!("x"), "most_frequent", &[json!("y")]));
    // Two records of one shop have one voice: nobody is ahead, and the next strategy decides.
    let two = [said("a/c/1", "x", 1), said("a/c/2", "x", 2), said("c/c/1", "y", 3)];
    check("['most_frequent', 'first']", "title", &two, &(json!("x"), "first", &[json!("y")]));
    check("'most_frequent'", "title", &two, &(json!("y"), "most_recent", &[json!("x")]));
}

#[test]
fn the_largest_and_the_smallest_are_found_by_size() {
    let dates = [("a/c/1", json!("1990-02-03"), 1), ("b/c/1", json!("1989-12-31"), 2), ("c/c/1", Value::Null, 3)];
    let (late, early) = (json!("1990-02-03"), json!("1989-12-31"));
    check("'max'", "birth_date", &dates, &(late.clone(), "max", std::slice::from_ref(&early)));
    check("'min'", "birth_date", &dates, &(early.clone(), "min", std::slice::from_ref(&late)));
    let amount = |amount: &str, currency: &str| json!({"amount": amount, "currency": currency});
    let chosen = |rule: &str, values: &[Value]| {
        let rules = rules(&format!("[deal]\namount = {rule}"));
        let links: Vec<Link> = values
            .iter()
            .zip(1..)
            .map(|(value, at)| link(&format!("{at}/d/1"), 0, &[("amount", value.clone(), at)]))
            .collect();
        let contributions: Vec<Contribution<'_>> = links
            .iter()
            .map(|it| {
                let directions = Directions::none();
                Contribution {
                    link: &it.name,
                    connection: &it.name,
                    connector: "twin",
                    rank: 0,
                    directions,
                    said: &it.said,
                }
            })
            .collect();
        survive(&rules, "deal", &contributions, &BTreeMap::new()).fields["amount"].clone()
    };
    let yuan = [amount("9.50", "CNY"), amount("10", "CNY"), amount("-3", "CNY")];
    assert_eq!(chosen("'max'", &yuan), yuan[1], "by size, not by letters");
    assert_eq!(chosen("'min'", &yuan), yuan[2]);
    let mixed = [amount("9", "CNY"), amount("5", "USD")];
    assert_eq!(chosen("['max', 'first']", &mixed), mixed[0], "two currencies have no larger one");
}

fn directions(text: &str) -> BTreeMap<String, Directions> {
    Directions::parse_all("huiliu.toml", text, &Model::shipped()).expect("directions parse")
}

#[test]
fn an_owner_wins_and_who_may_not_speak_is_not_heard() {
    let both = |a: Value, b: Value| [link("erp/c/1", 0, &[("title", a, 1)]), link("shop/c/1", 0, &[("title", b, 2)])];
    let none = BTreeMap::new();
    let owns = directions("[connections.erp.fields.customer]\ntitle = 'owns'\n");
    let (rules, links) = (Rules::shipped(), both(json!("A"), json!("B")));
    let golden = directed(&rules, &links, &none, &owns);
    assert_eq!((&golden.fields["title"], golden.provenance["title"].rule.as_str()), (&json!("A"), "owns"));
    assert_eq!(golden.provenance["title"].lost[0].value, "B", "what lost is kept");
    let cleared = directed(&rules, &both(Value::Null, json!("B")), &none, &owns);
    assert!(!cleared.fields.contains_key("title"), "what its owner cleared is empty");
    let silent = [link("erp/c/1", 0, &[]), link("shop/c/1", 0, &[("title", json!("B"), 2)])];
    assert_eq!(directed(&rules, &silent, &none, &owns).fields["title"], "B", "an owner without a word stops nobody");
    let pins = BTreeMap::from([("title".into(), Pin { value: json!("P"), by: "ann".to_owned(), at_us: 0 })]);
    assert_eq!(directed(&rules, &links, &pins, &owns).fields["title"], "P", "a pin always wins");
    for word in ["out", "off"] {
        let mute = directions(&format!("[connections.shop.fields.customer]\ntitle = '{word}'\n"));
        let golden = directed(&rules, &links, &none, &mute);
        assert_eq!((&golden.fields["title"], golden.provenance["title"].lost.len()), (&json!("A"), 0), "{word}");
        assert!(!directed(&rules, &links[1..], &none, &mute).provenance.contains_key("title"), "{word}");
    }
    let two = directions(
        "[connections.erp.fields.customer]\ntitle = 'owns'\n[connections.shop.fields.customer]\ntitle = 'owns'\n",
    );
    assert_eq!(directed(&rules, &links, &none, &two).fields["title"], "B", "between owners the rules decide");
}

#[test]
fn directions_hold_for_a_family_or_one_label_and_mistakes_have_a_place() {
    let text = "[connections.erp.fields.customer]\nphones = 'in'\nphones.work = 'off'\n";
    let told =
        |text: &str| Directions::parse_all("huiliu.toml", text, &Model::shipped()).expect_err(text)[0].to_string();
    assert!(told(text).starts_with("huiliu.toml:3:"), "a family and its label need quotes: {}", told(text));
    let all =
        directions("[connections.erp.fields.customer]\nphones = 'in'\n'phones.work' = 'off'\nemails.main = 'out'\n");
    let erp = &all["erp"];
    let way = |field: &str| erp.of("customer", &field.into());
    assert_eq!([way("phones.home"), way("phones.work"), way("emails.main")], [Way::In, Way::Off, Way::Out]);
    assert_eq!([way("emails.work"), way("title")], [Way::Both; 2]);
    assert!(erp.says("customer", &"phones.home".into()) && !erp.takes("customer", &"phones.home".into()));
    assert!(!erp.says("customer", &"emails.main".into()) && erp.takes("customer", &"emails.main".into()));
    assert!(erp.takes("order", &"number".into()));
    let at = |line: &str| format!("[connections.erp.fields.customer]\n{line}\n");
    for (text, expected) in [
        (at("phonez = 'in'"), "huiliu.toml:2:1: `customer` has no field `phonez`; did you mean `phones`?"),
        (at("phones = 'bth'"), "huiliu.toml:2:10: unknown way `bth`; did you mean `both`?"),
        (at("phones = 'own'"), "did you mean `owns`?"),
        (at("title = true"), "ways are both, in, out, off, owns"),
        (at("title.x = 'in'"), "`title` takes no label"),
        (
            "[connections.erp.fields.custmer]\ntitle = 'in'\n".to_owned(),
            "unknown entity `custmer`; did you mean `customer`?",
        ),
        ("[connections.erp]\nfields = 'in'\n".to_owned(), "write a table"),
        ("[connections.erp.fields]\ncustomer = 'in'\n".to_owned(), "write a table: fields.customer.FIELD"),
    ] {
        assert!(told(&text).contains(expected), "{expected}: {}", told(&text));
    }
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
    check_mistake("[customer]\ntitle = 'max'", "`title` is a text: `max` and `min` are for numbers");
    check_mistake("[customer]\ntitle = 'most_frequnt'", "did you mean `most_frequent`?");
}

const RULES: &str = "default = 'most_recent'\n[customer]\ntags = 'union'\nemails = 'union'\ntitle = ['prefer:a', 'longest']\n\
    company = 'first'\nremark = 'longest'\nowner = 'most_frequent'\nbirth_date = ['max', 'first']\nlanguage = 'most_recent'\n";

/// Connection `b` owns one field, and is not heard about another.
const DIRECTIONS: &str = "[connections.b.fields.customer]\nlanguage = 'owns'\nwebsite = 'out'\n";

fn said(field: &'static str) -> impl Strategy<Value = (&'static str, Value, i64)> {
    let value = match field {
        "birth_date" => prop_oneof![Just(Value::Null), Just(json!("1990-01-02")), Just(json!("1989-12-31"))].boxed(),
        "tags" => prop_oneof![Just(Value::Null), Just(json!(["x"])), Just(json!(["w", "x"])), Just(json!([]))].boxed(),
        _ => prop_oneof![Just(Value::Null), Just(json!("p")), Just(json!("q")), Just(json!("rr"))].boxed(),
    };
    (Just(field), value, 0_i64..4)
}

/// A link's name, rank and statements.
type Row = (String, i32, Vec<(&'static str, Value, i64)>);

fn links() -> impl Strategy<Value = Vec<Row>> {
    let fields = prop::sample::select(vec![
        "tags",
        "emails.work",
        "title",
        "company",
        "remark",
        "display_name",
        "owner",
        "birth_date",
        "language",
        "website",
    ]);
    let one = ("[a-d]/c/[12]", 0..2_i32, prop::collection::vec(fields.prop_flat_map(said), 0..6));
    prop::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn order_does_not_matter((links, shuffled) in links().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))) {
        let rules = rules(RULES);
        let build = |all: &[Row]| all.iter().map(|(name, rank, said)| link(name, *rank, said)).collect::<Vec<_>>();
        let (none, directions) = (BTreeMap::new(), directions(DIRECTIONS));
        let first = directed(&rules, &build(&links), &none, &directions);
        prop_assert_eq!(&directed(&rules, &build(&shuffled), &none, &directions), &first);
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

#[test]
fn what_a_rule_adds_to_a_set_stands_beside_what_systems_say_and_below_a_pin() {
    let pin = |value: Value, by: &str| Pin { value, by: by.to_owned(), at_us: 9 };
    let added = || (FieldName::from("+tags"), pin(json!(["vip"]), "rule:big_deal"));
    let said = [link("shop/customers/1", 0, &[("tags", json!(["a"]), 1)])];
    let one = golden(&Rules::shipped(), &said, &BTreeMap::from([added()]));
    assert_eq!(one.fields["tags"], json!(["a", "vip"]));
    let told = &one.provenance["tags"];
    assert_eq!((told.link.as_str(), told.rule.as_str(), told.at_us), ("rule:big_deal", "added", 9));
    assert!(!one.fields.contains_key("+tags"));
    let nobody = golden(&Rules::shipped(), &[], &BTreeMap::from([added()]));
    assert_eq!(nobody.fields["tags"], json!(["vip"]), "nobody else says anything about it");
    let known = [link("shop/customers/1", 0, &[("tags", json!(["a", "vip"]), 1)])];
    let same = golden(&Rules::shipped(), &known, &BTreeMap::from([added()]));
    assert_eq!(same.provenance["tags"].rule, "only", "nothing was added to it");
    let pins = BTreeMap::from([added(), ("tags".into(), pin(json!(["b"]), "wang"))]);
    assert_eq!(golden(&Rules::shipped(), &said, &pins).fields["tags"], json!(["b"]), "a pin always wins");
}
