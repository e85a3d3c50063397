//! Texts, names, e-mail addresses, tax numbers, postal addresses, sets.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

use super::Problem;
use crate::chinese::ids;

/// Trimmed, NFC, without characters that nobody sees: control characters other than line breaks and tabs, zero-width
/// blanks, byte order marks.
pub fn plain(raw: &str) -> String {
    let raw = raw.trim();
    if raw.is_ascii() {
        return if raw.bytes().any(|b| hidden(char::from(b))) { seen(raw) } else { raw.to_owned() };
    }
    if raw.chars().any(hidden) {
        return seen(raw).nfc().collect();
    }
    if is_nfc_quick(raw.chars()) == IsNormalized::Yes { raw.to_owned() } else { raw.nfc().collect() }
}

fn hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

fn seen(raw: &str) -> String {
    raw.chars().filter(|c| !hidden(*c)).collect::<String>().trim().to_owned()
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

/// A tax number in upper case without blanks. An 18-character one is a 统一社会信用代码, whose check character must be
/// right (GB 32100-2015); others are kept as written.
pub fn tax_id(raw: &str) -> Result<String, Problem> {
    let code: String =
        half_width(raw).chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_uppercase();
    let fine = (5..=30).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fine {
        return Err(Problem::new("not_a_tax_id", "expected a tax number of 5 to 30 letters and digits"));
    }
    if code.len() == 18 && !ids::is_credit_code(&code) {
        return Err(Problem::new("bad_check_character", "the check character of this 统一社会信用代码 is wrong"));
    }
    Ok(code)
}

/// A postal address: an object of non-empty texts, or one text, which becomes its `text` part. Parts that are neither
/// texts nor numbers are flags and links of the vendor: they stay in the raw record.
pub fn address(raw: &Value) -> Result<Value, Problem> {
    let mut parts = Map::new();
    match raw {
        Value::Object(given) => {
            for (part, value) in given {
                let text = match value {
                    Value::String(text) => name(text),
                    Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                if !text.is_empty() {
                    parts.insert(part.clone(), Value::String(text));
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

/// A set of texts: sorted, no repeats, no empty ones; an empty set is null, as nothing is. A single text is split at
/// `separator`, or at commas and semicolons.
pub fn set(raw: &Value, separator: Option<&str>) -> Result<Value, Problem> {
    let texts: BTreeSet<String> = match (raw, separator) {
        (Value::Array(items), _) => {
            items.iter().map(|item| super::scalar(item).map(|text| plain(&text))).collect::<Result<_, _>>()?
        }
        (Value::String(text), Some(separator)) => text.split(separator).map(plain).collect(),
        (Value::String(text), None) => text.split([',', ';', '，', '；', '、']).map(plain).collect(),
        _ => return Err(Problem::new("wrong_type", "expected a list of texts")),
    };
    let texts: Vec<Value> = texts.into_iter().filter(|text| !text.is_empty()).map(Value::String).collect();
    Ok(if texts.is_empty() { Value::Null } else { Value::Array(texts) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chinese::ids::tests::credit;
    use serde_json::json;

    #[test]
    fn texts_have_one_form() {
        assert_eq!(name(" 张\u{3000}三  "), "张 三");
        assert_eq!(plain(" e\u{301} "), "é");
        assert_eq!(email(" Li.Lei＠Example.COM ").unwrap(), "li.lei@example.com");
        assert_eq!(plain("\u{feff}a\u{0}b\u{200b} \n"), "ab");
        assert_eq!(plain("一\n二"), "一\n二");
        assert_eq!(set(&json!(["b", " a ", "b", "", 7]), None).unwrap(), json!(["7", "a", "b"]));
        assert_eq!(set(&json!("vip，老客户"), None).unwrap(), json!(["vip", "老客户"]));
        assert_eq!(set(&json!("a, b|c"), Some("|")).unwrap(), json!(["a, b", "c"]));
        assert_eq!(set(&json!([" "]), None).unwrap(), Value::Null);
        assert!(set(&json!([{"name": "a"}]), None).is_err());
        assert_eq!(address(&json!({"city": " 杭州 ", "zip": null})).unwrap(), json!({"city": "杭州"}));
        assert_eq!(address(&json!({"zip": 310_000, "default": true})).unwrap(), json!({"zip": "310000"}));
    }

    #[test]
    fn what_is_not_an_email_is_refused() {
        for bad in ["", "a", "a@b", "@b.cn", "a b@c.cn", "a@b..cn", "a@@b.cn", "a@.cn", "<a@b.cn>"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_credit_code_is_checked() {
        for body in ["91330000MA0000001", "91110108XYW12345Q", "12345678ABCDEFGHJ"] {
            let right = credit(body);
            assert_eq!(tax_id(&format!(" {} ", right.to_lowercase())).unwrap(), right);
            let wrong = tax_id(&format!("9{}", &right[..17])).unwrap_err();
            assert!(["bad_check_character", "not_a_tax_id"].contains(&wrong.code));
            assert!(!wrong.message.contains(&right));
            let passing = "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().filter(|c| tax_id(&format!("{body}{c}")).is_ok());
            assert_eq!(passing.count(), 1, "exactly one check character fits");
        }
        assert_eq!(tax_id("91330000MA000000I1").unwrap_err().code, "bad_check_character", "I, O, S, V, Z never occur");
        assert_eq!(tax_id("DE 123-456-789").unwrap(), "DE123456789");
        assert_eq!(tax_id("12").unwrap_err().code, "not_a_tax_id");
    }

    proptest::proptest! {
        #[test]
        fn the_forms_are_stable(text in "\\PC{0,24}|[ \\t\u{200b}\u{3000}e\u{301}@.a-c]{0,12}") {
            proptest::prop_assert_eq!(plain(&plain(&text)), plain(&text));
            proptest::prop_assert_eq!(name(&name(&text)), name(&text));
            if let Ok(address) = email(&text) {
                proptest::prop_assert_eq!(email(&address), Ok(address.clone()));
            }
        }
    }
}
