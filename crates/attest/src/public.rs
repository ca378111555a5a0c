//! Public areas (`TPMT_PUBLIC`, TPM 2.0 part 2 section 12.2.4): the two templates
//! that we make keys of, and the checks that the other side's keys are of them.
//!
//! The checks matter more than they look. A key that is not *restricted* signs any
//! bytes, among them a forged quote; one that is not *fixed* to its TPM can be
//! carried to another machine. Whether the TPM tells the truth about these marks
//! is settled by credential activation: the name it opens the credential for is a
//! hash over them.
//!
//! The attestation key is ECDSA P-256 with SHA-256: every TPM of the PC Client
//! profile has it, making one takes milliseconds (an RSA key takes a TPM seconds,
//! as it looks for primes), a quote with it is small, and `ring` verifies it as it
//! comes. It is a primary key of the endorsement hierarchy: no parent to make
//! first, nothing to store, and the same key again after each start, as long as
//! the TPM has its endorsement seed. RSASSA 2048 is accepted too, from agents
//! other than ours.

use model::attestation::RefusalCode;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use tpm2_protocol::basic::{TpmUint16, TpmUint32};
use tpm2_protocol::data::{
    Tpm2bDigest, Tpm2bPublicKeyRsa, TpmAlgId, TpmEccCurve, TpmaObject, TpmsEccParms, TpmsEccPoint,
    TpmsRsaParms, TpmsSchemeHash, TpmtEccScheme, TpmtKdfScheme, TpmtPublic, TpmtRsaScheme,
    TpmtSignature, TpmtSymDefObject, TpmuAsymScheme, TpmuPublicId, TpmuPublicParms, TpmuSignature,
    TpmuSymKeyBits, TpmuSymMode,
};
use tpm2_protocol::{TpmMarshal, TpmUnmarshal, TpmWriter};

use crate::digest::{hex, sha256};
use crate::refusal::Refusal;

/// Longer than any public area of the keys that we accept (RSA 2048 takes 314 bytes).
const MAX_PUBLIC: usize = 1024;
/// Bytes of an RSA 2048 modulus.
const RSA_BYTES: usize = 256;
/// Bytes of a P-256 coordinate.
const P256_BYTES: usize = 32;
/// The public exponent that a TPM means by 0.
const DEFAULT_EXPONENT: u32 = 65_537;

/// PolicyA: SHA-256 of `PolicySecret(TPM_RH_ENDORSEMENT)` (TCG EK Credential
/// Profile 2.x, annex B.3.3).
const ENDORSEMENT_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// `fixedTPM | fixedParent | sensitiveDataOrigin | adminWithPolicy | restricted | decrypt`.
fn endorsement_attributes() -> TpmaObject {
    TpmaObject::FIXED_TPM
        | TpmaObject::FIXED_PARENT
        | TpmaObject::SENSITIVE_DATA_ORIGIN
        | TpmaObject::ADMIN_WITH_POLICY
        | TpmaObject::RESTRICTED
        | TpmaObject::DECRYPT
}

/// The marks that an attestation key must bear: made inside its TPM, never to
/// leave it, signs only what the TPM itself says.
fn attestation_attributes() -> TpmaObject {
    TpmaObject::FIXED_TPM
        | TpmaObject::FIXED_PARENT
        | TpmaObject::SENSITIVE_DATA_ORIGIN
        | TpmaObject::USER_WITH_AUTH
        | TpmaObject::RESTRICTED
        | TpmaObject::SIGN_ENCRYPT
}

/// Template L-1 (RSA 2048) of the TCG EK Credential Profile, annex B.3.3.
pub(crate) fn endorsement_template() -> TpmtPublic {
    TpmtPublic {
        object_type: TpmAlgId::Rsa,
        name_alg: TpmAlgId::Sha256,
        object_attributes: endorsement_attributes(),
        auth_policy: sized(&ENDORSEMENT_POLICY),
        parameters: TpmuPublicParms::Rsa(TpmsRsaParms {
            symmetric: TpmtSymDefObject {
                algorithm: TpmAlgId::Aes,
                key_bits: TpmuSymKeyBits::Aes(TpmUint16::new(128)),
                mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
            },
            scheme: TpmtRsaScheme::default(),
            key_bits: TpmUint16::new(2048),
            exponent: TpmUint32::new(0),
        }),
        unique: TpmuPublicId::Rsa(zeroes()),
    }
}

/// Our attestation key: restricted ECDSA P-256 with SHA-256.
pub(crate) fn attestation_template() -> TpmtPublic {
    TpmtPublic {
        object_type: TpmAlgId::Ecc,
        name_alg: TpmAlgId::Sha256,
        object_attributes: attestation_attributes() | TpmaObject::NO_DA,
        auth_policy: Tpm2bDigest::new(),
        parameters: TpmuPublicParms::Ecc(TpmsEccParms {
            symmetric: no_symmetric(),
            scheme: TpmtEccScheme { scheme: TpmAlgId::Ecdsa, details: with_sha256() },
            curve_id: TpmEccCurve::NistP256,
            kdf: TpmtKdfScheme::default(),
        }),
        unique: TpmuPublicId::Ecc(TpmsEccPoint::default()),
    }
}

/// 256 zero bytes: the `unique` field of template L-1.
fn zeroes() -> Tpm2bPublicKeyRsa {
    Tpm2bPublicKeyRsa::try_from([0_u8; RSA_BYTES].as_slice()).unwrap_or_default()
}

/// A digest that is known to fit.
fn sized(digest: &[u8; 32]) -> Tpm2bDigest {
    Tpm2bDigest::try_from(digest.as_slice()).unwrap_or_default()
}

fn no_symmetric() -> TpmtSymDefObject {
    TpmtSymDefObject {
        algorithm: TpmAlgId::Null,
        key_bits: TpmuSymKeyBits::Null,
        mode: TpmuSymMode::Null,
    }
}

fn with_sha256() -> TpmuAsymScheme {
    TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 })
}

/// The same key shape with the key itself left out, for comparison with a template.
pub(crate) fn same_shape(public: &TpmtPublic, template: &TpmtPublic) -> bool {
    public.object_type == template.object_type
        && public.name_alg == template.name_alg
        && public.object_attributes == template.object_attributes
        && public.auth_policy == template.auth_policy
        && public.parameters == template.parameters
}

/// Bytes of a structure, as a TPM has them.
pub(crate) fn marshal(value: &impl TpmMarshal) -> Vec<u8> {
    let mut buffer = [0_u8; tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE];
    let mut writer = TpmWriter::new(&mut buffer);
    let written = value.marshal(&mut writer);
    assert!(written.is_ok(), "a structure that was parsed or made here fits a TPM command");
    writer.as_bytes().to_vec()
}

/// Reads a `TPMT_PUBLIC` to its last byte.
pub(crate) fn parse_public(bytes: &[u8], whose: &str) -> Result<TpmtPublic, Refusal> {
    if bytes.len() > MAX_PUBLIC {
        return Err(Refusal::malformed(format!("the {whose} key's public area is too long")));
    }
    match TpmtPublic::unmarshal(bytes) {
        Ok((public, [])) => Ok(public),
        Ok(_) => Err(Refusal::malformed(format!("bytes follow the {whose} key's public area"))),
        Err(error) => Err(Refusal::malformed(format!(
            "the {whose} key's public area does not parse: {error}"
        ))),
    }
}

/// The name of an object: `nameAlg || H(TPMT_PUBLIC)` (part 1 section 16). Only
/// keys with SHA-256 names get here.
pub(crate) fn name(public: &[u8]) -> [u8; 34] {
    let mut name = [0_u8; 34];
    name[..2].copy_from_slice(&TpmAlgId::Sha256.value().to_be_bytes());
    name[2..].copy_from_slice(&sha256(&[public]));
    name
}

/// Identifies a TPM: SHA-256 of its endorsement key's `TPMT_PUBLIC`, hexadecimal.
pub fn endorsement_digest(public: &[u8]) -> String {
    hex(&sha256(&[public]))
}

/// An endorsement key that passed [`check_endorsement_key`].
pub(crate) struct EndorsementKey {
    /// Modulus, big endian, 256 bytes.
    pub(crate) modulus: Vec<u8>,
    /// Public exponent.
    pub(crate) exponent: u32,
}

/// Whether this is an endorsement key that we can work with: exactly template L-1
/// of the TCG EK Credential Profile, apart from the modulus.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn check_endorsement_key(public: &[u8]) -> Result<(), Refusal> {
    endorsement_key(public).map(|_| ())
}

pub(crate) fn endorsement_key(public: &[u8]) -> Result<EndorsementKey, Refusal> {
    let area = parse_public(public, "endorsement")?;
    if !same_shape(&area, &endorsement_template()) {
        return Err(Refusal::malformed(
            "the endorsement key is not of template L-1 (RSA 2048) of the TCG EK Credential Profile",
        ));
    }
    let TpmuPublicId::Rsa(modulus) = &area.unique else {
        return Err(Refusal::malformed("the endorsement key has no RSA modulus"));
    };
    check_modulus(modulus, "endorsement")?;
    Ok(EndorsementKey { modulus: modulus.to_vec(), exponent: DEFAULT_EXPONENT })
}

fn check_modulus(modulus: &[u8], whose: &str) -> Result<(), Refusal> {
    // The top bit set makes it a full 2048 bits; an even one is no product of two primes.
    let full = modulus.len() == RSA_BYTES && modulus[0] & 0x80 != 0;
    if full && modulus[RSA_BYTES - 1] & 1 == 1 {
        return Ok(());
    }
    Err(Refusal::malformed(format!("the {whose} key's modulus is not one of RSA 2048")))
}

/// An attestation key that passed [`check_attestation_key`].
pub(crate) enum AttestationKey {
    /// Uncompressed point: `04 || x || y`.
    P256([u8; 1 + 2 * P256_BYTES]),
    /// Modulus and exponent.
    Rsa(Vec<u8>, u32),
}

/// Whether this key can only have been made inside a TPM and signs nothing but
/// what that TPM says: restricted, fixed, and for signing alone.
///
/// # Errors
/// `Malformed`, with the mark that is missing.
pub fn check_attestation_key(public: &[u8]) -> Result<(), Refusal> {
    attestation_key(public).map(|_| ())
}

pub(crate) fn attestation_key(public: &[u8]) -> Result<AttestationKey, Refusal> {
    let area = parse_public(public, "attestation")?;
    check_marks(&area)?;
    let key = match (&area.parameters, &area.unique) {
        (TpmuPublicParms::Ecc(parms), TpmuPublicId::Ecc(point)) => p256_key(parms, point)?,
        (TpmuPublicParms::Rsa(parms), TpmuPublicId::Rsa(modulus)) => rsa_key(parms, modulus)?,
        _ => return Err(Refusal::malformed("the attestation key is neither ECC nor RSA")),
    };
    Ok(key)
}

fn check_marks(area: &TpmtPublic) -> Result<(), Refusal> {
    if area.name_alg != TpmAlgId::Sha256 {
        return Err(Refusal::malformed("the attestation key's name is not of SHA-256"));
    }
    let marks = area.object_attributes;
    let needed = [
        (TpmaObject::FIXED_TPM, "fixedTPM"),
        (TpmaObject::FIXED_PARENT, "fixedParent"),
        (TpmaObject::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (TpmaObject::RESTRICTED, "restricted"),
        (TpmaObject::SIGN_ENCRYPT, "sign"),
    ];
    for (mark, name) in needed {
        if !marks.contains(mark) {
            return Err(Refusal::malformed(format!("the attestation key is not {name}")));
        }
    }
    if marks.contains(TpmaObject::DECRYPT) {
        return Err(Refusal::malformed("the attestation key is not for signing alone"));
    }
    Ok(())
}

fn p256_key(parms: &TpmsEccParms, point: &TpmsEccPoint) -> Result<AttestationKey, Refusal> {
    let ours = parms.curve_id == TpmEccCurve::NistP256
        && parms.scheme.scheme == TpmAlgId::Ecdsa
        && parms.scheme.details == with_sha256();
    if !ours {
        return Err(Refusal::malformed("the attestation key is not ECDSA P-256 with SHA-256"));
    }
    let mut key = [0_u8; 1 + 2 * P256_BYTES];
    key[0] = 4;
    let fits = pad(&mut key[1..=P256_BYTES], &point.x) && pad(&mut key[1 + P256_BYTES..], &point.y);
    if !fits {
        return Err(Refusal::malformed("the attestation key's point is longer than P-256 allows"));
    }
    Ok(AttestationKey::P256(key))
}

fn rsa_key(parms: &TpmsRsaParms, modulus: &[u8]) -> Result<AttestationKey, Refusal> {
    let ours = parms.key_bits.value() == 2048
        && parms.scheme.scheme == TpmAlgId::Rsassa
        && parms.scheme.details == with_sha256();
    if !ours {
        return Err(Refusal::malformed("the attestation key is not RSASSA 2048 with SHA-256"));
    }
    check_modulus(modulus, "attestation")?;
    let exponent = match parms.exponent.value() {
        0 => DEFAULT_EXPONENT,
        given => given,
    };
    Ok(AttestationKey::Rsa(modulus.to_vec(), exponent))
}

/// Writes a big-endian number at the end of `to`; false when it does not fit. TPMs
/// may leave leading zeroes out.
fn pad(to: &mut [u8], number: &[u8]) -> bool {
    let Some(gap) = to.len().checked_sub(number.len()) else { return false };
    to[gap..].copy_from_slice(number);
    true
}

impl AttestationKey {
    /// Verifies a `TPMT_SIGNATURE` by this key over a message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let parsed = match TpmtSignature::unmarshal(signature) {
            Ok((parsed, [])) => parsed.signature,
            Ok(_) => return Err(Refusal::malformed("bytes follow the quote's signature")),
            Err(error) => {
                let message = format!("the quote's signature does not parse: {error}");
                return Err(Refusal::malformed(message));
            }
        };
        let genuine = match (self, &parsed) {
            (AttestationKey::P256(key), TpmuSignature::Ecdsa(parts)) => {
                let mut both = [0_u8; 2 * P256_BYTES];
                let (r, s) = both.split_at_mut(P256_BYTES);
                parts.hash == TpmAlgId::Sha256
                    && pad(r, &parts.signature_r)
                    && pad(s, &parts.signature_s)
                    && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                        .verify(message, &both)
                        .is_ok()
            }
            (AttestationKey::Rsa(n, exponent), TpmuSignature::Rsassa(parts)) => {
                let e = exponent.to_be_bytes();
                let first = e.iter().position(|byte| *byte != 0).unwrap_or(e.len() - 1);
                parts.hash == TpmAlgId::Sha256
                    && RsaPublicKeyComponents { n: n.as_slice(), e: &e[first..] }
                        .verify(&RSA_PKCS1_2048_8192_SHA256, message, &parts.sig)
                        .is_ok()
            }
            _ => false,
        };
        if genuine {
            return Ok(());
        }
        let message = "the quote's signature is not by the attestation key that was let in";
        Err(Refusal::new(RefusalCode::BadSignature, message))
    }
}
