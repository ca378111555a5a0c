//! The DHCP server without its socket: what each message of RFC 2131 does.

use std::net::Ipv4Addr;

use model::Timestamp;
use model::sighting::Sighting;

use super::boot;
use super::limit::Limits;
use super::packet::{Kind, Packet};
use super::pool::Pool;
use super::reply::{Answer, Draft, Reply};
use super::settings::{Settings, SettingsError};
use crate::{Directory, Permit};

/// A DHCP server: the same packets at the same times give the same replies.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    pools: Vec<Pool>,
    limits: Limits,
}

impl Engine {
    /// A server with all its addresses free.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let pools = settings.subnets.iter().cloned().map(Pool::new).collect();
        Ok(Self { settings, pools, limits: Limits::new() })
    }

    /// Takes one datagram and gives the reply to it, if there is one. The directory
    /// is asked about the machine, and told of what is a sign of a boot.
    pub fn handle(
        &mut self,
        now: Timestamp,
        bytes: &[u8],
        directory: &dyn Directory,
    ) -> Option<Reply> {
        let packet = Packet::read(bytes)?;
        let mac = packet.mac.to_string();
        let known = directory.known(&mac);
        if !self.limits.admit(packet.mac, known, now) {
            return None;
        }
        let starts = packet.ciaddr.is_unspecified();
        if starts && matches!(packet.kind, Kind::Discover | Kind::Request) {
            let client = packet.class_text();
            let sighting = Sighting::Dhcp { mac: mac.clone(), arch: packet.arch, client };
            directory.sighting(sighting);
        }
        if !known && !self.settings.answer_unknown {
            return None;
        }
        let permit = directory.by_mac(&mac);
        let pool = self.pool_of(&packet)?;
        match packet.kind {
            Kind::Discover => self.discover(now, &packet, pool, permit.as_ref()),
            Kind::Request => self.request(now, &packet, pool, permit.as_ref()),
            Kind::Inform => self.inform(&packet, pool, permit.as_ref()),
            Kind::Decline | Kind::Release => {
                self.give_back(now, &packet, pool);
                None
            }
        }
    }

    /// The pool for where the packet came from: the relay's subnet, otherwise ours.
    /// A client that renews through no relay may sit in another subnet than we do.
    fn pool_of(&self, packet: &Packet) -> Option<usize> {
        let place = if !packet.giaddr.is_unspecified() {
            packet.giaddr
        } else if !packet.ciaddr.is_unspecified() {
            packet.ciaddr
        } else {
            self.settings.server
        };
        self.pools.iter().position(|pool| pool.subnet.contains(place))
    }

    fn discover(
        &mut self,
        now: Timestamp,
        packet: &Packet,
        pool: usize,
        permit: Option<&Permit>,
    ) -> Option<Reply> {
        let address = self.pools[pool].offer(packet.mac, packet.wanted, now)?;
        Some(self.reply(packet, pool, permit, Answer::Offer(address)))
    }

    /// RFC 2131, section 4.3.2: a choice among offers, an address from before, or a
    /// lease to be made longer.
    fn request(
        &mut self,
        now: Timestamp,
        packet: &Packet,
        pool: usize,
        permit: Option<&Permit>,
    ) -> Option<Reply> {
        if packet.server.is_some_and(|server| server != self.settings.server) {
            return None;
        }
        let address =
            packet.wanted.or((!packet.ciaddr.is_unspecified()).then_some(packet.ciaddr))?;
        let until = now + self.settings.lease;
        let answer = match self.pools[pool].lease(packet.mac, address, until, now) {
            Ok(()) => Answer::Ack(address),
            Err(_) => Answer::Nak,
        };
        Some(self.reply(packet, pool, permit, answer))
    }

    fn inform(&self, packet: &Packet, pool: usize, permit: Option<&Permit>) -> Option<Reply> {
        let placed = !packet.ciaddr.is_unspecified();
        placed.then(|| self.reply(packet, pool, permit, Answer::Informed))
    }

    fn give_back(&mut self, now: Timestamp, packet: &Packet, pool: usize) {
        if packet.server != Some(self.settings.server) {
            return;
        }
        let pool = &mut self.pools[pool];
        match (packet.kind, packet.wanted) {
            (Kind::Decline, Some(address)) => pool.decline(packet.mac, address, now),
            (Kind::Release, _) => pool.release(packet.mac, packet.ciaddr, now),
            _ => {}
        }
    }

    fn reply(
        &self,
        packet: &Packet,
        pool: usize,
        permit: Option<&Permit>,
        answer: Answer,
    ) -> Reply {
        let boot = boot::answer(packet, permit, &self.settings.boot_url);
        let subnet = &self.pools[pool].subnet;
        let Settings { lease, server, .. } = self.settings;
        Draft { packet, answer, lease, server, subnet, boot }.write()
    }

    /// Our address: the server identifier.
    pub fn server(&self) -> Ipv4Addr {
        self.settings.server
    }
}
