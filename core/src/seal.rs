//! Secret values at rest: AES-256-GCM under a key that lives in a file of its own.

use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use crate::secrets::{Claim, TURN_US, Token, TokenStore};
use crate::store::renewals::{self, Turn};
use crate::store::{Store, budgets, sealed};

/// The deployment's key.
#[derive(Clone)]
pub struct Seal(Aes256Gcm);

const NONCE_BYTES: usize = 12;

impl Seal {
    /// Reads the key file, or makes one that only its owner can read.
    pub fn open(path: &Path) -> Result<Self, String> {
        let place = path.display();
        let key = match std::fs::read(path) {
            Ok(key) => Zeroizing::new(key),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new(vec![0_u8; 32]);
                getrandom::fill(&mut key).map_err(|error| format!("no randomness for a key: {error}"))?;
                write_private(path, &key).map_err(|error| format!("{place}: cannot write the key: {error}"))?;
                key
            }
            Err(error) => return Err(format!("{place}: cannot read the key: {error}")),
        };
        let cipher = Aes256Gcm::new_from_slice(&key)
            .map_err(|_| format!("{place}: a key has 32 bytes; restore the file from your backup"))?;
        Ok(Self(cipher))
    }

    /// Seals a text; `name` is bound to it, so that sealed values cannot be swapped.
    pub fn seal(&self, name: &str, text: &str) -> Result<Vec<u8>, String> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| format!("no randomness: {error}"))?;
        let payload = Payload { msg: text.as_bytes(), aad: name.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).map_err(|_| "sealing failed".to_owned())?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Seal::seal`] made under the same name.
    pub fn unseal(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<String>, String> {
        let wrong = || format!("{name}: the sealed value does not open; was the key file replaced?");
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let text = self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|_| wrong())?;
        String::from_utf8(text).map(Zeroizing::new).map_err(|_| wrong())
    }
}

#[cfg(unix)]
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(not(unix))]
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, bytes)
}

/// Named secrets and tokens of one connection, sealed in the store.
pub struct SealedVault {
    /// The store.
    pub store: Store,
    /// The key.
    pub seal: Seal,
    /// Whose they are.
    pub connection: String,
}

impl SealedVault {
    /// A sealed text by name.
    pub fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        let found = self.aside(|| self.store.read(|tx| sealed::get(tx, &self.connection, name)));
        let sealed = found.map_err(|error| error.to_string())?;
        sealed.map(|sealed| self.seal.unseal(&self.bound(name), &sealed)).transpose()
    }

    /// Seals and stores a text durably.
    pub fn put(&self, name: &str, text: &str) -> Result<(), String> {
        let sealed = self.seal.seal(&self.bound(name), text)?;
        let put = self.aside(|| self.store.write(|tx| sealed::put(tx, &self.connection, name, &sealed)));
        put.map_err(|error| error.to_string())
    }

    /// Calls to vendors ask for tokens on threads of the asynchronous runtime, where the blocking Postgres client may not
    /// be used: it gets a thread of its own for that moment.
    fn aside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.store.kind() == "sqlite" || tokio::runtime::Handle::try_current().is_err() {
            return work();
        }
        std::thread::scope(|scope| match scope.spawn(work).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn bound(&self, name: &str) -> String {
        format!("{}/{name}", self.connection)
    }
}

impl TokenStore for SealedVault {
    fn load(&self, name: &str) -> Result<Option<Token>, String> {
        let text = self.get(&format!("token.{name}"))?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).transpose()
    }

    fn save(&self, name: &str, token: &Token) -> Result<(), String> {
        let text = Zeroizing::new(serde_json::to_string(token).map_err(|error| error.to_string())?);
        self.put(&format!("token.{name}"), &text)
    }

    fn claim(&self, name: &str, holder: &str) -> Result<Claim, String> {
        self.turn(name, |known, now_us| match known {
            Some(turn) if turn.holder != holder && turn.until_us > now_us => (Claim::Theirs, None),
            known => {
                let asked = known.and_then(|turn| turn.asked);
                let turn = Turn { holder: holder.to_owned(), until_us: now_us + TURN_US, asked: asked.clone() };
                let asked = asked.and_then(|asked| {
                    let (digest, at_us) = asked.split_once('@')?;
                    Some((digest.to_owned(), now_us - at_us.parse::<i64>().ok()?))
                });
                (Claim::Yours { asked }, Some(turn))
            }
        })
    }

    fn note(&self, name: &str, holder: &str, asked: Option<&str>) -> Result<bool, String> {
        self.turn(name, |known, now_us| match known {
            Some(turn) if turn.holder == holder && turn.until_us > now_us => {
                let until_us = if asked.is_some() { now_us + TURN_US } else { 0 };
                (true, Some(Turn { until_us, asked: asked.map(|digest| format!("{digest}@{now_us}")), ..turn }))
            }
            _ => (false, None),
        })
    }

    fn leave(&self, name: &str, holder: &str) -> Result<(), String> {
        self.turn(name, |known, _| match known {
            Some(turn) if turn.holder == holder => ((), Some(Turn { until_us: 0, ..turn })),
            _ => ((), None),
        })
    }

    fn settle(&self, name: &str, former: Option<&Token>, token: &Token) -> Result<Token, String> {
        let key = format!("token.{name}");
        let text = Zeroizing::new(serde_json::to_string(token).map_err(|error| error.to_string())?);
        let sealed = self.seal.seal(&self.bound(&key), &text)?;
        // Who was asleep for so long that another renewed the token finds it changed, and what it brings itself is void.
        let is_former = |known: &[u8]| {
            let known = self.seal.unseal(&self.bound(&key), known).ok()?;
            let known: Token = serde_json::from_str(&known).ok()?;
            let is_same = former.is_some_and(|it| (&it.access, &it.refresh) == (&known.access, &known.refresh));
            Some((is_same, known))
        };
        let settled = self.aside(|| {
            self.store.write(|tx| {
                renewals::lock(tx)?;
                let known = sealed::get(tx, &self.connection, &key)?;
                if let Some((false, known)) = known.as_deref().and_then(is_former) {
                    return Ok(known);
                }
                sealed::put(tx, &self.connection, &key, &sealed)?;
                if let Some(turn) = renewals::turn(tx, &self.connection, name)? {
                    renewals::put(tx, &self.connection, name, &Turn { until_us: 0, asked: None, ..turn })?;
                }
                Ok(token.clone())
            })
        });
        settled.map_err(|error| error.to_string())
    }
}

impl SealedVault {
    /// Looks whose turn it is, and changes it, as one.
    fn turn<T: Send>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Turn>, i64) -> (T, Option<Turn>) + Send,
    ) -> Result<T, String> {
        let changed = self.aside(|| {
            self.store.write(|tx| {
                renewals::lock(tx)?;
                let now_us = budgets::clock_us(tx)?;
                let (answer, turn) = change(renewals::turn(tx, &self.connection, name)?, now_us);
                if let Some(turn) = turn {
                    renewals::put(tx, &self.connection, name, &turn)?;
                }
                Ok(answer)
            })
        });
        changed.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_under_its_name_and_key() {
        let folder = std::env::temp_dir().join(format!("huiliu-seal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (one, two) = (Seal::open(&folder.join("one")).unwrap(), Seal::open(&folder.join("two")).unwrap());
        let sealed = one.seal("shop/secret", "s3cret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_eq!(one.unseal("shop/secret", &sealed).unwrap().as_str(), "s3cret");
        assert_eq!(Seal::open(&folder.join("one")).unwrap().unseal("shop/secret", &sealed).unwrap().as_str(), "s3cret");
        assert!(one.unseal("erp/secret", &sealed).is_err());
        assert!(two.unseal("shop/secret", &sealed).unwrap_err().contains("was the key file replaced"));
        let mut changed = sealed.clone();
        changed[20] ^= 1;
        assert!(one.unseal("shop/secret", &changed).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
