//! The whole hub, one test binary: one build links everything once.

mod absence;
mod backfill;
mod batches;
mod blocks;
mod console;
mod contract;
mod email;
mod explain;
mod files;
mod flow;
mod garbage;
mod invariants;
mod oscar;
mod process;
mod readme;
mod replay;
mod review;
mod shopify;
mod shops;
mod sync;
mod timeline;
mod tryton;
mod vendure;
mod webhook;
mod wecom;
mod woocommerce;
