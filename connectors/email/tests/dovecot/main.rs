//! The connector against a real Dovecot, and the same questions put to the twin: so the twin is checked by the real
//! server's behaviour.

mod kit;
mod lines;
mod mapping;
mod read;
mod send;

/// The same test against both servers.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod with_dovecot {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::kit::Kit::dovecot().await).await;
            })+
        }
        mod with_twin {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::kit::Kit::twin().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
