//! The place of a pull, as core keeps it: JSON text, opaque to core.
//!
//! A run reads everything since a stamp, page by page. The stamp is frozen while the run lasts, whatever newer stamps it
//! meets, so that all its pages answer the same question; a restart goes on at the page that was next.

use huiliu_core::connector::{ConnectorError, Cursor, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a pull stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The highest stamp of all former runs; this run reads from here, less the overlap. None: from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The page to read next: the system's cursor, a page number, an offset or a link. None: a run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The highest stamp this run has met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Timestamp>,
    /// Whether this run reads everything there is.
    #[serde(default)]
    pub full: bool,
    /// Pages read in this run.
    #[serde(default)]
    pub pages: u64,
    /// Fingerprint of the ids on the former page of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

impl Position {
    /// Opens a stored cursor; without one, or at the end of a run, a run begins.
    pub fn open(from: Option<&Cursor>) -> Result<Self> {
        let Some(from) = from else { return Ok(Self { full: true, ..Self::default() }) };
        let kept: Self = serde_json::from_str(from.as_str()).map_err(|_| ConnectorError::CursorExpired {
            detail: "the stored cursor is not of this engine; the stream starts from the beginning".to_owned(),
        })?;
        Ok(if kept.page.is_some() {
            kept
        } else {
            Self { full: kept.since.is_none(), since: kept.since, ..Self::default() }
        })
    }

    /// Notes a record's stamp. A stamp ahead of `now` counts as now: one wrong clock must not hide later changes.
    pub fn meet(&mut self, stamp: Timestamp, now: Timestamp) {
        self.max = self.max.max(Some(stamp.min(now)));
    }

    /// The place after a page that another follows.
    pub fn at(mut self, page: String) -> Self {
        self.page = Some(page);
        self
    }

    /// The place after the last page.
    pub fn end(self) -> Self {
        Self { since: self.since.max(self.max), ..Self::default() }
    }

    /// As core keeps it.
    pub fn cursor(&self) -> Result<Cursor> {
        serde_json::to_string(self).map(Cursor::from).map_err(|error| ConnectorError::broken(error.to_string()))
    }
}
