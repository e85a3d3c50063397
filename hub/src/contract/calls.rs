//! Webhooks: what is tampered, stale or repeated is refused or deduplicated.

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::manifest::{Manifest, Verify, Webhook};
use huiliu_core::store::inbox;
use huiliu_twins::rehearsal::hooks::{self, Signed, second};
use serde_json::Value;

use super::{Found, Stage, Wrong, broke, fixtures, pump, store, wrong};
use crate::both;

/// The topics that a recorded call names, if its route is by topic; one call may bring several events.
pub fn topics(webhook: &Webhook, call: &Value) -> Vec<String> {
    let by = webhook.route.as_ref().and_then(|route| route.by.split_once(':'));
    match by {
        Some(("header", name)) => {
            let name = name.to_ascii_lowercase();
            let named = hooks::headers(call).into_iter().filter(|(known, _)| *known == name);
            named.map(|(_, value)| value).collect()
        }
        Some(("body", place)) => {
            let body: Value = serde_json::from_slice(&hooks::body(call)).unwrap_or_default();
            let events = if let Value::Array(events) = body { events } else { vec![body] };
            events.iter().filter_map(|event| Some(event.pointer(place)?.as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// The declared topics that no recorded call names.
pub fn missing_topics(webhook: &Webhook, calls: &[(String, Value)]) -> Vec<String> {
    let Some(route) = &webhook.route else { return Vec::new() };
    if route.by.starts_with("stream:") {
        return Vec::new();
    }
    let named: Vec<String> = calls.iter().flat_map(|(_, call)| topics(webhook, call)).collect();
    let declared = [&route.topics, &route.deletes, &route.merges].into_iter().flat_map(|it| it.keys());
    declared.filter(|topic| !named.contains(topic)).cloned().collect()
}

/// As it was recorded, with its own proof.
fn recorded(call: &Value) -> Signed {
    let target = call["target"].as_str().unwrap_or_default().to_owned();
    Signed { target, headers: hooks::headers(call), body: hooks::body(call) }
}

/// The call with one byte changed, at several places. A signature covers the body; a password or a token says only who
/// calls. A browser can sign nothing, so of a form it is the token in its address that is changed.
fn tampered(webhook: &Webhook, call: &Signed) -> Vec<(String, Vec<u8>)> {
    let places = |length: usize| [0, length / 3, length / 2, length.saturating_sub(1)];
    match webhook.verify {
        Verify::Form(_) => {
            let Some((path, token)) = call.target.split_once("?token=") else { return Vec::new() };
            let other = |at: usize| {
                let (before, rest) = token.split_at_checked(at)?;
                let old = rest.chars().next()?;
                let new = if old == 'A' { 'B' } else { 'A' };
                Some((format!("{path}?token={before}{new}{}", &rest[old.len_utf8()..]), call.body.clone()))
            };
            places(token.len()).into_iter().filter_map(other).collect()
        }
        Verify::HmacSha256 { .. } | Verify::Standard { .. } | Verify::HubspotV3 { .. } | Verify::Connector {} => {
            let other = |at: usize| {
                let mut changed = call.body.clone();
                *changed.get_mut(at)? ^= 1;
                Some((call.target.clone(), changed))
            };
            places(call.body.len()).into_iter().filter_map(other).collect()
        }
        Verify::SharedToken { .. } | Verify::Basic { .. } | Verify::None { .. } => Vec::new(),
    }
}

#[allow(clippy::disallowed_methods)] // Loopback, and the hub's answers are small.
async fn send(address: &str, call: &Signed, body: Vec<u8>, proven: bool) -> Result<u16, Wrong> {
    let target = if proven { call.target.as_str() } else { call.target.split('?').next().unwrap_or_default() };
    let mut request = reqwest::Client::new().post(format!("{address}{target}")).body(body);
    for (name, value) in call.headers.iter().filter(|_| proven) {
        request = request.header(name, value);
    }
    Ok(request.send().await.map_err(broke)?.status().as_u16())
}

async fn kept(engine: &Engine) -> Result<i64, Wrong> {
    pump::read(engine, |tx| inbox::backlog(tx, "process")).await.map_err(broke)
}

/// An hour in microseconds: no scheme's tolerance is as long.
const HOUR_US: i64 = 3_600_000_000;

/// Every recorded call: changed, unproven, genuine, repeated, and an hour late.
pub async fn webhooks(manifest: &Manifest, stage: &Stage) -> Found {
    let Some(webhook) = &manifest.webhook else {
        return Ok(both!("the system does not call", "该系统不发送 webhook"));
    };
    if stage.rehearsal.is_some() && matches!(webhook.verify, Verify::Form(_)) {
        return Ok(both!("a form's tokens are given out by the hub itself", "表单的令牌由本程序自己发放"));
    }
    let calls = fixtures::values(&stage.folder, fixtures::CALLS);
    for (file, call) in &calls {
        one(webhook, stage, &format!("fixtures/{file}"), call).await?;
    }
    Ok(both!("{count} recorded call(s)", "{count} 个录制的调用", count = calls.len()))
}

async fn one(webhook: &Webhook, stage: &Stage, file: &str, call: &Value) -> Result<(), Wrong> {
    let name = stage.connection.name.as_str();
    let signed = stage.rehearsal.as_ref().map_or_else(|| recorded(call), |rehearsal| rehearsal.signed(call, name));
    let clock = Clock::manual(second(call) * 1_000_000);
    let mut connection = stage.connection.clone();
    connection.cx.clock = clock.clone();
    let (_folder, store) = store()?;
    let engine = pump::live(store, clock.clone(), [connection]).await.map_err(broke)?;
    let address = pump::listen(&engine).await.map_err(broke)?;
    let body = signed.body.clone();
    let refused = |status: u16, what: &str| match status {
        400..500 => Ok(()),
        _ => Err(wrong(
            file,
            both!(
                "a call that is {what} is answered HTTP {status}, not refused",
                "{what} 的调用得到 HTTP {status}，未被拒绝"
            ),
        )),
    };
    for (target, body) in tampered(webhook, &signed) {
        let changed = Signed { target, ..signed.clone() };
        refused(send(&address, &changed, body, true).await?, "tampered")?;
    }
    if !matches!(webhook.verify, Verify::None { .. }) {
        refused(send(&address, &signed, body.clone(), false).await?, "unsigned")?;
    }
    if kept(&engine).await? != 0 {
        return Err(wrong(file, both!("a refused call was kept", "被拒绝的调用仍被保存")));
    }
    for _ in 0..2 {
        let status = send(&address, &signed, body.clone(), true).await?;
        if status != 200 || kept(&engine).await? != 1 {
            let count = kept(&engine).await?;
            return Err(wrong(
                file,
                both!(
                    "a genuine call and its repeat are answered HTTP {status} and kept {count} time(s); compare [webhook] with the call",
                    "真实调用及其重复得到 HTTP {status}，保存了 {count} 次；请对照 [webhook] 检查该调用"
                ),
            ));
        }
    }
    clock.advance_us(HOUR_US);
    let status = send(&address, &signed, body, true).await?;
    if !(status == 200 || (400..500).contains(&status)) || kept(&engine).await? != 1 {
        return Err(wrong(
            file,
            both!(
                "an hour later the call is answered HTTP {status} or kept again",
                "一小时之后该调用得到 HTTP {status}，或被再次保存"
            ),
        ));
    }
    understood(&engine, stage, file).await
}

/// What was kept means something: where the stage can be asked, it is also fetched.
async fn understood(engine: &Engine, stage: &Stage, file: &str) -> Result<(), Wrong> {
    if stage.rehearsal.is_none() {
        return Ok(());
    }
    pump::think(engine).await.map_err(broke)?;
    match pump::read(engine, |tx| inbox::dead_letters(tx, 1)).await.map_err(broke)?.first() {
        Some(letter) => Err(wrong(
            file,
            both!("the call cannot be understood: {reason}", "无法理解该调用：{reason}", reason = letter.reason),
        )),
        None => Ok(()),
    }
}
