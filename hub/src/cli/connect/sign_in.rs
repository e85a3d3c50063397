//! The sign-in of OAuth 2: a person opens a page, agrees, and the browser returns with a code.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use huiliu_core::connector::Cx;
use huiliu_core::manifest::Manifest;
use huiliu_rest::oauth;
use tokio::sync::mpsc;
use url::{Host, Url};

use super::answers::Answers;
use crate::language::Language;
use crate::say;

/// A person needs minutes to find a password; a code from the vendor lives no longer than that either.
const PATIENCE: Duration = Duration::from_secs(600);

/// Signs in and seals the tokens.
pub(super) async fn sign_in(
    manifest: &Manifest,
    cx: &Cx,
    redirect: &str,
    answers: &mut Answers,
    language: Language,
) -> Result<(), String> {
    let page = oauth::authorize_url(manifest, cx, redirect).map_err(|error| error.to_string())?;
    let back = Url::parse(redirect)
        .map_err(|_| format!("`{redirect}` is not a URL; write --redirect http://127.0.0.1:7201/callback"))?;
    let listener = match here(&back) {
        Some(address) => Some(tokio::net::TcpListener::bind(address).await.map_err(|error| {
            format!("cannot listen at {address} for the browser's return: {error}; set hub.redirect to a free port")
        })?),
        None => None,
    };
    println!(
        "{}\n{}\n{}",
        say!(
            language,
            "Sign in: open this address in a browser and agree. The vendor must know the redirect address {redirect}",
            "请在浏览器中打开下面的地址登录并同意授权。对方平台需要登记回调地址 {redirect}"
        ),
        page.url,
        language.pick("Waiting for the browser to return …", "等待浏览器返回……"),
    );
    let code = match listener {
        Some(listener) => {
            let returned = serve(listener, &back, page.state.clone(), language);
            tokio::time::timeout(PATIENCE, returned).await.map_err(|_| {
                let name = &cx.connection;
                say!(
                    language,
                    "nobody signed in within ten minutes; run `huiliu connect {name}` again",
                    "十分钟内没有完成登录；请重新运行 `huiliu connect {name}`"
                )
            })??
        }
        None => {
            let address = answers.redirected()?.ok_or_else(|| {
                format!("{redirect} is not on this machine: give the address that the browser ended at as a line redirected=…")
            })?;
            let query = Url::parse(&address).ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
            code(&query, &page.state)
                .ok_or("that address is not the answer to this sign-in; run the command again")??
        }
    };
    let exchanged = oauth::exchange_code(manifest, cx, redirect, &code, &page.verifier).await;
    exchanged.map_err(|error| format!("{}: {error}", cx.connection))?;
    println!("{}", language.pick("Signed in; the tokens are sealed.", "登录成功；令牌已封存。"));
    Ok(())
}

/// The address to listen at, if the redirect leads to this machine.
fn here(redirect: &Url) -> Option<SocketAddr> {
    let port = redirect.port_or_known_default().filter(|_| redirect.scheme() == "http")?;
    let ip: IpAddr = match redirect.host()? {
        Host::Ipv4(ip) => ip.into(),
        Host::Ipv6(ip) => ip.into(),
        Host::Domain("localhost") => IpAddr::from([127, 0, 0, 1]),
        Host::Domain(_) => return None,
    };
    ip.is_loopback().then(|| SocketAddr::from((ip, port)))
}

/// The code in a query that answers this sign-in; none: it answers another one.
fn code(query: &str, state: &str) -> Option<Result<String, String>> {
    let of = |name: &str| {
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    if of("state").as_deref() != Some(state) {
        return None;
    }
    Some(match (of("code"), of("error")) {
        (Some(code), None) => Ok(code),
        (_, Some(error)) => Err(format!("the vendor ended the sign-in: {error}; agree to it, or ask who may")),
        (None, None) => Err("the vendor sent no code; run the command again".to_owned()),
    })
}

struct Waiting {
    state: String,
    language: Language,
    answer: mpsc::Sender<Result<String, String>>,
}

/// Listens until the browser returns with an answer to this sign-in.
async fn serve(
    listener: tokio::net::TcpListener,
    back: &Url,
    state: String,
    language: Language,
) -> Result<String, String> {
    let (answer, mut answered) = mpsc::channel(1);
    let waiting = Arc::new(Waiting { state, language, answer });
    let app = Router::new().route(back.path(), get(returned)).with_state(waiting);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        axum::serve(listener, app).with_graceful_shutdown(stopped).await
    });
    let outcome = answered.recv().await.unwrap_or_else(|| Err("the listener stopped".to_owned()));
    // The page reaches the browser before the listener closes; a browser that keeps its connection open is not waited for.
    let _ = stop.send(());
    let _ = tokio::time::timeout(Duration::from_secs(2), served).await;
    outcome
}

async fn returned(State(waiting): State<Arc<Waiting>>, RawQuery(query): RawQuery) -> (StatusCode, Html<&'static str>) {
    let language = waiting.language;
    let Some(outcome) = code(&query.unwrap_or_default(), &waiting.state) else {
        let text = language.pick("This is not the answer to the sign-in that waits.", "这不是正在等待的登录的应答。");
        return (StatusCode::BAD_REQUEST, Html(text));
    };
    let text = if outcome.is_ok() {
        language.pick("Signed in. You may close this window.", "登录成功，可以关闭此窗口。")
    } else {
        language.pick("The sign-in was ended. See the terminal.", "登录已中止，请查看终端。")
    };
    // A second answer is the browser's reload.
    let _ = waiting.answer.try_send(outcome);
    (StatusCode::OK, Html(text))
}
