//! The real program, run as a person or a supervisor runs it.

mod connect;
mod console;
mod kit;
mod operate;
mod serve;
