//! Calls as one message, and back.
//!
//! A byte that says how (1), then for each call: the length of what is said about it, the length of its body (both four
//! bytes, the smallest first), what is said about it as JSON, its body as it came.

use bytes::Bytes;
use huiliu_core::pipeline::intake::Call;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use serde::{Deserialize, Serialize};

/// What is sent as one message at most, in bytes, unless one call alone is larger.
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// What a server must take as one message, in bytes: the largest body and its headers, twice as long in JSON, with some
/// room. A server's default is less.
pub(crate) const ONE_BYTES_MAX: usize = (1 << 20) + (128 << 10);

/// The first byte.
const FORM: u8 = 1;

/// What is said about a call.
#[derive(Serialize, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    connection: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    key: std::borrow::Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    target: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    headers: Option<std::borrow::Cow<'a, str>>,
    received_us: i64,
    #[serde(default)]
    clock_offset_us: i64,
}

/// One call, ready to be put into a message.
pub(crate) fn encode(call: &Call) -> Result<Vec<u8>, serde_json::Error> {
    let InboxItem { connection, target, headers, body, received_us, clock_offset_us, .. } = &call.item;
    let said = Said {
        connection: connection.into(),
        key: (&call.dedupe).into(),
        target: target.as_deref().map(Into::into),
        headers: headers.as_deref().map(Into::into),
        received_us: *received_us,
        clock_offset_us: *clock_offset_us,
    };
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, &said)?;
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let said = length(bytes.len() - 8);
    bytes[..4].copy_from_slice(&said);
    bytes[4..8].copy_from_slice(&length(body.len()));
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// A message of encoded calls.
pub(crate) fn message<'a>(calls: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut bytes = vec![FORM];
    for call in calls {
        bytes.extend_from_slice(call);
    }
    bytes.into()
}

/// The calls of a message, in order.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(message: &[u8]) -> Result<Vec<Call>, String> {
    let Some((&FORM, mut rest)) = message.split_first() else {
        return Err("it does not begin as a group of calls does".to_owned());
    };
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (said, body, after) = parted(rest).ok_or_else(|| "it is cut".to_owned())?;
        let said: Said<'_> = serde_json::from_slice(said).map_err(|error| error.to_string())?;
        let item = InboxItem {
            connection: said.connection.into_owned(),
            kind: ItemKind::Webhook,
            target: said.target.map(Into::into),
            headers: said.headers.map(Into::into),
            body: body.to_vec(),
            received_us: said.received_us,
            clock_offset_us: said.clock_offset_us,
            ..InboxItem::default()
        };
        calls.push(Call { item, dedupe: said.key.into_owned() });
        rest = after;
    }
    Ok(calls)
}

/// What is said about the first call, its body, and what follows.
fn parted(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (said, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_first_chunk::<4>()?;
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
    let (said, rest) = rest.split_at_checked(length(said)?)?;
    let (body, rest) = rest.split_at_checked(length(body)?)?;
    Some((said, body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(key: &str, body: &[u8]) -> Call {
        let item = InboxItem {
            connection: "shop".to_owned(),
            kind: ItemKind::Webhook,
            target: Some("/hooks/shop?a=\"1\"".to_owned()),
            headers: Some(r#"[["x-topic","客户"]]"#.to_owned()),
            body: body.to_vec(),
            received_us: 7,
            clock_offset_us: -3,
            ..InboxItem::default()
        };
        Call { item, dedupe: key.to_owned() }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let calls = [call("a", b""), call("b\n", &[0, 255, 1]), call("c", &vec![9; 100_000])];
        let encoded: Vec<Vec<u8>> = calls.iter().map(|it| encode(it).expect("JSON")).collect();
        let whole = message(encoded.iter().map(Vec::as_slice));
        assert_eq!(read(&whole).expect("calls"), calls);
        assert_eq!(read(&message([])).expect("none"), []);
    }

    #[test]
    fn whatever_is_cut_or_foreign_is_told_and_harms_nobody() {
        let encoded = encode(&call("a", b"body")).expect("JSON");
        let whole = message([encoded.as_slice()]);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]).is_err(), length != 1, "{length}");
        }
        assert!(read(b"hello").is_err());
        assert!(read(&[1, 255, 255, 255, 255, 255, 255, 255, 255, 0]).is_err(), "lengths that nobody has");
        assert!(read(&[1, 2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']).is_err());
    }
}
