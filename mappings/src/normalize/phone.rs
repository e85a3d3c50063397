//! Phone numbers in E.164 with their type. A virtual or masked number says so and never links anybody.

use phonenumber::Type;
use serde_json::Value;

use super::Problem;
use super::text::half_width;
use crate::chinese::phone::without_extension;

/// `{"number": "+8613800138000", "type": "mobile"}`. Types: `mobile`, `landline`, `toll_free` (and other hotlines),
/// `voip`, `unknown`; `virtual` for a platform's stand-in (`18877771111-123`), `masked` for `138****1234`: these two
/// keep their text as `number`.
pub fn canonical(raw: &str, region: &str) -> Result<Value, Problem> {
    let raw = raw.trim();
    if region == "CN" && raw.len() == 11 && is_cn_mobile(raw) {
        return Ok(typed(format!("+86{raw}"), "mobile"));
    }
    let bad =
        || Problem::new("not_a_phone", format!("expected a phone number of region {region} or one that starts with +"));
    if raw.len() > LENGTH_MAX {
        return Err(bad());
    }
    let text: String = half_width(raw).chars().filter(|c| !c.is_whitespace() && !"().·".contains(*c)).collect();
    if is_masked(&text) {
        return Ok(typed(text, "masked"));
    }
    if is_stand_in(&text) {
        return Ok(typed(text, "virtual"));
    }
    if let Some(mobile) = cn_mobile(&text, region) {
        return Ok(typed(format!("+86{mobile}"), "mobile"));
    }
    // Behind a landline the extension is a desk of the same line.
    let line = if region == "CN" { without_extension(&text).0 } else { &text };
    let parsed = phonenumber::parse(region.parse().ok(), line).map_err(|_| bad())?;
    if !parsed.is_valid() {
        return Err(bad());
    }
    let kind = match parsed.number_type(&phonenumber::metadata::DATABASE) {
        Type::Mobile => "mobile",
        Type::FixedLine => "landline",
        // All of these reach a company, never a person.
        Type::TollFree | Type::SharedCost | Type::PremiumRate | Type::Uan => "toll_free",
        Type::Voip => "voip",
        _ => "unknown",
    };
    Ok(typed(parsed.format().mode(phonenumber::Mode::E164).to_string(), kind))
}

/// The longest number with country code, blanks and an extension fits easily; what is longer is a sentence.
const LENGTH_MAX: usize = 64;

fn typed(number: String, kind: &str) -> Value {
    let mut value = serde_json::Map::new();
    value.insert("number".to_owned(), Value::String(number));
    value.insert("type".to_owned(), Value::String(kind.to_owned()));
    Value::Object(value)
}

/// Digits with a mask among them: stars, dots, or three or more of the letter x.
fn is_masked(text: &str) -> bool {
    let masked = text.contains(['*', '•', '●']) || text.to_lowercase().contains("xxx");
    masked
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "+-*•●xX".contains(c))
}

/// A platform's number with an extension: `18877771111-123`, also with 转, `,`, `#` or `ext`.
fn is_stand_in(text: &str) -> bool {
    let mark = |c: char| "-转,;#_xe".contains(c);
    let head = text.trim_start_matches('+');
    let head = head.strip_prefix("0086").or_else(|| head.strip_prefix("86")).unwrap_or(head).trim_start_matches('-');
    let Some((number, extension)) = head.split_at_checked(11) else { return false };
    let extension = extension.strip_prefix("分机").unwrap_or(extension);
    let digits = extension.trim_start_matches("ext").trim_start_matches(mark).trim_start_matches("接");
    is_cn_mobile(number)
        && digits.len() < head.len() - 11
        && (1..=6).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The eleven digits of a Chinese mobile number, however it is written; the library is slow, and most numbers are these.
fn cn_mobile(text: &str, region: &str) -> Option<String> {
    if region != "CN" && !text.starts_with("+86") {
        return None;
    }
    let odd = text.char_indices().any(|(at, c)| !(c.is_ascii_digit() || c == '-' || (c == '+' && at == 0)));
    if odd {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86")).filter(|rest| rest.len() == 11);
    let international = text.starts_with('+') || text.starts_with("00");
    let mobile = if international { national } else { national.or(Some(digits.as_str())) };
    mobile.filter(|number| is_cn_mobile(number)).map(str::to_owned)
}

/// The number as people of its region write it: `13800138000`; E.164 where it belongs elsewhere.
pub fn national(number: &str, region: &str) -> String {
    if let Some(mobile) = number.strip_prefix("+86").filter(|rest| region == "CN" && is_cn_mobile(rest)) {
        return mobile.to_owned();
    }
    let parsed = phonenumber::parse(None, number).ok();
    let own = parsed.filter(|it| it.country().id().is_some_and(|id| id.as_ref() == region));
    own.map_or_else(|| number.to_owned(), |it| it.format().mode(phonenumber::Mode::National).to_string())
}

/// Eleven digits, 13 to 19 at the front: the mobile ranges of the Chinese numbering plan.
pub(crate) fn is_cn_mobile(digits: &str) -> bool {
    digits.len() == 11
        && digits.bytes().all(|b| b.is_ascii_digit())
        && digits.starts_with('1')
        && digits.as_bytes()[1] >= b'3'
}

/// The number, if it may link records: mobile, landline and others, never a virtual or masked one.
pub fn evidence(canonical: &Value) -> Option<&str> {
    let kind = canonical.get("type")?.as_str()?;
    if kind == "virtual" || kind == "masked" { None } else { canonical.get("number")?.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_number_has_one_form() {
        for same in [
            "13800138000",
            "138 0013 8000",
            "+86 138-0013-8000",
            "86-13800138000",
            "008613800138000",
            "１３８００１３８０００",
        ] {
            let value = canonical(same, "CN").unwrap();
            assert_eq!(value, json!({"number": "+8613800138000", "type": "mobile"}), "{same}");
        }
        assert_eq!(canonical("0571-88157808", "CN").unwrap()["number"], "+8657188157808");
        assert_eq!(canonical("0571-88157808", "CN").unwrap()["type"], "landline");
        assert_eq!(canonical("+44 20 7946 0018", "CN").unwrap()["number"], "+442079460018");
    }

    #[test]
    fn a_stand_in_never_links() {
        for rented in [
            "18877771111-123",
            "188 7777 1111 转 1234",
            "18877771111,12",
            "+86 18877771111-0001",
            "１８８７７７７１１１１－１２３",
        ] {
            let value = canonical(rented, "CN").unwrap();
            assert_eq!(value["type"], "virtual", "{rented}");
            assert_eq!(evidence(&value), None);
        }
        for hidden in
            ["138****1234", "+86 138****1234", "138xxxx1234", "１３８＊＊＊＊１２３４", "0571-****7808", "138••••1234"]
        {
            let value = canonical(hidden, "CN").unwrap();
            assert_eq!(value["type"], "masked", "{hidden}");
            assert_eq!(evidence(&value), None);
        }
        assert!(canonical("ask *him* first", "CN").is_err());
        assert!(canonical("***", "CN").is_err());
    }

    #[test]
    fn a_number_says_what_it_is() {
        for (raw, region, number, kind) in [
            ("400-820-8820", "CN", "+864008208820", "toll_free"),
            ("(010) 6552 9988", "CN", "+861065529988", "landline"),
            ("021-5888 8888", "CN", "+862158888888", "landline"),
            ("0571-88157808-801", "CN", "+8657188157808", "landline"),
            ("(0571)88157808 转 801", "CN", "+8657188157808", "landline"),
            ("057188157808分机801", "CN", "+8657188157808", "landline"),
            ("+86 571 8815 7808", "CN", "+8657188157808", "landline"),
            ("0086-571-88157808", "CN", "+8657188157808", "landline"),
            ("０５７１－８８１５７８０８", "CN", "+8657188157808", "landline"),
            ("800-810-8888", "CN", "+868008108888", "toll_free"),
            ("４００－８２０－８８２０", "CN", "+864008208820", "toll_free"),
            ("07400 123456", "GB", "+447400123456", "mobile"),
            ("+1 201 555 0123", "CN", "+12015550123", "unknown"),
            ("+86 138 0013 8000", "GB", "+8613800138000", "mobile"),
        ] {
            assert_eq!(canonical(raw, region).unwrap(), json!({"number": number, "type": kind}), "{raw}");
        }
        assert_eq!(national("+8613800138000", "CN"), "13800138000");
        assert_eq!(national("+447400123456", "CN"), "+447400123456");
        let landline = national("+8657188157808", "CN");
        assert_eq!(canonical(&landline, "CN").unwrap()["number"], "+8657188157808", "{landline}");
    }

    #[test]
    fn what_is_not_a_number_is_refused_without_repeating_it() {
        for bad in ["12", "none", "1380013800", "+86 999", "电话"] {
            let problem = canonical(bad, "CN").unwrap_err();
            assert_eq!(problem.code, "not_a_phone", "{bad}");
            assert!(!problem.message.contains(bad), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_form_is_stable(text in "[+0-9 ()*-]{0,20}") {
            if let Ok(value) = canonical(&text, "CN") {
                let again = canonical(value["number"].as_str().unwrap(), "CN").unwrap();
                proptest::prop_assert_eq!(again, value);
            }
        }
    }
}
