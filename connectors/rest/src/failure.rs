//! What a reply means: the manifest's error rules first, then what HTTP says.

use huiliu_core::connector::{ConnectorError, Cx, JsonText, Operation, Result};
use huiliu_core::manifest::{ErrorKind, ErrorRule};
use serde_json::Value;

use crate::http::Response;
use crate::{listed, login, oauth, pointer, throttle};

/// A system's message is for a person to read; a longer one is cut, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// What a call is for: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Proving the credentials.
    Check,
    /// Listing.
    Pull,
    /// Reading one record.
    Fetch,
    /// Writing one record.
    Push(Operation),
}

/// One call, as far as judging its reply needs it.
pub struct Judge<'a> {
    /// The manifest's rules.
    pub rules: &'a [ErrorRule],
    /// What the call is for.
    pub verb: Verb,
    /// The call in words: `pull customers of shop-1`.
    pub what: &'a str,
    /// Who was called.
    pub host: &'a str,
    /// The path of the call.
    pub endpoint: &'a str,
    /// Whether `/errors` means failure under any status.
    pub graphql: bool,
    /// Whether a 2xx reply may be something else than JSON, because only its status counts.
    pub status_only: bool,
    /// What was sent: its values are hidden from messages.
    pub sent: Option<&'a Value>,
    /// Secrets to hide from messages, and the time.
    pub cx: &'a Cx,
}

impl Judge<'_> {
    /// The reply's JSON (null for an empty body), or what went wrong.
    pub fn judge(&self, response: &Response) -> Result<Value> {
        let body = &response.body;
        self.judge_read(response, if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) })
    }

    /// The same of a reply with a list of records at `list`, which are text where they can be: then they are missing in the
    /// reply's JSON.
    pub fn judge_list(&self, response: &Response, list: &str) -> Result<(Value, Option<Vec<JsonText>>)> {
        let leads_in = |at: &String| {
            let inner = at.strip_prefix(list).and_then(|inner| inner.strip_prefix('/')).unwrap_or_default();
            inner.starts_with(|first: char| first == '*' || first.is_ascii_digit())
        };
        if self.rules.iter().flat_map(|rule| rule.at.iter().chain(&rule.message)).any(leads_in) {
            return self.judge(response).map(|whole| (whole, None));
        }
        match listed::split(&response.body, list) {
            Some((around, records)) => Ok((self.judge_read(response, Ok(around))?, Some(records))),
            None => self.judge(response).map(|whole| (whole, None)),
        }
    }

    fn judge_read(&self, response: &Response, parsed: serde_json::Result<Value>) -> Result<Value> {
        let reply = parsed.as_ref().unwrap_or(&Value::Null);
        if let Some(rule) = self.rules.iter().find(|rule| fits(rule, response.status, reply)) {
            let message = rule.message.as_deref().and_then(|at| message(reply, at));
            return Err(self.error(rule.kind, message, response, reply));
        }
        if !response.is_success() {
            return Err(self.by_status(response, reply));
        }
        if self.status_only {
            return Ok(parsed.unwrap_or_default());
        }
        let Ok(value) = parsed else {
            return Err(ConnectorError::broken(format!(
                "{}: the reply of {} is not JSON; check config.base_url, and whether a login page or proxy answers",
                self.what, self.host
            )));
        };
        if self.graphql && value.pointer("/errors").is_some_and(|errors| !pointer::is_empty(errors)) {
            let kind = if matches!(self.verb, Verb::Push(_)) { ErrorKind::Rejected } else { ErrorKind::Broken };
            return Err(self.error(kind, message(&value, "/errors/0/message"), response, &value));
        }
        Ok(value)
    }

    fn by_status(&self, response: &Response, reply: &Value) -> ConnectorError {
        let of_record = matches!(self.verb, Verb::Fetch | Verb::Push(Operation::Update | Operation::Delete));
        let writes = matches!(self.verb, Verb::Push(_));
        let kind = match response.status {
            401 | 403 => ErrorKind::Unauthorized,
            404 | 410 if of_record => ErrorKind::Gone,
            410 if self.verb == Verb::Pull => ErrorKind::CursorExpired,
            408 | 425 | 500..=599 => ErrorKind::Transient,
            409 | 412 if writes => ErrorKind::Conflict,
            // A read that collides with somebody's write succeeds later.
            409 => ErrorKind::Transient,
            429 => ErrorKind::RateLimited,
            400..=499 if writes || self.verb == Verb::Fetch => ErrorKind::Rejected,
            _ => ErrorKind::Broken,
        };
        self.error(kind, told(reply), response, reply)
    }

    /// The manifest's rules for one result of many, instead of the whole reply.
    pub fn judge_one(&self, rules: &[ErrorRule], result: &Value, response: &Response) -> Result<()> {
        let Some(rule) = rules.iter().find(|rule| fits(rule, response.status, result)) else { return Ok(()) };
        let message = rule.message.as_deref().and_then(|at| message(result, at)).or_else(|| told(result));
        Err(self.error(rule.kind, message, response, result))
    }

    fn error(&self, kind: ErrorKind, told: Option<String>, response: &Response, reply: &Value) -> ConnectorError {
        let told = told.map_or(String::new(), |text| format!(": {}", self.redact(text)));
        let next = self.next_step(kind, response.status);
        let detail = format!("{}: {} answered HTTP {}{told}; {next}", self.what, self.host, response.status);
        let after = || response.retry_after(self.cx.clock.now()).or_else(|| throttle::wait(reply));
        match kind {
            ErrorKind::Transient => ConnectorError::Transient { detail, after: after() },
            ErrorKind::RateLimited => {
                let after = after();
                match throttle::wait(reply) {
                    // The bucket said how full it is: there is nothing to guess.
                    Some(wait) => self.cx.quota.pause(wait),
                    None => self.cx.quota.refused(self.endpoint, after),
                }
                ConnectorError::RateLimited { detail, after }
            }
            ErrorKind::Unauthorized => ConnectorError::Unauthorized { detail },
            ErrorKind::Rejected => ConnectorError::Rejected { at: field(reply), reason: detail },
            ErrorKind::Conflict => ConnectorError::Conflict { detail },
            ErrorKind::Gone => ConnectorError::Gone { detail },
            ErrorKind::CursorExpired => ConnectorError::CursorExpired { detail },
            ErrorKind::Broken => ConnectorError::Broken { detail },
        }
    }

    fn next_step(&self, kind: ErrorKind, status: u16) -> String {
        let connection = &self.cx.connection;
        match kind {
            ErrorKind::Transient => "it is tried again".to_owned(),
            ErrorKind::RateLimited => "it is tried again when the limit allows".to_owned(),
            ErrorKind::Unauthorized => {
                format!("check the rights of the account, then run `huiliu connect {connection}`")
            }
            ErrorKind::Rejected => "mend the value or its mapping, then retry it".to_owned(),
            ErrorKind::Conflict => "the record is read and planned again".to_owned(),
            ErrorKind::Gone => "its link is closed".to_owned(),
            ErrorKind::CursorExpired => "the stream starts from the beginning".to_owned(),
            ErrorKind::Broken if (300..400).contains(&status) => {
                "it points elsewhere, and nobody follows with credentials: set config.base_url".to_owned()
            }
            ErrorKind::Broken => "compare the manifest and the settings with what the system documents".to_owned(),
        }
    }

    /// The message without the values we sent, which may be personal, and without the connection's secrets.
    fn redact(&self, mut text: String) -> String {
        let tokens = [oauth::TOKEN, login::TOKEN].map(|name| self.cx.tokens.current(name).ok().flatten());
        let tokens = tokens.iter().flatten().flat_map(|token| [Some(token.access.as_str()), token.refresh.as_deref()]);
        let secrets = self.cx.secrets.values().map(huiliu_core::secrets::Secret::expose);
        for secret in secrets.chain(tokens.flatten()) {
            if !secret.is_empty() {
                text = text.replace(secret, "…");
            }
        }
        if let Some(sent) = self.sent {
            hide(&mut text, sent);
        }
        cut(text)
    }
}

fn fits(rule: &ErrorRule, status: u16, reply: &Value) -> bool {
    if rule.status.is_some_and(|wanted| wanted != status) {
        return false;
    }
    let Some(at) = &rule.at else { return true };
    pointer::find(reply, at).into_iter().any(|value| {
        let text = pointer::text(value);
        if let Some(fine) = &rule.unless {
            return text.is_some_and(|text| text != *fine);
        }
        if rule.equals.is_none() && rule.one_of.is_empty() {
            return !pointer::is_empty(value);
        }
        text.is_some_and(|text| rule.equals.as_ref() == Some(&text) || rule.one_of.contains(&text))
    })
}

fn message(reply: &Value, at: &str) -> Option<String> {
    pointer::find(reply, at).into_iter().find_map(pointer::text).filter(|text| !text.is_empty())
}

/// The message in the shapes met so far.
fn told(reply: &Value) -> Option<String> {
    let places = ["/message", "/error/message", "/error_description", "/errors/0/message", "/detail", "/error"];
    places.iter().find_map(|at| message(reply, at))
}

/// Where the system puts the name of the refused field, in the shapes met so far.
fn field(reply: &Value) -> String {
    let known = ["/field", "/error/field", "/errors/0/field", "/data/*/userErrors/0/field"];
    let named = known.iter().find_map(|at| reply.pointer(at).or_else(|| under_data(reply, at)));
    match named {
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(pointer::text).fold(String::new(), |at, part| at + "/" + &part)
        }
        Some(value) => pointer::text(value).unwrap_or_default(),
        None => String::new(),
    }
}

/// GraphQL names the mutation between `data` and `userErrors`.
fn under_data<'v>(reply: &'v Value, at: &str) -> Option<&'v Value> {
    let inner = at.strip_prefix("/data/*")?;
    reply.get("data")?.as_object()?.values().find_map(|value| value.pointer(inner))
}

/// A system's message, not longer than a person reads.
pub fn cut(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Takes the values that were sent, which may be personal, out of a system's message.
pub fn hide(text: &mut String, sent: &Value) {
    match sent {
        // One character says nothing about anybody, and hiding it would make the message unreadable.
        Value::String(value) if value.trim().chars().count() > 1 => *text = text.replace(value.trim(), "…"),
        Value::Number(number) if number.to_string().len() > 4 => *text = text.replace(&number.to_string(), "…"),
        Value::Array(list) => list.iter().for_each(|value| hide(text, value)),
        Value::Object(map) => map.values().for_each(|value| hide(text, value)),
        _ => {}
    }
}
