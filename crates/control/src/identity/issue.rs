//! Certificates as they are made: the names they hold and how long they count
//! (RFC 5280; names as SPIFFE ids in the URI of the subject alternative name).

use std::net::IpAddr;

use model::id::MachineId;
use model::identity::RoleIdentity;
use model::{Duration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SubjectPublicKeyInfo,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use world::SystemEntropy;
use world::entropy::Entropy as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::tokens::hex_digest;
use super::{IdentityError, Names};

/// How long the authority itself counts.
pub(super) const AUTHORITY_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a certificate of the control plane counts; it is renewed at half of it.
pub(super) const CONTROL_SPAN: Duration = Duration::from_secs(24 * 3600);
/// How long an agent's certificate counts: longer than it takes to overwrite a large disk.
pub(super) const AGENT_SPAN: Duration = Duration::from_secs(72 * 3600);
/// Certificates begin this much earlier, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(3600);
/// A signing request of one P-256 key takes some 250 bytes.
const REQUEST_LONGEST: usize = 4096;
/// The attestation key in an agent's certificate, `TPMT_PUBLIC` (not critical). An
/// identifier under 2.25 needs no registration (ITU-T X.667); it means this only
/// under our own authority.
pub(super) const ATTESTATION_OID: &[u64] = &[2, 25, 7_713_208_356_440_918_287];
/// `TPMT_PUBLIC` of an RSA key has some 280 bytes.
const ATTESTATION_LONGEST: usize = 1024;
/// An uncompressed point of P-256: 4, x, y (SEC 1 section 2.3.3).
const POINT_LEN: usize = 65;

/// An agent's certificate.
#[derive(Clone, Debug)]
pub struct AgentCertificate {
    /// The leaf, then the authority's own (PEM).
    pub chain: String,
    /// SHA-256 of the leaf (DER), hexadecimal.
    pub digest: String,
    /// After this the agent asks anew.
    pub expires: Timestamp,
}

/// A certificate authority's certificate of its own.
pub(super) fn authority(key: &KeyPair, now: Timestamp) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut params = dated(now, AUTHORITY_SPAN);
    params.distinguished_name = named("Bedplate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.self_signed(key)
}

/// A certificate of the control plane, as server and as client.
pub(super) fn control(
    key: &KeyPair,
    names: &Names,
    issuer: &Issuer<'_, KeyPair>,
    now: Timestamp,
) -> Result<rcgen::Certificate, IdentityError> {
    let mut params = dated(now, CONTROL_SPAN);
    params.distinguished_name = named("Bedplate control plane");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names.push(role_name(RoleIdentity::Control)?);
    for name in &names.dns {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params
        .subject_alt_names
        .extend(names.addresses.iter().map(|a: &IpAddr| SanType::IpAddress(*a)));
    Ok(params.signed_by(key, issuer)?)
}

/// A certificate for the agent on a machine, for the key of its signing request.
/// Of the request, which is hostile, only the key is taken. The attestation key that
/// the agent proved goes with it: later quotes are judged by it.
pub(super) fn agent(
    request: &[u8],
    attestation: Option<&[u8]>,
    machine: MachineId,
    issuer: &Issuer<'_, KeyPair>,
    now: Timestamp,
) -> Result<(rcgen::Certificate, Timestamp), IdentityError> {
    let key = key_of_request(request)?;
    let mut params = dated(now, AGENT_SPAN);
    params.distinguished_name = named("Bedplate agent");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names.push(role_name(RoleIdentity::Agent(machine))?);
    params.custom_extensions.extend(attestation.map(|key| {
        assert!(key.len() <= ATTESTATION_LONGEST, "an attestation key is a few hundred bytes");
        CustomExtension::from_oid_content(ATTESTATION_OID, key.to_vec())
    }));
    Ok((params.signed_by(&key, issuer)?, whole_second(now + AGENT_SPAN)))
}

/// The public key of a signing request (PKCS#10, RFC 2986): ECDSA P-256, and the
/// request must be signed by it.
fn key_of_request(request: &[u8]) -> Result<SubjectPublicKeyInfo, IdentityError> {
    if request.len() > REQUEST_LONGEST {
        return Err(IdentityError::Request("it is too long"));
    }
    let (rest, parsed) = X509CertificationRequest::from_der(request)
        .map_err(|_| IdentityError::Request("it is not a PKCS#10 request"))?;
    if !rest.is_empty() {
        return Err(IdentityError::Request("bytes follow it"));
    }
    let info = &parsed.certification_request_info;
    let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
        .map_err(|_| IdentityError::Request("its key is of an unknown kind"))?;
    let point = key.der_bytes();
    if *key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 || point.len() != POINT_LEN {
        return Err(IdentityError::Request("its key is not of ECDSA P-256"));
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(info.raw, &parsed.signature_value.data)
        .map_err(|_| IdentityError::Request("it is not signed by its own key"))?;
    Ok(key)
}

/// Tells of an issued certificate what its holder and the record need.
pub(super) fn described(
    leaf: &rcgen::Certificate,
    authority_pem: &str,
    expires: Timestamp,
) -> AgentCertificate {
    let chain = format!("{}{authority_pem}", leaf.pem());
    AgentCertificate { chain, digest: hex_digest(leaf.der()), expires }
}

fn role_name(identity: RoleIdentity) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(identity.to_string().as_str().try_into()?))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// The part that all certificates share: a random serial number and the dates.
fn dated(now: Timestamp, span: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut serial: [u8; 16] = SystemEntropy.bytes();
    // Positive and of full length (RFC 5280 section 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now - BACKDATED);
    params.not_after = epoch + since_epoch(now + span);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// Certificates count in whole seconds.
fn whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(moment.micros().div_euclid(1_000_000) * 1_000_000)
}

/// Whole seconds since the epoch.
fn since_epoch(moment: Timestamp) -> std::time::Duration {
    whole_second(moment).since(Timestamp::default()).std()
}
