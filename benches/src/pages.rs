//! What a page of the console costs when a million customers are stored: from the call to the last byte, without a
//! network; while nothing else happens, and while a file is imported.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use huiliu_console::{access, site};
use huiliu_core::engine::Engine;
use huiliu_core::explain;
use huiliu_core::pipeline::index;
use tower::ServiceExt as _;

use crate::usage::Usage;
use crate::{people, phases};

/// Calls of each page: the first meets cold caches, the others show what a person meets.
const CALLS: usize = 200;

/// No page is larger.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A password for the one account.
const PASSWORD: &str = "only for this measurement";

/// Deliveries as a busy year leaves them: one a customer, of a hundred ten that wait and of a thousand one that gave up;
/// nineteen other connections, and a day with traffic in every minute.
const FILL: &str = "
    INSERT INTO connection (name, connector, state, resume, changed_us)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 19)
        SELECT 'system-' || i, 'rest', 'live', 'live', 0 FROM n;
    INSERT INTO stream_state (connection, stream, due_us, ok_us, records)
        SELECT name, 'customers', {now}, {now}, 1000 FROM connection;
    INSERT INTO delivery (id, connection, lens, stream, golden, external_id, operation, fields, body, base,
        idempotency_key, change, state, attempts, due_us, planned_us, done_us, error)
        SELECT id, 'system-' || (1 + id % 4), 'customers', 'customers', id, 'K' || id, 'update',
            '{\"display_name\":\"x\",\"emails.main\":\"x@example.com\"}', '{}', 'null', 'k' || id, id,
            CASE WHEN id % 1000 = 0 THEN 'dead' WHEN id % 10 = 0 THEN 'pending' ELSE 'done' END, 1, 0, {now}, {now},
            CASE WHEN id % 1000 = 0 THEN 'the value was refused' END FROM golden;
    INSERT INTO dead_letter (stage, connection, stream, external_id, item, reason, at_us, state)
        SELECT 'push', connection, stream, external_id, id, 'the value was refused', {now}, 'waiting' FROM delivery
        WHERE state = 'dead';
    INSERT INTO traffic (connection, way, slot, minute, records)
        WITH RECURSIVE m(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM m WHERE i < 1439)
        SELECT name, way, ({now} / 60000000 - i) % 1440, {now} / 60000000 - i, 7 FROM connection,
            (SELECT 'in' AS way UNION ALL SELECT 'out'), m WHERE name <> 'people';
    ANALYZE;";

/// Imports the file, enters the names, fills the rest, and asks for every page.
pub fn measure(file: &Path, folder: &Path) -> Result<(), String> {
    let imported = phases::import(file, folder)?;
    println!("imported {} rows in {:.0} s: {}", imported.rows, imported.wall, imported.told);
    let at = phases::deployment(folder)?;
    let from = Usage::now();
    let mut changes = 0;
    loop {
        match index::batch(&at.engine).map_err(text)? {
            0 => break,
            count => changes += count,
        }
    }
    println!("entered the names of {changes} changes in {:.1} s", Usage::now().since(from)[0]);
    fill(folder, at.engine.clock.now_us())?;
    let runtime = tokio::runtime::Runtime::new().map_err(text)?;
    let app = {
        let _inside = runtime.enter();
        open(&at.engine)?
    };
    let idle = runtime.block_on(ask(&app))?;
    let busy = beside_an_import(&at.engine, file, imported.rows, || runtime.block_on(ask(&app)))?;
    show(&idle, &busy);
    Ok(())
}

/// Rows of a file that is imported meanwhile; it begins anew when it ends.
const ROWS_BESIDE: u64 = 50_000;

/// Does something while more people are imported by the same engine, file after file.
fn beside_an_import<T>(
    engine: &Engine,
    file: &Path,
    known: u64,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| {
            let mut rows = 0;
            while !is_over.load(Ordering::Relaxed) {
                let out = std::fs::File::create(file).map_err(text)?;
                let mut out = std::io::BufWriter::new(out);
                people::write(&mut out, known + rows, ROWS_BESIDE).map_err(text)?;
                out.flush().map_err(text)?;
                rows += phases::into(engine, file)?;
            }
            Ok::<_, String>(rows)
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        let imported = importing.join().map_err(|_| "the import stopped in the middle".to_owned())??;
        println!("imported {imported} rows meanwhile");
        done
    })
}

fn fill(folder: &Path, now_us: i64) -> Result<(), String> {
    let store = rusqlite::Connection::open(folder.join("data/huiliu.db")).map_err(text)?;
    store.execute_batch(&FILL.replace("{now}", &now_us.to_string())).map_err(text)
}

fn open(engine: &Engine) -> Result<Asking, String> {
    let link = access::first_invitation(engine).map_err(text)?.ok_or("there is an account already")?;
    access::accept(engine, &link, "bench", PASSWORD).map_err(text)?;
    let opened = access::log_in(engine, "bench", PASSWORD, None).map_err(text)?;
    let cookie = format!("session={}", opened.ok_or("the login failed")?.0);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let settings = site::Settings { address: "http://127.0.0.1:7210".to_owned(), wake: Box::new(|| ()), stopped };
    // As the program does when it opens the console: telephone formats are read before somebody's first search.
    explain::find(engine, "+8613800138000").map_err(text)?;
    Ok(Asking { app: site::router(engine.clone(), settings), cookie, _stop: stop })
}

/// The console, and who asks.
struct Asking {
    app: Router,
    cookie: String,
    _stop: tokio::sync::watch::Sender<bool>,
}

/// What one page took each time, in milliseconds, and its size in bytes.
struct Page {
    took: Vec<f64>,
    bytes: usize,
}

impl Page {
    /// Of a thousand calls, so many took no longer than this.
    fn ms(&self, thousandth: usize) -> f64 {
        let mut took = self.took.clone();
        took.sort_by(f64::total_cmp);
        took.get((took.len() * thousandth / 1000).min(took.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

async fn ask(at: &Asking) -> Result<Vec<Page>, String> {
    // Asked for in an order in which no page finds the caches as it left them.
    let mut pages: Vec<(&str, Page)> =
        pages().into_iter().map(|it| (it, Page { took: Vec::new(), bytes: 0 })).collect();
    for round in 0..CALLS {
        for (page, found) in &mut pages {
            let page = page.replace("{n}", &(1 + round * 7919 % 700_000).to_string());
            let began = Instant::now();
            found.bytes = get(&at.app, &page, &at.cookie).await?;
            found.took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(pages.into_iter().map(|it| it.1).collect())
}

fn show(idle: &[Page], busy: &[Page]) {
    println!("{:44}{:>10}{:>27}{:>30}", "ms", "first", "while nothing else happens", "beside an import");
    println!(
        "{:44}{:>10}{:>9}{:>9}{:>9}{:>10}{:>10}{:>10}{:>7}",
        "page", "", "p50", "p99", "worst", "p50", "p99", "worst", "KiB"
    );
    for ((page, idle), busy) in pages().into_iter().zip(idle).zip(busy) {
        let first = idle.took.first().copied().unwrap_or(f64::NAN);
        let [p50, p99, worst] = [500, 990, 1000].map(|at| idle.ms(at));
        let [p50_busy, p99_busy, worst_busy] = [500, 990, 1000].map(|at| busy.ms(at));
        println!(
            "{page:44}{first:>10.1}{p50:>9.1}{p99:>9.1}{worst:>9.1}{p50_busy:>10.1}{p99_busy:>10.1}{worst_busy:>10.1}{:>7}",
            idle.bytes >> 10
        );
    }
}

fn pages() -> Vec<&'static str> {
    vec![
        "/",
        "/connections/people",
        "/connections/system-1",
        "/connections/system-1?state=done&before=500000",
        "/connections/system-1?state=dropped",
        "/customers",
        "/customers?q=%E7%8E%8B",
        "/customers?q=%E7%8E%8B%E4%BC%9F",
        "/customers?q=%E4%BC%9F",
        "/customers?q=smith+james",
        "/customers?q=nobody+is+called+so",
        "/customers?q=kh{n}%40example.com",
        "/customers?q={n}",
        "/customers/{n}",
        "/records?key=people%2Frows%2FK00{n}",
        "/reviews",
        "/reviews/1",
        "/dead-letters",
        "/dead-letters?connection=people&stage=import",
        "/dead-letters?connection=system-3&stage=fetch",
    ]
}

async fn get(app: &Router, page: &str, cookie: &str) -> Result<usize, String> {
    let request = Request::get(page).header(header::COOKIE, cookie).body(Body::empty()).map_err(text)?;
    let answer = app.clone().oneshot(request).await.map_err(text)?;
    // A number that nobody has is a page too.
    if ![StatusCode::OK, StatusCode::NOT_FOUND].contains(&answer.status()) {
        return Err(format!("{page}: {}", answer.status()));
    }
    #[allow(clippy::disallowed_methods)] // The bound stands beside the call.
    let body = axum::body::to_bytes(answer.into_body(), PAGE_BYTES_MAX).await.map_err(text)?;
    Ok(body.len())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
