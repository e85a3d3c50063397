//! Mapping files: what they make of records, and what is said about mistakes in them.

use huiliu_mappings::lens::{Lens, laws};
use huiliu_mappings::model::Model;
use huiliu_mappings::value::Fields;
use serde_json::{Value, json};

const SHOP: &str = r#"
[customers]
entity = "customer"

[customers.identities]
email = "/email"
phone = { from = "/phone", region = "CN" }
external_userid = { from = "/user", scope = "/corp" }

[customers.fields]
kind = { const = "person" }
given_name = "/first"
family_name = "/last"
emails.main = { from = "/email", normalize = "email" }
phones.main = { from = "/phone", region = "CN" }
birth_date = { from = "/birthday", format = "%d/%m/%Y" }
lifecycle = { from = "/level", values = { lead = "1", customer = "2" } }
consent.email = { from = "/mail_ok", values = { subscribed = "true", unsubscribed = "false" }, direction = "in" }
tags = { from = "/tags", item = "/name" }
remark = { from = "/note/text", to = "/note_text", limit = 5, lossy = true, empty = "cleared" }

[orders]
entity = "order"

[orders.fields]
number = "/no"
total = { from = "/total", currency = "CNY" }
lines = { from = "/items", each = { sku = "/sku", quantity = "/qty", price = { from = "/fen", unit = "minor", currency = "CNY" } } }

[orders.references]
record = { lens = "customers", from = "/customer/id" }
email = "/email"
"#;

fn lenses() -> Vec<Lens> {
    Lens::parse_file("shop.toml", SHOP, &Model::shipped()).unwrap()
}

fn customer() -> Value {
    json!({"email": "Li.Lei@Example.com", "phone": "138 0013 8000", "first": "雷 ", "last": "李", "birthday": "31/01/1990",
        "level": 2, "mail_ok": true, "tags": [{"name": "vip"}, {"name": "a"}], "note": {"text": "老客户一二三"},
        "user": "u1", "corp": "c1"})
}

#[test]
fn a_record_becomes_canonical() {
    let (mapped, issues) = lenses()[0].map(&customer());
    assert_eq!(issues, []);
    let expected = json!({"birth_date": "1990-01-31", "consent.email": "subscribed", "emails.main": "li.lei@example.com",
        "family_name": "李", "given_name": "雷", "kind": "person", "lifecycle": "customer",
        "phones.main": {"number": "+8613800138000", "type": "mobile"}, "remark": "老客户一二三", "tags": ["a", "vip"]});
    assert_eq!(serde_json::to_value(&mapped.fields).unwrap(), expected);
    let identities: Vec<String> = mapped.identities.iter().map(|it| format!("{}={}", it.kind, it.value)).collect();
    assert_eq!(identities, ["email=li.lei@example.com", "external_userid=c1:u1", "phone=+8613800138000"]);
}

#[test]
fn an_order_keeps_exact_money_and_names_its_customer() {
    let body = json!({"no": 7, "total": "19.9", "email": "a@example.com", "customer": {"id": 9_007_199_254_740_993_i64},
        "items": [{"sku": "A", "qty": "2", "fen": 995}]});
    let (mapped, issues) = lenses()[1].map(&body);
    assert_eq!(issues, []);
    let lines = json!([{"sku": "A", "quantity": "2", "price": {"amount": "9.95", "currency": "CNY"}}]);
    assert_eq!(mapped.fields["lines"], lines);
    assert_eq!(mapped.fields["number"], "7");
    assert_eq!(
        serde_json::to_value(&mapped.references[0]).unwrap(),
        json!({"record": {"lens": "customers", "id": "9007199254740993"}})
    );
}

#[test]
fn one_bad_value_does_not_lose_the_customer() {
    let mut body = customer();
    body["phone"] = json!("call me");
    body["level"] = json!(9);
    body["first"] = json!("");
    let (mapped, issues) = lenses()[0].map(&body);
    let mut codes: Vec<&str> = issues.iter().map(|issue| issue.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["empty_text", "not_a_phone", "unknown_value"]);
    assert!(mapped.fields.contains_key("family_name"));
    assert!(!serde_json::to_string(&issues).unwrap().contains("call me"), "an issue never repeats the value");
}

#[test]
fn absent_null_and_empty_are_three_things() {
    let (mapped, _) = lenses()[0].map(&json!({"first": null, "note": {"text": ""}}));
    assert_eq!(mapped.fields.get("given_name"), Some(&Value::Null));
    assert_eq!(mapped.fields.get("remark"), Some(&Value::Null));
    assert_eq!(mapped.fields.get("family_name"), None);
}

#[test]
fn the_laws_hold() {
    assert_eq!(laws::broken(&lenses()[0], &customer()), Vec::<String>::new());
    let (mapped, _) = lenses()[0].map(&customer());
    let mut golden = mapped.fields.clone();
    golden.insert("given_name".into(), json!("蕾"));
    let patch: Fields =
        lenses()[0].project(&golden).into_iter().filter(|(f, v)| mapped.fields.get(f) != Some(v)).collect();
    let names: Vec<&str> = patch.keys().map(huiliu_mappings::value::FieldName::as_str).collect();
    assert_eq!(names, ["given_name", "remark"]);
    assert_eq!(lenses()[0].render(&patch), json!({"first": "蕾", "note_text": "老客户一二"}));
}

#[test]
fn mistakes_name_file_line_and_the_right_word() {
    let text = "[customers]\nentity = \"custmer\"\n[orders]\nentity = \"order\"\n[orders.fields]\nnumbr = \"/no\"\ntotal = { form = \"/t\" }\nnote = \"n\"\nstatus = { from = \"/s\", zone = \"Mars\", limit = 3 }\n";
    let told: Vec<String> =
        Lens::parse_file("m.toml", text, &Model::shipped()).unwrap_err().iter().map(ToString::to_string).collect();
    let all = told.join("\n");
    for expected in [
        "m.toml:2:10: unknown entity `custmer`; did you mean `customer`?",
        "m.toml:6:1: `order` has no field `numbr`; did you mean `number`?",
        "m.toml:7:11: unknown key `form`; did you mean `from`?",
        "m.toml:8:8: `n` is not a JSON pointer; did you mean `/n`?",
        "unknown time zone `Mars`",
        "say so with lossy = true",
    ] {
        assert!(all.contains(expected), "{expected}\nnot in\n{all}");
    }
}

#[test]
fn an_id_of_one_app_needs_its_scope() {
    let file = |rule: &str| format!("[customers]\nentity = \"customer\"\n[customers.identities]\n{rule}\n");
    let told = |rule: &str| Lens::parse_file("m.toml", &file(rule), &Model::shipped()).err();
    for kind in ["openid", "external_userid"] {
        let wrong = told(&format!("{kind} = \"/id\"")).expect(kind)[0].to_string();
        assert!(wrong.starts_with("m.toml:4:") && wrong.contains("write `scope`"), "{wrong}");
        assert!(told(&format!("{kind} = {{ from = \"/id\", scope = \"/app\" }}")).is_none(), "{kind}");
    }
    assert!(told("unionid = \"/id\"").is_none());
}

const ERP: &str = r#"
[partners]
entity = "customer"
[partners.identities]
phone = { from = "/phones", item = "/no", region = "CN" }
erp_code = { from = "/code", normalize = "text" }
[partners.fields]
tags = { from = "/labels", separator = ";" }
lifecycle = { from = "/state", values = { lead = 1, customer = [2, 3] } }
consent.email = { from = "/mail", values = { subscribed = true, unsubscribed = false } }
addresses.main = { from = "/address", each = { city = "/town", street = "/line" } }
phones.main = { from = "/tel", region = "CN", format = "national" }
custom.paid = { from = "/paid", number = true }
[bills]
entity = "order"
[bills.fields]
ordered_at = { from = "/at", unit = "seconds" }
total = { from = "/sum", currency_from = "/unit" }
[deals]
entity = "deal"
[deals.fields]
amount = { from = "/fen", unit = "minor", currency = "CNY" }
expected_close = { from = "/close", format = "%d.%m.%Y" }
"#;

fn erp(name: &str) -> Lens {
    let lenses = Lens::parse_file("erp.toml", ERP, &Model::shipped()).unwrap();
    lenses.into_iter().find(|lens| lens.name() == name).unwrap()
}

/// Reads, writes again all that is writable, and compares with the record.
fn both_ways(lens: &Lens, body: &Value, canonical: &Value, written: &Value) {
    let (mapped, issues) = lens.map(body);
    assert_eq!(issues, []);
    assert_eq!(&serde_json::to_value(&mapped.fields).unwrap(), canonical);
    assert_eq!(laws::broken(lens, body), Vec::<String>::new());
    let known: Fields = lens.project(&mapped.fields).into_iter().filter(|(_, value)| !value.is_null()).collect();
    assert_eq!(&lens.render(&known), written);
}

#[test]
fn what_systems_write_in_their_own_way_goes_both_ways() {
    let lens = erp("partners");
    let body = json!({"labels": "b; a", "state": 3, "mail": true, "address": {"town": "上海", "line": "南京路 1 号"},
        "tel": "+86 138 0013 8000", "paid": 12.50});
    let canonical = json!({"tags": ["a", "b"], "lifecycle": "customer", "consent.email": "subscribed",
        "addresses.main": {"city": "上海", "street": "南京路 1 号"},
        "phones.main": {"number": "+8613800138000", "type": "mobile"}, "custom.paid": "12.5"});
    let written = json!({"labels": "a;b", "state": 2, "mail": true, "address": {"town": "上海", "line": "南京路 1 号"},
        "tel": "13800138000", "paid": 12.5});
    let (mapped, issues) = lens.map(&body);
    assert_eq!(issues, []);
    assert_eq!(serde_json::to_value(&mapped.fields).unwrap(), canonical);
    let known: Fields = lens.project(&mapped.fields).into_iter().filter(|(_, value)| !value.is_null()).collect();
    assert_eq!(lens.render(&known), written);
    both_ways(&lens, &written, &canonical, &written);
}

#[test]
fn money_keeps_its_currency_both_ways() {
    let (bills, deals) = (erp("bills"), erp("deals"));
    let bill = json!({"at": 1_767_225_600, "sum": "19.90", "unit": "USD"});
    let canonical = json!({"ordered_at": "2026-01-01T00:00:00Z", "total": {"amount": "19.90", "currency": "USD"}});
    both_ways(&bills, &bill, &canonical, &json!({"at": 1_767_225_600, "sum": "19.90", "unit": "USD"}));
    let deal = json!({"fen": 1990, "close": "31.01.2026"});
    let canonical = json!({"amount": {"amount": "19.90", "currency": "CNY"}, "expected_close": "2026-01-31"});
    both_ways(&deals, &deal, &canonical, &deal);
    let mut dollars = Fields::new();
    dollars.insert("amount".into(), json!({"amount": "5", "currency": "USD"}));
    assert_eq!(deals.project(&dollars).get("amount"), None, "a place for yuan takes no dollars");
}

#[test]
fn a_list_may_hold_many_identities() {
    let (mapped, _) =
        erp("partners").map(&json!({"phones": [{"no": "13800138000"}, {"no": ""}, {"no": "13900139000"}], "code": 7}));
    let found: Vec<String> = mapped.identities.iter().map(|it| format!("{}={}", it.kind, it.value)).collect();
    assert_eq!(found, ["erp_code=7", "phone=+8613800138000", "phone=+8613900139000"]);
}

#[test]
fn rules_that_contradict_themselves_are_told() {
    let told = |rules: &str| {
        let text = format!("[c]\nentity = \"customer\"\n[c.fields]\n{rules}\n");
        let told = Lens::parse_file("c.toml", &text, &Model::shipped()).unwrap_err();
        told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for (rules, expected) in [
        ("title = \"/a\"\nremark = \"/a\"", "write the same place"),
        ("title = { from = \"/a\", currency = \"CNY\" }", "`currency` has no meaning for text values; it is for money"),
        ("kind = { const = \"persn\" }", "did you mean `person`?"),
        ("lifecycle = { from = \"/l\", values = { lead = \"1\", customer = \"1\" } }", "become one word of the vendor"),
        ("emails = { from = \"/e\" }", "add a label, such as `emails.main`"),
        ("birth_date = { from = \"/b\", format = \"%Q\" }", "no format that can be read back"),
        ("title = { to = \"/a\", direction = \"in\" }", "`to` is never used"),
    ] {
        let all = told(rules);
        assert!(all.contains(expected), "{expected}\nnot in\n{all}");
    }
}

/// A shop may tell the currency of an order once, for all its lines.
#[test]
fn the_currency_beside_a_list_is_that_of_its_amounts() {
    let text = "[orders]\nentity = \"order\"\n[orders.fields.lines]\nfrom = \"/items\"\ncurrency_from = \"/currency\"\n\
        [orders.fields.lines.each]\nsku = \"/sku\"\nprice = { from = \"/price\", unit = \"minor\" }\n";
    let lenses = Lens::parse_file("x.toml", text, &Model::shipped()).unwrap();
    let order = json!({ "currency": "CNY", "items": [{ "sku": "A", "price": 1_990 }, { "sku": "B", "price": 5 }] });
    let (mapped, issues) = lenses[0].map(&order);
    assert_eq!(issues, []);
    let price = |amount: &str| json!({ "amount": amount, "currency": "CNY" });
    let lines = json!([{ "sku": "A", "price": price("19.90") }, { "sku": "B", "price": price("0.05") }]);
    assert_eq!(mapped.fields["lines"], lines);
    assert_eq!(laws::broken(&lenses[0], &order), Vec::<String>::new());
    // Without a currency there is no amount, and each place is told of.
    let (mapped, issues) = lenses[0].map(&json!({ "items": [{ "sku": "A", "price": 1_990 }] }));
    assert_eq!((mapped.fields["lines"].clone(), issues[0].at.as_str()), (json!([{ "sku": "A" }]), "/items/0/price"));
    let told = Lens::parse_file(
        "x.toml",
        &text.replace("from = \"/items\"", "from = \"/items\"\ndirection = \"both\""),
        &Model::shipped(),
    );
    assert!(told.unwrap_err()[0].to_string().contains("read only: direction = \"in\""));
}

/// Two tables may read one stream, each its own records.
#[test]
fn a_table_reads_only_records_with_the_value_that_it_asks_for() {
    let text = "[guests]\nstream = \"orders\"\nentity = \"customer\"\nonly = \"/guest/email\"\n[guests.fields]\n\
        emails.main = \"/guest/email\"\n[orders]\nentity = \"order\"\n[orders.fields]\nnumber = \"/no\"\n";
    let lenses = Lens::parse_file("x.toml", text, &Model::shipped()).unwrap();
    let read = |body: &Value| lenses.iter().filter(|lens| lens.reads(body)).map(Lens::name).collect::<Vec<_>>();
    assert_eq!(read(&json!({ "no": "1", "guest": { "email": "han@example.com" } })), ["guests", "orders"]);
    for none in [json!({ "no": "1" }), json!({ "guest": null }), json!({ "guest": { "email": " " } })] {
        assert_eq!(read(&none), ["orders"], "{none}");
    }
    let told = Lens::parse_file("x.toml", &text.replace("\"/guest/email\"\n[g", "\"guest\"\n[g"), &Model::shipped());
    assert!(told.unwrap_err()[0].to_string().contains("did you mean `/guest`?"));
}

proptest::proptest! {
    #[test]
    fn the_laws_hold_on_any_record(first in "\\PC{0,12}", mail in "[a-zA-Z.]{1,8}@[a-z]{1,8}\\.cn", level in 0..4, phone in "1[3-9][0-9]{9}") {
        let body = json!({"first": first, "email": mail, "level": level, "phone": phone});
        proptest::prop_assert_eq!(laws::broken(&lenses()[0], &body), Vec::<String>::new());
    }
}

/// Some systems write `false` or 0 where there is no value.
#[test]
fn a_vendors_word_for_nothing_is_no_value() {
    let text = "[a]\nentity = \"customer\"\n[a.identities]\ntax_id = { from = \"/vat\", nothing = false }\n[a.fields]\n\
        title = { from = \"/function\", nothing = false }\n[b]\nentity = \"order\"\n[b.references]\n\
        record = { lens = \"a\", from = \"/customer_id\", nothing = 0 }\n";
    let lenses = Lens::parse_file("x.toml", text, &Model::shipped()).unwrap();
    let (mapped, issues) = lenses[0].map(&json!({ "function": false, "vat": false }));
    assert_eq!(issues, []);
    assert_eq!((mapped.fields["title"].clone(), mapped.identities), (Value::Null, Vec::new()));
    assert_eq!(lenses[0].render(&Fields::from([("title".into(), Value::Null)])), json!({ "function": false }));
    assert_eq!(laws::broken(&lenses[0], &json!({ "function": false })), Vec::<String>::new());
    assert_eq!(laws::broken(&lenses[0], &json!({ "function": "采购" })), Vec::<String>::new());
    assert_eq!(lenses[1].map(&json!({ "customer_id": 0 })).0.references, []);
    assert_eq!(lenses[1].map(&json!({ "customer_id": 10 })).0.references.len(), 1);
    let both =
        "[a]\nentity = \"customer\"\n[a.fields]\ntitle = { from = \"/t\", nothing = false, empty = \"cleared\" }\n";
    let told = Lens::parse_file("x.toml", both, &Model::shipped()).unwrap_err();
    assert!(told[0].to_string().contains("say the same"), "{}", told[0]);
}

/// Every policy of a field without a value, both ways.
#[test]
fn absent_null_and_empty_mean_what_the_rule_says() {
    let lens = |policy: &str| {
        let text = format!("[a]\nentity = \"customer\"\n[a.fields]\ntitle = {{ from = \"/t\"{policy} }}\n");
        Lens::parse_file("x.toml", &text, &Model::shipped()).map(|mut lenses| lenses.remove(0))
    };
    let cleared = Some(Value::Null);
    let left = "left";
    for (policy, absent, null, empty, issues, written) in [
        ("", None, cleared.clone(), None, 1, json!({ "t": null })),
        (", empty = \"cleared\"", None, cleared.clone(), cleared.clone(), 0, json!({ "t": "" })),
        (", empty = \"absent\"", None, cleared.clone(), None, 0, json!({ "t": null })),
        (", absent = \"cleared\"", cleared.clone(), cleared.clone(), None, 1, json!({ "t": null })),
        (", null = \"absent\", clear = \"leave\"", None, None, None, 1, json!(left)),
        (", null = \"absent\", empty = \"cleared\"", None, None, cleared.clone(), 0, json!({ "t": "" })),
        (", empty = \"cleared\", clear = \"null\"", None, cleared.clone(), cleared.clone(), 0, json!({ "t": null })),
        (", empty = \"cleared\", clear = \"leave\"", None, cleared.clone(), cleared.clone(), 0, json!(left)),
        (", nothing = false, empty = \"absent\"", None, cleared.clone(), None, 0, json!({ "t": false })),
    ] {
        let lens = lens(policy).unwrap_or_else(|told| panic!("{policy}: {told:?}"));
        let read = |body: Value| {
            let (mapped, issues) = lens.map(&body);
            (mapped.fields.get("title").cloned(), issues.len())
        };
        assert_eq!(read(json!({})), (absent, 0), "{policy}");
        assert_eq!(read(json!({ "t": null })), (null, 0), "{policy}");
        assert_eq!(read(json!({ "t": " " })), (empty, issues), "{policy}");
        assert_eq!(read(json!({ "t": "x" })), (Some(json!("x")), 0), "{policy}");
        let gone = lens.project(&Fields::new());
        let out = if gone.is_empty() { json!(left) } else { lens.render(&gone) };
        assert_eq!(out, written, "{policy}");
        for body in [json!({}), json!({ "t": null }), json!({ "t": "" }), json!({ "t": "x" })] {
            assert_eq!(laws::broken(&lens, &body), Vec::<String>::new(), "{policy} {body}");
        }
    }
    for (policy, expected) in [
        (", null = \"absent\"", "clears nothing"),
        (", clear = \"empty\"", "add empty = \"cleared\""),
        (", clear = \"empty\", empty = \"absent\"", "add empty = \"cleared\""),
        (", nothing = false, clear = \"null\"", "`nothing` is what is written to clear"),
        (", clear = \"emty\"", "did you mean `empty`?"),
        (", null = \"issue\"", "`null` is one of absent, cleared"),
    ] {
        let told = lens(policy).expect_err(policy);
        assert!(told[0].to_string().contains(expected), "{policy}: {}", told[0]);
    }
}

proptest::proptest! {
    /// Whatever a field's policy: nothing is invented, and what is cleared or written reads back as it was meant.
    #[test]
    fn the_laws_of_clearing_hold(
        absent in 0..2_usize, null in 0..2_usize, empty in 0..3_usize, clear in 0..4_usize, raw in 0..4_usize, text in "[a-z]{1,8}"
    ) {
        let key = |name: &str, word: &str| if word.is_empty() { String::new() } else { format!(", {name} = \"{word}\"") };
        let policy = [
            key("absent", ["", "cleared"][absent]),
            key("null", ["", "absent"][null]),
            key("empty", ["", "cleared", "absent"][empty]),
            key("clear", ["", "null", "empty", "leave"][clear]),
        ].concat();
        let file = format!("[a]\nentity = \"customer\"\n[a.fields]\ntitle = {{ from = \"/t\"{policy} }}\nremark = \"/r\"\n");
        // What could not be read back is refused when the file is read.
        if let Ok(lenses) = Lens::parse_file("x.toml", &file, &Model::shipped()) {
            let lens = &lenses[0];
            let body = [json!({}), json!({ "t": null }), json!({ "t": "" }), json!({ "t": text, "r": "kept" })][raw].clone();
            proptest::prop_assert_eq!(laws::broken(lens, &body), Vec::<String>::new());
            let (mapped, _) = lens.map(&body);
            let value = mapped.fields.get("title");
            proptest::prop_assert!(value.is_none_or(|value| value.is_null() || *value == json!(text)));
            proptest::prop_assert_eq!(lens.project(&Fields::new()).contains_key("title"), clear != 3);
        }
    }
}
