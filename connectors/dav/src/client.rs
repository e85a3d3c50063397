//! Calls to one server: authenticated, bounded by the REST engine's transport, kept to hosts that somebody named.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::Limits;
use huiliu_rest::http::{Http, Method, Request, Response};
use url::Url;

use crate::kind::{Kind, Reading};
use crate::xml::{self, MultiStatus};

/// Redirects that one call follows: a well-known address leads on once or twice.
const REDIRECTS_MAX: usize = 5;

/// What a call is for: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Finding collections, listing changes, reading many members.
    Read,
    /// Reading or writing one member.
    Member,
}

/// The way to one connection's server.
pub struct Client<'a> {
    /// Address book or calendar.
    pub kind: Kind,
    /// What may be touched.
    pub cx: &'a Cx,
    /// Where discovery starts, or the collection itself.
    pub base: Url,
    /// What a reading needs to know.
    pub reading: Reading,
    http: Http,
    authorization: String,
    hosts: Vec<String>,
}

/// One member's text and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The entity tag with its quotes; empty where the server tells none.
    pub etag: String,
    /// The text.
    pub text: String,
}

impl<'a> Client<'a> {
    /// The way for a connection's settings.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] naming the setting that is wrong, [`ConnectorError::Unauthorized`] for a missing
    /// secret.
    pub fn new(kind: Kind, limits: &Limits, cx: &'a Cx) -> Result<Self> {
        let base = Url::parse(cx.setting("url")?.trim()).ok().filter(|url| url.host().is_some()).ok_or_else(|| {
            ConnectorError::broken(format!("config.url of connection {} is not a URL; write https://…", cx.connection))
        })?;
        let (user, password) = (cx.setting("username")?, cx.secret("password")?);
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose())));
        let list = |name: &str| -> Vec<String> {
            let text = cx.settings.get(name).map(String::as_str).unwrap_or_default();
            text.split(',').map(|part| part.trim().to_lowercase()).filter(|part| !part.is_empty()).collect()
        };
        let mut own = list("addresses");
        own.extend(Some(user.trim().to_lowercase()).filter(|user| user.contains('@')));
        let zone = cx.settings.get("time_zone").map(|name| {
            jiff::tz::TimeZone::get(name.trim()).map_err(|_| {
                ConnectorError::broken(format!(
                    "config.time_zone of connection {} is no zone; write Asia/Shanghai",
                    cx.connection
                ))
            })
        });
        Ok(Self {
            kind,
            cx,
            base,
            reading: Reading { zone: zone.transpose()?, own },
            http: Http::for_cx(cx, Duration::from_millis(limits.timeout_ms), limits.response_bytes_max)?,
            authorization,
            hosts: list("hosts"),
        })
    }

    /// A URL that the server named, if it leads to the configured host or one that the operator allowed: the password
    /// travels with every call.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] that says which host to allow.
    pub fn follow(&self, from: &Url, href: &str) -> Result<Url> {
        let mut url = from.join(href.trim()).map_err(|_| {
            ConnectorError::broken(format!(
                "{} names an address that is no URL",
                self.base.host_str().unwrap_or_default()
            ))
        })?;
        url.set_fragment(None);
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let origin =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_lowercase), url.port_or_known_default());
        let upgraded =
            self.base.scheme() == "http" && url.scheme() == "https" && url.host_str() == self.base.host_str();
        let named = self.hosts.contains(&host) && (url.scheme() == "https" || self.base.scheme() == "http");
        if origin(&url) == origin(&self.base) || upgraded || named {
            return Ok(url);
        }
        Err(ConnectorError::broken(format!(
            "the server leads to {}://{host}, which is not the address of connection {}; if that is right, add the host to \
             config.hosts, for the password goes there too",
            url.scheme(),
            self.cx.connection
        )))
    }

    /// What stands for a URL in a record's id: the path, or all of it on another host.
    pub fn id_of(&self, url: &Url) -> String {
        if url.origin() == self.base.origin() { url.path().to_owned() } else { url.to_string() }
    }

    async fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<(Url, Response)> {
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| ConnectorError::broken("a call has no method"))?;
        let reads = method != Method::PUT;
        let body = body.map(Bytes::from);
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::new(method.clone(), url.clone()).header("authorization", &self.authorization)?;
            for (name, value) in headers {
                request = request.header(name, value)?;
            }
            request.body.clone_from(&body);
            let response = self.http.send(request).await?;
            let moved = matches!(response.status, 307 | 308) || (reads && matches!(response.status, 301 | 302));
            match response.header("location").filter(|_| moved) {
                Some(location) => url = self.follow(&url, location)?,
                None => return Ok((url, response)),
            }
        }
        Err(ConnectorError::broken(format!(
            "{} redirects in a circle; check config.url",
            url.host_str().unwrap_or_default()
        )))
    }

    /// Asks for properties. The answered URL is where redirects led. None: nothing there speaks WebDAV.
    ///
    /// # Errors
    /// As [`Client::failure`].
    pub async fn propfind(&self, url: &Url, depth: &str, properties: &str) -> Result<Option<(Url, MultiStatus)>> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:propfind xmlns:d=\"DAV:\" xmlns:k=\"{}\"><d:prop>{properties}</d:prop></d:propfind>",
            self.kind.namespace()
        );
        let headers = [("depth", depth), ("content-type", "application/xml; charset=utf-8")];
        let (url, response) = self.send("PROPFIND", url, &headers, Some(body)).await?;
        if matches!(response.status, 200..=206 | 404 | 405 | 410 | 501) {
            return Ok(None);
        }
        let found = self.multi_status(&url, &response)?;
        Ok(Some((url, found)))
    }

    /// Runs a report; whatever came back.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn report(&self, url: &Url, depth: &str, body: String) -> Result<Response> {
        let headers = [("depth", depth), ("content-type", "application/xml; charset=utf-8")];
        Ok(self.send("REPORT", url, &headers, Some(body)).await?.1)
    }

    /// A 207 read.
    ///
    /// # Errors
    /// As [`Client::failure`], or [`ConnectorError::Broken`] for something else than a multi-status.
    pub fn multi_status(&self, url: &Url, response: &Response) -> Result<MultiStatus> {
        let host = url.host_str().unwrap_or_default();
        if response.status != 207 {
            if response.is_success() {
                return Err(ConnectorError::broken(format!(
                    "{host} does not speak WebDAV at {} (HTTP {}); check config.url",
                    url.path(),
                    response.status
                )));
            }
            return Err(self.failure(Verb::Read, url, response));
        }
        xml::multi_status(&response.body)
            .map_err(|told| ConnectorError::broken(format!("the reply of {host} cannot be read: {told}")))
    }

    /// One member. None: it is not there.
    ///
    /// # Errors
    /// As [`Client::failure`].
    pub async fn get(&self, url: &Url) -> Result<Option<Member>> {
        let media = self.kind.media_type().split(';').next().unwrap_or_default();
        let (url, response) = self.send("GET", url, &[("accept", media)], None).await?;
        match response.status {
            200 => {
                let text = String::from_utf8(response.body.to_vec()).map_err(|_| ConnectorError::Rejected {
                    at: String::new(),
                    reason: "the resource on the server is not UTF-8; mend it there".to_owned(),
                })?;
                Ok(Some(Member { etag: response.header("etag").unwrap_or_default().to_owned(), text }))
            }
            404 | 410 => Ok(None),
            _ => Err(self.failure(Verb::Member, &url, &response)),
        }
    }

    /// Writes one member under a condition (`if-match` or `if-none-match`); whatever came back.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn put(&self, url: &Url, condition: (&str, &str), text: String) -> Result<Response> {
        let headers = [condition, ("content-type", self.kind.media_type())];
        Ok(self.send("PUT", url, &headers, Some(text)).await?.1)
    }

    /// What a refusal means. The texts name host and status, never content.
    pub fn failure(&self, verb: Verb, url: &Url, response: &Response) -> ConnectorError {
        let (host, status, connection) = (url.host_str().unwrap_or_default(), response.status, &self.cx.connection);
        let told = format!("{host} answered HTTP {status}");
        let after = self.http.retry_after(response);
        match (status, verb) {
            (401, _) => ConnectorError::Unauthorized {
                detail: format!(
                    "{told}: it refuses the login; check config.username and secret.password of {connection}"
                ),
            },
            (403, Verb::Read) => ConnectorError::Unauthorized {
                detail: format!(
                    "{told}: the account may not read {}; give it the right, or correct config.url",
                    url.path()
                ),
            },
            (404 | 410, _) => ConnectorError::Gone { detail: format!("{told}: nothing is at this address any more") },
            (429, _) => ConnectorError::RateLimited { detail: format!("{told}: too many calls"), after },
            (408 | 423 | 425 | 500..=599, _) => ConnectorError::Transient { detail: told, after },
            (409 | 412, Verb::Member) => {
                ConnectorError::Conflict { detail: format!("{told}: somebody changed it meanwhile") }
            }
            (_, Verb::Member) => ConnectorError::Rejected {
                at: String::new(),
                reason: format!("{told}: it does not take this; look whether the account may write there"),
            },
            (_, Verb::Read) => ConnectorError::broken(format!("{told} at {}; check config.url", url.path())),
        }
    }
}
