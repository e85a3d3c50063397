//! The real program, run as a person or a supervisor runs it.

mod kit;
mod serve;
