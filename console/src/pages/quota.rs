//! What a vendor allows a connection, what was used of it, and how long its reads will take.

use huiliu_core::connection::Connection;
use huiliu_core::quota::forecast::{Budget, Known, Reading, Standing};

use crate::language::Language;

/// One limit of one budget.
pub struct Row {
    pub name: String,
    pub allowed: String,
    pub used: u64,
    pub lanes: String,
    pub note: String,
}

/// What there is to show of a connection.
pub struct Shown {
    pub rows: Vec<Row>,
    pub reads: Vec<String>,
}

/// The rows of a connection; what is declared for it and was never used has none.
pub fn shown(t: Language, standing: &Standing, connection: Option<&Connection>, name: &str, now_us: i64) -> Shown {
    let budgets =
        standing.budgets.iter().filter(|it| connection.is_some_and(|known| known.cx.quota.takes_from(&it.name)));
    let reads = standing.reads.iter().filter(|it| it.connection == name);
    Shown {
        rows: budgets.flat_map(|budget| rows(t, budget, now_us)).collect(),
        reads: reads.map(|read| reading(t, read)).collect(),
    }
}

fn rows(t: Language, budget: &Budget, now_us: i64) -> Vec<Row> {
    let mut notes = Vec::new();
    if let Some(until_us) = budget.paused_until_us {
        notes.push(t.quota_silent(span(t, (until_us - now_us) / 1_000_000 + 1)));
    }
    if budget.refusals > 0 {
        notes.push(t.quota_refused(budget.refusals));
    }
    let row = |known: &Known| {
        let lanes = known.by_lane.iter().filter(|(_, used)| **used > 0);
        let lanes: Vec<String> = lanes.map(|(lane, used)| format!("{} {used}", lane_word(t, lane))).collect();
        Row {
            name: budget.name.clone(),
            allowed: if known.calls == known.believed {
                t.quota_allowed(known.calls, known.seconds)
            } else {
                t.quota_believed(known.believed, known.calls, known.seconds)
            },
            used: known.used,
            lanes: lanes.join(t.comma()),
            note: notes.join(t.comma()),
        }
    };
    budget.limits.iter().map(row).collect()
}

fn reading(t: Language, read: &Reading) -> String {
    let pace = read.per_minute.map_or_else(String::new, |pace| t.read_pace(pace));
    match (read.total, read.left_seconds) {
        (Some(total), Some(left)) => t.read_left(&read.stream, read.records, total, pace, span(t, left)),
        _ => t.read_unknown(&read.stream, read.records, pace),
    }
}

fn lane_word(t: Language, lane: &str) -> &str {
    match lane {
        "interactive" => t.lane_interactive(),
        "live" => t.lane_live(),
        "repair" => t.lane_repair(),
        "backfill" => t.lane_backfill(),
        other => other,
    }
}

fn span(t: Language, seconds: i64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        t.hours_minutes(hours, minutes)
    } else if minutes > 0 {
        t.minutes(minutes)
    } else {
        t.seconds(seconds)
    }
}
