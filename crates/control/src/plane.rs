//! The control plane as its parts know it: what every request handler, carrier
//! and listener shares.

use std::path::PathBuf;
use std::sync::Arc;

use world::Clock;

use crate::agents::Orders;
use crate::api::Metrics;
use crate::carriers::Retention;
use crate::identity::{Authority, KeyProvider};
use crate::images::ImageStore;
use crate::leader::Leader;

/// The running control plane.
pub struct Plane {
    /// Decides and records.
    pub leader: Leader,
    /// Signs the certificates of roles.
    pub authority: Authority,
    /// Seals what is secret at rest.
    pub keys: KeyProvider,
    /// Holds the bytes of images.
    pub images: ImageStore,
    /// Hands commands to agents.
    pub orders: Orders,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long things are kept.
    pub retention: Retention,
    /// Where everything is kept.
    pub directory: PathBuf,
    /// How agents reach us: `https://address:port`.
    pub agent_url: String,
}
