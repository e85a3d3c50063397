//! Tokens at rest: calls to vendors ask for them in the middle of asynchronous work, whatever the store.

mod family;

use std::sync::Arc;

use huiliu_core::connector::ConnectorError;
use huiliu_core::seal::{Seal, SealedVault};
use huiliu_core::secrets::{Token, TokenVault};
use huiliu_tests::kit::DAY_ONE_US;

use crate::flow::on_both_stores;

#[test]
fn a_token_is_sealed_and_found_from_within_a_call() {
    on_both_stores(async |store| {
        let folder = tempfile::tempdir().expect("a folder");
        let seal = Seal::open(&folder.path().join("key")).expect("a key");
        let vault = || {
            TokenVault::new(Arc::new(SealedVault {
                store: store.clone(),
                seal: seal.clone(),
                connection: "shop".into(),
            }))
        };
        let issued = |access: &str| Token {
            access: access.to_owned(),
            refresh: None,
            expires_at_us: None,
            extra: [].into(),
            rotates: false,
        };
        let first = vault()
            .get::<ConnectorError, _>("t", DAY_ONE_US, None, async |_| Ok(issued("one")))
            .await
            .expect("a token");
        assert_eq!(first.access, "one");
        // Another process finds it, and asks for no other until it is refused.
        let known = vault()
            .get::<ConnectorError, _>("t", DAY_ONE_US, None, async |_| Ok(issued("two")))
            .await
            .expect("a token");
        assert_eq!(known.access, "one");
        let next = vault().get::<ConnectorError, _>("t", DAY_ONE_US, Some("one"), async |_| Ok(issued("two"))).await;
        assert_eq!(next.expect("a token").access, "two");
        assert_eq!(vault().current("t").expect("the store works").expect("a token").access, "two");
    });
}
