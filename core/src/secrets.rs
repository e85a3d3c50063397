//! Secret values: never shown, sealed at rest; and the vault for tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use crate::crash::{Point, point};

/// A secret value. Its debug form hides it, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Arc<SecretText>);

struct SecretText(String);

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// Takes the value in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(SecretText(text.into())))
    }

    /// The value. Call it only where the value leaves for the system it belongs to.
    pub fn expose(&self) -> &str {
        &self.0.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A token as a vendor issued it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// The access token.
    pub access: String,
    /// The refresh token, where the vendor gives one. Some vendors revoke the whole family when an old one is used.
    pub refresh: Option<String>,
    /// When the access token ends, in microseconds since 1970 UTC; none: unknown, use until refused.
    pub expires_at_us: Option<i64>,
    /// What else the token reply said that later calls need (`instance_url`, `api_domain`).
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
    /// Whether the vendor gave another refresh token in place of this one's predecessor: then each is good once.
    #[serde(default)]
    pub rotates: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(expires_at_us: {:?})", self.expires_at_us)
    }
}

/// Where a vault keeps sealed tokens, and whose turn it is to renew one. Who is alone always has the turn.
pub trait TokenStore: Send + Sync {
    /// The stored token of this name.
    fn load(&self, name: &str) -> Result<Option<Token>, String>;

    /// Stores it durably before returning.
    fn save(&self, name: &str, token: &Token) -> Result<(), String>;

    /// Takes the turn to renew a token, or goes on holding it, for [`TURN_US`].
    fn claim(&self, _name: &str, _holder: &str) -> Result<Claim, String> {
        Ok(Claim::Yours { asked: None })
    }

    /// Notes durably, before anything is sent, which refresh token is; none: what was noted is over, and so is the turn.
    /// False: the turn is somebody else's by now.
    fn note(&self, _name: &str, _holder: &str, _asked: Option<&str>) -> Result<bool, String> {
        Ok(true)
    }

    /// Gives the turn back and leaves what was noted.
    fn leave(&self, _name: &str, _holder: &str) -> Result<(), String> {
        Ok(())
    }

    /// Stores what a renewal brought, and ends the turn, unless the token was renewed by somebody else since `former` was
    /// read; then that one is returned.
    fn settle(&self, name: &str, _former: Option<&Token>, token: &Token) -> Result<Token, String> {
        self.save(name, token)?;
        Ok(token.clone())
    }
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller's. `asked`: the digest of a refresh token that was sent away so many microseconds ago, and nobody knows what
    /// came of it.
    Yours {
        /// See there.
        asked: Option<(String, i64)>,
    },
    /// Another process renews.
    Theirs,
}

/// A turn ends by itself after this time, microseconds: its holder is dead or asleep. Who is awake claims it anew
/// meanwhile.
pub const TURN_US: i64 = 6_000_000;

/// A token store that forgets: for tests and for `check` of a folder outside a deployment.
#[derive(Default)]
pub struct MemoryTokens(Mutex<BTreeMap<String, Token>>);

impl TokenStore for MemoryTokens {
    fn load(&self, name: &str) -> Result<Option<Token>, String> {
        Ok(self.0.lock().map_err(|e| e.to_string())?.get(name).cloned())
    }

    fn save(&self, name: &str, token: &Token) -> Result<(), String> {
        self.0.lock().map_err(|e| e.to_string())?.insert(name.to_owned(), token.clone());
        Ok(())
    }
}

/// The tokens of one connection. A refresh is single-flight over all processes, noted before it is asked for, and stored
/// before it is used.
pub struct TokenVault {
    store: Arc<dyn TokenStore>,
    refreshing: tokio::sync::Mutex<()>,
    /// What this vault is called among those that renew.
    holder: String,
}

/// A renewal that is to be made.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The stored token.
    pub stored: Option<Token>,
    /// Its refresh token was sent away so many microseconds ago, and nobody knows what came of it: its holder died, or the answer
    /// was lost.
    pub in_doubt_us: Option<i64>,
}

/// Whether what was asked for may have been done although no answer says so.
pub trait Doubt {
    /// See the trait.
    fn leaves_doubt(&self) -> bool;
}

impl Doubt for crate::connector::ConnectorError {
    fn leaves_doubt(&self) -> bool {
        self.leaves_doubt()
    }
}

impl TokenVault {
    /// A vault over a store.
    pub fn new(store: Arc<dyn TokenStore>) -> Self {
        let mut name = [0; 16];
        // Without randomness two vaults pass for one, which is what they are in one process.
        let _ = getrandom::fill(&mut name);
        Self { store, refreshing: tokio::sync::Mutex::new(()), holder: hex::encode(name) }
    }

    /// A vault that forgets when it is dropped.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryTokens::default()))
    }

    /// The stored token, if there is one.
    pub fn current(&self, name: &str) -> Result<Option<Token>, String> {
        self.store.load(name)
    }

    /// A token other than `rejected`, still good at `now_us` plus 60 s: the stored one if it qualifies, else what
    /// `refresh` returns, stored before it is handed out. One caller refreshes; the others wait and get its result.
    pub async fn get<E, F>(
        &self,
        name: &str,
        now_us: i64,
        rejected: Option<&str>,
        refresh: impl FnOnce(Option<Token>) -> F,
    ) -> Result<Token, E>
    where
        E: From<TokenVaultError> + Doubt,
        F: Future<Output = Result<Token, E>>,
    {
        self.renew(name, now_us, rejected, |renewal| refresh(renewal.stored)).await
    }

    /// The same for a refresh token that may be good once only: `refresh` is told whether it was sent away before.
    pub async fn renew<E, F>(
        &self,
        name: &str,
        now_us: i64,
        rejected: Option<&str>,
        refresh: impl FnOnce(Renewal) -> F,
    ) -> Result<Token, E>
    where
        E: From<TokenVaultError> + Doubt,
        F: Future<Output = Result<Token, E>>,
    {
        let usable = |token: &Token| {
            Some(token.access.as_str()) != rejected
                && token.expires_at_us.is_none_or(|end_us| end_us - now_us > REFRESH_EARLY_US)
        };
        if let Some(token) = self.store.load(name).map_err(TokenVaultError)?.filter(usable) {
            return Ok(token);
        }
        let _one = self.refreshing.lock().await;
        let (stored, asked) = match self.turn(name, usable).await? {
            Turn::Renewed(token) => return Ok(token),
            Turn::Mine { stored, asked } => (stored, asked),
        };
        let digest = stored.as_ref().and_then(|token| token.refresh.as_deref()).map(digest);
        let in_doubt_us = asked.filter(|(asked, _)| digest.as_ref() == Some(asked)).map(|(_, ago_us)| ago_us);
        // What was noted before keeps its time: from then on the server forgives, or does not.
        if let Some(digest) = digest.filter(|_| in_doubt_us.is_none())
            && !self.store.note(name, &self.holder, Some(&digest)).map_err(TokenVaultError)?
        {
            let told = "another process took over while this one slept; it is tried again".to_owned();
            return Err(TokenVaultError(told).into());
        }
        point(Point::TokenNoted);
        let fresh = match self.awake(name, refresh(Renewal { stored: stored.clone(), in_doubt_us })).await {
            Ok(fresh) => fresh,
            Err(error) => {
                let over = if error.leaves_doubt() || in_doubt_us.is_some() {
                    self.store.leave(name, &self.holder)
                } else {
                    self.store.note(name, &self.holder, None).map(drop)
                };
                over.map_err(TokenVaultError)?;
                return Err(error);
            }
        };
        point(Point::TokenIssued);
        let settled = self.store.settle(name, stored.as_ref(), &fresh).map_err(TokenVaultError)?;
        point(Point::TokenSealed);
        Ok(settled)
    }

    /// Waits for the turn, or for what another process brings.
    async fn turn(&self, name: &str, usable: impl Fn(&Token) -> bool) -> Result<Turn, TokenVaultError> {
        let mut waited = std::time::Duration::ZERO;
        loop {
            let claim = self.store.claim(name, &self.holder).map_err(TokenVaultError)?;
            let stored = self.store.load(name).map_err(TokenVaultError)?;
            if let Some(token) = stored.clone().filter(&usable) {
                if claim != Claim::Theirs {
                    self.store.leave(name, &self.holder).map_err(TokenVaultError)?;
                }
                return Ok(Turn::Renewed(token));
            }
            if let Claim::Yours { asked } = claim {
                return Ok(Turn::Mine { stored, asked });
            }
            if waited >= ASK_ANYWAY && stored.as_ref().is_none_or(|token| token.refresh.is_none()) {
                // Nothing is lost by asking twice.
                return Ok(Turn::Mine { stored, asked: None });
            }
            if waited > WAIT_MAX {
                return Err(TokenVaultError("another process renews the token and does not end".to_owned()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    /// Keeps the turn while an answer is awaited.
    async fn awake<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(CLAIM_EVERY, &mut work).await {
                return done;
            }
            // Whoever took over meanwhile knows that an answer may be on its way.
            if let Err(error) = self.store.claim(name, &self.holder) {
                tracing::warn!("the turn to renew a token could not be kept: {error}");
            }
        }
    }

    /// Stores a token that was obtained outside (the end of an authorization-code flow).
    pub fn put(&self, name: &str, token: &Token) -> Result<(), String> {
        self.store.save(name, token)
    }
}

enum Turn {
    Renewed(Token),
    Mine { stored: Option<Token>, asked: Option<(String, i64)> },
}

/// What a refresh token is called where it may not be shown.
fn digest(refresh: &str) -> String {
    hex::encode(&Sha256::digest(refresh.as_bytes())[..16])
}

/// How often who waits for another process looks whether it is done.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// A renewal that takes longer does not end.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// So long another process is waited for where no refresh token could be spent twice.
const ASK_ANYWAY: std::time::Duration = std::time::Duration::from_secs(1);

/// Who renews claims the turn anew this often.
const CLAIM_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// Refresh this long before the end, so that a token does not die on its way: vendors' clocks differ by seconds.
const REFRESH_EARLY_US: i64 = 60_000_000;

/// The vault's store failed.
#[derive(Debug, thiserror::Error)]
#[error("the token store failed: {0}")]
pub struct TokenVaultError(String);

impl From<TokenVaultError> for crate::connector::ConnectorError {
    fn from(error: TokenVaultError) -> Self {
        Self::transient(error.to_string())
    }
}
