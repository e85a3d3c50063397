//! Finds the collections: the configured URL is one, or leads to the account's principal, and that to its home sets
//! (RFC 6764, RFC 5397, RFC 6352 section 7.1.1, RFC 4791 section 6.2.1).

use huiliu_core::connector::{ConnectorError, Result};
use url::Url;

use crate::client::Client;
use crate::kind::Kind;
use crate::xml::{DAV, MultiStatus, Resource};

/// Collections of one connection, at most: more is a server's public directory.
const COLLECTIONS_MAX: usize = 100;

/// Home sets of one account; servers have one or two.
const HOMES_MAX: usize = 8;

/// One address book or calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Where it is; the path ends with a slash.
    pub url: Url,
    /// The path, its name in cursors.
    pub id: String,
    /// What people call it, in lower case.
    pub name: String,
}

/// The collections of a connection, by path.
///
/// # Errors
/// [`ConnectorError::Broken`] if there is none, saying what was looked for; those of [`Client`].
pub async fn collections(client: &Client<'_>) -> Result<Vec<Collection>> {
    let mut found = all(client).await?;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    found.truncate(COLLECTIONS_MAX);
    let text = client.cx.settings.get("collections").map(String::as_str).unwrap_or_default();
    let wanted: Vec<String> =
        text.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    let names = found.iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(", ");
    let mut chosen = Vec::new();
    for name in &wanted {
        let fits = |it: &&Collection| {
            it.name == *name
                || it.id.trim_end_matches('/').rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name))
        };
        let one = found.iter().find(fits).ok_or_else(|| {
            ConnectorError::broken(format!(
                "the server has no collection `{name}`; it has: {names}. Correct config.collections"
            ))
        })?;
        chosen.push(one.clone());
    }
    let chosen = if wanted.is_empty() { found } else { chosen };
    if chosen.is_empty() {
        let what = client.kind.resource_type();
        return Err(ConnectorError::broken(format!(
            "no {what} was found at {}; create one there, or set config.url to the {what} itself",
            client.base.host_str().unwrap_or_default()
        )));
    }
    Ok(chosen)
}

async fn all(client: &Client<'_>) -> Result<Vec<Collection>> {
    let base = client.base.clone();
    let well_known =
        base.join(client.kind.well_known()).map_err(|_| ConnectorError::broken("config.url cannot lead on"))?;
    let mut homes = Vec::new();
    for start in [base, well_known] {
        // Where nothing speaks WebDAV, the well-known address may know better.
        let Some((url, reply)) = ask(client, &start, "0").await? else { continue };
        let here = of_kind(client, &url, &reply)?;
        if !here.is_empty() {
            return Ok(here);
        }
        homes = home_sets(client, &url, &reply)?;
        if homes.is_empty()
            && let Some(principal) = principal(&reply)
        {
            let principal = client.follow(&url, principal)?;
            let (url, reply) = look(client, &principal, "0").await?;
            homes = home_sets(client, &url, &reply)?;
        }
        if !homes.is_empty() {
            break;
        }
    }
    let mut found = Vec::new();
    for home in homes.iter().take(HOMES_MAX) {
        let (url, reply) = look(client, home, "1").await?;
        found.extend(of_kind(client, &url, &reply)?);
    }
    Ok(found)
}

async fn look(client: &Client<'_>, url: &Url, depth: &str) -> Result<(Url, MultiStatus)> {
    ask(client, url, depth).await?.ok_or_else(|| {
        ConnectorError::broken(format!(
            "the server leads to {}, where nothing speaks WebDAV; check config.url",
            url.path()
        ))
    })
}

async fn ask(client: &Client<'_>, url: &Url, depth: &str) -> Result<Option<(Url, MultiStatus)>> {
    let home = client.kind.home_set();
    let properties = format!("<d:resourcetype/><d:displayname/><d:current-user-principal/><k:{home}/>");
    client.propfind(url, depth, &properties).await
}

fn principal(reply: &MultiStatus) -> Option<&str> {
    reply.resources.iter().find_map(|it| it.property(DAV, "current-user-principal")?.href())
}

fn home_sets(client: &Client<'_>, from: &Url, reply: &MultiStatus) -> Result<Vec<Url>> {
    let sets = reply.resources.iter().filter_map(|it| it.property(client.kind.namespace(), client.kind.home_set()));
    let hrefs = sets.flat_map(|set| set.all(DAV, "href")).map(|href| href.text.trim()).filter(|href| !href.is_empty());
    hrefs.map(|href| client.follow(from, href)).collect()
}

fn of_kind(client: &Client<'_>, from: &Url, reply: &MultiStatus) -> Result<Vec<Collection>> {
    let mine = reply.resources.iter().filter(|it| is_of_kind(client.kind, it));
    mine.map(|it| collection(client, from, it)).collect()
}

fn is_of_kind(kind: Kind, resource: &Resource) -> bool {
    resource.property(DAV, "resourcetype").is_some_and(|types| types.holds(kind.namespace(), kind.resource_type()))
}

fn collection(client: &Client<'_>, from: &Url, resource: &Resource) -> Result<Collection> {
    let mut url = client.follow(from, &resource.href)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let name = resource
        .property(DAV, "displayname")
        .map(|name| name.text.trim().to_lowercase())
        .filter(|name| !name.is_empty());
    let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
    Ok(Collection { id: client.id_of(&url), name: name.unwrap_or(last), url })
}
