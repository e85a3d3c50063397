//! The places that a lens reads, and what stands there in a record: what a system can change without telling anybody.

use serde_json::Value;

use super::path::Path;
use super::{Direction, FieldRule, IdentityRule, Lens, ReferenceRule};
use crate::model::FieldType;
use crate::value::{FieldName, IdentityKind};

/// Places of a lens that are looked at; the largest shipped mapping reads some thirty.
const PLACES_MAX: usize = 256;

/// A place of a record, and what is read there.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pointer: String,
    path: Path,
    /// The vendor's words for no value.
    nothing: Vec<Value>,
    fields: Vec<FieldName>,
    identities: Vec<IdentityKind>,
    is_reference: bool,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing of this name.
    Absent,
    /// No value: null, an empty text or list, or the vendor's word for it.
    Empty,
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// An object with something in it.
    Object,
    /// A list with something in it.
    List,
}

impl Kind {
    /// Kinds that are values.
    const VALUES: [Self; 5] = [Self::Text, Self::Number, Self::Truth, Self::Object, Self::List];

    /// A bit of its own for every kind of value; 0 where there is none.
    pub fn bit(self) -> u8 {
        match self {
            Self::Absent | Self::Empty => 0,
            Self::Text => 1,
            Self::Number => 2,
            Self::Truth => 4,
            Self::Object => 8,
            Self::List => 16,
        }
    }

    /// Whether it is one value, which mappings read as text.
    pub fn is_scalar(self) -> bool {
        matches!(self, Self::Text | Self::Number | Self::Truth)
    }

    /// The word of JSON for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Empty => "null",
            Self::Text => "string",
            Self::Number => "number",
            Self::Truth => "boolean",
            Self::Object => "object",
            Self::List => "list",
        }
    }

    /// The kinds whose bits are set.
    pub fn of_bits(bits: u8) -> impl Iterator<Item = Self> {
        Self::VALUES.into_iter().filter(move |kind| kind.bit() & bits != 0)
    }
}

impl Place {
    /// Where it is, as a JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The canonical fields that are read there.
    pub fn fields(&self) -> &[FieldName] {
        &self.fields
    }

    /// The kinds of identities that are read there.
    pub fn identities(&self) -> &[IdentityKind] {
        &self.identities
    }

    /// Whether what is read there says to whom the record belongs.
    pub fn is_reference(&self) -> bool {
        self.is_reference
    }

    /// The value there, if there is one.
    pub fn value<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.path.get(body)
    }

    /// What a record shows there. What is empty on the way is empty all the way: only a name that is not there is absent.
    pub fn kind(&self, body: &Value) -> Kind {
        let Some(value) = self.path.look(body) else { return Kind::Absent };
        match value {
            Value::Null => Kind::Empty,
            other if self.nothing.contains(other) => Kind::Empty,
            Value::String(text) if text.trim().is_empty() => Kind::Empty,
            Value::Array(list) if list.is_empty() => Kind::Empty,
            Value::Object(map) if map.is_empty() => Kind::Empty,
            Value::String(_) => Kind::Text,
            Value::Number(_) => Kind::Number,
            Value::Bool(_) => Kind::Truth,
            Value::Object(_) => Kind::Object,
            Value::Array(_) => Kind::List,
        }
    }
}

impl Lens {
    /// The places that it reads, each once.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether it writes a field at this JSON pointer.
    pub fn writes_at(&self, pointer: &str) -> bool {
        let at = |rule: &FieldRule| rule.to.as_ref().is_some_and(|to| to.to_string() == pointer);
        self.fields.iter().any(|rule| rule.writes() && at(rule))
    }
}

#[derive(Default)]
struct Found(Vec<Place>);

impl Found {
    fn at(&mut self, path: &Path, nothing: Option<&Value>) -> Option<&mut Place> {
        let pointer = path.to_string();
        if pointer.is_empty() {
            return None;
        }
        let known = self.0.iter().position(|place| place.pointer == pointer);
        let at = match known {
            Some(at) => at,
            None if self.0.len() >= PLACES_MAX => return None,
            None => {
                let (fields, identities) = (Vec::new(), Vec::new());
                let path = path.clone();
                self.0.push(Place { pointer, path, nothing: Vec::new(), fields, identities, is_reference: false });
                self.0.len() - 1
            }
        };
        let place = &mut self.0[at];
        if let Some(word) = nothing.filter(|word| !place.nothing.contains(word)) {
            place.nothing.push(word.clone());
        }
        Some(place)
    }

    fn field(&mut self, rule: &FieldRule) {
        let Some(from) = rule.from.as_ref().filter(|_| rule.constant.is_none() && rule.direction != Direction::Out)
        else {
            return;
        };
        let mut places = vec![(from.clone(), rule.nothing.as_ref())];
        places.extend(rule.currency_from.iter().map(|path| (path.clone(), None)));
        // The parts of an address stand below it; those of a list stand in each of its items.
        if rule.kind == FieldType::Address {
            let parts = rule.each.iter().filter(|part| part.direction != Direction::Out && part.constant.is_none());
            places.extend(parts.filter_map(|part| Some((from.join(part.from.as_ref()?), part.nothing.as_ref()))));
        }
        for (path, nothing) in places {
            if let Some(place) = self.at(&path, nothing) {
                place.fields.push(rule.field.clone());
            }
        }
    }

    fn identity(&mut self, rule: &IdentityRule, note: impl Fn(&mut Place)) {
        for path in [Some(&rule.from), rule.scope.as_ref()].into_iter().flatten() {
            if let Some(place) = self.at(path, rule.nothing.as_ref()) {
                note(place);
            }
        }
    }
}

pub(super) fn of(lens: &Lens) -> Vec<Place> {
    let mut found = Found::default();
    for rule in &lens.fields {
        found.field(rule);
    }
    for rule in &lens.identities {
        found.identity(rule, |place| place.identities.push(rule.kind.clone()));
    }
    for rule in &lens.references {
        match rule {
            ReferenceRule::Record { from, nothing, .. } => {
                if let Some(place) = found.at(from, nothing.as_ref()) {
                    place.is_reference = true;
                }
            }
            ReferenceRule::Identity(rule) => found.identity(rule, |place| place.is_reference = true),
        }
    }
    found.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use serde_json::json;

    const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/mail"
[customers.fields]
kind = { const = "person" }
emails.main = "/mail"
remark = { from = "/note", nothing = false }
addresses.main = { from = "/home", each = { city = "/town" } }
[orders]
entity = "order"
[orders.fields]
total = { from = "/sum", currency_from = "/in" }
lines = { from = "/items", each = { sku = "/sku" } }
[orders.references]
record = { lens = "customers", from = "/buyer/id" }
"#;

    #[test]
    fn every_place_is_named_once() {
        let lenses = Lens::parse_file("kit.toml", MAPPING, &Model::shipped()).unwrap();
        let pointers = |at: usize| lenses[at].places().iter().map(|it| it.pointer.as_str()).collect::<Vec<_>>();
        assert_eq!(pointers(0), ["/home", "/home/town", "/mail", "/note"]);
        assert_eq!(pointers(1), ["/items", "/sum", "/in", "/buyer/id"]);
        let mail = &lenses[0].places()[2];
        assert_eq!((mail.fields.len(), mail.identities.len(), mail.is_reference), (1, 1, false));
        assert!(lenses[1].places()[3].is_reference);
    }

    #[test]
    fn only_a_missing_name_is_absent() {
        let lenses = Lens::parse_file("kit.toml", MAPPING, &Model::shipped()).unwrap();
        let shown = |body: &Value| lenses[0].places().iter().map(|it| it.kind(body)).collect::<Vec<_>>();
        assert_eq!(shown(&json!({})), [Kind::Absent; 4]);
        let empty = json!({"home": null, "mail": " ", "note": false});
        assert_eq!(shown(&empty), [Kind::Empty; 4], "below null there is no name to miss");
        let full = json!({"home": {"town": 7}, "mail": ["a"], "note": true});
        assert_eq!(shown(&full), [Kind::Object, Kind::Number, Kind::List, Kind::Truth]);
        assert_eq!(shown(&json!({"home": {"city": "x"}}))[1], Kind::Absent);
    }
}
