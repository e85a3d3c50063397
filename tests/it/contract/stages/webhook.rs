//! A receiver of signed events.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::receiver::Receiver;
use serde_json::json;

use super::{Stage, origin};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let receiver = Arc::new(Receiver::start().await);
    let front = Front::of(&origin(&receiver.url())).await;
    let secrets =
        [("webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("signing", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")];
    let settings = [("url", front.instead_of(&receiver.url()))];
    let connection = shipped("webhook", "webhook", &settings, &secrets, &Clock::System);
    let (counted, wrote) = (receiver.clone(), receiver);
    Stage {
        connection,
        front: Some(front),
        bad_secret: None, // A receiver that refuses a signature says 401, which is among the common refusals.
        refusals: &[],
        paged: &[],
        create: Some(("customers", json!({ "display_name": "李雷" }))),
        count: Box::new(move || {
            let calls = counted.calls();
            calls.iter().map(|call| call.header("webhook-id")).collect::<std::collections::BTreeSet<_>>().len()
        }),
        field: None, // Nothing can be pulled; tests/it/webhook.rs lets an echo come back.
        writes: Box::new(move || wrote.calls().len() as u64),
    }
}
