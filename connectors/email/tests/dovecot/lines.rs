//! Lines that break, lines that are protected, and lines that are not allowed.

use huiliu_core::connector::{Connector as _, ConnectorError, Network};

use crate::kit::{Kit, Server, ids, mail};

crate::on_both! {
    a_cut_line_loses_nothing
    private_addresses_need_permission
}

async fn a_cut_line_loses_nothing(mut kit: Kit) {
    for number in 0..40 {
        kit.deliver(&mail(number));
    }
    let line = kit.line().await;
    let (first, cursors) = kit.pull_all(None).await;
    for number in 40..60 {
        kit.deliver(&mail(number));
    }
    line.passed();
    let (expected, _) = kit.pull_all(cursors.last().cloned()).await;
    let bytes = line.passed();
    let mut torn = 0;
    for part in 0..32 {
        line.cut_after(bytes * part / 32);
        match kit.page(cursors.last()).await {
            Err(error) => {
                assert!(matches!(error, ConnectorError::Transient { .. }), "cut at {part}/32: {error:?}");
                torn += 1;
            }
            // The mails had arrived, only the goodbye was cut off.
            Ok(page) => assert_eq!(page.items.len(), expected.len(), "cut at {part}/32"),
        }
    }
    assert!(torn > 28, "{torn}");
    line.cut_after(u64::MAX);
    let (again, _) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!((first.len(), ids(&again)), (40, ids(&expected)));
}

async fn private_addresses_need_permission(mut kit: Kit) {
    let line = kit.line().await;
    kit.cx.network = Network::Public;
    let error = kit.page(None).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Broken { .. }), "{error:?}");
    assert_eq!(line.passed(), 0, "nobody was called");
}

#[tokio::test]
async fn tls_and_starttls_reach_the_server_and_a_strange_certificate_does_not() {
    let mut kit = Kit::dovecot().await;
    kit.deliver(&mail(0));
    let Server::Dovecot(dovecot) = &kit.server else { unreachable!() };
    let (port, tls_port, certificate) = (dovecot.port.to_string(), dovecot.tls_port.to_string(), dovecot.certificate());
    for (security, port) in [("tls", tls_port), ("starttls", port)] {
        kit.set("imap_port", &port);
        kit.set("imap_host", "localhost");
        kit.set("security", security);
        kit.set("ca_file", &certificate);
        let (records, _) = kit.pull_all(None).await;
        assert_eq!(records.len(), 1, "{security}");
        kit.set("ca_file", "");
        let error = kit.page(None).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Broken { .. }), "{security}: {error:?}");
    }
}

#[tokio::test]
async fn without_starttls_no_password_leaves() {
    let mut kit = Kit::twin().await;
    kit.set("security", "starttls");
    let mut line = kit.line().await;
    let error = kit.email.check(&kit.cx).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Broken { .. }), "{error:?}");
    line.heard("STARTTLS").await;
    let smtp = kit.twin.smtp_address().port().to_string();
    kit.set("security", "none");
    kit.set("smtp_security", "starttls");
    kit.set("smtp_port", &smtp);
    let error = kit.email.check(&kit.cx).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Broken { .. }), "{error:?}");
}
