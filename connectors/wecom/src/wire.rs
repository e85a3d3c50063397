//! Carries one call out: bounded, without redirects, to allowed addresses only.
//!
//! The access token and the app secret travel in the query, so no URL and no client error reaches a message.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Network, Result};
use huiliu_core::manifest::Limits;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::Value;
use url::{Host, Url};

/// The way to the system: one client for public addresses, one for all, each made when it is first needed.
pub(crate) struct Wire {
    limits: Limits,
    public: OnceLock<reqwest::Client>,
    private: OnceLock<reqwest::Client>,
}

impl Wire {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, public: OnceLock::new(), private: OnceLock::new() }
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
        let url = Url::parse(&format!("{base}/cgi-bin/{call}")).map_err(|_| {
            ConnectorError::broken(format!("config.base_url of connection {} is not a URL", cx.connection))
        })?;
        allowed(&url, cx)?;
        let client = self.client(cx.network)?;
        cx.quota.acquire().await;
        let request = match body {
            Some(body) => client.post(url).query(query).json(body),
            None => client.get(url).query(query),
        };
        let lost = |error: &reqwest::Error| {
            ConnectorError::transient(format!("WeCom {call}: no complete answer ({})", kind_of(error)))
        };
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        accept(response.status().as_u16(), call)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if (bytes.len() + chunk.len()) as u64 > self.limits.response_bytes_max {
                return Err(ConnectorError::broken(format!(
                    "WeCom {call}: the answer is longer than the manifest allows"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| ConnectorError::broken(format!("WeCom {call}: the answer is not JSON")))
    }

    fn client(&self, network: Network) -> Result<&reqwest::Client> {
        let slot = if network == Network::Public { &self.public } else { &self.private };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        // Whoever is first chooses the crypto provider of the process; ring is the workspace's choice for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_millis(self.limits.timeout_ms));
        let builder = if network == Network::Public { builder.dns_resolver(PublicOnly) } else { builder };
        let client = builder.build().map_err(|error| ConnectorError::broken(format!("no HTTP client: {error}")))?;
        Ok(slot.get_or_init(|| client))
    }
}

/// What failed, without the URL.
fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection cut"
    }
}

/// `WeCom` itself always answers 200; anything else comes from what stands before it.
fn accept(status: u16, call: &str) -> Result<()> {
    let detail = format!("WeCom {call}: HTTP {status}");
    match status {
        200 => Ok(()),
        401 | 403 => Err(ConnectorError::Unauthorized { detail }),
        429 => Err(ConnectorError::RateLimited { detail, after: None }),
        408 | 500..=599 => Err(ConnectorError::transient(detail)),
        _ => Err(ConnectorError::broken(format!("{detail}; check config.base_url"))),
    }
}

/// An address written as digits is never looked up, so it is checked here.
fn allowed(url: &Url, cx: &Cx) -> Result<()> {
    let refused = match url.host() {
        _ if cx.network == Network::Private => false,
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(_)) => false,
        None => true,
    };
    if refused {
        return Err(ConnectorError::broken(format!(
            "config.base_url of connection {} is not a public address; allow private networks for it if that is meant",
            cx.connection
        )));
    }
    Ok(())
}

/// Looks names up and keeps public addresses only: the check and the call use the same answer.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = a == 0 || a >= 224 || (a == 192 && b == 0) || (a == 198 && (18..20).contains(&b));
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation() || shared || special)
        }
        // Global unicast is 2000::/3; tunnels that wrap a version 4 address are left out with it.
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(v4.into()),
            None => {
                v6.segments()[0] & 0xe000 == 0x2000 && v6.segments()[0] != 0x2002 && v6.segments()[..2] != [0x2001, 0]
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "224.0.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["101.226.212.27", "1.1.1.1", "2402:4e00::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
