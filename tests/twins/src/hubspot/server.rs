//! HTTP: the v3 objects API.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::store::{Refusal, Store, kind, stamp};
use super::{ACCESS_TOKEN, call, changed_event, event, search};
use crate::desk::Desk;

/// Records on a page of a list, and rows in a batch, at most.
const MANY: usize = 100;

pub(super) fn router(desk: Arc<Desk<Store>>) -> Router {
    Router::new().fallback(serve).with_state(desk)
}

type Params = Vec<(String, String)>;
type Answer = Result<(u16, Value), Refusal>;

/// One call on the account.
struct Asked<'a> {
    store: &'a mut Store,
    kind: &'static str,
    params: &'a Params,
    body: Value,
    now_ms: i64,
    told: Vec<Value>,
}

async fn serve(
    State(desk): State<Arc<Desk<Store>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Query(params): Query<Params>,
    body: Bytes,
) -> Response {
    let now_ms = desk.now_ms();
    let bearer =
        headers.get("authorization").is_some_and(|it| it.as_bytes() == format!("Bearer {ACCESS_TOKEN}").as_bytes());
    let (answer, calls) = {
        let mut store = desk.lock();
        store.calls += 1;
        let parts: Vec<&str> = uri.path().trim_start_matches("/crm/v3/objects/").split('/').collect();
        let no_route = Refusal::new(404, "OBJECT_NOT_FOUND", "no such path");
        let no_token = Refusal::new(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.");
        let mut told = Vec::new();
        let answer = match (bearer, parts.first().and_then(|name| kind(name))) {
            (false, _) => Err(no_token),
            (true, None) => Err(no_route),
            (true, Some(kind)) => {
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let mut asked = Asked { store: &mut store, kind, params: &params, body, now_ms, told: Vec::new() };
                let answer = asked.answer(method.as_str(), &parts[1..]);
                told = asked.told;
                answer
            }
        };
        let url = desk.webhook().filter(|_| !told.is_empty());
        (answer, url.map(|url| call(&url, &mut store, told, now_ms)))
    };
    desk.send_later(calls.into_iter().collect());
    let (status, body) = answer.unwrap_or_else(|refusal| (refusal.status, refusal.json()));
    let headers = [
        ("content-type", "application/json;charset=utf-8"),
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "150"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
    ];
    let status = StatusCode::from_u16(status).unwrap_or_default();
    if status == StatusCode::NO_CONTENT {
        status.into_response()
    } else {
        (status, headers, body.to_string()).into_response()
    }
}

impl Asked<'_> {
    fn answer(&mut self, method: &str, parts: &[&str]) -> Answer {
        match (method, parts) {
            ("GET", []) => self.list(),
            ("POST", []) => {
                let input = self.body["properties"].clone();
                let id = self.create(&input)?;
                Ok((201, self.shown(id)))
            }
            ("POST", ["search"]) => {
                search::search(self.store, self.kind, &self.body, self.now_ms).map(|page| (200, page))
            }
            ("POST", ["merge"]) => {
                let id = |name: &str| self.body[name].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
                let ids = (id("primaryObjectId"), id("objectIdToMerge"));
                let made = self.store.merge(self.kind, ids.0, ids.1, self.now_ms).ok_or_else(Refusal::gone)?;
                Ok((200, self.shown(made)))
            }
            ("POST", ["batch", what @ ("update" | "upsert")]) => self.batch(what),
            ("GET", [id]) => {
                let id = self.find(id)?;
                Ok((200, self.shown(id)))
            }
            ("PATCH", [id]) => {
                let (id, input) = (self.find(id)?, self.body["properties"].clone());
                let id = self.update(id, &input)?;
                Ok((200, self.shown(id)))
            }
            ("DELETE", [id]) => {
                let id = self.find(id)?;
                if self.store.archive(self.kind, id) {
                    self.told.push(event(self.kind, "deletion", &id.to_string()));
                }
                Ok((204, Value::Null))
            }
            _ => Err(Refusal::new(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed")),
        }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn names(&self) -> Vec<String> {
        let all = self.params.iter().filter(|(name, _)| name == "properties").flat_map(|(_, value)| value.split(','));
        all.map(str::to_owned).collect()
    }

    fn shown(&self, id: u64) -> Value {
        // A write shows what it wrote, a read what it was asked for.
        let written = self.body["properties"].as_object().into_iter().flat_map(|map| map.keys().cloned());
        let names: Vec<String> = self.names().into_iter().chain(written).collect();
        self.store.shown(self.kind, id, &names).unwrap_or_default()
    }

    /// A record by its id, by the id of one that was merged into it, or by its e-mail address.
    fn find(&self, id: &str) -> Result<u64, Refusal> {
        let found = match self.param("idProperty") {
            Some("email") => self.store.by_email(&id.replace("%40", "@")),
            _ => id.parse().ok().map(|id| self.store.resolve(self.kind, id)),
        };
        let is_there = |id: &u64| self.store.objects.get(&(self.kind, *id)).is_some_and(|it| !it.archived);
        found.filter(is_there).ok_or_else(Refusal::gone)
    }

    fn create(&mut self, input: &Value) -> Result<u64, Refusal> {
        let id = self.store.create(self.kind, input, self.now_ms)?;
        self.store.writes += 1;
        self.told.push(event(self.kind, "creation", &id.to_string()));
        Ok(id)
    }

    fn update(&mut self, id: u64, input: &Value) -> Result<u64, Refusal> {
        let (id, changed) = self.store.update(self.kind, id, input, self.now_ms)?;
        self.store.writes += 1;
        self.store.idle_writes += u64::from(changed.is_empty());
        self.told.extend(changed.iter().map(|property| changed_event(self.kind, &id.to_string(), property)));
        Ok(id)
    }

    fn list(&self) -> Answer {
        let limit = self.param("limit").map_or(Some(10), |limit| limit.parse::<usize>().ok());
        let Some(limit) = limit.filter(|limit| (1..=MANY).contains(limit)) else {
            return Err(Refusal::new(400, "VALIDATION_ERROR", "limit must be between 1 and 100"));
        };
        let after: u64 = self.param("after").and_then(|after| after.parse().ok()).unwrap_or(0);
        let archived = self.param("archived") == Some("true");
        let mine = self
            .store
            .objects
            .iter()
            .filter(|((kind, id), it)| *kind == self.kind && *id > after && it.archived == archived);
        let ids: Vec<u64> = mine.map(|((_, id), _)| *id).collect();
        let names = self.names();
        let shown = ids.iter().take(limit).filter_map(|id| self.store.shown(self.kind, *id, &names));
        let mut page = json!({ "results": shown.collect::<Vec<_>>() });
        if let Some(last) = ids.get(limit - 1).filter(|_| ids.len() > limit) {
            page["paging"] = json!({ "next": { "after": last.to_string(), "link": "https://api.hubapi.com/next" } });
        }
        Ok((200, page))
    }

    /// Rows are answered in no promised order; a refused one stands among the errors, with its trace id.
    fn batch(&mut self, what: &str) -> Answer {
        let inputs = self.body["inputs"].as_array().cloned().unwrap_or_default();
        if inputs.len() > MANY {
            return Err(Refusal::new(400, "VALIDATION_ERROR", "The batch holds more than 100 rows"));
        }
        if what == "upsert" && inputs.iter().any(|row| row["id"].as_str().is_none_or(str::is_empty)) {
            return Err(Refusal::new(400, "VALIDATION_ERROR", "Some required fields were not set: [id]"));
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for row in inputs.iter().rev() {
            let (id, input, trace) =
                (row["id"].as_str().unwrap_or_default(), &row["properties"], &row["objectWriteTraceId"]);
            let known = if what == "upsert" { self.store.by_email(&id.to_lowercase()) } else { id.parse().ok() };
            let done = match known {
                Some(known) => self.update(known, input),
                None if what == "upsert" => self.create(input),
                None => Err(Refusal::gone()),
            };
            match done {
                Ok(id) => {
                    let names: Vec<String> = input.as_object().into_iter().flat_map(|it| it.keys().cloned()).collect();
                    let mut shown = self.store.shown(self.kind, id, &names).unwrap_or_default();
                    shown["objectWriteTraceId"] = trace.clone();
                    shown["new"] = json!(known.is_none());
                    results.push(shown);
                }
                Err(refusal) => {
                    let mut told = refusal.json();
                    told["context"] = json!({ "objectWriteTraceId": [trace], "ids": [id] });
                    errors.push(told);
                }
            }
        }
        let (at, status) = (stamp(self.now_ms), if errors.is_empty() { 200 } else { 207 });
        let mut answer = json!({ "status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at });
        if !errors.is_empty() {
            answer["numErrors"] = json!(errors.len());
            answer["errors"] = Value::Array(errors);
        }
        Ok((status, answer))
    }
}
