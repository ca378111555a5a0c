//! DHCP for IPv4 (RFC 2131, options of RFC 2132): addresses for firmware, our
//! ramdisk and the systems after it, and for firmware the place of the image.
//!
//! [`Engine`] is pure: time and packet in, reply out. A client is its hardware
//! address, not its client identifier: firmware, ramdisk and system of one machine
//! name themselves differently, and are to have the same address. Leases are not
//! kept across a restart; the first choice of an address is a hash of the hardware
//! address, so that after one a machine is offered what it had.

mod boot;
mod engine;
mod limit;
pub mod packet;
mod pool;
mod reply;
mod settings;
pub(crate) mod socket;

pub use engine::Engine;
pub use reply::Reply;
pub use settings::{Settings, SettingsError, Subnet};
