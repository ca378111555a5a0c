//! The BMC's one account. Its password can be changed, and survives restarts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use base64::Engine;
use model::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use world::entropy::new_token;
use world::{Entropy, SystemEntropy};

use crate::error::LabError;

/// Lengths that a password may have, in bytes.
pub(super) const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// The account.
pub(super) struct Account {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    username: String,
    password: String,
}

impl Account {
    /// The account kept in a directory, or a new one with a random password.
    pub(super) fn load(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join("account.json");
        let kept = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| LabError::File { path: path.clone(), source: error.into() })?,
            Err(_) => {
                let password = new_token::<12>(&mut SystemEntropy);
                let kept = Kept { username: "admin".into(), password };
                save(&path, &kept)?;
                kept
            }
        };
        Ok(Self { path, kept: Mutex::new(kept) })
    }

    /// Name and password.
    pub(super) fn credentials(&self) -> (String, Secret) {
        let kept = self.kept();
        (kept.username.clone(), Secret::new(kept.password.clone()))
    }

    /// The name.
    pub(super) fn username(&self) -> String {
        self.kept().username.clone()
    }

    /// Changes the password; it counts when it is on disk.
    pub(super) fn set_password(&self, password: &str) -> Result<(), LabError> {
        let mut kept = self.kept();
        let changed = Kept { password: password.to_owned(), ..kept.clone() };
        save(&self.path, &changed)?;
        *kept = changed;
        Ok(())
    }

    /// Whether these are the name and the password.
    pub(super) fn admits(&self, username: &str, password: &str) -> bool {
        let kept = self.kept();
        let same = |a: &str, b: &str| digest(a) == digest(b);
        same(username, &kept.username) & same(password, &kept.password)
    }

    /// Whether a header `Authorization: Basic …` has them (RFC 7617).
    pub(super) fn admits_basic(&self, header: &str) -> bool {
        let Some((scheme, encoded)) = header.split_once(' ') else { return false };
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim());
        let Ok(text) = String::from_utf8(decoded.unwrap_or_default()) else { return false };
        let Some((username, password)) = text.split_once(':') else { return false };
        scheme.eq_ignore_ascii_case("basic") && self.admits(username, password)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

fn save(path: &Path, kept: &Kept) -> Result<(), LabError> {
    let fresh = path.with_extension("fresh");
    super::write_private(&fresh, &serde_json::to_vec(kept).unwrap_or_default())?;
    fs::rename(&fresh, path).map_err(crate::error::file(path))
}

/// Compared instead of the words, so that time tells nothing about them.
fn digest(word: &str) -> [u8; 32] {
    Sha256::digest(word.as_bytes()).into()
}

/// A random version 4 UUID (RFC 9562).
pub(super) fn new_uuid() -> String {
    let mut bytes: [u8; 16] = SystemEntropy.bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    uuid::Uuid::from_bytes(bytes).to_string()
}
