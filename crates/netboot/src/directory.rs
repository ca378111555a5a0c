//! Whom the network boot asks, and whom it tells.

use model::id::MachineId;
use model::machine::BootRoad;
use model::sighting::Sighting;

/// Leave to boot from us: one machine, one boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Which machine.
    pub machine: MachineId,
    /// The secret part of its address: 1 to 100 letters, digits, `-` and `_`, and
    /// never `none`.
    pub token: String,
    /// By which road it is to come.
    pub road: BootRoad,
}

/// Who may boot. The control plane answers from memory: each call is made while a
/// packet or a request waits, so it must neither block nor fail.
pub trait Directory: Send + Sync {
    /// The permit of the machine with this hardware address (lower case, colons).
    fn by_mac(&self, mac: &str) -> Option<Permit>;

    /// The permit with this token; `None` when it is unknown, spent or expired.
    fn by_token(&self, token: &str) -> Option<Permit>;

    /// Whether this hardware address belongs to one of our machines. Such a machine
    /// gets an address even while it has no permit: a tenant's system needs one too.
    fn known(&self, mac: &str) -> bool {
        self.by_mac(mac).is_some()
    }

    /// A sign of life was seen. Unproven: anybody on the wire can make one.
    fn sighting(&self, sighting: Sighting);
}

/// Path of the boot image for a token: `/boot/TOKEN/bedplate.efi`.
pub fn boot_path(token: &str) -> String {
    format!("/boot/{token}/bedplate.efi")
}

/// Path of the virtual medium for a token: `/media/TOKEN/bedplate.iso`.
pub fn media_path(token: &str) -> String {
    format!("/media/{token}/bedplate.iso")
}

/// Longest token that is looked up.
const TOKEN_CHARS_MAX: usize = 100;

/// Whether this can be a token at all. Only such words are looked up or repeated.
pub(crate) fn is_token(word: &str) -> bool {
    let fits = (1..=TOKEN_CHARS_MAX).contains(&word.len());
    fits && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
