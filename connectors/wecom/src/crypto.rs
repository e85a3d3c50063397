//! The sealed envelope shared by `WeCom`, `WeChat` official accounts, `DingTalk` HTTP callbacks and `YonBIP` events.
//!
//! AES-256-CBC over 16 random bytes, a big-endian byte length, the message and a receiver id, padded to 32 bytes; the
//! whole signed with SHA-1 over sorted parts (`WeCom` document 90968, "加解密方案说明"). The scheme is old, so the order
//! matters: the signature is compared first, and nothing is decrypted before it fits.

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Most `EncodingAESKey` values end in bits that do not reach a whole byte and are not zero; a strict decoder refuses
/// them although every vendor's SDK accepts them.
const KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Padding goes to 32 bytes, twice the cipher's block.
const PAD_BYTES: usize = 32;

/// Random bytes before the length.
const RANDOM_BYTES: usize = 16;

/// Random bytes and the length field.
const HEAD_BYTES: usize = RANDOM_BYTES + 4;

/// Longest accepted ciphertext, in base64 characters. Callbacks are pointers of a few hundred bytes; a message text is
/// at most some kilobytes.
pub const ENCRYPTED_CHARS_MAX: usize = 1 << 20;

/// Why an envelope was refused. The texts never repeat what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The key is not 43 characters of base64.
    #[error("the EncodingAESKey is not 43 characters of base64; copy it again from the callback settings")]
    Key,
    /// The signature does not fit.
    #[error("the signature does not fit the token; check the callback token, or the call is forged")]
    Signature,
    /// The ciphertext is not base64 of whole blocks.
    #[error("the encrypted text is not base64 of whole blocks")]
    Encoding,
    /// The padding or the length inside is wrong: usually another key.
    #[error("the encrypted text does not open with this EncodingAESKey")]
    Content,
    /// Sealed for somebody else.
    #[error("the message is sealed for another receiver; check the corp id")]
    Receiver,
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// A decoded `EncodingAESKey`.
#[derive(Clone)]
pub struct EnvelopeKey([u8; 32]);

impl std::fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnvelopeKey(…)")
    }
}

/// The 32 key bytes behind the 43 characters that the console shows.
pub fn decode_key(encoding_aes_key: &str) -> Result<EnvelopeKey, CryptoError> {
    if encoding_aes_key.len() != 43 {
        return Err(CryptoError::Key);
    }
    let bytes = KEY_BASE64.decode(format!("{encoding_aes_key}=")).map_err(|_| CryptoError::Key)?;
    Ok(EnvelopeKey(bytes.try_into().map_err(|_| CryptoError::Key)?))
}

/// The signature: lower-case hexadecimal SHA-1 of the four parts, sorted and joined.
pub fn sign(token: &str, timestamp: &str, nonce: &str, encrypted: &str) -> String {
    let mut parts = [token, timestamp, nonce, encrypted];
    parts.sort_unstable();
    let digest = parts.iter().fold(Sha1::new(), Digest::chain_update).finalize();
    hex(&digest)
}

/// What a call says about itself, as it travels in the query or in the body.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'a> {
    /// The claimed signature.
    pub signature: &'a str,
    /// The timestamp, as text.
    pub timestamp: &'a str,
    /// The nonce.
    pub nonce: &'a str,
}

/// Checks the signature in constant time, decrypts, and checks the receiver id. `receivers` lists the ids for which
/// this endpoint may open a message: one, or also the empty id where bots share the endpoint.
pub fn open(
    token: &str,
    key: &EnvelopeKey,
    receivers: &[&str],
    seal: Seal<'_>,
    encrypted: &str,
) -> Result<Vec<u8>, CryptoError> {
    let expected = sign(token, seal.timestamp, seal.nonce, encrypted);
    if !bool::from(expected.as_bytes().ct_eq(seal.signature.as_bytes())) {
        return Err(CryptoError::Signature);
    }
    decrypt(key, encrypted, receivers)
}

/// Encrypts a message for a receiver with fresh random bytes; base64.
pub fn encrypt(key: &EnvelopeKey, message: &[u8], receiver: &str) -> Result<String, CryptoError> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|_| CryptoError::Random)?;
    encrypt_with(key, random, message, receiver)
}

/// Encrypts with given random bytes: for test vectors only, since repeated bytes show repeated messages.
pub fn encrypt_with(
    key: &EnvelopeKey,
    random: [u8; RANDOM_BYTES],
    message: &[u8],
    receiver: &str,
) -> Result<String, CryptoError> {
    let length = u32::try_from(message.len()).map_err(|_| CryptoError::Content)?;
    let mut buffer = Vec::with_capacity(HEAD_BYTES + message.len() + receiver.len() + PAD_BYTES);
    buffer.extend_from_slice(&random);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(message);
    buffer.extend_from_slice(receiver.as_bytes());
    let pad = PAD_BYTES - buffer.len() % PAD_BYTES;
    buffer.resize(buffer.len() + pad, u8::try_from(pad).map_err(|_| CryptoError::Content)?);
    let sealed_bytes = buffer.len();
    cbc::Encryptor::<Aes256>::new(&key.0.into(), &initial(key).into())
        .encrypt_padded::<NoPadding>(&mut buffer, sealed_bytes)
        .map_err(|_| CryptoError::Content)?;
    Ok(STANDARD.encode(&buffer))
}

/// Decrypts, strips the padding, checks the length and the receiver id. It proves nothing about the origin: use
/// [`open`] for whatever comes from outside.
pub fn decrypt(key: &EnvelopeKey, encrypted: &str, receivers: &[&str]) -> Result<Vec<u8>, CryptoError> {
    if encrypted.len() > ENCRYPTED_CHARS_MAX {
        return Err(CryptoError::Encoding);
    }
    let mut buffer = STANDARD.decode(encrypted).map_err(|_| CryptoError::Encoding)?;
    let plain = cbc::Decryptor::<Aes256>::new(&key.0.into(), &initial(key).into())
        .decrypt_padded::<NoPadding>(&mut buffer)
        .map_err(|_| CryptoError::Encoding)?;
    let plain = unpad(plain).ok_or(CryptoError::Content)?;
    let (head, rest) = plain.split_at_checked(HEAD_BYTES).ok_or(CryptoError::Content)?;
    let length: [u8; 4] = head[RANDOM_BYTES..].try_into().map_err(|_| CryptoError::Content)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| CryptoError::Content)?;
    let (message, receiver) = rest.split_at_checked(length).ok_or(CryptoError::Content)?;
    if receivers.iter().any(|known| bool::from(known.as_bytes().ct_eq(receiver))) {
        Ok(message.to_vec())
    } else {
        Err(CryptoError::Receiver)
    }
}

fn initial(key: &EnvelopeKey) -> [u8; 16] {
    let mut initial = [0; 16];
    initial.copy_from_slice(&key.0[..16]);
    initial
}

/// Every padding byte must hold the padding's length, and the length must be 1 to 32.
fn unpad(plain: &[u8]) -> Option<&[u8]> {
    let pad = usize::from(*plain.last()?);
    if !(1..=PAD_BYTES).contains(&pad) {
        return None;
    }
    let (content, padding) = plain.split_at_checked(plain.len().checked_sub(pad)?)?;
    padding.iter().all(|byte| usize::from(*byte) == pad).then_some(content)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
