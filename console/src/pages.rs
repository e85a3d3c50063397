//! One module a page, and what an action says afterwards.

pub mod brakes;
pub mod conflicts;
pub mod connection;
pub mod connections;
pub mod customer;
pub mod customers;
pub mod door;
pub mod drift;
pub mod files;
mod health;
pub mod letters;
pub mod live;
mod meter;
pub mod no;
mod quota;
pub mod record;
pub mod reviews;

use crate::language::Language;

/// What an action did, from the code that it left in the address: a word and numbers. An unknown code says nothing.
pub fn said(t: Language, code: &str) -> Option<String> {
    let mut parts = code.split('.');
    let word = parts.next()?;
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    Some(match word {
        "paused" => t.said_paused().to_owned(),
        "resumed" => t.said_resumed().to_owned(),
        "released" => t.said_released(number()),
        "dismissed" => t.said_dismissed(number()),
        "accepted" => t.said_accepted(number()),
        "same" => t.said_same(number()),
        "apart" => t.said_apart().to_owned(),
        "later" => t.said_later().to_owned(),
        "many" => t.said_many(number(), number()),
        "stands" => t.said_stands(number()),
        "pinned" => t.said_pinned(number()),
        "retried" => t.said_retried(number(), number()),
        "welcome" => t.said_welcome().to_owned(),
        _ => return None,
    })
}

/// Entries of a list on one page: what a person scrolls through before she would rather search.
pub(crate) const LISTED: usize = 50;

/// Rows to ask the store for: one more than is shown tells whether there is another page.
pub(crate) const ASKED: i64 = 51;

/// Whether `found` has more than a page shows; what is more is cut off.
pub(crate) fn has_more<T>(found: &mut Vec<T>) -> bool {
    let more = found.len() > LISTED;
    found.truncate(LISTED);
    more
}
