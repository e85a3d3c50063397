//! The rules of fields.

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::{Parser, Place, Table};
use crate::diagnose::suggest;
use crate::lens::{Blank, Clear, Direction, FieldRule, Word};
use crate::model::{ADDRESS_PARTS, FieldSpec, FieldType};
use crate::normalize::{Options, canonical, numbers};
use crate::value::FieldName;

use FieldType::{Address, Boolean, Date, Decimal, Enum, Instant, Integer, List, Money, Name, Phone, Set, Text};

/// The keys of a field's rule, and the types for which each has a meaning; none listed: all.
pub(in crate::lens) const RULE_KEYS: &[(&str, &[FieldType])] = &[
    ("from", &[]),
    ("to", &[]),
    ("const", &[]),
    ("normalize", &[]),
    ("direction", &[]),
    ("absent", &[]),
    ("null", &[]),
    ("empty", &[]),
    ("clear", &[]),
    ("nothing", &[]),
    ("lossy", &[]),
    ("region", &[Phone]),
    ("zone", &[Date, Instant]),
    ("format", &[Date, Instant, Phone]),
    ("unit", &[Money, Date, Instant]),
    ("currency", &[Money]),
    ("currency_from", &[Money, List]),
    ("number", &[Text, Enum, Decimal, Integer, Money]),
    ("values", &[Text, Enum, Boolean]),
    ("limit", &[Text, Name]),
    ("item", &[Set]),
    ("separator", &[Set]),
    ("each", &[List, Address]),
];

/// What a place without a value may mean.
pub(in crate::lens) const BLANKS: &[&str] = &["absent", "cleared"];

/// How a value that is there no more may be written.
pub(in crate::lens) const CLEARS: &[&str] = &["null", "empty", "leave"];

/// A rule and its place in the file.
pub(super) type Placed = (FieldRule, Place);

impl Parser<'_> {
    pub(super) fn fields(&mut self, entity: &str, table: &Table<'_>, rules: &mut Vec<Placed>) {
        let model = self.model;
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let labelled = model.fields(entity).and_then(|fields| fields.get(&name)).is_some_and(|it| it.labelled);
            let Some(labels) = value.get_ref().as_table().filter(|_| labelled) else {
                self.field(entity, &name, &key.span(), value, rules);
                continue;
            };
            if labels.get("from").is_some_and(|from| from.get_ref().is_str()) {
                self.wrong(&key.span(), format!("`{name}` is a family: add a label, such as `{name}.main`"));
                continue;
            }
            for (label, value) in labels {
                self.field(entity, &format!("{name}.{}", label.get_ref()), &label.span(), value, rules);
            }
        }
    }

    fn field(
        &mut self,
        entity: &str,
        name: &str,
        place: &Place,
        value: &Spanned<DeValue<'_>>,
        rules: &mut Vec<Placed>,
    ) {
        let model = self.model;
        match model.field(entity, &FieldName::from(name)) {
            Ok(spec) => rules.extend(self.rule(name, spec, value).map(|rule| (rule, place.clone()))),
            Err(message) => self.wrong(place, message),
        }
    }

    fn rule(&mut self, name: &str, spec: &FieldSpec, value: &Spanned<DeValue<'_>>) -> Option<FieldRule> {
        let mut rule = FieldRule::new(name, spec);
        let table = match value.get_ref() {
            DeValue::String(pointer) => {
                rule.from = self.path(pointer, &value.span());
                rule.to = rule.from.clone();
                if spec.kind == List {
                    self.wrong(&value.span(), format!("`{name}` is a list: say what its items hold with `each`"));
                }
                return Some(rule);
            }
            DeValue::Table(table) => table,
            _ => {
                self.wrong(&value.span(), format!("`{name}`: write a JSON pointer, or a table with `from`"));
                return None;
            }
        };
        self.rule_keys(table, spec.kind);
        rule.from = self.path_of(table, "from");
        rule.to = self.path_of(table, "to").or_else(|| rule.from.clone());
        rule.currency_from = self.path_of(table, "currency_from");
        rule.item = self.path_of(table, "item");
        rule.options = self.options(table, spec.kind);
        rule.constant = self.constant(spec, table, &rule.options);
        rule.direction = self.direction(table, &rule);
        rule.number = self.flag(table, "number").unwrap_or(false);
        rule.absent = self.blank(table, "absent", Blank::Absent);
        rule.null = self.blank(table, "null", Blank::Cleared);
        rule.empty = self.blank(table, "empty", Blank::Issue);
        rule.clear = self.choice(table, "clear", CLEARS).map(|word| match word.as_str() {
            "empty" => Clear::Empty,
            "leave" => Clear::Leave,
            _ => Clear::Null,
        });
        rule.nothing = self.nothing(table);
        rule.limit = self.limit(table);
        if let Some(values) = self.table(table, "values") {
            rule.words = self.words(spec, values, rule.number);
        }
        if let Some(each) = self.table(table, "each") {
            self.each(name, spec, each, &mut rule);
        } else if spec.kind == List {
            self.wrong(&value.span(), format!("`{name}` is a list: say what its items hold with `each`"));
        }
        self.check_rule(&rule, table, &value.span());
        Some(rule)
    }

    fn blank(&mut self, table: &Table<'_>, key: &str, otherwise: Blank) -> Blank {
        match self.choice(table, key, BLANKS).as_deref() {
            Some("cleared") => Blank::Cleared,
            Some(_) => Blank::Absent,
            None => otherwise,
        }
    }

    fn rule_keys(&mut self, table: &Table<'_>, kind: FieldType) {
        let known: Vec<&str> = RULE_KEYS.iter().map(|(key, _)| *key).collect();
        self.known_keys(table, &known);
        for key in table.keys() {
            let types = RULE_KEYS.iter().find(|(known, _)| **known == **key.get_ref()).map_or(&[][..], |(_, it)| *it);
            if !types.is_empty() && !types.contains(&kind) {
                let types: Vec<&str> = types.iter().map(|kind| kind.word()).collect();
                let message = format!(
                    "`{}` has no meaning for {} values; it is for {}",
                    key.get_ref(),
                    kind.word(),
                    types.join(", ")
                );
                self.wrong(&key.span(), message);
            }
        }
    }

    fn each(&mut self, name: &str, spec: &FieldSpec, each: &Table<'_>, rule: &mut FieldRule) {
        for (key, value) in each {
            let part = key.get_ref();
            let known: Vec<&str> = match spec.kind {
                Address => ADDRESS_PARTS.to_vec(),
                _ => spec.item.keys().map(String::as_str).collect(),
            };
            if !known.contains(&&**part) {
                let what = if spec.kind == Address { "part" } else { "field of its items" };
                let hint = suggest(part, known);
                self.wrong(&key.span(), format!("`{name}` has no {what} named `{part}`{hint}"));
                continue;
            }
            let address_part = FieldSpec::of(Name);
            let part_spec = spec.item.get(&**part).unwrap_or(&address_part);
            rule.each.extend(self.rule(part, part_spec, value));
        }
    }

    fn constant(&mut self, spec: &FieldSpec, table: &Table<'_>, options: &Options) -> Option<Value> {
        let given = table.get("const")?;
        let Some(value) = json(given.get_ref()) else {
            self.wrong(&given.span(), "`const` is a text, a whole number, true or false");
            return None;
        };
        if let Some(word) =
            value.as_str().filter(|word| !spec.values.is_empty() && !spec.values.iter().any(|it| it == word))
        {
            let hint = suggest(word, spec.values.iter().map(String::as_str));
            self.wrong(&given.span(), format!("`{word}` is not one of {}{hint}", spec.values.join(", ")));
        }
        match canonical(spec.kind, &value, options) {
            Ok(value) => value,
            Err(problem) => {
                self.wrong(&given.span(), format!("`const`: {}", problem.message));
                None
            }
        }
    }

    fn direction(&mut self, table: &Table<'_>, rule: &FieldRule) -> Direction {
        match self.choice(table, "direction", &["in", "out", "both"]).as_deref() {
            Some("in") => Direction::In,
            Some("out") => Direction::Out,
            Some(_) => Direction::Both,
            // Writing a list replaces all of it in most systems: whoever wants that says so.
            None if rule.constant.is_some() || rule.item.is_some() || rule.kind == List => Direction::In,
            None => Direction::Both,
        }
    }

    /// The vendor's word for no value.
    pub(super) fn nothing(&mut self, table: &Table<'_>) -> Option<Value> {
        let given = table.get("nothing")?;
        let word = json(given.get_ref());
        if word.is_none() {
            self.wrong(
                &given.span(),
                "`nothing` is the vendor's word for no value: a text, a whole number, true or false",
            );
        }
        word
    }

    fn limit(&mut self, table: &Table<'_>) -> Option<usize> {
        let (key, value) = table.iter().find(|(key, _)| &**key.get_ref() == "limit")?;
        let limit = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<usize>().ok().filter(|limit| *limit > 0),
            _ => None,
        };
        if limit.is_none() {
            self.wrong(&value.span(), "`limit` is a number of characters above 0");
        }
        if self.flag(table, "lossy") != Some(true) {
            self.wrong(&key.span(), "a limit cuts texts off: say so with lossy = true");
        }
        limit
    }

    fn words(&mut self, spec: &FieldSpec, table: &Table<'_>, number: bool) -> Vec<Word> {
        let known: Vec<&str> = match spec.kind {
            Boolean => vec!["true", "false"],
            _ => spec.values.iter().map(String::as_str).collect(),
        };
        let mut words = Vec::new();
        for (key, value) in table {
            let canonical = key.get_ref();
            if !known.is_empty() && !known.contains(&&**canonical) {
                let hint = suggest(canonical, known.iter().copied());
                self.wrong(&key.span(), format!("`{canonical}` is not one of {}{hint}", known.join(", ")));
            }
            let single = std::slice::from_ref(value);
            let given = value.get_ref().as_array().map_or(single, |array| &**array);
            let mut vendors = Vec::new();
            for word in given {
                match json(word.get_ref()).and_then(|word| vendor_word(word, number)) {
                    Some(vendor) => vendors.push(vendor),
                    None => self.wrong(&word.span(), "write the vendor's word: a text, a whole number, true or false"),
                }
            }
            if vendors.is_empty() {
                self.wrong(&value.span(), format!("`{canonical}` has no word of the vendor"));
            }
            words.push(Word { canonical: canonical.to_string(), vendors });
        }
        words
    }

    fn options(&mut self, table: &Table<'_>, kind: FieldType) -> Options {
        if let Some((word, place)) = self.word(table, "normalize")
            && word != kind.word()
        {
            self.wrong(&place, format!("this field is normalized as `{}`, not as `{word}`", kind.word()));
        }
        let units: &[&str] = if kind == Money { &["major", "minor"] } else { &["seconds", "millis"] };
        let unit = self.choice(table, "unit", units);
        Options {
            region: self.region(table),
            zone: self.zone(table),
            minor_units: unit.as_deref() == Some("minor"),
            separator: self.word(table, "separator").map(|(separator, _)| separator),
            currency: self.currency(table),
            format: match kind {
                Phone => self.choice(table, "format", &["e164", "national"]),
                _ => self.word(table, "format").map(|(format, _)| format).or(unit.filter(|_| kind != Money)),
            },
        }
    }

    fn zone(&mut self, table: &Table<'_>) -> Option<jiff::tz::TimeZone> {
        let (zone, place) = self.word(table, "zone")?;
        let found = jiff::tz::TimeZone::get(&zone).ok();
        if found.is_none() {
            self.wrong(&place, format!("unknown time zone `{zone}`; write a name such as Asia/Shanghai"));
        }
        found
    }

    fn currency(&mut self, table: &Table<'_>) -> Option<String> {
        let (currency, place) = self.word(table, "currency")?;
        let known = numbers::currency(&currency).map(std::borrow::Cow::into_owned);
        known.map_err(|_| self.wrong(&place, "write a currency of three letters (ISO 4217), such as CNY")).ok()
    }
}

/// A plain TOML value in JSON.
fn json(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Integer(number) => Some(Value::from(number.as_str().parse::<i64>().ok()?)),
        DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
        _ => None,
    }
}

/// A vendor's word as text, for comparing, and as it is written.
fn vendor_word(word: Value, number: bool) -> Option<(String, Value)> {
    let text = crate::normalize::scalar(&word).ok()?.trim().to_owned();
    let written = match word {
        Value::String(text) if number => Value::Number(text.parse().ok()?),
        other => other,
    };
    Some((text, written))
}
