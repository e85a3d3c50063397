//! The stage of a system that has no other: a rehearsal made of its manifest, its mapping and its fixtures.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Cx, Network};
use huiliu_core::manifest::{Ability, Auth, ErrorRule, Manifest, Paginate};
use huiliu_core::secrets::{Secret, Token, TokenVault};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::value::Fields;
use huiliu_twins::front::Front;
use huiliu_twins::rehearsal::{Cast, Rehearsal};
use serde_json::{Value, json};

use super::{Stage, Wrong, broke, fixtures, reads};
use crate::invent::Invent;

/// Records in a stream: enough for three pages.
const RECORDS: usize = 5;

/// Fields that another system may change here, in order of preference: plain texts that link nobody.
const EDITED: &[&str] = &["remark", "title", "company", "short_name", "given_name", "display_name", "legal_name"];

/// Puts a system on its stage.
///
/// # Errors
/// The manifest cannot be run, or no port is free.
pub async fn stage(folder: &Path, manifest: &Manifest, lenses: &[Arc<Lens>]) -> Result<Stage, Wrong> {
    // One TLS provider for the process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rehearsal = Arc::new(Rehearsal::start(manifest, cast(folder, manifest, lenses, RECORDS)).await.map_err(broke)?);
    let front = Front::of(&rehearsal.base_url()).await;
    let base = front.instead_of(&rehearsal.base_url());
    let connection = connection(&rehearsal, lenses, &base)?;
    let (counted, wrote) = (rehearsal.clone(), rehearsal.clone());
    let paged = |(name, _): &(&String, _)| {
        let stream = manifest.stream(name);
        stream.is_some_and(|it| it.can(Ability::Pull) && !matches!(it.paginate, None | Some(Paginate::None {})))
    };
    Ok(Stage {
        bad_secret: bad_secret(manifest, &rehearsal),
        refusals: refusals(&manifest.connector.errors),
        paged: manifest.streams.iter().filter(paged).map(|(name, _)| name.clone()).collect(),
        creates: creates(folder, manifest, lenses),
        count: Box::new(move |stream| counted.count(stream)),
        field: field(folder, manifest, lenses),
        writes: Box::new(move || wrote.writes()),
        rehearsal: Some(rehearsal),
        folder: folder.to_owned(),
        front: Some(front),
        connection,
    })
}

/// The stream's fixtures, and as many invented neighbours of them as `count` asks for.
pub fn cast(folder: &Path, manifest: &Manifest, lenses: &[Arc<Lens>], count: usize) -> Cast {
    let mut cast = Cast::default();
    for name in manifest.streams.keys() {
        let mut bodies: Vec<Value> = fixtures::values(folder, name).into_iter().map(|(_, body)| body).collect();
        let recorded = bodies.len();
        for number in 0..count.saturating_sub(recorded).min(count * recorded) {
            let mut other = bodies[number % recorded].clone();
            Invent::identifiers().replace(&mut other, &kept(manifest, lenses, name));
            bodies.push(other);
        }
        cast.records.insert(name.clone(), bodies);
        let moved = lenses.iter().filter(|lens| lens.stream() == name).flat_map(|lens| lens.moved());
        cast.moved.insert(name.clone(), moved.collect());
    }
    cast
}

/// Pointers of a stream's values that belong to the system's own language.
pub fn kept(manifest: &Manifest, lenses: &[Arc<Lens>], stream: &str) -> Vec<String> {
    let mine = lenses.iter().filter(|lens| lens.stream() == stream);
    let words = mine.flat_map(|lens| lens.worded());
    let declared = manifest.stream(stream);
    let own = declared.into_iter().flat_map(|it| [it.version, it.deleted_when.map(|rule| rule.at)]);
    words.chain(own.flatten()).collect()
}

/// A connection to the stand-in.
pub fn connection(rehearsal: &Rehearsal, lenses: &[Arc<Lens>], base: &str) -> Result<Connection, Wrong> {
    let manifest = rehearsal.manifest();
    let connector = crate::connectors::connector(&manifest).map_err(broke)?;
    let name = manifest.connector.name.clone();
    let mut settings = rehearsal.settings();
    settings.insert("base_url".to_owned(), base.to_owned());
    let secrets = rehearsal.secrets().into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let tokens = TokenVault::in_memory();
    if let Some(Auth::Oauth2Code { .. }) = &manifest.auth {
        let signed_in = Token {
            access: String::new(),
            refresh: Some(rehearsal.signed_in()),
            expires_at_us: Some(0),
            extra: BTreeMap::new(),
            rotates: false,
        };
        tokens.put(huiliu_rest::oauth::TOKEN, &signed_in).map_err(broke)?;
    }
    let cx = Cx {
        settings: Arc::new(settings),
        secrets: Arc::new(secrets),
        tokens: Arc::new(tokens),
        ..Cx::bare(&name, Clock::System, Network::Private)
    };
    Ok(Connection::bare(cx, &name, Some(connector), lenses.to_vec()))
}

/// The secret that calls are proven with, and a wrong one of the same form.
fn bad_secret(manifest: &Manifest, rehearsal: &Rehearsal) -> Option<(String, String)> {
    let reads = manifest.streams.values().any(|stream| stream.can(Ability::Pull)) || manifest.connector.check.is_some();
    let templates: Vec<&str> = match manifest.auth.as_ref().filter(|_| reads)? {
        Auth::ApiKey { value, .. } => vec![value],
        Auth::Basic { username, password } => vec![password, username],
        Auth::Bearer { token } => vec![token],
        Auth::Oauth1 { consumer_key, consumer_secret, .. } => vec![consumer_secret, consumer_key],
        Auth::StandardWebhook { secret } | Auth::TimestampSignature { secret } => vec![secret],
        Auth::Oauth2Code { client, .. } | Auth::Oauth2Client { client, .. } => {
            client.secret.iter().map(String::as_str).chain([client.id.as_str()]).collect()
        }
        Auth::Login { body, .. } => body.iter().flat_map(texts).collect(),
        Auth::Connector {} | Auth::None { .. } => Vec::new(),
    };
    let named = |template: &str| Some(template.split_once("{secret.")?.1.split_once('}')?.0.to_owned());
    let name = templates.into_iter().find_map(named)?;
    let good = rehearsal.secrets().get(&name).cloned()?;
    Some((name, good.chars().rev().collect()))
}

/// The texts in a JSON value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The replies that the manifest's own rules name, with the kind that the first fitting rule gives them.
fn refusals(rules: &[ErrorRule]) -> Vec<(u16, String, String)> {
    let mut cases = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let Some(at) = &rule.at else { continue };
        // What stands before it may fit the same reply; only what it alone decides is tried.
        let shadowed = rules[..number].iter().any(|former| {
            let same_status = former.status.is_none() || former.status == Some(rule.status.unwrap_or(200));
            same_status && former.at.as_ref().is_none_or(|place| at.starts_with(place.as_str()))
        });
        if shadowed {
            continue;
        }
        let value =
            rule.equals.clone().or_else(|| rule.one_of.first().cloned()).unwrap_or_else(|| "refused".to_owned());
        let mut body = Value::String(value);
        for part in at.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
            body = if part == "*" || part.parse::<usize>().is_ok() { json!([body]) } else { json!({ part: body }) };
        }
        cases.push((rule.status.unwrap_or(200), body.to_string(), reads::word(rule.kind).to_owned()));
    }
    cases
}

/// The record that says most: it shows what a write can hold.
pub fn fullest(folder: &Path, stream: &str) -> Option<Value> {
    let all = fixtures::values(folder, stream).into_iter().map(|(_, body)| body);
    all.max_by_key(|body| body.to_string().len())
}

/// What a lens writes of a record: all that travels outward.
pub fn written(lens: &Lens, body: &Value) -> Value {
    let projected = lens.project(&lens.map(body).0.fields);
    let said: Fields = projected.into_iter().filter(|(_, value)| !value.is_null()).collect();
    lens.render(&said)
}

/// One new person or thing for every stream that can be created in.
fn creates(folder: &Path, manifest: &Manifest, lenses: &[Arc<Lens>]) -> Vec<(String, Value)> {
    let able = manifest.streams.iter().filter(|(_, stream)| stream.can(Ability::Create)).map(|(name, _)| name);
    let body = |name: &String| {
        let mut other = fullest(folder, name)?;
        let lens = lenses.iter().find(|lens| lens.stream() == name && lens.reads(&other))?;
        Invent::identifiers().replace(&mut other, &kept(manifest, lenses, name));
        Some((name.clone(), written(lens, &other)))
    };
    able.filter_map(body).collect()
}

/// The first field of customers that is written and reads back where it was written.
fn field(folder: &Path, manifest: &Manifest, lenses: &[Arc<Lens>]) -> Option<String> {
    let able = |lens: &&Arc<Lens>| {
        let stream = manifest.stream(lens.stream());
        lens.entity().as_str() == "customer"
            && stream.is_some_and(|it| it.can(Ability::Update) && it.can(Ability::Pull))
    };
    for lens in lenses.iter().filter(able) {
        let Some(record) = fullest(folder, lens.stream()).filter(|record| lens.reads(record)) else { continue };
        for name in EDITED {
            let edit: Fields = std::iter::once(((*name).into(), Value::from("约周五回访"))).collect();
            let written = lens.render(&edit);
            let mut after = record.clone();
            overlay(&mut after, &written);
            let back = lens.map(&after).0.fields;
            if back.get(*name) == edit.get(*name) {
                return Some((*name).to_owned());
            }
        }
    }
    None
}
