//! Save, Submit, Audit as one delivery.
//!
//! Each call to the system may be the last one before a crash, so nothing is remembered between them: every attempt
//! reads the record's state and goes on from there. A create writes under a number made from the idempotency key, so
//! that the next attempt finds what an earlier one saved.

use huiliu_core::connector::{ConnectorError, Cx, Delivery, Operation, Receipt, Record, Result};
use serde_json::{Map, Value, json};

use crate::query::{self, is_id, quote};
use crate::streams::{CUSTOMER_FORM, Form, is_field_key};
use crate::wire::{Intent, Wire};

const SERVICE: &str = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService";

/// Draft, in review, approved: a record gets there in two steps; one more allows for a person who was faster.
const STEPS_MAX: usize = 4;

/// A record in review waits for a person.
const REVIEW_RETRY: std::time::Duration = std::time::Duration::from_mins(10);

/// `FDocumentStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// `A` (or `Z`, a parked draft).
    Draft,
    /// `B`.
    InReview,
    /// `C`.
    Approved,
    /// `D`.
    Reopened,
}

/// Carries out one delivery, from wherever an earlier attempt left it.
pub async fn push(wire: &Wire, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
    if delivery.stream.as_str() != "customers" {
        return Err(rejected("", format!("stream {} of kingdee cannot be written", delivery.stream)));
    }
    let Value::Object(body) = &delivery.body else {
        return Err(rejected("", "the delivery's body is not an object"));
    };
    let mut desk = Desk { wire, cx, form: Form::of(cx, &delivery.stream)?, delivery };
    desk.form.read_also(leaves(body)?.into_iter().map(|(key, _)| key));
    let stored = match delivery.operation {
        Operation::Create => desk.create(body).await?,
        Operation::Update => desk.update(body).await?,
        Operation::Delete => return Err(rejected("", "customers are forbidden in the system, never deleted")),
    };
    Ok(Receipt { id: stored.id.clone(), version: stored.version.clone(), stored: Some(stored) })
}

/// One delivery's working place.
struct Desk<'a> {
    wire: &'a Wire,
    cx: &'a Cx,
    form: Form,
    delivery: &'a Delivery,
}

impl Desk<'_> {
    async fn create(&self, body: &Map<String, Value>) -> Result<Record> {
        for key in ["FCUSTID", "FNumber"] {
            if body.contains_key(key) {
                return Err(rejected(key, "Huiliu chooses the number of a customer it creates; do not map it outward"));
            }
        }
        let number = own_number(&self.delivery.idempotency_key);
        let filter = format!("FNumber = {}", quote(&number));
        let found = if let Some(found) = self.read(&filter).await? {
            found
        } else {
            self.save_new(body, &number).await?;
            self.read(&filter).await?.ok_or_else(|| {
                ConnectorError::transient("Save: the saved customer is not to be seen yet; the delivery starts over")
            })?
        };
        self.approve(found).await
    }

    async fn update(&self, body: &Map<String, Value>) -> Result<Record> {
        let id = self.delivery.id.as_ref().filter(|id| is_id(id.as_str()));
        let id = id.ok_or_else(|| rejected("FCUSTID", "an update needs the number in FCUSTID"))?;
        if body.contains_key("FCUSTID") {
            return Err(rejected("FCUSTID", "the id of a customer cannot be changed"));
        }
        let filter = format!("FCUSTID = {id}");
        let before = self.read(&filter).await?.ok_or_else(gone)?;
        let status = status_of(&before)?;
        if holds(&before.body, body)? {
            // An earlier attempt saved it and stopped before it was approved again; on a first attempt a person did.
            let is_ours = self.delivery.attempt > 1 && status != Status::Draft;
            return if is_ours && self.reaudits()? { self.approve(before).await } else { Ok(before) };
        }
        self.guard_conflict(&before, body)?;
        if status == Status::InReview {
            return Err(ConnectorError::Transient {
                detail: format!("customer {id} is in review in the system; the change waits until it is approved"),
                after: Some(REVIEW_RETRY),
            });
        }
        self.save_changed(body, id.as_str()).await?;
        let after = self.read(&filter).await?.ok_or_else(gone)?;
        // A draft that a person works on stays a draft: approving it is for them.
        if status == Status::Approved && self.reaudits()? { self.approve(after).await } else { Ok(after) }
    }

    /// Submits and approves, and returns the record as it then is.
    async fn approve(&self, mut record: Record) -> Result<Record> {
        let filter = format!("FCUSTID = {}", record.id);
        for _ in 0..STEPS_MAX {
            let before = status_of(&record)?;
            let done = match before {
                Status::Approved => return Ok(record),
                Status::Draft | Status::Reopened => self.operate("Submit", record.id.as_str()).await,
                Status::InReview => self.operate("Audit", record.id.as_str()).await,
            };
            record = self.read(&filter).await?.ok_or_else(gone)?;
            // A refusal matters only if nobody else took the step in the meantime.
            if status_of(&record)? == before {
                done?;
            }
        }
        Err(ConnectorError::transient("the customer's document status keeps changing; the delivery starts over"))
    }

    /// The record that a filter names. Allocated customers share a number: the first one is the creator's own.
    async fn read(&self, filter: &str) -> Result<Option<Record>> {
        let rows = query::record_rows(self.wire, self.cx, &self.form, filter, 1).await?;
        rows.first().map(|row| query::record(&self.form, &self.delivery.stream, std::slice::from_ref(row))).transpose()
    }

    async fn save_new(&self, body: &Map<String, Value>, number: &str) -> Result<()> {
        let org = json!({ "FNumber": self.cx.setting("create_org")? });
        let mut model = cleared(body);
        model.insert("FNumber".to_owned(), json!(number));
        for key in ["FCreateOrgId", "FUseOrgId"] {
            model.entry(key).or_insert_with(|| org.clone());
        }
        // The number makes this text unique, so the system may refuse to take it twice.
        let answer = self.write("Save", &save(&model, &[], "true")).await?;
        let told = answer.pointer("/Result/ResponseStatus/SuccessEntitys/0/Number").and_then(Value::as_str);
        if told.is_some_and(|told| told != number) {
            return Err(ConnectorError::broken(
                "the account numbers customers by itself, so a repeated create could not be recognised; allow manual \
                 numbers in the coding rule of BD_Customer, and delete the draft that was just saved",
            ));
        }
        Ok(())
    }

    async fn save_changed(&self, body: &Map<String, Value>, id: &str) -> Result<()> {
        let fields: Vec<&str> = body.keys().map(String::as_str).collect();
        let mut model = cleared(body);
        let id: serde_json::Number = id.parse().map_err(|_| rejected("FCUSTID", "not a number"))?;
        model.insert("FCUSTID".to_owned(), Value::Number(id));
        // The same values may rightly be written again later (there, back, and there again).
        self.write("Save", &save(&model, &fields, "false")).await.map(drop)
    }

    async fn operate(&self, operation: &str, id: &str) -> Result<()> {
        self.write(operation, &json!({ "Ids": id })).await.map(drop)
    }

    async fn write(&self, operation: &str, data: &Value) -> Result<Value> {
        let body = json!({ "formid": CUSTOMER_FORM, "data": data.to_string() });
        self.wire.call(self.cx, &format!("{SERVICE}.{operation}"), &body, Intent::Write).await
    }

    fn reaudits(&self) -> Result<bool> {
        Ok(self.cx.setting("reaudit")? == "true")
    }

    /// Somebody changed a field of the patch since the patch was made.
    fn guard_conflict(&self, before: &Record, body: &Map<String, Value>) -> Result<()> {
        let conflict = || {
            let detail = format!("customer {} was changed in the system in the same fields", before.id);
            Err(ConnectorError::Conflict { detail })
        };
        match &self.delivery.base {
            Value::Object(base) => {
                // Only fields of the patch count: the rest of the record is not touched.
                let base: Map<String, Value> = base
                    .iter()
                    .filter(|(key, _)| body.contains_key(*key))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                if holds(&before.body, &base)? { Ok(()) } else { conflict() }
            }
            _ if self.delivery.base_version.is_some() && self.delivery.base_version != before.version => conflict(),
            _ => Ok(()),
        }
    }
}

/// What Save wants. `IsDeleteEntry` would delete entries that were not sent. On a change, `NeedUpDateFields` keeps
/// what was not sent; on a create there is nothing to keep. Unknown base data is refused rather than left out.
///
/// Unverified: that Save is allowed on approved basic data and reopens it (status D).
fn save(model: &Map<String, Value>, fields: &[&str], is_once: &str) -> Value {
    json!({
        "NeedUpDateFields": fields,
        "NeedReturnFields": [],
        "IsDeleteEntry": "false",
        "IsAutoSubmitAndAudit": "false",
        "IsVerifyBaseDataField": "true",
        "ValidateRepeatJson": is_once,
        "Model": model,
    })
}

/// The number under which a create writes: 64 bits of the idempotency key are enough for one account, and short
/// enough for the field.
fn own_number(idempotency_key: &str) -> String {
    let digits: String = idempotency_key.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("HL{}", digits.to_ascii_uppercase())
}

/// The body with null as the system writes it: an empty text.
fn cleared(body: &Map<String, Value>) -> Map<String, Value> {
    let value = |value: &Value| match value {
        Value::Null => json!(""),
        Value::Object(inner) => Value::Object(cleared(inner)),
        other => other.clone(),
    };
    body.iter().map(|(key, inner)| (key.clone(), value(inner))).collect()
}

/// The field keys of a body with their values: `{"FUseOrgId":{"FNumber":"100"}}` has `FUseOrgId.FNumber`.
fn leaves(body: &Map<String, Value>) -> Result<Vec<(String, &Value)>> {
    let mut found = Vec::new();
    let mut open: Vec<(String, &Value)> = body.iter().map(|(key, value)| (key.clone(), value)).collect();
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Object(inner) => open.extend(inner.iter().map(|(name, value)| (format!("{key}.{name}"), value))),
            Value::Array(_) => return Err(rejected(&key, "entries of a customer cannot be written")),
            _ if is_field_key(&key) => found.push((key, value)),
            _ => return Err(rejected(&key, "not a field key of the system")),
        }
    }
    Ok(found)
}

/// Whether the record already shows these values. The system trims and re-cases some texts when it saves.
fn holds(record: &Value, wanted: &Map<String, Value>) -> Result<bool> {
    let same = |(key, wanted): &(String, &Value)| {
        plain(wanted) == plain(record.pointer(&format!("/{}", key.replace('.', "/"))).unwrap_or(&Value::Null))
    };
    Ok(leaves(wanted)?.iter().all(same))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_lowercase(),
        other => other.to_string(),
    }
}

fn status_of(record: &Record) -> Result<Status> {
    match record.body["FDocumentStatus"].as_str() {
        Some("A" | "Z") => Ok(Status::Draft),
        Some("B") => Ok(Status::InReview),
        Some("C") => Ok(Status::Approved),
        Some("D") => Ok(Status::Reopened),
        _ => Err(ConnectorError::broken("a customer has an unknown FDocumentStatus; A, B, C, D and Z are known")),
    }
}

fn rejected(at: &str, reason: impl Into<String>) -> ConnectorError {
    ConnectorError::Rejected { at: at.to_owned(), reason: reason.into() }
}

fn gone() -> ConnectorError {
    ConnectorError::Gone { detail: "the customer is no longer in the system".to_owned() }
}
