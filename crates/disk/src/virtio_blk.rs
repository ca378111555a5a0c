//! What a virtio block device says: features, configuration space, request headers.
//! Follows virtio 1.3, sections 2.2, 5.2 and 6. Everything is little-endian.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in a sector, the unit of everything here.
pub const SECTOR: u64 = 512;

/// Data segments in a request. A chain of these, a header and a status fits a queue of
/// 128 without indirect descriptors.
pub const SEG_MAX: u32 = 126;

/// Data in a request. Firmware reads kernels in one go, so this is large; but a chain
/// may name the same memory again and again, so there is a limit.
pub const TRANSFER_MAX: u64 = 1 << 30;

/// Sectors in one discard or write-zeroes: 2 GiB.
pub const RANGE_SECTORS_MAX: u32 = 1 << 22;

/// Bytes of a serial.
pub const SERIAL: usize = 20;

/// Bytes of the configuration space, up to and with the fields of secure erase.
pub const CONFIG: usize = 72;

/// Bits of the features that are negotiated.
pub mod feature {
    /// `seg_max` is told.
    pub const SEG_MAX: u64 = 1 << 2;
    /// The volume cannot be written.
    pub const RO: u64 = 1 << 5;
    /// `blk_size` is told.
    pub const BLK_SIZE: u64 = 1 << 6;
    /// Writes may be cached until a flush. A driver that does not take it gets
    /// durable writes.
    pub const FLUSH: u64 = 1 << 9;
    /// The physical block size is told.
    pub const TOPOLOGY: u64 = 1 << 10;
    /// There is more than one queue.
    pub const MQ: u64 = 1 << 12;
    /// Ranges can be discarded.
    pub const DISCARD: u64 = 1 << 13;
    /// Ranges can be zeroed.
    pub const WRITE_ZEROES: u64 = 1 << 14;
    /// Descriptors can be in a table elsewhere.
    pub const RING_INDIRECT_DESC: u64 = 1 << 28;
    /// Notifications by index.
    pub const RING_EVENT_IDX: u64 = 1 << 29;
    /// Of vhost-user: there are protocol features.
    pub const PROTOCOL: u64 = 1 << 30;
    /// Virtio 1.0 or later.
    pub const VERSION_1: u64 = 1 << 32;
    /// The packed layout.
    pub const RING_PACKED: u64 = 1 << 34;
}

/// Types of requests.
pub mod kind {
    /// Read.
    pub const IN: u32 = 0;
    /// Write.
    pub const OUT: u32 = 1;
    /// Flush.
    pub const FLUSH: u32 = 4;
    /// The serial.
    pub const GET_ID: u32 = 8;
    /// Discard.
    pub const DISCARD: u32 = 11;
    /// Write zeroes.
    pub const WRITE_ZEROES: u32 = 13;
}

/// The last byte of each request, written by the device.
pub mod status {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed, or made no sense.
    pub const IOERR: u8 = 1;
    /// Not something this device does.
    pub const UNSUPP: u8 = 2;
}

/// The first 16 bytes of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// See [`kind`].
    pub kind: u32,
    /// In sectors of 512 bytes.
    pub sector: u64,
}

/// Its length in bytes.
pub const HEADER: usize = 16;

impl Header {
    /// From the two words that the guest wrote.
    #[inline]
    pub fn decode((low, high): (u64, u64)) -> Self {
        Self { kind: low as u32, sector: high }
    }
    /// As a guest writes it.
    pub fn encode(self) -> [u8; HEADER] {
        (u128::from(self.kind) | u128::from(self.sector) << 64).to_le_bytes()
    }
}

/// The range of a discard or write-zeroes, as the guest wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first sector.
    pub sector: u64,
    /// How many sectors.
    pub sectors: u32,
    /// Bit 0: write-zeroes may unmap. All others are reserved.
    pub flags: u32,
}

/// Its length in bytes.
pub const RANGE: usize = 16;

impl Range {
    /// From the two words that the guest wrote.
    pub fn decode((low, high): (u64, u64)) -> Self {
        Self { sector: low, sectors: high as u32, flags: (high >> 32) as u32 }
    }
    /// As a guest writes it.
    pub fn encode(self) -> [u8; RANGE] {
        let high = u128::from(self.sectors) | u128::from(self.flags) << 32;
        (u128::from(self.sector) | high << 64).to_le_bytes()
    }
}

/// A block device as guests see it. Shared by all its queues; only its size changes.
#[derive(Debug)]
pub struct Device {
    sectors: AtomicU64,
    queues: u16,
    read_only: bool,
    serial: [u8; SERIAL],
}

impl Device {
    /// A device of so many bytes (a part of a sector is not seen) and queues. A serial
    /// is cut after 20 bytes.
    pub fn new(bytes: u64, queues: u16, read_only: bool, serial: &str) -> Self {
        assert!(queues > 0, "a device has a queue");
        let mut padded = [0; SERIAL];
        let length = serial.len().min(SERIAL);
        padded[..length].copy_from_slice(&serial.as_bytes()[..length]);
        Self { sectors: AtomicU64::new(bytes / SECTOR), queues, read_only, serial: padded }
    }

    /// How many queues a driver may use.
    pub fn queues(&self) -> u16 {
        self.queues
    }
    /// What `GET_ID` answers.
    pub fn serial(&self) -> [u8; SERIAL] {
        self.serial
    }
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.sectors.load(Ordering::Relaxed) * SECTOR
    }
    /// The volume has grown. The driver is told by a change of configuration.
    pub fn resize(&self, bytes: u64) {
        self.sectors.store(bytes / SECTOR, Ordering::Relaxed);
    }

    /// What is offered to a driver.
    pub fn features(&self) -> u64 {
        use feature::{BLK_SIZE, DISCARD, FLUSH, MQ, PROTOCOL, RING_EVENT_IDX, RING_INDIRECT_DESC};
        use feature::{RING_PACKED, RO, SEG_MAX, TOPOLOGY, VERSION_1, WRITE_ZEROES};
        let rings = RING_INDIRECT_DESC | RING_EVENT_IDX | RING_PACKED | VERSION_1 | PROTOCOL;
        let always = rings | SEG_MAX | BLK_SIZE | FLUSH | TOPOLOGY;
        let several = if self.queues > 1 { MQ } else { 0 };
        always | several | if self.read_only { RO } else { DISCARD | WRITE_ZEROES }
    }

    /// The configuration space (`struct virtio_blk_config`).
    pub fn config(&self) -> [u8; CONFIG] {
        let mut space = [0; CONFIG];
        let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.sectors.load(Ordering::Relaxed).to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &512u32.to_le_bytes()); // blk_size
        put(24, &[3]); // a physical block is 2^3 logical ones
        put(26, &8u16.to_le_bytes()); // smallest good I/O, in logical blocks
        put(28, &128u32.to_le_bytes()); // best I/O: an extent of 64 KiB
        put(32, &[1]); // there is a write cache
        put(34, &self.queues.to_le_bytes());
        put(36, &RANGE_SECTORS_MAX.to_le_bytes());
        put(40, &1u32.to_le_bytes()); // ranges in a discard
        put(44, &8u32.to_le_bytes()); // alignment of discards, in sectors
        put(48, &RANGE_SECTORS_MAX.to_le_bytes());
        put(52, &1u32.to_le_bytes()); // ranges in a write-zeroes
        put(56, &[1]); // which may unmap
        space
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: [u8; 16]) -> (u64, u64) {
        let whole = u128::from_le_bytes(bytes);
        (whole as u64, (whole >> 64) as u64)
    }

    #[test]
    fn headers_and_ranges_come_back() {
        let header = Header { kind: kind::OUT, sector: 0x0102_0304_0506 };
        assert_eq!(header.encode()[..4], [1, 0, 0, 0]);
        assert_eq!(header.encode()[8..11], [6, 5, 4]);
        assert_eq!(Header::decode(words(header.encode())), header);
        let range = Range { sector: 9, sectors: 7, flags: 1 };
        assert_eq!(range.encode()[8..16], [7, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(Range::decode(words(range.encode())), range);
    }

    #[test]
    fn the_configuration_says_what_the_device_is() {
        let device =
            Device::new(10 * 512 + 511, 4, false, "a serial that is longer than it may be");
        let space = device.config();
        assert_eq!(space[..8], 10u64.to_le_bytes());
        assert_eq!(space[12..16], 126u32.to_le_bytes());
        assert_eq!(space[34..36], [4, 0]);
        assert_eq!(&device.serial(), b"a serial that is lon");
        device.resize(1024);
        assert_eq!(device.config()[..8], 2u64.to_le_bytes());
    }

    #[test]
    fn what_cannot_be_written_cannot_be_discarded() {
        let device = Device::new(512, 1, true, "");
        let features = device.features();
        assert_eq!(features & (feature::DISCARD | feature::WRITE_ZEROES | feature::MQ), 0);
        assert_ne!(features & feature::RO, 0);
    }
}
