//! How machines get our image over the network.
//!
//! Three small servers and a workshop. [`dhcp`] gives addresses and says where
//! the image is, [`http`] hands it out (UEFI HTTP boot and virtual media),
//! [`tftp`] does so for old PXE, and [`image`] builds and signs it. Who may boot,
//! and by which secret address, is asked of the [`Directory`], which the control
//! plane answers from memory; what was seen on the wire is told to it.
//!
//! The protocols are engines without sockets ([`dhcp::Engine`], [`tftp::Server`]);
//! [`serve()`] puts thin loops around sockets that were bound outside, because
//! they often live in another network namespace.

pub mod dhcp;
mod directory;
pub mod files;
pub mod http;
pub mod image;
pub mod keys;
mod serve;
mod sightings;
pub mod tftp;

pub use directory::{Directory, Permit, boot_path, media_path};
pub use files::BootFiles;
pub use serve::{Running, Settings, Sockets, serve};
