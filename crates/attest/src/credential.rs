//! `TPM2_MakeCredential` in software (TPM 2.0 part 1, section 24 and annex B.10):
//! a secret that opens only in the TPM that holds the endorsement key, and only
//! when the attestation key of the given name lives beside it. Whoever hands the
//! secret back has proven both.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use model::agent::Credential;
use model::attestation::RefusalCode;
use ring::hmac;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::{BigUint, Oaep, RsaPublicKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::public::{attestation_key, endorsement_key, name};
use crate::refusal::Refusal;

/// The label of the exchange, with the terminating zero that the specification counts in.
const IDENTITY: &str = "IDENTITY\0";

/// Makes the credential of a challenge. `endorsement_public` and
/// `attestation_public` are `TPMT_PUBLIC`; both are checked first (see
/// [`check_endorsement_key`](crate::check_endorsement_key) and
/// [`check_attestation_key`](crate::check_attestation_key)). `entropy` must fill
/// with bytes that nobody can foresee.
///
/// # Errors
/// `Malformed` when a key is not of the kind that we accept.
pub fn make_credential(
    endorsement_public: &[u8],
    attestation_public: &[u8],
    secret: &[u8; 32],
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<Credential, Refusal> {
    attestation_key(attestation_public)?;
    let endorsement = endorsement_key(endorsement_public)?;
    let name = name(attestation_public);

    let mut seed = Zeroizing::new([0_u8; 32]);
    entropy(seed.as_mut());
    let modulus = BigUint::from_bytes_be(&endorsement.modulus);
    let encrypted = RsaPublicKey::new(modulus, BigUint::from(endorsement.exponent))
        .and_then(|key| {
            let padding = Oaep::new_with_label::<Sha256, _>(IDENTITY);
            key.encrypt(&mut Entropy(entropy), padding, seed.as_ref())
        })
        .map_err(|error| {
            Refusal::malformed(format!("the endorsement key cannot encrypt: {error}"))
        })?;

    Ok(Credential { blob: seal(&seed, &name, secret).into(), secret: sized(&encrypted).into() })
}

/// Whether the machine handed back the secret of its credential. Takes the same
/// time for every wrong answer of the right length.
///
/// # Errors
/// `ForeignTpm` when it is missing or another: the machine's TPM does not hold the
/// endorsement key that it named, or not the attestation key beside it.
pub fn check_secret(secret: &[u8; 32], answer: Option<&[u8]>) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new(RefusalCode::ForeignTpm, message));
    match answer {
        None => refuse("the TPM could not open the credential made for its keys"),
        Some(answer) if answer.len() == secret.len() => {
            let differing = secret.iter().zip(answer).fold(0, |all, (a, b)| all | (a ^ b));
            match std::hint::black_box(differing) {
                0 => Ok(()),
                _ => refuse("the secret handed back is not that of the credential"),
            }
        }
        Some(_) => refuse("the secret handed back has the wrong length"),
    }
}

/// `TPM2B_ID_OBJECT`: the secret, encrypted and authenticated under keys derived
/// from the seed and bound to the name.
fn seal(seed: &[u8; 32], name: &[u8], secret: &[u8; 32]) -> Vec<u8> {
    let mut identity = Zeroizing::new(sized(secret));
    let storage = derive(seed, b"STORAGE", name, 128);
    let mut key = Zeroizing::new([0_u8; 16]);
    key.copy_from_slice(&storage[..16]);
    // An IV of zeroes is what the specification says: the key is used once.
    cfb_mode::Encryptor::<Aes128>::new((&*key).into(), &[0_u8; 16].into()).encrypt(&mut identity);

    let integrity =
        hmac::Key::new(hmac::HMAC_SHA256, derive(seed, b"INTEGRITY", &[], 256).as_ref());
    let mut over = hmac::Context::with_key(&integrity);
    over.update(&identity);
    over.update(name);
    let mut object = sized(over.sign().as_ref());
    object.extend_from_slice(&identity);
    sized(&object)
}

/// KDFa with SHA-256 (part 1 section 11.4.10.2), one block of 256 bits, of which
/// the caller takes as many as it asked for: `bits` is part of the input.
fn derive(seed: &[u8; 32], label: &[u8], context: &[u8], bits: u32) -> Zeroizing<[u8; 32]> {
    assert!(bits <= 256, "one block is enough for the keys of a credential");
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
    let mut over = hmac::Context::with_key(&key);
    over.update(&1_u32.to_be_bytes());
    over.update(label);
    over.update(&[0]);
    over.update(context);
    over.update(&bits.to_be_bytes());
    let mut block = Zeroizing::new([0_u8; 32]);
    block.copy_from_slice(over.sign().as_ref());
    block
}

/// A `TPM2B`: 16-bit length and bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).ok();
    assert!(length.is_some(), "what is put into a TPM2B here is a few hundred bytes");
    let mut all = Vec::with_capacity(2 + bytes.len());
    all.extend_from_slice(&length.unwrap_or_default().to_be_bytes());
    all.extend_from_slice(bytes);
    all
}

/// The caller's source of randomness, in the shape that the crate `rsa` asks for.
struct Entropy<'a>(&'a mut dyn FnMut(&mut [u8]));

impl RngCore for Entropy<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
    fn fill_bytes(&mut self, to: &mut [u8]) {
        (self.0)(to);
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Error> {
        (self.0)(to);
        Ok(())
    }
}
impl CryptoRng for Entropy<'_> {}
