//! The golden record: a pure function of what all links said, the pins and the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnose::{Diagnostic, suggest};
use crate::model::Model;
use crate::value::{FieldName, Fields};

/// A value as a system asserted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Canonical value; null is "cleared".
    pub value: Value,
    /// When, in microseconds since 1970 UTC: the source's instant corrected by the connection's clock offset.
    pub at_us: i64,
}

/// Everything one link contributes.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// Stable key of the link, for provenance and the last tie-break: `connection/lens/external id`.
    pub link: &'a str,
    /// The connection's name.
    pub connection: &'a str,
    /// The connector's name; `prefer:` in the rules names a connection or a connector.
    pub connector: &'a str,
    /// The connection's rank: lower wins a tie of recency.
    pub rank: i32,
    /// What the system itself said, by field.
    pub said: &'a BTreeMap<FieldName, Said>,
}

/// A value fixed by a steward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The value; null pins "empty".
    pub value: Value,
    /// Who fixed it.
    pub by: String,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

/// The surviving view of one real customer (or order, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldenRecord {
    /// Surviving values. Cleared fields are absent.
    pub fields: Fields,
    /// Where each value came from.
    pub provenance: BTreeMap<FieldName, Provenance>,
}

/// Where a golden value came from, and by which rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `connection/lens/external id`, or `pin`.
    pub link: String,
    /// When that system said it, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// The rule that chose it: `prefer:erp`, `most_recent`, `union`, `pin`, `only` when nobody else spoke.
    pub rule: String,
    /// The values that lost, kept and restorable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// A value that lost against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Who said it.
    pub link: String,
    /// What was said.
    pub value: Value,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Strategy {
    Prefer(String),
    MostRecent,
    First,
    Longest,
    Union,
}

impl Strategy {
    fn word(&self) -> String {
        match self {
            Self::Prefer(name) => format!("prefer:{name}"),
            Self::MostRecent => "most_recent".to_owned(),
            Self::First => "first".to_owned(),
            Self::Longest => "longest".to_owned(),
            Self::Union => "union".to_owned(),
        }
    }
}

/// Survivorship rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    default: Vec<Strategy>,
    fields: BTreeMap<String, BTreeMap<String, Vec<Strategy>>>,
}

impl Rules {
    /// The rules that ship with the hub.
    pub fn shipped() -> Self {
        // The shipped file is part of the program and parsed by a test.
        Self::parse("survive.toml", include_str!("../rules/survive.toml"), &Model::shipped())
            .unwrap_or_else(|_| Self { default: vec![Strategy::MostRecent], fields: BTreeMap::new() })
    }

    /// Compiles a rules file.
    pub fn parse(file: &str, text: &str, model: &Model) -> Result<Self, Vec<Diagnostic>> {
        let table = DeTable::parse(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut mistakes = Vec::new();
        let mut rules = Self { default: vec![Strategy::MostRecent], fields: BTreeMap::new() };
        for (key, value) in table.get_ref() {
            let entity = key.get_ref();
            if &**entity == "default" {
                rules.default = strategies(value, &mut |place, message| mistakes.push(Diagnostic::at(file, text, place, message)));
                continue;
            }
            let Some(fields) = value.get_ref().as_table() else {
                let message = format!("write `default = […]` or a table [{entity}]");
                mistakes.push(Diagnostic::at(file, text, &key.span(), message));
                continue;
            };
            let known = model.fields(entity);
            for (field, words) in fields {
                if known.is_none_or(|known| !known.contains_key(&**field.get_ref())) {
                    let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                    let message = format!("`{entity}` has no field `{}`{}", field.get_ref(), suggest(field.get_ref(), names));
                    mistakes.push(Diagnostic::at(file, text, &field.span(), message));
                }
                let compiled = strategies(words, &mut |place, message| mistakes.push(Diagnostic::at(file, text, place, message)));
                rules.fields.entry(entity.to_string()).or_default().insert(field.get_ref().to_string(), compiled);
            }
        }
        if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
    }

    fn of(&self, entity: &str, family: &str) -> &[Strategy] {
        self.fields.get(entity).and_then(|fields| fields.get(family)).unwrap_or(&self.default)
    }
}

fn strategies(value: &Spanned<DeValue<'_>>, wrong: &mut dyn FnMut(&Range<usize>, String)) -> Vec<Strategy> {
    let Some(words) = value.get_ref().as_array() else {
        wrong(&value.span(), "write a list of strategies: [\"most_recent\"]".to_owned());
        return Vec::new();
    };
    let mut compiled = Vec::new();
    for word in words {
        match strategy(word.get_ref().as_str().unwrap_or("")) {
            Ok(strategy) => compiled.push(strategy),
            Err(message) => wrong(&word.span(), message),
        }
    }
    compiled
}

fn strategy(word: &str) -> Result<Strategy, String> {
    match word {
        "most_recent" => Ok(Strategy::MostRecent),
        "first" => Ok(Strategy::First),
        "longest" => Ok(Strategy::Longest),
        "union" => Ok(Strategy::Union),
        _ => match word.strip_prefix("prefer:") {
            Some(name) if !name.is_empty() => Ok(Strategy::Prefer(name.to_owned())),
            _ => {
                let known = ["most_recent", "first", "longest", "union", "prefer:NAME"];
                Err(format!("unknown strategy `{word}`{}; strategies are {}", suggest(word, known), known.join(", ")))
            }
        },
    }
}

/// The golden record of these contributions. Their order does not matter.
pub fn survive(
    rules: &Rules,
    entity: &str,
    contributions: &[Contribution<'_>],
    pins: &BTreeMap<FieldName, Pin>,
) -> GoldenRecord {
    let mut golden = GoldenRecord::default();
    let names: BTreeSet<&FieldName> =
        contributions.iter().flat_map(|it| it.said.keys()).chain(pins.keys()).collect();
    for name in names {
        let mut speakers: Vec<(&Contribution<'_>, &Said)> =
            contributions.iter().filter_map(|it| Some((it, it.said.get(name)?))).collect();
        // Latest first; a tie falls to the rank, then to the link's name.
        speakers.sort_by(|a, b| {
            b.1.at_us.cmp(&a.1.at_us).then(a.0.rank.cmp(&b.0.rank)).then_with(|| a.0.link.cmp(b.0.link))
        });
        let (value, mut provenance) = match pins.get(name) {
            Some(pin) => (pin.value.clone(), Provenance::new("pin", pin.at_us, "pin")),
            None => winner(rules.of(entity, name.family()), &speakers),
        };
        let mut seen = vec![&value];
        for (speaker, said) in &speakers {
            if !said.value.is_null() && !seen.contains(&&said.value) {
                seen.push(&said.value);
                provenance.lost.push(Lost { link: speaker.link.to_owned(), value: said.value.clone(), at_us: said.at_us });
            }
        }
        if provenance.rule == "union" {
            provenance.lost.clear();
        }
        if !value.is_null() {
            golden.fields.insert(name.clone(), value);
        }
        golden.provenance.insert(name.clone(), provenance);
    }
    golden
}

impl Provenance {
    fn new(link: &str, at_us: i64, rule: &str) -> Self {
        Self { link: link.to_owned(), at_us, rule: rule.to_owned(), lost: Vec::new() }
    }
}

fn winner(strategies: &[Strategy], speakers: &[(&Contribution<'_>, &Said)]) -> (Value, Provenance) {
    if let [(only, said)] = speakers {
        return (said.value.clone(), Provenance::new(only.link, said.at_us, "only"));
    }
    let spoken = || speakers.iter().filter(|(_, said)| !said.value.is_null());
    for strategy in strategies {
        let found = match strategy {
            Strategy::Prefer(name) => spoken().find(|(who, _)| who.connection == name || who.connector == name),
            Strategy::MostRecent => speakers.first(),
            Strategy::First => spoken().last(),
            Strategy::Longest => {
                let length = |said: &Said| said.value.as_str().map_or(0, |text| text.chars().count());
                // The first of equals in the order of recency: `max_by_key` would take the last.
                spoken().rev().max_by_key(|(_, said)| length(said))
            }
            Strategy::Union => {
                let sets = spoken().filter_map(|(_, said)| said.value.as_array());
                let all: BTreeSet<&str> = sets.flatten().filter_map(Value::as_str).collect();
                let Some((latest, said)) = spoken().next() else { continue };
                let union = all.into_iter().map(|text| Value::String(text.to_owned())).collect();
                return (union, Provenance::new(latest.link, said.at_us, "union"));
            }
        };
        if let Some((who, said)) = found {
            return (said.value.clone(), Provenance::new(who.link, said.at_us, &strategy.word()));
        }
    }
    speakers.first().map_or((Value::Null, Provenance::new("", 0, "none")), |(who, said)| {
        (said.value.clone(), Provenance::new(who.link, said.at_us, "most_recent"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(field: &str, value: Value, at_us: i64) -> BTreeMap<FieldName, Said> {
        BTreeMap::from([(field.into(), Said { value, at_us })])
    }

    fn check(rules: &str, field: &str, said_by: &[(&str, Value, i64)], expected: Value, rule: &str) {
        let rules = Rules::parse("survive.toml", rules, &Model::shipped()).unwrap();
        let maps: Vec<_> = said_by.iter().map(|(_, value, at)| said(field, value.clone(), *at)).collect();
        let mut contributions: Vec<Contribution<'_>> = said_by
            .iter()
            .zip(&maps)
            .map(|((link, ..), said)| Contribution { link, connection: link, connector: link, rank: 0, said })
            .collect();
        for _ in 0..said_by.len() {
            contributions.rotate_left(1);
            let golden = survive(&rules, "customer", &contributions, &BTreeMap::new());
            assert_eq!(golden.fields.get(field).unwrap_or(&Value::Null), &expected, "{rule}");
            assert_eq!(golden.provenance[field].rule, rule);
        }
    }

    #[test]
    fn the_shipped_rules_parse() {
        let rules = Rules::parse("survive.toml", include_str!("../rules/survive.toml"), &Model::shipped()).unwrap();
        assert_eq!(rules.of("customer", "tags"), [Strategy::Union]);
        assert_eq!(rules.of("customer", "title"), [Strategy::MostRecent]);
    }

    #[test]
    fn each_strategy_chooses() {
        let two = [("erp", json!("a"), 1), ("shop", json!("bbb"), 2)];
        check("", "title", &two, json!("bbb"), "most_recent");
        check("[customer]\ntitle = ['first']", "title", &two, json!("a"), "first");
        check("[customer]\ntitle = ['longest']", "title", &two, json!("bbb"), "longest");
        check("[customer]\ntitle = ['prefer:erp']", "title", &two, json!("a"), "prefer:erp");
        check("[customer]\ntitle = ['prefer:crm']", "title", &two, json!("bbb"), "most_recent");
        check("", "title", &[("erp", json!("a"), 1), ("shop", Value::Null, 2)], Value::Null, "most_recent");
        check("", "title", &[("erp", json!("a"), 2), ("shop", Value::Null, 1)], json!("a"), "most_recent");
        check("", "title", &[("b", json!("y"), 1), ("a", json!("x"), 1)], json!("x"), "most_recent");
        let sets = [("a", json!(["x", "y"]), 1), ("b", json!(["w", "x"]), 2)];
        check("[customer]\ntags = ['union']", "tags", &sets, json!(["w", "x", "y"]), "union");
    }

    #[test]
    fn a_pin_wins_and_what_lost_is_kept() {
        let maps = [said("title", json!("a"), 1), said("title", json!("b"), 2)];
        let contributions: Vec<Contribution<'_>> = maps
            .iter()
            .enumerate()
            .map(|(at, said)| Contribution { link: ["l1", "l2"][at], connection: "c", connector: "c", rank: 0, said })
            .collect();
        let pins = BTreeMap::from([("title".into(), Pin { value: json!("p"), by: "ann".into(), at_us: 0 })]);
        let golden = survive(&Rules::shipped(), "customer", &contributions, &pins);
        assert_eq!(golden.fields["title"], "p");
        let lost: Vec<&Value> = golden.provenance["title"].lost.iter().map(|lost| &lost.value).collect();
        assert_eq!(lost, [&json!("b"), &json!("a")]);
    }

    #[test]
    fn mistakes_name_the_right_word() {
        let parse = |text: &str| Rules::parse("s.toml", text, &Model::shipped()).unwrap_err()[0].to_string();
        assert!(parse("default = ['most_recnt']").contains("s.toml:1:12: unknown strategy `most_recnt`; did you mean `most_recent`?"));
        assert!(parse("[customer]\ntagz = ['union']").contains("`customer` has no field `tagz`; did you mean `tags`?"));
    }
}
