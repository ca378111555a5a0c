//! What can be reached by NBD: volumes under names.

use serde::{Deserialize, Serialize};

/// Smallest piece a client may ask for, in bytes. The engine works in sectors.
pub const MINIMUM: u32 = 512;
/// What a client had better ask for, in bytes: the engine's block.
pub const PREFERRED: u32 = 4096;
/// Longest read or write, in bytes.
pub const MAXIMUM: u32 = 32 << 20;
/// What a client is told is the longest, if its reads are answered in one piece: such
/// a read needs memory for all of it.
pub const MAXIMUM_WHOLE: u32 = 1 << 20;

/// A volume as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name, UTF-8, at most 4096 bytes.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// In bytes, a multiple of [`MINIMUM`].
    pub size: u64,
    /// Whether writes are refused.
    pub read_only: bool,
    /// The owner's own number for the volume. Means nothing here.
    pub key: u64,
}

/// Who knows the exports. Asked from the threads that negotiate, so that volumes may
/// come and go while the server runs.
pub trait Exports: Send + Sync {
    /// Those that are shown to a client that asks for a list. The order is kept.
    fn list(&self) -> Vec<Export>;
    /// The one under a name. The empty name is the default export, if there is one.
    fn find(&self, name: &str) -> Option<Export>;
}

/// A fixed list. The first is the default.
impl Exports for Vec<Export> {
    fn list(&self) -> Vec<Export> {
        self.clone()
    }
    fn find(&self, name: &str) -> Option<Export> {
        let mut all = self.iter();
        if name.is_empty() { all.next().cloned() } else { all.find(|e| e.name == name).cloned() }
    }
}

/// What a client and the server agreed on: what a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// What is served.
    pub export: Export,
    /// Whether reads are answered in chunks.
    pub structured: bool,
    /// Whether the client may ask which blocks are allocated.
    pub status: bool,
    /// Whether bytes are encrypted on their way.
    pub tls: bool,
}
