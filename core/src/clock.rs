//! Time, handed in. Nothing else in the workspace reads the machine's clock to decide anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the time comes from: the machine, or a test.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved: microseconds since 1970 UTC.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_us`.
    pub fn manual(now_us: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now_us)))
    }

    /// Microseconds since 1970 UTC.
    pub fn now_us(&self) -> i64 {
        match self {
            #[allow(clippy::disallowed_methods)] // The one place where the machine's clock is read.
            Self::System => jiff::Timestamp::now().as_microsecond(),
            Self::Manual(now_us) => now_us.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward; the machine's clock moves by itself.
    pub fn advance_us(&self, by_us: i64) {
        if let Self::Manual(now_us) = self {
            now_us.fetch_add(by_us, Ordering::SeqCst);
        }
    }

    /// The same as an instant.
    pub fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.now_us()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}
