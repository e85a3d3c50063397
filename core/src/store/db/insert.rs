//! Sets of rows into a table, in one statement where the store takes one.

use std::collections::HashSet;

use tokio_postgres::types::ToSql;

use super::session::{self, Values};
use super::{Param, Result, Tx};

/// The type of a column in a set to insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Col {
    /// `BIGINT`.
    Int,
    /// `TEXT`.
    Text,
    /// Raw bytes.
    Blob,
}

/// A set insert: table, columns, and what to do about rows that exist.
#[derive(Debug)]
pub struct Insert {
    /// The table.
    pub table: &'static str,
    /// The columns and their types, in the order of the cells.
    pub columns: &'static [(&'static str, Col)],
    /// `""`, or an `ON CONFLICT …` clause.
    pub conflict: &'static str,
}

impl Insert {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The statement for `SQLite`, which is run for each row.
    fn a_row(&self) -> String {
        let marks = (1..=self.columns.len()).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks}) {}", self.table, self.names(), self.conflict)
    }

    /// The statement for Postgres, which takes all rows, one array a column.
    fn a_set(&self) -> String {
        let arrays = self.columns.iter().enumerate().map(|(at, (_, col))| {
            let kind = match col {
                Col::Int => "bigint",
                Col::Text => "text",
                Col::Blob => "bytea",
            };
            format!("?{}::{kind}[]", at + 1)
        });
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} ({}) SELECT * FROM UNNEST({arrays}) {}", self.table, self.names(), self.conflict)
    }

    /// Rows as those arrays.
    fn sets(&self, cells: &[Param<'_>]) -> Values {
        let width = self.columns.len();
        self.columns.iter().enumerate().map(|(at, (_, col))| column(cells, width, at, *col)).collect()
    }
}

impl Tx<'_> {
    /// Inserts a set of rows; says how many were new or changed. `cells` holds the rows one after the other.
    pub fn insert(&mut self, insert: &Insert, cells: &[Param<'_>]) -> Result<u64> {
        let width = insert.columns.len();
        debug_assert_eq!(cells.len() % width, 0, "{}: ragged rows", insert.table);
        if cells.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Sqlite(tx) => {
                let mut statement = tx.prepare_cached(&insert.a_row())?;
                let mut changed = 0;
                for row in cells.chunks_exact(width) {
                    changed += statement.execute(rusqlite::params_from_iter(row))? as u64;
                }
                Ok(changed)
            }
            Self::Postgres(tx) => {
                let statement = tx.prepared(&insert.a_set())?;
                tx.execute(&statement, &session::refs(&insert.sets(cells)))
            }
        }
    }

    /// As [`Tx::insert`], where it is nobody's business how many there were: on Postgres it travels with what comes next.
    pub fn insert_later(&mut self, insert: &Insert, cells: &[Param<'_>]) -> Result<()> {
        match self {
            Self::Postgres(tx) if !cells.is_empty() => {
                let statement = tx.prepared(&insert.a_set())?;
                tx.execute_later(statement, insert.sets(cells))
            }
            _ => self.insert(insert, cells).map(drop),
        }
    }

    /// Inserts those of a set of rows whose key is not known: the table's first two columns, both texts. `conflict` must
    /// pass over the others. Says of each row whether it was new; of two with one key the first one is.
    pub fn insert_new(&mut self, insert: &Insert, cells: &[Param<'_>]) -> Result<Vec<bool>> {
        let rows = cells.chunks_exact(insert.columns.len());
        match self {
            Self::Sqlite(tx) => {
                let mut statement = tx.prepare_cached(&insert.a_row())?;
                rows.map(|row| Ok(statement.execute(rusqlite::params_from_iter(row))? == 1)).collect()
            }
            Self::Postgres(tx) => {
                let [(first, _), (second, _), ..] = insert.columns else { return Ok(Vec::new()) };
                let sql = format!("{} RETURNING {first}, {second}", insert.a_set());
                let statement = tx.prepared(&sql)?;
                let mut fresh = HashSet::new();
                for row in tx.query(&statement, &session::refs(&insert.sets(cells)))? {
                    fresh.insert((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
                }
                let text =
                    |cell: &Param<'_>| if let Param::Text(text) = cell { (*text).to_owned() } else { String::new() };
                Ok(rows.map(|row| fresh.remove(&(text(&row[0]), text(&row[1])))).collect())
            }
        }
    }
}

fn column(cells: &[Param<'_>], width: usize, at: usize, col: Col) -> Box<dyn ToSql + Sync + Send> {
    let cells = cells.iter().skip(at).step_by(width);
    match col {
        Col::Int => {
            Box::new(cells.map(|cell| if let Param::Int(n) = cell { Some(*n) } else { None }).collect::<Vec<_>>())
        }
        Col::Text => Box::new(
            cells
                .map(|cell| if let Param::Text(text) = cell { Some((*text).to_owned()) } else { None })
                .collect::<Vec<_>>(),
        ),
        Col::Blob => Box::new(
            cells
                .map(|cell| if let Param::Blob(bytes) = cell { Some(bytes.to_vec()) } else { None })
                .collect::<Vec<_>>(),
        ),
    }
}
