//! Which pieces run here? The hub only wires.
//!
//! [`cli`] is the command line, one file a command. [`config`] reads the deployment folder, [`connectors`] lists what
//! ships, [`deployment`] puts an engine together, [`hooks`] lets webhooks in, [`import`] and [`export`] bring files in and
//! out, [`in_force`] knows which files are in force, [`intake`] opens what keeps calls before they are answered, [`run`]
//! keeps the stages going, [`letting_go`] forgets what is old, [`console`] shows pages, [`live`] takes a connection from observing to live,
//! [`endpoints`], [`metrics`] and [`logs`] say how it does, [`memory`] keeps it small, [`show`] answers who and why, [`demo`] plays a day with
//! pretended systems, [`contract`] holds connectors to their promises, [`invent`] replaces people by invented ones, [`language`] is
//! Chinese or English, [`table`] draws columns, and [`example`] and [`rules_file`] write tables of
//! huiliu.toml and lines of rules/survive.toml.

pub mod cli;
pub mod completeness;
pub mod config;
pub mod connectors;
pub mod console;
pub mod contract;
pub mod demo;
pub mod deployment;
pub mod endpoints;
pub mod example;
pub mod export;
pub mod hooks;
pub mod import;
pub mod in_force;
pub mod intake;
pub mod invent;
pub mod language;
pub mod letting_go;
pub mod live;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod model_file;
pub mod roles;
pub mod rules_file;
pub mod run;
pub mod show;
pub mod table;
