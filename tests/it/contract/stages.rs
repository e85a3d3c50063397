//! One stage a connector, one file each: its twin with people in it, and what is particular to the system. The checks
//! are common.

mod caldav;
mod carddav;
mod email;
mod hubspot;
mod kingdee;
mod odoo;
mod oscar;
mod shopify;
mod tryton;
mod vendure;
mod webform;
mod webhook;
mod wecom;
mod woocommerce;

use huiliu_core::connection::Connection;
use huiliu_core::connector::{Delivery, Operation};
use huiliu_tests::front::Front;
use serde_json::Value;

/// A connector on its stage.
pub struct Stage {
    /// The connection, with the front in between where the system speaks HTTP.
    pub connection: Connection,
    /// Where calls can be interfered with.
    pub front: Option<Front>,
    /// A secret that proves calls to the system, with a wrong value of the right form. None: there is no such call.
    pub bad_secret: Option<(&'static str, &'static str)>,
    /// Replies under HTTP 200 that are errors, in the system's own words, and their kind.
    pub refusals: &'static [(&'static str, &'static str)],
    /// Streams with more records than one page holds.
    pub paged: &'static [&'static str],
    /// A record that can be made. None: nothing is made there.
    pub create: Option<(&'static str, Value)>,
    /// How many records of the create's stream the system holds.
    pub count: Box<dyn Fn() -> usize>,
    /// A canonical field of customers that travels both ways. None: nobody else can change a record there.
    pub field: Option<&'static str>,
    /// The system's own writes since the start, for quiescence.
    pub writes: Box<dyn Fn() -> u64>,
}

/// The stage of a connector; a connector without one fails the suite.
pub async fn stage(name: &str) -> Option<Stage> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Some(match name {
        "caldav" => caldav::stage().await,
        "carddav" => carddav::stage().await,
        "email" => email::stage().await,
        "hubspot" => hubspot::stage().await,
        "kingdee" => kingdee::stage().await,
        "odoo" => odoo::stage("odoo").await,
        "odoo_rpc" => odoo::stage("odoo_rpc").await,
        "oscar" => oscar::stage().await,
        "shopify" => shopify::stage().await,
        "tryton" => tryton::stage().await,
        "vendure" => vendure::stage().await,
        "webform" => webform::stage(),
        "webhook" => webhook::stage().await,
        "wecom" => wecom::stage().await,
        "woocommerce" => woocommerce::stage().await,
        _ => return None,
    })
}

/// A delivery of the suite.
pub fn delivery(stream: &str, body: &Value, attempt: u32) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Create,
        stream: stream.into(),
        id: None,
        body: body.clone(),
        base: Value::Null,
        base_version: None,
        idempotency_key: "00112233445566778899aabbccddeeff".to_owned(),
        attempt,
    }
}

fn origin(url: &str) -> String {
    let end = url["http://".len()..].find('/').map_or(url.len(), |at| at + "http://".len());
    url[..end].to_owned()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}
