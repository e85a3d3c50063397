//! Sealed values by connection and name. What they mean, and the key that opens them, is not known here.

use crate::store::db::{Param, Result, Tx};

/// The sealed value of a name.
pub fn get(tx: &mut Tx<'_>, connection: &str, name: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT sealed FROM token WHERE connection = ?1 AND name = ?2";
    tx.query_opt(sql, &[Param::Text(connection), Param::Text(name)], |row| row.blob(0))
}

/// Puts a sealed value under its name, in place of the former one.
pub fn put(tx: &mut Tx<'_>, connection: &str, name: &str, sealed: &[u8]) -> Result<()> {
    let sql = "INSERT INTO token (connection, name, sealed) VALUES (?1, ?2, ?3)
               ON CONFLICT (connection, name) DO UPDATE SET sealed = excluded.sealed";
    tx.execute_later(sql, &[Param::Text(connection), Param::Text(name), Param::Blob(sealed)])
}
