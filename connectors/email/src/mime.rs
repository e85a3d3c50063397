//! Makes a record of a mail. Never fails: a mail that cannot be read whole gives a record of what could be read.

use std::borrow::Cow;

use huiliu_core::connector::ExternalId;
use jiff::Timestamp;
use mail_parser::{Address, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::imap::Mail;
use crate::settings::{Depth, Settings};

/// Addresses kept of one field: a mailing to more people is no conversation with each of them.
const ADDRESSES_MAX: usize = 100;

/// Message-IDs kept of a References field; long threads grow by one with every reply.
const REFERENCES_MAX: usize = 100;

/// Characters kept of one header text: RFC 5322 allows 998 in a line, folded ones are longer.
const TEXT_MAX: usize = 2_000;

/// A Message-ID longer than this is not used as a key.
const MESSAGE_ID_MAX: usize = 250;

/// The record's id and content. Should the parser ever stop in the middle of a mail, that mail gives a record with
/// `unreadable`, of what the server says about it, and the folder goes on.
pub fn read(mail: &Mail, settings: &Settings) -> (ExternalId, Value) {
    std::panic::catch_unwind(|| record_of(mail, settings, &mail.raw)).unwrap_or_else(|_| {
        let (_, mut body) = record_of(mail, settings, b"");
        // Nothing is known of it that is sure to differ from other unreadable mails, but its bytes.
        let id = format!("sha256:{}", hex::encode(&Sha256::digest(&mail.raw)[..16]));
        body["id"] = json!(id);
        body["unreadable"] = json!(true);
        (ExternalId::from(id), body)
    })
}

fn record_of(mail: &Mail, settings: &Settings, raw: &[u8]) -> (ExternalId, Value) {
    let raw = legible(raw);
    let parser = MessageParser::default();
    let whole = settings.depth != Depth::Headers;
    let parsed = if whole { parser.parse(raw.as_ref()) } else { parser.parse_headers(raw.as_ref()) };
    // Without any header there is no message; a message without parts, as its default is, would stop every accessor.
    let message = parsed.unwrap_or_else(|| Message { parts: vec![MessagePart::default()], ..Message::default() });
    let mut body = headers(&message, mail);
    let own = [settings.from_address.as_str(), settings.username.as_str()];
    add_sides(&mut body, &own);
    let attached = if whole { message.attachment_count() > 0 } else { is_mixed(&message) };
    body.insert("has_attachments".to_owned(), json!(attached));
    if whole {
        let text = message.body_text(0).map(|text| clean(&text, usize::MAX));
        body.insert("text".to_owned(), json!(text.filter(|text| !text.is_empty())));
    }
    let id = match body.get("message_id").and_then(Value::as_str).filter(|id| is_message_id(id)) {
        Some(id) => id.to_owned(),
        None => nameless(&body),
    };
    body.insert("id".to_owned(), json!(id));
    (ExternalId::from(id), Value::Object(body))
}

/// Whether a Message-ID can name a record: printable, with an `@`, and nothing in it that needs quoting.
pub fn is_message_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>');
    id.len() <= MESSAGE_ID_MAX && id.contains('@') && id.bytes().all(fits)
}

/// Names a mail without a usable Message-ID by what does not change when it is read again from another folder.
fn nameless(body: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    for field in ["message_id", "date", "from", "to", "cc", "subject", "size"] {
        hash.update(body.get(field).unwrap_or(&Value::Null).to_string());
        hash.update([0]);
    }
    format!("sha256:{}", hex::encode(&hash.finalize()[..16]))
}

fn headers(message: &Message<'_>, mail: &Mail) -> Map<String, Value> {
    let message_id = message.message_id().map(|id| clean(id, TEXT_MAX)).filter(|id| !id.is_empty());
    let in_reply_to = ids(message.in_reply_to()).into_iter().next();
    let references = ids(message.references());
    let root = references.first().or(in_reply_to.as_ref()).or(message_id.as_ref()).cloned();
    let from = addresses(message.from()).into_iter().next();
    let mut flags: Vec<&String> = mail.flags.iter().filter(|flag| !flag.eq_ignore_ascii_case("\\recent")).collect();
    flags.sort();
    let body = json!({
        "kind": "email",
        "message_id": message_id,
        "in_reply_to": in_reply_to,
        "references": references,
        "thread_id": root,
        "date": date(message, mail).map(|date| date.to_string()),
        "from": from,
        "to": addresses(message.to()),
        "cc": addresses(message.cc()),
        "subject": message.subject().map(|subject| clean(subject, TEXT_MAX)).filter(|subject| !subject.is_empty()),
        "size": mail.size,
        "flags": flags,
    });
    if let Value::Object(body) = body { body } else { Map::new() }
}

/// Who is on the other side: the sender of a mail to us, the recipients of a mail from us.
fn add_sides(body: &mut Map<String, Value>, own: &[&str]) {
    let is_own = |side: &Value| {
        let address = side["address"].as_str().unwrap_or_default();
        own.iter().any(|own| own.eq_ignore_ascii_case(address))
    };
    let is_out = body.get("from").is_some_and(is_own);
    let list = |name: &str| body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let from: Vec<Value> = body.get("from").filter(|from| !from.is_null()).cloned().into_iter().collect();
    let recipients: Vec<Value> = [list("to"), list("cc")].concat();
    let counterparts: Vec<Value> = if is_out { recipients.clone() } else { from.clone() };
    let counterparts: Vec<Value> = counterparts.into_iter().filter(|side| !is_own(side)).collect();
    let mut participants: Vec<Value> =
        [from, recipients].concat().iter().map(|side| side["address"].clone()).filter(Value::is_string).collect();
    participants.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    participants.dedup();
    body.insert("direction".to_owned(), json!(if is_out { "out" } else { "in" }));
    body.insert("counterparts".to_owned(), Value::Array(counterparts));
    body.insert("participants".to_owned(), Value::Array(participants));
}

fn addresses(field: Option<&Address<'_>>) -> Vec<Value> {
    let Some(field) = field else { return Vec::new() };
    let known = field.iter().filter_map(|one| {
        let address = one.address().map(|address| clean(address, TEXT_MAX)).filter(|address| has_sides(address))?;
        let name = one.name().map(|name| clean(name, TEXT_MAX)).filter(|name| !name.is_empty());
        Some(json!({ "name": name, "address": address }))
    });
    known.take(ADDRESSES_MAX).collect()
}

fn has_sides(address: &str) -> bool {
    address.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn ids(field: &HeaderValue<'_>) -> Vec<String> {
    let found: Vec<&str> = match field {
        HeaderValue::Text(id) => vec![id.as_ref()],
        HeaderValue::TextList(ids) => ids.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    let known = found.into_iter().map(|id| clean(id, TEXT_MAX)).filter(|id| !id.is_empty());
    known.take(REFERENCES_MAX).collect()
}

/// The sender's date, or the server's where the sender gave none that is one.
fn date(message: &Message<'_>, mail: &Mail) -> Option<Timestamp> {
    let told = message.date().filter(|date| date.is_valid() && date.year >= 1970);
    let told = told.and_then(|date| Timestamp::from_second(date.to_timestamp()).ok());
    let received =
        || jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", mail.internal_date.trim()).ok()?.to_timestamp().ok();
    told.or_else(received)
}

/// Without bodies, the best sign of an attachment is the outermost type.
fn is_mixed(message: &Message<'_>) -> bool {
    message.content_type().is_some_and(|kind| {
        kind.ctype().eq_ignore_ascii_case("multipart")
            && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("mixed"))
    })
}

/// Old Chinese mailers put bare GBK into the header, against RFC 5322: it is read as GB18030 where it is not UTF-8.
fn legible(raw: &[u8]) -> Cow<'_, [u8]> {
    let end = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(raw.len());
    let (head, rest) = raw.split_at(end);
    if std::str::from_utf8(head).is_ok() {
        return Cow::Borrowed(raw);
    }
    let (text, _) = encoding_rs::GB18030.decode_without_bom_handling(head);
    Cow::Owned([text.as_bytes(), rest].concat())
}

/// No control characters but line breaks and tabs (a NUL would not even be storable), no more than so many characters.
fn clean(text: &str, chars_max: usize) -> String {
    let kept = text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'));
    kept.take(chars_max).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::{Security, Server};

    const MAILS: [&[u8]; 4] = [
        include_bytes!("../fixtures/mime/1-plain.eml"),
        include_bytes!("../fixtures/mime/2-gb18030.eml"),
        include_bytes!("../fixtures/mime/5-broken.eml"),
        include_bytes!("../fixtures/mime/6-reply-out.eml"),
    ];

    fn settings(depth: Depth) -> Settings {
        let server = Server { host: "localhost".to_owned(), port: 1, security: Security::None };
        Settings {
            imap: server.clone(),
            smtp: server,
            username: "hub".to_owned(),
            from_address: "hub@example.test".to_owned(),
            mailbox: "INBOX".to_owned(),
            sent_mailbox: None,
            ca_file: None,
            depth,
            timeout: std::time::Duration::from_secs(1),
        }
    }

    /// A fixture in which a few stretches are replaced by bytes that mean something to a parser.
    fn mangled() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec!["\r\n", "\r\n\r\n", "--b", "=?utf-8?B?", "?=", "\"", "(", "<", ":", ";", "="])
                .prop_map(|text| text.as_bytes().to_vec()),
            prop::sample::select(vec![
                "Content-Type: message/rfc822\r\n",
                "Content-Type: multipart/mixed;boundary=b\r\n"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..20usize, piece), 1..8);
        (0..MAILS.len(), edits).prop_map(|(which, edits)| {
            let mut raw = MAILS[which].to_vec();
            for (at, cut, piece) in edits {
                let at = at.index(raw.len() + 1);
                let end = (at + cut).min(raw.len());
                raw.splice(at..end, piece);
            }
            raw
        })
    }

    proptest! {
        /// Both depths give a record that can be stored, and neither stops the parser.
        #[test]
        fn a_mangled_mail_gives_a_record(raw in mangled()) {
            for depth in [Depth::Headers, Depth::Whole(1 << 20)] {
                let mail = Mail { uid: 1, raw: raw.clone(), ..Mail::default() };
                let (id, body) = read(&mail, &settings(depth));
                prop_assert_eq!(&body["id"], id.as_str());
                prop_assert!(body.get("unreadable").is_none(), "the parser stopped");
                prop_assert!(!body.to_string().contains("\\u0000"));
            }
        }
    }
}
