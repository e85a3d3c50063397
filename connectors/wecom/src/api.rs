//! Calls: the access token, and what the answers mean.
//!
//! `WeCom` answers HTTP 200 whatever happened; `errcode` says what (document 90313). The access token travels in the
//! query, so no URL may reach a message.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::secrets::Token;
use serde_json::Value;

use crate::wire::Wire;

/// The calls of one connection.
pub(crate) struct Api<'a> {
    pub(crate) cx: &'a Cx,
    wire: &'a Wire,
}

/// An answer with an `errcode` other than 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: i64,
    call: &'static str,
}

/// The relation between member and customer does not exist (any more).
pub(crate) const NO_RELATION: i64 = 84061;
/// The external user id is not one of this corp.
pub(crate) const NO_SUCH_CUSTOMER: i64 = 40096;
/// More than 1,000 group chats are visible: the list must be asked for by owner.
pub(crate) const TOO_MANY_CHATS: i64 = 81017;

/// Codes that say that the token is no longer good: invalid credential, invalid token, expired token.
const TOKEN_REFUSED: [i64; 3] = [40001, 40014, 42001];

/// More calls in a stretch of time than are allowed; too many at the same moment (45033) say nothing about that.
const OVER_THE_LIMIT: i64 = 45009;

/// A minute limit blocks for 60 s (document 90454); an hour's limit shows itself by refusing again.
const MINUTE_BLOCK: Duration = Duration::from_secs(60);

/// What a call failed with: an answer that the caller may know what to do with, or anything else.
pub(crate) enum Failure {
    Refused(Refusal),
    Failed(ConnectorError),
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::Failed(error)
    }
}

impl From<Failure> for ConnectorError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Failed(error) => error,
        }
    }
}

impl Failure {
    /// Whether the answer was this `errcode`.
    pub(crate) fn is(&self, code: i64) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }
}

impl<'a> Api<'a> {
    pub(crate) fn new(cx: &'a Cx, wire: &'a Wire) -> Self {
        Self { cx, wire }
    }

    /// A `GET` under `/cgi-bin/`.
    pub(crate) async fn get(&self, call: &'static str, query: &[(&str, &str)]) -> std::result::Result<Value, Failure> {
        self.call(call, query, None).await
    }

    /// A `POST` of JSON under `/cgi-bin/`.
    pub(crate) async fn post(&self, call: &'static str, body: &Value) -> std::result::Result<Value, Failure> {
        self.call(call, &[], Some(body)).await
    }

    /// One call with the present token, and once more with a new one if the token was refused: `WeCom` may end a
    /// token before its time.
    async fn call(
        &self,
        call: &'static str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> std::result::Result<Value, Failure> {
        let token = self.token(None).await?;
        match self.with_token(call, query, body, &token).await {
            Err(Failure::Refused(refusal)) if TOKEN_REFUSED.contains(&refusal.code) => {
                let fresh = self.token(Some(&token)).await?;
                self.with_token(call, query, body, &fresh).await
            }
            outcome => outcome,
        }
    }

    async fn with_token(
        &self,
        call: &'static str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        token: &str,
    ) -> std::result::Result<Value, Failure> {
        let mut pairs = vec![("access_token", token)];
        pairs.extend_from_slice(query);
        let reply = self.wire.send(self.cx, call, &pairs, body).await?;
        self.sorted(call, reply)
    }

    async fn token(&self, rejected: Option<&str>) -> Result<String> {
        let now_us = self.cx.clock.now_us();
        let token = self.cx.tokens.get(TOKEN_NAME, now_us, rejected, |_| self.new_token(now_us)).await?;
        Ok(token.access)
    }

    /// `gettoken` (document 91039).
    async fn new_token(&self, now_us: i64) -> Result<Token> {
        let secret = self.cx.secret("corp_secret")?;
        let query = [("corpid", self.cx.setting("corp_id")?), ("corpsecret", secret.expose())];
        let reply = self.wire.send(self.cx, "gettoken", &query, None).await?;
        let reply = self.sorted("gettoken", reply)?;
        let access = reply["access_token"].as_str().filter(|token| !token.is_empty());
        let seconds = number(&reply["expires_in"]);
        match (access, seconds) {
            (Some(access), Some(seconds)) => Ok(Token {
                access: access.to_owned(),
                refresh: None,
                expires_at_us: Some(now_us.saturating_add(seconds.saturating_mul(1_000_000))),
                extra: std::collections::BTreeMap::default(),
                rotates: false,
            }),
            _ => Err(ConnectorError::broken("WeCom gettoken answered without access_token or expires_in")),
        }
    }

    /// The answer, or what its `errcode` says. The code is a number, in some answers a text.
    fn sorted(&self, call: &'static str, reply: Value) -> std::result::Result<Value, Failure> {
        match number(&reply["errcode"]) {
            Some(0) => Ok(reply),
            Some(code) => {
                let refusal = Refusal { code, call };
                match refusal.clone().into() {
                    ConnectorError::RateLimited { after, .. } if code == OVER_THE_LIMIT => {
                        self.cx.quota.refused(&format!("/cgi-bin/{call}"), after);
                    }
                    ConnectorError::RateLimited { after: Some(wait), .. } => self.cx.quota.pause(wait),
                    _ => {}
                }
                Err(Failure::Refused(refusal))
            }
            None => Err(ConnectorError::broken(format!("WeCom {call} answered without an errcode")).into()),
        }
    }
}

const TOKEN_NAME: &str = "access_token";

/// A whole number, written as number or as text.
pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl From<Refusal> for ConnectorError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, call } = refusal;
        let said = |what: &str| format!("WeCom {call} answered {code}: {what}");
        let unauthorized = |what: &str| Self::Unauthorized { detail: said(what) };
        let rejected = |at: &str, what: &str| Self::Rejected { at: at.to_owned(), reason: said(what) };
        match code {
            -1 => Self::transient(said("the system is busy")),
            OVER_THE_LIMIT => Self::RateLimited {
                detail: said("too many calls; limits are per corp and per address"),
                after: Some(MINUTE_BLOCK),
            },
            45033 => Self::RateLimited { detail: said("too many calls at once"), after: Some(Duration::from_secs(1)) },
            40001 if call == "gettoken" => {
                unauthorized("the app secret is wrong; copy it again and run `huiliu connect`")
            }
            40001 | 40014 | 41001 | 42001 => {
                unauthorized("the access token is refused even when new; check the app secret")
            }
            40013 => unauthorized("the corp id is wrong; it is shown under 我的企业 in the admin console"),
            48002 => unauthorized(
                "this app may not call the customer contact API; list it under 客户联系 → API → 可调用应用 in the admin \
                 console",
            ),
            60011 => unauthorized("the app does not see this member or department; widen its visible range"),
            60020 => unauthorized("this machine's address is not allowed; add it to the app's 企业可信IP"),
            40058 => rejected("", "a parameter is too long or has the wrong form"),
            40096 => rejected("/external_contact/external_userid", "no such customer in this corp"),
            40056 | 301_002 => rejected("", "config.agent_id is not the AgentId of this app"),
            81013 => rejected("/to", "none of those who were to be told exists, or sees the app"),
            60111 => rejected("/userid", "no such member in this corp"),
            NO_RELATION => Self::Gone { detail: said("the member and the customer are no longer connected") },
            _ => rejected("", "see https://developer.work.weixin.qq.com/document/path/90313"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds() {
        let rows = [
            (-1, "transient"),
            (45009, "rate_limited"),
            (45033, "rate_limited"),
            (40001, "unauthorized"),
            (40013, "unauthorized"),
            (48002, "unauthorized"),
            (60020, "unauthorized"),
            (40096, "rejected"),
            (40058, "rejected"),
            (84061, "gone"),
            (99999, "rejected"),
        ];
        for (code, kind) in rows {
            assert_eq!(ConnectorError::from(Refusal { code, call: "x" }).kind(), kind, "{code}");
        }
        assert_eq!(number(&serde_json::json!("42001")), Some(42001));
        assert_eq!(number(&serde_json::json!(0)), Some(0));
        assert_eq!(number(&Value::Null), None);
    }
}
