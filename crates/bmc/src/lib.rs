//! How the control plane talks to baseboard management controllers (BMCs).
//!
//! [`Bmc`] is our own trait, in the words of [`model::bmc`]; [`Redfish`] is its
//! one implementation. Redfish documents are read through the types and the
//! platform repairs of `nv-redfish`; what its types leave out (allowable values,
//! virtual media, actions) is read as JSON over the same connection. That crate
//! moves fast, so nothing of it is visible outside.
//!
//! Whatever a BMC sends is hostile until parsed: bodies are bounded, links to
//! another origin are refused, every request and every command has a deadline,
//! and a part that cannot be read is left out instead of failing the whole.
//!
//! Read in this order: [`Redfish`], `wire` (one request), `session`, `locate`,
//! then one file a verb: `inspect`, `power`, `boot`, `media`, `reset`, `events`,
//! `console`.

mod address;
mod boot;
mod certificate;
mod console;
mod document;
mod events;
mod failure;
mod inspect;
mod limits;
mod locate;
mod media;
mod power;
mod probe;
mod quirks;
mod redfish;
mod reset;
mod session;
mod tasks;
mod typed;
mod wire;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use model::Secret;
use model::bmc::{BmcCommand, BmcFact, BmcFailure};

pub use address::{AddressError, MOST_ADDRESSES, expand_addresses};
pub use limits::Limits;
pub use probe::{Probe, probe, probe_with};
pub use redfish::{Redfish, connect, connect_with};

/// Events of one BMC, as they come; ends when the connection does. An event that
/// makes no sense is an error in the stream, not its end.
pub type EventStream = BoxStream<'static, Result<BmcEvent, BmcFailure>>;

/// The bytes of a serial console; ends when the connection does.
pub type ByteStream = BoxStream<'static, Result<Bytes, BmcFailure>>;

/// A BMC. At most one request is under way at a time; the streams of
/// [`Bmc::events`] and [`Bmc::console`] are connections of their own.
pub trait Bmc: Send {
    /// Carries a command out. Every command is safe to repeat and ends within
    /// its deadline ([`Limits`]).
    fn execute<'a>(
        &'a mut self,
        command: &'a BmcCommand,
    ) -> BoxFuture<'a, Result<BmcFact, BmcFailure>>;

    /// Opens the stream of events (DSP0266 section 13.6, server-sent events).
    /// `None` when this BMC has no such stream: poll instead.
    fn events(&mut self) -> BoxFuture<'_, Result<Option<EventStream>, BmcFailure>>;

    /// Opens the serial console: what it has kept and, with `follow`, what comes
    /// after. [`model::bmc::BmcFailureKind::Unsupported`] when there is none.
    fn console(&mut self, follow: bool) -> BoxFuture<'_, Result<ByteStream, BmcFailure>>;
}

/// Where a BMC is, and how it is entered.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `https://host[:port]`, `host[:port]`, or `http://host[:port]` for a BMC
    /// that has no TLS.
    pub address: String,
    /// Account.
    pub username: String,
    /// Password of the account.
    pub password: Secret,
    /// SHA-256 of the BMC's TLS certificate (DER), hexadecimal. When absent, the
    /// certificate of the first contact holds as long as this connection lives.
    pub certificate: Option<String>,
}

/// Something a BMC told by itself (DSP0268, Event).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BmcEvent {
    /// Id of the event, unique for this BMC where it says one.
    pub id: String,
    /// `Registry.Version.Message`, the stable name of what happened.
    pub message_id: String,
    /// In words, at most 400 characters.
    pub message: String,
    /// `OK`, `Warning`, `Critical`, or empty.
    pub severity: String,
    /// Path of the resource that it is about, or empty.
    pub origin: String,
}
