//! What goes into statements and comes out of them, the same for both databases.

use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{ToSql, Type};

use super::Result;
use super::session::Values;

/// A parameter or a cell to write.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// NULL of any type.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Raw bytes.
    Blob(&'a [u8]),
}

impl<'a> From<Option<&'a str>> for Param<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Param::Null, Param::Text)
    }
}

impl From<Option<i64>> for Param<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Param::Null, Param::Int)
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Param::Null => ValueRef::Null,
            Param::Int(number) => ValueRef::Integer(*number),
            Param::Text(text) => ValueRef::Text(text.as_bytes()),
            Param::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Parameters as the driver of Postgres takes them; `types` are those of the statement.
pub fn values(params: &[Param<'_>], types: &[Type]) -> Values {
    params
        .iter()
        .enumerate()
        .map(|(at, param)| -> Box<dyn ToSql + Sync + Send> {
            match param {
                Param::Null => match types.get(at) {
                    Some(kind) if *kind == Type::INT8 => Box::new(None::<i64>),
                    Some(kind) if *kind == Type::BYTEA => Box::new(None::<Vec<u8>>),
                    _ => Box::new(None::<String>),
                },
                Param::Int(number) => Box::new(*number),
                Param::Text(text) => Box::new((*text).to_owned()),
                Param::Blob(bytes) => Box::new(bytes.to_vec()),
            }
        })
        .collect()
}

/// A row that was read.
pub enum Row<'a> {
    /// From `SQLite`.
    Sqlite(&'a rusqlite::Row<'a>),
    /// From Postgres.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// An integer cell.
    pub fn int(&self, at: usize) -> Result<i64> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }

    /// An integer cell that may be NULL.
    pub fn opt_int(&self, at: usize) -> Result<Option<i64>> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }

    /// A text cell.
    pub fn text(&self, at: usize) -> Result<String> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }

    /// A text cell that may be NULL.
    pub fn opt_text(&self, at: usize) -> Result<Option<String>> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }

    /// A cell of raw bytes.
    pub fn blob(&self, at: usize) -> Result<Vec<u8>> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }

    /// Bytes that may be missing.
    pub fn opt_blob(&self, at: usize) -> Result<Option<Vec<u8>>> {
        Ok(match self {
            Row::Sqlite(row) => row.get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }
}

/// A set of keys as one parameter: built row by row, sent as JSON.
#[derive(Default)]
pub struct Keys {
    rows: Vec<serde_json::Value>,
}

impl Keys {
    /// Keys of one integer column.
    pub fn ints(values: impl IntoIterator<Item = i64>) -> Self {
        Self { rows: values.into_iter().map(|value| serde_json::json!([value])).collect() }
    }

    /// Keys of two integer columns.
    pub fn pairs(values: impl IntoIterator<Item = [i64; 2]>) -> Self {
        Self { rows: values.into_iter().map(|value| serde_json::json!(value)).collect() }
    }

    /// Keys of a number and a field.
    pub fn fields<'a>(rows: impl IntoIterator<Item = (i64, &'a str)>) -> Self {
        Self { rows: rows.into_iter().map(|(number, field)| serde_json::json!([number, field])).collect() }
    }

    /// Keys of several text columns.
    pub fn texts<'a, const N: usize>(rows: impl IntoIterator<Item = [&'a str; N]>) -> Self {
        Self { rows: rows.into_iter().map(|row| serde_json::json!(row.as_slice())).collect() }
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The cells of the only row, if there is one row.
    pub(super) fn only(&self) -> Option<Vec<Param<'_>>> {
        let [serde_json::Value::Array(row)] = self.rows.as_slice() else { return None };
        row.iter().map(|cell| cell.as_str().map(Param::Text).or(cell.as_i64().map(Param::Int))).collect()
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.rows).unwrap_or_default()
    }
}
