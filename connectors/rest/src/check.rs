//! What can be known about a manifest without a connection: every placeholder, pointer and name in it.

mod webhook;

use std::collections::BTreeMap;
use std::fmt;

use huiliu_core::manifest::{
    Auth, Batch, Call, Driver, Manifest, Method, OauthClient, Paginate, Precondition, Pull, Stream, VersionKind,
};
use huiliu_mappings::diagnose::suggest;
use serde_json::Value;

use crate::pull;
use crate::receive::Source;
use crate::template::{Hole, Template};
use crate::version;

/// All mistakes in one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The connector's name.
    pub connector: String,
    /// The mistakes, each with its place in the manifest.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the manifest of connector {} cannot be used:", self.connector)?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ManifestError {}

/// Checks a manifest that this engine is to run.
///
/// # Errors
/// All mistakes at once.
pub fn manifest(manifest: &Manifest) -> Result<(), ManifestError> {
    let mut check = Check { manifest, mistakes: Vec::new() };
    check.connector();
    check.auth();
    for name in manifest.streams.keys() {
        if let Some(stream) = manifest.stream(name) {
            check.stream(&format!("streams.{name}"), &stream);
        }
    }
    check.webhook();
    let mistakes = check.mistakes;
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(ManifestError { connector: manifest.connector.name.clone(), mistakes })
    }
}

/// Which placeholders have a value at a place.
#[derive(Clone, Copy)]
struct Known {
    asks: Asks,
    id: bool,
    body: bool,
}

/// What a call asks for, as far as placeholders depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Page,
    Changes,
}

const SETTINGS: Known = Known { asks: Asks::Nothing, id: false, body: false };

struct Check<'a> {
    manifest: &'a Manifest,
    mistakes: Vec<String>,
}

impl Check<'_> {
    fn wrong(&mut self, at: &str, message: impl fmt::Display) {
        self.mistakes.push(format!("{at}: {message}"));
    }

    fn connector(&mut self) {
        let connector = &self.manifest.connector;
        if connector.driver != Driver::Rest {
            self.wrong("connector.driver", "this connector is a crate; the engine runs only `driver = \"rest\"`");
        }
        if let Some(base) = &connector.base_url {
            self.text("connector.base_url", base, SETTINGS);
        }
        for (name, value) in &connector.headers {
            self.text(&format!("connector.headers.{name}"), value, SETTINGS);
        }
        if let Some(call) = &connector.check {
            self.call("connector.check", call, SETTINGS);
        }
        let calls = connector.check.is_some() || self.manifest.streams.values().any(calls_out);
        if calls && connector.base_url.is_none() && !connector.config.contains_key("base_url") {
            self.wrong("connector.base_url", "it is missing, and there are calls to make");
        }
        for (at, rule) in connector.errors.iter().enumerate() {
            let place = format!("connector.errors[{at}]");
            if rule.status.is_none() && rule.at.is_none() {
                self.wrong(&place, "a rule without `status` and `at` would take every reply for an error");
            }
            if rule.at.is_none() && (rule.equals.is_some() || !rule.one_of.is_empty()) {
                self.wrong(&place, "`equals` and `one_of` need `at`");
            }
            for pointer in rule.at.iter().chain(&rule.message) {
                self.pointer(&place, pointer);
            }
        }
        for (name, setting) in &connector.config {
            if let Some(default) = setting.default.as_ref().filter(|_| !setting.values.is_empty())
                && !setting.values.contains(default)
            {
                let hint = suggest(default, setting.values.iter().map(String::as_str));
                self.wrong(&format!("connector.config.{name}"), format!("`{default}` is not among its values{hint}"));
            }
        }
    }

    fn auth(&mut self) {
        match &self.manifest.auth {
            Some(Auth::ApiKey { header, param, value }) => {
                if header.is_some() == param.is_some() {
                    self.wrong("auth", "name either `header` or `param`: one place takes the key");
                }
                self.text("auth.value", value, SETTINGS);
            }
            Some(Auth::Basic { username, password }) => {
                self.text("auth.username", username, SETTINGS);
                self.text("auth.password", password, SETTINGS);
            }
            Some(Auth::Oauth1 { consumer_key, consumer_secret, .. }) => {
                self.text("auth.consumer_key", consumer_key, SETTINGS);
                self.text("auth.consumer_secret", consumer_secret, SETTINGS);
            }
            Some(Auth::Bearer { token }) => self.text("auth.token", token, SETTINGS),
            Some(auth @ Auth::Login { .. }) => self.login(auth),
            Some(Auth::StandardWebhook { secret } | Auth::TimestampSignature { secret }) => {
                self.text("auth.secret", secret, SETTINGS);
            }
            Some(Auth::Oauth2Code { authorize_url, token_url, client, introspect_url, .. }) => {
                self.text("auth.authorize_url", authorize_url, SETTINGS);
                if let Some(introspect_url) = introspect_url {
                    self.text("auth.introspect_url", introspect_url, SETTINGS);
                }
                self.oauth(token_url, client);
            }
            Some(Auth::Oauth2Client { token_url, client, .. }) => {
                if client.secret.is_none() {
                    self.wrong("auth.client.secret", "client credentials need a secret");
                }
                self.oauth(token_url, client);
            }
            Some(Auth::Connector {}) => self.wrong("auth.kind", "`connector` needs a crate"),
            Some(Auth::None { reason }) => {
                if reason.trim().is_empty() {
                    self.wrong("auth.reason", "say why no authentication is right");
                }
            }
            None => {
                if self.manifest.connector.check.is_some() || self.manifest.streams.values().any(calls_out) {
                    self.wrong("auth", "it is missing; calls without authentication say `kind = \"none\"` and why");
                }
            }
        }
    }

    fn login(&mut self, auth: &Auth) {
        let Auth::Login { path, graphql, body, token, header, .. } = auth else { return };
        self.request("auth", path.as_deref(), &BTreeMap::new(), body.as_ref(), SETTINGS);
        if path.is_none() && graphql.is_none() {
            self.wrong("auth", "name the login's `path`, or its `graphql` document");
        }
        if header.trim().is_empty() {
            self.wrong("auth.header", "it is empty: calls would not carry the token");
        }
        match Source::parse(token) {
            Ok(Source::Header(_) | Source::Body(_)) => {}
            _ => self.wrong("auth.token", "it is `header:NAME` or `body:/pointer` of the login's reply"),
        }
    }

    fn oauth(&mut self, token_url: &str, client: &OauthClient) {
        self.text("auth.token_url", token_url, SETTINGS);
        self.text("auth.client.id", &client.id, SETTINGS);
        if let Some(secret) = &client.secret {
            self.text("auth.client.secret", secret, SETTINGS);
        }
    }

    fn stream(&mut self, at: &str, stream: &Stream) {
        if !stream.abilities.is_empty() {
            self.wrong(
                &format!("{at}.abilities"),
                "only a crate lists abilities; here the declared calls are the abilities",
            );
        }
        match &stream.key {
            Some(key) => self.pointer(&format!("{at}.key"), key),
            None => self.wrong(at, "`key` is missing, here and in [defaults]: records need an id"),
        }
        if let Some(version) = &stream.version {
            self.pointer(&format!("{at}.version"), version);
        }
        if let Some(rule) = &stream.deleted_when {
            for pointer in [Some(&rule.at), rule.merged_into.as_ref()].into_iter().flatten() {
                self.pointer(&format!("{at}.deleted_when"), pointer);
            }
        }
        if let Some(pull) = &stream.pull {
            self.pull(&format!("{at}.pull"), stream, pull);
        }
        if let Some(changes) = &stream.changes {
            if stream.pull.is_none() || changes.pull.since.is_none() {
                self.wrong(
                    &format!("{at}.changes"),
                    "changes are asked for by `since`, beside a `pull` that lists all",
                );
            }
            let listed = pull::changes_of(stream, changes);
            self.pull(&format!("{at}.changes.pull"), &listed, &changes.pull);
        }
        if let Some(deletes) = &stream.deletes {
            if stream.pull.is_none() {
                self.wrong(&format!("{at}.deletes"), "deletions are listed after a pull, and the stream has none");
            }
            let listed = pull::listing_of(stream, deletes);
            for pointer in listed.key.iter().chain(&listed.version).chain(&deletes.merged_into) {
                self.pointer(&format!("{at}.deletes"), pointer);
            }
            self.pull(&format!("{at}.deletes.pull"), &listed, &deletes.pull);
        }
        // By Standard Webhooks a record that we make is known by the message's id.
        let signed = matches!(self.manifest.auth, Some(Auth::StandardWebhook { .. }));
        let calls = [
            ("fetch", &stream.fetch, Known { id: true, ..SETTINGS }),
            ("create", &stream.create, Known { id: signed, body: true, ..SETTINGS }),
            ("update", &stream.update, Known { id: true, body: true, ..SETTINGS }),
            ("delete", &stream.delete, Known { id: true, body: true, ..SETTINGS }),
        ];
        for (name, call, known) in calls {
            let Some(call) = call else { continue };
            let place = format!("{at}.{name}");
            self.call(&place, call, known);
            self.write_rules(&place, stream, call, name);
        }
    }

    fn pull(&mut self, at: &str, stream: &Stream, pull: &Pull) {
        let asks = if pull.since.is_some() { Asks::Changes } else { Asks::Page };
        let known = Known { asks, ..SETTINGS };
        self.request(at, pull.path.as_deref(), &pull.params, pull.body.as_ref(), known);
        match &stream.records {
            Some(records) => self.pointer(&format!("{at}: records"), records),
            None => {
                self.wrong(at, "`records` is missing, here and in [defaults]; empty text means the reply is the list");
            }
        }
        match &stream.paginate {
            Some(paginate) => self.paginate(at, pull, paginate),
            None => {
                self.wrong(at, "`paginate` is missing, here and in [defaults]; one page for all is kind = \"none\"");
            }
        }
        let Some(since) = &pull.since else { return };
        let timed = !matches!(stream.version_kind, Some(VersionKind::Sequence | VersionKind::Tag));
        // Deletions without stamps of their own are asked by the stamp of the records.
        let stamped = stream.version.is_some() || at.ends_with(".deletes.pull");
        if !stamped || !timed {
            self.wrong(&format!("{at}.since"), "asking for changes needs a `version` that is a stamp");
        }
        if !since.write.contains("{stamp}") {
            self.wrong(&format!("{at}.since.write"), "it never says {stamp}");
        }
        if version::time_zone(since.zone.as_deref()).is_err() {
            self.wrong(&format!("{at}.since.zone"), "it is no IANA time zone, such as Asia/Shanghai");
        }
        match &since.param {
            Some(param) => self.param(&format!("{at}.since.param"), pull, param),
            None if says_stamp(pull) => {}
            None => self.wrong(&format!("{at}.since"), "without `param` the call says {stamp} where it belongs"),
        }
    }

    fn paginate(&mut self, at: &str, pull: &Pull, paginate: &Paginate) {
        let at = format!("{at}: paginate");
        match paginate {
            Paginate::Cursor { from, param, more } => {
                self.pointer(&at, from);
                if let Some(more) = more {
                    self.pointer(&at, more);
                }
                self.param(&at, pull, param);
            }
            Paginate::Page { param, size, size_param, .. } | Paginate::Offset { param, size, size_param } => {
                if *size == 0 {
                    self.wrong(&at, "`size` is 0: no page would ever be the last");
                }
                self.param(&at, pull, param);
                if let Some(size_param) = size_param {
                    self.param(&at, pull, size_param);
                }
            }
            Paginate::Keyset { size, .. } => {
                if *size == 0 {
                    self.wrong(&at, "`size` is 0: no page would ever be the last");
                }
            }
            Paginate::LinkHeader {} | Paginate::None {} => {}
        }
    }

    /// A parameter is a name, or a pointer into a body that is sent.
    fn param(&mut self, at: &str, pull: &Pull, param: &str) {
        if param.is_empty() {
            self.wrong(at, "`param` is empty");
        }
        if param.starts_with('/') && pull.graphql.is_none() && pull.method == Method::Get {
            self.wrong(at, format!("`{param}` leads into a body, and a GET sends none"));
        }
    }

    fn write_rules(&mut self, at: &str, stream: &Stream, call: &Call, name: &str) {
        let writes = name != "fetch";
        let reads_only = call.graphql.is_none() && call.method == Method::Get;
        if writes && reads_only {
            self.wrong(at, "a write needs a method other than GET");
        }
        match call.precondition {
            Some(Precondition::ReadCompare) if stream.fetch.is_none() => {
                self.wrong(at, "`read_compare` reads before it writes, and the stream has no `fetch`");
            }
            Some(Precondition::IfMatch | Precondition::IfUnmodifiedSince) if stream.version.is_none() => {
                self.wrong(at, "a conditional write needs a `version`");
            }
            _ => {}
        }
        if let Some(lookup) = &call.lookup {
            if name != "create" {
                self.wrong(&format!("{at}.lookup"), "only a create looks for what an earlier attempt made");
            }
            let known = Known { body: true, ..SETTINGS };
            if lookup.path.is_none() && lookup.graphql.is_none() && lookup.body.is_none() {
                self.wrong(&format!("{at}.lookup"), "name the `path` to look at, a `graphql` document or a `body`");
            }
            self.request(&format!("{at}.lookup"), lookup.path.as_deref(), &lookup.params, lookup.body.as_ref(), known);
            self.pointer(&format!("{at}.lookup.records"), &lookup.records);
            self.pointer(&format!("{at}.lookup.match_at"), &lookup.match_at);
        }
        if !call.unique_at.is_empty() && name != "create" {
            self.wrong(&format!("{at}.unique_at"), "only a create is known again by its values");
        }
        if call.id_at.is_some() && !matches!(name, "update" | "delete") {
            self.wrong(&format!("{at}.id_at"), "only a record that is there has an id to send along");
        }
        if call.read_back && stream.fetch.is_none() {
            self.wrong(at, "`read_back` reads what was written, and the stream has no `fetch`");
        }
        for pointer in call.wrap.iter().chain(&call.record).chain(&call.id_at).chain(&call.id).chain(&call.unique_at) {
            self.pointer(at, pointer);
        }
        if let Some(batch) = &call.batch {
            self.batch(&format!("{at}.batch"), call, batch, name);
        }
    }

    fn batch(&mut self, at: &str, call: &Call, batch: &Batch, name: &str) {
        self.request(at, Some(&batch.path), &batch.params, None, SETTINGS);
        let trace = batch.trace.iter().flat_map(|trace| [&trace.item, &trace.result, &trace.refusal]);
        let places = [&batch.items, &batch.results].into_iter().chain(&batch.id_at).chain(&batch.record);
        for pointer in places.chain(&batch.refusals).chain(trace) {
            self.pointer(at, pointer);
        }
        if let Some(item) = &batch.item {
            self.json(&format!("{at}.item"), item, Known { id: true, body: true, ..SETTINGS });
        }
        if batch.refusals.is_some() && batch.trace.is_none() {
            self.wrong(at, "refusals that stand apart are known by a `trace` only");
        }
        for rule in &batch.errors {
            if rule.at.is_none() {
                self.wrong(&format!("{at}.errors"), "a rule without `at` would take every result for an error");
            }
            rule.at.iter().chain(&rule.message).for_each(|pointer| self.pointer(at, pointer));
        }
        match name {
            "fetch" => self.wrong(at, "only writes go in batches"),
            "create" if call.lookup.is_none() => {
                self.wrong(at, "a create that a lost reply leaves open is looked for first: declare `lookup`");
            }
            _ => {}
        }
        if call.precondition.is_some() {
            self.wrong(at, "a batch has no `precondition`: its members would need one each");
        }
        if call.graphql.is_some() {
            self.wrong(at, "a GraphQL call has no batch");
        }
    }

    fn call(&mut self, at: &str, call: &Call, known: Known) {
        self.request(at, call.path.as_deref(), &call.params, call.body.as_ref(), known);
    }

    fn request(
        &mut self,
        at: &str,
        path: Option<&str>,
        params: &BTreeMap<String, String>,
        body: Option<&Value>,
        known: Known,
    ) {
        if let Some(path) = path {
            self.text(&format!("{at}.path"), path, known);
            if path.contains(['?', '#']) || path.contains("://") {
                self.wrong(&format!("{at}.path"), "a path only; what follows `?` belongs to `params`");
            }
        }
        for (name, value) in params {
            self.text(&format!("{at}.params.{name}"), value, known);
        }
        if let Some(body) = body {
            self.json(&format!("{at}.body"), body, known);
        }
    }

    fn json(&mut self, at: &str, value: &Value, known: Known) {
        match value {
            Value::String(text) => self.text(at, text, known),
            Value::Array(list) => list.iter().for_each(|value| self.json(at, value, known)),
            Value::Object(map) => map.iter().for_each(|(name, value)| self.json(&format!("{at}.{name}"), value, known)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, at: &str, text: &str, known: Known) {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(message) => return self.wrong(at, message),
        };
        let connector = &self.manifest.connector;
        for hole in template.holes() {
            match hole {
                Hole::Config(name) if !connector.config.contains_key(name) => {
                    let hint = suggest(name, connector.config.keys().map(String::as_str));
                    self.wrong(at, format!("config.{name} is not declared{hint}"));
                }
                Hole::Secret(name) if !connector.secret.contains_key(name) => {
                    let hint = suggest(name, connector.secret.keys().map(String::as_str));
                    self.wrong(at, format!("secret.{name} is not declared{hint}"));
                }
                Hole::Cursor if known.asks == Asks::Nothing => self.wrong(at, "{cursor} has a value only in a pull"),
                Hole::RecordId if !known.id => self.wrong(at, "{record.id} has no value here"),
                Hole::Record(_) | Hole::Body if !known.body => self.wrong(at, "only a write has a record's values"),
                Hole::Body if template.only().is_none() => self.wrong(at, "{body} stands alone: it is JSON, not text"),
                Hole::Stamp | Hole::Until if known.asks == Asks::Changes => {}
                Hole::Stamp | Hole::Until => {
                    self.wrong(at, "{stamp} and {until} have a value only in a pull with `since`");
                }
                Hole::Id => self.wrong(at, "{id} belongs to `key_form`"),
                _ => {}
            }
        }
    }

    fn pointer(&mut self, at: &str, pointer: &str) {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            self.wrong(at, format!("`{pointer}` is no JSON pointer; did you mean `/{}`?", pointer.replace('.', "/")));
        }
    }
}

/// Whether a call says `{stamp}` itself.
fn says_stamp(pull: &Pull) -> bool {
    let in_body = pull.body.as_ref().is_some_and(|body| body.to_string().contains("{stamp}"));
    in_body || pull.params.values().any(|value| value.contains("{stamp}"))
}

fn calls_out(stream: &Stream) -> bool {
    let calls = [&stream.fetch, &stream.create, &stream.update, &stream.delete];
    stream.pull.is_some() || calls.iter().any(|call| call.is_some())
}
