//! One page of a list, as the manifest says that pages follow.

use huiliu_core::manifest::{Paginate, StampForm, Stream};
use serde_json::{Value, json};

use super::answer::{Answer, Asked, PAGE};
use super::book::{self, Book, Kept, at, plain, put};
use super::calls::Listing;
use super::pattern::{self, Bound};

/// The query parameter of a page that a `Link` header leads to.
const LINKED_PAGE: &str = "rehearsal_page";

/// A record in a list.
struct Row {
    order: i64,
    id: String,
    body: Value,
}

/// Answers a call that lists.
pub fn page(
    book: &mut Book,
    name: &str,
    stream: &Stream,
    list: &Listing<'_>,
    asked: &Asked<'_>,
    bound: &Bound,
) -> Answer {
    let variables = list.pull.graphql.as_ref().map_or(&asked.body, |_| &asked.body["variables"]);
    let given = |param: &str| {
        if param.starts_with('/') {
            at(variables, param).and_then(plain)
        } else {
            asked.call.param(param).map(str::to_owned)
        }
    };
    let since = list.pull.since.as_ref().and_then(|since| {
        let stamp = match &since.param {
            Some(param) => {
                let (text, mut bound) = (given(param)?, Bound::new());
                pattern::text(&since.write, &text, &mut bound).then(|| bound.get("stamp").and_then(plain)).flatten()?
            }
            None => bound.get("stamp").and_then(plain)?,
        };
        match since.form {
            StampForm::Seconds => stamp.parse::<i64>().ok()?.checked_mul(1_000_000),
            StampForm::Millis => stamp.parse::<i64>().ok()?.checked_mul(1_000),
            StampForm::Rfc3339 | StampForm::Local => book::instant(stream, &stamp),
        }
    });
    let mut rows: Vec<Row> = if list.deletes {
        let gone = book.shelf(name).gone.clone();
        gone.into_iter().map(|(id, order)| Row { order, body: tombstone(stream, &id, order), id }).collect()
    } else {
        let all = book.shelf(name).records.iter();
        all.map(|(id, Kept { body, order })| Row { order: *order, id: id.clone(), body: body.clone() }).collect()
    };
    rows.retain(|row| since.is_none_or(|since| row.order >= since));
    if let Some(Paginate::Keyset { size, .. }) = list.paginate {
        return keyset(rows, list.records, *size, bound.get("cursor").and_then(plain));
    }
    rows.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
    let bodies: Vec<Value> = rows.into_iter().map(|row| row.body).collect();
    paged(&bodies, list, &given, asked)
}

/// The records after a key, in the order of their keys.
fn keyset(mut rows: Vec<Row>, records: &str, size: u64, after: Option<String>) -> Answer {
    let number = |id: &str| id.parse::<i128>().unwrap_or(i128::MAX);
    rows.sort_by(|a, b| (number(&a.id), &a.id).cmp(&(number(&b.id), &b.id)));
    let after = after.unwrap_or_default();
    rows.retain(|row| (number(&row.id), &row.id) > (number(&after), &after));
    let bodies = rows.into_iter().take(usize::try_from(size).unwrap_or(PAGE)).map(|row| row.body).collect();
    let mut reply = Value::Null;
    put(&mut reply, records, Value::Array(bodies));
    Answer::of(200, reply)
}

fn tombstone(stream: &Stream, id: &str, order: i64) -> Value {
    let Some(deletes) = &stream.deletes else { return Value::from(id) };
    let key = deletes.key.as_ref().or(stream.key.as_ref());
    let mut entry = json!({});
    match key {
        Some(key) if !key.is_empty() => put(&mut entry, key, Value::from(id)),
        _ => return Value::from(id),
    }
    if let Some(version) = &deletes.version {
        let at = jiff::Timestamp::from_microsecond(order).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        put(&mut entry, version, Value::from(at.to_string()));
    }
    entry
}

fn paged(list: &[Value], declared: &Listing<'_>, given: &dyn Fn(&str) -> Option<String>, asked: &Asked<'_>) -> Answer {
    let count = |text: Option<String>| text.and_then(|text| text.parse::<usize>().ok());
    let (begin, size) = match declared.paginate {
        Some(Paginate::Cursor { param, .. }) => {
            (given(param).and_then(|text| text.strip_prefix("after-")?.parse().ok()).unwrap_or(0), PAGE)
        }
        Some(Paginate::Page { param, first, size, .. }) => {
            let size = usize::try_from(*size).unwrap_or(PAGE);
            let first = usize::try_from(*first).unwrap_or(0);
            (count(given(param)).unwrap_or(first).saturating_sub(first) * size, size)
        }
        Some(Paginate::Offset { param, size, .. }) => {
            (count(given(param)).unwrap_or(0), usize::try_from(*size).unwrap_or(PAGE))
        }
        Some(Paginate::LinkHeader {}) => (count(given(LINKED_PAGE)).unwrap_or(0), PAGE),
        Some(Paginate::Keyset { .. } | Paginate::None {}) | None => (0, usize::MAX),
    };
    let shown: Vec<Value> = list.iter().skip(begin).take(size).cloned().collect();
    let end = begin.saturating_add(shown.len());
    let is_last = end >= list.len();
    let mut reply = Value::Null;
    put(&mut reply, declared.records, Value::Array(shown));
    let mut headers = Vec::new();
    match declared.paginate {
        Some(Paginate::Cursor { from, more, .. }) => {
            put(&mut reply, from, if is_last { Value::Null } else { Value::from(format!("after-{end}")) });
            if let Some(more) = more {
                put(&mut reply, more, Value::Bool(!is_last));
            }
        }
        Some(Paginate::LinkHeader {}) if !is_last => {
            let kept = asked.call.query.iter().filter(|(name, _)| name != LINKED_PAGE);
            let next = (LINKED_PAGE.to_owned(), end.to_string());
            let pairs: Vec<&(String, String)> = kept.chain([&next]).collect();
            let url = reqwest::Url::parse_with_params(&format!("{}{}", asked.base, asked.path), pairs);
            headers.extend(url.ok().map(|url| ("link".to_owned(), format!("<{url}>; rel=\"next\""))));
        }
        Some(Paginate::Page { pages_header: Some(name), .. }) => {
            headers.push((name.clone(), list.len().div_ceil(size).to_string()));
        }
        _ => {}
    }
    Answer { status: 200, headers, body: reply }
}
