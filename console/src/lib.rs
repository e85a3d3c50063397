//! What is going on, and may you see it? Pages for people who run the hub, rendered here, live where the browser can.
//!
//! [`site`] is the way in: it guards every call and knows the pages. [`access`] says who may come in: accounts,
//! invitations, sessions, the brake on guessing. [`pages`] holds one module a page, [`frame`] what stands around each,
//! [`chart`] draws. [`language`] is Chinese or English, [`texts`] holds every text in both, [`words`] puts the
//! hub's words into the reader's.

pub mod access;
pub mod chart;
pub mod frame;
pub mod language;
pub mod pages;
pub mod site;
pub mod texts;
pub mod words;
