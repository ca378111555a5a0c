//! Limits on how often one client, and all strangers together, are heard.

use model::Timestamp;

use super::packet::Mac;

/// Buckets. Two clients that share one also share its limit: at this number that
/// is rare and harmless, and no flood of invented addresses makes us grow.
const BUCKETS: usize = 4_096;
/// Packets that a client may send at once: three boots with their four tries.
const CLIENT_BURST: u32 = 16;
/// Microseconds until it may send one more.
const CLIENT_EVERY_MICROS: i64 = 1_000_000;
/// Packets of strangers at once.
const STRANGERS_BURST: u32 = 500;
/// Microseconds until one more stranger is heard.
const STRANGERS_EVERY_MICROS: i64 = 10_000;

/// Fills by one each `every` microseconds, up to `burst`.
#[derive(Clone, Debug)]
struct Bucket {
    left: u32,
    filled: Timestamp,
    burst: u32,
    every_micros: i64,
}

impl Bucket {
    fn full(burst: u32, every_micros: i64) -> Self {
        Self { left: burst, filled: Timestamp::from_micros(0), burst, every_micros }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let passed = now.micros().saturating_sub(self.filled.micros()).max(0);
        let gained = passed / self.every_micros;
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.burst);
            self.filled = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// The limits of one server.
#[derive(Debug)]
pub(super) struct Limits {
    clients: Vec<Bucket>,
    strangers: Bucket,
}

impl Limits {
    /// With all buckets full.
    pub(super) fn new() -> Self {
        Self {
            clients: vec![Bucket::full(CLIENT_BURST, CLIENT_EVERY_MICROS); BUCKETS],
            strangers: Bucket::full(STRANGERS_BURST, STRANGERS_EVERY_MICROS),
        }
    }

    /// Whether a packet of this client is to be heard now.
    pub(super) fn admit(&mut self, mac: Mac, known: bool, now: Timestamp) -> bool {
        let bucket = usize::try_from(hash(mac)).unwrap_or(0) % BUCKETS;
        self.clients[bucket].take(now) && (known || self.strangers.take(now))
    }
}

/// FNV-1a over the address: the same in every run, unlike the library's hash.
pub(super) fn hash(mac: Mac) -> u32 {
    mac.0.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
