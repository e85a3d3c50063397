//! What an answer means. The server reports most failures under HTTP 200, as `error` in place of `result`.
//!
//! Source: trytond 8.2, `exceptions.py` and `protocols/jsonrpc.py`. An error is the name of its kind and what it says;
//! any other exception is its text and a traceback.

use huiliu_core::connector::ConnectorError;
use huiliu_rest::failure::{cut, hide};
use serde_json::Value;

/// Why a call did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `UserError`: a value, a rule or a missing right.
    Refused(String),
    /// `UserWarning`: the server wants a person to confirm this.
    Warned(String),
    /// `ConcurrencyException`: the record is not as it was when it was read.
    Changed,
    /// An exception inside the server: its text is for the server's log, but a name in quotes is one it does not know.
    Fault {
        /// The name that the server does not know: a model or a field.
        unknown: Option<String>,
    },
    /// Not an answer of this system.
    Malformed,
    /// No answer, or one that HTTP's status sorts.
    Failed(ConnectorError),
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::Failed(error)
    }
}

/// Opens an answer: the result of the call, or what went wrong.
pub fn open(body: &[u8]) -> Result<Value, Failure> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(body) else { return Err(Failure::Malformed) };
    match (answer.get("error"), answer.contains_key("result")) {
        (Some(error), _) => Err(failure(error)),
        (None, true) => Ok(answer.remove("result").unwrap_or_default()),
        (None, false) => Err(Failure::Malformed),
    }
}

fn failure(error: &Value) -> Failure {
    let text = |at: &str| error.pointer(at).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let said = |message: &str, description: &str| {
        let description = text(description);
        if description.is_empty() { text(message) } else { format!("{} {description}", text(message)) }
    };
    match text("/0").as_str() {
        "UserError" => Failure::Refused(said("/1/0", "/1/1")),
        "UserWarning" => Failure::Warned(said("/1/1", "/1/2")),
        "LoginException" => Failure::Refused(format!("it asks for `{}` besides the password", text("/1/0"))),
        "ConcurrencyException" => Failure::Changed,
        other => Failure::Fault { unknown: unknown_name(other) },
    }
}

/// Python shows a key that is not there in quotes: `'sale.sale'`.
fn unknown_name(text: &str) -> Option<String> {
    let name = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    (name.bytes().all(is_name) && !name.is_empty()).then(|| name.to_owned())
}

/// Messages are asked for in English, so that two of them can be told from the others.
const NO_ACCESS: &str = "You are not allowed to access";
const NOT_THERE: &str = "that don't exist";

impl Failure {
    /// What it means for a call that only reads.
    pub fn of_read(self, what: &str) -> ConnectorError {
        match self {
            Self::Failed(error) => error,
            // A read has no values that could be wrong: what is refused is the right to see them.
            Self::Refused(message) => ConnectorError::Unauthorized {
                detail: format!(
                    "{what}: Tryton refuses: {}; give the user of this connection that right",
                    cut(message)
                ),
            },
            Self::Fault { unknown: Some(name) } => ConnectorError::broken(format!(
                "{what}: the server does not know `{name}`; activate the Tryton module that brings it"
            )),
            Self::Changed | Self::Fault { unknown: None } => {
                ConnectorError::transient(format!("{what}: the server failed inside; its own log says why"))
            }
            Self::Warned(_) | Self::Malformed => ConnectorError::broken(format!(
                "{what}: the answer is none of Tryton's JSON-RPC; check config.base_url and config.database"
            )),
        }
    }

    /// What it means for a call that writes. `known`: what was sent and what the record holds, to be hidden in messages.
    pub fn of_write(self, what: &str, known: &[&Value]) -> ConnectorError {
        let shown = |mut message: String| {
            for known in known {
                hide(&mut message, known);
            }
            cut(message)
        };
        match self {
            Self::Failed(error) => error,
            Self::Changed => {
                ConnectorError::Conflict { detail: format!("{what}: the party was changed in Tryton meanwhile") }
            }
            Self::Refused(message) if message.contains(NOT_THERE) => {
                ConnectorError::Gone { detail: format!("{what}: the party is no longer in Tryton") }
            }
            Self::Refused(message) if message.starts_with(NO_ACCESS) => ConnectorError::Unauthorized {
                detail: format!(
                    "{what}: Tryton refuses: {}; give the user of this connection that right",
                    shown(message)
                ),
            },
            Self::Refused(message) => {
                ConnectorError::Rejected { at: String::new(), reason: format!("{what}: {}", shown(message)) }
            }
            Self::Warned(message) => ConnectorError::Rejected {
                at: String::new(),
                reason: format!(
                    "{what}: Tryton asks a person to confirm: {}; make this change in Tryton, or mend the value",
                    shown(message)
                ),
            },
            // It may have been done; the retried delivery reads first.
            Self::Fault { .. } | Self::Malformed => {
                ConnectorError::transient(format!("{what}: the server failed inside; its own log says why"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_under_http_200_become_the_right_kind() {
        let rows = [
            (
                r#"{"id":1,"error":["UserError",["The code on party must be unique.","",null]]}"#,
                "unauthorized",
                "rejected",
            ),
            (
                r#"{"id":1,"error":["UserError",["You are not allowed to access \"Sale\".","",null]]}"#,
                "unauthorized",
                "unauthorized",
            ),
            (
                r#"{"id":1,"error":["UserError",["You are trying to write to records \"9\" of \"Party\" that don't exist.","",null]]}"#,
                "unauthorized",
                "gone",
            ),
            (r#"{"id":1,"error":["UserWarning",["party_1","Are you sure?",""]]}"#, "broken", "rejected"),
            (
                r#"{"id":1,"error":["ConcurrencyException","Records were modified in the meanwhile"]}"#,
                "transient",
                "conflict",
            ),
            (r#"{"id":1,"error":["'sale.sale'",""]}"#, "broken", "transient"),
            (r#"{"id":1,"error":["division by zero",""]}"#, "transient", "transient"),
            (r#"{"id":1}"#, "broken", "transient"),
            ("<html>", "broken", "transient"),
        ];
        for (body, read, write) in rows {
            let failure = open(body.as_bytes()).unwrap_err();
            assert_eq!(failure.clone().of_read("x").kind(), read, "{body}");
            assert_eq!(failure.of_write("x", &[]).kind(), write, "{body}");
        }
        assert_eq!(open(br#"{"id":1,"result":null}"#), Ok(Value::Null));
    }

    #[test]
    fn a_message_shows_no_value_of_the_record() {
        let body =
            r#"{"id":1,"error":["UserError",["The phone \"12\" of party \"Lin Xiaoyue\" is not valid.","",null]]}"#;
        let failure = open(body.as_bytes()).unwrap_err();
        let told = failure.of_write("write", &[&json!({"name": "Lin Xiaoyue"}), &json!([{"value": "12"}])]);
        assert_eq!(told.to_string(), "write: The phone \"…\" of party \"…\" is not valid.");
    }
}
