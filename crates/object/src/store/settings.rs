//! What an administrator, or a test, may set.

/// Sizes and spans of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Memory for pages of the index, in bytes.
    pub cache_bytes: usize,
    /// A log segment is closed when it would become longer than this.
    pub log_segment_bytes: u64,
    /// The same for a segment of bodies.
    pub data_segment_bytes: u64,
    /// The index is written down after so many bytes of log…
    pub checkpoint_bytes: u64,
    /// …or so many records…
    pub checkpoint_records: u64,
    /// …or so long after a change, in microseconds.
    pub checkpoint_micros: u64,
    /// The log is cleaned when so many bytes of it, and at least half of it, are dead.
    pub clean_bytes: u64,
    /// Stamps for caches that keys share: a change of one looks like a change of others.
    pub stamps: usize,
    /// The length of a day for rules by age, in seconds: 86,400 but in tests.
    pub day_seconds: u64,
    /// How often objects are looked at that may have to go, in microseconds.
    pub sweep_micros: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            log_segment_bytes: 64 << 20,
            data_segment_bytes: 1 << 30,
            checkpoint_bytes: 64 << 20,
            checkpoint_records: 20_000,
            checkpoint_micros: 5_000_000,
            clean_bytes: 64 << 20,
            stamps: 1 << 16,
            day_seconds: 86_400,
            sweep_micros: 3_600_000_000,
        }
    }
}
