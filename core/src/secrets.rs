//! Secret values: never shown, sealed at rest; and the vault for tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
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
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(expires_at_us: {:?})", self.expires_at_us)
    }
}

/// Where a vault keeps sealed tokens.
pub trait TokenStore: Send + Sync {
    /// The stored token of this name.
    fn load(&self, name: &str) -> Result<Option<Token>, String>;
    /// Stores it durably before returning.
    fn save(&self, name: &str, token: &Token) -> Result<(), String>;
}

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

/// The tokens of one connection. A refresh is single-flight, and stored before it is used.
pub struct TokenVault {
    store: Arc<dyn TokenStore>,
    refreshing: tokio::sync::Mutex<()>,
}

impl TokenVault {
    /// A vault over a store.
    pub fn new(store: Arc<dyn TokenStore>) -> Self {
        Self { store, refreshing: tokio::sync::Mutex::new(()) }
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
        E: From<TokenVaultError>,
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
        let stored = self.store.load(name).map_err(TokenVaultError)?;
        if let Some(token) = stored.clone().filter(usable) {
            return Ok(token);
        }
        let fresh = refresh(stored).await?;
        point(Point::TokenIssued);
        self.store.save(name, &fresh).map_err(TokenVaultError)?;
        point(Point::TokenSealed);
        Ok(fresh)
    }

    /// Stores a token that was obtained outside (the end of an authorization-code flow).
    pub fn put(&self, name: &str, token: &Token) -> Result<(), String> {
        self.store.save(name, token)
    }
}

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
