//! The real program, run as a person or a supervisor runs it.

mod brakes;
mod conflicts;
mod connect;
mod console;
mod deploy;
mod drift;
mod explained;
mod import;
mod kit;
mod language;
mod learn;
mod matching;
mod operate;
mod own;
mod plan;
mod queue;
mod quota;
mod reconcile;
mod record;
mod rules;
mod serve;
mod split;
mod terminal;
mod webform;
