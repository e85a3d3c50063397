//! A message of the app to members (`message/send`, document 90236).
//!
//! The call has no key of ours. `enable_duplicate_check` makes WeCom drop the same JSON within four hours, and the
//! reference in the text makes two messages two: so a repeat of a lost answer is not shown twice.

use huiliu_core::connector::{ConnectorError, Delivery, ExternalId, Operation, Receipt, Result};
use serde_json::{Value, json};

use crate::api::Api;

/// The longest text, in bytes; WeCom cuts what is longer, perhaps within a character.
const TEXT_MAX: usize = 2_048;

/// Members whom one message may name.
const MEMBERS_MAX: usize = 1_000;

/// How long WeCom looks for a repeat, in seconds: the longest that it takes.
const REPEAT_SECONDS: u32 = 14_400;

/// Sends a message.
pub(crate) async fn push(api: &Api<'_>, delivery: &Delivery) -> Result<Receipt> {
    if delivery.operation != Operation::Create {
        return Err(rejected("", "a message that was sent can be neither changed nor taken back"));
    }
    let agent = api.cx.setting("agent_id")?.trim().parse::<i64>().map_err(|_| {
        ConnectorError::broken(format!(
            "config.agent_id of connection {} is not set; it is the app's AgentId, shown beside its Secret",
            api.cx.connection
        ))
    })?;
    let ask = json!({
        "touser": members(&delivery.body["to"])?,
        "msgtype": "text",
        "agentid": agent,
        "text": { "content": text(&delivery.body)? },
        "enable_duplicate_check": 1,
        "duplicate_check_interval": REPEAT_SECONDS,
    });
    let reply = api.post("message/send", &ask).await?;
    // What others got cannot be sent again to those who did not.
    let unheard = reply["invaliduser"].as_str().unwrap_or_default().split('|').filter(|it| !it.is_empty()).count();
    if unheard > 0 {
        let reason =
            format!("{unheard} of the members do not exist, or the app is not visible to them; the others were told");
        return Err(rejected("/to", &reason));
    }
    Ok(Receipt { id: ExternalId::from(delivery.idempotency_key.as_str()), stored: None, version: None })
}

/// The members, parted as WeCom wants them.
fn members(to: &Value) -> Result<String> {
    let list = match to {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let members: Vec<&str> = list.iter().filter_map(Value::as_str).map(str::trim).filter(|it| !it.is_empty()).collect();
    if members.is_empty() || members.len() > MEMBERS_MAX {
        return Err(rejected("/to", "a message names 1 to 1,000 members by their userid"));
    }
    // `@all` would tell the whole corp.
    if members.iter().any(|it| it.contains('|') || it.starts_with('@')) {
        return Err(rejected("/to", "this is no userid of a member"));
    }
    Ok(members.join("|"))
}

/// The text, and the reference in a line of its own.
fn text(body: &Value) -> Result<String> {
    let (text, reference) = (body["text"].as_str().unwrap_or_default(), body["reference"].as_str().unwrap_or_default());
    if text.trim().is_empty() {
        return Err(rejected("/text", "the message says nothing"));
    }
    let mark = if reference.is_empty() { String::new() } else { format!("\n{reference}") };
    let most = TEXT_MAX - mark.len().min(TEXT_MAX);
    if text.len() <= most {
        return Ok(format!("{text}{mark}"));
    }
    let end = (0..=most.saturating_sub('…'.len_utf8())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Ok(format!("{}…{mark}", &text[..end]))
}

fn rejected(at: &str, reason: &str) -> ConnectorError {
    ConnectorError::Rejected { at: at.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_keeps_its_reference() {
        let cut = text(&json!({ "text": "长".repeat(1_000), "reference": "#17" })).unwrap();
        assert!(cut.len() <= TEXT_MAX && cut.ends_with("长…\n#17"), "{}", cut.len());
        assert_eq!(text(&json!({ "text": "短", "reference": "#17" })).unwrap(), "短\n#17");
        assert!(text(&json!({ "text": " " })).is_err());
    }

    #[test]
    fn members_are_named_one_by_one() {
        assert_eq!(members(&json!(["zhang", " lin "])).unwrap(), "zhang|lin");
        assert_eq!(members(&json!("zhang")).unwrap(), "zhang");
        for bad in [json!([]), json!(["@all"]), json!(["a|b"]), json!(null)] {
            assert!(members(&bad).is_err(), "{bad}");
        }
    }
}
