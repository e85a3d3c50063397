//! Customers as each member sees them: one record per follow relation.
//!
//! The body is `{corp_id, userid, external_contact, follow_info}`, the shape of `batch/get_by_user` (document 92994).
//! Tags come as bare ids there and as objects from `get` (document 92114); both become sorted corp tag names at
//! `/follow_info/tag_names`. A gender that is known stands at `/gender`.

use std::collections::BTreeSet;

use huiliu_core::connector::{ConnectorError, Cursor, ExternalId, Page, Received, Record, Result};
use serde_json::{Value, json};

use crate::api::{Api, NO_RELATION, NO_SUCH_CUSTOMER};
use crate::scan::Scan;
use crate::tags::{TagCache, Tags};

/// Members in one batch call, and relations on one page: the vendor's limits.
const BATCH_MAX: usize = 100;

/// Pages of followers of one customer. A page holds 500 members; a customer with 50,000 followers is no customer.
const FOLLOWER_PAGES_MAX: usize = 100;

/// The id of a relation. Neither part can hold a colon.
pub(crate) fn id_of(userid: &str, external_userid: &str) -> ExternalId {
    ExternalId::from(format!("{userid}:{external_userid}"))
}

/// The member and the customer of a relation.
pub(crate) fn parts(id: &str) -> Result<(&str, &str)> {
    id.split_once(':').filter(|(userid, external)| !userid.is_empty() && !external.is_empty()).ok_or_else(|| {
        ConnectorError::Rejected {
            at: "id".to_owned(),
            reason: "the id of a WeCom contact is written userid:external_userid".to_owned(),
        }
    })
}

/// The members who may have customers, sorted, so that a scan's order does not hang on the vendor's.
pub(crate) async fn members(api: &Api<'_>) -> Result<Vec<String>> {
    let reply = api.get("externalcontact/get_follow_user_list", &[]).await?;
    let listed = reply["follow_user"].as_array();
    let listed = listed.ok_or_else(|| ConnectorError::broken("WeCom lists members without follow_user"))?;
    let members: BTreeSet<String> = listed.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect();
    Ok(members.into_iter().collect())
}

/// One page of the full scan.
pub(crate) async fn pull(api: &Api<'_>, cache: &TagCache, from: Option<&Cursor>) -> Result<Page> {
    let members = members(api).await?;
    let scan = Scan::read(from)?.over(&members);
    let group: Vec<&String> = members.iter().skip(scan.at).take(BATCH_MAX).collect();
    if group.is_empty() {
        return Ok(last(Vec::new()));
    }
    let tags = if scan.at == 0 && scan.cursor.is_empty() { cache.refresh(api).await? } else { cache.get(api).await? };
    let ask = json!({"userid_list": group, "cursor": scan.cursor, "limit": BATCH_MAX});
    let reply = match api.post("externalcontact/batch/get_by_user", &ask).await {
        // None of these members has a customer.
        Err(failure) if failure.is(NO_RELATION) => json!({"external_contact_list": []}),
        other => other?,
    };
    let rows = reply["external_contact_list"].as_array();
    let rows = rows.ok_or_else(|| ConnectorError::broken("WeCom batch/get_by_user has no external_contact_list"))?;
    let corp_id = api.cx.setting("corp_id")?;
    let items: Vec<Received> = rows
        .iter()
        .map(|row| record(corp_id, &row["external_contact"], &row["follow_info"], &tags).map(Received::Record))
        .collect::<Result<_>>()?;
    let cursor = reply["next_cursor"].as_str().unwrap_or_default();
    if cursor == scan.cursor && !cursor.is_empty() {
        return Err(ConnectorError::broken("WeCom batch/get_by_user answers the cursor that it was given"));
    }
    let next = if cursor.is_empty() {
        Scan { at: scan.at + group.len(), cursor: String::new(), ..scan }
    } else {
        Scan { cursor: cursor.to_owned(), ..scan }
    };
    if next.at >= members.len() {
        return Ok(last(items));
    }
    Ok(Page { items, next: Some(next.write()), more: true, complete_scan: false })
}

/// The last page: the next pull begins a new scan.
pub(crate) fn last(items: Vec<Received>) -> Page {
    Page { items, next: Some(Scan::default().write()), more: false, complete_scan: true }
}

/// One relation. None: the customer is unknown, or this member does not follow them.
pub(crate) async fn fetch(api: &Api<'_>, cache: &TagCache, id: &str) -> Result<Option<Record>> {
    let (userid, external_userid) = parts(id)?;
    let mut cursor = String::new();
    for _ in 0..FOLLOWER_PAGES_MAX {
        let query = [("external_userid", external_userid), ("cursor", cursor.as_str())];
        let query = if cursor.is_empty() { &query[..1] } else { &query[..] };
        let reply = match api.get("externalcontact/get", query).await {
            Err(failure) if failure.is(NO_RELATION) || failure.is(NO_SUCH_CUSTOMER) => return Ok(None),
            other => other?,
        };
        let followers = reply["follow_user"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(follow) = followers.iter().find(|follow| follow["userid"] == userid) {
            let tags = cache.get(api).await?;
            return record(api.cx.setting("corp_id")?, &reply["external_contact"], follow, &tags).map(Some);
        }
        match reply["next_cursor"].as_str() {
            Some(next) if !next.is_empty() && next != cursor => next.clone_into(&mut cursor),
            _ => return Ok(None),
        }
    }
    Err(ConnectorError::broken("a WeCom customer has more pages of followers than can be"))
}

/// The record of a relation, the same from either call.
fn record(corp_id: &str, external_contact: &Value, follow: &Value, tags: &Tags) -> Result<Record> {
    let missing = |what: &str| ConnectorError::broken(format!("WeCom shows a contact without {what}"));
    let userid = follow["userid"].as_str().ok_or_else(|| missing("follow_info.userid"))?;
    let external_userid =
        external_contact["external_userid"].as_str().ok_or_else(|| missing("external_contact.external_userid"))?;
    let id = id_of(userid, external_userid);
    let mut follow_info = follow.clone();
    follow_info["tag_names"] = tag_names(follow, tags).into_iter().collect();
    let mut body = json!({
        "corp_id": corp_id,
        "userid": userid,
        "external_contact": external_contact,
        "follow_info": follow_info,
    });
    // 0 says that the gender is not known: no statement.
    if external_contact["gender"].is_number() && crate::api::number(&external_contact["gender"]) != Some(0) {
        body["gender"] = external_contact["gender"].clone();
    }
    Ok(Record { stream: "contacts".into(), id, version: None, body })
}

/// `get` names its tags, and marks corp tags with type 1; `batch/get_by_user` lists ids.
fn tag_names(follow: &Value, tags: &Tags) -> BTreeSet<String> {
    match follow["tags"].as_array() {
        Some(shown) => {
            let corp = shown.iter().filter(|tag| crate::api::number(&tag["type"]) == Some(1));
            corp.filter_map(|tag| tag["tag_name"].as_str().map(str::to_owned)).collect()
        }
        None => tags.names(follow["tag_id"].as_array().into_iter().flatten().filter_map(Value::as_str)),
    }
}
