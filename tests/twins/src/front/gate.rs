//! A gate of tokens before a twin that has none of its own: access tokens end, refresh tokens are good once and each is
//! replaced by another one, and whoever shows a spent one has lost the whole family, as RFC 9700 (4.14.2) advises.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Where tokens are given.
pub(super) const PATH: &str = "/oauth/token";

/// An access token is good for so long.
const GOOD_MS: i64 = 120_000;

/// A pair of tokens: access, refresh.
pub type Pair = (String, String);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gate {
    access: String,
    refresh: String,
    spent: BTreeSet<String>,
    ends_ms: i64,
    issued: u64,
}

/// What a token request came to.
pub(super) enum Granted {
    /// Fresh tokens.
    Fresh(Value),
    /// A spent one was shown: the family is no good any more.
    Revoked,
    /// No token of ours.
    Refused,
}

impl Gate {
    /// A person signs in: a new family.
    pub(super) fn sign_in(&mut self, now_ms: i64) -> Pair {
        self.spent.clear();
        self.issue(now_ms);
        (self.access.clone(), self.refresh.clone())
    }

    fn issue(&mut self, now_ms: i64) {
        self.issued += 1;
        self.access = format!("access-{}-not-a-real-one", self.issued);
        self.refresh = format!("refresh-{}-not-a-real-one", self.issued);
        self.ends_ms = now_ms + GOOD_MS;
    }

    /// A form with a refresh token.
    pub(super) fn grant(&mut self, form: &str, now_ms: i64) -> Granted {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        let shown = pairs.find(|(name, _)| *name == "refresh_token").map_or("", |(_, value)| value);
        // A family dies once.
        if self.refresh.is_empty() || (shown != self.refresh && !self.spent.contains(shown)) {
            return Granted::Refused;
        }
        if shown != self.refresh {
            (self.access, self.refresh) = Pair::default();
            return Granted::Revoked;
        }
        self.spent.insert(shown.to_owned());
        self.issue(now_ms);
        Granted::Fresh(json!({ "access_token": self.access, "refresh_token": self.refresh, "token_type": "Bearer",
            "expires_in": GOOD_MS / 1_000 }))
    }

    /// Whether a call with this header may pass.
    pub(super) fn admits(&self, authorization: &str, now_ms: i64) -> bool {
        !self.access.is_empty() && authorization.strip_prefix("Bearer ") == Some(&self.access) && now_ms < self.ends_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(gate: &mut Gate, refresh: &str) -> Pair {
        match gate.grant(&format!("grant_type=refresh_token&refresh_token={refresh}"), 0) {
            Granted::Fresh(told) => {
                (told["access_token"].as_str().unwrap().to_owned(), told["refresh_token"].as_str().unwrap().to_owned())
            }
            _ => panic!("{refresh} is good"),
        }
    }

    #[test]
    fn a_refresh_token_is_good_once_and_the_second_time_ends_the_family() {
        let mut gate = Gate::default();
        let (access, refresh) = gate.sign_in(0);
        assert!(gate.admits(&format!("Bearer {access}"), 0));
        assert!(!gate.admits(&format!("Bearer {access}"), GOOD_MS), "it has ended");
        let (second, next) = fresh(&mut gate, &refresh);
        assert!(!gate.admits(&format!("Bearer {access}"), 0) && gate.admits(&format!("Bearer {second}"), 0));
        assert!(matches!(gate.grant(&format!("refresh_token={refresh}"), 0), Granted::Revoked));
        assert!(!gate.admits(&format!("Bearer {second}"), 0) && !gate.admits("Bearer ", 0));
        assert!(matches!(gate.grant(&format!("refresh_token={next}"), 0), Granted::Refused), "nor is its last one");
        let (access, _) = gate.sign_in(0);
        assert!(gate.admits(&format!("Bearer {access}"), 0), "until somebody signs in again");
    }
}
