//! Phone numbers in E.164 with their type. A virtual or masked number says so and never links anybody.

use serde_json::{Value, json};

use super::Problem;
use super::text::half_width;

/// `{"number": "+8613800138000", "type": "mobile"}`. Types: `mobile`, `landline`, `toll_free`, `other`; `virtual` for a
/// platform's stand-in (`18877771111-123`), `masked` for `138****1234`: these two keep their text as `number`.
pub fn canonical(raw: &str, region: &str) -> Result<Value, Problem> {
    let bad =
        || Problem::new("not_a_phone", format!("expected a phone number of region {region} or one that starts with +"));
    let text: String =
        half_width(raw.trim()).chars().filter(|c| !c.is_whitespace() && !"()（）.·".contains(*c)).collect();
    if text.len() > 40 {
        return Err(bad());
    }
    if text.contains('*') {
        return Ok(json!({"number": text, "type": "masked"}));
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let extended = text.split_once('-').is_some_and(|(head, tail)| {
        let head: String = head.chars().filter(char::is_ascii_digit).collect();
        is_cn_mobile(head.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(&head))
            && (1..=6).contains(&tail.len())
    });
    if extended {
        return Ok(json!({"number": text, "type": "virtual"}));
    }
    let odd = text.chars().enumerate().any(|(at, c)| !(c.is_ascii_digit() || c == '-' || (c == '+' && at == 0)));
    if !odd && (region == "CN" || text.starts_with("+86")) {
        let international = text.starts_with('+') || text.starts_with("00");
        let national =
            digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86")).filter(|rest| rest.len() == 11);
        let mobile = if international { national } else { national.or(Some(digits.as_str())) };
        if let Some(mobile) = mobile.filter(|number| is_cn_mobile(number)) {
            return Ok(json!({"number": format!("+86{mobile}"), "type": "mobile"}));
        }
    }
    let country = region.parse().ok();
    let parsed = phonenumber::parse(country, &text).map_err(|_| bad())?;
    if !parsed.is_valid() {
        return Err(bad());
    }
    let kind = match parsed.number_type(&phonenumber::metadata::DATABASE) {
        phonenumber::Type::Mobile => "mobile",
        phonenumber::Type::FixedLine => "landline",
        phonenumber::Type::TollFree => "toll_free",
        _ => "other",
    };
    Ok(json!({"number": parsed.format().mode(phonenumber::Mode::E164).to_string(), "type": kind}))
}

/// Eleven digits, 13 to 19 at the front: the mobile ranges of the Chinese numbering plan.
fn is_cn_mobile(digits: &str) -> bool {
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
        let rented = canonical("18877771111-123", "CN").unwrap();
        assert_eq!(rented["type"], "virtual");
        assert_eq!(evidence(&rented), None);
        let masked = canonical("138****1234", "CN").unwrap();
        assert_eq!(masked["type"], "masked");
        assert_eq!(evidence(&masked), None);
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
