//! The connection to the servers, and what must be right before a call may go into the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event};
use huiliu_core::clock::Clock;
use huiliu_core::store::db::StoreError;
use huiliu_core::store::logs::{self, LogState};
use huiliu_core::store::{Store, Tx};

use crate::stand::Stand;
use crate::synced::Said;
use crate::{Login, Settings, Sync, group, stream, synced};

/// The servers must have answered after so long: a webhook's answer waits for it, and its sender gives up after 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// How long `serve` waits for the servers when it starts; later it goes on by itself.
const FIRST_MAX: Duration = Duration::from_secs(5);

/// Between two tries.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// Acknowledgements that may be on their way.
const ACKS_MAX: usize = 64;

/// The connection. Clones share it.
#[derive(Clone)]
pub struct Log {
    pub(crate) settings: Arc<Settings>,
    pub(crate) client: Client,
    pub(crate) context: Context,
    store: Arc<Kept>,
    pub(crate) clock: Clock,
    /// Whether calls can be kept.
    pub(crate) stand: Arc<Stand>,
    prepared: Arc<AtomicBool>,
}

/// The store. Whoever lets go of it last closes its connections, which may block: tasks must not.
struct Kept(Option<Store>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(store) = self.0.take() {
            let _ = std::thread::Builder::new().name("close".to_owned()).spawn(move || drop(store));
        }
    }
}

/// Why nothing goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// It passes.
    #[error("{0}")]
    Away(String),
    /// A person has to mend something.
    #[error("{0}")]
    Wrong(String),
    /// Another reader was faster.
    #[error("another process takes the stream in")]
    Overtaken,
    /// Messages between did not come.
    #[error("messages {0} to {1} of the stream did not come")]
    Hole(i64, i64),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Away(error.to_string())
    }
}

impl Log {
    /// Connects. Servers that are not there are tried again and again; calls are refused meanwhile.
    ///
    /// # Errors
    /// Settings, a login or a stream that a person has to mend.
    pub async fn open(settings: Settings, store: Store, clock: Clock) -> Result<Self, String> {
        let stand = Arc::new(Stand::writer());
        let options = options(&settings, &stand)?;
        let client = options.connect(settings.servers.clone()).await;
        let client = client.map_err(|error| format!("the NATS servers cannot be called: {error}"))?;
        let context = ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .ack_timeout(ANSWER_MAX)
            .max_ack_inflight(ACKS_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let (settings, store, prepared) = (Arc::new(settings), Arc::new(Kept(Some(store))), Arc::default());
        let log = Self { settings, client, context, store, clock, stand, prepared };
        log.begin().await?;
        Ok(log)
    }

    /// Waits a while for the servers; if they are late, somebody goes on waiting.
    async fn begin(&self) -> Result<(), String> {
        let first = tokio::time::timeout(FIRST_MAX, async {
            loop {
                match self.prepare().await {
                    Ok(_) => return Ok(()),
                    Err(Trouble::Wrong(told)) => return Err(told),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        if let Ok(ended) = first.await {
            return ended;
        }
        let log = self.clone();
        tokio::spawn(async move {
            while Arc::strong_count(&log.prepared) > 1 {
                match log.prepare().await {
                    Ok(_) => return,
                    Err(trouble) => log.stand.away(&trouble.to_string()),
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        Ok(())
    }

    /// Whether the stream was found to be right since the program started.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.load(Ordering::Acquire)
    }

    /// Whether there is a line to a server, which has said what it is: a moment lies between the two.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected && self.client.server_info().max_payload > 0
    }

    /// Looks at the servers and at the stream, which is made if it never was there.
    pub(crate) async fn prepare(&self) -> Result<Stream<Info>, Trouble> {
        if !self.is_connected() {
            return Err(Trouble::Away(format!("no NATS server answers at {}", self.settings.servers.join(", "))));
        }
        if !self.is_prepared() {
            self.servers_fit().await.map_err(Trouble::Wrong)?;
        }
        let known = self.state().await?;
        let found = match self.context.get_stream(&self.settings.stream).await {
            Ok(found) => found,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    self.make(known.as_ref()).await?
                }
                _ => return Err(Trouble::Away(format!("the servers do not show the stream: {error}"))),
            },
        };
        if let Some(mistake) = stream::mistake(&self.settings, &found.cached_info().config) {
            return Err(Trouble::Wrong(mistake));
        }
        if !self.prepared.swap(true, Ordering::AcqRel) {
            self.stand.reached();
        }
        Ok(found)
    }

    /// Makes the stream, unless there was one: whoever has a backup of it must find its place free.
    async fn make(&self, known: Option<&LogState>) -> Result<Stream<Info>, Trouble> {
        let name = &self.settings.stream;
        if let Some(known) = known.filter(|it| !it.accepted) {
            let at = known.position;
            return Err(Trouble::Wrong(format!(
                "the stream {name} is gone, and with it all calls behind message {at} that were not taken in. Restore it from a backup; or run `huiliu intake --accept` to go on with a new one"
            )));
        }
        let made = self.context.create_stream(stream::config(&self.settings)).await;
        made.map_err(|error| Trouble::Away(format!("the stream {name} cannot be made: {error}")))
    }

    async fn servers_fit(&self) -> Result<(), String> {
        let told = self.client.server_info();
        if told.max_payload < group::ONE_BYTES_MAX {
            let has = told.max_payload;
            return Err(format!(
                "the NATS server takes messages of {has} bytes, and a call may be larger: write max_payload: 2MB into its configuration"
            ));
        }
        if self.settings.sync == Sync::Interval {
            return Ok(());
        }
        let version = &told.version;
        if !synced::can(version) {
            return Err(format!(
                "nats-server {version} cannot sync before it acknowledges (2.10 and later can): what it acknowledged is lost if all replicas lose power. Take a later one, or write sync = \"interval\" into [intake] if that is enough"
            ));
        }
        if self.settings.monitors.is_empty() {
            tracing::warn!(
                "nobody can see whether the NATS servers sync before they acknowledge: set intake.monitors, and sync_interval: always in their configuration"
            );
        }
        for monitor in &self.settings.monitors {
            match synced::ask(monitor).await {
                Ok(Said::Always) => {}
                Ok(Said::Later) => {
                    return Err(format!(
                        "the NATS server at {monitor} acknowledges before it syncs: what it acknowledged is lost if all replicas lose power. Write sync_interval: always into its jetstream block, or sync = \"interval\" into [intake] if that is enough"
                    ));
                }
                Err(told) => tracing::warn!(monitor, "whether this NATS server syncs always is unknown: {told}"),
            }
        }
        Ok(())
    }

    /// How far the stream was taken in, if it ever was.
    pub(crate) async fn state(&self) -> Result<Option<LogState>, Trouble> {
        let name = self.settings.stream.clone();
        self.on_store(move |store| store.read(|tx: &mut Tx<'_>| logs::find(tx, &name))).await
    }

    /// Runs store work where it may block.
    pub(crate) async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> huiliu_core::store::db::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let kept = self.store.clone();
        let done = tokio::task::spawn_blocking(move || kept.0.as_ref().map_or(Err(StoreError::Refused), work)).await;
        Ok(done.map_err(|error| Trouble::Away(error.to_string()))??)
    }
}

fn options(settings: &Settings, stand: &Arc<Stand>) -> Result<ConnectOptions, String> {
    let stand = stand.clone();
    let mut options = ConnectOptions::new()
        .name("huiliu")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(ANSWER_MAX))
        .ping_interval(Duration::from_secs(2))
        .reconnect_delay_callback(|tries| (Duration::from_millis(50) * u32::try_from(tries).unwrap_or(20)).min(AGAIN))
        .event_callback(move |event| {
            let stand = stand.clone();
            async move {
                match event {
                    Event::Connected => stand.connected(),
                    Event::Disconnected => stand.lost(),
                    Event::ServerError(error) => tracing::debug!("a NATS server says: {error}"),
                    Event::ClientError(error) => tracing::debug!("the NATS client says: {error}"),
                    _ => {}
                }
            }
        });
    options = match &settings.login {
        Login::None => options,
        Login::User { name, password } => options.user_and_password(name.clone(), password.expose().to_owned()),
        Login::Token(token) => options.token(token.expose().to_owned()),
        Login::Credentials(text) => options
            .credentials(text.expose())
            .map_err(|_| "the secret of the intake is no text of a .creds file".to_owned())?,
    };
    if let Some(ca) = &settings.tls.ca {
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &settings.tls.own {
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(options)
}
