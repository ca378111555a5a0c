//! Endorsement certificates: the TPM's maker says that an endorsement key is in a
//! TPM of its making (TCG EK Credential Profile, section 3).
//!
//! A certificate must be signed directly by one of the policy's certificates. A
//! machine sends no intermediate certificates, so there is no chain to build: an
//! operator who trusts a maker's root adds the maker's intermediates too.

use model::Timestamp;
use model::agent::TpmKeys;
use model::attestation::RefusalCode;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::{ASN1Time, FromDer};
use x509_parser::public_key::PublicKey;

use crate::public::endorsement_key;
use crate::refusal::Refusal;

/// Longer than any endorsement certificate seen (they take 1 to 2 KB).
const MAX_CERTIFICATE: usize = 16 * 1024;

/// Whether the endorsement key that a machine names may be believed to be in a
/// genuine TPM: of the right template, and with a certificate (see
/// [`check_endorsement_certificate`]) where the policy has roots. Without roots a
/// machine needs no certificate, but one that it has must be of its key.
///
/// # Errors
/// `ForeignTpm` when a certificate is asked for and there is none; else those of
/// [`check_endorsement_key`](crate::check_endorsement_key) and
/// [`check_endorsement_certificate`].
pub fn check_endorsement(keys: &TpmKeys, roots: &[String], now: Timestamp) -> Result<(), Refusal> {
    let endorsement = keys.endorsement.as_ref();
    match &keys.endorsement_certificate {
        Some(certificate) => {
            check_endorsement_certificate(certificate.as_ref(), endorsement, roots, now)
        }
        None if roots.is_empty() => endorsement_key(endorsement).map(|_| ()),
        None => {
            let message = "the policy asks for an endorsement certificate and the TPM has none";
            Err(Refusal::new(RefusalCode::ForeignTpm, message))
        }
    }
}

/// Whether `certificate` (X.509, DER) is of the endorsement key (`TPMT_PUBLIC`),
/// valid `now`, and signed by one of `roots` (PEM; each may hold several
/// certificates). With no roots the signature is not looked at.
///
/// # Errors
/// `Malformed` when it does not parse; `ForeignTpm` when it is of another key, of
/// an issuer that is not among the roots, or not valid now; `BadSignature` when the
/// issuer's name is right and the signature is not. A root that does not parse is
/// `Malformed` too: a policy must not get weaker by a typing error.
pub fn check_endorsement_certificate(
    certificate: &[u8],
    endorsement_public: &[u8],
    roots: &[String],
    now: Timestamp,
) -> Result<(), Refusal> {
    let key = endorsement_key(endorsement_public)?;
    let certificate = parse(certificate)?;
    check_key(&certificate, &key.modulus, key.exponent)?;
    let now = ASN1Time::from_timestamp(now.micros().div_euclid(1_000_000))
        .map_err(|_| Refusal::malformed("the time to judge by is out of range"))?;
    check_validity(&certificate, now, "endorsement certificate")?;
    if roots.is_empty() {
        return Ok(());
    }
    check_issuer(&certificate, roots, now)
}

fn parse(certificate: &[u8]) -> Result<X509Certificate<'_>, Refusal> {
    if certificate.len() > MAX_CERTIFICATE {
        return Err(Refusal::malformed("the endorsement certificate is too long"));
    }
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Refusal::malformed("bytes follow the endorsement certificate")),
        Err(error) => {
            Err(Refusal::malformed(format!("the endorsement certificate does not parse: {error}")))
        }
    }
}

/// The certificate's key must be the endorsement key itself. Some makers mark the
/// key as RSAES-OAEP; the key's own bytes are the same, so those are read when the
/// parser does not know the mark.
fn check_key(
    certificate: &X509Certificate<'_>,
    modulus: &[u8],
    exponent: u32,
) -> Result<(), Refusal> {
    let info = certificate.public_key();
    let same = match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            trimmed(rsa.modulus) == modulus
                && trimmed(rsa.exponent) == trimmed(&exponent.to_be_bytes())
        }
        _ => rsa_der(modulus, exponent) == *info.subject_public_key.data,
    };
    if same {
        return Ok(());
    }
    let message = "the endorsement certificate is of another TPM's key";
    Err(Refusal::new(RefusalCode::ForeignTpm, message))
}

/// A big-endian number without its leading zeroes.
fn trimmed(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

/// `RSAPublicKey` (RFC 8017 annex A.1.1) of a modulus of 2048 bits with its top bit set.
fn rsa_der(modulus: &[u8], exponent: u32) -> Vec<u8> {
    assert_eq!(modulus.len(), 256, "the endorsement key was checked to be RSA 2048");
    let bytes = exponent.to_be_bytes();
    let exponent = trimmed(&bytes);
    let lead = usize::from(exponent.first().is_some_and(|byte| byte & 0x80 != 0));
    let length = 4 + 257 + 2 + lead + exponent.len();
    let mut der = vec![0x30, 0x82, (length >> 8) as u8, length as u8, 0x02, 0x82, 0x01, 0x01, 0x00];
    der.extend_from_slice(modulus);
    der.extend_from_slice(&[0x02, (lead + exponent.len()) as u8]);
    der.resize(der.len() + lead, 0);
    der.extend_from_slice(exponent);
    der
}

fn check_validity(
    certificate: &X509Certificate<'_>,
    now: ASN1Time,
    what: &str,
) -> Result<(), Refusal> {
    let validity = certificate.validity();
    if validity.is_valid_at(now) {
        return Ok(());
    }
    let message = format!(
        "the {what} is valid from {} to {}, not now ({now})",
        validity.not_before, validity.not_after
    );
    Err(Refusal::new(RefusalCode::ForeignTpm, message))
}

/// Looks for the certificate among the roots that has the issuer's name and signed it.
fn check_issuer(
    certificate: &X509Certificate<'_>,
    roots: &[String],
    now: ASN1Time,
) -> Result<(), Refusal> {
    let issuer = certificate.issuer();
    let mut named = false;
    for root in roots {
        for pem in Pem::iter_from_buffer(root.as_bytes()) {
            let unreadable = |error: &dyn std::fmt::Display| {
                Refusal::malformed(format!("a root of the policy does not parse: {error}"))
            };
            let pem = pem.map_err(|error| unreadable(&error))?;
            let root = pem.parse_x509().map_err(|error| unreadable(&error))?;
            if root.subject().as_raw() != issuer.as_raw() {
                continue;
            }
            named = true;
            if certificate.verify_signature(Some(root.public_key())).is_ok() {
                return check_root(&root, now);
            }
        }
    }
    Err(if named {
        let message =
            format!("the endorsement certificate's signature is not by its issuer {issuer}");
        Refusal::new(RefusalCode::BadSignature, message)
    } else {
        let message = format!(
            "the endorsement certificate's issuer, {issuer}, is not among the policy's roots"
        );
        Refusal::new(RefusalCode::ForeignTpm, message)
    })
}

/// Only a certificate that may sign certificates vouches for a TPM.
fn check_root(root: &X509Certificate<'_>, now: ASN1Time) -> Result<(), Refusal> {
    if !root.is_ca() {
        let message =
            format!("the policy's root {} is not a certificate authority", root.subject());
        return Err(Refusal::new(RefusalCode::ForeignTpm, message));
    }
    check_validity(root, now, "issuer's certificate")
}
