//! No secret or personal value reaches a log.

use std::collections::BTreeSet;

use huiliu_core::clock::Clock;
use huiliu_core::connector::Received;
use huiliu_core::manifest::Manifest;
use huiliu_twins::front::Fate;
use serde_json::Value;

use super::writes::neighbour;
use super::{Found, Stage, broke, create, log, pulled, pump, store, wrong};
use crate::both;

/// Canonical fields, and families of them, that say who somebody is.
const PERSONAL: &[&str] = &[
    "display_name",
    "given_name",
    "family_name",
    "legal_name",
    "emails",
    "phones",
    "addresses",
    "remark",
    "birth_date",
];

/// A few pages of people are enough: all of them take the same way.
const PAGES_MAX: usize = 5;

/// The values of the stage's own people: texts long enough not to be a part of something else.
async fn personal(manifest: &Manifest, stage: &Stage) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(by) = stage.connector() else { return found };
    for stream in pulled(manifest) {
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let Ok(page) = by.pull(&stage.connection.cx, &stream.as_str().into(), from.as_ref()).await else { break };
            for item in &page.items {
                let Received::Record(record) = item else { continue };
                for lens in
                    stage.connection.lenses.iter().filter(|lens| lens.stream() == stream && lens.reads(&record.body))
                {
                    for (field, value) in lens.map(&record.body).0.fields {
                        if PERSONAL.contains(&field.family()) {
                            texts(&value, &mut found);
                        }
                    }
                }
            }
            from = page.next.or(from);
            if !page.more {
                break;
            }
        }
    }
    found
}

fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let count = text.chars().count();
            // Six digits may be a post code, and may be the fraction of a second at the beginning of any line.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let least = if is_number {
                8
            } else if text.is_ascii() {
                6
            } else {
                2
            };
            if count >= least {
                found.insert(text.trim_start_matches("+86").to_owned());
            }
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Runs everything with all logs on, failures included, and looks for secrets and people.
pub async fn privacy(manifest: &Manifest, stage: &Stage) -> Found {
    let people = personal(manifest, stage).await;
    let by = stage.connector()?;
    let (_folder, store) = store()?;
    let (_, other) = neighbour(stage.field.as_deref().unwrap_or("remark"))?;
    let engine = pump::live(store, Clock::System, [stage.connection.clone(), other]).await.map_err(broke)?;
    if let Some(front) = &stage.front {
        let loud: String = people.iter().take(20).cloned().collect::<Vec<_>>().join(" ");
        for (status, body) in [(500, loud), (400, r#"{"message":"no such customer"}"#.to_owned())] {
            front.meet(Fate::Answer(status, body.into()));
            pump::pull(&engine).await.map_err(broke)?;
        }
    }
    pump::settle(&engine, true).await.map_err(broke)?;
    if let Some((stream, body)) = stage.creates.first() {
        // What it comes to does not matter: what it says does.
        let _ = by.push(&stage.connection.cx, &create(stream, body, 1)).await;
    }
    let logged = log::text();
    let calls = !pulled(manifest).is_empty() || !stage.creates.is_empty();
    if calls && !logged.contains("huiliu") {
        return Err(broke("nothing was logged"));
    }
    for (name, secret) in stage.connection.cx.secrets.iter() {
        if logged.contains(secret.expose()) {
            return Err(wrong("auth", both!("secret.{name} is in the log", "日志中出现了 secret.{name}")));
        }
    }
    // The value is not repeated here: it would reach the next log.
    if let Some(line) = logged.lines().find(|line| people.iter().any(|value| line.contains(value.as_str()))) {
        let begin: String = line.chars().take(60).collect();
        return Err(wrong(
            "streams",
            both!(
                "a personal value is in the log, in the line that begins {begin}",
                "日志中出现了个人信息，该行开头为 {begin}"
            ),
        ));
    }
    let secrets = stage.connection.cx.secrets.len();
    Ok(both!(
        "{secrets} secret(s) and {people} personal value(s) looked for",
        "查找了 {secrets} 个密钥和 {people} 个个人信息",
        people = people.len()
    ))
}
