//! Everything that our crates log in this process, at every level, kept instead of shown.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keep;

impl io::Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep; a second call changes nothing. Whoever logs elsewhere already goes on doing so, and nothing is kept.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = tracing_subscriber::EnvFilter::new("huiliu=trace");
        let kept = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Keep);
        // It fails only where somebody logs already.
        let _ = kept.try_init();
    });
}

/// What was logged so far.
pub fn text() -> String {
    String::from_utf8_lossy(&KEPT.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
