//! The only SQL of the workspace. One set of texts runs on `SQLite` and on Postgres.
//!
//! [`db`] is the small layer under everything: a connection, a transaction, rows, and sets of keys as one parameter.
//! The other modules hold the statements of one group of tables each. Calls block: the stages run them on threads
//! made for that.

pub mod accounts;
pub mod blocks;
pub mod brakes;
pub mod budgets;
pub mod conflicts;
pub mod console;
pub mod db;
pub mod deliveries;
pub mod divergences;
pub mod drifts;
pub mod firings;
pub mod goldens;
pub mod inbox;
pub mod leases;
pub mod lessons;
pub mod links;
pub mod logs;
pub mod meter;
pub mod overview;
pub mod proposals;
pub mod rehearsal;
pub mod renewals;
pub mod replays;
pub mod retention;
pub mod rounds;
pub mod sealed;
pub mod stewards;
pub mod streams;
pub mod traffic;

pub use db::{Store, StoreError, Tx};
