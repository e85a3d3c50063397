//! Forms that people fill in. The address of a form carries a signed token ([`token`]), so a call is proven before its
//! body is read; then come the defences against bots: a number of calls for each address ([`limit`]), a time that nobody
//! beats, an input that nobody sees. No third party is asked.
//!
//! Works without script: our own page ([`page`]) holds the token already, and a site's owner shows it in a frame. With
//! script the owner's own page holds the form and fetches a token.

mod limit;
pub mod page;
mod token;

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use huiliu_core::connector::{ConnectionName, Cx, RawRequest, Reply, Verified};
use huiliu_core::manifest::Form;
use serde_json::{Map, Value, json};

pub use limit::Limiter;
pub use token::Token;

use crate::verify::{Refusal, fill, fill_any};
use page::Parts;

/// The largest submission: a long letter.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Inputs of one form.
const VALUES_MAX: usize = 60;

/// The longest name of an input, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The longest value, in bytes: ten pages.
const VALUE_BYTES_MAX: usize = 20_000;

/// The longest page address that is kept, in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// Shorter keys are refused, in bytes: a key is typed once, so it may be long.
const KEY_BYTES_MIN: usize = 16;

/// The language that a visitor's browser asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// English.
    En,
    /// 简体中文.
    Zh,
}

impl Spoken {
    fn of(request: &RawRequest) -> Self {
        let asked = request.query("lang").or_else(|| request.header("accept-language").map(str::to_owned));
        if asked.is_some_and(|asked| asked.trim_start().to_ascii_lowercase().starts_with("zh")) {
            Self::Zh
        } else {
            Self::En
        }
    }

    /// The text in this language.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    /// The same for texts that are made.
    pub fn said(self, en: String, zh: String) -> String {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Told {
    /// Nothing to keep: answer this. The word is for metrics.
    Answer(&'static str, Reply),
    /// A submission.
    Keep {
        /// What was written, as JSON.
        verified: Verified,
        /// The token's number.
        dedupe: String,
        /// The answer after the append.
        done: Reply,
        /// The answer if the token was used before.
        again: Reply,
    },
}

/// A form's settings, filled in.
pub struct Desk<'a> {
    rule: &'a Form,
    connection: &'a ConnectionName,
    key: String,
    origins: Vec<String>,
    fields: Vec<(String, bool)>,
    consents: Vec<String>,
    consent_text: String,
    consent_version: String,
    title: String,
    thank_you: String,
    address_header: String,
    now: jiff::Timestamp,
}

impl<'a> Desk<'a> {
    /// Fills the settings of a connection in.
    ///
    /// # Errors
    /// [`Refusal::NotReady`] that says what is missing.
    pub fn new(rule: &'a Form, cx: &'a Cx) -> Result<Self, Refusal> {
        let key = fill(cx, &rule.secret)?;
        if key.len() < KEY_BYTES_MIN {
            return Err(Refusal::NotReady(format!(
                "the form's key is shorter than {KEY_BYTES_MIN} characters; give a longer one"
            )));
        }
        let list = |text: String| -> Vec<String> {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };
        let fields = list(fill(cx, &rule.fields)?).into_iter();
        let origins = list(fill(cx, &rule.origins)?);
        Ok(Self {
            rule,
            connection: &cx.connection,
            key,
            origins: origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect(),
            fields: fields.map(|name| (name.trim_end_matches('*').trim().to_owned(), name.ends_with('*'))).collect(),
            consents: list(fill_any(cx, &rule.consents)?),
            consent_text: fill_any(cx, &rule.consent_text)?,
            consent_version: fill_any(cx, &rule.consent_version)?,
            title: fill_any(cx, &rule.title)?,
            thank_you: fill_any(cx, &rule.thank_you)?,
            address_header: fill_any(cx, &rule.address_header)?,
            now: cx.clock.now(),
        })
    }

    fn parts<'b>(&'b self, action: &'b str, hidden: &'b [(String, String)]) -> Parts<'b> {
        Parts {
            action,
            title: &self.title,
            fields: &self.fields,
            consents: &self.consents,
            consent_text: &self.consent_text,
            trap: &self.rule.trap,
            hidden,
        }
    }

    /// What the site's owner pastes into a page. `hook`: the form's public address.
    pub fn snippet(&self, spoken: Spoken, hook: &str) -> String {
        page::snippet(spoken, hook, &self.parts(hook, &[]))
    }

    /// The frame that shows our own page, for a page without any script.
    pub fn frame(&self, hook: &str) -> String {
        page::frame(hook, &self.title)
    }

    /// The caller: what our own proxy wrote last, or the other end of the line.
    fn caller(&self, request: &RawRequest, peer: Option<IpAddr>) -> Option<IpAddr> {
        if self.address_header.is_empty() {
            return peer;
        }
        let told = request.header(&self.address_header.to_ascii_lowercase())?;
        told.rsplit(',').next()?.trim().parse().ok()
    }

    fn is_ours(&self, origin: &str, request: &RawRequest) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = request.header("host").map(str::to_ascii_lowercase);
        let own = host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, rest)| rest == host));
        own || self.origins.contains(&origin)
    }

    /// Takes a call apart.
    ///
    /// # Errors
    /// [`Refusal::NotReady`] if this machine can sign no token.
    pub fn receive(&self, limiter: &Limiter, request: RawRequest, peer: Option<IpAddr>) -> Result<Told, Refusal> {
        let asked = Asked::of(&request);
        if let Some(origin) = request.header("origin")
            && !self.is_ours(origin, &request)
        {
            return Ok(asked.refuse("origin", 403, "This page may not send the form.", "此页面无权提交该表单。"));
        }
        let (what, most) =
            if request.method == "POST" { ("post", self.rule.per_minute) } else { ("get", self.rule.per_minute * 10) };
        let caller = self.caller(&request, peer);
        if let Some(wait) = limiter.count(self.connection.as_str(), caller, what, most, self.now.as_second()) {
            let told = asked.refuse(
                "rate_limited",
                429,
                "Too many at once. Try again in a minute.",
                "提交过于频繁，请一分钟后再试。",
            );
            return Ok(with_header(told, "retry-after", wait.to_string()));
        }
        match request.method.as_str() {
            "POST" => Ok(self.submitted(&asked, request)),
            "OPTIONS" => Ok(Told::Answer("preflight", Reply { status: 204, ..Reply::ok() })),
            _ => self.given_out(&asked, &request),
        }
    }

    fn given_out(&self, asked: &Asked, request: &RawRequest) -> Result<Told, Refusal> {
        let token = Token::issue(self.key.as_bytes(), self.connection.as_str(), self.now.as_second());
        let token =
            token.ok_or_else(|| Refusal::NotReady("no random numbers are to be had on this machine".to_owned()))?;
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut reply = if query.split('&').any(|pair| pair == "token") {
            let told =
                json!({ "token": token, "seconds_min": self.rule.seconds_min, "seconds_max": self.rule.seconds_max });
            Reply { content_type: "application/json", body: told.to_string().into(), ..Reply::ok() }
        } else {
            let hidden: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| name.starts_with("utm_") && name.len() <= NAME_BYTES_MAX)
                .map(|(name, value)| (name.into_owned(), cut(&value, 200)))
                .chain(request.header("referer").map(|page| ("page".to_owned(), cut(page, URL_BYTES_MAX))))
                .take(VALUES_MAX)
                .collect();
            let form = page::form(asked.spoken, &self.parts(&format!("{path}?token={token}"), &hidden));
            html(page::page(asked.spoken, &self.title, &form))
        };
        let frames = self.origins.join(" ");
        let policy = format!(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self' {frames}"
        );
        reply.headers.push(("content-security-policy", policy.replace(['\r', '\n'], " ")));
        reply.headers.push(("cache-control", "no-store".to_owned()));
        Ok(Told::Answer("given_out", reply))
    }

    fn submitted(&self, asked: &Asked, request: RawRequest) -> Told {
        let given = request.query("token");
        let token = given.and_then(|given| Token::read(self.key.as_bytes(), self.connection.as_str(), &given));
        let Some(token) = token else {
            let (en, zh) = (
                "The form was not opened at this place. Reload the page and send it again.",
                "表单令牌无效，请刷新页面后重新提交。",
            );
            return asked.refuse("unauthorized", 403, en, zh);
        };
        let age = self.now.as_second().saturating_sub(token.issued_seconds);
        if age > i64::from(self.rule.seconds_max) || age < 0 {
            let (en, zh) = (
                "The form was open for too long. Reload the page and send it again.",
                "表单已过期，请刷新页面后重新提交。",
            );
            return asked.refuse("expired", 403, en, zh);
        }
        if age < i64::from(self.rule.seconds_min) {
            let (en, zh) = (
                "That was faster than anybody can write. Wait some seconds and send it again.",
                "提交过快，请稍候几秒再提交。",
            );
            return asked.refuse("early", 425, en, zh);
        }
        if request.body.len() > BODY_BYTES_MAX {
            return asked.refuse("body_too_large", 413, "The text is too long.", "内容过长。");
        }
        let values = match values(&request) {
            Ok(values) => values,
            Err(status) => return asked.refuse("malformed", status, "The form cannot be read.", "无法读取表单内容。"),
        };
        let done = self.done(asked);
        if values.get(&self.rule.trap).is_some_and(|value| !value.trim().is_empty()) {
            // It is told the same as a person, so that it learns nothing.
            return Told::Answer("bot", done);
        }
        let filled = |name: &String| values.get(name).is_some_and(|value| !value.trim().is_empty());
        if let Some((missing, _)) = self.fields.iter().find(|(name, required)| *required && !filled(name)) {
            let (en, zh) = (format!("Please fill in: {missing}"), format!("请填写：{missing}"));
            return asked.refuse("incomplete", 422, &en, &zh);
        }
        let id = hex::encode(token.nonce);
        let body = self.submission(asked, &request, &id, &values);
        let verified = Verified { request: RawRequest { body: Bytes::from(body.to_string()), ..request } };
        let (en, zh) =
            ("We have this already. To send another, reload the page.", "此表单已提交；如需再次提交，请刷新页面。");
        Told::Keep { verified, dedupe: format!("form:{id}"), done, again: asked.reply(200, "repeat", en, zh) }
    }

    fn done(&self, asked: &Asked) -> Reply {
        if self.thank_you.is_empty() || asked.json {
            return asked.reply(200, "sent", "Thank you. We have received it.", "提交成功，谢谢！");
        }
        Reply { status: 303, headers: vec![("location", self.thank_you.clone())], ..Reply::ok() }
    }

    /// What was written, with the words that were consented to, and where the visitor came from.
    fn submission(&self, asked: &Asked, request: &RawRequest, id: &str, values: &BTreeMap<String, String>) -> Value {
        let of = |name: &str| {
            values.get(name).map(|value| cut(value.trim(), URL_BYTES_MAX)).filter(|value| !value.is_empty())
        };
        let page = of("page").or_else(|| request.header("referer").map(|page| cut(page, URL_BYTES_MAX)));
        let at = self.now.to_string();
        let mut utm = Map::new();
        let address = page.as_deref().and_then(|page| url::Url::parse(page).ok());
        let in_page = address.iter().flat_map(|address| address.query_pairs().into_owned().collect::<Vec<_>>());
        for (name, value) in in_page.take(VALUES_MAX).chain(values.clone()) {
            if let Some(name) = name.strip_prefix("utm_").filter(|_| !value.trim().is_empty()) {
                utm.insert(cut(name, NAME_BYTES_MAX), json!(cut(value.trim(), 200)));
            }
        }
        let host =
            |text: Option<String>| text.and_then(|text| Some(url::Url::parse(&text).ok()?.host_str()?.to_owned()));
        let channel = utm.get("source").and_then(Value::as_str).map(str::to_owned).or_else(|| host(of("referrer")));
        let consents = self
            .consents
            .iter()
            .filter(|channel| values.get(&format!("consent_{channel}")).is_some_and(|it| is_yes(it)));
        let consent = consents.map(|channel| {
            let told = json!({ "given": true, "text": self.consent_text, "version": self.consent_version, "at": at, "page": page });
            (channel.clone(), told)
        });
        let consent: Map<String, Value> = consent.collect();
        let aside = |name: &str| {
            ["page", "referrer", self.rule.trap.as_str()].contains(&name)
                || name.starts_with("utm_")
                || name.starts_with("consent_")
        };
        let written = values.iter().filter(|(name, value)| !aside(name) && !value.trim().is_empty());
        let written: Map<String, Value> = written.map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "id": id, "form": self.connection.as_str(), "title": self.title, "kind": "form", "at": at, "values": written,
            "consent": consent, "page": page, "referrer": of("referrer"), "utm": utm,
            "channel": channel.unwrap_or_else(|| "direct".to_owned()), "language": asked.spoken.pick("en", "zh"),
        })
    }

    /// The headers by which a browser lets the owner's page read our answer.
    pub fn shared(&self, request: &RawRequest) -> Vec<(&'static str, String)> {
        let Some(origin) = request.header("origin").filter(|origin| self.is_ours(origin, request)) else {
            return Vec::new();
        };
        vec![
            ("access-control-allow-origin", origin.to_owned()),
            ("access-control-allow-methods", "GET, POST".to_owned()),
            ("access-control-allow-headers", "content-type, accept".to_owned()),
            ("access-control-max-age", "600".to_owned()),
            ("vary", "origin".to_owned()),
        ]
    }
}

/// How the caller wants to hear.
struct Asked {
    spoken: Spoken,
    json: bool,
}

impl Asked {
    fn of(request: &RawRequest) -> Self {
        let says = |name: &str| request.header(name).is_some_and(|value| value.contains("application/json"));
        Self { spoken: Spoken::of(request), json: says("accept") || says("content-type") }
    }

    fn reply(&self, status: u16, word: &str, en: &str, zh: &str) -> Reply {
        let text = self.spoken.pick(en, zh);
        if self.json {
            let body = json!({ "ok": status < 300, "result": word, "message": text });
            return Reply {
                status,
                content_type: "application/json",
                body: body.to_string().into(),
                headers: Vec::new(),
            };
        }
        Reply { status, ..html(page::message(self.spoken, text)) }
    }

    fn refuse(&self, word: &'static str, status: u16, en: &str, zh: &str) -> Told {
        Told::Answer(word, self.reply(status, word, en, zh))
    }
}

fn with_header(told: Told, name: &'static str, value: String) -> Told {
    match told {
        Told::Answer(word, mut reply) => {
            reply.headers.push((name, value));
            Told::Answer(word, reply)
        }
        keep @ Told::Keep { .. } => keep,
    }
}

fn html(text: String) -> Reply {
    let headers = vec![("x-content-type-options", "nosniff".to_owned()), ("referrer-policy", "same-origin".to_owned())];
    Reply { status: 200, content_type: "text/html; charset=utf-8", body: text.into(), headers }
}

fn is_yes(value: &str) -> bool {
    !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "no" | "false" | "off" | "0")
}

/// The start of a text, cut between characters.
fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// What was filled in, by name; the HTTP status of the refusal where it cannot be read.
fn values(request: &RawRequest) -> Result<BTreeMap<String, String>, u16> {
    let kind = request
        .header("content-type")
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let mut found: Vec<(String, String)> = Vec::new();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            found.extend(
                url::form_urlencoded::parse(&request.body)
                    .take(VALUES_MAX + 1)
                    .map(|(name, value)| (name.into_owned(), value.into_owned())),
            );
        }
        "application/json" => {
            let body: Map<String, Value> = serde_json::from_slice(&request.body).map_err(|_| 400_u16)?;
            for (name, value) in body {
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text,
                    Value::Bool(flag) => if flag { "yes" } else { "" }.to_owned(),
                    Value::Number(number) => number.to_string(),
                    Value::Array(_) | Value::Object(_) => return Err(400),
                };
                found.push((name, text));
            }
        }
        _ => return Err(415),
    }
    let fits = |(name, value): &(String, String)| name.len() <= NAME_BYTES_MAX && value.len() <= VALUE_BYTES_MAX;
    if found.len() > VALUES_MAX || !found.iter().all(fits) {
        return Err(413);
    }
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in found {
        // A group of boxes has one name.
        values.entry(name).and_modify(|known| *known = format!("{known}, {value}")).or_insert(value);
    }
    Ok(values)
}
