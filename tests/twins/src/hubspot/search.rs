//! The search endpoint: groups of filters, a window of rows, an index that lags.

use serde_json::{Value, json};

use super::store::{Object, Refusal, Store};

/// Rows on a page, at most.
const LIMIT_MAX: usize = 200;

pub(super) fn search(store: &mut Store, kind: &'static str, asked: &Value, now_ms: i64) -> Result<Value, Refusal> {
    if let Some(left) = &mut store.searches_left {
        let Some(fewer) = left.checked_sub(1) else {
            return Err(Refusal::new(429, "RATE_LIMITS", "You have reached your secondly limit."));
        };
        *left = fewer;
    }
    let invalid = |text: &str| Refusal::new(400, "VALIDATION_ERROR", text);
    let limit = asked["limit"].as_u64().map_or(10, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if limit > LIMIT_MAX {
        return Err(invalid("limit must be at most 200"));
    }
    let after = match &asked["after"] {
        Value::Null => 0,
        Value::String(text) => text.parse().map_err(|_| invalid("after is not a number"))?,
        other => {
            other.as_u64().and_then(|it| usize::try_from(it).ok()).ok_or_else(|| invalid("after is not a number"))?
        }
    };
    if after + limit > store.window {
        return Err(invalid("The search exceeds the maximum number of results."));
    }
    let groups = asked["filterGroups"].as_array().cloned().unwrap_or_default();
    let is_indexed =
        |id: u64, it: &Object| !store.unindexed.contains(&(kind, id)) && it.created_ms + store.index_lag_ms <= now_ms;
    let is_there = |id: u64, it: &Object| !it.archived || store.lingering.contains(&(kind, id));
    let mine =
        store.objects.iter().filter(|((known, id), it)| *known == kind && is_there(*id, it) && is_indexed(*id, it));
    let mut found: Vec<(u64, &Object)> = Vec::new();
    for ((_, id), object) in mine {
        let mut fits = groups.is_empty();
        for group in &groups {
            fits |= all_fit(kind, *id, object, group)?;
        }
        if fits {
            found.push((*id, object));
        }
    }
    let by_id = asked["sorts"][0]["propertyName"] == "hs_object_id";
    if !by_id {
        found.sort_by_key(|(id, object)| (object.created_ms, *id));
    }
    let total = found.len();
    let names =
        asked["properties"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
    let names: Vec<String> = names.collect();
    let rows = found.iter().skip(after).take(limit).filter_map(|(id, _)| {
        let mut row = store.shown(kind, *id, &names)?;
        row["archived"] = json!(false);
        Some(row)
    });
    let mut page = json!({ "total": total, "results": rows.collect::<Vec<_>>() });
    if after + limit < total {
        page["paging"] = json!({ "next": { "after": (after + limit).to_string() } });
    }
    Ok(page)
}

fn all_fit(kind: &str, id: u64, object: &Object, group: &Value) -> Result<bool, Refusal> {
    for filter in group["filters"].as_array().into_iter().flatten() {
        let invalid = |text: &str| Refusal::new(400, "VALIDATION_ERROR", text);
        let name = filter["propertyName"].as_str().ok_or_else(|| invalid("a filter without propertyName"))?;
        let wanted = filter["value"].as_str().ok_or_else(|| invalid("a filter without value"))?;
        let held = object.value(kind, id, name).unwrap_or_default();
        let number = |text: &str| match text.parse::<jiff::Timestamp>() {
            Ok(at) => Some(at.as_millisecond()),
            Err(_) => text.parse::<i64>().ok(),
        };
        let fits = match (filter["operator"].as_str(), number(&held), number(wanted)) {
            (Some("EQ"), ..) => held == wanted,
            (Some("GT"), Some(held), Some(wanted)) => held > wanted,
            (Some("GTE"), Some(held), Some(wanted)) => held >= wanted,
            (Some("LTE"), Some(held), Some(wanted)) => held <= wanted,
            (Some("GT" | "GTE" | "LTE"), None, Some(_)) => false,
            _ => return Err(invalid("this filter cannot be understood")),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}
