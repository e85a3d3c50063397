//! The kit of the tests: stores of both kinds, small deployments to run the pipeline on, a receiver of events, a change of
//! the rules, merges that are taken back, a way in front of a twin that interferes, a real mail server, address book,
//! calendar, ERP, shops and log, and published SDKs as judges.

pub mod dice;
pub mod dovecot;
pub mod judge;
pub mod kit;
pub mod leaky;
pub mod nats;
pub mod oscar;
pub mod postgres;
pub mod radicale;
pub mod receiver;
pub mod rules;
pub mod server;
pub mod tryton;
pub mod unmerge;
pub mod vendure;

pub use huiliu_twins::{front, memory};
