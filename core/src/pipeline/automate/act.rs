//! From an action to what is sent: words of the hub's own, which connectors and manifests put into their systems' words.

use huiliu_mappings::automation::{Action, Rule, Rules};
use huiliu_mappings::diagnose::{Diagnostic, suggest};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::value::{FieldName, Fields};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::look::View;
use crate::connection::Connection;
use crate::connector::{Delivery, Operation};
use crate::engine::Engine;
use crate::manifest::Ability;
use crate::store::deliveries::Planned;

/// The stream of a connector that takes events of rules.
pub const EVENTS: &str = "events";

/// The stream of a connector that tells people something: `{kind, direction, text, to, reference}`.
pub const NOTICES: &str = "notices";

/// The stream of a connector that sends mails: the same with `subject`.
pub const MAILS: &str = "messages";

/// What an action sends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    pub connection: String,
    pub stream: String,
    pub body: Value,
}

/// What an action sends at a moment; `reference` names the firing to people.
///
/// # Errors
/// Why it cannot send anything.
pub(crate) fn outgoing(
    engine: &Engine,
    rule: &Rule,
    action: &Action,
    change: i64,
    reference: &str,
    view: &View,
) -> Result<Option<Outgoing>, String> {
    let Some(connection) = action.connection() else { return Ok(None) };
    let recipients = |to: &[huiliu_mappings::automation::Template]| {
        let all: Vec<String> = view.ask(|moment| to.iter().map(|one| one.fill(moment).trim().to_owned()).collect());
        let all: Vec<String> = all.into_iter().filter(|one| !one.is_empty()).collect();
        if all.is_empty() {
            Err("nobody is left to tell: the fields that name them are empty".to_owned())
        } else {
            Ok(all)
        }
    };
    let (stream, body) = match action {
        Action::Tag { .. } => return Ok(None),
        Action::Webhook { .. } => (EVENTS.to_owned(), event(rule, change, view)),
        Action::Notify { to, text, .. } => {
            let text = view.ask(|moment| text.fill(moment));
            let to = recipients(to)?;
            (
                NOTICES.to_owned(),
                json!({ "kind": "message", "direction": "out", "text": text, "to": to, "reference": reference }),
            )
        }
        Action::Mail { to, subject, text, .. } => {
            let (subject, text) = view.ask(|moment| (subject.fill(moment), text.fill(moment)));
            let to = recipients(to)?;
            (
                MAILS.to_owned(),
                json!({ "kind": "email", "direction": "out", "subject": subject, "text": text, "to": to }),
            )
        }
        Action::Create { lens, fields, .. } => {
            let known = engine.connections.get(connection).and_then(|it| it.lens(lens));
            let lens = known.ok_or_else(|| format!("`{connection}` has no stream `{lens}`"))?;
            let mut canonical = Fields::new();
            for (field, template) in fields {
                if let Some(value) = view.ask(|moment| template.value(moment)) {
                    canonical.insert(field.clone(), given(lens, field, &value)?);
                }
            }
            if canonical.is_empty() {
                return Err("nothing is left of the new record: all its fields are empty".to_owned());
            }
            (lens.stream().to_owned(), lens.render(&canonical))
        }
    };
    Ok(Some(Outgoing { connection: connection.to_owned(), stream, body }))
}

fn given(lens: &Lens, field: &FieldName, value: &Value) -> Result<Value, String> {
    match lens.canonical(field, value) {
        Some(Ok(value)) => Ok(value),
        Some(Err(problem)) => Err(format!("{field}: {}", problem.message)),
        None => Err(format!("no mapping writes {field} there")),
    }
}

/// What a program is told: the rule, the record with its values, and those that it refers to.
fn event(rule: &Rule, change: i64, view: &View) -> Value {
    let records = |all: &[(i64, Fields)]| -> Vec<Value> {
        all.iter().map(|(id, fields)| json!({ "record": id, "fields": fields })).collect()
    };
    let others: serde_json::Map<String, Value> =
        view.others.iter().map(|(entity, all)| (entity.clone(), records(all).into())).collect();
    json!({
        "rule": rule.name,
        "entity": rule.entity.as_str(),
        "record": view.golden,
        "change": change,
        "fields": view.fields,
        "changed": view.changed,
        "refers_to": others,
    })
}

/// The delivery that carries an action out. It belongs to no golden record, so no plan replaces it.
pub(crate) fn delivery(number: i64, key: &[&str], change: i64, outgoing: Outgoing) -> Planned {
    let mut hash = Sha256::new();
    for part in key {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    Planned {
        connection: outgoing.connection,
        lens: String::new(),
        golden: 0,
        fields: Fields::new(),
        change,
        state: "pending".to_owned(),
        error: None,
        due_us: 0,
        restores: None,
        planned_us: 0,
        delivery: Delivery {
            number,
            operation: Operation::Create,
            stream: outgoing.stream.as_str().into(),
            id: None,
            body: outgoing.body,
            base: Value::Null,
            base_version: None,
            idempotency_key: hex::encode(&hash.finalize()[..16]),
            attempt: 0,
        },
    }
}

/// What is wrong with rules beside these connections; all mistakes, each with its place and the nearest right word.
pub fn check(engine: &Engine, rules: &Rules) -> Vec<Diagnostic> {
    let actions = rules.all().iter().flat_map(|rule| &rule.actions);
    actions.filter_map(|(action, place)| Some(rules.mistake(place, mistake(engine, action)?))).collect()
}

fn mistake(engine: &Engine, action: &Action) -> Option<String> {
    let name = action.connection()?;
    let Some(connection) = engine.connections.get(name) else {
        let hint = suggest(name, engine.connections.keys().map(String::as_str));
        return Some(format!("no connection is called `{name}`{hint}"));
    };
    if !connection.writes {
        return Some(format!("the connection `{name}` may not be written (writes = false in huiliu.toml)"));
    }
    let stream = match action {
        Action::Create { lens, fields, .. } => return unmade(connection, lens, fields),
        Action::Webhook { .. } => EVENTS,
        Action::Notify { .. } => NOTICES,
        Action::Mail { .. } | Action::Tag { .. } => MAILS,
    };
    let (word, system) = (action.word(), &connection.system);
    (!connection.can(stream, Ability::Create)).then(|| {
        format!("`{word}` cannot go to `{name}`: the connector `{system}` has no stream `{stream}` to send to")
    })
}

fn unmade(
    connection: &Connection,
    lens: &str,
    fields: &std::collections::BTreeMap<FieldName, huiliu_mappings::automation::Template>,
) -> Option<String> {
    let name = &connection.name;
    let Some(known) = connection.lens(lens) else {
        let hint = suggest(lens, connection.lenses.iter().map(|lens| lens.name()));
        return Some(format!("`{name}` has no stream `{lens}`{hint}"));
    };
    if !connection.can(known.stream(), Ability::Create) {
        return Some(format!("nothing can be made in the stream `{lens}` of `{name}`"));
    }
    let writable: Vec<&FieldName> = known.writable_fields().collect();
    for (field, template) in fields {
        if !writable.contains(&field) {
            let hint = suggest(field.as_str(), writable.iter().map(|field| field.as_str()));
            return Some(format!("the mapping of `{name}.{lens}` writes no field `{field}`{hint}"));
        }
        if template.is_fixed()
            && let Err(told) = given(known, field, &Value::String(template.text().to_owned()))
        {
            return Some(told);
        }
    }
    None
}
