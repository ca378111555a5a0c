//! Who is at the other end of a connection, read from the certificate that the
//! TLS handshake has proven.

use model::Timestamp;
use model::identity::RoleIdentity;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::IdentityError;
use super::issue::ATTESTATION_OID;
use crate::identity::tokens::hex_digest;

/// The other end of an mTLS connection. The listener puts it into the extensions
/// of every request that came over that connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its role.
    pub identity: RoleIdentity,
    /// SHA-256 of its certificate (DER), hexadecimal.
    pub certificate: String,
    /// After this it is a stranger, even on a connection that is still open.
    pub expires: Timestamp,
    /// The attestation key that an agent proved (`TPMT_PUBLIC`), where it has a TPM.
    pub attestation: Option<Vec<u8>>,
}

impl Peer {
    /// Reads the identity from the chain that the handshake has proven, leaf first
    /// (rustls' `peer_certificates`). Only the leaf counts, and it must hold exactly
    /// one URI, which must be the name of a role.
    pub fn of(chain: &[CertificateDer<'_>]) -> Result<Self, IdentityError> {
        let leaf = chain.first().ok_or(IdentityError::Stranger("it holds no certificate"))?;
        let (rest, parsed) = parse_x509_certificate(leaf)
            .map_err(|_| IdentityError::Stranger("it cannot be parsed"))?;
        if !rest.is_empty() {
            return Err(IdentityError::Stranger("bytes follow it"));
        }
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| IdentityError::Stranger("its names cannot be parsed"))?
            .ok_or(IdentityError::Stranger("it has no names"))?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(IdentityError::Stranger("it must hold exactly one URI"));
        };
        let identity = uri
            .parse()
            .map_err(|_| IdentityError::Stranger("its URI is not one of this trust domain"))?;
        let attestation = parsed.extensions().iter().find(|extension| {
            extension.oid.iter().is_some_and(|arcs| arcs.eq(ATTESTATION_OID.iter().copied()))
        });
        let attestation = attestation.map(|extension| extension.value.to_vec());
        let seconds = parsed.validity().not_after.timestamp();
        Ok(Self {
            identity,
            certificate: hex_digest(leaf),
            expires: Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
            attestation,
        })
    }
}
