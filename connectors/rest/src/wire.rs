//! One call: from the manifest's words to a request, with authentication, and back to judged JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use huiliu_core::connector::{ConnectorError, Cx, JsonText, Result};
use huiliu_core::manifest::{Auth, Limits, Manifest, Method, OverTls, SettingKind};
use huiliu_core::quota::Told;
use huiliu_core::secrets::Secret;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use crate::failure::{Judge, Verb};
use crate::http::{Http, Request, Response};
use crate::template::{self, Hole, Template, Values};
use crate::{login, oauth, sign};

/// A call before authentication.
pub struct Draft {
    /// The call in words, for messages.
    pub what: String,
    /// What it is for.
    pub verb: Verb,
    /// HTTP method.
    pub method: Method,
    /// Where to, query included.
    pub url: Url,
    /// Headers of this call.
    pub headers: Vec<(String, String)>,
    /// JSON body.
    pub body: Option<Value>,
    /// Whether it is a GraphQL call.
    pub graphql: bool,
    /// The delivery's idempotency key.
    pub idempotency_key: Option<String>,
    /// Where a list of records stands in the reply, which may stay text.
    pub list: Option<String>,
}

/// A judged reply.
pub struct Answer {
    /// Its JSON.
    pub value: Value,
    /// The records of a list that stayed text: in the JSON the list is empty.
    pub records: Option<Vec<JsonText>>,
    /// The reply.
    pub response: Response,
}

/// The way to one connection's system.
pub struct Wire<'a> {
    /// How it speaks.
    pub manifest: &'a Manifest,
    /// What may be touched.
    pub cx: &'a Cx,
    http: Http,
}

impl<'a> Wire<'a> {
    /// The way for one verb.
    pub fn new(manifest: &'a Manifest, cx: &'a Cx) -> Result<Self> {
        Ok(Self { manifest, cx, http: http(manifest, cx)? })
    }

    /// What fills the placeholders of every call of this connection.
    pub fn values(&self) -> Values<'a> {
        let connector = &self.manifest.connector;
        Values { numbers: connector.number_ids.then_some(&connector.config), ..Values::of(self.cx) }
    }

    /// Base URL, path and query. A connection's setting `base_url` stands above the manifest's.
    pub fn url(&self, path: Option<&str>, params: &BTreeMap<String, String>, values: &Values<'_>) -> Result<Url> {
        let mut text = match self.cx.settings.get("base_url") {
            Some(own) => own.clone(),
            None => {
                let connector = &self.manifest.connector;
                let manifest = connector.base_url.as_deref().ok_or_else(|| {
                    ConnectorError::broken(format!("connector {} has no base_url; set config.base_url", connector.name))
                })?;
                address(self.manifest, manifest, values)?
            }
        };
        if let Some(path) = path {
            text = format!("{}/{}", text.trim_end_matches('/'), template::path(path.trim_start_matches('/'), values)?);
        }
        let mut url = Url::parse(&text).map_err(|_| {
            ConnectorError::broken(format!(
                "the address of connection {} is not a URL; check its settings",
                self.cx.connection
            ))
        })?;
        for (name, value) in params {
            if let Some(value) = template::text(value, values)? {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        Ok(url)
    }

    /// Sends a call and judges the reply. A token that is refused is renewed once: nothing was done with it.
    pub async fn send(&self, draft: &Draft) -> Result<Answer> {
        // Without a token nothing is sent.
        let unsent = |error: ConnectorError| match draft.verb {
            Verb::Push(_) => error.before_the_call(),
            _ => error,
        };
        let token = self.token(None).await.map_err(unsent)?;
        let (status, first) = self.once(draft, token.as_deref()).await?;
        // That a session is over, some systems say under HTTP 200, in their words for a missing right.
        let renews = status == 401 || matches!(self.manifest.auth, Some(Auth::Login { .. }));
        match (first, token) {
            (Err(ConnectorError::Unauthorized { .. }), Some(refused)) if renews => {
                let fresh = self.token(Some(&refused)).await.map_err(unsent)?;
                self.once(draft, fresh.as_deref()).await?.1
            }
            (first, _) => first,
        }
    }

    /// A token other than `refused`, where calls carry one that the system gives.
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>> {
        match &self.manifest.auth {
            Some(auth @ (Auth::Oauth2Code { .. } | Auth::Oauth2Client { .. })) => {
                oauth::token(self.manifest, auth, self.cx, &self.http, refused).await.map(Some)
            }
            Some(auth @ Auth::Login { .. }) => login::token(self, auth, refused).await.map(Some),
            _ => Ok(None),
        }
    }

    /// One call and the status of its reply, without another try.
    pub(crate) async fn once(&self, draft: &Draft, token: Option<&str>) -> Result<(u16, Result<Answer>)> {
        let request = self.request(draft, token)?;
        let response = self.http.send(request).await?;
        if let Some(told) = told(&self.manifest.connector.limits, &response, self.cx.clock.now()) {
            self.cx.quota.told(draft.url.path(), told);
        }
        let judge = self.judge(draft);
        let judged = match &draft.list {
            Some(list) => judge.judge_list(&response, list),
            None => judge.judge(&response).map(|value| (value, None)),
        };
        Ok((response.status, judged.map(|(value, records)| Answer { value, records, response })))
    }

    /// Judges the replies to a call.
    pub fn judge<'b>(&'b self, draft: &'b Draft) -> Judge<'b> {
        Judge {
            rules: &self.manifest.connector.errors,
            verb: draft.verb,
            what: &draft.what,
            host: draft.url.host_str().unwrap_or_default(),
            endpoint: draft.url.path(),
            graphql: draft.graphql,
            // By Standard Webhooks a 2xx is all a receiver says.
            status_only: matches!(self.manifest.auth, Some(Auth::StandardWebhook { .. })),
            sent: draft.body.as_ref(),
            cx: self.cx,
        }
    }

    fn request(&self, draft: &Draft, token: Option<&str>) -> Result<Request> {
        let values = Values::of(self.cx);
        let method = match draft.method {
            Method::Get => crate::http::Method::GET,
            Method::Post => crate::http::Method::POST,
            Method::Put => crate::http::Method::PUT,
            Method::Patch => crate::http::Method::PATCH,
            Method::Delete => crate::http::Method::DELETE,
        };
        let mut request = Request::new(method, draft.url.clone()).header("accept", "application/json")?;
        if let Some(body) = &draft.body {
            request = request.json(body);
        }
        for (name, value) in &self.manifest.connector.headers {
            if let Some(value) = template::text(value, &values)? {
                request = request.header(name, &value)?;
            }
        }
        for (name, value) in &draft.headers {
            request = request.header(name, value)?;
        }
        self.authenticate(request, draft, token)
    }

    fn authenticate(&self, mut request: Request, draft: &Draft, token: Option<&str>) -> Result<Request> {
        let values = Values::of(self.cx);
        match &self.manifest.auth {
            Some(Auth::ApiKey { header, param, value }) => {
                let value = template::text_required(value, &values)?;
                if let Some(param) = param {
                    request.url.query_pairs_mut().append_pair(param, &value);
                }
                match header {
                    Some(header) => request.header(header, &value),
                    None => Ok(request),
                }
            }
            Some(Auth::Basic { username, password }) => {
                let user = template::text_required(username, &values)?;
                basic(request, &user, &template::text_required(password, &values)?)
            }
            Some(Auth::Oauth1 { consumer_key, consumer_secret, over_tls }) => {
                let key = template::text_required(consumer_key, &values)?;
                let secret = Secret::new(template::text_required(consumer_secret, &values)?);
                if *over_tls == OverTls::Basic && request.url.scheme() == "https" {
                    return basic(request, &key, secret.expose());
                }
                let stamp = sign::Oauth1Stamp {
                    seconds: self.cx.clock.now().as_second(),
                    nonce: sign::nonce(&key, self.cx.clock.now_us()),
                };
                let params = sign::oauth1(request.method.as_str(), &request.url, &key, &secret, &stamp)?;
                request.url.query_pairs_mut().extend_pairs(params);
                Ok(request)
            }
            Some(Auth::Bearer { token }) => {
                request.header("authorization", &format!("Bearer {}", template::text_required(token, &values)?))
            }
            Some(Auth::Oauth2Code { .. } | Auth::Oauth2Client { .. }) => match token {
                Some(token) => request.header("authorization", &format!("Bearer {token}")),
                None => Err(ConnectorError::broken("a call without its token")),
            },
            Some(Auth::Login { header, prefix, .. }) => match token {
                Some(token) => request.header(header, &format!("{prefix}{token}")),
                // The login itself.
                None => Ok(request),
            },
            Some(Auth::StandardWebhook { secret }) => {
                let secret = Secret::new(template::text_required(secret, &values)?);
                let seconds = self.cx.clock.now().as_second();
                // A call that is no delivery has no key of its own; its instant names it.
                let id = draft.idempotency_key.clone().unwrap_or_else(|| format!("call_{}", self.cx.clock.now_us()));
                let signature =
                    sign::standard_webhook(&secret, &id, seconds, request.body.as_deref().unwrap_or_default())?;
                let request = request.header("webhook-id", &id)?;
                request.header("webhook-timestamp", &seconds.to_string())?.header("webhook-signature", &signature)
            }
            Some(Auth::TimestampSignature { secret }) => {
                let secret = Secret::new(template::text_required(secret, &values)?);
                let stamp_ms = self.cx.clock.now().as_millisecond();
                let sign = sign::timestamp_signature(&secret, stamp_ms)?;
                let mut query = request.url.query_pairs_mut();
                query.append_pair("timestamp", &stamp_ms.to_string()).append_pair("sign", &sign);
                drop(query);
                Ok(request)
            }
            Some(Auth::Connector {}) => Err(ConnectorError::broken("auth kind `connector` needs a Rust connector")),
            Some(Auth::None { .. }) | None => Ok(request),
        }
    }
}

/// What a reply tells about the calls that are left, where the manifest says which headers do.
fn told(limits: &Limits, response: &Response, now: Timestamp) -> Option<Told> {
    /// What is more seconds than a year has is an instant.
    const INSTANTS_FROM: i64 = 366 * 86_400;
    let text = |name: &Option<String>| response.header(name.as_deref()?).map(str::trim);
    let number = |name: &Option<String>| text(name)?.parse::<u64>().ok();
    let used = text(&limits.used_header).and_then(|text| text.split_once('/'));
    let used = used.and_then(|(used, all)| Some((used.trim().parse::<u64>().ok()?, all.trim().parse::<u64>().ok()?)));
    let span_us = number(&limits.interval_ms_header).and_then(|ms| i64::try_from(ms.checked_mul(1000)?).ok());
    let reset = text(&limits.reset_header).and_then(|text| text.parse::<i64>().ok());
    let reset = reset.map(|seconds| if seconds > INSTANTS_FROM { seconds - now.as_second() } else { seconds });
    let told = Told {
        limit: number(&limits.limit_header).or(used.map(|(_, all)| all)),
        left: number(&limits.remaining_header).or(used.map(|(used, all)| all.saturating_sub(used))),
        span_us,
        resets_us: reset.map(|seconds| seconds.saturating_mul(1_000_000).max(0)),
    };
    (told != Told { span_us, ..Told::default() }).then_some(told)
}

fn basic(request: Request, user: &str, password: &str) -> Result<Request> {
    request.header("authorization", &format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

/// The bounded way out for a manifest's limits.
pub fn http(manifest: &Manifest, cx: &Cx) -> Result<Http> {
    let limits = &manifest.connector.limits;
    Http::for_cx(cx, Duration::from_millis(limits.timeout_ms), limits.response_bytes_max)
}

/// Fills an address in. A setting that is not declared as a URL may only name a part of it: a slash or an at sign in a
/// shop's name would lead the credentials to another host.
pub fn address(manifest: &Manifest, text: &str, values: &Values<'_>) -> Result<String> {
    let guard = |hole: &Hole, filled: String| {
        let Hole::Config(name) = hole else { return Ok(filled) };
        let is_url = manifest.connector.config.get(name).is_some_and(|setting| setting.kind == SettingKind::Url);
        let plain = !filled.is_empty() && filled.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if is_url || plain {
            Ok(filled)
        } else {
            Err(ConnectorError::broken(format!(
                "config.{name} may hold letters, digits, dots, dashes and underscores only: it is a part of the address"
            )))
        }
    };
    let parsed = Template::parse(text).map_err(ConnectorError::broken)?;
    parsed.fill(values, guard)?.ok_or_else(|| ConnectorError::broken(format!("`{text}` cannot be filled in here")))
}

/// The body of a GraphQL call.
pub fn graphql_body(document: &str, variables: Option<Value>) -> Value {
    json!({ "query": document, "variables": variables.unwrap_or_else(|| json!({})) })
}
