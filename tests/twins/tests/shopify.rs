//! The shop's twin: pages, search by time, writes and their forms, points, webhooks that Shopify's own SDK accepts; and
//! the fixtures, which are what it answers and sends, read by the mapping both ways.
//! `UPDATE_FIXTURES=1 cargo test -p huiliu-twins --test shopify` writes the fixtures anew.

#[path = "shopify/kit.rs"]
mod kit;

#[path = "shopify/calls.rs"]
mod calls;
#[path = "shopify/engine.rs"]
mod engine;
#[path = "shopify/fixtures.rs"]
mod fixtures;
#[path = "shopify/told.rs"]
mod told;
