//! Published vectors of the sealed envelope; every one-byte change of them is refused.

use huiliu_wecom::crypto::{self, CryptoError, Seal};

struct Vector {
    token: &'static str,
    key: &'static str,
    receiver: &'static str,
    timestamp: &'static str,
    nonce: &'static str,
    encrypted: &'static str,
    signature: &'static str,
    plain: &'static str,
}

/// V1: wechatpy's tests. V2: go-workwx's tests, made with `WeCom`'s own tool. V3b: made by wechatpy, accepted by
/// @wecom/crypto; empty receiver, as bots have it.
const VECTORS: [Vector; 3] = [
    Vector {
        token: "123456",
        key: "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR",
        receiver: "wx49f0ab532d5d035a",
        timestamp: "1411443780",
        nonce: "437374425",
        encrypted: "4ByGGj+sVCYcvGeQYhaKIk1o0pQRNbRjxybjTGblXrBaXlTXeOo1+bXFXDQQb1o6co6Yh9Bv41n7hOchLF6p+Q==",
        signature: "dd6b9c95b495b3f7e2901bfbc76c664930ffdb96",
        plain: "5927782489442352469",
    },
    Vector {
        token: "kjr2TKI8umCBfVF3wAHk8JiPwma5VBme",
        key: "4Ma3YBrSBbX2aez8MJpXGBne5LSDwgGqHbhM9WPYIws",
        receiver: "ww6a112864f8022910",
        timestamp: "1583940690",
        nonce: "VHh7ymSeb0jc4lSb",
        encrypted: "6KmUQuPVu7UhjyVqRdbo5SfcRqaHvbUlKSHFvBV2ZuR6TIlKsygcfeSd1GDplg1C5KSKr6UPHCaC/nIX3ZNt9w==",
        signature: "1ba3cb09c0d2c2b3ed6900d37f91a6efae6cb011",
        plain: "94966531020182955848408",
    },
    Vector {
        token: "testtoken",
        key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        receiver: "",
        timestamp: "1700000000",
        nonce: "n0nce",
        encrypted: "jn1L23DB+6ELqJ+6bruv21mFC0GYvNQ4aCQWGIc2TWFy5H8G91OzJD1xPMupxa59h4lO+1xTOilq7deUQAYwng==",
        signature: "a96479e25259465d53b43c1ce538e30b6f983ade",
        plain: r#"{"msgid":"m1","msgtype":"text"}"#,
    },
];

fn open(vector: &Vector, parts: [&str; 4]) -> Result<Vec<u8>, CryptoError> {
    let key = crypto::decode_key(vector.key).expect("a key");
    let [signature, timestamp, nonce, encrypted] = parts;
    crypto::open(vector.token, &key, &[vector.receiver], Seal { signature, timestamp, nonce }, encrypted)
}

fn parts(vector: &Vector) -> [&str; 4] {
    [vector.signature, vector.timestamp, vector.nonce, vector.encrypted]
}

#[test]
fn vectors_open() {
    for vector in &VECTORS {
        assert_eq!(open(vector, parts(vector)), Ok(vector.plain.as_bytes().to_vec()));
        let signed = crypto::sign(vector.token, vector.timestamp, vector.nonce, vector.encrypted);
        assert_eq!(signed, vector.signature);
    }
}

#[test]
fn every_one_byte_change_is_refused() {
    let mut tried = 0;
    for vector in &VECTORS {
        for part in 0..4 {
            for at in 0..parts(vector)[part].len() {
                for other in (0x20..0x7f_u8).chain([0]) {
                    let mut bytes = parts(vector)[part].as_bytes().to_vec();
                    if bytes[at] == other {
                        continue;
                    }
                    bytes[at] = other;
                    let changed = String::from_utf8(bytes).expect("still ASCII");
                    let mut all = parts(vector);
                    all[part] = &changed;
                    assert_eq!(open(vector, all), Err(CryptoError::Signature), "part {part}, byte {at}");
                    tried += 1;
                }
            }
            let mut all = parts(vector);
            all[part] = &all[part][1..];
            assert_eq!(open(vector, all), Err(CryptoError::Signature), "part {part}, cut");
        }
    }
    assert!(tried > 20_000, "{tried} changes tried");
}

#[test]
fn another_token_key_or_receiver_is_refused() {
    for vector in &VECTORS {
        let key = crypto::decode_key(vector.key).expect("a key");
        let [signature, timestamp, nonce, encrypted] = parts(vector);
        let seal = Seal { signature, timestamp, nonce };
        let open = |token: &str, key: &crypto::EnvelopeKey, receivers: &[&str]| {
            crypto::open(token, key, receivers, seal, encrypted)
        };
        assert_eq!(open("other", &key, &[vector.receiver]), Err(CryptoError::Signature));
        assert_eq!(open(vector.token, &key, &["ww0000000000000000"]), Err(CryptoError::Receiver));
        assert_eq!(open(vector.token, &key, &[]), Err(CryptoError::Receiver));
        let longer = format!("{}x", vector.receiver);
        assert_eq!(open(vector.token, &key, &[&longer]), Err(CryptoError::Receiver));
        for other in VECTORS.iter().filter(|other| other.key != vector.key) {
            let key = crypto::decode_key(other.key).expect("a key");
            let refused = open(vector.token, &key, &[vector.receiver]);
            assert_eq!(refused, Err(CryptoError::Content));
        }
    }
}

#[test]
fn the_length_counts_bytes_and_the_padding_goes_to_32() {
    // V3: WxJava's tests; wechatpy and @wecom/crypto agree.
    let key = crypto::decode_key("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").expect("a key");
    let sealed = "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==";
    let message = "我是中文abcd123";
    let made = crypto::encrypt_with(&key, *b"aaaabbbbccccdddd", message.as_bytes(), "wxb11529c136998cb6");
    assert_eq!(made.as_deref(), Ok(sealed));
    assert_eq!(crypto::decrypt(&key, sealed, &["wxb11529c136998cb6"]), Ok(message.as_bytes().to_vec()));
    // Every length of padding from 1 to 32, and every message that was sealed opens to itself.
    for length in 0..70 {
        let message = vec![b'm'; length];
        let sealed = crypto::encrypt(&key, &message, "ww1").expect("random bytes");
        assert_eq!(crypto::decrypt(&key, &sealed, &["ww1"]), Ok(message));
    }
}

#[test]
fn broken_keys_and_texts_are_refused() {
    for text in
        ["", "short", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF!"]
    {
        assert_eq!(crypto::decode_key(text).err(), Some(CryptoError::Key), "{text}");
    }
    let key = crypto::decode_key(VECTORS[0].key).expect("a key");
    for text in ["", "AAAA", "!!!!", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        assert!(crypto::decrypt(&key, text, &[""]).is_err(), "{text:?} must not open");
    }
    assert_eq!(crypto::decrypt(&key, &"A".repeat(crypto::ENCRYPTED_CHARS_MAX + 4), &[""]), Err(CryptoError::Encoding));
    assert_eq!(format!("{key:?}"), "EnvelopeKey(…)");
}
