//! The hub and a few systems in one process, on a clock that the simulation moves, in an order that a seed decides.
//!
//! A [`scenario`] (a file) says which systems there are, how they behave, and how often what goes wrong. With a seed
//! ([`dice`]) it becomes a [`script`]: every edit, every fault and every crash of one day. The [`world`] plays it: the
//! real stages of core on a real SQLite store ([`hub`]), connectors in memory ([`system`]), one step at a time. The
//! [`ledger`] knows every edit and what its author saw, so the [`verdict`] can say at the end whether each last edit is
//! everywhere, nothing is doubled, and nobody is written to any more. What fails is made as short as it can be
//! ([`shrink`]). A [`mutant`] plants a bug, to see that the verdict finds it. [`days`] plays many.

pub mod days;
pub mod dice;
pub mod hub;
pub mod ledger;
pub mod mutant;
pub mod scenario;
pub mod script;
pub mod shrink;
pub mod system;
pub mod verdict;
pub mod words;
pub mod world;
