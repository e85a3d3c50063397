//! A mailbox: mails in over IMAP, mails out over SMTP.
//!
//! [`settings`] reads a connection's settings. [`net`] resolves a host under the network rule, connects, and protects
//! the line. [`imap`] speaks the few commands that are needed and tells a whole answer from a torn one. [`pull`] walks
//! the mailbox by (UIDVALIDITY, UID, MODSEQ), [`mime`] makes a record of a mail, and [`listen`] waits in IDLE.
//! [`send`] composes a mail and hands it to SMTP so that a repeat can be recognised. [`connector`] puts them behind
//! the contract.

pub mod connector;
pub mod imap;
pub mod listen;
pub mod mime;
pub mod net;
pub mod pull;
pub mod send;
pub mod settings;
