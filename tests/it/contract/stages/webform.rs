//! A form; nothing is called.

use huiliu_core::clock::Clock;

use super::Stage;
use crate::flow::shipped;

/// The key of the recorded submissions' tokens.
pub const KEY: &str = "a key that only the tests know 42";

/// See the module.
pub fn stage() -> Stage {
    let settings = [("origins", "https://www.shop.example".to_owned()), ("consents", "email".to_owned())];
    Stage {
        connection: shipped("webform", "webform", &settings, &[("form", KEY)], &Clock::System),
        front: None,
        bad_secret: None, // Nothing is asked, so nothing can refuse.
        refusals: &[],
        paged: &[],
        create: None,
        count: Box::new(|| 0),
        field: None, // Nothing is written to visitors.
        writes: Box::new(|| 0),
    }
}
