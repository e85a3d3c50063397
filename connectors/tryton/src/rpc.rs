//! Carries one call out in a session, and renews the session once where the server ended it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::Limits;
use huiliu_core::secrets::Token;
use huiliu_rest::http::{Http, Method, Request, Response};
use serde_json::{Value, json};
use url::Url;

use crate::reply::{self, Failure};
use crate::typed;

/// The way to the server.
pub struct Rpc {
    limits: Limits,
}

/// The name of the session in the vault.
const SESSION: &str = "session";

/// After five failed logins the server counts for this long before it lets the user try again (`session.timeout`).
const LOGIN_WAIT: Duration = Duration::from_mins(5);

impl Rpc {
    /// A way to the server within these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Logs in anew, so that a session that still lives cannot hide a wrong password.
    pub async fn check(&self, cx: &Cx) -> Result<()> {
        let fresh = self.login(cx).await?;
        cx.tokens
            .put(SESSION, &fresh)
            .map_err(|told| ConnectorError::transient(format!("the token store failed: {told}")))
    }

    /// Calls `model.METHOD`; the context is the last of its parameters.
    pub async fn call(
        &self,
        cx: &Cx,
        method: &str,
        mut params: Vec<Value>,
        context: Value,
    ) -> std::result::Result<Value, Failure> {
        params.push(context);
        let method = format!("model.{method}");
        let session = self.session(cx, None).await?;
        let mut response = self.post(cx, Some(&session), &method, &params).await?;
        if is_session_refused(&response) {
            // Nothing was done, so a write may be repeated, too.
            let fresh = self.session(cx, Some(&session)).await?;
            response = self.post(cx, Some(&fresh), &method, &params).await?;
        }
        accept(&response, &method)?;
        reply::open(&response.body).map(typed::plain)
    }

    /// The rows of a model that fit a domain, in the order of their ids unless told otherwise, archived ones as well.
    pub async fn search_read(
        &self,
        cx: &Cx,
        model: &str,
        domain: Value,
        limit: usize,
        order: Value,
        fields: &[String],
    ) -> Result<Vec<Value>> {
        let method = format!("{model}.search_read");
        let params = vec![domain, json!(0), json!(limit), order, json!(fields)];
        let context = json!({ "active_test": false, "language": cx.setting("language")? });
        match self.call(cx, &method, params, context).await {
            Ok(Value::Array(rows)) => Ok(rows),
            Ok(_) => Err(Failure::Malformed.of_read(&method)),
            Err(failure) => Err(failure.of_read(&method)),
        }
    }

    async fn session(&self, cx: &Cx, refused: Option<&str>) -> Result<String> {
        let now_us = cx.clock.now_us();
        let token = cx.tokens.get(SESSION, now_us, refused, |_| self.login(cx)).await?;
        Ok(token.access)
    }

    /// `common.db.login`: the user's number and a session key, good for 30 days unless the server says otherwise.
    async fn login(&self, cx: &Cx) -> Result<Token> {
        let user = cx.setting("username")?;
        let params = json!([user, { "password": cx.secret("password")?.expose() }, "en"]);
        let Value::Array(params) = params else { return Err(ConnectorError::broken("a login without parameters")) };
        let response = self.post(cx, None, "common.db.login", &params).await?;
        match response.status {
            401 => {
                return Err(ConnectorError::Unauthorized {
                    detail: format!(
                        "login: Tryton does not accept user and password; set them with `huiliu connect {}`",
                        cx.connection
                    ),
                });
            }
            404 => {
                return Err(ConnectorError::broken(
                    "login: the server has no database of this name; check config.database",
                ));
            }
            _ => accept(&response, "login")?,
        }
        let result = reply::open(&response.body).map_err(|failure| failure.of_read("login"))?;
        match (result.get(0).and_then(Value::as_u64), result.get(1).and_then(Value::as_str)) {
            (Some(id), Some(key)) => Ok(Token {
                access: BASE64.encode(format!("{user}:{id}:{key}")),
                refresh: None,
                expires_at_us: None,
                extra: BTreeMap::new(),
                rotates: false,
            }),
            _ => Err(Failure::Malformed.of_read("login")),
        }
    }

    async fn post(&self, cx: &Cx, session: Option<&str>, method: &str, params: &[Value]) -> Result<Response> {
        let mut request =
            Request::new(Method::POST, address(cx)?).json(&json!({ "id": 1, "method": method, "params": params }));
        if let Some(session) = session {
            // The cookie of a session is marked secure, so over plain HTTP only the header works.
            request = request.header("authorization", &format!("Session {session}"))?;
        }
        let http = Http::for_cx(cx, Duration::from_millis(self.limits.timeout_ms), self.limits.response_bytes_max)?;
        let response = http.send(request).await?;
        if response.status == 429 {
            let after = http.retry_after(&response).or(Some(LOGIN_WAIT));
            let detail = format!("{method}: the server takes no more tries for a while (HTTP 429)");
            return Err(ConnectorError::RateLimited { detail, after });
        }
        Ok(response)
    }
}

fn address(cx: &Cx) -> Result<Url> {
    let broken = || ConnectorError::broken(format!("config.base_url of connection {} is not a URL", cx.connection));
    let mut url = Url::parse(cx.setting("base_url")?).map_err(|_| broken())?;
    let database = cx.setting("database")?;
    url.path_segments_mut().map_err(|()| broken())?.pop_if_empty().extend([database, "rpc", ""]);
    Ok(url)
}

/// The server itself says so in a header. A 401 of a gateway before it is not answered with the password again.
fn is_session_refused(response: &Response) -> bool {
    response.status == 401 && response.header("www-authenticate").is_some_and(|it| it.contains("Tryton"))
}

fn accept(response: &Response, what: &str) -> Result<()> {
    let detail = format!("{what}: HTTP {}", response.status);
    match response.status {
        200 => Ok(()),
        401 | 403 => Err(ConnectorError::Unauthorized { detail }),
        408 | 500..=599 => Err(ConnectorError::Transient { detail, after: None }),
        413 => Err(ConnectorError::broken(format!("{detail}: lower config.page_size"))),
        _ => Err(ConnectorError::broken(format!("{detail}; check config.base_url and config.database"))),
    }
}
