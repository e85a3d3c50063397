//! What one process tells the others that share a store on Postgres: that there is work.
//!
//! A transaction that adds work rings; the server passes it on once it is committed, and forgets it if it is not. Whoever
//! listens is told at once. Nothing depends on it: everybody looks for himself now and then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Backend, Result, Store, Tx};

/// The channel.
const CHANNEL: &str = "huiliu";

/// A payload has 8000 bytes at most; whom it would not name any more it wakes with everybody.
const PAYLOAD_MAX: usize = 7000;

/// A listener asks so often whether it is to stop.
const LISTEN: Duration = Duration::from_secs(2);

/// Who is woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bell {
    /// Everybody: nobody knows what was changed, or rung.
    All,
    /// Whoever computes meaning.
    Think,
    /// Whoever reads the streams of a connection.
    Read(String),
    /// Whoever fetches for a connection, and sends to it.
    Tend(String),
    /// Whoever shares the work: somebody gave some back.
    Shares,
}

impl Bell {
    fn line(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Think => "think".to_owned(),
            Self::Read(name) => format!("read {name}"),
            Self::Tend(name) => format!("tend {name}"),
            Self::Shares => "shares".to_owned(),
        }
    }

    /// None: another version rings what this one does not know.
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            None if line == "all" => Some(Self::All),
            None if line == "think" => Some(Self::Think),
            None if line == "shares" => Some(Self::Shares),
            Some(("read", name)) => Some(Self::Read(name.to_owned())),
            Some(("tend", name)) => Some(Self::Tend(name.to_owned())),
            _ => None,
        }
    }
}

/// Who rings, and what: a line each.
fn payload(node: &str, bells: impl IntoIterator<Item = Bell>) -> String {
    let mut text = node.to_owned();
    for bell in bells {
        text.push('\n');
        text.push_str(&bell.line());
    }
    if text.len() > PAYLOAD_MAX { format!("{node}\n{}", Bell::All.line()) } else { text }
}

/// What others ring; our own bells rang already.
fn heard(node: &str, payload: &str) -> Vec<Bell> {
    match payload.split_once('\n') {
        Some((from, lines)) if from != node => lines.lines().filter_map(Bell::parse).collect(),
        _ => Vec::new(),
    }
}

impl Tx<'_> {
    /// Wakes the other processes once this transaction is committed. On `SQLite` there are none.
    pub fn ring(&mut self, bell: Bell) {
        if let Self::Postgres(tx) = self {
            tx.bells.insert(bell);
        }
    }

    /// Hands over what is to be rung.
    pub(super) fn send_bells(&mut self, store: &Store) -> Result<()> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        let bells = std::mem::take(&mut tx.bells);
        if bells.is_empty() || !store.shared.is_heard.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = payload(store.node(), bells);
        self.execute_later("SELECT pg_notify(?1, ?2)", &[super::Param::Text(CHANNEL), super::Param::Text(&text)])
    }
}

impl Store {
    /// Tells what other processes ring until it is to stop, or until the connection breaks: then it returns why. Nothing is
    /// told of what was rung before. Ends at once on `SQLite`.
    ///
    /// # Errors
    /// The connection broke, or there was none.
    pub fn listen(&self, tell: &dyn Fn(Bell), is_to_stop: &dyn Fn() -> bool) -> Result<()> {
        let Backend::Postgres(pool) = &self.shared.backend else { return Ok(()) };
        let mut session = pool.apart()?;
        session.batch(&format!("LISTEN {CHANNEL}"))?;
        // What was rung while nobody listened.
        tell(Bell::All);
        while !is_to_stop() {
            for told in session.notifications(LISTEN)? {
                heard(self.node(), told.payload()).into_iter().for_each(tell);
            }
            if session.is_closed() {
                return Err(super::StoreError::Open("the connection on which others are heard was closed".to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bells_arrive_as_they_were_rung() {
        let bells = [Bell::All, Bell::Think, Bell::Read("my shop".into()), Bell::Tend("crm".into()), Bell::Shares];
        let text = payload("me", bells.clone());
        assert_eq!(heard("you", &text), bells);
        assert!(heard("me", &text).is_empty(), "our own");
        assert!(heard("you", "me\nwhisper").is_empty() && heard("you", "").is_empty(), "of another version");
        let many = (0..1000).map(|at| Bell::Tend(format!("connection-{at}")));
        assert_eq!(heard("you", &payload("me", many)), [Bell::All]);
    }
}
