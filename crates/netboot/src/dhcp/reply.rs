//! Writes a DHCP reply and says where it goes (RFC 2131, sections 4.1 and 4.3).

use std::net::{Ipv4Addr, SocketAddrV4};

use model::Duration;

use super::boot::BootAnswer;
use super::packet::Packet;
use super::settings::Subnet;

/// Smallest message that old relays and clients accept (RFC 951).
const MESSAGE_BYTES_MIN: usize = 300;
/// Largest message that we write. Every client takes 548 bytes (RFC 2131, section
/// 2), which is more than we need without a relay's echo and a very long URL.
const MESSAGE_BYTES_MAX: usize = 1_024;
/// Longest client identifier that is said back; real ones have up to some 20 bytes.
const CLIENT_BYTES_MAX: usize = 64;

/// A message and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Where it goes; to 255.255.255.255 where the client has no address yet.
    pub to: SocketAddrV4,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This address could be yours.
    Offer(Ipv4Addr),
    /// This address is yours.
    Ack(Ipv4Addr),
    /// You cannot have that address.
    Nak,
    /// You have an address; here is the rest.
    Informed,
}

/// All that a reply is made of.
pub(super) struct Draft<'a> {
    /// What is answered.
    pub(super) packet: &'a Packet,
    /// With what.
    pub(super) answer: Answer,
    /// For how long.
    pub(super) lease: Duration,
    /// Who we are.
    pub(super) server: Ipv4Addr,
    /// The client's subnet.
    pub(super) subnet: &'a Subnet,
    /// About the image.
    pub(super) boot: BootAnswer,
}

impl Draft<'_> {
    /// The reply.
    pub(super) fn write(&self) -> Reply {
        let mut bytes = self.header();
        self.options(&mut bytes);
        assert!(bytes.len() <= MESSAGE_BYTES_MAX, "each part of a reply is bounded");
        bytes.resize(bytes.len().max(MESSAGE_BYTES_MIN), 0);
        Reply { to: self.destination(), bytes }
    }

    fn destination(&self) -> SocketAddrV4 {
        let packet = self.packet;
        if !packet.giaddr.is_unspecified() {
            return SocketAddrV4::new(packet.giaddr, 67);
        }
        let unicast = !packet.ciaddr.is_unspecified() && self.answer != Answer::Nak;
        let to = if unicast { packet.ciaddr } else { Ipv4Addr::BROADCAST };
        SocketAddrV4::new(to, 68)
    }

    fn header(&self) -> Vec<u8> {
        let packet = self.packet;
        let mut flags = packet.flags & 0x8000;
        let (ciaddr, yiaddr) = match self.answer {
            Answer::Offer(address) => (Ipv4Addr::UNSPECIFIED, address),
            Answer::Ack(address) => (packet.ciaddr, address),
            Answer::Informed => (packet.ciaddr, Ipv4Addr::UNSPECIFIED),
            Answer::Nak => {
                // Behind a relay the client may have no usable address: broadcast there.
                flags |= 0x8000;
                (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
            }
        };
        let siaddr = match self.boot {
            BootAnswer::Tftp(_) => self.server,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let mut bytes = Vec::with_capacity(MESSAGE_BYTES_MAX);
        bytes.extend([2, 1, 6, 0]);
        bytes.extend(packet.xid.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(flags.to_be_bytes());
        for address in [ciaddr, yiaddr, siaddr, packet.giaddr] {
            bytes.extend(address.octets());
        }
        bytes.extend(packet.mac.0);
        bytes.extend([0; 10 + 64]);
        let mut file = [0; 128];
        if let BootAnswer::Tftp(name) = &self.boot
            && name.len() < file.len()
        {
            file[..name.len()].copy_from_slice(name.as_bytes());
        }
        bytes.extend(file);
        bytes.extend([99, 130, 83, 99]);
        bytes
    }

    fn options(&self, bytes: &mut Vec<u8>) {
        let kind = match self.answer {
            Answer::Offer(_) => 2,
            Answer::Ack(_) | Answer::Informed => 5,
            Answer::Nak => 6,
        };
        put(bytes, 53, &[kind]);
        put(bytes, 54, &self.server.octets());
        if let Answer::Offer(_) | Answer::Ack(_) = self.answer {
            let secs = u32::try_from(self.lease.micros() / 1_000_000).unwrap_or(u32::MAX);
            put(bytes, 51, &secs.to_be_bytes());
            put(bytes, 58, &(secs / 2).to_be_bytes());
            put(bytes, 59, &(secs / 8 * 7).to_be_bytes());
        }
        if self.answer != Answer::Nak {
            self.network(bytes);
            self.image(bytes);
        }
        if self.packet.client.len() <= CLIENT_BYTES_MAX {
            put(bytes, 61, &self.packet.client);
        }
        // The relay's own option comes last (RFC 3046, section 2.1).
        put(bytes, 82, &self.packet.relay);
        bytes.push(255);
    }

    fn network(&self, bytes: &mut Vec<u8>) {
        put(bytes, 1, &self.subnet.mask().octets());
        put(bytes, 28, &self.subnet.broadcast().octets());
        if let Some(router) = self.subnet.router {
            put(bytes, 3, &router.octets());
        }
        let dns: Vec<u8> = self.subnet.dns.iter().flat_map(Ipv4Addr::octets).collect();
        put(bytes, 6, &dns);
    }

    fn image(&self, bytes: &mut Vec<u8>) {
        match &self.boot {
            BootAnswer::None => {}
            BootAnswer::Http(url) => {
                put(bytes, 60, b"HTTPClient");
                put(bytes, 67, url.as_bytes());
            }
            BootAnswer::Tftp(name) => {
                put(bytes, 66, self.server.to_string().as_bytes());
                put(bytes, 67, name.as_bytes());
            }
        }
    }
}

/// Appends an option; nothing for an empty value. What is longer than one option
/// can hold was not ours to begin with, and is left out.
fn put(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    if let (Ok(length), false) = (u8::try_from(value.len()), value.is_empty()) {
        bytes.extend([code, length]);
        bytes.extend(value);
    }
}
