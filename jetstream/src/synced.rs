//! Whether a server writes to the disk before it acknowledges. JetStream does not unless it is told so: by default it syncs
//! every two minutes, so a power cut of all replicas loses what it acknowledged meanwhile (Jepsen, NATS 2.12.1).
//!
//! A server says it at its monitoring address, and nowhere else that an ordinary account may ask.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server answers within this time, or it is not there.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// No answer is longer, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It syncs before it acknowledges.
    Always,
    /// It does not.
    Later,
}

/// Asks a monitoring address.
///
/// # Errors
/// Why nobody knows.
pub(crate) async fn ask(monitor: &str) -> Result<Said, String> {
    let asked = tokio::time::timeout(ANSWER_MAX, get(monitor));
    let text = asked.await.map_err(|_| format!("no answer within {} s", ANSWER_MAX.as_secs()))??;
    said(&text)
}

async fn get(monitor: &str) -> Result<String, String> {
    let url = url::Url::parse(monitor).map_err(|error| error.to_string())?;
    let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
        return Err("write http://HOST:PORT".to_owned());
    };
    let mut stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let request = ["GET /varz HTTP/1.0", &format!("Host: {host}:{port}"), "", ""].join("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    String::from_utf8(answer).map_err(|error| error.to_string())
}

fn said(answer: &str) -> Result<Said, String> {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let varz: Value = serde_json::from_str(body).map_err(|error| format!("this is no server's /varz: {error}"))?;
    let config = &varz["jetstream"]["config"];
    if !config.is_object() {
        return Err("it has no JetStream".to_owned());
    }
    Ok(if config["sync_always"] == true { Said::Always } else { Said::Later })
}

/// Whether a version has `sync_interval: always` at all: since 2.10.
pub(crate) fn can(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert!(!can("2.9.10") && !can("1.10.0") && !can(""));
        assert!(can("2.10.0") && can("2.15.1") && can("3.0.0-dev"));
    }

    #[test]
    fn a_server_says_what_it_does() {
        let told = |body: &str| said(&format!("HTTP/1.0 200 OK\r\n\r\n{body}"));
        assert_eq!(
            told(r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#),
            Ok(Said::Always)
        );
        assert_eq!(told(r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#), Ok(Said::Later));
        assert!(told(r#"{"jetstream":{}}"#).is_err() && told("<html>").is_err());
    }
}
