//! The README of a connector, from its manifest: what it does, how to connect, settings, secrets, streams, webhooks,
//! limits, sources. Headings stand in both languages; the texts are the manifest's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Ability, Auth, Carries, ConnectorSection, Manifest, OverTls, Ping, Setting, SettingKind, Verify, Webhook};

/// What the README of this manifest says. `remedy` is the command that writes it anew.
pub fn render(manifest: &Manifest, remedy: &str) -> String {
    let connector = &manifest.connector;
    let title = match &connector.title_zh {
        Some(zh) => format!("{} {zh}", connector.title),
        None => connector.title.clone(),
    };
    let mut page = format!(
        "# {title}\n\n<!-- Made from connector.toml; edit that file, then run: {remedy} -->\n\n{}\n",
        connector.about
    );
    connect(&mut page, manifest);
    settings(&mut page, connector);
    streams(&mut page, manifest);
    if let Some(webhook) = &manifest.webhook {
        incoming(&mut page, webhook);
    }
    limits(&mut page, manifest);
    if !connector.sources.is_empty() {
        heading(&mut page, "Sources", "资料来源");
        for source in &connector.sources {
            line(&mut page, &format!("- {source}"));
        }
    }
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn heading(page: &mut String, en: &str, zh: &str) {
    let _ = write!(page, "\n## {en} {zh}\n\n");
}

/// A cell of a table: a bar inside it would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn connect(page: &mut String, manifest: &Manifest) {
    let connector = &manifest.connector;
    let name = &connector.name;
    heading(page, "How to connect", "如何连接");
    let sign_in = if let Some(Auth::Oauth2Code { .. }) = manifest.auth { ", signs in with a browser" } else { "" };
    let inside = connector.config.values().any(|it| it.kind == SettingKind::Url);
    let inside = if inside { "; in your own network add --network private" } else { "" };
    line(
        page,
        &format!(
            "```sh\nhuiliu connect {name} --connector {name}    # asks for what it needs{sign_in}, and tries it{inside}\n\
             huiliu sync {name}       # reads; nothing is written yet\n\
             huiliu go-live {name}    # shows what would be written, then asks\n```"
        ),
    );
    line(page, "\nThe first command writes into `huiliu.toml`, or finds there:\n\n```toml");
    line(page, &format!("[connections.{name}]\nconnector = \"{name}\""));
    let required: BTreeMap<&String, &Setting> =
        connector.config.iter().filter(|(_, setting)| setting.default.is_none()).collect();
    for (key, setting) in required {
        line(page, &format!("config.{key} = \"{}\"", setting.values.first().map_or("…", String::as_str)));
    }
    line(page, "```");
}

fn settings(page: &mut String, connector: &ConnectorSection) {
    if !connector.config.is_empty() {
        heading(page, "Settings", "设置");
        line(page, "| `config.` | Type | Default | |\n|---|---|---|---|");
        for (name, setting) in &connector.config {
            let kind = match setting.kind {
                SettingKind::String => "text".to_owned(),
                SettingKind::Url => "URL".to_owned(),
                SettingKind::Integer => "whole number".to_owned(),
                SettingKind::Boolean => "`true`, `false`".to_owned(),
                SettingKind::Enum => {
                    setting.values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
                }
            };
            let default = match setting.default.as_deref() {
                None => "required".to_owned(),
                Some("") => "none".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            line(page, &format!("| `{name}` | {kind} | {} | {} |", cell(&default), cell(&setting.description)));
        }
    }
    if !connector.secret.is_empty() {
        heading(page, "Secrets", "密钥");
        line(page, "| `secret.` | | |\n|---|---|---|");
        for (name, secret) in &connector.secret {
            let needed = if secret.optional { "optional" } else { "required" };
            line(page, &format!("| `{name}` | {needed} | {} |", cell(&secret.description)));
        }
    }
}

fn streams(page: &mut String, manifest: &Manifest) {
    heading(page, "Streams", "数据流");
    line(
        page,
        "| | Pull | Fetch | Create | Update | Delete | Webhook | Every | |\n|---|---|---|---|---|---|---|---|---|",
    );
    for (name, stream) in &manifest.streams {
        let yes = |can: bool| if can { "yes" } else { "–" };
        let able = [Ability::Pull, Ability::Fetch, Ability::Create, Ability::Update, Ability::Delete];
        let able = able.map(|ability| yes(stream.can(ability))).join(" | ");
        let told = yes(manifest.webhook.as_ref().is_some_and(|webhook| tells(webhook, name)));
        let every = match &stream.every {
            _ if !stream.can(Ability::Pull) => "–",
            Some(every) => every,
            None => "5m",
        };
        let about = cell(stream.about.as_deref().unwrap_or_default());
        line(page, &format!("| `{name}` | {able} | {told} | {every} | {about} |"));
    }
}

/// Whether calls for this stream come in. A connector that opens sealed envelopes routes them itself.
fn tells(webhook: &Webhook, stream: &str) -> bool {
    let Some(route) = &webhook.route else { return true };
    let mut named = route.topics.values().chain(route.deletes.values());
    route.by == format!("stream:{stream}") || named.any(|name| name == stream)
}

fn incoming(page: &mut String, webhook: &Webhook) {
    heading(page, "Webhooks", "回调");
    line(page, "Let the system call `https://YOUR-HOST/hooks/CONNECTION`.\n");
    let proof = match &webhook.verify {
        Verify::HmacSha256 { header, .. } => format!("HMAC-SHA256 over the raw body, in `{header}`"),
        Verify::SharedToken { header: Some(header), .. } => format!("a shared token in the header `{header}`"),
        Verify::SharedToken { param, .. } => {
            format!("a shared token in the parameter `{}`", param.as_deref().unwrap_or_default())
        }
        Verify::Basic { .. } => "HTTP Basic".to_owned(),
        Verify::Standard { .. } => {
            "Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`)".to_owned()
        }
        Verify::HubspotV3 { .. } => "HubSpot's signature v3 (`X-HubSpot-Signature-v3`)".to_owned(),
        Verify::Form(form) => format!(
            "a signed token in the query, given out with the form {} s to {} min before, and good once",
            form.seconds_min,
            form.seconds_max / 60
        ),
        Verify::Connector {} => "the system's own sealed envelope".to_owned(),
        Verify::None { reason } => format!("nothing: {reason}"),
    };
    line(page, &format!("- A call is proven by {proof}."));
    if let Some(Ping::Form { field }) = &webhook.ping {
        line(page, &format!("- An unsigned ping (`{field}=NUMBER` as a form) is answered, and nothing of it is kept."));
    }
    if !webhook.dedupe.is_empty() {
        let keys: Vec<String> = webhook.dedupe.iter().map(|key| format!("`{key}`")).collect();
        line(page, &format!("- A repeat is known by {}.", keys.join(" and ")));
    }
    line(
        page,
        match webhook.carries {
            Carries::Hint => "- It says what changed; the record is read from the system.",
            Carries::Record => "- It carries the whole record.",
        },
    );
    let Some(route) = &webhook.route else { return };
    let all = [("changes", &route.topics), ("deletions", &route.deletes), ("merges", &route.merges)];
    for (what, topics) in all {
        if !topics.is_empty() {
            let topics: Vec<String> = topics.keys().map(|topic| format!("`{topic}`")).collect();
            line(page, &format!("- Topics of {what} (by `{}`): {}.", route.by, topics.join(", ")));
        }
    }
}

fn limits(page: &mut String, manifest: &Manifest) {
    let limits = &manifest.connector.limits;
    heading(page, "Limits", "限制");
    if let Some(calls) = limits.requests_per_second {
        line(page, &format!("- At most {calls} calls a second for a connection."));
    }
    for budget in &manifest.connector.quotas {
        let windows = budget.windows.iter().map(|it| format!("{} calls in {} s", it.calls, it.seconds));
        let bucket =
            budget.bucket.iter().map(|it| format!("{} calls at once and {} a second", it.calls, it.per_second));
        let all = windows.chain(bucket).collect::<Vec<_>>().join(", ");
        let by = budget.shared_by.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" and ");
        line(page, &format!("- For each {by}: {all}."));
    }
    line(page, &format!("- A call that takes longer than {} s is given up.", seconds(limits.timeout_ms)));
    line(page, &format!("- A reply of more than {} MiB is refused.", limits.response_bytes_max >> 20));
    line(page, &format!("- Writes in parallel: {}.", limits.push_parallel));
    let auth = match &manifest.auth {
        Some(Auth::ApiKey { header: Some(header), .. }) => format!("a key in the header `{header}`"),
        Some(Auth::ApiKey { param, .. }) => {
            format!("a key in the parameter `{}`", param.as_deref().unwrap_or_default())
        }
        Some(Auth::Basic { .. }) => "HTTP Basic".to_owned(),
        Some(Auth::Oauth1 { over_tls: OverTls::Basic, .. }) => {
            "HTTP Basic over HTTPS, and an OAuth 1.0a signature (HMAC-SHA256) over plain HTTP".to_owned()
        }
        Some(Auth::Oauth1 { .. }) => "an OAuth 1.0a signature (HMAC-SHA256) over every call".to_owned(),
        Some(Auth::Bearer { .. }) => "a bearer token".to_owned(),
        Some(Auth::Login { .. }) => "a session that a login opens".to_owned(),
        Some(Auth::Oauth2Code { .. }) => "OAuth 2, authorization code with PKCE".to_owned(),
        Some(Auth::Oauth2Client { .. }) => "OAuth 2, client credentials".to_owned(),
        Some(Auth::StandardWebhook { .. }) => "a Standard Webhooks signature over every call".to_owned(),
        Some(Auth::TimestampSignature { .. }) => "a signature of the time over every call".to_owned(),
        Some(Auth::Connector {}) => "the system's own scheme".to_owned(),
        Some(Auth::None { reason }) => format!("nothing: {reason}"),
        None => return,
    };
    line(page, &format!("- Calls are authenticated by {auth}."));
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}
