//! Conditions: comparisons of golden fields, joined by `and`, `or` and `not`, each checked against the type of its field.
//!
//! What has no value, or an amount in another currency, satisfies no comparison: neither `=` nor `!=`, neither `>` nor
//! `<=`. Of the records that a record refers to, one that satisfies it is enough.

mod read;

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{Moment, Path};
use crate::model::Model;

/// The longest condition, in bytes: more is a program, not a condition.
pub const TEXT_MAX: usize = 4_000;

/// How deep parentheses may stand in each other.
const DEPTH_MAX: usize = 32;

/// A compiled condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    node: Node,
}

/// What is wrong with a condition, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The byte.
    pub at: usize,
    /// What is wrong and what to write.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Changed(Path),
    Empty(Path),
    Is(Path, Op, Literal),
    In(Path, Vec<Literal>),
    Contains(Path, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Op {
    fn word(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::Unequal => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::AtMost => order != Ordering::Greater,
            Self::More => order == Ordering::Greater,
            Self::AtLeast => order != Ordering::Less,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(String),
    Number(Decimal),
    Money(Decimal, String),
    Boolean(bool),
    Date(Date),
    Instant(Timestamp),
}

impl Condition {
    /// Compiles a condition over an entity's fields.
    ///
    /// # Errors
    /// The first mistake, with its place in the text.
    pub fn parse(text: &str, entity: &str, model: &Model) -> Result<Self, Mistake> {
        if text.len() > TEXT_MAX {
            let message = format!("a condition has at most {TEXT_MAX} bytes; part it over several rules");
            return Err(Mistake { at: 0, message });
        }
        Ok(Self { text: text.to_owned(), node: read::condition(text, entity, model)? })
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds.
    pub fn holds(&self, moment: &Moment<'_>) -> bool {
        self.node.holds(moment)
    }

    /// The fields that it looks at.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.node.collect(&mut paths);
        paths
    }
}

impl Node {
    fn holds(&self, moment: &Moment<'_>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(moment)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(moment)),
            Self::Not(node) => !node.holds(moment),
            Self::Changed(path) => moment.changed.contains(&path.field),
            Self::Empty(path) => path.values(moment).next().is_none(),
            Self::Is(path, op, literal) => {
                path.values(moment).any(|value| compare(value, literal).is_some_and(|order| op.holds(order)))
            }
            Self::In(path, literals) => path
                .values(moment)
                .any(|value| literals.iter().any(|literal| compare(value, literal) == Some(Ordering::Equal))),
            Self::Contains(path, wanted) => path.values(moment).any(|value| contains(value, wanted)),
        }
    }

    fn collect<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.collect(paths)),
            Self::Not(node) => node.collect(paths),
            Self::Changed(path)
            | Self::Empty(path)
            | Self::Is(path, ..)
            | Self::In(path, _)
            | Self::Contains(path, _) => paths.push(path),
        }
    }
}

/// A canonical value beside a literal; none: they cannot be compared.
fn compare(value: &Value, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Text(wanted) => Some(text(value)?.cmp(wanted)),
        Literal::Number(wanted) => Some(decimal(value)?.cmp(wanted)),
        Literal::Money(wanted, currency) => {
            let is_same = value.get("currency")?.as_str()? == currency;
            is_same.then_some(decimal(value.get("amount")?)?.cmp(wanted))
        }
        Literal::Boolean(wanted) => Some(value.as_bool()?.cmp(wanted)),
        Literal::Date(wanted) => Some(value.as_str()?.parse::<Date>().ok()?.cmp(wanted)),
        Literal::Instant(wanted) => Some(value.as_str()?.parse::<Timestamp>().ok()?.cmp(wanted)),
    }
}

/// The text of a value; of a phone its number.
fn text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("number")?.as_str())
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn contains(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(set) => set.iter().any(|member| member == wanted),
        value => text(value).is_some_and(|text| text.contains(wanted)),
    }
}
