//! `rules/automation.toml`: read, checked against the model, compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{ACTIONS_MAX, Action, Condition, Event, RULES_MAX, Rule, Template};
use crate::diagnose::{Diagnostic, suggest};
use crate::model::{FieldType, Model};
use crate::value::{EntityName, FieldName};

/// The longest tag, in characters.
const TAG_MAX: usize = 100;

/// People whom one action tells.
const RECIPIENTS_MAX: usize = 100;

/// The words of `on`.
const EVENTS: [&str; 5] = ["created", "changed", "changed:FIELD", "merged", "deleted"];

/// The words of an action, of which it has one.
const ACTIONS: [&str; 5] = ["tag", "create", "webhook", "notify", "mail"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    entity: Spanned<String>,
    on: Option<Words>,
    when: Option<Spanned<String>>,
    #[serde(default)]
    each: bool,
    #[serde(rename = "do")]
    actions: Spanned<Vec<Spanned<ActionFile>>>,
}

/// One word, or several; with the place of all of them.
type Words = Spanned<toml::Value>;

fn words(value: &Words) -> Vec<&str> {
    match value.get_ref() {
        toml::Value::Array(words) => words.iter().map(|word| word.as_str().unwrap_or_default()).collect(),
        word => word.as_str().into_iter().collect(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    tag: Option<Spanned<String>>,
    create: Option<Spanned<String>>,
    webhook: Option<Spanned<String>>,
    notify: Option<Spanned<String>>,
    mail: Option<Spanned<String>>,
    on: Option<Spanned<String>>,
    to: Option<Words>,
    subject: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    fields: Option<Spanned<BTreeMap<String, toml::Value>>>,
}

/// Compiles a file.
pub(super) fn file(file: &str, text: &str, model: &Model) -> Result<Vec<Rule>, Vec<Diagnostic>> {
    let parsed: BTreeMap<Spanned<String>, RuleFile> =
        toml::from_str(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
    let mut reader = Reader { file, text, model, mistakes: Vec::new() };
    if parsed.len() > RULES_MAX {
        let count = parsed.len();
        reader.wrong(&(0..0), format!("{count} rules are more than the {RULES_MAX} that a file may hold"));
    }
    let rules: Vec<Rule> = parsed.iter().filter_map(|(name, rule)| reader.rule(name, rule)).collect();
    reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    if reader.mistakes.is_empty() { Ok(rules) } else { Err(reader.mistakes) }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    model: &'a Model,
    mistakes: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn wrong(&mut self, place: &Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Diagnostic::at(self.file, self.text, place, message));
    }

    fn rule(&mut self, name: &Spanned<String>, rule: &RuleFile) -> Option<Rule> {
        let entity = rule.entity.get_ref().as_str();
        if self.model.fields(entity).is_none() {
            let hint = suggest(entity, self.model.entities().map(EntityName::as_str));
            self.wrong(&rule.entity.span(), format!("unknown entity `{entity}`{hint}"));
            return None;
        }
        let on = self.events(rule, entity);
        let when = rule.when.as_ref().and_then(|when| self.condition(when, entity));
        if rule.actions.get_ref().is_empty() {
            self.wrong(
                &rule.actions.span(),
                "the rule does nothing: write at least one action, such as { tag = \"…\" }",
            );
        }
        if rule.actions.get_ref().len() > ACTIONS_MAX {
            self.wrong(&rule.actions.span(), format!("a rule has at most {ACTIONS_MAX} actions"));
        }
        let actions = rule.actions.get_ref().iter();
        let actions = actions.filter_map(|action| Some((self.action(action, entity)?, action.span()))).collect();
        Some(Rule { name: name.get_ref().clone(), entity: entity.into(), on, when, each: rule.each, actions })
    }

    fn events(&mut self, rule: &RuleFile, entity: &str) -> Vec<Event> {
        let Some(given) = &rule.on else { return vec![Event::Created, Event::Changed] };
        let place = given.span();
        let mut events = Vec::new();
        let mut fields = BTreeSet::new();
        for word in words(given) {
            match (word, word.strip_prefix("changed:").map(str::trim)) {
                ("created", _) => events.push(Event::Created),
                ("changed", _) => events.push(Event::Changed),
                ("merged", _) => events.push(Event::Merged),
                ("deleted", _) => events.push(Event::Deleted),
                (_, Some(name)) => {
                    let field = FieldName::from(name);
                    match self.model.field(entity, &field) {
                        Ok(_) => drop(fields.insert(field)),
                        Err(message) => self.wrong(&place, message),
                    }
                }
                (other, None) => {
                    let hint = suggest(other, EVENTS);
                    self.wrong(&place, format!("unknown event `{other}`{hint}; events are {}", EVENTS.join(", ")));
                }
            }
        }
        if !fields.is_empty() {
            events.push(Event::Fields(fields));
        }
        if events.is_empty() && words(given).is_empty() {
            self.wrong(&place, "`on` lists no event, so the rule would never fire");
        }
        events
    }

    fn condition(&mut self, when: &Spanned<String>, entity: &str) -> Option<Condition> {
        match Condition::parse(when.get_ref(), entity, self.model) {
            Ok(condition) => Some(condition),
            Err(mistake) => {
                // Where the text stands in the file as it is, the place inside it is known; escapes would move it.
                let span = when.span();
                let written = self.text.get(span.clone()).and_then(|raw| raw.find(when.get_ref().as_str()));
                let at = written.map_or(span.start, |begin| span.start + begin + mistake.at);
                self.wrong(&(at..at), mistake.message);
                None
            }
        }
    }

    fn action(&mut self, action: &Spanned<ActionFile>, entity: &str) -> Option<Action> {
        let (it, place) = (action.get_ref(), action.span());
        let named: Vec<(&str, &Spanned<String>)> = ACTIONS
            .into_iter()
            .zip([&it.tag, &it.create, &it.webhook, &it.notify, &it.mail])
            .filter_map(|(word, value)| Some((word, value.as_ref()?)))
            .collect();
        let [(word, target)] = named.as_slice() else {
            self.wrong(&place, format!("an action is exactly one of {}", ACTIONS.join(", ")));
            return None;
        };
        self.fits(word, it, &place);
        let target = target.get_ref().trim();
        match *word {
            "tag" => self.tag(it, target, entity, &place),
            "create" => {
                let Some((connection, lens)) = target.split_once('.').filter(|(a, b)| !a.is_empty() && !b.is_empty())
                else {
                    self.wrong(&place, "name connection and stream: create = \"crm.tasks\"");
                    return None;
                };
                let fields = self.fields(it, entity, &place)?;
                Some(Action::Create { connection: connection.to_owned(), lens: lens.to_owned(), fields })
            }
            "webhook" => Some(Action::Webhook { connection: target.to_owned() }),
            "notify" => {
                let to = self.recipients(it, entity, &place)?;
                let text = self.needed(it.text.as_ref(), "text", entity, &place)?;
                Some(Action::Notify { connection: target.to_owned(), to, text })
            }
            _ => {
                let to = self.recipients(it, entity, &place)?;
                let subject = self.needed(it.subject.as_ref(), "subject", entity, &place);
                let text = self.needed(it.text.as_ref(), "text", entity, &place);
                Some(Action::Mail { connection: target.to_owned(), to, subject: subject?, text: text? })
            }
        }
    }

    /// Words that another action takes say nothing here, and whoever wrote them expects something.
    fn fits(&mut self, word: &str, it: &ActionFile, place: &Range<usize>) {
        let given = [
            ("on", it.on.is_some(), ["tag"].as_slice()),
            ("to", it.to.is_some(), &["notify", "mail"]),
            ("subject", it.subject.is_some(), &["mail"]),
            ("text", it.text.is_some(), &["notify", "mail"]),
            ("fields", it.fields.is_some(), &["create"]),
        ];
        for (name, _, of) in given.into_iter().filter(|(_, is_given, of)| *is_given && !of.contains(&word)) {
            self.wrong(place, format!("`{word}` takes no `{name}`; it belongs to {}", of.join(" and ")));
        }
    }

    fn tag(&mut self, it: &ActionFile, tag: &str, entity: &str, place: &Range<usize>) -> Option<Action> {
        if tag.is_empty() || tag.chars().count() > TAG_MAX {
            self.wrong(place, format!("a tag is a word of 1 to {TAG_MAX} characters"));
            return None;
        }
        let on = it.on.as_ref().map(|on| on.get_ref().as_str());
        let tagged = on.unwrap_or(entity);
        let Some(fields) = self.model.fields(tagged) else {
            let hint = suggest(tagged, self.model.entities().map(EntityName::as_str));
            self.wrong(place, format!("unknown entity `{tagged}`{hint}"));
            return None;
        };
        if fields.get("tags").is_none_or(|spec| spec.kind != FieldType::Set || spec.labelled) {
            let message = format!("a {tagged} has no set `tags`; write on = \"customer\" to tag whom it belongs to");
            self.wrong(place, message);
            return None;
        }
        let on = on.filter(|on| *on != entity).map(EntityName::from);
        Some(Action::Tag { tag: tag.to_owned(), on })
    }

    fn recipients(&mut self, it: &ActionFile, entity: &str, place: &Range<usize>) -> Option<Vec<Template>> {
        let words = it.to.as_ref().map(words).unwrap_or_default();
        if words.is_empty() || words.len() > RECIPIENTS_MAX {
            self.wrong(place, format!("say who is told: to = [\"…\"], 1 to {RECIPIENTS_MAX} of them"));
            return None;
        }
        words.into_iter().map(|word| self.template(word, entity, place)).collect()
    }

    fn needed(
        &mut self,
        text: Option<&Spanned<String>>,
        name: &str,
        entity: &str,
        place: &Range<usize>,
    ) -> Option<Template> {
        match text.filter(|text| !text.get_ref().trim().is_empty()) {
            Some(text) => self.template(text.get_ref(), entity, &text.span()),
            None => {
                self.wrong(place, format!("`{name}` is missing"));
                None
            }
        }
    }

    fn fields(&mut self, it: &ActionFile, entity: &str, place: &Range<usize>) -> Option<BTreeMap<FieldName, Template>> {
        let Some(given) = it.fields.as_ref().filter(|fields| !fields.get_ref().is_empty()) else {
            self.wrong(place, "a new record needs values: fields = { name = \"…\" }");
            return None;
        };
        let span = given.span();
        let mut fields = BTreeMap::new();
        for (name, value) in given.get_ref() {
            // `custom.level = "…"` is a table in TOML: one label of a family.
            let labels = value.as_table().map(|labels| {
                labels.iter().map(|(label, value)| (format!("{name}.{label}"), value)).collect::<Vec<_>>()
            });
            for (name, value) in labels.unwrap_or_else(|| vec![(name.clone(), value)]) {
                let text = match value {
                    toml::Value::String(text) => text.clone(),
                    toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
                    _ => {
                        self.wrong(&span, format!("`{name}` is given as a text: \"…\""));
                        continue;
                    }
                };
                if let Some(template) = self.template(&text, entity, &span) {
                    fields.insert(FieldName::from(name), template);
                }
            }
        }
        Some(fields)
    }

    fn template(&mut self, text: &str, entity: &str, place: &Range<usize>) -> Option<Template> {
        match Template::parse(text, entity, self.model) {
            Ok(template) => Some(template),
            Err(message) => {
                self.wrong(place, message);
                None
            }
        }
    }
}
