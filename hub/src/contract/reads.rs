//! What is read: credentials, pages, replays, refusals, bounds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{Connector, ConnectorError, Cursor, Received};
use huiliu_core::manifest::{Auth, ErrorKind, Manifest};
use huiliu_core::quota::Quota;
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_core::store::{goldens, inbox, streams};
use huiliu_twins::front::Fate;

use super::{Found, Stage, Wrong, broke, create, pulled, pump, store, wrong};
use crate::both;

/// Good credentials are taken, bad ones are refused as such, and the error shows neither.
pub async fn credentials(manifest: &Manifest, stage: &Stage) -> Found {
    let (by, cx) = (stage.connector()?, &stage.connection.cx);
    if let Err(error) = by.check(cx).await {
        return Err(wrong(
            "auth",
            both!(
                "good credentials were refused ({error}); compare [auth] with the vendor's page",
                "有效的凭据被拒绝（{error}）；请对照厂商文档检查 [auth]"
            ),
        ));
    }
    let Some((secret, bad)) = &stage.bad_secret else {
        let asks = !pulled(manifest).is_empty() && !matches!(manifest.auth, Some(Auth::None { .. }));
        if asks {
            return Err(wrong(
                "auth",
                both!(
                    "[auth] names no secret, so bad credentials cannot be told apart",
                    "[auth] 未引用任何密钥，无法区分无效凭据"
                ),
            ));
        }
        return Ok(both!("the system asks for none", "该系统不要求凭据"));
    };
    // Tokens that the good secret bought are not lent to the bad one.
    let mut secrets = (*cx.secrets).clone();
    secrets.insert(secret.clone(), Secret::new(bad.as_str()));
    let mut other = cx.clone();
    other.secrets = Arc::new(secrets);
    other.tokens = Arc::new(TokenVault::in_memory());
    match by.check(&other).await {
        Err(refused) if refused.kind() != "unauthorized" => Err(wrong(
            "connector.errors",
            both!(
                "a wrong secret.{secret} is taken for {kind}: {refused}; add an error rule of kind unauthorized",
                "错误的 secret.{secret} 被归为 {kind}：{refused}；请添加 kind 为 unauthorized 的错误规则",
                kind = refused.kind()
            ),
        )),
        Err(refused) if refused.to_string().contains(bad.as_str()) => {
            Err(wrong("auth", both!("the error shows the secret", "错误信息中出现了密钥")))
        }
        Err(_) => Ok(both!("secret.{secret} right and wrong", "已试正确与错误的 secret.{secret}")),
        Ok(()) => Err(wrong(
            "connector.check",
            both!(
                "a wrong secret.{secret} is accepted; let connector.check call something that needs it",
                "错误的 secret.{secret} 也被接受；请让 connector.check 调用需要凭据的接口"
            ),
        )),
    }
}

/// A call's failure, with the stream it belongs to.
fn failed(stream: &str, error: &ConnectorError) -> Wrong {
    let at = format!("streams.{stream}.pull");
    wrong(at, both!("the pull failed: {error}", "拉取失败：{error}"))
}

/// A page: the ids on it, and where the next one starts.
type Leaf = (Vec<String>, Option<Cursor>);

/// A stream that turns more pages than this goes in circles: no stage holds so much.
const PAGES_MAX: usize = 500;

async fn walk(stage: &Stage, stream: &str, mut from: Option<Cursor>) -> Result<Vec<Leaf>, Wrong> {
    let by = stage.connector()?;
    let mut pages: Vec<Leaf> = Vec::new();
    loop {
        let page = by.pull(&stage.connection.cx, &stream.into(), from.as_ref()).await;
        let page = page.map_err(|error| failed(stream, &error))?;
        let ids = page.items.iter().filter_map(|item| match item {
            Received::Record(record) => Some(record.id.to_string()),
            Received::Deleted { id, .. } | Received::Merged { id, .. } => Some(id.to_string()),
            Received::Hint { .. } | Received::Poke { .. } => None,
        });
        pages.push((ids.collect(), page.next.clone()));
        if !page.more {
            return Ok(pages);
        }
        if pages.len() > PAGES_MAX {
            return Err(wrong(format!("streams.{stream}.paginate"), both!("the pages never end", "分页没有尽头")));
        }
        from = page.next.or(from);
    }
}

/// Every stream's pages end, and from each of them the rest is the same.
pub async fn paging(manifest: &Manifest, stage: &Stage) -> Found {
    let mut seen = Vec::new();
    for stream in pulled(manifest) {
        let pages = walk(stage, &stream, None).await?;
        let at = format!("streams.{stream}.paginate");
        if stage.paged.contains(&stream) && pages.len() < 2 {
            return Err(wrong(
                at,
                both!(
                    "only one page of {stream} was read, though more is waiting; check `paginate` and `records`",
                    "{stream} 只读到一页，而还有更多记录；请检查 `paginate` 与 `records`"
                ),
            ));
        }
        for place in 0..pages.len() - 1 {
            let rest = walk(stage, &stream, pages[place].1.clone()).await?;
            let ids = |pages: &[Leaf]| pages.iter().flat_map(|page| page.0.clone()).collect::<Vec<_>>();
            if ids(&rest) != ids(&pages[place + 1..]) {
                return Err(wrong(
                    at,
                    both!(
                        "resumed after page {page}, {stream} shows other records",
                        "从第 {page} 页之后继续时，{stream} 给出了不同的记录",
                        page = place + 1
                    ),
                ));
            }
        }
        let ids: BTreeSet<&String> = pages.iter().flat_map(|page| &page.0).collect();
        if let Some(rehearsal) = &stage.rehearsal {
            let (found, there) = (ids.len(), rehearsal.count(&stream));
            if found != there {
                return Err(wrong(
                    at,
                    both!(
                        "{found} of {there} records of {stream} were read",
                        "{stream} 的 {there} 条记录只读到 {found} 条"
                    ),
                ));
            }
        }
        seen.push((stream, ids.len(), pages.len()));
    }
    let list = |word: &str| {
        seen.iter().map(|(stream, ids, pages)| format!("{stream} {ids}/{pages}{word}")).collect::<Vec<_>>().join(", ")
    };
    if seen.is_empty() {
        return Ok(both!("nothing is pulled", "没有可拉取的数据流"));
    }
    Ok(both!("records/pages: {told}", "记录/页：{told}", told = list("")))
}

/// A second reading from the beginning changes no golden record.
pub async fn replay(manifest: &Manifest, stage: &Stage) -> Found {
    let (_folder, store) = store()?;
    let engine = pump::live(store, Clock::System, [stage.connection.clone()]).await.map_err(broke)?;
    let told = pump::settle(&engine, true).await.map_err(broke)?;
    if let Some(told) = told.first().filter(|_| stage.rehearsal.is_some()) {
        return Err(wrong("streams", both!("the pull failed: {told}", "拉取失败：{told}")));
    }
    let changes =
        async || pump::read(&engine, |tx| Ok(goldens::changed_after(tx, 0, 10_000)?.len())).await.map_err(broke);
    let before = changes().await?;
    for stream in pulled(manifest) {
        let name = stage.connection.name.to_string();
        let again = pump::write(&engine, move |tx| streams::put(tx, &name, &stream, &streams::StreamState::default()));
        again.await.map_err(broke)?;
    }
    pump::settle(&engine, true).await.map_err(broke)?;
    let after = changes().await?;
    if after != before {
        let more = after - before;
        return Err(wrong(
            "defaults.version",
            both!(
                "reading everything again made {more} changes; check `key` and `version`",
                "重新读取产生了 {more} 处变更；请检查 `key` 与 `version`"
            ),
        ));
    }
    if let Some(letter) = pump::read(&engine, |tx| inbox::dead_letters(tx, 1)).await.map_err(broke)?.first() {
        return Err(wrong(
            "streams",
            both!("a record could not be taken in: {reason}", "有记录无法处理：{reason}", reason = letter.reason),
        ));
    }
    Ok(both!("{before} change(s), none at the second reading", "{before} 处变更，第二次读取没有新变更"))
}

/// One call to the system: the first page of a stream, or, where nothing can be pulled, a write.
async fn poke(manifest: &Manifest, stage: &Stage, by: &dyn Connector) -> Option<Result<(), ConnectorError>> {
    let mut cx = stage.connection.cx.clone();
    // A pause that an earlier refusal asked for is not waited for here.
    cx.quota = Arc::new(Quota::unlimited());
    match (pulled(manifest).first(), stage.creates.first()) {
        (Some(stream), _) => Some(by.pull(&cx, &stream.as_str().into(), None).await.map(drop)),
        (None, Some((stream, body))) => Some(by.push(&cx, &create(stream, body, 1)).await.map(drop)),
        (None, None) => None,
    }
}

/// What HTTP itself says, and the kinds it becomes.
const COMMON: [(u16, &str, &str); 4] =
    [(401, "{}", "unauthorized"), (429, "{}", "rate_limited"), (500, "{}", "transient"), (503, "", "transient")];

/// Malformed replies under 200.
const MALFORMED: [&str; 2] = ["<html>busy</html>", "{\"a\":"];

/// The word of an error kind, as `ConnectorError::kind` has it.
pub fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Transient => "transient",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::Rejected => "rejected",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Gone => "gone",
        ErrorKind::CursorExpired => "cursor_expired",
        ErrorKind::Broken => "broken",
    }
}

/// Every refusal becomes its kind, and afterwards the system works again.
pub async fn refusals(manifest: &Manifest, stage: &Stage) -> Found {
    let Some(front) = &stage.front else {
        return Ok(both!("not over HTTP: the connector's own tests refuse", "不经 HTTP：由连接器自己的测试检查"));
    };
    let by = stage.connector()?;
    match poke(manifest, stage, &*by).await {
        None => return Ok(both!("nothing can be called", "没有可调用的接口")),
        Some(Err(error)) => {
            return Err(wrong("streams", both!("a plain call failed: {error}", "普通调用失败：{error}")));
        }
        Some(Ok(())) => {}
    }
    let mut cases: Vec<(u16, String, String)> = COMMON
        .iter()
        .map(|(status, body, kind)| {
            // A manifest may know better what a status means at this vendor.
            let mut rules = manifest.connector.errors.iter();
            let own = rules.find(|rule| rule.status == Some(*status) && rule.at.is_none());
            (*status, (*body).to_owned(), own.map_or(*kind, |rule| word(rule.kind)).to_owned())
        })
        .collect();
    // By Standard Webhooks only the status of a reply counts.
    if !matches!(manifest.auth, Some(Auth::StandardWebhook { .. })) {
        cases.extend(MALFORMED.map(|body| (200, body.to_owned(), "broken".to_owned())));
    }
    cases.extend(stage.refusals.iter().cloned());
    for (status, body, kind) in &cases {
        // A session may be over: who logs in again and is refused again, believes it.
        for _ in 0..if kind == "unauthorized" { 2 } else { 1 } {
            front.meet(Fate::Answer(*status, body.clone().into()));
        }
        let told = match poke(manifest, stage, &*by).await {
            Some(Err(error)) => error.kind(),
            Some(Ok(())) | None => "success",
        };
        front.forget();
        if told != kind {
            return Err(wrong(
                "connector.errors",
                both!(
                    "HTTP {status} with {body} is taken for {told}, not {kind}; add or mend an error rule",
                    "HTTP {status}，内容 {body} 被归为 {told} 而不是 {kind}；请添加或修正错误规则"
                ),
            ));
        }
    }
    if let Some(Err(error)) = poke(manifest, stage, &*by).await {
        return Err(wrong(
            "connector.errors",
            both!("after the refusals nothing works: {error}", "拒绝之后无法恢复：{error}"),
        ));
    }
    Ok(both!("{count} refusals", "{count} 种拒绝", count = cases.len()))
}

/// A reply above the bound is refused, a call above its time is given up.
pub async fn bounds(manifest: &Manifest, stage: &Stage) -> Found {
    let Some(front) = &stage.front else {
        return Ok(both!("not over HTTP: the connector's own tests measure", "不经 HTTP：由连接器自己的测试检查"));
    };
    let mut narrow = manifest.clone();
    narrow.connector.limits.response_bytes_max = 64 << 10;
    narrow.connector.limits.timeout_ms = 300;
    let by = crate::connectors::connector(&narrow).map_err(broke)?;
    let cases = [
        (Fate::Answer(200, vec![b' '; 1 << 20].into()), "broken", "response_bytes_max"),
        (Fate::Stall(Duration::from_secs(2)), "transient", "timeout_ms"),
    ];
    for (fate, kind, limit) in cases {
        front.meet(fate);
        match poke(manifest, stage, &*by).await {
            Some(Err(error)) if error.kind() == kind => {}
            Some(told) => {
                let told = told.err().map_or_else(|| "success".to_owned(), |error| error.to_string());
                return Err(wrong(
                    "connector.limits",
                    both!("{limit} does not hold: {told}", "{limit} 未生效：{told}"),
                ));
            }
            None => return Ok(both!("nothing can be called", "没有可调用的接口")),
        }
    }
    Ok(both!("a reply of 1 MiB and one that does not come", "1 MiB 的应答，以及迟迟不来的应答"))
}
