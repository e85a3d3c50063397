//! Where verified calls are kept before they are answered: in the store itself, or in a stream before it (`[intake]`).

use std::sync::Arc;

use huiliu_core::pipeline::intake::{Intake, Log};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::IntakeLogin;
use crate::deployment::Deployment;

/// The name under which the secrets of `[intake]` are sealed.
pub const SECRETS: &str = "intake";

/// The way in, and what leads on from it.
pub struct WayIn {
    /// Where calls are kept.
    pub log: Arc<dyn Log>,
    #[cfg(feature = "jetstream")]
    stream: Option<huiliu_jetstream::Log>,
}

/// Opens the way in. `wake` is called after everything that was appended to the inbox.
///
/// # Errors
/// What a person has to mend.
pub async fn open(deployment: &Deployment, wake: impl Fn() + Send + 'static) -> Result<WayIn, String> {
    if deployment.config.intake.is_some() {
        return stream(deployment).await;
    }
    let engine = &deployment.engine;
    let intake = Intake::start(engine.store.clone(), engine.clock.clone(), wake);
    let log = Arc::new(intake.map_err(|error| format!("the intake cannot start: {error}"))?);
    Ok(WayIn {
        log,
        #[cfg(feature = "jetstream")]
        stream: None,
    })
}

/// The secret of `[intake]` that is to be sealed, if one is wanted.
pub fn secret(deployment: &Deployment) -> Option<&'static str> {
    let login = deployment.config.intake.as_ref().map_or(IntakeLogin::None, |given| given.login);
    login.secret().filter(|_| !deployment.config.connections.contains_key(SECRETS))
}

#[cfg(not(feature = "jetstream"))]
async fn stream(_: &Deployment) -> Result<WayIn, String> {
    Err("huiliu.toml has an [intake], and this program was built without JetStream: build it with `--features jetstream`".to_owned())
}

#[cfg(not(feature = "jetstream"))]
impl WayIn {
    /// Takes in what the stream holds, if there is one, until told to stop.
    pub fn lead_on(&self, _: &mut JoinSet<()>, _: impl Fn() + Send + Sync + 'static, _: watch::Receiver<bool>) {}
}

#[cfg(feature = "jetstream")]
pub use with_stream::settings;
#[cfg(feature = "jetstream")]
use with_stream::stream;

#[cfg(feature = "jetstream")]
mod with_stream {
    use huiliu_core::seal::SealedVault;
    use huiliu_core::secrets::Secret;
    use huiliu_jetstream::reader::Reader;
    use huiliu_jetstream::writer::Writer;
    use huiliu_jetstream::{Login, Settings, Sync, Tls};

    use super::{Arc, Deployment, IntakeLogin, JoinSet, SECRETS, WayIn, watch};
    use crate::config::{self, IntakeSync};

    pub(super) async fn stream(deployment: &Deployment) -> Result<WayIn, String> {
        let engine = &deployment.engine;
        let stream = huiliu_jetstream::Log::open(settings(deployment)?, engine.store.clone(), engine.clock.clone());
        let stream = stream.await.map_err(|told| format!("[intake]: {told}"))?;
        Ok(WayIn { log: Arc::new(Writer::start(stream.clone())), stream: Some(stream) })
    }

    impl WayIn {
        /// Takes in what the stream holds, if there is one, until told to stop.
        pub fn lead_on(
            &self,
            tasks: &mut JoinSet<()>,
            wake: impl Fn() + Send + std::marker::Sync + 'static,
            stop: watch::Receiver<bool>,
        ) {
            if let Some(stream) = &self.stream {
                tasks.spawn(Reader::new(stream.clone(), wake).run(stop));
            }
        }
    }

    /// What `[intake]` says, with its secret.
    ///
    /// # Errors
    /// What is missing.
    pub fn settings(deployment: &Deployment) -> Result<Settings, String> {
        let Some(given) = &deployment.config.intake else { return Err("huiliu.toml has no [intake]".to_owned()) };
        if deployment.config.connections.contains_key(SECRETS) {
            return Err(
                "[intake] and a connection `intake` cannot stand side by side: give the connection another name"
                    .to_owned(),
            );
        }
        if given.servers.is_empty() {
            return Err("[intake]: servers is empty; write servers = [\"nats://HOST:4222\"]".to_owned());
        }
        let file = |name: &String| deployment.folder.join(name);
        let own = match (&given.certificate, &given.key) {
            (Some(certificate), Some(key)) => Some((file(certificate), file(key))),
            (None, None) => None,
            _ => return Err("[intake]: certificate and key belong together".to_owned()),
        };
        Ok(Settings {
            servers: given.servers.clone(),
            login: login(deployment, given)?,
            tls: Tls { ca: given.ca.as_ref().map(file), own },
            stream: given.stream.clone(),
            subject: given.subject.clone(),
            replicas: given.replicas,
            max_bytes: i64::from(given.max_mb) << 20,
            sync: match given.sync {
                IntakeSync::Always => Sync::Always,
                IntakeSync::Interval => Sync::Interval,
            },
            monitors: given.monitors.clone(),
        })
    }

    fn login(deployment: &Deployment, given: &config::Intake) -> Result<Login, String> {
        let Some(name) = given.login.secret() else { return Ok(Login::None) };
        let (store, seal) = (deployment.engine.store.clone(), deployment.seal.clone());
        let vault = SealedVault { store, seal, connection: SECRETS.to_owned() };
        let Some(value) = vault.get(&format!("secret.{name}"))? else {
            return Err(format!("[intake]: its secret is missing; run `huiliu secret intake {name}`"));
        };
        let secret = Secret::new(value.as_str());
        Ok(match (given.login, &given.user) {
            (IntakeLogin::Token, _) => Login::Token(secret),
            (IntakeLogin::Credentials, _) => Login::Credentials(secret),
            (_, Some(user)) => Login::User { name: user.clone(), password: secret },
            (_, None) => return Err("[intake]: login = \"password\" needs a user".to_owned()),
        })
    }
}
