//! A corp of two members and their contacts.

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};

use super::{Stage, origin};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = WecomTwin::start().await;
    twin.add_member("lin");
    twin.add_member("zhang");
    for number in 0..130 {
        let member = if number % 2 == 0 { "lin" } else { "zhang" };
        twin.preload_contact(member, Customer::named(&format!("客户{number}")));
    }
    twin.create_tag("等级", "vip").await;
    let front = Front::of(&origin(&twin.base_url())).await;
    let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", front.instead_of(&twin.base_url()))];
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    let connection = shipped("wecom", "wecom", &settings, &secrets, &Clock::System);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("corp_secret", "another")),
        refusals: &[
            (r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "rate_limited"),
            (r#"{"errcode":-1,"errmsg":"system busy"}"#, "transient"),
            (r#"{"errcode":60020,"errmsg":"not allow to access from your ip"}"#, "unauthorized"),
        ],
        paged: &["contacts"],
        create: None,
        count: Box::new(|| 0),
        field: Some("remark"),
        writes: Box::new(move || twin.writes().values().sum()),
    }
}
