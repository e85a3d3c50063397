//! Twins: stand-ins that speak a vendor's wire protocol, with its limits and quirks.
//!
//! Each module is one vendor: [`wecom`], [`kingdee`], [`shopify`], [`woocommerce`], [`hubspot`], [`odoo`]. A twin listens on a
//! free loopback port, keeps its state in memory, can be edited from the outside as its own users would edit it, and
//! sends webhooks through [`hooks`], which can drop, repeat and reorder them.

mod desk;
pub mod hooks;
pub mod hubspot;
pub mod kingdee;
pub mod mailbox;
pub mod odoo;
pub mod shopify;
pub mod wecom;
pub mod woocommerce;
