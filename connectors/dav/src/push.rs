//! Writes one member: conditionally, and so that a repeat is recognised.
//!
//! A create goes to an address that follows from the idempotency key, with `If-None-Match: *`: a second one meets 412 and
//! finds the first. An update reads the member, changes the named values in its text and writes it with `If-Match`: what
//! changed since it was known is a conflict, never overwritten.

use huiliu_core::connector::{ConnectorError, Delivery, ExternalId, Operation, Receipt, Result, Version};
use url::Url;

use crate::card_edit;
use crate::client::{Client, Member, Verb};
use crate::discover::Collection;
use crate::kind::{Kind, Unfit};
use crate::pull;

/// Carries out one delivery. New members go to the first of `collections`.
///
/// # Errors
/// Those of the contract.
pub async fn push(client: &Client<'_>, collections: &[Collection], delivery: &Delivery) -> Result<Receipt> {
    match (delivery.operation, &delivery.id) {
        (Operation::Create, _) if client.kind == Kind::Cards => create(client, collections, delivery).await,
        (Operation::Update, Some(id)) => update(client, delivery, id).await,
        _ => Err(ConnectorError::broken(format!("a {} is not written here", delivery.operation.as_str()))),
    }
}

async fn create(client: &Client<'_>, collections: &[Collection], delivery: &Delivery) -> Result<Receipt> {
    let Some(collection) = collections.first() else { return Err(ConnectorError::broken("there is no address book")) };
    let uid = uuid_form(&delivery.idempotency_key);
    let url = client.follow(&collection.url, &member_name(&uid))?;
    let id = client.id_of(&url);
    let text = client.kind.edit(&card_edit::empty(&uid), &delivery.body).map_err(rejected)?;
    let response = client.put(&url, ("if-none-match", "*"), text).await?;
    if response.is_success() {
        return written(client, delivery, &url, &id, response.header("etag")).await;
    }
    if response.status == 412 {
        // Somebody made it before: an earlier attempt of this delivery, for nobody else knows the key.
        return match client.get(&url).await? {
            Some(member) if has_uid(&member, &uid) => Ok(receipt(client, delivery, &id, &member)),
            Some(_) => Err(ConnectorError::Rejected {
                at: String::new(),
                reason: "another card stands at the address of the new one; delete it on the server, then retry"
                    .to_owned(),
            }),
            None => Err(ConnectorError::transient("the server said that the card is there, and then that it is not")),
        };
    }
    // A new member has no version that could be out of date: a conflict here is a refusal of its content.
    Err(match client.failure(Verb::Member, &url, &response) {
        ConnectorError::Conflict { detail } | ConnectorError::Gone { detail } => ConnectorError::Rejected {
            at: String::new(),
            reason: format!("the server does not take the new card: {detail}"),
        },
        other => other,
    })
}

/// Whether the member at this address is the one that a create of this delivery makes.
pub fn is_own_address(delivery: &Delivery, address: &str) -> bool {
    let name = member_name(&uuid_form(&delivery.idempotency_key));
    address.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&name))
}

fn member_name(uid: &str) -> String {
    format!("{uid}.vcf")
}

/// The key as a UUID.
fn uuid_form(key: &str) -> String {
    let part = |from: usize, to: usize| key.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, key.len()))
}

fn has_uid(member: &Member, uid: &str) -> bool {
    let body = crate::card::read(&member.text);
    body["uid"].as_str().is_some_and(|found| found.trim().trim_start_matches("urn:uuid:").eq_ignore_ascii_case(uid))
}

async fn update(client: &Client<'_>, delivery: &Delivery, id: &ExternalId) -> Result<Receipt> {
    let gone = || ConnectorError::Gone { detail: "the record is no longer on the server".to_owned() };
    let url = client.follow(&client.base, id.as_str())?;
    let member = client.get(&url).await?.ok_or_else(gone)?;
    let edited = client.kind.edit(&member.text, &delivery.body).map_err(rejected)?;
    if edited == member.text {
        // It holds these values already: an earlier attempt wrote them, or somebody else did.
        return Ok(receipt(client, delivery, id.as_str(), &member));
    }
    if delivery.base_version.as_ref().is_some_and(|base| base.text != member.etag) {
        return Err(ConnectorError::Conflict { detail: "somebody changed the record since it was read".to_owned() });
    }
    if member.etag.is_empty() {
        return Err(ConnectorError::broken(
            "the server tells no ETag, so nothing can be written without overwriting others",
        ));
    }
    let stamped = client.kind.stamp(&edited, client.cx.clock.now());
    let response = client.put(&url, ("if-match", &member.etag), stamped).await?;
    if !response.is_success() {
        return Err(client.failure(Verb::Member, &url, &response));
    }
    written(client, delivery, &url, id.as_str(), response.header("etag")).await
}

/// Reads back what was stored: servers put properties in order and drop what they do not know, with an `ETag` in the
/// answer or without one. If somebody wrote in between, only our own tag is told; the rest comes with the next pull.
async fn written(client: &Client<'_>, delivery: &Delivery, url: &Url, id: &str, etag: Option<&str>) -> Result<Receipt> {
    let told = etag.map(Version::tag);
    match client.get(url).await {
        Ok(Some(member)) if etag.is_none_or(|etag| etag == member.etag) => Ok(receipt(client, delivery, id, &member)),
        // The write is done whatever the second look brings.
        _ => Ok(Receipt { id: ExternalId::from(id), stored: None, version: told }),
    }
}

fn receipt(client: &Client<'_>, delivery: &Delivery, id: &str, member: &Member) -> Receipt {
    let stored = pull::record(client, &delivery.stream, id, &member.etag, &member.text);
    Receipt { id: ExternalId::from(id), version: stored.as_ref().and_then(|it| it.version.clone()), stored }
}

fn rejected(unfit: Unfit) -> ConnectorError {
    ConnectorError::Rejected { at: unfit.at, reason: unfit.reason }
}
