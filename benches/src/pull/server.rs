//! A shop's API: its customers in pages that were rendered before anybody asks.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::{customers, text};

/// Customers on a page.
pub const PAGE: u64 = 250;

/// The pages in one file, and where each begins.
struct Pages {
    file: File,
    begins: Vec<u64>,
    delay: Duration,
}

#[derive(Deserialize)]
struct Asked {
    after: Option<usize>,
}

/// Renders so many customers into the folder, prints the port, and serves until it is killed. Each page takes `delay`.
pub fn serve(records: u64, folder: &Path, delay: Duration) -> Result<(), String> {
    let pages = Arc::new(render(records, &folder.join("pages"), delay)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        println!("{}", listener.local_addr().map_err(text)?.port());
        axum::serve(listener, Router::new().route("/customers", get(page)).with_state(pages)).await.map_err(text)
    })
}

fn render(records: u64, path: &Path, delay: Duration) -> Result<Pages, String> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(text)?);
    let mut begins = vec![0];
    let (mut at, mut page) = (0, String::new());
    let last = records.div_ceil(PAGE).saturating_sub(1);
    for number in 0..=last {
        page.clear();
        page.push_str("{\"customers\":[");
        for record in number * PAGE..((number + 1) * PAGE).min(records) {
            if record > number * PAGE {
                page.push(',');
            }
            customers::write(&mut page, record);
        }
        page.push_str("],\"next\":");
        page.push_str(&if number < last { format!("\"{}\"}}", number + 1) } else { "null}".to_owned() });
        out.write_all(page.as_bytes()).map_err(text)?;
        at += page.len() as u64;
        begins.push(at);
    }
    out.flush().map_err(text)?;
    Ok(Pages { file: File::open(path).map_err(text)?, begins, delay })
}

async fn page(State(pages): State<Arc<Pages>>, Query(asked): Query<Asked>) -> Response {
    let at = asked.after.unwrap_or(0);
    let Some([begin, end]) = pages.begins.get(at..at + 2) else { return StatusCode::NOT_FOUND.into_response() };
    let mut body = vec![0; usize::try_from(end - begin).unwrap_or(0)];
    if pages.file.read_exact_at(&mut body, *begin).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if !pages.delay.is_zero() {
        tokio::time::sleep(pages.delay).await;
    }
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
