//! HTTP: one address per service and method, always POST, failures under 200.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};

use super::book::Refusal;
use super::{Call, Fault, Shared, signature};

const PREFIX: &str = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.";

/// The twin's routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/k3cloud/{service}", post(serve)).with_state(shared)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let method = service.strip_suffix(".common.kdsvc").and_then(|name| name.strip_prefix(PREFIX));
    let Some(call) = method.and_then(call_of) else {
        return answer(format!("response_error:未找到服务 {service}"));
    };
    let fault = shared.take_fault(call);
    match fault {
        Some(Fault::Status(status)) => {
            let status = axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::BAD_GATEWAY);
            return (status, "<html>error</html>").into_response();
        }
        Some(Fault::ErrorText) => return answer("response_error:服务器内部错误".to_owned()),
        Some(Fault::Garbage) => return answer("<html>维护中</html>".to_owned()),
        Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
        _ => {}
    }
    if fault == Some(Fault::SessionLost) || !signature::is_genuine(&headers, uri.path()) {
        return answer(failed(call, &(String::new(), "会话信息已丢失，请重新登录".to_owned()), 1));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return answer("response_error:请求不是有效的 JSON".to_owned());
    };
    let text = match carry_out(&shared, call, &body) {
        Ok(value) => value.to_string(),
        Err(refusal) => failed(call, &refusal, 11),
    };
    match fault {
        Some(Fault::CutAfter) => cut(&text),
        Some(Fault::HangAfter) => {
            shared.hung.notify_one();
            std::future::pending().await
        }
        Some(Fault::SessionTextAfter) => answer(failed(call, &(String::new(), "session 网络异常".to_owned()), 4)),
        _ => answer(text),
    }
}

fn call_of(method: &str) -> Option<Call> {
    Some(match method {
        "ExecuteBillQuery" => Call::Query,
        "View" => Call::View,
        "Save" => Call::Save,
        "Submit" => Call::Submit,
        "Audit" => Call::Audit,
        _ => return None,
    })
}

fn carry_out(shared: &Shared, call: Call, body: &Value) -> Result<Value, Refusal> {
    let form = body["formid"].as_str().unwrap_or_default();
    // The vendor takes the data as an object and as a text that holds one.
    let data = match &body["data"] {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|_| (String::new(), "data 不是有效的 JSON".to_owned()))?
        }
        other => other.clone(),
    };
    let mut book = shared.book();
    match call {
        Call::Query => book.query(&data),
        Call::View => book.view(form, &data).map(|result| done(&json!([]), &result)),
        Call::Save => book.save(form, &data).map(|saved| written(&saved)),
        Call::Submit => book.advance(form, &data, &["A", "D", "Z"], "B").map(|moved| written(&moved)),
        Call::Audit => book.advance(form, &data, &["B"], "C").map(|moved| written(&moved)),
    }
}

fn written((id, number): &(u64, String)) -> Value {
    let entity = json!([{ "Id": id, "Number": number, "DIndex": 0 }]);
    let mut reply = done(&entity, &Value::Null);
    reply["Result"]["Id"] = json!(id);
    reply["Result"]["Number"] = json!(number);
    reply
}

fn done(entities: &Value, result: &Value) -> Value {
    let status =
        json!({ "IsSuccess": true, "Errors": [], "SuccessEntitys": entities, "SuccessMessages": [], "MsgCode": 0 });
    json!({ "Result": { "ResponseStatus": status, "Result": result } })
}

/// A refusal; that of a query comes where its first cell would be.
fn failed(call: Call, (field, message): &Refusal, code: u16) -> String {
    let status = json!({
        "ErrorCode": 500,
        "IsSuccess": false,
        "Errors": [{ "FieldName": field, "Message": message, "DIndex": 0 }],
        "SuccessEntitys": [],
        "SuccessMessages": [],
        "MsgCode": code,
    });
    let reply = json!({ "Result": { "ResponseStatus": status } });
    if call == Call::Query { json!([[reply]]).to_string() } else { reply.to_string() }
}

fn answer(text: String) -> Response {
    let cookie = "kdservice-sessionid=twin-session; path=/";
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::SET_COOKIE, cookie)], text).into_response()
}

/// An answer whose connection dies before its end.
fn cut(text: &str) -> Response {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let died = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures::stream::iter([Ok(half), Err(died)])).into_response()
}
