//! The key provider: keys in files, `DIR/keys/k000001.key` and so on, 32 bytes each,
//! readable by their owner only. The newest key wraps, every key opens.
//!
//! What is wrapped: version (1 byte), the key's number (4, big endian), a random salt
//! (32), then AES-256-GCM under HMAC-SHA256(key, purpose ‖ salt) with a nonce of
//! zeros. A key of its own for each wrapping has no limit on how many are made, which
//! random nonces under one key would have.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use thiserror::Error;
use world::SystemEntropy;
use world::entropy::Entropy as _;
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a salt.
const SALT: usize = 32;
/// Version, number and salt.
const HEAD: usize = 1 + 4 + SALT;
/// The version of what is wrapped.
const VERSION: u8 = 1;
/// More keys than anybody rotates through.
const KEYS_MOST: usize = 1_000;

/// Why a key cannot be had.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The files cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was said.
        error: io::Error,
    },
    /// A key's file is not one.
    #[error("{path} does not hold 32 bytes, or has no name of a key")]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// What is to be opened was not wrapped by us, or for something else, or changed.
    #[error("what is sealed cannot be opened: {0}")]
    Sealed(&'static str),
}

/// What something is wrapped for. It opens for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// The file of accounts.
    Accounts,
    /// The key of a body.
    Body,
    /// The key of a body, under a named key.
    Named(&'a str),
}

impl Purpose<'_> {
    fn bind(self, context: &mut hmac::Context) {
        let (kind, name) = match self {
            Purpose::Accounts => ("accounts", ""),
            Purpose::Body => ("body", ""),
            Purpose::Named(name) => ("named", name),
        };
        context.update(b"bedplate wrap 1\0");
        context.update(kind.as_bytes());
        context.update(b"\0");
        context.update(name.as_bytes());
        context.update(b"\0");
    }
}

/// Wraps keys and other secrets under keys in files.
pub struct KeyProvider {
    keys: BTreeMap<u32, hmac::Key>,
}

impl KeyProvider {
    /// Reads the keys in `DIR/keys`; makes the first where there is none.
    ///
    /// # Errors
    /// When the files cannot be read or written, or are damaged.
    pub fn open(directory: &Path) -> Result<Self, KeyError> {
        let directory = directory.join("keys");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| KeyError::File { path: directory.clone(), error })?;
        let mut keys = read_keys(&directory)?;
        if keys.is_empty() {
            let mut bytes = Zeroizing::new([0; KEY]);
            SystemEntropy.fill(bytes.as_mut_slice());
            // On disk before it seals anything: what is sealed must open after a crash.
            write_private(&directory.join("k000001.key"), bytes.as_slice())?;
            keys.insert(1, key_of(bytes.as_slice()));
        }
        Ok(Self { keys })
    }

    /// A provider with this one key and no file.
    pub fn from_key(key: &[u8; KEY]) -> Self {
        Self { keys: BTreeMap::from([(1, key_of(key))]) }
    }

    /// Wraps a secret for a purpose under the newest key.
    pub fn wrap(&self, purpose: Purpose<'_>, secret: &[u8]) -> Vec<u8> {
        let (number, key) = self.keys.last_key_value().expect("a provider has a key");
        let mut wrapped = Vec::with_capacity(HEAD + secret.len() + AES_256_GCM.tag_len());
        wrapped.push(VERSION);
        wrapped.extend_from_slice(&number.to_be_bytes());
        wrapped.resize(HEAD, 0);
        SystemEntropy.fill(&mut wrapped[HEAD - SALT..]);
        let sealing = sealing_key(key, purpose, &wrapped[HEAD - SALT..]);
        let mut text = Zeroizing::new(secret.to_vec());
        let tag = sealing
            .seal_in_place_separate_tag(nonce(), Aad::from(&wrapped[..HEAD]), &mut text)
            .expect("AES-GCM seals anything of this length");
        wrapped.extend_from_slice(&text);
        wrapped.extend_from_slice(tag.as_ref());
        wrapped
    }

    /// Opens what was wrapped for this purpose.
    ///
    /// # Errors
    /// When it was not, or has changed since.
    pub fn unwrap(
        &self,
        purpose: Purpose<'_>,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (head, sealed) = wrapped.split_at_checked(HEAD).ok_or(KeyError::Sealed("too short"))?;
        if head[0] != VERSION {
            return Err(KeyError::Sealed("its version is unknown"));
        }
        let number = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let key = self.keys.get(&number).ok_or(KeyError::Sealed("its key is not here"))?;
        let opening = sealing_key(key, purpose, &head[HEAD - SALT..]);
        let mut text = Zeroizing::new(sealed.to_vec());
        let length = opening
            .open_in_place(nonce(), Aad::from(head), &mut text)
            .map_err(|_| KeyError::Sealed("it is for something else, or has changed"))?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// A key for authenticating what we hand out ourselves (session tokens).
    pub fn signing(&self, purpose: &str) -> hmac::Key {
        // The oldest key: what it signs must verify after a rotation too.
        let (_, key) = self.keys.first_key_value().expect("a provider has a key");
        let mut context = hmac::Context::with_key(key);
        context.update(b"bedplate sign 1\0");
        context.update(purpose.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }
}

fn key_of(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn sealing_key(key: &hmac::Key, purpose: Purpose<'_>, salt: &[u8]) -> LessSafeKey {
    let mut context = hmac::Context::with_key(key);
    purpose.bind(&mut context);
    context.update(salt);
    let derived = context.sign();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_ref()).expect("a key has 32 bytes"))
}

fn read_keys(directory: &Path) -> Result<BTreeMap<u32, hmac::Key>, KeyError> {
    let failed = |error| KeyError::File { path: directory.to_owned(), error };
    let mut keys = BTreeMap::new();
    for found in fs::read_dir(directory).map_err(failed)?.take(KEYS_MOST) {
        let path = found.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "key") {
            continue;
        }
        let damaged = || KeyError::Damaged { path: path.clone() };
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(damaged)?;
        let number = name.strip_prefix('k').and_then(|digits| digits.parse().ok());
        let bytes = Zeroizing::new(
            fs::read(&path).map_err(|error| KeyError::File { path: path.clone(), error })?,
        );
        if bytes.len() != KEY {
            return Err(damaged());
        }
        keys.insert(number.ok_or_else(damaged)?, key_of(&bytes));
    }
    Ok(keys)
}

/// Writes a file that only its owner can read, whole or not at all, and durable.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let write = || -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::File::open(parent)?.sync_all()
    };
    write().map_err(|error| KeyError::File { path: path.to_owned(), error })
}
