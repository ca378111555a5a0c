//! What a DHCP server answers (RFC 2131 section 2, options by RFC 2132), read by
//! our own few lines: the packet may come from anybody on the wire, and a client
//! needs six of its options. What is too short or has a wrong length is not there.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::dhcp::Lease;

/// Where the options begin, after the fixed part and the cookie.
const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// A lease shorter than this is taken as this long: nobody renews every second.
const LEASE_LEAST: u32 = 60;
/// When the server does not say.
const LEASE_USUAL: u32 = 3600;
/// The smallest packet size that is taken over: below it IP itself suffers.
const MTU_LEAST: u16 = 1280;

/// A server's message, as far as it concerns a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Which exchange it belongs to.
    pub xid: u32,
    /// For whom.
    pub mac: [u8; 6],
    /// DHCP message type: 2 offer, 5 acknowledgement, 6 refusal.
    pub kind: u8,
    /// What it gives; absent when that makes no sense.
    pub lease: Option<Lease>,
}

impl Reply {
    /// `None` when it is not a DHCP reply.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let is_reply = packet.first() == Some(&2) && packet.get(236..OPTIONS) == Some(&COOKIE);
        let options = packet.get(OPTIONS..).filter(|_| is_reply)?;
        let [kind] = option(options, 53)?;
        Some(Self {
            xid: u32::from_be_bytes(four(packet, 4)?),
            mac: packet.get(28..34)?.try_into().ok()?,
            kind,
            lease: lease(Ipv4Addr::from(four(packet, 16)?), options),
        })
    }
}

fn four(packet: &[u8], at: usize) -> Option<[u8; 4]> {
    packet.get(at..at + 4)?.try_into().ok()
}

fn lease(address: Ipv4Addr, options: &[u8]) -> Option<Lease> {
    let odd = address.is_unspecified() || address.is_broadcast() || address.is_multicast();
    if odd || address.is_loopback() {
        return None;
    }
    let seconds = option(options, 51).map_or(LEASE_USUAL, u32::from_be_bytes).max(LEASE_LEAST);
    Some(Lease {
        address,
        mask: option::<4>(options, 1).map_or(Ipv4Addr::new(255, 255, 255, 0), Ipv4Addr::from),
        // There may be several routers; the first is preferred (RFC 2132 section 3.5).
        router: value(options, 3).and_then(|routers| four(routers, 0)).map(Ipv4Addr::from),
        mtu: option(options, 26).map(u16::from_be_bytes).filter(|mtu| *mtu >= MTU_LEAST),
        server: Ipv4Addr::from(option::<4>(options, 54)?),
        span: Duration::from_secs(seconds.into()),
    })
}

/// An option that has exactly this length.
fn option<const N: usize>(options: &[u8], code: u8) -> Option<[u8; N]> {
    value(options, code)?.try_into().ok()
}

/// The bytes of an option: code, length, value; 0 is padding, 255 the end.
fn value(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [255, ..] | [] | [_] => return None,
            [code, length, rest @ ..] => {
                let value = rest.get(..usize::from(*length))?;
                if *code == wanted {
                    return Some(value);
                }
                options = &rest[value.len()..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode};
    use dhcproto::{Encodable as _, Encoder};

    /// An offer as another implementation writes it.
    fn offer() -> Vec<u8> {
        let (any, ours) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 77, 0, 20));
        let mut message = Message::new_with_id(77, any, ours, any, any, &[2, 0, 0, 0, 0, 9]);
        message.set_opcode(Opcode::BootReply);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(MessageType::Offer));
        options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 0, 0)));
        let routers = vec![Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];
        options.insert(DhcpOption::Router(routers));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 77, 0, 1)));
        options.insert(DhcpOption::AddressLeaseTime(600));
        options.insert(DhcpOption::InterfaceMtu(9000));
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn an_offer_is_understood() {
        let reply = Reply::parse(&offer()).unwrap();
        assert_eq!((reply.xid, reply.kind, reply.mac), (77, 2, [2, 0, 0, 0, 0, 9]));
        let lease = reply.lease.unwrap();
        assert_eq!(lease.address, Ipv4Addr::new(10, 77, 0, 20));
        assert_eq!(lease.mask, Ipv4Addr::new(255, 255, 0, 0));
        assert_eq!(lease.router, Some(Ipv4Addr::new(10, 77, 0, 1)));
        assert_eq!((lease.mtu, lease.span), (Some(9000), Duration::from_secs(600)));
    }

    #[test]
    fn cut_and_changed_offers_are_survived() {
        let offer = offer();
        for place in 0..offer.len() {
            Reply::parse(&offer[..place]);
            for value in [0, 1, 3, 255] {
                let mut changed = offer.clone();
                changed[place] = value;
                Reply::parse(&changed);
            }
        }
        let mut request = offer;
        request[0] = 1;
        assert_eq!(Reply::parse(&request), None);
    }
}
