//! The console beside the webhooks: its own address, so that a proxy towards the public never passes it on by accident.

use huiliu_console::{access, site};
use huiliu_core::engine::Engine;
use huiliu_core::explain;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::language::Language;
use crate::run::Bells;
use crate::{config, say};

/// The console's port, open, and where people reach it.
pub struct Door {
    /// The port.
    pub listener: TcpListener,
    /// `http://127.0.0.1:7210`, or what the configuration says.
    pub address: String,
}

impl Door {
    /// Opens the port.
    pub async fn open(given: &config::Console) -> Result<Self, String> {
        let listener = TcpListener::bind(&given.listen).await.map_err(|error| {
            format!("console.listen = {:?}: {error}; stop what listens there, or write another port", given.listen)
        })?;
        Ok(Self { listener, address: given.address() })
    }
}

/// Where an invitation leads.
pub fn invitation(address: &str, token: &str) -> String {
    format!("{}/invite/{token}", address.trim_end_matches('/'))
}

/// As long as nobody has an account: the link to the first one.
pub fn first_link(engine: &Engine, address: &str) -> Result<Option<String>, String> {
    let token = access::first_invitation(engine).map_err(|error| error.to_string())?;
    Ok(token.map(|token| invitation(address, &token)))
}

/// What the terminal says when nobody has an account yet. The link is a secret: it is printed, never logged.
pub fn greet(engine: &Engine, address: &str, language: Language) -> Result<(), String> {
    if let Some(link) = first_link(engine, address)? {
        println!(
            "{}",
            say!(
                language,
                "The console waits for its first account. This link makes it, once, within an hour:\n{link}",
                "控制台还没有账号。用下面的链接创建第一个（仅一次，一小时内有效）：\n{link}"
            )
        );
    }
    Ok(())
}

/// Serves the console until `stopped` turns true.
pub async fn serve(engine: Engine, door: Door, bells: Bells, mut stopped: watch::Receiver<bool>) {
    tracing::info!(address = door.address, "the console is open");
    // What phone numbers look like in every country is read with the first number: now, not in somebody's first search.
    let warm = engine.clone();
    tokio::task::spawn_blocking(move || explain::find(&warm, "+8613800138000"));
    let wake = Box::new(move || bells.ring());
    let app = site::router(engine, site::Settings { address: door.address, wake, stopped: stopped.clone() });
    let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    if let Err(error) = axum::serve(door.listener, app).with_graceful_shutdown(stop).await {
        tracing::error!("the console ended badly: {error}");
    }
}
