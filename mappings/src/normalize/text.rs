//! Texts, names, e-mail addresses, tax numbers, postal addresses, sets.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

use super::Problem;

/// Trimmed, NFC.
pub fn plain(raw: &str) -> String {
    let raw = raw.trim();
    if raw.is_ascii() || is_nfc_quick(raw.chars()) == IsNormalized::Yes { raw.to_owned() } else { raw.nfc().collect() }
}

/// Trimmed, NFC, inner white space (the ideographic space too) folded to one blank.
pub fn name(raw: &str) -> String {
    let folded = plain(raw);
    if folded.contains("  ") || folded.chars().any(|c| c != ' ' && c.is_whitespace()) {
        folded.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        folded
    }
}

/// Full-width forms become half-width; the text itself where nothing changes.
pub fn half_width(raw: &str) -> Cow<'_, str> {
    if raw.is_ascii() || is_nfkc_quick(raw.chars()) == IsNormalized::Yes {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(raw.nfkc().collect())
    }
}

/// An address of e-mail: half-width, lower case, one `@`, a domain with a dot, no blanks. RFC 5321 bounds: 64 and 254.
pub fn email(raw: &str) -> Result<String, Problem> {
    let bad = || Problem::new("not_an_email", "expected an e-mail address: name@domain");
    let address = half_width(raw.trim()).to_lowercase();
    let (local, domain) = address.rsplit_once('@').ok_or_else(bad)?;
    let fine = !local.is_empty()
        && local.len() <= 64
        && address.len() <= 254
        && !local.contains('@')
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.contains("..")
        && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.')
        && !address.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"()".contains(c));
    if fine { Ok(address) } else { Err(bad()) }
}

const CREDIT_CODE: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const CREDIT_WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// A tax number in upper case without blanks. An 18-character one is a 统一社会信用代码, whose check character must be
/// right (GB 32100-2015); others are kept as written.
pub fn tax_id(raw: &str) -> Result<String, Problem> {
    let code: String =
        half_width(raw).chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_uppercase();
    let fine = (5..=30).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fine {
        return Err(Problem::new("not_a_tax_id", "expected a tax number of 5 to 30 letters and digits"));
    }
    if code.len() == 18 {
        let places: Option<Vec<usize>> =
            code.bytes().map(|b| CREDIT_CODE.iter().position(|known| *known == b)).collect();
        let right = places.is_some_and(|places| {
            let sum: usize = places.iter().zip(CREDIT_WEIGHTS).map(|(place, weight)| place * weight).sum();
            places[17] == (31 - sum % 31) % 31
        });
        if !right {
            return Err(Problem::new("bad_check_character", "the check character of this 统一社会信用代码 is wrong"));
        }
    }
    Ok(code)
}

/// A postal address: an object of non-empty texts, or one text, which becomes its `text` part.
pub fn address(raw: &Value) -> Result<Value, Problem> {
    let mut parts = Map::new();
    match raw {
        Value::Object(given) => {
            for (part, value) in given {
                match value {
                    Value::String(text) if !text.trim().is_empty() => {
                        parts.insert(part.clone(), Value::String(name(text)));
                    }
                    Value::Null | Value::String(_) => {}
                    _ => return Err(Problem::new("wrong_type", "expected an address as an object of texts")),
                }
            }
        }
        Value::String(text) => {
            parts.insert("text".to_owned(), Value::String(name(text)));
        }
        _ => return Err(Problem::new("wrong_type", "expected an address: a text or an object of texts")),
    }
    if parts.is_empty() { Err(Problem::new("empty_text", "the address has no part")) } else { Ok(Value::Object(parts)) }
}

/// A set of texts: sorted, no repeats, no empty ones. A single text is split at commas and semicolons.
pub fn set(raw: &Value) -> Result<Value, Problem> {
    let bad = || Problem::new("wrong_type", "expected a list of texts");
    let texts: BTreeSet<String> = match raw {
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.ok_or_else(bad)?.into_iter().map(plain).collect()
        }
        Value::String(text) => text.split([',', ';', '，', '；', '、']).map(plain).collect(),
        _ => return Err(bad()),
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).map(Value::String).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_have_one_form() {
        assert_eq!(name(" 张\u{3000}三  "), "张 三");
        assert_eq!(plain(" e\u{301} "), "é");
        assert_eq!(email(" Li.Lei＠Example.COM ").unwrap(), "li.lei@example.com");
        assert_eq!(set(&json!(["b", " a ", "b", ""])).unwrap(), json!(["a", "b"]));
        assert_eq!(set(&json!("vip，老客户")).unwrap(), json!(["vip", "老客户"]));
        assert_eq!(address(&json!({"city": " 杭州 ", "zip": null})).unwrap(), json!({"city": "杭州"}));
    }

    #[test]
    fn what_is_not_an_email_is_refused() {
        for bad in ["", "a", "a@b", "@b.cn", "a b@c.cn", "a@b..cn", "a@@b.cn", "a@.cn", "<a@b.cn>"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_credit_code_is_checked() {
        // Built from the rule of GB 32100-2015, not a real company's.
        assert_eq!(
            tax_id("9133 0000 MA00 0000 0H").map_err(|p| p.code),
            tax_id("91330000MA000000 0h").map_err(|p| p.code)
        );
        let right: Vec<char> = "0123456789ABCDEFGHJKLMNPQRTUWXY"
            .chars()
            .filter(|check| tax_id(&format!("91330000MA0000001{check}")).is_ok())
            .collect();
        assert_eq!(right.len(), 1, "exactly one check character fits");
        assert_eq!(tax_id("DE123456789").unwrap(), "DE123456789");
    }
}
