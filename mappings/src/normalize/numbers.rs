//! Exact numbers: decimals, money, integers, booleans. Nothing passes through a float.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::text::half_width;
use super::{Options, Problem, scalar};

/// An exact decimal without superfluous zeros: `12.50` is `12.5`, `-0` is `0`. Thousands separators and a currency
/// sign are accepted.
pub fn decimal(raw: &str) -> Result<String, Problem> {
    Ok(parse(raw)?.normalize().to_string())
}

fn parse(raw: &str) -> Result<Decimal, Problem> {
    let bad = || Problem::new("not_a_number", "expected a decimal number such as 1234.50");
    let raw = raw.trim();
    let plain = raw.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    let text: Cow<'_, str> = if plain {
        Cow::Borrowed(raw)
    } else {
        let kept = |c: &char| !c.is_whitespace() && !"¥￥$€£".contains(*c);
        Cow::Owned(ungrouped(half_width(raw).chars().filter(kept).collect()).ok_or_else(bad)?)
    };
    let parsed = if text.contains(['e', 'E']) {
        Decimal::from_scientific(&text).ok()
    } else {
        Decimal::from_str_exact(&text).ok()
    };
    parsed.ok_or_else(bad)
}

/// Without its thousands separators. `12,50` is refused: whether it means 12.5 or 1250, only its writer knows.
fn ungrouped(text: String) -> Option<String> {
    if !text.contains(',') {
        return Some(text);
    }
    let whole = text.split('.').next()?;
    let mut groups = whole.trim_start_matches(['+', '-']).split(',');
    let first = groups.next()?;
    let groups: Vec<&str> = groups.collect();
    let (last, middle) = groups.split_last()?;
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    // Groups of three; of two before the last in India, of four in China.
    let size = middle.first().map_or(last.len(), |group| group.len());
    let fine = (1..=size.max(3)).contains(&first.len())
        && digits(first)
        && matches!((size, last.len()), (3 | 2, 3) | (4, 4))
        && middle.iter().all(|group| group.len() == size && digits(group))
        && digits(last)
        && text.matches(',').count() == groups.len();
    fine.then(|| text.replace(',', ""))
}

/// Digits after the point in a currency's minor unit (ISO 4217): fen and cents have two.
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Three capital letters; RMB, as Chinese systems often write, is CNY.
pub fn currency(raw: &str) -> Result<Cow<'static, str>, Problem> {
    let raw = raw.trim();
    for common in ["CNY", "USD", "EUR", "HKD", "JPY"] {
        if raw.eq_ignore_ascii_case(common) {
            return Ok(Cow::Borrowed(common));
        }
    }
    if raw.eq_ignore_ascii_case("RMB") {
        return Ok(Cow::Borrowed("CNY"));
    }
    if raw.len() == 3 && raw.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Ok(Cow::Owned(raw.to_uppercase()));
    }
    Err(Problem::new("bad_currency", "expected a currency of three letters (ISO 4217)"))
}

/// A whole number.
pub fn integer(raw: &str) -> Result<String, Problem> {
    let bad = || Problem::new("not_an_integer", "expected a whole number");
    let value = parse(raw).map_err(|_| bad())?.normalize();
    if value.scale() == 0 { Ok(value.to_string()) } else { Err(bad()) }
}

/// `{"amount": "12.50", "currency": "CNY"}`: as many decimal places as the currency has, more where given.
pub fn money(raw: &Value, beside: Option<&str>, options: &Options) -> Result<Value, Problem> {
    let (amount, inside) = match raw {
        Value::Object(parts) => {
            let amount = parts.get("amount").ok_or_else(|| Problem::new("not_money", "the amount is missing"))?;
            let inside = ["currency", "currencyCode", "currency_code"].iter().find_map(|key| parts.get(*key)?.as_str());
            (scalar(amount)?, inside)
        }
        other => (scalar(other)?, None),
    };
    let named = inside.or(beside).or(options.currency.as_deref()).ok_or_else(|| {
        Problem::new("no_currency", "the amount names no currency; the mapping can: currency = \"CNY\"")
    })?;
    let currency = currency(named)?;
    let digits = minor_digits(&currency);
    let mut value = parse(&amount)?;
    if options.minor_units {
        value = value
            .checked_div(Decimal::from(10_u32.pow(digits)))
            .ok_or_else(|| Problem::new("not_money", "the amount is too large"))?;
    }
    value = value.normalize();
    if value.scale() < digits {
        value.rescale(digits);
    }
    Ok(json!({"amount": value.to_string(), "currency": currency}))
}

/// An amount in minor units; nothing where it is finer than the currency's smallest coin.
pub fn minor(amount: &str, currency: &str) -> Option<String> {
    let units = Decimal::from(10_u32.pow(minor_digits(currency)));
    let value = Decimal::from_str_exact(amount).ok()?.checked_mul(units)?.normalize();
    (value.scale() == 0).then(|| value.to_string())
}

/// True or false, in the words systems use.
pub fn boolean(raw: &Value) -> Result<bool, Problem> {
    match scalar(raw)?.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "是" => Ok(true),
        "false" | "0" | "no" | "n" | "否" => Ok(false),
        _ => Err(Problem::new("not_a_boolean", "expected true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        let cny = Options { currency: Some("CNY".into()), ..Options::default() };
        let fen = Options { minor_units: true, ..cny.clone() };
        assert_eq!(money(&json!("1,234.5"), None, &cny).unwrap(), json!({"amount": "1234.50", "currency": "CNY"}));
        assert_eq!(money(&json!(1999), None, &fen).unwrap(), json!({"amount": "19.99", "currency": "CNY"}));
        assert_eq!(money(&json!({"amount": "0.1", "currencyCode": "usd"}), None, &cny).unwrap()["currency"], "USD");
        let raw: Value = serde_json::from_str("0.30000000000000004").unwrap();
        assert_eq!(money(&raw, None, &cny).unwrap()["amount"], "0.30000000000000004", "as written, not as a float");
        assert_eq!(money(&json!("5"), None, &Options::default()).unwrap_err().code, "no_currency");
        assert_eq!(money(&json!("5"), Some("rmb"), &Options::default()).unwrap()["currency"], "CNY");
        assert_eq!(money(&json!("5"), Some("元"), &cny).unwrap_err().code, "bad_currency");
        assert_eq!(money(&json!(500), Some("JPY"), &fen).unwrap()["amount"], "500", "a yen has no smaller coin");
        assert_eq!(money(&json!(1), Some("KWD"), &fen).unwrap()["amount"], "0.001");
        assert_eq!(minor("19.99", "CNY").as_deref(), Some("1999"));
        assert_eq!(minor("0.001", "CNY"), None);
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(decimal("12.500").unwrap(), "12.5");
        assert_eq!(decimal("-0").unwrap(), "0");
        assert_eq!(integer("7.0").unwrap(), "7");
        assert!(integer("7.5").is_err());
        assert_eq!(decimal("￥１，２３４．５").unwrap(), "1234.5");
        assert_eq!(decimal("1,00,000").unwrap(), "100000");
        assert_eq!(decimal("+5").unwrap(), "5");
        assert_eq!(decimal("1E3").unwrap(), "1000");
        assert_eq!(decimal("-1,234,567.8").unwrap(), "-1234567.8");
        for bad in ["1.2.3", "12,50", "1,23", ",123", "1,234,5", "1.5,000", "--1", "1-2", "NaN", "one", "."] {
            assert!(decimal(bad).is_err(), "{bad}");
        }
        assert!(boolean(&json!("是")).unwrap());
    }
}
