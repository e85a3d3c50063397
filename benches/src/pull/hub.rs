//! The hub itself, which pulls the shop through a manifest and processes what comes, until nothing waits.

use std::path::Path;
use std::time::Duration;

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::process;
use huiliu_core::store::{inbox, streams};
use huiliu_hub::{deployment, logs, memory, run};
use tokio::net::TcpListener;

use crate::usage::{Took, Usage, took};
use crate::{customers, text};

const SHOP: &str = r#"
[connector]
name = "shop"
title = "Shop"
about = "A shop that shows its customers in pages."
driver = "rest"
base_url = "{config.url}"
[connector.config]
url = { type = "url", description = "Where it is." }
[auth]
kind = "none"
reason = "nobody else is there"
[streams.customers]
about = "Customers."
key = "/id"
version = "/updated_at"
version_kind = "instant"
records = "/customers"
paginate = { kind = "cursor", from = "/next", param = "after" }
pull = { path = "/customers" }
"#;

/// Rules by which an equal e-mail address is all that joins two records: de-duplication, and no matching.
const BY_EMAIL: &str = "
[identities]
email = { strength = 'strong' }
[expected]
people = 100000
organizations = 5000
[compare.identity]
strong = 12.0
medium = 5.0
conflict = -12.0
[compare.kind]
different = -12.0
[thresholds]
link = 10.0
review = -3.0
";

/// What the hub does with what it pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Nothing: what was pulled waits in the inbox.
    Keeps,
    /// It joins records of one e-mail address, and no others.
    Dedupes,
    /// All that it does by the shipped rules.
    Everything,
}

/// A glance at how far it is costs next to nothing at this pace.
const GLANCE: Duration = Duration::from_millis(20);

/// Makes a deployment in the folder and pulls the shop there.
pub fn pull(url: &str, folder: &Path, does: Does) -> Result<Took, String> {
    memory::keep_small();
    let write = |name: &str, body: &str| {
        let path = folder.join(name);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, body)).map_err(text)
    };
    write("connectors/shop/connector.toml", SHOP)?;
    write("mappings/shop.toml", &customers::mapping(true))?;
    if does == Does::Dedupes {
        write("rules/match.toml", BY_EMAIL)?;
    }
    let config = "[connections.shop]\nconnector = 'shop'\nnetwork = 'private'\nwrites = false\nreconcile_percent = 0\n";
    let config = format!("{config}config.url = '{url}'\n");
    write("huiliu.toml", &config)?;
    logs::start(logs::Format::Text, "warn");
    let at = deployment::open(folder)?;
    let from = Usage::now();
    let engine = at.engine.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    let rows = runtime.block_on(async {
        if does == Does::Keeps {
            engine.store.keep_small().map_err(text)?;
            let (connection, stream) = (engine.connections.get("shop").ok_or("no connection")?, "customers".into());
            loop {
                let pulled = huiliu_core::pipeline::pull::stream(&engine, connection, &stream, 1_000_000);
                let pulled = pulled.await.map_err(text)?;
                if let Some(error) = pulled.error {
                    return Err(error);
                }
                if !pulled.more {
                    break;
                }
            }
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
            let bells = run::Bells::of(&at.engine);
            let here = engine.clone();
            let end = async move {
                while !is_done(&here) {
                    tokio::time::sleep(GLANCE).await;
                }
            };
            run::serve_until(at, listener, None, bells, end).await?;
        }
        let state = engine.store.read(streams::all).map_err(text)?;
        state.values().next().map(|it| u64::try_from(it.records).unwrap_or(0)).ok_or_else(|| "nothing came".to_owned())
    })?;
    let store = std::fs::metadata(folder.join("data/huiliu.db")).map_or(0, |it| it.len() >> 20);
    let customers = engine.store.read(|tx| tx.max("id", "golden")).map_err(text)?;
    Ok(took(rows, from, format!("{customers} customers, {store} MiB on disk")))
}

/// Whether the stream was read to its end, and nothing of it waits.
fn is_done(engine: &Engine) -> bool {
    let looked = engine.store.read(|tx| Ok((streams::all(tx)?, inbox::backlog(tx, process::POSITION)?)));
    looked.is_ok_and(|(known, waiting)| waiting == 0 && known.values().any(|it| it.read_to.is_some()))
}
