//! What an answer means. The system reports failures under HTTP 200, in three shapes.

use serde_json::Value;

/// Why an answer is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call ran without a session: the system lost it, or did not accept the credentials. It cannot tell which.
    NoSession,
    /// The system refused, with its reason and, where it says so, the field.
    Refused {
        /// The field the system complains about, or empty.
        field: String,
        /// Its message.
        message: String,
    },
    /// The system broke down inside and says so in a bare text: what it did before is unknown.
    Fault {
        /// Its message.
        message: String,
    },
    /// Not an answer of this system.
    Malformed,
}

/// Texts that name a lost session where no number does. `ctx == null` is the server's own assertion.
const NO_SESSION_TEXTS: &[&str] = &["会话信息已丢失", "ctx == null", "-10001"];

/// `MsgCode` of a call without a session.
const NO_SESSION_CODE: &str = "1";

/// The start of a bare error text.
const FAULT_PREFIX: &str = "response_error:";

/// Opens an answer: the JSON of a success, or what went wrong.
pub fn open(text: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| Failure::Malformed)?.trim_start_matches('\u{feff}').trim();
    if let Some(message) = text.strip_prefix(FAULT_PREFIX) {
        let message = message.trim();
        return Err(if NO_SESSION_TEXTS.iter().any(|known| message.contains(known)) {
            Failure::NoSession
        } else {
            Failure::Fault { message: message.to_owned() }
        });
    }
    let value: Value = serde_json::from_str(text).map_err(|_| Failure::Malformed)?;
    // A refused query answers with the status where its first cell would be.
    let status = value.pointer("/Result/ResponseStatus").or_else(|| value.pointer("/0/0/Result/ResponseStatus"));
    match status {
        Some(status) if !is_true(&status["IsSuccess"]) => Err(refusal(status)),
        _ => Ok(value),
    }
}

fn refusal(status: &Value) -> Failure {
    let first = &status["Errors"][0];
    let message = first["Message"].as_str().unwrap_or_default().trim();
    if as_text(&status["MsgCode"]) == NO_SESSION_CODE {
        return Failure::NoSession;
    }
    Failure::Refused {
        field: first["FieldName"].as_str().unwrap_or_default().to_owned(),
        message: if message.is_empty() { "no reason given".to_owned() } else { message.to_owned() },
    }
}

/// Booleans and codes come as JSON values or as texts, depending on the call.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
