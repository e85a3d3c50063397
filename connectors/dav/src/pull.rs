//! Walks the changes of each collection by sync token (RFC 6578), and reads what changed in batches.
//!
//! The cursor holds a token for each collection. A listing is walked in pages by path: the place in it is in the cursor,
//! the listing itself is kept in memory and asked for again where it is lost. A walk that began without tokens read
//! everything: what it did not show is missing. A token that the server no longer knows, or a collection that is no
//! longer there, starts such a walk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use huiliu_core::connector::{
    ConnectionName, ConnectorError, Cursor, ExternalId, Page, Received, Record, Result, StreamName, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::client::Client;
use crate::discover::Collection;
use crate::xml::{self, MultiStatus, escaped};

/// Members of a page: with a picture of 200 kB in each, 10 MB.
pub const PAGE: usize = 50;

/// Changes that a listing asks for at once; a server may tell fewer, or not mind.
const LISTING: usize = 5_000;

/// Where a walk stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The sync token of each collection, by its path.
    tokens: BTreeMap<String, String>,
    /// Whether this walk began without tokens.
    #[serde(default, skip_serializing_if = "is_false")]
    full: bool,
    /// Collections that this walk has read to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<String>,
    /// The listing that is being walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<At>,
}

/// A place in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    collection: String,
    /// The token that holds after the whole listing.
    to: String,
    /// Everything up to this path has been read.
    after: String,
    /// Whether the server has more than this listing.
    truncated: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What changed in a collection.
#[derive(Clone, Debug, Default)]
struct Listing {
    /// By path: the tag, or none for what is gone.
    members: BTreeMap<String, Option<String>>,
    to: String,
    truncated: bool,
}

/// Listings that are being walked, so that the next page need not ask again. Losing one costs a call.
#[derive(Default)]
pub struct Listings(Mutex<BTreeMap<ConnectionName, (String, Listing)>>);

impl Listings {
    fn get(&self, connection: &ConnectionName, at: &At) -> Option<Listing> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (collection, listing) = kept.get(connection)?;
        (*collection == at.collection && listing.to == at.to).then(|| listing.clone())
    }

    fn keep(&self, connection: &ConnectionName, collection: &str, listing: &Listing) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(connection.clone(), (collection.to_owned(), listing.clone()));
    }

    fn forget(&self, connection: &ConnectionName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(connection);
    }
}

/// One page.
///
/// # Errors
/// [`ConnectorError::CursorExpired`] if a token or a collection is no longer known, and those of [`Client`].
pub async fn pull(
    client: &Client<'_>,
    listings: &Listings,
    collections: &[Collection],
    stream: &StreamName,
    from: Option<&Cursor>,
) -> Result<Page> {
    let mut place = from.map(read_cursor).transpose()?.unwrap_or(Place { full: true, ..Place::default() });
    let known = |id: &str| collections.iter().any(|it| it.id == id);
    if let Some(gone) = place.tokens.keys().find(|id| !known(id)) {
        return Err(expired(format!("the collection {gone} is no longer there; everything is read anew")));
    }
    let now = match &place.at {
        Some(at) => collections.iter().find(|it| it.id == at.collection),
        None => collections.iter().find(|it| !place.done.contains(&it.id)),
    };
    let Some(collection) = now else { return Err(expired("the collections are others now; everything is read anew")) };
    let (listing, after) = listing(client, listings, collection, &place).await?;
    let rest = listing.members.iter().filter(|(path, _)| after.as_deref().is_none_or(|after| path.as_str() > after));
    let taken: Vec<(&String, &Option<String>)> = rest.take(PAGE).collect();
    let items = read(client, collection, stream, &taken).await?;
    let last = taken.last().map(|(path, _)| (*path).clone());
    let ended = last.as_ref().is_none_or(|last| listing.members.keys().next_back() == Some(last));
    let mut complete_scan = false;
    if let (false, Some(after)) = (ended, last) {
        listings.keep(&client.cx.connection, &collection.id, &listing);
        place.at = Some(At { collection: collection.id.clone(), to: listing.to, after, truncated: listing.truncated });
    } else {
        place.at = None;
        place.tokens.insert(collection.id.clone(), listing.to);
        if !listing.truncated {
            place.done.push(collection.id.clone());
        }
    }
    let more = collections.iter().any(|it| !place.done.contains(&it.id));
    if !more {
        complete_scan = std::mem::take(&mut place.full);
        place.done.clear();
        listings.forget(&client.cx.connection);
    }
    let next = serde_json::to_string(&place).map_err(|error| ConnectorError::broken(error.to_string()))?;
    Ok(Page { items, next: Some(Cursor::from(next)), more, complete_scan })
}

fn read_cursor(cursor: &Cursor) -> Result<Place> {
    let unreadable = || expired("the stored place cannot be read; everything is read anew");
    serde_json::from_str(cursor.as_str()).map_err(|_| unreadable())
}

fn expired(detail: impl Into<String>) -> ConnectorError {
    ConnectorError::CursorExpired { detail: detail.into() }
}

/// The listing to walk, and up to where it has been walked.
async fn listing(
    client: &Client<'_>,
    listings: &Listings,
    collection: &Collection,
    place: &Place,
) -> Result<(Listing, Option<String>)> {
    if let Some(kept) = place.at.as_ref().and_then(|at| listings.get(&client.cx.connection, at)) {
        return Ok((kept, place.at.as_ref().map(|at| at.after.clone())));
    }
    let token = place.tokens.get(&collection.id).map_or("", String::as_str);
    let mut fresh = list(client, collection, token).await?;
    match &place.at {
        // The same question from the same token: what was read is in it. The older token stays, so that what changed in
        // between comes again with the next listing.
        Some(at) if !at.truncated && !fresh.truncated => {
            fresh.to.clone_from(&at.to);
            Ok((fresh, Some(at.after.clone())))
        }
        // Which part of the changes a server shows first is its own choice: this part is read from its start.
        _ => Ok((fresh, None)),
    }
}

async fn list(client: &Client<'_>, collection: &Collection, token: &str) -> Result<Listing> {
    let limit = format!("<d:limit><d:nresults>{LISTING}</d:nresults></d:limit>");
    let response = client.report(&collection.url, "0", sync_report(token, &limit)).await?;
    // A server that cannot keep to a limit refuses the whole question (RFC 6578 section 3.7).
    let refused = response.status == 507 && xml::is_error(&response.body, "number-of-matches-within-limits");
    let response = if refused { client.report(&collection.url, "0", sync_report(token, "")).await? } else { response };
    let forgotten =
        matches!(response.status, 403 | 409 | 412 | 507) && xml::is_error(&response.body, "valid-sync-token");
    if !token.is_empty() && (forgotten || response.status == 410) {
        return Err(expired("the server no longer knows the stored sync token; everything is read anew"));
    }
    let reply = match client.multi_status(&collection.url, &response) {
        Err(ConnectorError::Gone { .. }) => {
            return Err(expired("the collection is no longer there; everything is read anew"));
        }
        other => other?,
    };
    changes(client, collection, &reply)
}

fn sync_report(token: &str, limit: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:sync-collection xmlns:d=\"DAV:\"><d:sync-token>{}</d:sync-token>\
         <d:sync-level>1</d:sync-level>{limit}<d:prop><d:getetag/></d:prop></d:sync-collection>",
        escaped(token)
    )
}

fn changes(client: &Client<'_>, collection: &Collection, reply: &MultiStatus) -> Result<Listing> {
    let Some(to) = reply.sync_token.clone().filter(|token| !token.is_empty()) else {
        return Err(ConnectorError::broken(format!(
            "{} tells no sync token: it does not support sync-collection (RFC 6578), which this connector needs",
            collection.url.host_str().unwrap_or_default()
        )));
    };
    let mut listing = Listing { to, ..Listing::default() };
    for resource in &reply.resources {
        let url = client.follow(&collection.url, &resource.href)?;
        let id = client.id_of(&url);
        if id.trim_end_matches('/') == collection.id.trim_end_matches('/') {
            listing.truncated |= resource.status == Some(507);
        } else if matches!(resource.status, Some(404 | 410)) {
            listing.members.insert(id, None);
        } else if !url.path().ends_with('/') {
            // What ends with a slash is a collection inside, which is none of ours.
            listing.members.insert(id, Some(resource.etag().unwrap_or_default().to_owned()));
        }
    }
    Ok(listing)
}

async fn read(
    client: &Client<'_>,
    collection: &Collection,
    stream: &StreamName,
    taken: &[(&String, &Option<String>)],
) -> Result<Vec<Received>> {
    let there: Vec<&str> = taken.iter().filter(|(_, tag)| tag.is_some()).map(|(path, _)| path.as_str()).collect();
    let mut found = if there.is_empty() { BTreeMap::new() } else { many(client, collection, stream, &there).await? };
    let mut items = Vec::with_capacity(taken.len());
    for (path, tag) in taken {
        let (stream, id) = (stream.clone(), ExternalId::from(path.as_str()));
        match (tag, found.remove(path.as_str())) {
            (None, _) => items.push(Received::Deleted { stream, id, version: None }),
            (Some(_), Some(item)) => items.extend(item),
            // Not a word about it: it is asked for alone.
            (Some(_), None) => items.push(Received::Hint { stream, id }),
        }
    }
    Ok(items)
}

/// What the server says of these members; an inner none: there is nothing for the stream in it.
async fn many(
    client: &Client<'_>,
    collection: &Collection,
    stream: &StreamName,
    ids: &[&str],
) -> Result<BTreeMap<String, Option<Received>>> {
    let (report, data) = (client.kind.multiget(), client.kind.data());
    let hrefs = ids.iter().map(|id| escaped(&path_of(id))).collect::<Vec<_>>().join("</d:href><d:href>");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><k:{report} xmlns:d=\"DAV:\" xmlns:k=\"{}\"><d:prop><d:getetag/><k:{data}/></d:prop><d:href>{hrefs}</d:href></k:{report}>",
        client.kind.namespace()
    );
    let response = client.report(&collection.url, "1", body).await?;
    let reply = client.multi_status(&collection.url, &response)?;
    let mut found = BTreeMap::new();
    for resource in &reply.resources {
        let id = client.id_of(&client.follow(&collection.url, &resource.href)?);
        let item = match (resource.status, resource.property(client.kind.namespace(), data)) {
            (Some(404 | 410), _) => {
                Some(Received::Deleted { stream: stream.clone(), id: id.as_str().into(), version: None })
            }
            (_, Some(text)) => {
                record(client, stream, &id, resource.etag().unwrap_or_default(), &text.text).map(Received::Record)
            }
            _ => continue,
        };
        found.insert(id, item);
    }
    Ok(found)
}

fn path_of(id: &str) -> String {
    Url::parse(id).map_or_else(|_| id.to_owned(), |url| url.path().to_owned())
}

/// A member as a record. The version is the entity tag: it can be compared for equality only, and makes a write
/// conditional. `Last-Modified` has whole seconds and goes back with a restored backup, so it decides nothing.
pub fn record(client: &Client<'_>, stream: &StreamName, id: &str, etag: &str, text: &str) -> Option<Record> {
    let mut body = client.kind.read(text, &client.reading)?;
    body["href"] = Value::from(id);
    let version = (!etag.is_empty()).then(|| Version::tag(etag));
    Some(Record { stream: stream.clone(), id: ExternalId::from(id), version, body })
}

/// One record, or none where it is not there.
///
/// # Errors
/// Those of [`Client`].
pub async fn fetch(client: &Client<'_>, stream: &StreamName, id: &str) -> Result<Option<Record>> {
    let url = client.follow(&client.base, id)?;
    let member = client.get(&url).await?;
    Ok(member.and_then(|member| record(client, stream, id, &member.etag, &member.text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_foreign_one_is_expired() {
        let at = At { collection: "/a/".into(), to: "t2".into(), after: "/a/1".into(), truncated: true };
        let place = Place {
            tokens: [("/a/".to_owned(), "t1".to_owned())].into(),
            full: true,
            done: vec!["/b/".into()],
            at: Some(at),
        };
        let text = serde_json::to_string(&place).unwrap();
        assert_eq!(read_cursor(&Cursor::from(text)).unwrap(), place);
        assert_eq!(read_cursor(&Cursor::from("17")).unwrap_err().kind(), "cursor_expired");
        assert!(sync_report("a<b&c", "").contains("<d:sync-token>a&lt;b&amp;c</d:sync-token>"));
    }
}
