//! Which addresses a new connection may call: what was said, or what a person answers where a setting leads inside.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;

use huiliu_core::manifest::{Manifest, SettingKind};
use huiliu_rest::address;
use url::Url;

use super::answers::Answers;
use crate::config::Network;
use crate::language::Language;
use crate::say;

/// The rule for a connection with these settings. A script must say `--network private`; a person is asked.
pub(super) fn chosen(
    name: &str,
    manifest: &Manifest,
    given: &BTreeMap<String, String>,
    said: Option<Network>,
    answers: &mut Answers,
) -> Result<Network, String> {
    if let Some(said) = said {
        return Ok(said);
    }
    let urls = given.iter().filter(|(setting, _)| {
        manifest.connector.config.get(*setting).is_some_and(|what| what.kind == SettingKind::Url)
    });
    let Some((setting, value)) = urls.into_iter().find(|(_, value)| leads_inside(value)) else {
        return Ok(Network::Public);
    };
    let language = answers.language();
    if !answers.has_person() {
        return Err(say!(
            language,
            "config.{setting} = {value} leads to this machine or into a private network, and a connection calls public \
             addresses only; if it is meant, add `--network private`",
            "config.{setting} = {value} 指向本机或内网，而连接默认只访问公网；如确需访问，请加上 `--network private`"
        ));
    }
    println!(
        "{}",
        say!(
            language,
            "{value} leads to this machine or into a private network. A connection calls public addresses only, so that a \
             wrong address cannot reach inner systems, unless you allow it.",
            "{value} 指向本机或内网。连接默认只访问公网，以免错误的地址触及内部系统；如确需访问，请允许。"
        )
    );
    let question = say!(language, "May {name} call private addresses? [y/N] ", "允许 {name} 访问内网地址吗？[y/N] ");
    Ok(if super::super::yes(&question)? { Network::Private } else { Network::Public })
}

/// The rule of a connection that is there already stands in the file.
pub(super) fn elsewhere(name: &str, asked: Network, language: Language) -> String {
    let word = match asked {
        Network::Public => "public",
        Network::Private => "private",
    };
    say!(
        language,
        "huiliu.toml has the connection `{name}` already; write `network = \"{word}\"` into [connections.{name}] there",
        "huiliu.toml 中已有连接 `{name}`；请在 [connections.{name}] 中写入 `network = \"{word}\"`"
    )
}

/// Whether a host name or a URL leads to an address that is not public, as the engine will judge it when it calls. A name
/// that nobody knows leads nowhere: the check says so afterwards.
fn leads_inside(value: &str) -> bool {
    let url = Url::parse(value).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("any://{value}")).ok());
    let Some(host) = url.as_ref().and_then(Url::host_str) else { return false };
    // An IPv6 address stands in brackets in a URL, and without them elsewhere.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, 0).to_socket_addrs().is_ok_and(|mut found| found.any(|found| !address::is_public(found.ip())))
}

#[cfg(test)]
mod tests {
    use super::leads_inside;

    #[test]
    fn addresses_of_this_machine_and_of_an_office_lead_inside() {
        for inside in [
            "http://127.0.0.1:8000/api",
            "http://localhost:8000",
            "localhost",
            "localhost:993",
            "192.168.1.5",
            "http://[::1]:80/",
            "https://10.0.0.1",
        ] {
            assert!(leads_inside(inside), "{inside}");
        }
        for outside in ["https://8.8.8.8/api", "8.8.8.8:993", "http://[2606:4700::1111]/", "", "…", "http://"] {
            assert!(!leads_inside(outside), "{outside}");
        }
    }
}
