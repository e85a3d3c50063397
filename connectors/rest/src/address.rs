//! The address rule: which addresses a connection may talk to.
//!
//! A manifest or a setting that names an inner address would turn the hub into a way round the firewall. So with
//! [`Network::Public`] both literal addresses and every DNS answer are judged, at the moment of connecting: a name that
//! changes its answer between a check and the call (DNS rebinding) is met too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use huiliu_core::connector::{ConnectorError, Network, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Refuses a URL that is not `http(s)`, or whose host is a literal address outside the rule.
///
/// # Errors
/// [`ConnectorError::Broken`], naming the host and what to do.
pub fn check_url(url: &Url, network: Network) -> Result<()> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConnectorError::broken(format!("`{}` is not http or https", url.scheme())));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(ConnectorError::broken("the address has no host; check config.base_url")),
    };
    if network == Network::Public && !is_public(address) {
        return Err(ConnectorError::broken(Refused(address.to_string()).to_string()));
    }
    Ok(())
}

/// Refuses a name by where it leads. One inner answer condemns it: a public name has no reason to mix.
///
/// # Errors
/// [`Refused`], naming the host and what to do.
pub fn check_found(host: &str, found: &[SocketAddr], network: Network) -> std::result::Result<(), Refused> {
    if network == Network::Public && found.iter().any(|address| !is_public(address.ip())) {
        return Err(Refused(host.to_owned()));
    }
    Ok(())
}

/// Whether an address belongs to the public network.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let inner = address.is_loopback()
        || address.is_private()
        || address.is_link_local() // holds 169.254.169.254, most clouds' metadata service
        || address.is_documentation()
        || a == 0
        || a >= 224 // multicast, reserved, broadcast
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT; holds 100.100.100.200, Aliyun's metadata service
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || address == Ipv4Addr::new(168, 63, 129, 16); // Azure's wire server
    !inner
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inside) = address.to_ipv4_mapped() {
        return is_public_v4(inside);
    }
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // ::, ::1 and the old IPv4-compatible form.
        [0, 0, 0, 0, 0, 0, ..] => false,
        // NAT64 leads to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4 does too.
        [0x2002, high, low, ..] => embedded(high, low),
        // Only 2000::/3 is given out; Teredo, benchmarks and documentation are carved from it.
        [0x2001, 0 | 2 | 0x0db8, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// An address outside the rule: the text for people.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is not a public address, and this connection may only call public ones; if it is meant, set \
     network = \"private\" for the connection"
)]
pub struct Refused(String);

/// Resolves names with the system's resolver, and leaves out what the rule forbids.
pub struct Resolver(pub Network);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            check_found(name.as_str(), &found, network)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_not_public() {
        for inner in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn outer_addresses_are_public() {
        for outer in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(outer.parse().unwrap()), "{outer}");
        }
    }

    #[test]
    fn literals_in_every_spelling_are_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::1]:80/",
            "http://017700000001/",
            "http://[::ffff:169.254.169.254]/",
            "file:///etc/passwd",
        ] {
            assert!(check_url(&Url::parse(url).unwrap(), Network::Public).is_err(), "{url}");
        }
        assert_eq!(check_url(&Url::parse("http://127.0.0.1/").unwrap(), Network::Private), Ok(()));
        assert_eq!(check_url(&Url::parse("https://shop.example/").unwrap(), Network::Public), Ok(()));
    }
}
