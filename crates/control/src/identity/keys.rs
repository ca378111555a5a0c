//! The key provider: seals what is secret at rest (BMC passwords) by AES-256-GCM.
//!
//! This one keeps its keys as files: `DIR/keys/<id>.key`, 32 bytes each. The
//! newest key (the highest id) seals, every key opens; a new key is made by
//! [`KeyProvider::rotate`], and an old one may be removed when nothing is sealed
//! under it any more.
//!
//! The associated data holds the format's version, the key's id and the purpose,
//! so that a sealed value cannot be moved to where it would mean something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use model::secret::Sealed;
use model::{Encoded, Secret};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use world::SystemEntropy;
use world::entropy::Entropy as _;
use zeroize::Zeroizing;

use super::IdentityError;
use super::durable::{PRIVATE, make_private_directory, read_whole, write_whole};

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// More keys than anybody rotates through.
const KEYS_MOST: usize = 1_000;
/// No secret is longer.
const SECRET_LONGEST: usize = 64 << 10;

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The password of an account on a BMC.
    BmcPassword,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Purpose::BmcPassword => "bmc-password",
        }
    }
}

/// Seals and opens secrets under keys in files.
pub struct KeyProvider {
    directory: PathBuf,
    keys: RwLock<BTreeMap<String, LessSafeKey>>,
    fingerprint: hmac::Key,
}

/// The key of fingerprints, made at the first start.
fn fingerprint_key(directory: &Path) -> Result<hmac::Key, IdentityError> {
    let path = directory.join("fingerprint.secret");
    let bytes = match read_whole(&path)? {
        Some(bytes) if bytes.len() == KEY_LEN => Zeroizing::new(bytes),
        Some(_) => return Err(IdentityError::damaged(&path, "it does not hold 32 bytes")),
        None => {
            let mut bytes = Zeroizing::new(vec![0; KEY_LEN]);
            SystemEntropy.fill(bytes.as_mut_slice());
            write_whole(&path, &bytes, PRIVATE)?;
            bytes
        }
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

impl KeyProvider {
    /// Reads the keys in `DIR/keys`; makes the first where there is none.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        let directory = directory.join("keys");
        make_private_directory(&directory)?;
        let fingerprint = fingerprint_key(&directory)?;
        let keys = RwLock::new(read_keys(&directory)?);
        let provider = Self { keys, directory, fingerprint };
        if provider.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            provider.rotate()?;
        }
        Ok(provider)
    }

    /// Makes a new key, which seals from now on, and tells its id.
    pub fn rotate(&self) -> Result<String, IdentityError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let newest = keys.keys().next_back().and_then(|id| id[1..].parse::<u32>().ok());
        let id = format!("k{:06}", newest.unwrap_or(0) + 1);
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        SystemEntropy.fill(bytes.as_mut_slice());
        // On disk before it seals anything: what is sealed must be openable after a crash.
        write_whole(&self.directory.join(format!("{id}.key")), bytes.as_slice(), PRIVATE)?;
        keys.insert(id.clone(), key_of(&bytes));
        Ok(id)
    }

    /// A digest of a message that may hold secrets, hexadecimal: without the key
    /// (HMAC-SHA256, the same for good) nobody can try what the message was.
    pub fn fingerprint(&self, message: &[u8]) -> String {
        super::tokens::hex(hmac::sign(&self.fingerprint, message).as_ref())
    }

    /// Seals a BMC's password under the newest key.
    pub fn seal(&self, secret: &Secret) -> Sealed {
        self.seal_for(Purpose::BmcPassword, secret)
    }

    /// Opens a BMC's password.
    pub fn open_sealed(&self, sealed: &Sealed) -> Result<Secret, IdentityError> {
        self.open_for(Purpose::BmcPassword, sealed)
    }

    /// Seals a secret for a purpose under the newest key.
    pub fn seal_for(&self, purpose: Purpose, secret: &Secret) -> Sealed {
        assert!(secret.expose().len() <= SECRET_LONGEST, "a secret that long is a file");
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (id, key) = keys.last_key_value().expect("a key provider has a key");
        let mut nonce = [0; NONCE_LEN];
        SystemEntropy.fill(&mut nonce);
        let mut sealed = secret.expose().as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound(id, purpose)),
            &mut sealed,
        )
        .expect("AES-GCM seals anything of this length");
        let ciphertext = [nonce.as_slice(), &sealed].concat();
        Sealed { key: id.clone(), ciphertext: Encoded(ciphertext) }
    }

    /// Opens what was sealed for this purpose, under whichever key it names.
    pub fn open_for(&self, purpose: Purpose, sealed: &Sealed) -> Result<Secret, IdentityError> {
        let refuse = |reason| IdentityError::Sealed { key: sealed.key.clone(), reason };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&sealed.key).ok_or_else(|| refuse("there is no such key"))?;
        let (nonce, ciphertext) = sealed
            .ciphertext
            .0
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(|| refuse("it is too short"))?;
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key
            .open_in_place(nonce, Aad::from(bound(&sealed.key, purpose)), &mut plain)
            .map_err(|_| refuse("it was changed, or sealed for another purpose"))?;
        let text = std::str::from_utf8(opened).map_err(|_| refuse("it is not text"))?;
        Ok(Secret::new(text))
    }
}

fn bound(id: &str, purpose: Purpose) -> Vec<u8> {
    format!("bedplate sealed v1\0{id}\0{}", purpose.name()).into_bytes()
}

fn key_of(bytes: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("a key of 32 bytes"))
}

/// `k` and six digits: sorts by age.
fn is_key_id(id: &str) -> bool {
    id.len() == 7 && id.starts_with('k') && id[1..].bytes().all(|digit| digit.is_ascii_digit())
}

fn read_keys(directory: &Path) -> Result<BTreeMap<String, LessSafeKey>, IdentityError> {
    let mut keys = BTreeMap::new();
    let entries =
        std::fs::read_dir(directory).map_err(|error| IdentityError::file(directory, error))?;
    for entry in entries {
        let path = entry.map_err(|error| IdentityError::file(directory, error))?.path();
        let (Some(stem), Some("key")) = (
            path.file_stem().and_then(|name| name.to_str()),
            path.extension().and_then(|name| name.to_str()),
        ) else {
            continue;
        };
        if !is_key_id(stem) {
            continue;
        }
        let bytes = Zeroizing::new(read_whole(&path)?.unwrap_or_default());
        let bytes: &[u8; KEY_LEN] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| IdentityError::damaged(&path, "a key has 32 bytes"))?;
        keys.insert(stem.to_owned(), key_of(bytes));
        assert!(keys.len() <= KEYS_MOST, "there are more than {KEYS_MOST} keys");
    }
    Ok(keys)
}
