//! Customer group chats (客户群).

use huiliu_core::connector::{ConnectorError, Cursor, Page, Received, Record, Result};
use serde_json::{Value, json};

use crate::api::{Api, TOO_MANY_CHATS};
use crate::contacts;
use crate::scan::Scan;

/// Chats on one page. The list gives ids only, each chat costs a call of its own; a page is then done in seconds.
const PAGE_MAX: usize = 100;

/// Owners in one filter: the vendor's limit.
const OWNERS_MAX: usize = 100;

/// The chat is not there: 40050 and 86003 say that it does not exist, 49008 that its owner ended it (document 90313).
/// The list does not say which of them this call answers.
const NO_SUCH_CHAT: [i64; 3] = [40050, 49008, 86003];

/// One page of the full scan: of all chats, or owner by owner where the corp has more than 1,000.
pub(crate) async fn pull(api: &Api<'_>, from: Option<&Cursor>) -> Result<Page> {
    let scan = Scan::read(from)?;
    if !scan.members.is_empty() {
        return by_owner(api, scan).await;
    }
    let ask = json!({"status_filter": 0, "cursor": scan.cursor, "limit": PAGE_MAX});
    match api.post("externalcontact/groupchat/list", &ask).await {
        Err(failure) if failure.is(TOO_MANY_CHATS) => by_owner(api, Scan::default()).await,
        other => {
            let reply = other?;
            let items = shown(api, &reply).await?;
            Ok(match cursor_of(&reply) {
                "" => contacts::last(items),
                cursor => more(items, &Scan { cursor: cursor.to_owned(), ..scan }),
            })
        }
    }
}

/// Chats whose owner has left are not seen this way, so this scan never calls itself complete.
async fn by_owner(api: &Api<'_>, scan: Scan) -> Result<Page> {
    let members = contacts::members(api).await?;
    let scan = scan.over(&members);
    let owners: Vec<&String> = members.iter().skip(scan.at).take(OWNERS_MAX).collect();
    let ask = json!({
        "status_filter": 0, "owner_filter": {"userid_list": owners}, "cursor": scan.cursor, "limit": PAGE_MAX,
    });
    let reply = api.post("externalcontact/groupchat/list", &ask).await?;
    let items = shown(api, &reply).await?;
    let next = match cursor_of(&reply) {
        "" => Scan { at: scan.at + owners.len(), cursor: String::new(), ..scan },
        cursor => Scan { cursor: cursor.to_owned(), ..scan },
    };
    if next.at >= members.len() {
        return Ok(Page { complete_scan: false, ..contacts::last(items) });
    }
    Ok(more(items, &next))
}

fn more(items: Vec<Received>, next: &Scan) -> Page {
    Page { items, next: Some(next.write()), more: true, complete_scan: false }
}

fn cursor_of(reply: &Value) -> &str {
    reply["next_cursor"].as_str().unwrap_or_default()
}

async fn shown(api: &Api<'_>, reply: &Value) -> Result<Vec<Received>> {
    let rows = reply["group_chat_list"].as_array();
    let rows = rows.ok_or_else(|| ConnectorError::broken("WeCom groupchat/list has no group_chat_list"))?;
    let mut items = Vec::with_capacity(rows.len());
    for id in rows.iter().filter_map(|row| row["chat_id"].as_str()) {
        // A chat that is dismissed between list and get is found missing by the scan, or told by its event.
        items.extend(fetch(api, id).await?.map(Received::Record));
    }
    Ok(items)
}

/// One chat with its members.
pub(crate) async fn fetch(api: &Api<'_>, id: &str) -> Result<Option<Record>> {
    let reply = match api.post("externalcontact/groupchat/get", &json!({"chat_id": id, "need_name": 1})).await {
        Err(failure) if NO_SUCH_CHAT.into_iter().any(|code| failure.is(code)) => return Ok(None),
        other => other?,
    };
    let mut body = reply["group_chat"].clone();
    if !body.is_object() {
        return Err(ConnectorError::broken("WeCom groupchat/get has no group_chat"));
    }
    body["corp_id"] = api.cx.setting("corp_id")?.into();
    Ok(Some(Record { stream: "chats".into(), id: id.into(), version: None, body }))
}
