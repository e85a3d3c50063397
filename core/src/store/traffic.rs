//! How much came in and went out, by connection and minute, over the last day.
//!
//! Counted where it happens, in the same transaction: reading a day out of the inbox would mean to walk over every
//! record of the day. A ring of 1,440 rows for each connection and way bounds the table.

use std::collections::BTreeMap;

use super::db::{Col, Insert, Param, Result, Tx};
use super::inbox::{InboxItem, ItemKind};

const MINUTE_US: i64 = 60_000_000;
const MINUTES_A_DAY: i64 = 1440;

const TRAFFIC: Insert = Insert {
    table: "traffic",
    columns: &[
        ("connection", Col::Text),
        ("way", Col::Text),
        ("slot", Col::Int),
        ("minute", Col::Int),
        ("records", Col::Int),
    ],
    // The same minute adds up, a later day replaces, and what is late by a day counts no more.
    conflict: "ON CONFLICT (connection, way, slot) DO UPDATE SET
    records = CASE WHEN traffic.minute = excluded.minute THEN traffic.records + excluded.records
                   WHEN traffic.minute < excluded.minute THEN excluded.records ELSE traffic.records END,
    minute = CASE WHEN traffic.minute < excluded.minute THEN excluded.minute ELSE traffic.minute END",
};

/// Counts arrivals; only from where the inbox is appended to, whose lock keeps writers of these rows in order.
pub(super) fn came<'a>(tx: &mut Tx<'_>, items: impl Iterator<Item = &'a InboxItem>) -> Result<()> {
    let mut counts: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for item in items.filter(|item| item.kind != ItemKind::Scan) {
        *counts.entry((&item.connection, item.received_us.div_euclid(MINUTE_US))).or_default() += 1;
    }
    // Two minutes of one slot would be a day apart: the later one is what counts.
    let mut slots: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    for ((connection, minute), count) in counts {
        slots.insert((connection, minute.rem_euclid(MINUTES_A_DAY)), (minute, count));
    }
    let mut cells = Vec::with_capacity(slots.len() * TRAFFIC.columns.len());
    for ((connection, slot), (minute, count)) in slots {
        cells.extend_from_slice(&[
            Param::Text(connection),
            Param::Text("in"),
            Param::Int(slot),
            Param::Int(minute),
            Param::Int(count),
        ]);
    }
    tx.insert_later(&TRAFFIC, &cells)
}

/// Counts deliveries to a connection that are done.
pub(super) fn went(tx: &mut Tx<'_>, connection: &str, count: usize, now_us: i64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let minute = now_us.div_euclid(MINUTE_US);
    let cells = [
        Param::Text(connection),
        Param::Text("out"),
        Param::Int(minute.rem_euclid(MINUTES_A_DAY)),
        Param::Int(minute),
        Param::Int(i64::try_from(count).unwrap_or(i64::MAX)),
    ];
    tx.insert_later(&TRAFFIC, &cells)
}

/// What came or went in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Whether it came in; else it went out.
    pub is_in: bool,
    /// Which stretch, counted from the beginning that was asked for.
    pub stretch: i64,
    /// Records that arrived, or deliveries that were done.
    pub records: i64,
}

/// The flow of one connection, or of all together, since a minute (since 1970 UTC), in stretches of so many minutes.
pub fn since(tx: &mut Tx<'_>, connection: Option<&str>, minute: i64, stretch_minutes: i64) -> Result<Vec<Flow>> {
    let whose = if connection.is_some() { "AND connection = ?3" } else { "" };
    let sql = format!(
        "SELECT way, (minute - ?1) / ?2, CAST(SUM(records) AS BIGINT) FROM traffic WHERE minute >= ?1 {whose}
         GROUP BY 1, 2 ORDER BY 1, 2"
    );
    let mut params = vec![Param::Int(minute), Param::Int(stretch_minutes.max(1))];
    params.extend(connection.map(Param::Text));
    tx.query(&sql, &params, |row| Ok(Flow { is_in: row.text(0)? == "in", stretch: row.int(1)?, records: row.int(2)? }))
}
