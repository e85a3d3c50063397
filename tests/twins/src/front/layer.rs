//! What a scenario makes of the calls that pass: faults that wait for the call they fit, and a memory of how the system
//! shows itself, whatever the twin behind is. It lives as long as the scenario is played.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::gate::{self, Gate, Granted, Pair};
use super::mask::Mask;
use crate::script::dialect::{Dialect, Kind};
use crate::script::{Fault, Habit, Script};

/// A ban lasts so long.
const BAN_MS: i64 = 180_000;

/// What becomes of a call before it reaches the twin.
pub(super) enum Before {
    /// It goes on with this address and body.
    Pass(String, Vec<u8>),
    /// This is answered: status, whether a time to wait is told, body.
    Answer(u16, bool, String),
    /// The connection ends.
    Cut,
}

/// What becomes of a reply.
pub(super) enum After {
    /// It is answered like this.
    Answer(Vec<u8>),
    /// The connection ends in the middle.
    Cut,
}

/// Something that people do.
pub type Act = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// See the module.
pub(super) struct Layer {
    dialect: Dialect,
    stores: Vec<Habit>,
    quota: u64,
    armed: Vec<Fault>,
    history: Vec<String>,
    step: usize,
    now_ms: i64,
    banned_until_ms: i64,
    /// Calls of the present minute.
    minute: (i64, u64),
    pub(super) mask: Mask,
    /// The gate, with the header and the value by which the twin knows its caller.
    gate: Option<(Gate, &'static str, String)>,
    /// What people do between two pages.
    pub(super) between: Option<Act>,
}

/// Faults that strike a call before the twin sees it, whatever it does.
const ANY: [Fault; 8] = [
    Fault::ServerError,
    Fault::Limited,
    Fault::LimitedUntil,
    Fault::ErrorInside,
    Fault::CutBefore,
    Fault::Garbled,
    Fault::Expired,
    Fault::Ban,
];

impl Layer {
    pub(super) fn new(dialect: Dialect, script: &Script) -> Self {
        Self {
            dialect,
            stores: script.system.stores.clone(),
            quota: script.system.calls_a_minute,
            armed: Vec::new(),
            history: Vec::new(),
            step: 0,
            now_ms: 0,
            banned_until_ms: 0,
            minute: (0, 0),
            mask: Mask::new(dialect, script.system.lag_seconds * 1_000),
            gate: None,
            between: None,
        }
    }

    pub(super) fn guard(&mut self, header: &'static str, own: &str) {
        self.gate = Some((Gate::default(), header, own.to_owned()));
    }

    pub(super) fn sign_in(&mut self) -> Option<Pair> {
        let now_ms = self.now_ms;
        self.gate.as_mut().map(|(gate, ..)| gate.sign_in(now_ms))
    }

    /// What the gate answers; none: the call may pass, and the twin knows its caller.
    pub(super) fn pass_gate(&mut self, call: &str, headers: &mut HeaderMap, body: &[u8]) -> Option<Before> {
        let now_ms = self.now_ms;
        let (gate, header, own) = self.gate.as_mut()?;
        let answer = |status: u16, text: String| Some(Before::Answer(status, false, text));
        if call.split(['?', ' ']).nth(1) != Some(gate::PATH) {
            let shown = headers.get("authorization").and_then(|it| it.to_str().ok()).unwrap_or_default();
            if !gate.admits(shown, now_ms) {
                return answer(401, self.dialect.expired.1.to_owned());
            }
            headers.insert(*header, HeaderValue::from_str(own).ok()?);
            return None;
        }
        let granted = gate.grant(&String::from_utf8_lossy(body), now_ms);
        if matches!(granted, Granted::Revoked) {
            self.note("the family of tokens is revoked");
        }
        let Granted::Fresh(tokens) = granted else { return answer(400, r#"{"error":"invalid_grant"}"#.to_owned()) };
        if self.take(|fault| fault == Fault::TokenLost).is_some() {
            self.note(Fault::TokenLost.word());
            return Some(Before::Cut);
        }
        answer(200, tokens.to_string())
    }

    /// The next step of the day begins now.
    pub(super) fn step(&mut self, now_ms: i64) {
        self.step += 1;
        self.now_ms = now_ms;
        self.mask.now_ms = now_ms;
    }

    pub(super) fn arm(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.armed.extend(faults);
    }

    pub(super) fn end_quota(&mut self) {
        self.quota = 0;
    }

    /// Something struck.
    pub(super) fn note(&mut self, what: &str) {
        self.history.push(format!("{}: {what}", self.step));
    }

    pub(super) fn history(&self) -> Vec<String> {
        self.history.clone()
    }

    pub(super) fn armed(&self) -> Vec<Fault> {
        self.armed.clone()
    }

    fn take(&mut self, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let at = self.armed.iter().position(|fault| fits(*fault))?;
        Some(self.armed.remove(at))
    }

    /// `call` is `METHOD /path?query`; the address is what follows the method.
    pub(super) fn before(&mut self, call: &str, body: &[u8]) -> (Kind, Before) {
        let body = String::from_utf8_lossy(body).into_owned();
        let kind = (self.dialect.kind)(call, &body);
        let answer = |(status, text): (u16, &str), told: bool| (kind, Before::Answer(status, told, text.to_owned()));
        if self.is_shut_out() {
            return answer(self.dialect.limited, false);
        }
        let struck = self.take(|fault| ANY.contains(&fault) && (fault != Fault::Expired || kind != Kind::Token));
        if let Some(fault) = struck {
            self.note(&format!("{} {}", fault.word(), path(call)));
            return match fault {
                Fault::ServerError => answer((500, "<html>error</html>"), false),
                Fault::Limited => answer(self.dialect.limited, false),
                Fault::LimitedUntil => answer(self.dialect.limited, true),
                Fault::ErrorInside => answer(self.dialect.busy, false),
                Fault::Garbled => answer((200, "<html>Please sign in</html>"), false),
                Fault::Expired => answer(self.dialect.expired, false),
                Fault::Ban => {
                    self.banned_until_ms = self.now_ms + BAN_MS;
                    answer(self.dialect.limited, false)
                }
                _ => (kind, Before::Cut),
            };
        }
        if kind == Kind::Write && self.mask.lacks_required(&body) {
            self.note(&format!("{} {}", Fault::FieldRequired.word(), path(call)));
            return answer(self.dialect.refused, false);
        }
        let address = self.mask.address(call.split_once(' ').map_or(call, |(_, address)| address));
        let body = if kind == Kind::Write { self.stored(&body) } else { body };
        (kind, Before::Pass(address, self.mask.asked(&body).into_bytes()))
    }

    /// Whether the caller is banned, for this call or for an earlier one.
    fn is_shut_out(&mut self) -> bool {
        let minute = self.now_ms / 60_000;
        self.minute = if self.minute.0 == minute { (minute, self.minute.1 + 1) } else { (minute, 1) };
        // Before the first step it is only read in.
        if self.step > 0 && self.quota > 0 && self.minute.1 > self.quota && self.now_ms >= self.banned_until_ms {
            self.note("ban for its quota");
            self.banned_until_ms = self.now_ms + BAN_MS;
        }
        self.now_ms < self.banned_until_ms
    }

    /// What becomes of a reply, and what happens before it is answered.
    pub(super) fn after(&mut self, kind: Kind, call: &str, reply: &[u8]) -> (After, Option<Act>) {
        let mut act = None;
        (self.answered(kind, call, reply, &mut act), act)
    }

    fn answered(&mut self, kind: Kind, call: &str, reply: &[u8], act: &mut Option<Act>) -> After {
        if kind == Kind::Write && self.take(|fault| fault == Fault::CutAfter).is_some() {
            self.note(&format!("{} {}", Fault::CutAfter.word(), path(call)));
            return After::Cut;
        }
        if kind != Kind::Token && self.take(|fault| fault == Fault::Truncated).is_some() {
            self.note(&format!("{} {}", Fault::Truncated.word(), path(call)));
            return After::Answer(reply[..reply.len() / 2].to_vec());
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(reply) else { return After::Answer(reply.to_vec()) };
        if let Kind::List(at) = kind {
            *act = self.list(call, at, &mut value);
        }
        self.mask.shown(&mut value);
        After::Answer(value.to_string().into_bytes())
    }

    fn list(&mut self, call: &str, at: &str, reply: &mut Value) -> Option<Act> {
        let goes_on = (self.dialect.goes_on)(reply);
        let is_full = reply.pointer(at).and_then(Value::as_array).is_some_and(|records| !records.is_empty());
        if !is_full {
            return None;
        }
        let fits = |fault| match fault {
            Fault::EmptyEnd => true,
            Fault::EmptyPage | Fault::MovingPage => goes_on,
            _ => false,
        };
        let struck = self.take(fits);
        if let Some(fault) = struck {
            self.note(&format!("{} {}", fault.word(), path(call)));
        }
        if let Some(fault @ (Fault::EmptyPage | Fault::EmptyEnd)) = struck {
            if let Some(records) = reply.pointer_mut(at) {
                *records = Value::Array(Vec::new());
            }
            if fault == Fault::EmptyEnd {
                (self.dialect.end)(reply);
            }
            return None;
        }
        if let Some(Value::Array(records)) = reply.pointer_mut(at) {
            self.mask.lagged(records);
        }
        struck.and(self.between.clone())
    }

    /// What is written, in the form in which the system stores it.
    fn stored(&self, body: &str) -> String {
        if self.stores.is_empty() {
            return body.to_owned();
        }
        let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
        self.store_all(&mut value);
        value.to_string()
    }

    fn store_all(&self, value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, inner)| {
                let (is_text, is_phone) =
                    (self.dialect.texts.contains(&name.as_str()), self.dialect.phones.contains(&name.as_str()));
                match inner {
                    Value::String(text) if is_text || is_phone => *text = self.store(text, is_phone),
                    Value::Array(list) if is_phone => list.iter_mut().for_each(|one| {
                        if let Value::String(text) = one {
                            *text = self.store(text, true);
                        }
                    }),
                    // The vendor takes JSON inside a text.
                    Value::String(text) if text.starts_with('{') => *text = self.stored(text),
                    Value::Number(number) if self.stores.contains(&Habit::Round) => {
                        if let Some(round) = number.as_f64().filter(|_| number.is_f64()) {
                            *inner = Value::from(round.trunc());
                        }
                    }
                    inner => self.store_all(inner),
                }
            }),
            Value::Array(list) => list.iter_mut().for_each(|inner| self.store_all(inner)),
            _ => {}
        }
    }

    fn store(&self, text: &str, is_phone: bool) -> String {
        let has = |habit| self.stores.contains(&habit);
        let text = if has(Habit::Trim) { text.trim() } else { text };
        if is_phone && has(Habit::GroupPhones) {
            return grouped(text);
        }
        if !is_phone && has(Habit::TitleCase) { title_case(text) } else { text.to_owned() }
    }
}

/// The address without its query, which may hold an instant.
fn path(call: &str) -> &str {
    call.split('?').next().unwrap_or(call)
}

/// `138 0013 8001`, if it is a mobile of the country.
fn grouped(text: &str) -> String {
    let plain = text.strip_prefix("+86").unwrap_or(text).trim();
    match (plain.get(..3), plain.get(3..7), plain.get(7..11), plain.len()) {
        (Some(a), Some(b), Some(c), 11) => format!("{a} {b} {c}"),
        _ => text.to_owned(),
    }
}

fn title_case(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect::<Vec<_>>().join(" ")
}
