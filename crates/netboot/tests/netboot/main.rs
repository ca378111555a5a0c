//! Network boot against clients that we did not write: packets as firmware sends
//! them, curl, OpenSSL, sbverify, cpio, and QEMU with real UEFI firmware.
#![allow(clippy::disallowed_methods, reason = "firmware that runs beside us keeps real time")]

mod dhcp;
mod fixture;
mod http;
mod image;
mod tftp;
mod uefi;
