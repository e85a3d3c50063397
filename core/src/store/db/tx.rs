//! A transaction: statements written once, for both databases.

use std::fmt::Write as _;

use tokio_postgres::Statement;

use super::Result;
use super::cells::{self, Keys, Param, Row};
use super::session::{self, Transaction, Values};

/// A transaction, or a read snapshot, on either database.
pub enum Tx<'a> {
    /// On `SQLite`.
    Sqlite(rusqlite::Transaction<'a>),
    /// On Postgres.
    Postgres(Transaction<'a>),
}

impl Tx<'_> {
    /// Reads rows.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.query_until(sql, params, |row| {
            found.push(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Reads rows until `read` says that it has enough; says whether it did. The rest `SQLite` does not even look for.
    pub fn query_until(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<bool> {
        match self {
            Self::Sqlite(tx) => {
                let mut statement = tx.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                while let Some(row) = rows.next()? {
                    if read(&Row::Sqlite(row))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Postgres(tx) => {
                let (statement, values) = bound(tx, sql, params)?;
                for row in &tx.query(&statement, &session::refs(&values))? {
                    if read(&Row::Postgres(row))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Reads at most one row.
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, params, read)?.into_iter().next())
    }

    /// Reads rows for a set of keys. `{keys:…}` in the text is the set; `params` start at `?2`.
    pub fn query_keys<T>(
        &mut self,
        sql: &str,
        keys: &Keys,
        params: &[Param<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.keyed(sql, keys, params, |tx, sql, params| tx.query(sql, params, read))
    }

    /// Changes rows for a set of keys; see [`Tx::query_keys`].
    pub fn execute_keys(&mut self, sql: &str, keys: &Keys, params: &[Param<'_>]) -> Result<u64> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.keyed(sql, keys, params, Self::execute)
    }

    /// As [`Tx::execute_keys`], where it is nobody's business how many there were; see [`Tx::execute_later`].
    pub fn execute_keys_later(&mut self, sql: &str, keys: &Keys, params: &[Param<'_>]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.keyed(sql, keys, params, Self::execute_later)
    }

    /// Runs a statement with its set of keys: one parameter, or, where `SQLite` is asked for a single row, its cells as they
    /// are, which is half the work.
    fn keyed<T>(
        &mut self,
        sql: &str,
        keys: &Keys,
        params: &[Param<'_>],
        run: impl FnOnce(&mut Self, &str, &[Param<'_>]) -> Result<T>,
    ) -> Result<T> {
        let Some((before, rest)) = sql.split_once("{keys:") else { return run(self, sql, params) };
        let Some((types, after)) = rest.split_once('}') else { return run(self, sql, params) };
        let is_sqlite = matches!(self, Self::Sqlite(_));
        if let Some(row) = keys.only().filter(|_| is_sqlite)
            && let Some((first, others)) = row.split_first()
        {
            let table = table_of((0..=others.len()).map(|at| if at == 0 { 1 } else { params.len() + 1 + at }));
            return run(self, &format!("{before}{table}{after}"), &[&[*first], params, others].concat());
        }
        let mut table = String::from("(SELECT ");
        for (at, kind) in types.chars().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = match (is_sqlite, kind) {
                (false, 'i') => write!(table, "{comma}(value->>{at})::bigint AS k{at}"),
                _ => write!(table, "{comma}value->>{at} AS k{at}"),
            };
        }
        table.push_str(if is_sqlite { " FROM json_each(?1))" } else { " FROM jsonb_array_elements(?1::text::jsonb))" });
        let json = keys.json();
        run(self, &format!("{before}{table}{after}"), &[&[Param::Text(&json)], params].concat())
    }

    /// Changes rows and says how many.
    pub fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(tx) => Ok(tx.prepare_cached(sql)?.execute(rusqlite::params_from_iter(params))? as u64),
            Self::Postgres(tx) => {
                let (statement, values) = bound(tx, sql, params)?;
                tx.execute(&statement, &session::refs(&values))
            }
        }
    }

    /// As [`Tx::execute`], where it is nobody's business how many there were: on Postgres it travels with what comes next,
    /// and if it fails, so does that.
    pub fn execute_later(&mut self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        match self {
            Self::Sqlite(_) => self.execute(sql, params).map(drop),
            Self::Postgres(tx) => {
                let (statement, values) = bound(tx, sql, params)?;
                tx.execute_later(statement, values)
            }
        }
    }

    /// Nothing is committed before `proof` was content with the integer in the first cell that a statement reads; on Postgres
    /// it travels with what comes next.
    pub fn prove(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        proof: impl FnOnce(Option<i64>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        match self {
            Self::Sqlite(_) => proof(self.query_opt(sql, params, |row| row.int(0))?),
            Self::Postgres(tx) => {
                let (statement, values) = bound(tx, sql, params)?;
                tx.prove(statement, values, |rows| {
                    proof(rows.first().map(|row| Row::Postgres(row).int(0)).transpose()?)
                });
                Ok(())
            }
        }
    }

    /// The largest value of an integer column, 0 for an empty table.
    pub fn max(&mut self, column: &str, table: &str) -> Result<i64> {
        let sql = format!("SELECT COALESCE(MAX({column}), 0) FROM {table}");
        Ok(self.query_opt(&sql, &[], |row| row.int(0))?.unwrap_or(0))
    }

    /// Takes a lock that other writers of this kind, on any node, wait for, before the next statement; it ends with the
    /// transaction. `SQLite` has one writer anyway.
    pub fn lock(&mut self, number: i64) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => {
                tx.batch_later(format!("SELECT pg_advisory_xact_lock({number})"));
                Ok(())
            }
        }
    }

    /// Waits until all that was sent is done.
    pub(super) fn settle(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => tx.settle(),
        }
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(tx) => Ok(tx.execute_batch(sql)?),
            Self::Postgres(tx) => tx.batch(sql),
        }
    }
}

/// A table of one row, whose cells are these parameters.
fn table_of(places: impl Iterator<Item = usize>) -> String {
    let cells: Vec<String> = places.enumerate().map(|(at, place)| format!("?{place} AS k{at}")).collect();
    format!("(SELECT {})", cells.join(", "))
}

fn bound(tx: &mut Transaction<'_>, sql: &str, params: &[Param<'_>]) -> Result<(Statement, Values)> {
    let statement = tx.prepared(sql)?;
    let values = cells::values(params, statement.params());
    Ok((statement, values))
}
