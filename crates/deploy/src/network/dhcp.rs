//! A DHCP client (RFC 2131): one lease on one interface, renewed in time. Small
//! on purpose: the ramdisk lives for minutes, and needs an address and a router.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Encodable as _, Encoder};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::reply::Reply;
use crate::backoff::random;

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
/// Largest packet that is read.
const PACKET_MOST: usize = 1500;
/// Waits for an answer, doubling (RFC 2131 section 4.1 begins at 4 s; a ramdisk is in a hurry).
const WAITS: [u64; 5] = [1, 2, 4, 8, 16];
/// DHCP message types (RFC 2132 section 9.6).
const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
/// Tells our requests from those of the deployed system.
const VENDOR_CLASS: &[u8] = b"bedplate-deploy";

/// What the server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Of the network.
    pub mask: Ipv4Addr,
    /// The way out, when there is one.
    pub router: Option<Ipv4Addr>,
    /// Largest packet, when the server says.
    pub mtu: Option<u16>,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// How long it is ours.
    pub span: Duration,
}

/// A client on one interface.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    mac: [u8; 6],
}

impl Client {
    /// Opens the client's port on this interface only (needs `CAP_NET_RAW`).
    pub fn open(interface: &str, mac: [u8; 6]) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT)).into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, mac })
    }

    /// Asks until a server gives an address; `None` when none did after a while.
    pub async fn acquire(&self) -> io::Result<Option<Lease>> {
        let xid = random() as u32;
        for seconds in WAITS {
            let until = Instant::now() + Duration::from_secs(seconds);
            self.send(&self.discover(xid), Ipv4Addr::BROADCAST).await?;
            let Some(offered) = self.hear(xid, OFFER, until).await? else { continue };
            self.send(&self.request(xid, &offered), Ipv4Addr::BROADCAST).await?;
            let until = Instant::now() + Duration::from_secs(seconds);
            if let Some(lease) = self.hear(xid, ACK, until).await? {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    /// Keeps the lease (RFC 2131 section 4.4.5); `None` when the server does not want to.
    pub async fn renew(&self, old: &Lease) -> io::Result<Option<Lease>> {
        let xid = random() as u32;
        for seconds in WAITS {
            let mut message = self.message(xid, MessageType::Request);
            message.set_ciaddr(old.address).set_flags(Flags::default());
            self.send(&message, old.server).await?;
            let until = Instant::now() + Duration::from_secs(seconds);
            if let Some(lease) = self.hear(xid, ACK, until).await? {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    fn message(&self, xid: u32, kind: MessageType) -> Message {
        let any = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(xid, any, any, any, any, &self.mac);
        message.set_opcode(Opcode::BootRequest).set_htype(HType::Eth);
        // The answer must be a broadcast: we have no address yet to be sent to.
        message.set_flags(Flags::default().set_broadcast());
        let mut identifier = vec![1];
        identifier.extend(self.mac);
        let wanted = vec![OptionCode::SubnetMask, OptionCode::Router, OptionCode::InterfaceMtu];
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ClientIdentifier(identifier));
        options.insert(DhcpOption::ClassIdentifier(VENDOR_CLASS.to_vec()));
        options.insert(DhcpOption::ParameterRequestList(wanted));
        message
    }

    fn discover(&self, xid: u32) -> Message {
        self.message(xid, MessageType::Discover)
    }

    fn request(&self, xid: u32, offered: &Lease) -> Message {
        let mut message = self.message(xid, MessageType::Request);
        message.opts_mut().insert(DhcpOption::RequestedIpAddress(offered.address));
        message.opts_mut().insert(DhcpOption::ServerIdentifier(offered.server));
        message
    }

    async fn send(&self, message: &Message, to: Ipv4Addr) -> io::Result<()> {
        let mut bytes = Vec::new();
        let encoded = message.encode(&mut Encoder::new(&mut bytes));
        encoded.map_err(|error| io::Error::other(error.to_string()))?;
        // RFC 1542 section 2.1: some relays drop what is shorter than BOOTP was.
        bytes.resize(bytes.len().max(300), 0);
        self.socket.send_to(&bytes, SocketAddrV4::new(to, SERVER)).await?;
        Ok(())
    }

    /// The lease of the first answer to us of this kind before `until`.
    async fn hear(&self, xid: u32, kind: u8, until: Instant) -> io::Result<Option<Lease>> {
        let mut packet = [0; PACKET_MOST];
        loop {
            let Ok(heard) = timeout_at(until, self.socket.recv_from(&mut packet)).await else {
                return Ok(None);
            };
            let (length, _) = heard?;
            let Some(reply) = Reply::parse(&packet[..length]) else { continue };
            if reply.xid != xid || reply.mac != self.mac {
                continue;
            }
            match reply.lease {
                _ if reply.kind == NAK => return Ok(None),
                Some(lease) if reply.kind == kind => return Ok(Some(lease)),
                _ => {}
            }
        }
    }
}
