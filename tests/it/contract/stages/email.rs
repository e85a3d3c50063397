//! A mailbox with letters in it.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_twins::mailbox::MailboxTwin;

use super::Stage;
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = Arc::new(MailboxTwin::start().await.expect("a port"));
    for number in 0..45 {
        twin.deliver(
            format!(
                "From: Lin <lin{number}@example.org>\r\nTo: hub@example.test\r\nSubject: {number}\r\n\
                 Message-ID: <m{number}@example.org>\r\nDate: Mon, 2 Feb 2026 09:15:00 +0800\r\n\r\nHello\r\n"
            )
            .as_bytes(),
        );
    }
    let secrets = twin.secrets();
    let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut settings = twin.settings();
    settings.push(("bodies", "true".to_owned())); // Pages of whole mails are short.
    let connection = shipped("email", "email", &settings, &secrets, &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: None, // It speaks IMAP and SMTP; connectors/email/tests interferes with those.
        bad_secret: Some(("password", "another")),
        refusals: &[],
        paged: &["messages"],
        create: None, // Sending is tried again in connectors/email/tests/dovecot/send.rs.
        count: Box::new(move || counted.sent().len()),
        field: None, // A mail does not change.
        writes: Box::new(move || wrote.sent().len() as u64),
    }
}
