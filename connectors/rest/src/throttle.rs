//! Cost throttles of GraphQL systems: how long until the bucket holds enough again.

use std::time::Duration;

use serde_json::Value;

/// The wait told by `/extensions/cost`: (requested − available) / restore rate, rounded up to milliseconds (Shopify's
/// shape, also used by others). None when the reply does not tell it.
pub fn wait(reply: &Value) -> Option<Duration> {
    let cost = reply.pointer("/extensions/cost")?;
    let requested = millis(cost.get("requestedQueryCost")?)?;
    let status = cost.get("throttleStatus")?;
    let available = millis(status.get("currentlyAvailable")?)?;
    let restored = millis(status.get("restoreRate")?)?;
    if restored == 0 {
        return None;
    }
    let missing = requested.saturating_sub(available);
    Some(Duration::from_millis(missing.saturating_mul(1000).div_ceil(restored)))
}

/// A number in thousandths, without a float: `12.5` is 12500.
fn millis(number: &Value) -> Option<u64> {
    let text = number.as_number()?.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(requested: &str, available: &str, rate: &str) -> Option<Duration> {
        let text = format!(
            r#"{{"extensions":{{"cost":{{"requestedQueryCost":{requested},"throttleStatus":
               {{"maximumAvailable":2000.0,"currentlyAvailable":{available},"restoreRate":{rate}}}}}}}}}"#
        );
        wait(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn the_wait_is_what_is_missing_over_the_rate() {
        assert_eq!(wait_for("502", "352.0", "100.0"), Some(Duration::from_millis(1500)));
        assert_eq!(wait_for("10", "9.5", "3"), Some(Duration::from_millis(167)));
        assert_eq!(wait_for("10", "11", "100"), Some(Duration::ZERO));
    }

    #[test]
    fn an_untold_or_impossible_wait_is_none() {
        assert_eq!(wait(&serde_json::json!({"errors": []})), None);
        assert_eq!(wait_for("10", "0", "0"), None);
    }
}
