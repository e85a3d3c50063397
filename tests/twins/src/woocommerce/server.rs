//! HTTP: the routes of `wc/v3` that a customer connector needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::shop::{Entry, Refusal, Shop, changed_after};
use super::{call, oauth};
use crate::desk::Desk;

/// Records on a page, and writes in a batch, at most.
const MANY: usize = 100;

pub(super) fn router(desk: Arc<Desk<Shop>>) -> Router {
    Router::new().fallback(serve).with_state(desk)
}

type Params = Vec<(String, String)>;
type Answer = Result<(u16, Value, Vec<(&'static str, String)>), Refusal>;

/// A topic and the record that it is about.
type Told = Vec<(&'static str, u64)>;

async fn serve(
    State(desk): State<Arc<Desk<Shop>>>,
    method: Method,
    uri: Uri,
    headers: axum::http::HeaderMap,
    Query(params): Query<Params>,
    body: Bytes,
) -> Response {
    let now_s = desk.now_ms().div_euclid(1_000);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut told = Told::new();
    // PHP keeps the last of several parameters of one name; the vendor's own client sends each twice.
    let params: Params = params.into_iter().collect::<BTreeMap<String, String>>().into_iter().collect();
    let answer = {
        let mut shop = desk.lock();
        // Basic is for TLS; over plain HTTP a header with the secret in it proves nothing.
        let home = shop.home.clone().unwrap_or_else(|| format!("http://{host}"));
        let address = format!("{home}{}", uri.path());
        match oauth::check(method.as_str(), &address, &params, &mut shop.nonces, now_s) {
            Ok(()) => answer(&mut shop, &method, uri.path(), &params, &body, now_s, &mut told),
            Err(why) => Err(Refusal::new(401, "woocommerce_rest_authentication_error", why)),
        }
    };
    if let Some(url) = desk.webhook() {
        let calls = {
            let shop = desk.lock();
            told.iter().map(|(topic, id)| call(&shop, &url, topic, *id, now_s)).collect()
        };
        desk.send_later(calls);
    }
    let (status, body, more) = answer.unwrap_or_else(|refusal| (refusal.status, refusal.json(), Vec::new()));
    let mut response = (StatusCode::from_u16(status).unwrap_or_default(), body.to_string()).into_response();
    let all = more.into_iter().chain([("content-type", "application/json; charset=UTF-8".to_owned())]);
    response.headers_mut().extend(all.filter_map(|(name, value)| {
        Some((header::HeaderName::from_static(name), header::HeaderValue::from_str(&value).ok()?))
    }));
    response
}

fn answer(
    shop: &mut Shop,
    method: &Method,
    path: &str,
    params: &Params,
    body: &[u8],
    now_s: i64,
    told: &mut Told,
) -> Answer {
    let no_route = || Refusal::new(404, "rest_no_route", "No route was found matching the URL and request method.");
    let rest = path.strip_prefix("/wp-json/wc/v3/").ok_or_else(no_route)?;
    let parts: Vec<&str> = rest.split('/').collect();
    let input = || {
        serde_json::from_slice::<Value>(body)
            .map_err(|_| Refusal::new(400, "rest_invalid_json", "Invalid JSON body passed."))
    };
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["customers"]) => list(shop, params, "customers"),
        ("GET", ["orders"]) => list(shop, params, "orders"),
        ("GET", ["customers", id]) => {
            let gone = || Refusal::new(404, "woocommerce_rest_invalid_id", "Invalid resource ID.");
            number(id).and_then(|id| shop.customer(id)).map(|it| (200, it, Vec::new())).ok_or_else(gone)
        }
        ("GET", ["orders", id]) => {
            let gone = || Refusal::new(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.");
            number(id).and_then(|id| shop.order(id)).map(|it| (200, it, Vec::new())).ok_or_else(gone)
        }
        ("POST", ["customers"]) => {
            let made = create(shop, &input()?, now_s, told)?;
            Ok((201, made, Vec::new()))
        }
        ("PUT" | "PATCH" | "POST", ["customers", "batch"]) => batch(shop, &input()?, now_s, told),
        ("PUT" | "PATCH" | "POST", ["customers", id]) => {
            let changed = update(shop, number(id).unwrap_or_default(), &input()?, now_s, told)?;
            Ok((200, changed, Vec::new()))
        }
        _ => Err(no_route()),
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn create(shop: &mut Shop, input: &Value, now_s: i64, told: &mut Told) -> Result<Value, Refusal> {
    let id = shop.create_customer(input, now_s)?;
    shop.writes += 1;
    told.push(("customer.created", id));
    Ok(shop.customer(id).unwrap_or_default())
}

fn update(shop: &mut Shop, id: u64, input: &Value, now_s: i64, told: &mut Told) -> Result<Value, Refusal> {
    let changed = shop.update_customer(id, input, now_s)?;
    shop.writes += 1;
    if changed {
        told.push(("customer.updated", id));
    }
    Ok(shop.customer(id).unwrap_or_default())
}

/// Each item is answered in its place, refusals too; the whole is 200.
fn batch(shop: &mut Shop, input: &Value, now_s: i64, told: &mut Told) -> Answer {
    let items = |name: &str| input[name].as_array().cloned().unwrap_or_default();
    let (creates, updates) = (items("create"), items("update"));
    if creates.len() + updates.len() > MANY {
        let text = "Unable to accept more than 100 items for this request.";
        return Err(Refusal::new(413, "woocommerce_rest_request_entity_too_large", text));
    }
    let mut answers = Map::new();
    let refused = |id: Value, refusal: &Refusal| json!({ "id": id, "error": refusal.json() });
    if !creates.is_empty() {
        let made =
            creates.iter().map(|item| create(shop, item, now_s, told).unwrap_or_else(|it| refused(json!(0), &it)));
        answers.insert("create".to_owned(), made.collect());
    }
    if !updates.is_empty() {
        let done = updates.iter().map(|item| {
            let id = item["id"].as_u64().or_else(|| number(item["id"].as_str()?)).unwrap_or_default();
            update(shop, id, item, now_s, told).unwrap_or_else(|it| refused(item["id"].clone(), &it))
        });
        answers.insert("update".to_owned(), done.collect());
    }
    Ok((200, Value::Object(answers), Vec::new()))
}

fn list(shop: &Shop, params: &Params, what: &str) -> Answer {
    let get = |name: &str| params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let wrong = |name: &str| Err(Refusal::new(400, "rest_invalid_param", &format!("Invalid parameter(s): {name}")));
    let size = get("per_page").map_or(Some(10), |size| size.parse::<usize>().ok());
    let Some(size) = size.filter(|size| (1..=MANY).contains(size)) else { return wrong("per_page") };
    let Some(page) = get("page").map_or(Some(1), number).filter(|page| *page > 0) else { return wrong("page") };
    let is_orders = what == "orders";
    let orders: &[&str] = if is_orders { &["date", "id", "modified"] } else { &["id", "name", "registered_date"] };
    let by = get("orderby").unwrap_or(if is_orders { "date" } else { "name" });
    if !orders.contains(&by) {
        return wrong("orderby");
    }
    let all = if is_orders { &shop.orders } else { &shop.customers };
    let mut found: Vec<(&u64, &Entry)> = all.iter().filter(|(_, it)| fits(it, &get, is_orders)).collect();
    match by {
        "modified" => found.sort_by_key(|(id, it)| (it.modified_s, **id)),
        "name" => found.sort_by_key(|(id, it)| (it.text("first_name").to_owned(), **id)),
        "date" | "registered_date" => found.sort_by_key(|(id, it)| (it.created_s, **id)),
        _ => {}
    }
    if get("order").unwrap_or(if is_orders { "desc" } else { "asc" }) == "desc" {
        found.reverse();
    }
    let (total, pages) = (found.len(), found.len().div_ceil(size));
    let start = usize::try_from(page - 1).unwrap_or(usize::MAX).saturating_mul(size);
    let shown = found.into_iter().skip(start).take(size).filter(|(id, _)| !shop.hidden.contains(id));
    let shown = shown.filter_map(|(id, _)| if is_orders { shop.order(*id) } else { shop.customer(*id) });
    let headers = vec![("x-wp-total", total.to_string()), ("x-wp-totalpages", pages.to_string())];
    Ok((200, shown.collect(), headers))
}

fn fits<'p>(entry: &Entry, get: &impl Fn(&str) -> Option<&'p str>, is_orders: bool) -> bool {
    if !is_orders {
        let role = get("role").unwrap_or("customer");
        let email = get("email").is_none_or(|email| entry.text("email").eq_ignore_ascii_case(email));
        return email && (role == "all" || entry.text("role") == role);
    }
    let status = match get("status").unwrap_or("any") {
        "any" => entry.text("status") != "trash",
        wanted => entry.text("status") == wanted,
    };
    let of_gmt = matches!(get("dates_are_gmt"), Some("true" | "1"));
    status && get("modified_after").is_none_or(|after| changed_after(entry, after, of_gmt))
}
