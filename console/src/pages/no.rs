//! The page that says why not, and where to go on.

use askama::Template;
use axum::http::StatusCode;

use crate::frame::Visit;
use crate::language::Language;
use crate::site::{Content, Result};

#[derive(Template)]
#[template(path = "no.html")]
struct No<'a> {
    t: Language,
    head: &'a str,
    told: &'a str,
    status: u16,
    is_inside: bool,
}

/// The page.
pub fn page(visit: &Visit, status: StatusCode, told: &str) -> Result<Content> {
    let head = match status {
        StatusCode::NOT_FOUND => visit.t.head_missing(),
        StatusCode::UNAUTHORIZED => visit.t.head_no_session(),
        StatusCode::FORBIDDEN => visit.t.head_forbidden(),
        StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => visit.t.head_refused(),
        _ => visit.t.head_broken(),
    };
    let html = No { t: visit.t, head, told, status: status.as_u16(), is_inside: !visit.user.is_empty() }.render()?;
    Ok(Content { title: head.to_owned(), html })
}
