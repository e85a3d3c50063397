//! Who may open the console: accounts, invitations, sessions. Only hashes of passwords and tokens get here.

use super::db::{Param, Result, Tx};

/// A session that was opened by a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub account: String,
    /// When it was opened, microseconds since 1970 UTC.
    pub made_us: i64,
    /// When it was last used, about to the minute.
    pub seen_us: i64,
}

/// Whether there is any account.
pub fn any(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(tx.query_opt("SELECT 1 FROM account LIMIT 1", &[], |_| Ok(()))?.is_some())
}

/// The password hash of an account.
pub fn password(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>> {
    tx.query_opt("SELECT password FROM account WHERE name = ?1", &[Param::Text(name)], |row| row.text(0))
}

/// Makes an account; false if the name is taken.
pub fn add(tx: &mut Tx<'_>, name: &str, password: &str, now_us: i64) -> Result<bool> {
    let sql = "INSERT INTO account (name, password, made_us) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
    Ok(tx.execute(sql, &[Param::Text(name), Param::Text(password), Param::Int(now_us)])? == 1)
}

/// Gives an account another password and ends its sessions; false if there is no such account.
pub fn set_password(tx: &mut Tx<'_>, name: &str, password: &str) -> Result<bool> {
    tx.execute_later("DELETE FROM session WHERE account = ?1", &[Param::Text(name)])?;
    let sql = "UPDATE account SET password = ?2 WHERE name = ?1";
    Ok(tx.execute(sql, &[Param::Text(name), Param::Text(password)])? == 1)
}

/// Keeps an invitation by the hash of its token; `account` names whose password it sets anew.
pub fn invite(tx: &mut Tx<'_>, hash: &str, account: Option<&str>, now_us: i64, expires_us: i64) -> Result<()> {
    tx.execute_later("DELETE FROM invitation WHERE expires_us <= ?1", &[Param::Int(now_us)])?;
    let sql = "INSERT INTO invitation (hash, account, expires_us) VALUES (?1, ?2, ?3)";
    tx.execute_later(sql, &[Param::Text(hash), account.into(), Param::Int(expires_us)])
}

/// An invitation that is still good: `Some(None)` for a new account, `Some(Some(name))` for a new password.
pub fn invitation(tx: &mut Tx<'_>, hash: &str, now_us: i64) -> Result<Option<Option<String>>> {
    let sql = "SELECT account FROM invitation WHERE hash = ?1 AND expires_us > ?2";
    tx.query_opt(sql, &[Param::Text(hash), Param::Int(now_us)], |row| row.opt_text(0))
}

/// Uses an invitation up; false if somebody else did or it has run out.
pub fn use_invitation(tx: &mut Tx<'_>, hash: &str, now_us: i64) -> Result<bool> {
    let sql = "DELETE FROM invitation WHERE hash = ?1 AND expires_us > ?2";
    Ok(tx.execute(sql, &[Param::Text(hash), Param::Int(now_us)])? == 1)
}

/// Takes every open invitation to a new account back.
pub fn withdraw_invitations(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute_later("DELETE FROM invitation WHERE account IS NULL", &[])
}

/// Opens a session, and removes those that were opened before `oldest_us` or not used since `idle_us`.
pub fn open_session(tx: &mut Tx<'_>, hash: &str, session: &Session, oldest_us: i64, idle_us: i64) -> Result<()> {
    let over = "DELETE FROM session WHERE made_us <= ?1 OR seen_us <= ?2";
    tx.execute_later(over, &[Param::Int(oldest_us), Param::Int(idle_us)])?;
    let sql = "INSERT INTO session (hash, account, made_us, seen_us) VALUES (?1, ?2, ?3, ?4)";
    let cells =
        [Param::Text(hash), Param::Text(&session.account), Param::Int(session.made_us), Param::Int(session.seen_us)];
    tx.execute_later(sql, &cells)
}

/// The session of a hash.
pub fn session(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Session>> {
    let sql = "SELECT account, made_us, seen_us FROM session WHERE hash = ?1";
    tx.query_opt(sql, &[Param::Text(hash)], |row| {
        Ok(Session { account: row.text(0)?, made_us: row.int(1)?, seen_us: row.int(2)? })
    })
}

/// Notes that a session is in use.
pub fn touch_session(tx: &mut Tx<'_>, hash: &str, now_us: i64) -> Result<()> {
    tx.execute_later("UPDATE session SET seen_us = ?2 WHERE hash = ?1", &[Param::Text(hash), Param::Int(now_us)])
}

/// Ends a session.
pub fn close_session(tx: &mut Tx<'_>, hash: &str) -> Result<()> {
    tx.execute_later("DELETE FROM session WHERE hash = ?1", &[Param::Text(hash)])
}
