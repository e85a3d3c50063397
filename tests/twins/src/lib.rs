//! Twins: stand-ins that speak a vendor's wire protocol, with its limits and quirks.
//!
//! Each module is one vendor: [`wecom`], [`kingdee`], [`shopify`], [`woocommerce`], [`hubspot`], [`odoo`]. A twin listens on a
//! free loopback port, keeps its state in memory, can be edited from the outside as its own users would edit it, and
//! sends webhooks through [`hooks`], which can drop, repeat and reorder them. [`rehearsal`] stands in for any system by
//! its manifest and fixtures alone, [`memory`] is a system without a wire, and [`front`] interferes between a hub and a
//! twin, by hand or by a [`script`], a file of scenarios whose seed plays one day again.

mod desk;
pub mod dice;
pub mod front;
pub mod hooks;
pub mod hubspot;
pub mod kingdee;
pub mod mailbox;
pub mod memory;
pub mod odoo;
pub mod rehearsal;
pub mod script;
pub mod shopify;
pub mod wecom;
pub mod woocommerce;
