//! The place of a pull, as core keeps it: JSON text, opaque to core.
//!
//! A run reads everything since a stamp, page by page. The stamp is frozen while the run lasts, whatever newer stamps it
//! meets, so that all its pages answer the same question; a restart goes on at the page that was next. The next run
//! reads from the highest stamp this one met, but never from later than this one began: a list that is not in the order
//! of its stamps may show a late change on its last page while an earlier one is on a page that was read before.

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
    /// When this run began, by the system's clock where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The upper bound of this run, where its call names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When the last run began that read everything, where not every run does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned: Option<Timestamp>,
    /// Whether this run reads everything there is.
    #[serde(default)]
    pub full: bool,
    /// Whether the records are read and the list of deletions is under way.
    #[serde(default)]
    pub deletes: bool,
    /// Whether a page of this run had no records although others followed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// Pages read in this run.
    #[serde(default)]
    pub pages: u64,
    /// The former page of this run; none if it was the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<String>,
    /// Fingerprint of the ids on the former page of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

impl Position {
    /// Opens a stored cursor; without one, or at the end of a run, a run begins.
    ///
    /// # Errors
    /// [`ConnectorError::CursorExpired`] if the text is no cursor of this engine.
    pub fn open(from: Option<&Cursor>) -> Result<Self> {
        let Some(from) = from else { return Ok(Self { full: true, ..Self::default() }) };
        let kept: Self = serde_json::from_str(from.as_str()).map_err(|_| ConnectorError::CursorExpired {
            detail: "the stored cursor is not of this engine; the stream starts from the beginning".to_owned(),
        })?;
        let under_way = kept.page.is_some() || kept.deletes;
        Ok(if under_way {
            kept
        } else {
            Self { full: kept.since.is_none(), since: kept.since, scanned: kept.scanned, ..Self::default() }
        })
    }

    /// Notes a record's stamp.
    pub fn meet(&mut self, stamp: Timestamp) {
        self.max = self.max.max(Some(stamp));
    }

    /// Whether a run begins here.
    pub fn is_begin(&self) -> bool {
        self.page.is_none() && !self.deletes
    }

    /// The place after a page that another follows.
    pub fn at(self, page: String) -> Self {
        Self { former: self.page, page: Some(page), ..self }
    }

    /// The place between the records and the deletions of one run.
    pub fn at_deletes(self) -> Self {
        Self { deletes: true, page: None, former: None, seen: None, ..self }
    }

    /// The place after the last page. A stamp ahead of the run's begin counts as the begin: one wrong clock must not
    /// hide later changes.
    pub fn end(self) -> Self {
        let reached = self.max.map(|max| self.started.map_or(max, |started| max.min(started)));
        let scanned = if self.full && !self.gap { self.started } else { self.scanned };
        Self { since: self.since.max(reached), scanned, ..Self::default() }
    }

    /// As core keeps it.
    pub fn cursor(&self) -> Result<Cursor> {
        serde_json::to_string(self).map(Cursor::from).map_err(|error| ConnectorError::broken(error.to_string()))
    }
}
