//! Carries one call out over the engine's bounded way.
//!
//! The access token and the app secret travel in the query, so no URL reaches a message.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::Limits;
use huiliu_rest::http::{Http, Method, Request, Response};
use serde_json::Value;
use url::Url;

/// The way to the system.
pub(crate) struct Wire {
    limits: Limits,
}

impl Wire {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Calls `/cgi-bin/{call}` and reads the answer as JSON.
    pub(crate) async fn send(
        &self,
        cx: &Cx,
        call: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let base = cx.setting("base_url")?.trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}/cgi-bin/{call}")).map_err(|_| {
            ConnectorError::broken(format!("config.base_url of connection {} is not a URL", cx.connection))
        })?;
        url.query_pairs_mut().extend_pairs(query);
        let request = match body {
            Some(body) => Request::new(Method::POST, url).json(body),
            None => Request::new(Method::GET, url),
        };
        let http = Http::for_cx(cx, Duration::from_millis(self.limits.timeout_ms), self.limits.response_bytes_max)?;
        let response = http.send(request).await?;
        accept(&response, http.retry_after(&response), call)?;
        serde_json::from_slice(&response.body)
            .map_err(|_| ConnectorError::broken(format!("WeCom {call}: the answer is not JSON; check config.base_url")))
    }
}

/// `WeCom` itself always answers 200; anything else comes from what stands before it.
fn accept(response: &Response, after: Option<Duration>, call: &str) -> Result<()> {
    let detail = format!("WeCom {call}: HTTP {}", response.status);
    match response.status {
        200 => Ok(()),
        401 | 403 => Err(ConnectorError::Unauthorized { detail }),
        429 => Err(ConnectorError::RateLimited { detail, after }),
        408 | 500..=599 => Err(ConnectorError::Transient { detail, after }),
        _ => Err(ConnectorError::broken(format!("{detail}; check config.base_url"))),
    }
}
