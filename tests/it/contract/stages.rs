//! One stage a connector, one file each: its twin with people in it, and what is particular to the system. The checks
//! are common. A system that is only a manifest needs none: it is rehearsed by its manifest and fixtures.

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

use std::path::Path;

use huiliu_core::connection::Connection;
use huiliu_hub::contract;
pub use huiliu_hub::contract::create as delivery;
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

/// The stage of a connector. None: it has no other than its rehearsal.
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

impl Stage {
    /// As the contract's checks take it; `folder` is the connector's.
    pub fn with(self, folder: &Path) -> contract::Stage {
        let (count, refusals) = (self.count, self.refusals.iter());
        contract::Stage {
            connection: self.connection,
            front: self.front,
            bad_secret: self.bad_secret.map(|(name, wrong)| (name.to_owned(), wrong.to_owned())),
            refusals: refusals.map(|(body, kind)| (200, (*body).to_owned(), (*kind).to_owned())).collect(),
            paged: self.paged.iter().map(|stream| (*stream).to_owned()).collect(),
            creates: self.create.into_iter().map(|(stream, body)| (stream.to_owned(), body)).collect(),
            count: Box::new(move |_| count()),
            field: self.field.map(str::to_owned),
            writes: self.writes,
            rehearsal: None,
            folder: folder.to_owned(),
        }
    }
}

fn origin(url: &str) -> String {
    let end = url["http://".len()..].find('/').map_or(url.len(), |at| at + "http://".len());
    url[..end].to_owned()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}
