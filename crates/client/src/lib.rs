//! The typed client of the API: what the command line, the demo and tests speak.
//!
//! [`Client::call`] takes an endpoint of the table in [`model::api`], so that path,
//! request and reply cannot differ from what is served. Every mutation carries an
//! idempotency key, so a repeated request does nothing twice, and passing faults
//! are tried again without asking. Methods with names are in [`named`].
//!
//! Read in this order: [`settings`], [`call`](Client::call), [`watch`], [`content`].
//! What is not behind the API: the disk service of a host ([`disk_orders`]) and object
//! gateways ([`objects`]).

mod attempt;
mod call;
mod content;
pub mod disk_orders;
mod error;
pub mod gateway_orders;
mod named;
pub mod objects;
mod path;
mod settings;
mod wait;
mod watch;

pub use call::{Client, Options};
pub use error::ClientError;
pub use settings::ClientSettings;
pub use watch::Watch;
