//! One delivery: what a member notes about a customer, and the corp tags.
//!
//! Two calls, `remark` (document 92115) and `mark_tag` (document 92118). Both say the wanted state, so repeating
//! either changes nothing: a crash between them is mended by carrying out the whole delivery again. What may be
//! refused without asking (an unknown tag) is checked before the first call.

use std::collections::BTreeSet;

use huiliu_core::connector::{ConnectorError, Delivery, Operation, Receipt, Result};
use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization as _;

use crate::api::Api;
use crate::contacts;
use crate::tags::TagCache;

/// Fields of `remark` that are plain texts: as they are read, and as they are written.
const TEXTS: [(&str, &str); 3] =
    [("remark", "remark"), ("description", "description"), ("remark_corp_name", "remark_company")];

/// Carries out an update of a contact and reads it back.
pub(crate) async fn push(api: &Api<'_>, cache: &TagCache, delivery: &Delivery) -> Result<Receipt> {
    let id = match (delivery.operation, &delivery.id) {
        (Operation::Update, Some(id)) if delivery.stream.as_str() == "contacts" => id,
        (Operation::Update, Some(_)) => return Err(rejected("", "only contacts can be written in WeCom")),
        (Operation::Update, None) => return Err(rejected("", "an update names no record")),
        (Operation::Create, _) => {
            return Err(rejected("", "WeCom customers come to be when a person adds a member; nobody can create them"));
        }
        (Operation::Delete, _) => {
            return Err(rejected("", "a WeCom customer can only be removed by the member, in the app"));
        }
    };
    let (userid, external_userid) = contacts::parts(id.as_str())?;
    let (wanted, before) = (&delivery.body["follow_info"], &delivery.base["follow_info"]);
    known_fields(&delivery.body)?;
    let marks = marks(api, cache, &wanted["tag_names"], &before["tag_names"]).await?;
    if let Some(mut notes) = notes(api, cache, id.as_str(), wanted, before).await? {
        notes.insert("userid".to_owned(), userid.into());
        notes.insert("external_userid".to_owned(), external_userid.into());
        api.post("externalcontact/remark", &Value::Object(notes)).await?;
    }
    if let Some((add, remove)) = marks {
        let ask = json!({
            "userid": userid, "external_userid": external_userid, "add_tag": add, "remove_tag": remove,
        });
        api.post("externalcontact/mark_tag", &ask).await?;
    }
    let stored = contacts::fetch(api, cache, id.as_str()).await?;
    let stored = stored.ok_or_else(|| ConnectorError::Gone {
        detail: "the WeCom customer was removed while we wrote to it".to_owned(),
    })?;
    Ok(Receipt { id: id.clone(), stored: Some(stored), version: None })
}

/// Everything that the delivery wants to write must be writable: a field passed over in silence would be planned again
/// for ever.
fn known_fields(body: &Value) -> Result<()> {
    let parts = body.as_object().into_iter().flatten();
    let outside = parts.clone().filter(|(name, _)| *name != "follow_info").map(|(name, _)| format!("/{name}"));
    let writable = |name: &str| {
        TEXTS.iter().any(|(read, write)| name == *read || name == *write)
            || name == "remark_mobiles"
            || name == "tag_names"
    };
    let inside = body["follow_info"].as_object().into_iter().flatten();
    let inside = inside.filter(|(name, _)| !writable(name)).map(|(name, _)| format!("/follow_info/{name}"));
    match outside.chain(inside).next() {
        Some(at) => {
            Err(rejected(&at, "WeCom does not let this field be written; set direction = \"in\" in its mapping"))
        }
        None => Ok(()),
    }
}

/// The ids to add and to remove, or none if the tags are not part of this delivery.
async fn marks(
    api: &Api<'_>,
    cache: &TagCache,
    wanted: &Value,
    before: &Value,
) -> Result<Option<(Vec<String>, Vec<String>)>> {
    let (wanted, before) = (names(wanted), names(before));
    if wanted == before {
        return Ok(None);
    }
    let mut tags = cache.get(api).await?;
    if !tags.knows_all(wanted.difference(&before)) {
        // It may have been created a moment ago.
        tags = cache.refresh(api).await?;
    }
    let add = wanted.difference(&before).map(|name| tags.id_to_add(name)).collect::<Result<Vec<_>>>()?;
    let remove: Vec<String> = before.difference(&wanted).flat_map(|name| tags.ids_to_remove(name)).collect();
    Ok((!add.is_empty() || !remove.is_empty()).then_some((add, remove)))
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The `remark` call's own fields, or none if it has nothing to say.
async fn notes(
    api: &Api<'_>,
    cache: &TagCache,
    id: &str,
    wanted: &Value,
    before: &Value,
) -> Result<Option<Map<String, Value>>> {
    let mut notes = Map::new();
    for (read, write) in TEXTS {
        if let Some(value) = wanted.get(read).or_else(|| wanted.get(write)) {
            notes.insert(write.to_owned(), value.as_str().unwrap_or_default().into());
        }
    }
    let mobiles = wanted.get("remark_mobiles");
    if notes.is_empty() && mobiles.is_none() {
        return Ok(None);
    }
    // WeCom has no conditional write: what it holds is read and compared just before.
    let stored = contacts::fetch(api, cache, id).await?.map_or(Value::Null, |record| record.body);
    nobody_was_faster(&stored["follow_info"], wanted, before)?;
    let company = notes.contains_key("remark_company");
    if company && crate::api::number(&stored["external_contact"]["type"]) == Some(2) {
        // WeCom would answer "ok" and keep nothing, and the difference would be planned again for ever.
        return Err(rejected(
            "/follow_info/remark_corp_name",
            "WeCom keeps a noted company for WeChat users only; this customer is a WeCom user of another corp",
        ));
    }
    // WeCom refuses a call whose fields are all empty, so clearing a text states the mobiles too.
    if mobiles.is_some() || notes.values().all(|value| value == "") {
        let held = stored["follow_info"]["remark_mobiles"].clone();
        let list = phones(&held, mobiles.unwrap_or(&Value::Null), &before["remark_mobiles"])?;
        // The one way to say "no mobiles" is a list with an empty text.
        let list = if list.is_empty() { vec![String::new()] } else { list };
        notes.insert("remark_mobiles".to_owned(), list.into());
    }
    Ok(Some(notes))
}

/// A member may have changed a text since it was last read: their words are not overwritten, but heard first.
fn nobody_was_faster(stored: &Value, wanted: &Value, before: &Value) -> Result<()> {
    let text = |texts: &Value, name: &str| texts.get(name).map(|text| text.as_str().unwrap_or_default().to_owned());
    for (read, write) in TEXTS {
        let (Some(wanted), Some(known)) =
            (text(wanted, read).or_else(|| text(wanted, write)), text(before, read).or_else(|| text(before, write)))
        else {
            continue;
        };
        let held = text(stored, read).unwrap_or_default();
        if !alike(&held, &known) && !alike(&held, &wanted) {
            return Err(ConnectorError::Conflict {
                detail: format!("the customer's `{read}` was changed in WeCom since it was read"),
            });
        }
    }
    Ok(())
}

/// What is known has lost its blanks at the ends, its invisible signs and its way of composing accents on the way: no
/// difference in those is an edit, and taking one for it would refuse the same write for ever.
fn alike(one: &str, other: &str) -> bool {
    let seen = |c: &char| !c.is_whitespace() && !c.is_control() && !matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    one.nfc().filter(seen).eq(other.nfc().filter(seen))
}

/// The call replaces the whole list, while a delivery names single places in it: the places it does not name keep
/// what is there now. A null is a cleared place if something was known to be there, else it only fills a gap.
fn phones(held: &Value, wanted: &Value, before: &Value) -> Result<Vec<String>> {
    let texts = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let (mut list, before) = (texts(held), texts(before));
    for (place, value) in texts(wanted).into_iter().enumerate() {
        let cleared = value.is_null() && before.get(place).is_some_and(|known| !known.is_null());
        if value.is_null() && !cleared {
            continue;
        }
        if cleared && list.len() > place + 1 {
            // The others would move up, read as changed at their places, and be overwritten next.
            return Err(rejected(
                &format!("/follow_info/remark_mobiles/{place}"),
                "this mobile has others after it, which would take its place; a member must remove it in WeCom",
            ));
        }
        while list.len() <= place {
            list.push(Value::Null);
        }
        list[place] = value;
    }
    Ok(list.iter().filter_map(phone).collect())
}

/// As staff type it: a mainland mobile without its country code. Numbers occur as JSON numbers.
fn phone(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let mainland = text.strip_prefix("+86").filter(|rest| rest.len() == 11 && rest.starts_with('1'));
    let text = mainland.map(str::to_owned).unwrap_or(text);
    (!text.is_empty()).then_some(text)
}

fn rejected(at: &str, reason: &str) -> ConnectorError {
    ConnectorError::Rejected { at: at.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(held: &Value, wanted: &Value, before: &Value, expected: &[&str]) {
        assert_eq!(phones(held, wanted, before).unwrap(), expected);
    }

    #[test]
    fn a_place_changes_and_the_others_stay() {
        let held = json!([13_800_138_000_i64, "13900139000"]);
        check(&held, &json!([null, "+8613700137000"]), &json!([null, "13900139000"]), &["13800138000", "13700137000"]);
        check(&held, &json!(["+85251234567"]), &json!(["13800138000"]), &["+85251234567", "13900139000"]);
        check(&held, &json!([null, null]), &json!([null, "13900139000"]), &["13800138000"]);
        assert!(phones(&held, &json!([null]), &json!(["13800138000"])).is_err());
        check(&json!([]), &json!([null, "13700137000"]), &Value::Null, &["13700137000"]);
        check(&json!(["13800138000"]), &json!([null]), &json!(["13800138000"]), &[]);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let error = known_fields(&json!({"follow_info": {"remark": "a", "add_way": 1}})).unwrap_err();
        assert!(matches!(error, ConnectorError::Rejected { ref at, .. } if at == "/follow_info/add_way"));
        assert!(known_fields(&json!({"external_contact": {"name": "a"}})).is_err());
        assert!(known_fields(&json!({"follow_info": {"remark_company": "a", "tag_names": []}})).is_ok());
    }
}
