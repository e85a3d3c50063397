//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes).

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// Shorter ones are guessed.
pub const CHARS_MIN: usize = 12;

/// Longer ones are no passwords, and hashing them costs.
pub const CHARS_MAX: usize = 200;

/// What is kept of a password; none if it is too short or too long.
pub(super) fn hash(password: &str) -> Option<String> {
    let chars = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) {
        return None;
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).ok()?;
    let kept: PasswordHash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(kept.to_string())
}

/// Whether it is the password that was kept.
pub(super) fn is(password: &str, kept: &str) -> bool {
    if password.chars().count() > CHARS_MAX {
        return false;
    }
    let parsed = PasswordHash::new(kept);
    parsed.is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
}

/// Takes as long as looking at a password does: the answer to an unknown name is no sooner.
pub(super) fn spend_time(password: &str) {
    static NOBODY: OnceLock<Option<String>> = OnceLock::new();
    if let Some(kept) = NOBODY.get_or_init(|| hash("nobody has this password")) {
        is(password, kept);
    }
}
