//! Keys of bodies, and how they are kept: wrapped by the key provider's key or by the
//! client's.

use object::entry::Sealing;
use ring::hmac;
use thiserror::Error;
use world::SystemEntropy;
use world::entropy::Entropy as _;
use zeroize::Zeroizing;

use super::client::ClientKey;
use super::provider::{KeyProvider, Purpose};

/// Why a body's key cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The client's key is needed and was not given.
    #[error("the object was stored with a key of the client's, which must come with the request")]
    KeyNeeded,
    /// A client's key was given, and none is needed.
    #[error("the object was not stored with a key of the client's")]
    KeyNotNeeded,
    /// It was another key.
    #[error("the key is not the one that the object was stored with")]
    WrongKey,
    /// Our own key does not open it: damage, or a key's file is missing.
    #[error("the object's key cannot be opened")]
    Damaged,
}

/// The key of an object or upload. Its bodies are sealed under keys made of it.
#[derive(Clone)]
pub struct BodyKey(hmac::Key, Zeroizing<[u8; 32]>);

impl BodyKey {
    /// A new one.
    pub fn new() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemEntropy.fill(bytes.as_mut_slice());
        Self::from_bytes(bytes)
    }

    fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()), bytes)
    }

    /// The key that a body with this salt is sealed under.
    pub(super) fn of_body(&self, salt: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"bedplate body 1\0");
        context.update(salt);
        context.sign()
    }
}

impl Default for BodyKey {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key>")
    }
}

fn purpose(key_name: Option<&str>) -> Purpose<'_> {
    key_name.map_or(Purpose::Body, Purpose::Named)
}

/// Keeps a body's key under ours. The scheme (`AES256`, `aws:kms`) and the name of the
/// key are told back as they were asked for; the name is bound to what is wrapped.
pub fn seal_ours(
    keys: &KeyProvider,
    body: &BodyKey,
    scheme: &str,
    key_name: Option<&str>,
) -> Sealing {
    Sealing::Ours {
        wrapped: keys.wrap(purpose(key_name), body.1.as_slice()),
        scheme: scheme.into(),
        key_name: key_name.map(Into::into),
    }
}

/// Keeps a body's key under the client's.
pub fn seal_theirs(client: &ClientKey, body: &BodyKey) -> Sealing {
    let wrapped = client.provider().wrap(Purpose::Body, body.1.as_slice());
    Sealing::Theirs { wrapped, key_md5: *client.md5() }
}

/// The key of a body that is kept so.
///
/// # Errors
/// When the client's key is missing, of no use, or another one, or when ours is gone.
pub fn unseal(
    keys: &KeyProvider,
    sealing: &Sealing,
    client: Option<&ClientKey>,
) -> Result<BodyKey, SealError> {
    let opened = match (sealing, client) {
        (Sealing::Ours { .. }, Some(_)) => return Err(SealError::KeyNotNeeded),
        (Sealing::Theirs { .. }, None) => return Err(SealError::KeyNeeded),
        (Sealing::Ours { wrapped, key_name, .. }, None) => {
            keys.unwrap(purpose(key_name.as_deref()), wrapped).map_err(|_| SealError::Damaged)?
        }
        (Sealing::Theirs { wrapped, key_md5 }, Some(client)) => {
            if key_md5 != client.md5() {
                return Err(SealError::WrongKey);
            }
            let opened = client.provider().unwrap(Purpose::Body, wrapped);
            opened.map_err(|_| SealError::WrongKey)?
        }
    };
    let bytes: [u8; 32] = opened.as_slice().try_into().map_err(|_| SealError::Damaged)?;
    Ok(BodyKey::from_bytes(Zeroizing::new(bytes)))
}
