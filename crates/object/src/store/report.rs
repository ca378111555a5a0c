//! What the store says about itself.

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Records of the log that the index did not know yet.
    pub replayed: u64,
    /// Why the index was built anew from the log, when it was.
    pub rebuilt: Option<String>,
    /// Records that were durable once and cannot be read any more.
    pub damaged: u64,
    /// Bytes at the end of the log that were being written when the last process ended.
    /// Nothing in them was ever acknowledged.
    pub torn_bytes: u64,
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments of the log.
    pub log_segments: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Of these, bytes of records that still count.
    pub log_live_bytes: u64,
    /// Segments of bodies.
    pub data_segments: u64,
    /// Bytes of bodies in them that still count.
    pub data_live_bytes: u64,
    /// Bytes that the file system has left.
    pub free_bytes: u64,
    /// Changes that were made since start.
    pub changes: u64,
    /// Batches that they came in: each was synced once.
    pub batches: u64,
    /// Syncs of files since start.
    pub syncs: u64,
    /// Extents that wait until nobody reads them.
    pub waiting: u64,
    /// Why no more changes are taken, when that is so.
    pub dead: Option<String>,
    /// What was found damaged, newest last; at most 100.
    pub damaged: Vec<String>,
}

/// One step of a scrub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Versions and parts that were read.
    pub read: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged.
    pub damaged: Vec<String>,
    /// All of the store has been read: the next step begins anew.
    pub round: bool,
}
