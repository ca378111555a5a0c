//! Signatures under the certificates of sanitised machines: ECDSA P-256 with
//! SHA-256, ASN.1, by a key of its own (`DIR/ca/sanitise.key`; its public half is
//! in `DIR/ca/sanitise.pub`, for whoever checks years later).
//!
//! Signed is the JSON of the record without its `signature`, keys sorted, no
//! spaces. So a certificate can be checked by `jq -cjS 'del(.signature)'` and
//! `openssl dgst -sha256 -verify sanitise.pub`.

use std::collections::BTreeMap;
use std::path::Path;

use model::Encoded;
use model::machine::SanitiseCertificate;
use rcgen::{KeyPair, SigningKey as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;

use super::durable::{PRIVATE, PUBLIC, read_text, write_whole};
use super::{Authority, IdentityError};

/// Reads the signing key, or makes it.
pub(super) fn open_key(directory: &Path) -> Result<KeyPair, IdentityError> {
    let path = directory.join("sanitise.key");
    let key = match read_text(&path)? {
        Some(text) => KeyPair::from_pem(&text)
            .map_err(|error| IdentityError::damaged(&path, error.to_string()))?,
        None => {
            let key = KeyPair::generate()?;
            write_whole(&path, key.serialize_pem().as_bytes(), PRIVATE)?;
            key
        }
    };
    let public = directory.join("sanitise.pub");
    if read_text(&public)?.as_deref() != Some(&key.public_key_pem()) {
        write_whole(&public, key.public_key_pem().as_bytes(), PUBLIC)?;
    }
    Ok(key)
}

impl Authority {
    /// Signs a message with the key of sanitise certificates.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(self.sanitising.sign(message)?)
    }

    /// The public half of that key: an uncompressed point of P-256.
    pub fn public_key(&self) -> &[u8] {
        self.sanitising.public_key_raw()
    }

    /// Puts the signature into a certificate.
    pub fn sign_certificate(
        &self,
        certificate: &mut SanitiseCertificate,
    ) -> Result<(), IdentityError> {
        certificate.signature = Encoded(self.sign(&signed_part(certificate))?);
        Ok(())
    }
}

/// Whether a message was signed by the holder of this public key.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key).verify(message, signature).is_ok()
}

/// Whether a certificate is as it was signed.
pub fn verify_certificate(public_key: &[u8], certificate: &SanitiseCertificate) -> bool {
    verify(public_key, &signed_part(certificate), certificate.signature.as_ref())
}

/// What is signed of a certificate.
fn signed_part(certificate: &SanitiseCertificate) -> Vec<u8> {
    let mut value = serde_json::to_value(certificate).expect("a certificate is JSON");
    if let Value::Object(fields) = &mut value {
        fields.remove("signature");
    }
    serde_json::to_vec(&sorted(value)).expect("JSON is JSON")
}

/// The same with sorted keys, whatever order serde_json was built to keep.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> =
                fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
