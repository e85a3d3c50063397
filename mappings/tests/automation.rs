//! Automation rules: conditions, texts, and mistakes in the file.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::automation::{Action, Condition, EXAMPLE, Event, Moment, Rules, Template};
use huiliu_mappings::model::Model;
use huiliu_mappings::value::{FieldName, Fields};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fields(value: &Value) -> Fields {
    serde_json::from_value(value.clone()).expect("fields")
}

fn deal() -> Fields {
    fields(&json!({
        "name": "年度框架", "stage": "won", "amount": { "amount": "600000.00", "currency": "CNY" },
        "expected_close": "2026-03-31", "owner": "zhang"
    }))
}

/// Whether a condition holds of a deal of two customers whose stage just changed.
fn holds(condition: &str) -> bool {
    let condition = Condition::parse(condition, "deal", &Model::shipped())
        .unwrap_or_else(|mistake| panic!("{condition}: {mistake:?}"));
    let (own, company) = (deal(), fields(&json!({ "industry": "manufacturing", "tags": ["vip"] })));
    let person = fields(&json!({ "kind": "person", "phones.main": { "number": "+8613800138000", "type": "mobile" } }));
    let stage = FieldName::from("stage");
    let changed = BTreeSet::from([&stage]);
    let others = BTreeMap::from([("customer", vec![&company, &person])]);
    condition.holds(&Moment { fields: &own, changed: &changed, others: &others, id: 7 })
}

#[test]
fn comparisons_hold_by_the_type_of_their_field() {
    let rows = [
        ("amount > 500000 CNY", true),
        ("amount > 600_000 CNY", false),
        ("amount >= 600000.00 CNY and amount <= 600000 CNY", true),
        ("amount = 600000 CNY", true),
        ("amount < 500000 CNY or stage = 'won'", true),
        ("stage != \"lost\"", true),
        ("stage in ['won', 'lost']", true),
        ("stage not in ['won', 'lost']", false),
        ("not (stage = 'won')", false),
        ("name contains '框架'", true),
        ("name not contains '框架'", false),
        ("expected_close > '2026-01-31'", true),
        ("expected_close <= '2026-01-31'", false),
        ("changed(stage)", true),
        ("changed(amount)", false),
        ("owner is not empty", true),
        ("customer.industry = 'manufacturing'", true),
        ("customer.kind = 'person'", true),
        ("customer.tags contains 'vip'", true),
        ("customer.phones.main = '+8613800138000'", true),
        ("customer.website is empty", true),
        ("customer.industry = 'retail'", false),
        ("amount > 500000 CNY and customer.industry = 'manufacturing'", true),
        ("stage = 'lost' or stage = 'won' and amount > 1 CNY", true),
        ("(stage = 'lost' or stage = 'won') and amount > 1 USD", false),
    ];
    for (condition, expected) in rows {
        assert_eq!(holds(condition), expected, "{condition}");
    }
}

#[test]
fn what_has_no_value_or_another_currency_satisfies_no_comparison() {
    for condition in
        ["amount > 1 USD", "amount <= 1 USD", "amount != 1 USD", "customer.title = 'x'", "customer.title != 'x'"]
    {
        assert!(!holds(condition), "{condition}");
    }
    assert!(holds("not (customer.title = 'x')"));
}

#[test]
fn a_mistake_in_a_condition_has_its_place_and_the_nearest_word() {
    let rows = [
        ("amount > 500000", 15, "`amount` is an amount in a currency: write `500000 CNY`"),
        (
            "amount > 'x'",
            9,
            "`amount` is a money and cannot be compared with \"x\": write an amount and its currency, 500000 CNY",
        ),
        ("stage > 'a'", 6, "`stage` is a text, which has no size: write `=` or `!=` instead of `>`"),
        ("stage = 5", 8, "`stage` is a text and cannot be compared with `5`: write a text in quotes"),
        ("stag = 'won'", 0, "`deal` has no field `stag`; did you mean `stage`?"),
        ("customer.industri = 'x'", 0, "`customer` has no field `industri`; did you mean `industry`?"),
        (
            "customer.kind = 'persn'",
            16,
            "`customer.kind` is never \"persn\"; did you mean `person`?; it is one of person, organization",
        ),
        ("customer.tags = 'vip'", 14, "`customer.tags` is a set: write `customer.tags contains \"…\"`"),
        ("deal.stage = 'won'", 0, "`deal.stage` is a field of the deal itself; write `stage`"),
        ("stage = 'won", 8, "a text is never closed: its quote is missing"),
        ("stage = 'won' stage = 'lost'", 14, "`stage` is too much here; join conditions with `and` or `or`"),
        ("(stage = 'won'", 14, "`)` is missing here"),
        ("stage contain 'w'", 6, "`contain` is no comparison; did you mean `contains`?"),
        (
            "changed(customer.kind)",
            8,
            "`customer.kind` belongs to another record: `changed` looks at the record's own fields",
        ),
        ("expected_close > '31.1.2026'", 17, "`expected_close` is a date: write it as \"2026-01-31\""),
        ("stage = 'won' and", 17, "a condition is missing at the end"),
        ("", 0, "a condition is missing at the end"),
        ("amount > 5e5 CNY", 9, "`5e5` is not a number; write 500000 or 12.50"),
        ("stage = 'won' && 1", 14, "`&` cannot stand here; texts stand in quotes"),
    ];
    for (condition, at, message) in rows {
        let mistake = Condition::parse(condition, "deal", &Model::shipped()).expect_err(condition);
        assert_eq!((mistake.at, mistake.message.as_str()), (at, message), "{condition}");
    }
    let deep = format!("{}stage = 'won'{}", "(".repeat(40), ")".repeat(40));
    assert!(Condition::parse(&deep, "deal", &Model::shipped()).expect_err("deep").message.contains("32 deep"));
    let long = format!("stage = '{}'", "x".repeat(5_000));
    assert!(Condition::parse(&long, "deal", &Model::shipped()).expect_err("long").message.contains("4000 bytes"));
}

#[test]
fn texts_take_values() {
    let (own, company) = (deal(), fields(&json!({ "legal_name": "甲有限公司", "tags": ["a", "b"] })));
    let changed = BTreeSet::new();
    let others = BTreeMap::from([("customer", vec![&company])]);
    let moment = Moment { fields: &own, changed: &changed, others: &others, id: 7 };
    let fill = |text: &str| Template::parse(text, "deal", &Model::shipped()).expect("a text").fill(&moment);
    assert_eq!(fill("{customer.legal_name}: {name}, {amount} #{id}"), "甲有限公司: 年度框架, 600000.00 CNY #7");
    assert_eq!(fill("{{{stage}}} {customer.tags}{customer.title}"), "{won} a, b");
    let value = |text: &str| Template::parse(text, "deal", &Model::shipped()).expect("a text").value(&moment);
    assert_eq!(value("{amount}"), Some(json!({ "amount": "600000.00", "currency": "CNY" })), "alone it keeps its form");
    assert_eq!((value("{customer.title}"), value(" {stage}")), (None, Some(json!(" won"))));
    let told = |text: &str| Template::parse(text, "deal", &Model::shipped()).expect_err(text);
    assert_eq!(told("{stag}"), "`deal` has no field `stag`; did you mean `stage`?");
    assert!(told("{name").contains("a brace stands alone") && told("name}").contains("a brace stands alone"));
}

#[test]
fn a_filled_text_is_bounded() {
    let own = fields(&json!({ "name": "长".repeat(3_000) }));
    let (changed, others) = (BTreeSet::new(), BTreeMap::new());
    let moment = Moment { fields: &own, changed: &changed, others: &others, id: 7 };
    let filled = Template::parse("{name}{name}", "deal", &Model::shipped()).expect("a text").fill(&moment);
    assert_eq!(filled.chars().count(), 2_000);
    assert!(filled.ends_with('…'));
}

const FILE: &str = r#"
[big_deal]
entity = "deal"
when = 'amount > 500000 CNY and customer.industry = "manufacturing"'
do = [
    { notify = "wecom", to = ["director", "{owner}"], text = "{name}" },
    { create = "crm.tasks", fields = { subject = "{name}", custom.level = "a" } },
    { tag = "大客户", on = "customer" },
    { mail = "mailbox", to = "sales@example.com", subject = "{name}", text = "{amount}" },
    { webhook = "events" },
]
[moved]
entity = "deal"
on = ["changed:stage", "merged", "deleted"]
each = true
do = [{ webhook = "events" }]
"#;

#[test]
fn a_file_is_compiled() {
    let rules = Rules::parse("automation.toml", FILE, &Model::shipped()).expect("the file is right");
    let names: Vec<&str> = rules.all().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["big_deal", "moved"]);
    let big = rules.rule("big_deal").expect("it is there");
    assert_eq!((&big.on, big.each, big.refers()), (&vec![Event::Created, Event::Changed], false, true));
    assert_eq!(
        big.actions.iter().map(|(action, _)| action.word()).collect::<Vec<_>>(),
        ["notify", "create", "tag", "mail", "webhook"]
    );
    let Action::Create { connection, lens, fields } = &big.actions[1].0 else { panic!("{:?}", big.actions[1]) };
    assert_eq!((connection.as_str(), lens.as_str(), fields.len()), ("crm", "tasks", 2));
    assert!(fields.contains_key("custom.level"));
    let moved = rules.rule("moved").expect("it is there");
    let words: Vec<String> = moved.on.iter().map(Event::word).collect();
    assert_eq!((words.join(" "), moved.each, moved.refers()), ("merged deleted changed:stage".to_owned(), true, false));
    let other = FILE.replace("500000", "400000");
    let other = Rules::parse("automation.toml", &other, &Model::shipped()).expect("the file is right");
    assert_ne!(big.digest(), other.rule("big_deal").expect("it is there").digest());
}

#[test]
fn the_shipped_example_is_a_comment_that_compiles() {
    assert!(Rules::parse("automation.toml", EXAMPLE, &Model::shipped()).expect("only comments").all().is_empty());
    let lines = EXAMPLE.lines().skip_while(|line| !line.starts_with("# [")).take_while(|line| *line != "#");
    let text: Vec<&str> = lines.map(|line| line.trim_start_matches('#')).collect();
    let rules = Rules::parse("automation.toml", &text.join("\n"), &Model::shipped()).expect("the example is right");
    assert_eq!(rules.all().len(), 1);
}

#[test]
fn mistakes_in_the_file_name_line_and_the_nearest_word() {
    let rows = [
        ("[a]\nentity = 'dea'\ndo = [{ webhook = 'x' }]", "2:10: unknown entity `dea`; did you mean `deal`?"),
        (
            "[a]\nentity = 'deal'\nwhen = 'amount > 5'\ndo = [{ webhook = 'x' }]",
            "3:19: `amount` is an amount in a currency: write `5 CNY`",
        ),
        (
            "[a]\nentity = 'deal'\nwhn = ''\ndo = [{ webhook = 'x' }]",
            "3:1: unknown field `whn`, expected one of `entity`, `on`, `when`, `each`, `do`; did you mean `when`?",
        ),
        (
            "[a]\nentity = 'deal'\non = 'create'\ndo = [{ webhook = 'x' }]",
            "3:6: unknown event `create`; did you mean `created`?; events are created, changed, changed:FIELD, merged, deleted",
        ),
        (
            "[a]\nentity = 'deal'\non = ['changed:amont']\ndo = [{ webhook = 'x' }]",
            "3:6: `deal` has no field `amont`; did you mean `amount`?",
        ),
        (
            "[a]\nentity = 'deal'\ndo = []",
            "3:6: the rule does nothing: write at least one action, such as { tag = \"…\" }",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ tag = 'x' }]",
            "3:7: a deal has no set `tags`; write on = \"customer\" to tag whom it belongs to",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ tag = 'x', webhook = 'y' }]",
            "3:7: an action is exactly one of tag, create, webhook, notify, mail",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ webhook = 'x', text = 'y' }]",
            "3:7: `webhook` takes no `text`; it belongs to notify and mail",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ notify = 'x', text = 'y' }]",
            "3:7: say who is told: to = [\"…\"], 1 to 100 of them",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ notify = 'x', to = 'a', text = '{nam}' }]",
            "3:40: `deal` has no field `nam`; did you mean `name`?",
        ),
        ("[a]\nentity = 'deal'\ndo = [{ mail = 'x', to = 'a', text = 'b' }]", "3:7: `subject` is missing"),
        (
            "[a]\nentity = 'deal'\ndo = [{ create = 'tasks', fields = { a = 'b' } }]",
            "3:7: name connection and stream: create = \"crm.tasks\"",
        ),
        (
            "[a]\nentity = 'deal'\ndo = [{ create = 'crm.tasks' }]",
            "3:7: a new record needs values: fields = { name = \"…\" }",
        ),
    ];
    for (text, message) in rows {
        let told = Rules::parse("automation.toml", text, &Model::shipped()).expect_err(text);
        assert_eq!(told[0].to_string(), format!("automation.toml:{message}"), "{text}");
    }
}

/// Conditions of the grammar, as people might write them.
fn written() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        (0..2_000_000_i64).prop_map(|amount| format!("amount > {amount} CNY")),
        "[a-z\u{4e00}-\u{4e20} ]{0,8}".prop_map(|text| format!("stage = '{text}'")),
        "[a-z]{1,5}".prop_map(|text| format!("customer.industry contains \"{text}\"")),
        Just("changed(owner)".to_owned()),
        Just("expected_close is empty".to_owned()),
        "[a-z]{1,4}".prop_map(|text| format!("owner in ['{text}', 'zhang']")),
    ];
    one.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_by_the_grammar_is_read_and_its_denial_is_the_opposite(text in written()) {
        let denied = format!("not ({text})");
        prop_assert_ne!(holds(&text), holds(&denied));
        let always = format!("({text}) or not ({text})");
        prop_assert!(holds(&always));
    }

    #[test]
    fn no_text_upsets_the_reader(text in "\\PC{0,60}|[a-z0-9.()'\" =<>!,\\[\\]]{0,60}") {
        if let Err(mistake) = Condition::parse(&text, "deal", &Model::shipped()) {
            prop_assert!(mistake.at <= text.len() && text.is_char_boundary(mistake.at), "{}", mistake.message);
        }
        let _ = Template::parse(&text, "deal", &Model::shipped());
    }

    #[test]
    fn a_damaged_file_is_a_mistake_and_no_panic(at in 0..FILE.len(), with in "\\PC{0,3}") {
        let at = (0..=at).rev().find(|at| FILE.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{with}{}", &FILE[..at], FILE[at..].chars().skip(1).collect::<String>());
        let _ = Rules::parse("automation.toml", &text, &Model::shipped());
    }
}
