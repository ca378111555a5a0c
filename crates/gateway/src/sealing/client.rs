//! A key that a client brings with a request, and that we never keep.

use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::provider::KeyProvider;

/// A client's key of 32 bytes.
pub struct ClientKey {
    bytes: Zeroizing<[u8; 32]>,
    md5: [u8; 16],
}

impl ClientKey {
    /// Takes a key.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let md5 = Md5::digest(bytes.as_slice()).into();
        Self { bytes, md5 }
    }
    /// The MD5 of the key, told back to the client.
    pub fn md5(&self) -> &[u8; 16] {
        &self.md5
    }
    pub(super) fn provider(&self) -> KeyProvider {
        KeyProvider::from_key(&self.bytes)
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key>")
    }
}
