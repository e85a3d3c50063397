//! Those who say nothing, or little by little, over real sockets: they are let go, and keep nobody out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use huiliu_webhooks::{Bounds, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often whoever dribbles sends a byte.
const DRIP: Duration = Duration::from_millis(200);

/// So many dribble: fewer than usual, since the two ends of each are open files of this one process.
fn dribblers() -> usize {
    std::env::var("HUILIU_SLOW_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

struct Port {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// Answers with the body; `/late` answers after a second.
async fn port(bounds: Bounds) -> Port {
    let late = post(|body: Bytes| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        body
    });
    let app = Router::new().route("/", post(|body: Bytes| async move { body })).route("/late", late);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    let (stop, told) = oneshot::channel();
    let ended = tokio::spawn(serve(listener, app, bounds, async move { drop(told.await) }));
    Port { address, stop, ended }
}

/// What a call hears, to the end of the connection.
async fn call(address: SocketAddr, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    Ok(heard)
}

/// Sends what is given byte by byte, for ever; ends when it is let go.
async fn dribble(address: SocketAddr, first: &'static str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(first.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    let mut heard = Vec::new();
    let reading = reader.read_to_end(&mut heard);
    let dripping = async {
        loop {
            tokio::time::sleep(DRIP).await;
            writer.write_all(b"x").await?;
        }
    };
    tokio::select! {
        ended = reading => ended.map(drop),
        ended = dripping => ended,
    }
}

const HEAD: &str = "POST / HTTP/1.1\r\nX-Slow: ";
const BODY: &str = "POST / HTTP/1.1\r\nHost: it\r\nContent-Length: 1000000\r\n\r\n";

#[tokio::test]
async fn who_dribbles_is_let_go_and_keeps_nobody_out() {
    let many = dribblers();
    let port = port(Bounds { places: many / 4, head: Duration::from_secs(5) }).await;
    let slow: Vec<_> =
        (0..many).map(|at| tokio::spawn(dribble(port.address, if at % 2 == 0 { HEAD } else { BODY }))).collect();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // There are four for each place, and yet whoever has something to say is heard at once.
    for number in 0..20 {
        let began = Instant::now();
        let text = format!("event {number}");
        // Between its connection and its first word a caller may lose the place to another newcomer; it tries again.
        let mut tried = call(port.address, "/", &text).await;
        while tried.is_err() && began.elapsed() < Duration::from_secs(2) {
            tried = call(port.address, "/", &text).await;
        }
        let heard = tried.expect("it is let in");
        assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with(&format!("event {number}")), "{heard}");
        assert!(began.elapsed() < Duration::from_secs(2), "it waited {:?}", began.elapsed());
    }
    // A body that dribbles is the caller's own business (the webhooks have a bound of their own); a head is not.
    let heads = slow.into_iter().step_by(2);
    for slow in heads {
        let ended = tokio::time::timeout(PATIENCE, slow).await.expect("it is let go");
        drop(ended.expect("no panic"));
    }
    let _ = port.stop.send(());
}

#[tokio::test]
async fn who_has_said_nothing_since_the_last_answer_is_let_go() {
    let port = port(Bounds { places: 8, head: Duration::from_millis(300) }).await;
    let mut stream = TcpStream::connect(port.address).await.expect("a place");
    stream.write_all(b"POST / HTTP/1.1\r\nHost: it\r\nContent-Length: 2\r\n\r\nhi").await.expect("it is heard");
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    ended.expect("the connection is closed").expect("in order");
    assert!(heard.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&heard));
    let _ = port.stop.send(());
}

#[tokio::test]
async fn while_all_places_are_taken_by_calls_the_next_one_is_told_to_come_again() {
    let port = port(Bounds { places: 2, head: Duration::from_secs(5) }).await;
    let address = port.address;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(async move { call(address, "/late", "slow").await })).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut third = TcpStream::connect(address).await.expect("somebody listens");
    let mut heard = String::new();
    third.read_to_string(&mut heard).await.expect("it is told");
    assert!(heard.starts_with("HTTP/1.1 503") && heard.contains("retry-after: 1"), "{heard}");
    for call in calls {
        let heard = call.await.expect("no panic").expect("its place was its own");
        assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with("slow"), "{heard}");
    }
    let _ = port.stop.send(());
}

#[tokio::test]
async fn a_head_larger_than_is_allowed_is_refused() {
    let port = port(Bounds::default()).await;
    let mut stream = TcpStream::connect(port.address).await.expect("a place");
    let head = format!("POST / HTTP/1.1\r\nHost: it\r\nX-Large: {}\r\n\r\n", "x".repeat(64 << 10));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431"), "{heard}");
    let _ = port.stop.send(());
}

#[tokio::test]
async fn who_stops_answers_what_is_under_way_and_lets_the_others_go() {
    let port = port(Bounds::default()).await;
    let address = port.address;
    let idle = tokio::spawn(dribble(address, HEAD));
    let call = tokio::spawn(async move { call(address, "/late", "last words").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    port.stop.send(()).expect("it serves");
    tokio::time::timeout(PATIENCE, port.ended).await.expect("it ends").expect("no panic");
    let heard = call.await.expect("no panic").expect("it is answered");
    assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with("last words"), "{heard}");
    let ended = tokio::time::timeout(PATIENCE, idle).await.expect("it is let go");
    drop(ended.expect("no panic"));
}
