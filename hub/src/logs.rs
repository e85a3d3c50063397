//! Logs to standard error, for people or for programs. They carry ids (connection, stream, delivery, item), never a
//! name, an address, a number or a body.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Begins to log. `RUST_LOG` chooses what is logged; without it, `level` and above.
pub fn start(format: Format, level: &str) {
    // The NATS client tells of every try to connect; that it fails is told once (jetstream/src/stand.rs).
    let quiet = || EnvFilter::new(format!("{level},async_nats=off"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => logs.json().flatten_event(true).with_span_list(false).init(),
    }
}
