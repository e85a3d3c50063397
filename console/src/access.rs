//! Who may come in: accounts with passwords, invitations by a link that works once, sessions by a cookie.
//!
//! Tokens are 256 random bits; the store keeps their hashes only, so whoever reads the store cannot come in with what
//! he finds there. A form carries a value that follows from the cookie's token and that no other site can know.

mod password;
mod throttle;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use huiliu_core::engine::Engine;
use huiliu_core::store::accounts::{self, Session};
use huiliu_core::store::db::Result;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

pub use password::{CHARS_MAX as PASSWORD_MAX, CHARS_MIN as PASSWORD_MIN};
pub use throttle::Throttle;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

/// A session that nobody used for so long is over: a lunch break, not an evening.
pub const IDLE_US: i64 = 2 * HOUR_US;

/// A session is over after a working day, however busy.
pub const SESSION_US: i64 = 12 * HOUR_US;

/// The use of a session is noted this often: a page need not wait for a write.
const TOUCH_US: i64 = MINUTE_US;

/// An invitation must be opened within an hour: it stands in a terminal's scrollback.
pub const INVITATION_US: i64 = HOUR_US;

/// A name has at most so many letters.
pub const NAME_MAX: usize = 40;

/// 256 random bits as text.
pub fn token() -> String {
    let mut bytes = [0; 32];
    // Without randomness nothing that follows is safe: better no console than a guessable one.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What the store keeps of a token.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// What forms must carry: it follows from the cookie's token, and tells nothing about it.
pub fn form_token(token: &str) -> String {
    hex::encode(Sha256::digest(format!("huiliu form {token}").as_bytes()))
}

/// Whether a form carried the right value.
pub fn is_form_token(given: &str, token: &str) -> bool {
    given.as_bytes().ct_eq(form_token(token).as_bytes()).into()
}

/// A name as it is kept: no blanks around, lower case; none if it is none.
pub fn account_name(text: &str) -> Option<String> {
    let name = text.trim().to_lowercase();
    let fits = |c: char| c.is_alphanumeric() || "._-@".contains(c);
    (!name.is_empty() && name.chars().count() <= NAME_MAX && name.chars().all(fits)).then_some(name)
}

/// Makes an invitation to a new account, or to a new password for a known one; returns the token of its link.
pub fn invite(engine: &Engine, account: Option<&str>) -> Result<String> {
    let (token, now_us) = (token(), engine.clock.now_us());
    engine.store.write(|tx| accounts::invite(tx, &hash(&token), account, now_us, now_us + INVITATION_US))?;
    Ok(token)
}

/// The name of an account as it is kept, if there is such an account.
pub fn account(engine: &Engine, name: &str) -> Result<Option<String>> {
    let Some(name) = account_name(name) else { return Ok(None) };
    let known = engine.store.read(|tx| accounts::password(tx, &name))?;
    Ok(known.map(|_| name))
}

/// Where there is no account yet: an invitation for the first one, in place of those that were made before.
pub fn first_invitation(engine: &Engine) -> Result<Option<String>> {
    if engine.store.read(accounts::any)? {
        return Ok(None);
    }
    engine.store.write(accounts::withdraw_invitations)?;
    invite(engine, None).map(Some)
}

/// What became of an invitation that somebody wants to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The account is there, or has its new password.
    Done(String),
    /// The link was used, or has run out.
    Over,
    /// The name is no name.
    NoName,
    /// Somebody has the name.
    Taken,
    /// The password is too short or too long.
    NoPassword,
}

/// Uses an invitation. Blocks for as long as a password takes to hash.
pub fn accept(engine: &Engine, token: &str, name: &str, password: &str) -> Result<Accepted> {
    let (hash, now_us) = (hash(token), engine.clock.now_us());
    let Some(account) = engine.store.read(|tx| accounts::invitation(tx, &hash, now_us))? else {
        return Ok(Accepted::Over);
    };
    let name = match &account {
        Some(known) => known.clone(),
        None => match account_name(name) {
            Some(name) => name,
            None => return Ok(Accepted::NoName),
        },
    };
    let Some(kept) = password::hash(password) else { return Ok(Accepted::NoPassword) };
    engine.store.write(|tx| {
        // The name is looked at first: a taken one does not cost the invitation.
        if account.is_none() && accounts::password(tx, &name)?.is_some() {
            return Ok(Accepted::Taken);
        }
        if !accounts::use_invitation(tx, &hash, now_us)? {
            return Ok(Accepted::Over);
        }
        let done = match account {
            Some(_) => accounts::set_password(tx, &name, &kept)?,
            None => accounts::add(tx, &name, &kept, now_us)?,
        };
        Ok(if done { Accepted::Done(name.clone()) } else { Accepted::Taken })
    })
}

/// Opens a session if name and password are right; returns its token. A session that the browser had before ends: what
/// somebody planted there is worth nothing afterwards.
pub fn log_in(engine: &Engine, name: &str, password: &str, before: Option<&str>) -> Result<Option<(String, String)>> {
    let Some(name) = account_name(name) else {
        password::spend_time(password);
        return Ok(None);
    };
    let kept = engine.store.read(|tx| accounts::password(tx, &name))?;
    let is_right = match &kept {
        Some(kept) => password::is(password, kept),
        None => {
            password::spend_time(password);
            false
        }
    };
    if !is_right {
        return Ok(None);
    }
    let (token, now_us) = (token(), engine.clock.now_us());
    let session = Session { account: name.clone(), made_us: now_us, seen_us: now_us };
    engine.store.write(|tx| {
        if let Some(before) = before {
            accounts::close_session(tx, &hash(before))?;
        }
        accounts::open_session(tx, &hash(&token), &session, now_us - SESSION_US, now_us - IDLE_US)
    })?;
    Ok(Some((token, name)))
}

/// Whose session this is, if it is not over. `touch` notes that it was used.
pub fn whose(engine: &Engine, token: &str, touch: Touch) -> Result<Option<String>> {
    let (hash, now_us) = (hash(token), engine.clock.now_us());
    let Some(session) = engine.store.read(|tx| accounts::session(tx, &hash))? else { return Ok(None) };
    if now_us - session.made_us >= SESSION_US || now_us - session.seen_us >= IDLE_US {
        return Ok(None);
    }
    if touch == Touch::Used && now_us - session.seen_us >= TOUCH_US {
        engine.store.write(|tx| accounts::touch_session(tx, &hash, now_us))?;
    }
    Ok(Some(session.account))
}

/// Whether a person did something, or a page only looked again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// A person did something.
    Used,
    /// Nobody did.
    Looked,
}

/// Ends a session.
pub fn log_out(engine: &Engine, token: &str) -> Result<()> {
    engine.store.write(|tx| accounts::close_session(tx, &hash(token)))
}

#[cfg(test)]
mod tests {
    use huiliu_core::clock::Clock;
    use huiliu_core::store::Store;
    use huiliu_mappings::{matching, merge};

    use super::*;

    fn engine(folder: &tempfile::TempDir) -> Engine {
        let store = Store::open(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
        Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), [], Clock::manual(1_000 * HOUR_US))
    }

    const GOOD: &str = "correct horse battery";

    #[test]
    fn a_link_works_once_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder);
        let old = first_invitation(&engine).unwrap().unwrap();
        let link = first_invitation(&engine).unwrap().unwrap();
        let accept = |link: &str, name: &str, password: &str| super::accept(&engine, link, name, password).unwrap();
        assert_eq!(accept(&old, "li", GOOD), Accepted::Over, "a newer first link replaces the former");
        assert_eq!(accept(&link, "li lei", GOOD), Accepted::NoName);
        assert_eq!(accept(&link, "li", "short"), Accepted::NoPassword);
        assert_eq!(accept(&link, " Li ", GOOD), Accepted::Done("li".to_owned()));
        assert_eq!(accept(&link, "han", GOOD), Accepted::Over);
        assert_eq!(first_invitation(&engine).unwrap(), None, "somebody is there");
        let second = invite(&engine, None).unwrap();
        assert_eq!(accept(&second, "LI", GOOD), Accepted::Taken);
        engine.clock.advance_us(INVITATION_US);
        assert_eq!(accept(&second, "han", GOOD), Accepted::Over);
    }

    #[test]
    fn a_session_ends() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder);
        let link = first_invitation(&engine).unwrap().unwrap();
        accept(&engine, &link, "li", GOOD).unwrap();
        let log_in = |before: Option<&str>| super::log_in(&engine, "Li", GOOD, before).unwrap().unwrap().0;
        assert_eq!(super::log_in(&engine, "li", "wrong", None).unwrap(), None);
        assert_eq!(super::log_in(&engine, "nobody", GOOD, None).unwrap(), None);
        let first = log_in(None);
        let whose = |token: &str| super::whose(&engine, token, Touch::Used).unwrap();
        assert_eq!(whose(&first).as_deref(), Some("li"));
        assert_eq!(whose("guessed"), None);
        let second = log_in(Some(&first));
        assert_eq!(whose(&first), None, "what was there before the login is worth nothing");
        log_out(&engine, &second).unwrap();
        assert_eq!(whose(&second), None);
        let idle = log_in(None);
        engine.clock.advance_us(IDLE_US);
        assert_eq!(whose(&idle), None);
        let busy = log_in(None);
        for _ in 0..SESSION_US / HOUR_US - 1 {
            engine.clock.advance_us(HOUR_US);
            assert!(whose(&busy).is_some());
        }
        engine.clock.advance_us(HOUR_US);
        assert_eq!(whose(&busy), None, "however busy");
        // A new password ends every session.
        let open = log_in(None);
        let link = invite(&engine, Some("li")).unwrap();
        assert_eq!(accept(&engine, &link, "", "another good password").unwrap(), Accepted::Done("li".to_owned()));
        assert_eq!(whose(&open), None);
    }

    #[test]
    fn a_form_belongs_to_its_cookie() {
        let (one, other) = (token(), token());
        assert!(one.len() == 43 && one != other);
        assert!(is_form_token(&form_token(&one), &one));
        assert!(!is_form_token(&form_token(&other), &one) && !is_form_token("", &one));
        assert!(!form_token(&one).contains(&one) && form_token(&one) != hash(&one));
    }
}
