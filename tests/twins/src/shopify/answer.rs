//! Carries out an operation on the shop: listing by time and id, reading, `customerSet`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::document::{Field, Operation};
use super::shop::{Customer, Order, Saved, Shop, gid, id_of};

/// A refusal of the whole call: sentence and code.
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) code: &'static str,
}

fn refused<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), code })
}

/// The shop refuses a page above this.
const PAGE_MAX: u64 = 250;

/// The `data` of the reply, and the customers that were created or changed on the way.
pub(super) fn answer(
    shop: &mut Shop,
    operation: &Operation,
    now_s: i64,
) -> Result<(Value, Vec<(u64, Saved)>), Refusal> {
    let mut data = Map::new();
    let mut saved = Vec::new();
    for field in &operation.fields {
        fits_schema(field)?;
        let value = match (operation.is_mutation, field.name.as_str()) {
            (false, "customers" | "orders") => list(shop, field)?,
            (false, "customer") => read(field, "Customer", |id| Some(shop.customers.get(&id)?.json(id)))?,
            (false, "order") => read(field, "Order", |id| Some(shop.orders.get(&id)?.json(id)))?,
            (false, "shop") => shown(&json!({ "id": gid("Shop", 1), "name": "Huiliu Example" }), field)?,
            (true, "customerSet") => set(shop, field, now_s, &mut saved)?,
            (_, name) => {
                let root = if operation.is_mutation { "Mutation" } else { "QueryRoot" };
                return refused("undefinedField", format!("Field '{name}' doesn't exist on type '{root}'"));
            }
        };
        data.insert(field.key.clone(), value);
    }
    Ok((Value::Object(data), saved))
}

/// Refuses a selection that the schema does not know, also where nothing is there to select from.
fn fits_schema(field: &Field) -> Result<(), Refusal> {
    let sample = match field.name.as_str() {
        "customers" => json!([Customer::sample()]),
        "customer" => Customer::sample(),
        "orders" => json!([Order::sample()]),
        "order" => Order::sample(),
        "customerSet" => {
            let error = json!({ "field": ["input"], "message": "no", "code": "INVALID" });
            json!({ "customer": Customer::sample(), "userErrors": [error] })
        }
        _ => return Ok(()),
    };
    shown(&sample, field).map(drop)
}

/// What the schema allows the call to cost at most: an object is a point, a page two and its nodes.
pub(super) fn cost(field: &Field) -> u64 {
    let inside = |field: &Field| field.selection.iter().map(cost).sum::<u64>();
    if field.selection.is_empty() || field.name == "pageInfo" {
        0
    } else if field.is_connection() {
        let node = field.child("nodes").or_else(|| field.child("edges")?.child("node"));
        let first = field.arguments.get("first").and_then(Value::as_u64).unwrap_or(0);
        2 + first * (1 + node.map_or(0, inside))
    } else {
        1 + inside(field)
    }
}

/// What the call did cost.
pub(super) fn weight(data: &Value) -> u64 {
    match data {
        Value::Object(object) => 1 + object.values().map(weight).sum::<u64>(),
        Value::Array(items) => items.iter().map(weight).sum(),
        _ => 0,
    }
}

fn read(field: &Field, kind: &str, find: impl Fn(u64) -> Option<Value>) -> Result<Value, Refusal> {
    let asked = field.arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    let Some(id) = id_of(kind, asked) else {
        return refused("argumentLiteralsIncompatible", format!("Invalid global id '{asked}'"));
    };
    find(id).map_or(Ok(Value::Null), |value| shown(&value, field))
}

/// What is selected of a value that has everything.
fn shown(value: &Value, field: &Field) -> Result<Value, Refusal> {
    match value {
        Value::Array(items) if field.is_connection() => {
            let first = page_size(field)?;
            page(field, &items.iter().take(first).collect::<Vec<_>>(), items.len() > first, |_| String::new())
        }
        Value::Array(items) => items.iter().map(|item| shown(item, field)).collect(),
        Value::Object(object) => {
            if field.selection.is_empty() {
                return refused("selectionMismatch", format!("Field must have selections (field '{}')", field.name));
            }
            let mut made = Map::new();
            for inner in &field.selection {
                let Some(value) = object.get(&inner.name) else {
                    let message = format!("Field '{}' doesn't exist on what '{}' returns", inner.name, field.name);
                    return refused("undefinedField", message);
                };
                made.insert(inner.key.clone(), shown(value, inner)?);
            }
            Ok(Value::Object(made))
        }
        leaf => Ok(leaf.clone()),
    }
}

fn page_size(field: &Field) -> Result<usize, Refusal> {
    let Some(first) = field.arguments.get("first") else {
        return refused("BAD_REQUEST", format!("you must provide one of first or last (field '{}')", field.name));
    };
    match first.as_u64() {
        Some(first) if (1..=PAGE_MAX).contains(&first) => Ok(usize::try_from(first).unwrap_or(1)),
        _ => refused("INVALID_VARIABLE", "Variable $first of type Int! was provided invalid value: 1 to 250"),
    }
}

fn page(field: &Field, items: &[&Value], more: bool, cursor: impl Fn(&Value) -> String) -> Result<Value, Refusal> {
    let mut made = Map::new();
    for inner in &field.selection {
        let value = match inner.name.as_str() {
            "nodes" => items.iter().map(|item| shown(item, inner)).collect::<Result<Value, _>>()?,
            "pageInfo" => {
                let info = json!({
                    "hasNextPage": more, "hasPreviousPage": field.arguments.get("after").is_some_and(Value::is_string),
                    "startCursor": items.first().map(|item| cursor(item)), "endCursor": items.last().map(|item| cursor(item)),
                });
                shown(&info, inner)?
            }
            name => return refused("undefinedField", format!("Field '{name}' is not one that this twin pages with")),
        };
        made.insert(inner.key.clone(), value);
    }
    Ok(Value::Object(made))
}

/// A page of a root connection, in the order of (stamp, id).
fn list(shop: &Shop, field: &Field) -> Result<Value, Refusal> {
    let known = ["first", "after", "query", "sortKey"];
    if let Some(other) = field.arguments.keys().find(|key| !known.contains(&key.as_str())) {
        return refused("argumentNotAccepted", format!("this twin does not know the argument '{other}'"));
    }
    let by_time = match field.arguments.get("sortKey").and_then(Value::as_str) {
        Some("UPDATED_AT") => true,
        None | Some("ID") if field.name == "customers" => false,
        _ => return refused("argumentLiteralsIncompatible", "this twin sorts by UPDATED_AT, customers also by ID"),
    };
    let filter = match field.arguments.get("query").and_then(Value::as_str) {
        Some(text) => updated_at(text)?,
        None => Vec::new(),
    };
    let place = |(id, at_s): (u64, i64)| if by_time { (at_s, id) } else { (0, id) };
    let after = match field.arguments.get("after").and_then(Value::as_str) {
        Some(cursor) => match place_of(cursor, by_time) {
            Some(place) => Some(place),
            None => return refused("INVALID_CURSOR", "Invalid cursor for current pagination sort."),
        },
        None => None,
    };
    let all: Vec<(u64, i64)> = if field.name == "customers" {
        shop.customers.iter().map(|(id, it)| (*id, it.updated_at_s)).collect()
    } else {
        shop.orders.iter().map(|(id, it)| (*id, it.updated_at_s)).collect()
    };
    let fits = |(id, at_s): &(u64, i64)| {
        let searched = filter.iter().all(|condition| condition.fits(*at_s));
        searched && (filter.is_empty() || !shop.unindexed.contains(id))
    };
    let mut found: Vec<(u64, i64)> = all.into_iter().filter(fits).collect();
    found.sort_by_key(|it| place(*it));
    found.retain(|it| after.is_none_or(|after| place(*it) > after));
    let first = page_size(field)?;
    let more = found.len() > first;
    found.truncate(first);
    let full = |(id, _): &(u64, i64)| match field.name.as_str() {
        "customers" => shop.customers.get(id).map(|it| it.json(*id)),
        _ => shop.orders.get(id).map(|it| it.json(*id)),
    };
    let items: Vec<Value> = found.iter().filter_map(full).collect();
    page(field, &items.iter().collect::<Vec<_>>(), more, |item| {
        let value = if by_time { &item["updatedAt"] } else { &item["legacyResourceId"] };
        STANDARD.encode(json!({ "last_id": item["legacyResourceId"], "last_value": value }).to_string())
    })
}

fn place_of(cursor: &str, by_time: bool) -> Option<(i64, u64)> {
    let cursor: Value = serde_json::from_slice(&STANDARD.decode(cursor).ok()?).ok()?;
    let id = cursor["last_id"].as_str()?.parse().ok()?;
    let value = cursor["last_value"].as_str()?;
    if by_time { Some((value.parse::<jiff::Timestamp>().ok()?.as_second(), id)) } else { Some((0, id)) }
}

/// One condition of a search.
struct Condition {
    comparison: String,
    at_s: i64,
}

impl Condition {
    fn fits(&self, at_s: i64) -> bool {
        match self.comparison.as_str() {
            ">=" => at_s >= self.at_s,
            ">" => at_s > self.at_s,
            "<=" => at_s <= self.at_s,
            "<" => at_s < self.at_s,
            _ => at_s == self.at_s,
        }
    }
}

/// The conditions of a search text. Fractions of a second are cut off, as the index has none. The vendor ignores what
/// it does not understand and lists everything; the twin refuses, so that a mistake shows.
fn updated_at(text: &str) -> Result<Vec<Condition>, Refusal> {
    let terms = text.split_whitespace().filter(|term| *term != "AND");
    let condition = |term: &str| {
        let rest = term.strip_prefix("updated_at:")?;
        let value = rest.trim_start_matches(['<', '>', '=']);
        let comparison = rest[..rest.len() - value.len()].to_owned();
        let bare = value.strip_prefix('\'')?.strip_suffix('\'')?;
        Some(Condition { comparison, at_s: bare.parse::<jiff::Timestamp>().ok()?.as_second() })
    };
    let read = terms.map(|term| condition(term).ok_or(term));
    match read.collect::<Result<Vec<_>, _>>() {
        Ok(conditions) => Ok(conditions),
        Err(term) => refused("BAD_REQUEST", format!("this twin searches by updated_at:>='…' only, not by {term}")),
    }
}

fn set(shop: &mut Shop, field: &Field, now_s: i64, saved: &mut Vec<(u64, Saved)>) -> Result<Value, Refusal> {
    let empty = Value::Null;
    let input = field.arguments.get("input").unwrap_or(&empty);
    let known = ["addresses", "email", "firstName", "lastName", "locale", "note", "phone", "tags", "taxExempt"];
    if let Some(other) = input.as_object().and_then(|it| it.keys().find(|key| !known.contains(&key.as_str()))) {
        return refused("INVALID_VARIABLE", format!("{other}: Field is not defined on CustomerSetInput"));
    }
    let outcome = match target(shop, field.arguments.get("identifier").unwrap_or(&empty), input)? {
        Ok(id) => shop.save(id, input, now_s),
        Err(error) => Err(vec![error]),
    };
    let payload = match outcome {
        Ok((id, how)) => {
            *shop.writes.entry(gid("Customer", id)).or_default() += 1;
            saved.push((id, how));
            json!({ "customer": shop.customers[&id].json(id), "userErrors": [] })
        }
        Err(errors) => {
            let errors = errors.iter().map(|(at, text, code)| json!({ "field": at, "message": text, "code": code }));
            json!({ "customer": null, "userErrors": errors.collect::<Vec<_>>() })
        }
    };
    shown(&payload, field)
}

type Target = Result<Option<u64>, super::shop::UserError>;

/// The customer that an identifier names; none where a new one is to be made.
fn target(shop: &Shop, identifier: &Value, input: &Value) -> Result<Target, Refusal> {
    let Value::Object(keys) = identifier else { return Ok(Ok(None)) };
    let mut given = keys.iter();
    let (Some((key, Value::String(value))), None) = (given.next(), given.next()) else {
        let message = "Variable $identifier of type CustomerSetIdentifiers was provided invalid value: \
                       'CustomerSetIdentifiers' requires exactly one argument, but it was not provided";
        return refused("INVALID_VARIABLE", message);
    };
    if key == "id" {
        let id = id_of("Customer", value).filter(|id| shop.customers.contains_key(id));
        let missing = (vec!["identifier"], "Resource matching the identifier was not found.", "NOT_FOUND");
        return Ok(id.map(Some).ok_or(missing));
    }
    match input.get(key).and_then(Value::as_str) {
        None => Ok(Err((
            vec!["input"],
            "The input field corresponding to the identifier is required.",
            "MISSING_FIELD_REQUIRED",
        ))),
        Some(text) if text != value => Ok(Err((
            vec!["input"],
            "The identifier value does not match the value of the corresponding field in the input.",
            "INPUT_MISMATCH",
        ))),
        Some(_) if key == "email" => Ok(Ok(shop.by_email(&value.trim().to_lowercase()))),
        Some(_) if key == "phone" => Ok(Ok(shop.by_phone(value))),
        Some(_) => refused("INVALID_VARIABLE", format!("this twin upserts by id, email and phone, not by {key}")),
    }
}
