//! Exact numbers: decimals, money, integers, booleans. Nothing passes through a float.

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
    let text: String =
        half_width(raw.trim()).chars().filter(|c| !c.is_whitespace() && !",¥￥$€£".contains(*c)).collect();
    let parsed = if text.contains(['e', 'E']) {
        Decimal::from_scientific(&text).ok()
    } else {
        Decimal::from_str_exact(&text).ok()
    };
    parsed.ok_or_else(bad)
}

/// A whole number.
pub fn integer(raw: &str) -> Result<String, Problem> {
    let bad = || Problem::new("not_an_integer", "expected a whole number");
    let value = parse(raw).map_err(|_| bad())?.normalize();
    if value.scale() == 0 { Ok(value.to_string()) } else { Err(bad()) }
}

/// `{"amount": "12.50", "currency": "CNY"}`: at least two decimal places, more where given.
pub fn money(raw: &Value, options: &Options) -> Result<Value, Problem> {
    let (amount, currency) = match raw {
        Value::Object(parts) => {
            let amount = parts.get("amount").ok_or_else(|| Problem::new("not_money", "the amount is missing"))?;
            let currency =
                ["currency", "currencyCode", "currency_code"].iter().find_map(|key| parts.get(*key)?.as_str());
            (scalar(amount)?, currency)
        }
        other => (scalar(other)?, None),
    };
    let currency = currency
        .or(options.currency.as_deref())
        .ok_or_else(|| {
            Problem::new("no_currency", "the amount names no currency; the mapping can: currency = \"CNY\"")
        })?
        .trim()
        .to_uppercase();
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Problem::new("bad_currency", "expected a currency of three letters (ISO 4217)"));
    }
    let mut value = parse(&amount)?;
    if options.minor_units {
        value = value
            .checked_div(Decimal::ONE_HUNDRED)
            .ok_or_else(|| Problem::new("not_money", "the amount is too large"))?;
    }
    value = value.normalize();
    if value.scale() < 2 {
        value.rescale(2);
    }
    Ok(json!({"amount": value.to_string(), "currency": currency}))
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
        assert_eq!(money(&json!("1,234.5"), &cny).unwrap(), json!({"amount": "1234.50", "currency": "CNY"}));
        assert_eq!(money(&json!(1999), &fen).unwrap(), json!({"amount": "19.99", "currency": "CNY"}));
        assert_eq!(money(&json!({"amount": "0.1", "currencyCode": "usd"}), &cny).unwrap()["currency"], "USD");
        let raw: Value = serde_json::from_str("0.30000000000000004").unwrap();
        assert_eq!(money(&raw, &cny).unwrap()["amount"], "0.30000000000000004", "as written, not as a float");
        assert_eq!(money(&json!("5"), &Options::default()).unwrap_err().code, "no_currency");
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(decimal("12.500").unwrap(), "12.5");
        assert_eq!(decimal("-0").unwrap(), "0");
        assert_eq!(integer("7.0").unwrap(), "7");
        assert!(integer("7.5").is_err());
        assert!(decimal("1.2.3").is_err());
        assert!(boolean(&json!("是")).unwrap());
    }
}
