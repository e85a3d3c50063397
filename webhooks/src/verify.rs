//! Proves where a call comes from. The schemes are a closed list; the proof runs over the raw bytes, before anything
//! is parsed, and every comparison takes the same time wherever the values differ.
//!
//! Sources: Standard Webhooks specification (headers, signed text, key form), Shopify "verify deliveries" and
//! `WooCommerce` webhooks (base64 HMAC-SHA256 of the raw body), RFC 7617 (Basic).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::connector::{Connector, ConnectorError, Cx, Opened, RawRequest, Reply, Verified};
use huiliu_core::manifest::{Encoding, Ping, Verify, Webhook};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How far a Standard Webhooks timestamp may be from our time, both ways: the tolerance of the published SDKs.
const TOLERANCE_SECONDS: u64 = 300;

/// Shorter Standard Webhooks keys are refused: the specification asks for 24 to 64 bytes.
const STANDARD_KEY_BYTES_MIN: usize = 24;

/// Signatures read from one Standard Webhooks header. A key rotation needs two; more is somebody trying.
const SIGNATURES_MAX: usize = 8;

/// Keys are typed by people, who lose the padding. Signatures are not: there only the one canonical form passes.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A call whose origin is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// Keep this, then answer.
    Message {
        /// The call.
        verified: Verified,
        /// The connector's key for the event, where the envelope was sealed.
        dedupe: Option<String>,
        /// The answer after the append.
        reply: Reply,
    },
    /// Nothing to keep: answer this.
    Handshake(Reply),
}

/// Why a call is not accepted. The texts name no secret and no value of the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The origin is not proven.
    #[error("{0}")]
    Unauthorized(String),
    /// The origin may be fine, the content is not.
    #[error("{0}")]
    Malformed(String),
    /// The connection cannot prove any call yet; the text tells the operator what to do.
    #[error("{0}")]
    NotReady(String),
}

fn unauthorized(text: &str) -> Refusal {
    Refusal::Unauthorized(text.to_owned())
}

/// Proves a call by the manifest's scheme.
pub fn verify(connector: &dyn Connector, webhook: &Webhook, cx: &Cx, request: RawRequest) -> Result<Proven, Refusal> {
    if webhook.ping.as_ref().is_some_and(|ping| is_ping(ping, &request)) {
        return Ok(Proven::Handshake(Reply::ok()));
    }
    match &webhook.verify {
        Verify::HmacSha256 { header, encoding, secret, prefix } => {
            let key = fill(cx, secret)?;
            let given = single_header(&request, header)?;
            hmac_sha256(key.as_bytes(), given, prefix, *encoding, &request.body)?;
        }
        Verify::SharedToken { header, param, secret } => {
            shared_token(&fill(cx, secret)?, header.as_deref(), param.as_deref(), &request)?;
        }
        Verify::Basic { username, password } => {
            let expected = format!("{}:{}", fill(cx, username)?, fill(cx, password)?);
            basic(&expected, single_header(&request, "authorization")?)?;
        }
        Verify::Standard { secret } => standard(&fill(cx, secret)?, cx.clock.now_us().div_euclid(1_000_000), &request)?,
        Verify::HubspotV3 { secret, public_url } => {
            let now_ms = cx.clock.now_us().div_euclid(1_000);
            hubspot_v3(&fill(cx, secret)?, &fill(cx, public_url)?, now_ms, &request)?;
        }
        // A form has its own way in, which answers people.
        Verify::Form(_) => return Err(unauthorized("This address takes a form.")),
        Verify::Connector {} => return open(connector, cx, request),
        Verify::None { reason: _ } => {}
    }
    Ok(Proven::Message { verified: Verified { request }, dedupe: None, reply: Reply::ok() })
}

/// A ping's number has at most this many digits: ids of vendors fit 64 bits.
const PING_DIGITS_MAX: usize = 20;

/// Whether a call only asks whether anybody is here. It proves nothing and brings nothing, so anybody may ask.
fn is_ping(ping: &Ping, request: &RawRequest) -> bool {
    let Ping::Form { field } = ping;
    let is_form = request.header("content-type").is_some_and(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let number = request.body.strip_prefix(field.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
    let is_number =
        |digits: &[u8]| (1..=PING_DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    request.method == "POST" && is_form && number.is_some_and(is_number)
}

/// HMAC-SHA256 of the raw body against one signature, in the one form that the manifest names.
fn hmac_sha256(key: &[u8], given: &str, prefix: &str, encoding: Encoding, body: &[u8]) -> Result<(), Refusal> {
    let form = || unauthorized("The signature has not the declared form. Check the header's prefix and encoding.");
    let text = given.strip_prefix(prefix).ok_or_else(form)?;
    let signature = match encoding {
        // The decoder takes capitals too, but the manifest promises lower case: one value, one spelling.
        Encoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => return Err(form()),
        Encoding::Hex => hex::decode(text).map_err(|_| form())?,
        Encoding::Base64 => STANDARD.decode(text).map_err(|_| form())?,
    };
    if mac(key, &[body])?.ct_eq(signature.as_slice()).into() {
        return Ok(());
    }
    Err(unauthorized(
        "The signature does not fit the body. Check that both sides use the same secret and that nothing on the way rewrites the body.",
    ))
}

fn shared_token(
    expected: &str,
    header: Option<&str>,
    param: Option<&str>,
    request: &RawRequest,
) -> Result<(), Refusal> {
    let from_header = header.and_then(|name| single_header(request, name).ok().map(str::to_owned));
    let given = from_header.or_else(|| param.and_then(|name| request.query(name)));
    match given {
        Some(given) if same(expected.as_bytes(), given.as_bytes()) => Ok(()),
        Some(_) => Err(unauthorized("The token is not the one that this connection expects.")),
        None => Err(unauthorized("The call carries no token where this connection expects one.")),
    }
}

/// RFC 7617: the scheme's name in any case, then base64 of `user:password`.
fn basic(expected: &str, given: &str) -> Result<(), Refusal> {
    let refused = || unauthorized("The user name or password is not the one that this connection expects.");
    let (scheme, credentials) = given.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused());
    }
    let given = STANDARD.decode(credentials).map_err(|_| refused())?;
    if same(expected.as_bytes(), &given) { Ok(()) } else { Err(refused()) }
}

/// Standard Webhooks, `v1` (HMAC-SHA256). During a key rotation the header holds several signatures: one must fit.
fn standard(secret: &str, now_seconds: i64, request: &RawRequest) -> Result<(), Refusal> {
    let not_a_key = || {
        Refusal::NotReady(format!(
            "the webhook secret is not a Standard Webhooks key: it must be whsec_ and at least {STANDARD_KEY_BYTES_MIN} bytes in base64"
        ))
    };
    let key = KEY_BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| not_a_key())?;
    if key.len() < STANDARD_KEY_BYTES_MIN {
        return Err(not_a_key());
    }
    let id = single_header(request, "webhook-id")?;
    let stamp = single_header(request, "webhook-timestamp")?;
    let signatures = single_header(request, "webhook-signature")?;
    // The signed text is joined by dots. With a dot inside the id, or anything but digits in the stamp, the border
    // between the parts could be moved without changing the text.
    if id.is_empty() || id.contains('.') || stamp.is_empty() || !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unauthorized("webhook-id must have no dot, and webhook-timestamp must be seconds since 1970."));
    }
    let distance_seconds = stamp.parse::<i64>().ok().map(|stamp| stamp.abs_diff(now_seconds));
    if distance_seconds.is_none_or(|distance| distance > TOLERANCE_SECONDS) {
        return Err(unauthorized("webhook-timestamp is more than five minutes from our time. Check both clocks."));
    }
    let expected = mac(&key, &[id.as_bytes(), b".", stamp.as_bytes(), b".", &request.body])?;
    let fits = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .fold(subtle::Choice::from(0), |fits, signature| fits | expected.ct_eq(signature.as_slice()));
    if fits.into() {
        return Ok(());
    }
    Err(unauthorized(
        "No signature fits id, timestamp and body. Check that both sides use the same secret and that nothing on the way rewrites the body.",
    ))
}

/// HubSpot v3: method, the address under which the world calls us, raw body and time, in one text. The vendor's page asks
/// to decode some percent-escapes of the address first, its own libraries do not: our addresses have none.
fn hubspot_v3(secret: &str, public_url: &str, now_ms: i64, request: &RawRequest) -> Result<(), Refusal> {
    let given = single_header(request, "x-hubspot-signature-v3")?;
    let stamp = single_header(request, "x-hubspot-request-timestamp")?;
    // The body ends where the stamp begins; with anything but digits in it the border could be moved.
    if stamp.is_empty() || !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unauthorized("X-HubSpot-Request-Timestamp must be milliseconds since 1970."));
    }
    let distance_ms = stamp.parse::<i64>().ok().map(|stamp| stamp.abs_diff(now_ms));
    if distance_ms.is_none_or(|distance| distance > TOLERANCE_SECONDS * 1_000) {
        return Err(unauthorized(
            "X-HubSpot-Request-Timestamp is more than five minutes from our time. Check both clocks.",
        ));
    }
    let address = format!("{}{}", public_url.trim_end_matches('/'), request.target);
    let parts: [&[u8]; 4] = [request.method.as_bytes(), address.as_bytes(), &request.body, stamp.as_bytes()];
    let signature = STANDARD.decode(given).map_err(|_| unauthorized("The signature is not in base64."))?;
    if mac(secret.as_bytes(), &parts)?.ct_eq(signature.as_slice()).into() {
        return Ok(());
    }
    Err(unauthorized(
        "The signature does not fit method, address, body and time. Check the client secret, and that config.public_url is the address that the app calls.",
    ))
}

/// The connector authenticates and opens its own envelope.
fn open(connector: &dyn Connector, cx: &Cx, request: RawRequest) -> Result<Proven, Refusal> {
    for (name, setting) in &connector.manifest().connector.secret {
        if !setting.optional {
            named_secret(cx, name)?;
        }
    }
    match connector.open(cx, &request) {
        Ok(Opened::Handshake(reply)) => Ok(Proven::Handshake(reply)),
        Ok(Opened::Message { body, dedupe, reply }) => Ok(Proven::Message {
            verified: Verified { request: RawRequest { body, ..request } },
            dedupe: Some(dedupe),
            reply,
        }),
        Err(ConnectorError::Unauthorized { detail }) => Err(Refusal::Unauthorized(detail)),
        Err(error @ ConnectorError::Rejected { .. }) => Err(Refusal::Malformed(error.to_string())),
        Err(error) => Err(Refusal::NotReady(error.to_string())),
    }
}

/// The header, if it is there exactly once. Two of them are refused: which one another server on the way looked at
/// is anybody's guess.
fn single_header<'a>(request: &'a RawRequest, name: &str) -> Result<&'a str, Refusal> {
    let mut found = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (Some(_), Some(_)) => Err(Refusal::Unauthorized(format!("The header {name} came more than once."))),
        (None, _) => Err(Refusal::Unauthorized(format!("The header {name} is missing."))),
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], Refusal> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| unauthorized("The key cannot be used."))?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

/// Equal, in a time that tells neither where two values differ nor how long the expected one is.
fn same(expected: &[u8], given: &[u8]) -> bool {
    Sha256::digest(expected).as_slice().ct_eq(Sha256::digest(given).as_slice()).into()
}

/// Takes the time that a proof would take, for a connection that does not exist.
pub(crate) fn pretend(body: &[u8]) {
    std::hint::black_box(mac(b"no connection of this name", &[body]).ok());
}

/// Fills `{config.x}` and `{secret.x}` in. An unset or empty secret never becomes an empty key.
pub(crate) fn fill(cx: &Cx, template: &str) -> Result<String, Refusal> {
    let filled = fill_any(cx, template)?;
    if filled.is_empty() {
        return Err(Refusal::NotReady(
            "the manifest's verify compares with an empty text, which proves nothing".into(),
        ));
    }
    Ok(filled)
}

/// The same for what proves nothing and may be empty.
pub(crate) fn fill_any(cx: &Cx, template: &str) -> Result<String, Refusal> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        let (name, after) = tail
            .split_once('}')
            .ok_or_else(|| Refusal::NotReady("the manifest's verify has a `{` without `}`".to_owned()))?;
        filled.push_str(before);
        match name.split_once('.') {
            Some(("secret", name)) => filled.push_str(named_secret(cx, name)?),
            Some(("config", name)) => {
                filled.push_str(cx.setting(name).map_err(|error| Refusal::NotReady(error.to_string()))?);
            }
            _ => {
                let text =
                    format!("the manifest's verify names `{{{name}}}`; only {{config.x}} and {{secret.x}} exist");
                return Err(Refusal::NotReady(text));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn named_secret<'a>(cx: &'a Cx, name: &str) -> Result<&'a str, Refusal> {
    let value = cx.secret(name).map_err(|error| Refusal::NotReady(error.to_string()))?.expose();
    if value.is_empty() {
        let connection = &cx.connection;
        let text = format!("secret.{name} of connection {connection} is empty; run `huiliu connect {connection}`");
        return Err(Refusal::NotReady(text));
    }
    Ok(value)
}
