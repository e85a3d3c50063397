//! Who is knocking? Webhooks in: proven, kept, answered; what a record means is not known here.
//!
//! [`router`] serves `/hooks/{connection}` for the connections in [`hooks`]. A call is bounded and answered by
//! [`receive`], its origin is proven by [`verify`] over the raw bytes (or, for what people fill in, by [`form`]), [`dedupe`] names the event, and the answer is
//! sent only after the [`intake`] says that the call is kept for good. [`mod@serve`] keeps the port open for those who say something.

mod calm;
pub mod dedupe;
pub mod form;
pub mod hooks;
pub mod intake;
pub mod receive;
pub mod serve;
pub mod verify;

pub use hooks::{Hook, Hooks, Limits};
pub use intake::{Appended, Arrived, Intake, IntakeError};
pub use receive::router;
pub use serve::{Bounds, serve};
