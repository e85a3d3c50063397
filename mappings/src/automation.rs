//! Automation rules: what is to happen when a golden record changes (`rules/automation.toml`).
//!
//! A rule names an entity, the events that it listens to, a condition over golden fields, and what is to be done. All of
//! it is data and pure: a rule says whether it holds at a moment and what its texts become then; core decides when to
//! ask, and carries out.

mod condition;
mod parse;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::diagnose::Diagnostic;
use crate::model::Model;
use crate::value::{EntityName, FieldName, Fields};

pub use condition::{Condition, Mistake, TEXT_MAX as CONDITION_MAX};
pub use template::{TEXT_MAX, Template};

/// Rules in a file: a person can still read them, and a change is compared with each.
pub const RULES_MAX: usize = 200;

/// Actions of one rule.
pub const ACTIONS_MAX: usize = 20;

/// The text of the file that `huiliu init` writes: everything in it is a comment.
pub const EXAMPLE: &str = include_str!("../rules/automation.toml");

/// What a rule listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A golden record came to be.
    Created,
    /// Its values changed, or those of a record that it refers to.
    Changed,
    /// One of these of its own fields changed.
    Fields(BTreeSet<FieldName>),
    /// Another golden record was found to be the same, and is part of it now.
    Merged,
    /// A system said that one of its records is gone.
    Deleted,
}

impl Event {
    /// The word in the file.
    pub fn word(&self) -> String {
        match self {
            Self::Created => "created".to_owned(),
            Self::Changed => "changed".to_owned(),
            Self::Fields(fields) => {
                let all: Vec<String> = fields.iter().map(|field| format!("changed:{field}")).collect();
                all.join(", ")
            }
            Self::Merged => "merged".to_owned(),
            Self::Deleted => "deleted".to_owned(),
        }
    }
}

/// One thing that is done when a rule fires.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Adds a word to the set `tags` of the record, or of those that it refers to.
    Tag {
        /// The word.
        tag: String,
        /// The entity that is tagged; none: the record itself.
        on: Option<EntityName>,
    },
    /// Makes a record in a stream of a connection, through the stream's mapping.
    Create {
        /// The connection.
        connection: String,
        /// The mapping's table, usually the stream.
        lens: String,
        /// Its canonical fields.
        fields: BTreeMap<FieldName, Template>,
    },
    /// Sends an event to a connection that takes events.
    Webhook {
        /// The connection.
        connection: String,
    },
    /// Tells people in a chat.
    Notify {
        /// The connection.
        connection: String,
        /// Who is told, as the system names people.
        to: Vec<Template>,
        /// What they are told.
        text: Template,
    },
    /// Tells people by mail.
    Mail {
        /// The connection.
        connection: String,
        /// Addresses.
        to: Vec<Template>,
        /// The subject.
        subject: Template,
        /// The text.
        text: Template,
    },
}

impl Action {
    /// The word in the file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tag { .. } => "tag",
            Self::Create { .. } => "create",
            Self::Webhook { .. } => "webhook",
            Self::Notify { .. } => "notify",
            Self::Mail { .. } => "mail",
        }
    }

    /// The connection that it goes to; none: it stays in the hub.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Tag { .. } => None,
            Self::Create { connection, .. }
            | Self::Webhook { connection }
            | Self::Notify { connection, .. }
            | Self::Mail { connection, .. } => Some(connection),
        }
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Tag { .. } | Self::Webhook { .. } => Vec::new(),
            Self::Create { fields, .. } => fields.values().collect(),
            Self::Notify { to, text, .. } => to.iter().chain([text]).collect(),
            Self::Mail { to, subject, text, .. } => to.iter().chain([subject, text]).collect(),
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name: what it did is remembered under it, so another name is another rule.
    pub name: String,
    /// Whose changes it looks at.
    pub entity: EntityName,
    /// What it listens to.
    pub on: Vec<Event>,
    /// When it fires; none: at every event.
    pub when: Option<Condition>,
    /// Whether it fires at every event while the condition holds. Otherwise once, when it becomes true, and again only
    /// after it was false.
    pub each: bool,
    /// What is done, each with the bytes of its place in the file.
    pub actions: Vec<(Action, Range<usize>)>,
}

impl Rule {
    /// Whether the condition holds.
    pub fn holds(&self, moment: &Moment<'_>) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(moment))
    }

    /// The fields of other entities that the condition looks at: their changes may make it true.
    pub fn looks_at(&self) -> BTreeSet<(&EntityName, &FieldName)> {
        self.when
            .iter()
            .flat_map(Condition::paths)
            .filter_map(|path| Some((path.entity.as_ref()?, &path.field)))
            .collect()
    }

    /// Whether condition or actions have to do with the records that this one refers to.
    pub fn refers(&self) -> bool {
        let tags_others = |action: &Action| matches!(action, Action::Tag { on: Some(_), .. });
        let mut actions = self.actions.iter().map(|(action, _)| action);
        !self.looks_at().is_empty()
            || actions.any(|it| tags_others(it) || it.templates().iter().any(|template| template.refers()))
    }

    /// A word that changes with what the rule asks: what is remembered of another condition says nothing.
    pub fn digest(&self) -> i64 {
        let when = self.when.as_ref().map(Condition::text).unwrap_or_default();
        crate::matching::hash(&[self.entity.as_str(), when])
    }
}

/// The present values of records that a record refers to.
pub type Others<'a> = BTreeMap<&'a str, Vec<&'a Fields>>;

/// What a rule sees: a record, what just changed in it, and what it refers to.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The record's values.
    pub fields: &'a Fields,
    /// Its fields that just changed.
    pub changed: &'a BTreeSet<&'a FieldName>,
    /// The records that it refers to, by entity.
    pub others: &'a Others<'a>,
    /// The number of its golden record.
    pub id: i64,
}

/// A golden field: the record's own, or one of the records that it refers to (`customer.industry` of a deal).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Whose; none: the record's own.
    pub entity: Option<EntityName>,
    /// The field.
    pub field: FieldName,
}

impl Path {
    /// Takes a word apart, and says what kind of value it leads to.
    fn parse<'m>(text: &str, entity: &str, model: &'m Model) -> Result<(Self, &'m crate::model::FieldSpec), String> {
        if let Some((first, rest)) = text.split_once('.')
            && model.fields(entity).is_some_and(|fields| !fields.contains_key(first))
            && model.fields(first).is_some()
        {
            if first == entity {
                return Err(format!("`{text}` is a field of the {entity} itself; write `{rest}`"));
            }
            let field = FieldName::from(rest);
            let spec = model.field(first, &field)?;
            return Ok((Self { entity: Some(first.into()), field }, spec));
        }
        let field = FieldName::from(text);
        let spec = model.field(entity, &field)?;
        Ok((Self { entity: None, field }, spec))
    }

    /// The values that it leads to: one at most of the record itself, any number of others.
    fn values<'a>(&self, moment: &Moment<'a>) -> impl Iterator<Item = &'a serde_json::Value> {
        let sources: Vec<&'a Fields> = match &self.entity {
            None => vec![moment.fields],
            Some(entity) => moment.others.get(entity.as_str()).cloned().unwrap_or_default(),
        };
        let field = self.field.clone();
        sources.into_iter().filter_map(move |fields| fields.get(&field)).filter(|value| !value.is_null())
    }
}

/// All rules of a deployment.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Vec<Rule>,
    file: String,
    text: String,
}

impl Rules {
    /// Compiles a file of rules; all mistakes at once, each with its place and the nearest right word.
    pub fn parse(file: &str, text: &str, model: &Model) -> Result<Self, Vec<Diagnostic>> {
        let all = parse::file(file, text, model)?;
        Ok(Self { all, file: file.to_owned(), text: text.to_owned() })
    }

    /// The rules in the order of their names.
    pub fn all(&self) -> &[Rule] {
        &self.all
    }

    /// A rule by name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.all.iter().find(|rule| rule.name == name)
    }

    /// A mistake that only shows beside the connections, at an action's place.
    pub fn mistake(&self, place: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(&self.file, &self.text, place, message)
    }
}
