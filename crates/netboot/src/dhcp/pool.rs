//! The addresses of one subnet, and who holds them.
//!
//! The promise: while one client holds an address, no other client is given it.
//! An address that has run out stays with its client until another one needs it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::{Duration, Timestamp};

use super::limit::hash;
use super::packet::Mac;
use super::settings::Subnet;

/// How long an offer is kept for its client: firmware asks again for up to a minute.
const OFFER: Duration = Duration::from_secs(60);
/// How long an address that somebody else answers on is left alone.
const DECLINED: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
struct Hold {
    /// Who has it; nobody when it was declined.
    by: Option<Mac>,
    /// Until when.
    until: Timestamp,
}

/// Why a client cannot keep an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// The addresses of one subnet.
#[derive(Debug)]
pub(super) struct Pool {
    /// What it is made of.
    pub(super) subnet: Subnet,
    holds: BTreeMap<u32, Hold>,
    of: BTreeMap<Mac, u32>,
}

impl Pool {
    /// With all addresses free.
    pub(super) fn new(subnet: Subnet) -> Self {
        Self { subnet, holds: BTreeMap::new(), of: BTreeMap::new() }
    }

    /// An address for a client that has none, kept for it for a minute; `None` when
    /// all are held.
    pub(super) fn offer(
        &mut self,
        mac: Mac,
        wanted: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Option<Ipv4Addr> {
        let own = self.of.get(&mac).copied();
        let wanted = wanted.map(Ipv4Addr::to_bits).filter(|address| self.free(*address, mac, now));
        let address = own.or(wanted).or_else(|| self.find(mac, now))?;
        // An offer must not shorten a lease that still runs.
        let until = match self.holds.get(&address) {
            Some(hold) if hold.by == Some(mac) => hold.until.max(now + OFFER),
            _ => now + OFFER,
        };
        self.hold(address, mac, until);
        Some(Ipv4Addr::from_bits(address))
    }

    /// Gives a client the address that it names.
    ///
    /// An address that nobody holds is given also to a client that we have no memory
    /// of: it had it before we were started anew.
    pub(super) fn lease(
        &mut self,
        mac: Mac,
        address: Ipv4Addr,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let address = address.to_bits();
        if !self.free(address, mac, now) {
            return Err(Refused);
        }
        self.hold(address, mac, until);
        Ok(())
    }

    /// Takes an address back from the client that has it.
    pub(super) fn release(&mut self, mac: Mac, address: Ipv4Addr, now: Timestamp) {
        if self.of.get(&mac) == Some(&address.to_bits()) {
            self.hold(address.to_bits(), mac, now);
        }
    }

    /// Leaves an address alone that its client found to be somebody else's. At most a
    /// quarter of the range at once: a liar must not talk all addresses away.
    pub(super) fn decline(&mut self, mac: Mac, address: Ipv4Addr, now: Timestamp) {
        let (first, last) = self.range().into_inner();
        let left_alone = self.holds.values().filter(|hold| hold.by.is_none() && hold.until > now);
        let room = left_alone.count() < usize::try_from((last - first) / 4).unwrap_or(0).max(1);
        if room && self.of.get(&mac) == Some(&address.to_bits()) {
            self.of.remove(&mac);
            self.holds.insert(address.to_bits(), Hold { by: None, until: now + DECLINED });
        }
    }

    /// Whether a client may have an address: it is in the range, and is its own or
    /// held by nobody.
    fn free(&self, address: u32, mac: Mac, now: Timestamp) -> bool {
        if !self.range().contains(&address) {
            return false;
        }
        self.holds.get(&address).is_none_or(|hold| hold.by == Some(mac) || hold.until <= now)
    }

    fn range(&self) -> std::ops::RangeInclusive<u32> {
        self.subnet.first.to_bits()..=self.subnet.last.to_bits()
    }

    /// An address that was never given, beginning at the client's own place; after
    /// those the one that ran out first.
    fn find(&self, mac: Mac, now: Timestamp) -> Option<u32> {
        let (first, last) = self.range().into_inner();
        let size = last - first + 1;
        if self.holds.len() < usize::try_from(size).unwrap_or(usize::MAX) {
            let place = hash(mac) % size;
            let order = (0..size).map(|step| first + (place + step) % size);
            return order.into_iter().find(|address| !self.holds.contains_key(address));
        }
        let over = self.holds.iter().filter(|(_, hold)| hold.until <= now);
        over.min_by_key(|(_, hold)| hold.until).map(|(address, _)| *address)
    }

    fn hold(&mut self, address: u32, mac: Mac, until: Timestamp) {
        if let Some(before) = self.of.insert(mac, address)
            && before != address
        {
            self.holds.remove(&before);
        }
        let last = self.holds.insert(address, Hold { by: Some(mac), until });
        if let Some(Hold { by: Some(other), .. }) = last
            && other != mac
        {
            self.of.remove(&other);
        }
        assert_eq!(self.of.get(&mac), Some(&address), "a client knows its address");
        assert!(self.range().contains(&address), "only addresses of the range are given");
    }
}
