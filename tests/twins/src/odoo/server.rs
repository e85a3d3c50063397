//! HTTP: `/json/2/{model}/{method}` and `/jsonrpc`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};

use super::book::{Book, Fault};
use super::{API_KEY, DATABASE, LOGIN, UID};
use crate::desk::Desk;

pub(super) fn router(desk: Arc<Desk<Book>>) -> Router {
    Router::new().route("/json/2/{model}/{method}", post(json_2)).route("/jsonrpc", post(json_rpc)).with_state(desk)
}

fn told(fault: &Fault) -> Value {
    json!({ "name": fault.name, "message": fault.message, "arguments": [fault.message], "context": {}, "debug": "" })
}

async fn json_2(
    State(desk): State<Arc<Desk<Book>>>,
    Path((model, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let now_us = desk.now_ms() * 1_000;
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|it| it.as_bytes() == value.as_bytes());
    // The scheme's name in any case.
    let bearer = headers.get("authorization").and_then(|it| it.to_str().ok()).and_then(|it| it.split_once(' '));
    let is_key = bearer.is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && key == API_KEY);
    let answer = if !has("x-odoo-database", DATABASE) {
        Err(Fault::new(404, "werkzeug.exceptions.NotFound", "no such database"))
    } else if !is_key {
        Err(Fault::new(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey"))
    } else {
        let named = serde_json::from_slice(&body).unwrap_or_default();
        desk.lock().call(&model, &method, &named, now_us)
    };
    let (status, body) = answer.map_or_else(|fault| (fault.status, told(&fault)), |value| (200, value));
    let status = StatusCode::from_u16(status).unwrap_or_default();
    (status, [("content-type", "application/json; charset=utf-8")], body.to_string()).into_response()
}

async fn json_rpc(State(desk): State<Arc<Desk<Book>>>, body: Bytes) -> Response {
    let now_us = desk.now_ms() * 1_000;
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let params = &asked["params"];
    let args = params["args"].as_array().cloned().unwrap_or_default();
    let answer = match (params["service"].as_str(), params["method"].as_str()) {
        (Some("common"), Some("login" | "authenticate")) => {
            let known = args.iter().take(3).eq([&json!(DATABASE), &json!(LOGIN), &json!(API_KEY)]);
            Ok(if known { json!(UID) } else { json!(false) })
        }
        (Some("common"), Some("version")) => Ok(json!({ "server_version": "18.0", "protocol_version": 1 })),
        (Some("object"), Some("execute_kw")) => execute(&desk, &args, now_us),
        _ => Err(Fault::new(200, "builtins.AttributeError", "no such service")),
    };
    let reply = match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }),
        Err(fault) => json!({ "jsonrpc": "2.0", "id": asked["id"],
            "error": { "code": 200, "message": "Odoo Server Error", "data": told(&fault) } }),
    };
    ([("content-type", "application/json; charset=utf-8")], reply.to_string()).into_response()
}

/// Database, user and key; then model, method, arguments by place and by name.
fn execute(desk: &Desk<Book>, args: &[Value], now_us: i64) -> Result<Value, Fault> {
    if !args.iter().take(3).eq([&json!(DATABASE), &json!(UID), &json!(API_KEY)]) {
        return Err(Fault::new(200, "odoo.exceptions.AccessDenied", "Access Denied"));
    }
    let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
    let places: &[&str] = match text(4) {
        "search_read" => &["domain", "fields", "offset", "limit", "order"],
        "create" => &["vals_list"],
        _ => &["ids", "vals"],
    };
    let mut named = args.get(6).filter(|it| it.is_object()).cloned().unwrap_or_else(|| json!({}));
    for (name, value) in places.iter().zip(args.get(5).and_then(Value::as_array).into_iter().flatten()) {
        named[*name] = value.clone();
    }
    // One record by itself is made too, and then one id is answered.
    let single = text(4) == "create" && named["vals_list"].is_object();
    if single {
        named["vals_list"] = json!([named["vals_list"].take()]);
    }
    let answer = desk.lock().call(text(3), text(4), &named, now_us)?;
    Ok(if single { answer[0].clone() } else { answer })
}
