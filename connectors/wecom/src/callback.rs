//! Callbacks: the sealed envelope is opened, and an event becomes hints.
//!
//! An event is a pointer: it names a customer and a member, never their content, so `fetch` follows. Changes made
//! through the API cause no callback, and neither does an edit of the remark's phone alone: the scheduled scan finds
//! those.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Opened, RawRequest, Received, Reply, Result, StreamName, Verified};
use huiliu_core::connector::{ExternalId, Version};
use sha1::Sha1;
use sha1::digest::Digest;

use crate::crypto::{self, Seal};
use crate::envelope::{self, Fields};

/// How far the stamp of a call may lie from our clock. `WeCom` promises nothing about freshness and an outage of ours
/// may last hours, so the bound only keeps somebody who recorded a call long ago from playing it back.
pub const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Opens a call: signature, age, key, receiver, in this order. `GET` is the URL check of the admin console.
pub(crate) fn open(cx: &Cx, request: &RawRequest) -> Result<Opened> {
    let form = Form::of(request)?;
    let token = cx.secret("callback_token")?.expose();
    let key = crypto::decode_key(cx.secret("encoding_aes_key")?.expose()).map_err(|error| refused(&error))?;
    let corp_id = cx.setting("corp_id")?;
    // Bots seal for an empty receiver, applications for the corp. The URL check does not say who asks.
    let receivers: &[&str] = if form.kind == Kind::Xml { &[corp_id] } else { &[corp_id, ""] };
    let seal = Seal { signature: &form.signature, timestamp: &form.timestamp, nonce: &form.nonce };
    let message = crypto::open(token, &key, receivers, seal, &form.encrypted).map_err(|error| refused(&error))?;
    fresh(cx, &form.timestamp)?;
    if form.kind == Kind::UrlCheck {
        // The plaintext alone: a quote, a byte order mark or a newline fails the check (document 90930).
        return Ok(Opened::Handshake(Reply { body: message.into(), ..Reply::ok() }));
    }
    Ok(Opened::Message { dedupe: dedupe(&form, &message), body: message.into(), reply: Reply::ok() })
}

/// The key of a repeat. `MsgId`, or sender and `CreateTime`, would lose events: many customers change in one second.
/// So the whole content counts, and the call's own stamp and nonce too: two edits of one customer within a second
/// have equal content, and the second must not be taken for a repeat of the first. A retry that is sealed anew costs
/// one more fetch and changes nothing.
fn dedupe(form: &Form, message: &[u8]) -> String {
    let digest =
        Sha1::new().chain_update(&form.timestamp).chain_update([0]).chain_update(&form.nonce).chain_update([0]);
    crypto::hex(&digest.chain_update(message).finalize())
}

fn fresh(cx: &Cx, timestamp: &str) -> Result<()> {
    let at: i64 = timestamp.parse().map_err(|_| unauthorized("the callback's timestamp is not a number"))?;
    let apart = cx.clock.now().as_second().abs_diff(at);
    if apart > AGE_MAX.as_secs() {
        return Err(unauthorized(&format!(
            "the callback is stamped {} hours away from this machine's clock; check the clock, or the call is replayed",
            apart / 3600
        )));
    }
    Ok(())
}

fn refused(error: &crypto::CryptoError) -> ConnectorError {
    unauthorized(&error.to_string())
}

fn unauthorized(detail: &str) -> ConnectorError {
    ConnectorError::Unauthorized { detail: format!("WeCom callback refused: {detail}") }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    UrlCheck,
    Xml,
    Json,
}

/// The four signed parts of a call, wherever they travel.
struct Form {
    kind: Kind,
    signature: String,
    timestamp: String,
    nonce: String,
    encrypted: String,
}

impl Form {
    fn of(request: &RawRequest) -> Result<Self> {
        let part = |name: &str| {
            request.query(name).ok_or_else(|| unauthorized(&format!("the query has no readable `{name}`")))
        };
        let (kind, encrypted) = if request.method == "GET" {
            (Kind::UrlCheck, part("echostr")?)
        } else {
            let mut fields = envelope::parse(&request.body).map_err(|error| unauthorized(&error))?;
            let (kind, name) =
                if envelope::is_json(&request.body) { (Kind::Json, "encrypt") } else { (Kind::Xml, "Encrypt") };
            let encrypted = fields.remove(name).ok_or_else(|| unauthorized(&format!("the body has no `{name}`")))?;
            (kind, encrypted)
        };
        Ok(Self {
            kind,
            signature: part("msg_signature")?,
            timestamp: part("timestamp")?,
            nonce: part("nonce")?,
            encrypted,
        })
    }
}

/// What an opened event means. Unknown events mean nothing to us: they were kept in the inbox all the same.
pub(crate) fn receive(request: &Verified) -> Result<Vec<Received>> {
    let fields = envelope::parse(&request.request.body).map_err(|error| ConnectorError::Rejected {
        at: String::new(),
        reason: format!("WeCom sent an event that cannot be read: {error}"),
    })?;
    let event = fields.get("Event").map_or("", String::as_str);
    match event {
        "change_external_contact" => contact(&fields),
        "change_external_chat" => chat(&fields),
        "change_external_tag" => Ok(tag(&fields)),
        _ => Ok(Vec::new()),
    }
}

fn contact(fields: &Fields) -> Result<Vec<Received>> {
    let stream = StreamName::from("contacts");
    match change(fields) {
        "add_external_contact" | "edit_external_contact" | "add_half_external_contact" => {
            let id = contact_id(fields)?;
            Ok(vec![Received::Hint { stream, id }])
        }
        // The member removed the customer, or the customer removed the member: either ends the relation.
        "del_external_contact" | "del_follow_user" => {
            let id = contact_id(fields)?;
            Ok(vec![Received::Deleted { stream, id, version: version(fields) }])
        }
        // A handover failed: whom the customer belongs to now must be read, at both ends.
        "transfer_fail" => {
            let id = contact_id(fields)?;
            Ok(vec![Received::Hint { stream, id }])
        }
        _ => Ok(Vec::new()),
    }
}

fn chat(fields: &Fields) -> Result<Vec<Received>> {
    let stream = StreamName::from("chats");
    let id = || needed(fields, "ChatId").map(ExternalId::from);
    match change(fields) {
        "create" | "update" => Ok(vec![Received::Hint { stream, id: id()? }]),
        "dismiss" => Ok(vec![Received::Deleted { stream, id: id()?, version: version(fields) }]),
        _ => Ok(Vec::new()),
    }
}

fn tag(fields: &Fields) -> Vec<Received> {
    let stream = StreamName::from("tags");
    let id = fields.get("Id").filter(|_| fields.get("TagType").is_some_and(|kind| kind == "tag")).map(ExternalId::from);
    // Contacts show tag names: a renamed or removed tag changes them without a callback of their own.
    let contacts = || Received::Poke { stream: "contacts".into() };
    match (change(fields), id) {
        ("create", Some(id)) => vec![Received::Hint { stream, id }],
        ("update", Some(id)) => vec![Received::Hint { stream, id }, contacts()],
        ("delete", Some(id)) => vec![Received::Deleted { stream, id, version: version(fields) }, contacts()],
        ("delete", None) => vec![Received::Poke { stream }, contacts()],
        ("create" | "update" | "shuffle", _) => vec![Received::Poke { stream }],
        _ => Vec::new(),
    }
}

fn change(fields: &Fields) -> &str {
    fields.get("ChangeType").map_or("", String::as_str)
}

fn contact_id(fields: &Fields) -> Result<ExternalId> {
    Ok(crate::contacts::id_of(needed(fields, "UserID")?, needed(fields, "ExternalUserID")?))
}

fn needed<'a>(fields: &'a Fields, name: &str) -> Result<&'a str> {
    fields.get(name).map(String::as_str).filter(|text| !text.is_empty()).ok_or_else(|| ConnectorError::Rejected {
        at: name.to_owned(),
        reason: format!("the WeCom event has no {name}"),
    })
}

/// `CreateTime` counts seconds since 1970.
fn version(fields: &Fields) -> Option<Version> {
    let text = fields.get("CreateTime")?;
    let at = jiff::Timestamp::from_second(text.parse().ok()?).ok()?;
    Some(Version::instant(text.as_str(), at))
}
