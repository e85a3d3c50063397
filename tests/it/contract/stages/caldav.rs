//! A calendar on a real Radicale with meetings in it.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::radicale::{PASSWORD, USERNAME};

use super::Stage;
use super::carddav::filled;
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let radicale =
        Arc::new(tokio::task::spawn_blocking(|| filled("meetings", "ics", meeting)).await.expect("it starts"));
    let front = Front::of(&radicale.url()).await;
    let settings = [("url", front.instead_of(&radicale.url())), ("username", USERNAME.to_owned())];
    let connection = shipped("caldav", "caldav", &settings, &[("password", PASSWORD)], &Clock::System);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("password", "another")),
        refusals: &[("{}", "broken")],
        paged: &["events"],
        create: None, // Meetings are made by people.
        count: Box::new(move || radicale.count("meetings")),
        field: None, // It holds no customers; tests/it/dav.rs writes an event.
        writes: Box::new(|| 0),
    }
}

fn meeting(number: usize) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//T//EN\r\nBEGIN:VEVENT\r\nUID:m{number}\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20260202T020000Z\r\nDTEND:20260202T030000Z\r\nSUMMARY:Visit {number}\r\n\
         ATTENDEE:mailto:buyer{number}@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
