//! The two keys of a machine, and the proof that they live in one TPM.

use model::agent::{Credential, TpmKeys};
use tpm2_protocol::basic::{TpmHandle, TpmInt32};
use tpm2_protocol::data::{
    Tpm2bData, Tpm2bDigest, Tpm2bEncryptedSecret, Tpm2bIdObject, Tpm2bNonce, Tpm2bPublic,
    Tpm2bSensitiveCreate, TpmAlgId, TpmRh, TpmSe, TpmlPcrSelection, TpmtPublic, TpmtSymDefObject,
    TpmuSymKeyBits, TpmuSymMode,
};
use tpm2_protocol::frame::{
    TpmActivateCredentialCommand, TpmActivateCredentialResponse, TpmCreatePrimaryCommand,
    TpmCreatePrimaryResponse, TpmPolicySecretCommand, TpmPolicySecretResponse,
    TpmReadPublicCommand, TpmReadPublicResponse, TpmStartAuthSessionCommand,
    TpmStartAuthSessionResponse,
};
use tpm2_protocol::{TpmSized, TpmUnmarshal};
use zeroize::Zeroizing;

use super::exchange::{empty_password, policy};
use super::{Tpm, TpmError, Transport};
use crate::public::{attestation_template, endorsement_template, marshal, same_shape};

/// Where makers and operators keep the RSA 2048 endorsement key (TCG EK Credential
/// Profile, section 5.6).
const PERSISTENT_ENDORSEMENT: u32 = 0x8101_0001;

/// A key that the TPM holds.
pub(super) struct Loaded {
    /// Handle.
    pub(super) handle: TpmHandle,
    /// Takes a slot until it is flushed.
    pub(super) transient: bool,
    /// `TPMT_PUBLIC`.
    public: Vec<u8>,
}

impl<T: Transport> Tpm<T> {
    /// The public parts of the keys, for the agent's hello. Makes the keys on first
    /// use: a second or more on a real TPM that has no endorsement key in store.
    ///
    /// # Errors
    /// When the TPM cannot be reached, is full, or has an endorsement password.
    pub fn keys(&mut self) -> Result<TpmKeys, TpmError> {
        let endorsement_certificate = self.endorsement_certificate()?.map(Into::into);
        self.endorsement()?;
        self.attestation()?;
        let public = |key: &Option<Loaded>| {
            key.as_ref().map(|key| key.public.clone()).unwrap_or_default().into()
        };
        Ok(TpmKeys {
            endorsement: public(&self.endorsement),
            endorsement_certificate,
            attestation: public(&self.attestation),
        })
    }

    /// Opens a credential (`TPM2_ActivateCredential`, part 3 section 12.5): succeeds
    /// only in the TPM, and for the attestation key, that it was made for.
    ///
    /// # Errors
    /// [`TpmError::Refused`] when it was made for another TPM or key;
    /// [`TpmError::Request`] when it is not a credential at all.
    pub fn activate(&mut self, credential: &Credential) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let credential_blob: Tpm2bIdObject = whole(credential.blob.as_ref(), "credential")?;
        let secret: Tpm2bEncryptedSecret = whole(credential.secret.as_ref(), "encrypted secret")?;
        let (attestation, endorsement) = (self.attestation()?, self.endorsement()?);
        let session = self.endorsement_session()?;
        let command = TpmActivateCredentialCommand {
            handles: [attestation, endorsement],
            credential_blob,
            secret,
        };
        let sessions = [empty_password(), policy(session)];
        let opened: Result<TpmActivateCredentialResponse, _> = self.authorised(&command, &sessions);
        if opened.is_err() {
            // A session ends with the command that used it, but not when that failed.
            let _ = self.flush(session);
        }
        Ok(Zeroizing::new(opened?.cert_info.to_vec()))
    }

    /// The endorsement key: the one in store when it is of the template, else a new
    /// primary key, which is the same key, as both come of the TPM's seed.
    fn endorsement(&mut self) -> Result<TpmHandle, TpmError> {
        if let Some(key) = &self.endorsement {
            return Ok(key.handle);
        }
        let template = endorsement_template();
        let key = match self.stored(PERSISTENT_ENDORSEMENT, &template)? {
            Some(key) => key,
            None => self.create_primary(template)?,
        };
        let handle = key.handle;
        self.endorsement = Some(key);
        Ok(handle)
    }

    /// The attestation key; see [`crate::check_attestation_key`] for its marks.
    pub(super) fn attestation(&mut self) -> Result<TpmHandle, TpmError> {
        if let Some(key) = &self.attestation {
            return Ok(key.handle);
        }
        let key = self.create_primary(attestation_template())?;
        let handle = key.handle;
        self.attestation = Some(key);
        Ok(handle)
    }

    /// A persistent key, if there is one and it is of the template.
    fn stored(&mut self, handle: u32, template: &TpmtPublic) -> Result<Option<Loaded>, TpmError> {
        let handle = TpmHandle::new(handle);
        let command = TpmReadPublicCommand { handles: [handle] };
        let public = match self.plain::<TpmReadPublicResponse>(&command) {
            Ok(answer) => answer.out_public.inner,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = same_shape(&public, template);
        Ok(ours.then(|| Loaded { handle, transient: false, public: marshal(&public) }))
    }

    /// `TPM2_CreatePrimary` in the endorsement hierarchy.
    fn create_primary(&mut self, template: TpmtPublic) -> Result<Loaded, TpmError> {
        let command = TpmCreatePrimaryCommand {
            handles: [TpmHandle::new(TpmRh::Endorsement as u32)],
            in_sensitive: Tpm2bSensitiveCreate::default(),
            in_public: Tpm2bPublic { inner: template },
            outside_info: Tpm2bData::new(),
            creation_pcr: TpmlPcrSelection::new(),
        };
        let answer: TpmCreatePrimaryResponse = self.authorised(&command, &[empty_password()])?;
        let [handle] = answer.handles;
        Ok(Loaded { handle, transient: true, public: marshal(&answer.out_public.inner) })
    }

    /// A session that satisfies the endorsement key's policy: whoever may use the
    /// endorsement hierarchy (here with its empty password) may use the key.
    fn endorsement_session(&mut self) -> Result<TpmHandle, TpmError> {
        // The nonce takes part in no HMAC: the session carries a policy and no key.
        let nonce_caller = Tpm2bNonce::try_from([0_u8; 16].as_slice()).unwrap_or_default();
        let start = TpmStartAuthSessionCommand {
            handles: [TpmHandle::new(TpmRh::Null as u32); 2],
            nonce_caller,
            encrypted_salt: Tpm2bEncryptedSecret::new(),
            session_type: TpmSe::Policy,
            symmetric: TpmtSymDefObject {
                algorithm: TpmAlgId::Null,
                key_bits: TpmuSymKeyBits::Null,
                mode: TpmuSymMode::Null,
            },
            auth_hash: TpmAlgId::Sha256,
        };
        let started: TpmStartAuthSessionResponse = self.plain(&start)?;
        let [session] = started.handles;
        let secret = TpmPolicySecretCommand {
            handles: [TpmHandle::new(TpmRh::Endorsement as u32), session],
            nonce_tpm: Tpm2bNonce::new(),
            cp_hash_a: Tpm2bDigest::new(),
            policy_ref: Tpm2bNonce::new(),
            expiration: TpmInt32::new(0),
        };
        match self.authorised::<TpmPolicySecretResponse>(&secret, &[empty_password()]) {
            Ok(_) => Ok(session),
            Err(error) => {
                let _ = self.flush(session);
                Err(error)
            }
        }
    }
}

/// Reads a `TPM2B` to its last byte.
fn whole<B: TpmUnmarshal + TpmSized>(bytes: &[u8], what: &str) -> Result<B, TpmError> {
    match B::unmarshal(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(TpmError::Request(format!("bytes follow the {what}"))),
        Err(error) => Err(TpmError::Request(format!("the {what} does not parse: {error}"))),
    }
}
