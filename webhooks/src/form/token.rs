//! The token that a form carries: when it was given out, a number used once, and our signature over both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Random bytes of a token.
const NONCE_BYTES: usize = 16;

/// Bytes of the instant before them.
const STAMP_BYTES: usize = 8;

/// A token whose signature fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// When it was given out, in seconds since 1970.
    pub issued_seconds: i64,
    /// Its number.
    pub nonce: [u8; NONCE_BYTES],
}

impl Token {
    /// A new one. None: the machine gives no random numbers, or the key is none.
    pub fn issue(key: &[u8], connection: &str, now_seconds: i64) -> Option<String> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        Self { issued_seconds: now_seconds, nonce }.write(key, connection)
    }

    /// The token as it travels.
    pub fn write(&self, key: &[u8], connection: &str) -> Option<String> {
        let mut bytes = self.issued_seconds.to_be_bytes().to_vec();
        bytes.extend(self.nonce);
        bytes.extend(mac(key, connection, &bytes)?);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token, if it is ours. One value has one spelling.
    pub fn read(key: &[u8], connection: &str, text: &str) -> Option<Self> {
        // A longer text is not even decoded.
        let bytes = URL_SAFE_NO_PAD.decode(text.get(..text.len().min(100))?).ok()?;
        let (signed, given) = bytes.split_at_checked(STAMP_BYTES + NONCE_BYTES)?;
        let fits: bool = mac(key, connection, signed)?.ct_eq(given).into();
        let (stamp, nonce) = signed.split_at(STAMP_BYTES);
        fits.then_some(())?;
        Some(Self { issued_seconds: i64::from_be_bytes(stamp.try_into().ok()?), nonce: nonce.try_into().ok()? })
    }
}

fn mac(key: &[u8], connection: &str, signed: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(b"huiliu form\0");
    mac.update(connection.as_bytes());
    mac.update(&[0]);
    mac.update(signed);
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_token_is_read() {
        let token = Token { issued_seconds: 1_770_000_000, nonce: [7; NONCE_BYTES] };
        let text = token.write(b"key", "site").unwrap();
        assert_eq!(Token::read(b"key", "site", &text), Some(token));
        assert_eq!(Token::read(b"another", "site", &text), None);
        assert_eq!(Token::read(b"key", "other", &text), None);
        for at in 0..text.len() {
            for other in ["A", "B", "9", "-", "=", "é"] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || Token::read(b"key", "site", &changed).is_none(), "{changed}");
            }
        }
        for wrong in ["", "x", &text[..text.len() - 1], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(Token::read(b"key", "site", wrong), None, "{wrong}");
        }
        assert_ne!(Token::issue(b"key", "site", 1), Token::issue(b"key", "site", 1));
    }
}
