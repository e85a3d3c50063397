//! 企业微信 (`WeCom`): customers of the corp's members, their tags and group chats.
//!
//! A callback arrives sealed ([`crypto`]) as flat XML or JSON ([`envelope`]); [`callback`] opens it and turns the event
//! into hints. [`wecom`] is the connector: it reads and writes through [`api`], which keeps the access token and
//! sorts error codes, over [`wire`]. [`contacts`], [`chats`] and [`tags`] are the streams, [`scan`] is where a scan stands, and
//! [`push`] carries out a delivery.

pub mod api;
pub mod callback;
pub mod chats;
pub mod contacts;
pub mod crypto;
pub mod envelope;
pub mod notices;
pub mod push;
pub mod scan;
pub mod tags;
pub mod wecom;
pub mod wire;
