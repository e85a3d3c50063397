//! Bad input is normal: whatever comes to a boundary, the answer is a result or an error, never an end of the program.

use std::io::Write as _;

use huiliu_core::manifest::Manifest;
use huiliu_hub::config;
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::{matching, merge};
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any, prop};
use serde_json::{Value, json};

const MAPPING: &str = include_str!("../../mappings/systems/shopify.toml");
const MANIFEST: &str = include_str!("../../connectors/shopify/connector.toml");
const MATCH: &str = include_str!("../../mappings/rules/match.toml");
const SURVIVE: &str = include_str!("../../mappings/rules/survive.toml");

/// A good file with a piece cut out, doubled, or written over.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let bytes = text.len();
    (0..bytes, 0..bytes.min(200), 0..3_u8, "\\PC{0,6}|[\\[\\]{}=\"\\\\\n,]{1,4}").prop_map(
        move |(start, length, how, noise)| {
            let near = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let (start, end) = (near(start), near((start + length).min(text.len())));
            let piece = match how {
                0 => String::new(),
                1 => text[start..end].repeat(2),
                _ => noise,
            };
            format!("{}{piece}{}", &text[..start], &text[end.max(start)..])
        },
    )
}

/// Any JSON, nested a little, with the kinds of values that systems send where a text was expected.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof_values();
    leaf.prop_recursive(4, 40, 5, |inner| {
        proptest::prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

fn prop_oneof_values() -> BoxedStrategy<Value> {
    proptest::prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        Just(serde_json::from_str("1e999").expect("a number of any size")),
        "\\PC{0,20}".prop_map(Value::String),
        Just(json!("9".repeat(400))),
        Just(json!("+8613800138000")),
        Just(json!("2026-02-30T25:61:61+99:99")),
    ]
    .boxed()
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_refused_in_words(mapping in damaged(MAPPING), manifest in damaged(MANIFEST), matches in damaged(MATCH), survive in damaged(SURVIVE)) {
        let model = Model::shipped();
        if let Err(told) = Lens::parse_file("m.toml", &mapping, &model) {
            proptest::prop_assert!(told.iter().all(|it| it.to_string().starts_with("m.toml:")), "{told:?}");
        }
        if let Err(told) = matching::Rules::parse("match.toml", &matches) {
            proptest::prop_assert!(told.iter().all(|it| it.to_string().starts_with("match.toml")), "{told:?}");
        }
        if let Err(told) = merge::Rules::parse("survive.toml", &survive, &model) {
            proptest::prop_assert!(told.iter().all(|it| it.to_string().starts_with("survive.toml")), "{told:?}");
        }
        if let Ok(manifest) = Manifest::parse("connector.toml", &manifest) {
            let _ = huiliu_rest::connector::RestConnector::new(manifest);
        }
    }

    #[test]
    fn damaged_configuration_is_refused_in_words(text in damaged(config::EXAMPLE)) {
        if let Err(told) = config::parse("huiliu.toml", &text) {
            proptest::prop_assert!(told.starts_with("huiliu.toml:"), "{told}");
        }
    }

    #[test]
    fn any_record_maps(body in anything(), at in 0..6_usize) {
        let lenses = Lens::parse_file("m.toml", MAPPING, &Model::shipped()).expect("it ships");
        let mut whole = json!({"firstName": "雷", "tags": ["a"], "defaultEmailAddress": {"emailAddress": "li@example.com"},
            "name": "#1", "processedAt": "2026-01-01T00:00:00Z", "totalPriceSet": {"shopMoney": {"amount": "1", "currencyCode": "CNY"}}});
        let places = ["firstName", "tags", "defaultEmailAddress", "processedAt", "totalPriceSet", "defaultAddress"];
        whole[places[at]] = body.clone();
        for lens in &lenses {
            for record in [&body, &whole] {
                let (mapped, _) = lens.map(record);
                let (again, _) = lens.map(record);
                proptest::prop_assert_eq!(&mapped, &again);
                lens.render(&lens.project(&mapped.fields));
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "(\\PC|[\",\n\t;]){0,200}", end in prop::sample::select(vec!["csv", "tsv", "jsonl", "xlsx", "txt"])) {
        for content in [bytes, text.into_bytes()] {
            let mut file = tempfile::Builder::new().suffix(&format!(".{end}")).tempfile().expect("a file");
            file.write_all(&content).expect("write");
            let mut rows = 0_u64;
            let _ = huiliu_file::read::rows(file.path(), &mut |_| { rows += 1; rows < 10_000 });
            proptest::prop_assert!(rows <= content.len() as u64 + 1, "{rows} rows of {} bytes", content.len());
        }
    }
}
