//! Bad input is normal: whatever a server sends, the answer is a value or an error, never an end of the program.

use huiliu_dav::kind::{Kind, Reading};
use huiliu_dav::xml;
use proptest::prelude::{ProptestConfig, any, prop};
use serde_json::json;

const CARD: &str = include_str!("../../carddav/fixtures/cards/full.vcf");
const CALENDAR: &str = include_str!("../../caldav/fixtures/calendars/series.ics");
const REPLY: &str = "<d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>/a</d:href><d:propstat><d:prop><d:getetag>\"1\"\
    </d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response><d:sync-token>t</d:sync-token></d:multistatus>";

/// The text with a piece cut out or written over, at a border of characters.
fn damaged(text: &str, at: usize, length: usize, noise: &str) -> String {
    let near = |mut at: usize| {
        at %= text.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (near(at), near(at.saturating_add(length)));
    format!("{}{noise}{}", &text[..start], &text[end.max(start)..])
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_and_edited_or_refused(at in any::<usize>(), length in 0..300_usize, noise in "(\\PC|[\r\n:;=\\\\\"]){0,12}") {
        let reading = Reading::default();
        for (kind, text, body) in [
            (Kind::Cards, damaged(CARD, at % CARD.len(), length, &noise), json!({"fn": noise, "email": {"work": noise}, "adr": {"home": {"street": noise}}})),
            (Kind::Events, damaged(CALENDAR, at % CALENDAR.len(), length, &noise), json!({"summary": noise, "description": null})),
        ] {
            kind.read(&text, &reading);
            if let Ok(edited) = kind.edit(&text, &body) {
                let again = kind.edit(&edited, &body);
                proptest::prop_assert_eq!(again.as_deref(), Ok(edited.as_str()), "a second edit changes nothing");
            }
        }
    }

    #[test]
    fn any_reply_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), length in 0..60_usize, noise in "\\PC{0,8}|[<>&/]{1,4}") {
        let _ = xml::multi_status(&bytes);
        let _ = xml::multi_status(damaged(REPLY, at % REPLY.len(), length, &noise).as_bytes());
    }
}
