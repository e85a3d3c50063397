//! What a connector may touch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConnectionName, ConnectorError, Result};
use crate::clock::Clock;
use crate::offset::ClockOffset;
use crate::quota::{Lane, Quota};
use crate::secrets::{Secret, TokenVault};

/// Which addresses a connection may talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Public addresses only: loopback, private, link-local and similar ranges are refused.
    #[default]
    Public,
    /// Also private addresses and loopback; the operator said so in the configuration.
    Private,
}

/// Everything a connector may touch: the connection's settings and secrets, the time, the quota, the tokens.
#[derive(Clone)]
pub struct Cx {
    /// Whose call this is.
    pub connection: ConnectionName,
    /// `config.*` of the connection, checked against the manifest, defaults filled in.
    pub settings: Arc<BTreeMap<String, String>>,
    /// `secret.*` of the connection, opened.
    pub secrets: Arc<BTreeMap<String, Secret>>,
    /// The time.
    pub clock: Clock,
    /// The connection's share of the vendor's quota.
    pub quota: Arc<Quota>,
    /// Tokens that outlive a process, sealed, with single-flight refresh.
    pub tokens: Arc<TokenVault>,
    /// Which addresses may be called.
    pub network: Network,
    /// How far the system's clock is from ours; whoever hears its time tells it here.
    pub offset: Arc<ClockOffset>,
}

impl Cx {
    /// What a connection may touch that has nothing of its own: no settings, no secrets, no bound but the system's, and
    /// tokens that nobody keeps. Rehearsals and tests begin with it.
    pub fn bare(connection: &str, clock: Clock, network: Network) -> Self {
        Self {
            connection: connection.into(),
            settings: Arc::default(),
            secrets: Arc::default(),
            clock,
            quota: Arc::new(Quota::unlimited()),
            tokens: Arc::new(TokenVault::in_memory()),
            network,
            offset: Arc::default(),
        }
    }

    /// The same for calls of another lane.
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { quota: Arc::new(Quota::lane_of(self.quota.clone(), lane)), ..self.clone() }
    }

    /// A setting, or a [`ConnectorError::Broken`] that says which one is missing.
    pub fn setting(&self, name: &str) -> Result<&str> {
        self.settings.get(name).map(String::as_str).ok_or_else(|| {
            ConnectorError::broken(format!("config.{name} is not set for connection {}", self.connection))
        })
    }

    /// A secret, or [`ConnectorError::Unauthorized`] that says which one is missing and how to give it.
    pub fn secret(&self, name: &str) -> Result<&Secret> {
        self.secrets.get(name).ok_or_else(|| ConnectorError::Unauthorized {
            detail: format!(
                "secret.{name} of connection {} is not set; run `huiliu connect {}`",
                self.connection, self.connection
            ),
        })
    }
}
