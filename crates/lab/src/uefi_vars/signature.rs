//! Secure-boot keys: lists of signatures in `PK`, `KEK`, `db` and `dbx`
//! (UEFI 2.10 section 32.4.1).

use super::{
    AUTHENTICATED, BOOT_ONLY, CUSTOM_MODE, GLOBAL, Guid, SECURE_BOOT_ENABLE, SECURITY_DATABASE,
    Store, guid,
};

/// `EFI_CERT_X509_GUID`.
const X509: Guid =
    guid(0xa5c059a1, 0x94e4, 0x4aa7, [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);
/// Who owns the keys that we add; made up once, and ours.
const OWNER: Guid =
    guid(0x6c9b1e52, 0x0a41, 0x4d2e, [0x8f, 0x37, 0x5b, 0xd0, 0x71, 0xa4, 0xc6, 0x19]);
/// `sizeof (EFI_SIGNATURE_LIST)`.
const LIST_HEADER: usize = 28;

/// A key or digest in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureEntry {
    /// Of which kind.
    pub kind: Guid,
    /// Who put it there.
    pub owner: Guid,
    /// Certificate (DER) or digest.
    pub data: Vec<u8>,
}

impl SignatureEntry {
    /// Whether it is an X.509 certificate.
    pub fn is_certificate(&self) -> bool {
        self.kind == X509
    }
}

/// The entries of a variable such as `db`; what is damaged ends the walk.
pub fn signatures(value: &[u8]) -> Vec<SignatureEntry> {
    let mut entries = Vec::new();
    let mut rest = value;
    while let Some((list, after)) = split_list(rest) {
        let number = |at: usize| {
            u32::from_le_bytes([list[at], list[at + 1], list[at + 2], list[at + 3]]) as usize
        };
        let kind: Guid = list[..16].try_into().unwrap_or_default();
        let (header, size) = (number(20), number(24));
        let body = list.get(LIST_HEADER.saturating_add(header)..).unwrap_or(&[]);
        if size > 16 {
            entries.extend(body.chunks_exact(size).map(|one| SignatureEntry {
                kind,
                owner: one[..16].try_into().unwrap_or_default(),
                data: one[16..].to_vec(),
            }));
        }
        rest = after;
    }
    entries
}

fn split_list(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.get(16..20)?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    (length >= LIST_HEADER && length <= bytes.len()).then(|| bytes.split_at(length))
}

/// Adds a certificate (DER) to a value such as `db`; nothing when it is there.
pub fn append_certificate(value: &mut Vec<u8>, certificate: &[u8]) {
    if signatures(value).iter().any(|entry| entry.is_certificate() && entry.data == certificate) {
        return;
    }
    let size = u32::try_from(certificate.len() + 16).expect("a certificate is shorter than 4 GiB");
    value.extend(X509);
    value.extend((size + LIST_HEADER as u32).to_le_bytes());
    value.extend(0u32.to_le_bytes());
    value.extend(size.to_le_bytes());
    value.extend(OWNER);
    value.extend(certificate);
}

impl Store {
    /// Adds a certificate (DER) to the secure-boot `db`.
    pub fn trust(&mut self, certificate: &[u8]) {
        let mut db =
            self.get("db", &SECURITY_DATABASE).map(|db| db.data.clone()).unwrap_or_default();
        append_certificate(&mut db, certificate);
        self.set("db", SECURITY_DATABASE, AUTHENTICATED, db);
    }

    /// Enrols a platform key and key-exchange key on a store that has none: from then
    /// on the firmware is in user mode. A store that has a platform key keeps it.
    pub fn enrol(&mut self, certificate: &[u8]) {
        if self.get("PK", &GLOBAL).is_some() {
            return;
        }
        let mut key = Vec::new();
        append_certificate(&mut key, certificate);
        self.set("PK", GLOBAL, AUTHENTICATED, key.clone());
        self.set("KEK", GLOBAL, AUTHENTICATED, key);
    }

    /// Switches secure boot on or off. It counts only with a platform key enrolled.
    pub fn set_secure_boot(&mut self, on: bool) {
        self.set("SecureBootEnable", SECURE_BOOT_ENABLE, BOOT_ONLY, vec![u8::from(on)]);
        self.set("CustomMode", CUSTOM_MODE, BOOT_ONLY, vec![0]);
    }

    /// Whether the next boot is a secure boot.
    pub fn secure_boot(&self) -> bool {
        let enabled = self.get("SecureBootEnable", &SECURE_BOOT_ENABLE);
        let keyed = self.get("PK", &GLOBAL).is_some_and(|key| !key.data.is_empty());
        keyed && enabled.is_some_and(|v| v.data.first() == Some(&1))
    }
}
