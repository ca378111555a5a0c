//! What the DHCP server gives, checked once before it starts.

use std::net::Ipv4Addr;

use model::Duration;
use thiserror::Error;

/// Addresses in one subnet at most: a /16.
const ADDRESSES_MAX: u32 = 65_536;
/// Subnets at most.
const SUBNETS_MAX: usize = 256;
/// Characters of the base URL at most: with a token it must fit one option (255).
const URL_CHARS_MAX: usize = 100;

/// One subnet whose machines we give addresses to.
#[derive(Clone, Debug)]
pub struct Subnet {
    /// Length of its prefix, 8 to 30.
    pub prefix: u8,
    /// First address that is given.
    pub first: Ipv4Addr,
    /// Last address that is given; in the same subnet as the first.
    pub last: Ipv4Addr,
    /// The way out, if there is one.
    pub router: Option<Ipv4Addr>,
    /// Name servers, at most four.
    pub dns: Vec<Ipv4Addr>,
}

impl Subnet {
    /// Its mask.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - u32::from(self.prefix.clamp(8, 30))))
    }

    /// Its broadcast address.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() | !self.mask().to_bits())
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.first.to_bits()) & self.mask().to_bits() == 0
    }
}

/// How the DHCP server answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our address in the boot network: the server identifier, and where TFTP is.
    pub server: Ipv4Addr,
    /// The subnets; machines behind a relay are told by the relay's address.
    pub subnets: Vec<Subnet>,
    /// How long an address is given for; 2 minutes to 7 days.
    pub lease: Duration,
    /// Whether hardware addresses that the directory does not know get an address.
    pub answer_unknown: bool,
    /// What the boot paths are appended to: `http://10.77.0.1:8080`.
    pub boot_url: String,
}

impl Settings {
    /// For one subnet, half an hour of lease, known machines only.
    pub fn one(server: Ipv4Addr, subnet: Subnet, boot_url: impl Into<String>) -> Self {
        Self {
            server,
            subnets: vec![subnet],
            lease: Duration::from_secs(1_800),
            answer_unknown: false,
            boot_url: boot_url.into(),
        }
    }

    /// Whether they make sense.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.subnets.is_empty() || self.subnets.len() > SUBNETS_MAX {
            return Err(SettingsError::Subnets { max: SUBNETS_MAX });
        }
        if !(120..=7 * 86_400).contains(&(self.lease.micros() / 1_000_000)) {
            return Err(SettingsError::Lease);
        }
        let url = &self.boot_url;
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        let web = url.starts_with("http://") || url.starts_with("https://");
        if !plain || !web || url.ends_with('/') || url.len() > URL_CHARS_MAX {
            return Err(SettingsError::BootUrl { max: URL_CHARS_MAX });
        }
        self.subnets.iter().try_for_each(|subnet| self.check_subnet(subnet))
    }

    fn check_subnet(&self, subnet: &Subnet) -> Result<(), SettingsError> {
        let range = || format!("{}-{}/{}", subnet.first, subnet.last, subnet.prefix);
        if !(8..=30).contains(&subnet.prefix) || subnet.dns.len() > 4 {
            return Err(SettingsError::Range { range: range() });
        }
        let (first, last) = (subnet.first.to_bits(), subnet.last.to_bits());
        let edge = subnet.broadcast().to_bits();
        let network = edge & subnet.mask().to_bits();
        let ordered = first <= last && last - first < ADDRESSES_MAX;
        if !ordered || first <= network || last >= edge {
            return Err(SettingsError::Range { range: range() });
        }
        let taken = [Some(self.server), subnet.router];
        if taken.iter().flatten().any(|a| (first..=last).contains(&a.to_bits())) {
            return Err(SettingsError::Taken { range: range() });
        }
        Ok(())
    }
}

/// Why a DHCP server cannot be run so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// None or too many.
    #[error("between 1 and {max} subnets are needed")]
    Subnets {
        /// At most.
        max: usize,
    },
    /// Too short or too long.
    #[error("a lease lasts between 2 minutes and 7 days")]
    Lease,
    /// Not a URL that fits.
    #[error(
        "the boot URL is http:// or https://, without a slash at its end, at most {max} characters"
    )]
    BootUrl {
        /// At most.
        max: usize,
    },
    /// Not a range of one subnet.
    #[error(
        "{range} is not a range of at most 65,536 addresses inside one subnet of /8 to /30, with at most 4 name servers"
    )]
    Range {
        /// The range.
        range: String,
    },
    /// The server's or the router's address is in the range.
    #[error("{range} includes the address of the server or of the router")]
    Taken {
        /// The range.
        range: String,
    },
}
