//! What a quote is bound to. A quote signs 32 bytes of the verifier's choice; ours
//! are a hash of the fresh nonce and of the key that the machine asks a
//! certificate for. So a quote cannot be replayed, and cannot be passed on by
//! somebody who wants a certificate for a key of their own.

use crate::digest::sha256;

/// Keeps this hash apart from any other use of SHA-256 over similar bytes.
const LABEL: &[u8] = b"bedplate attestation binding v1\0";

/// The qualifying data of a quote, for both sides: SHA-256 over a label and the
/// length-prefixed (64 bit, big endian) nonce and CSR. `csr` is empty when a
/// machine that was let in is attested anew.
pub fn binding(nonce: &[u8], csr: &[u8]) -> [u8; 32] {
    let nonce_length = (nonce.len() as u64).to_be_bytes();
    let csr_length = (csr.len() as u64).to_be_bytes();
    sha256(&[LABEL, &nonce_length, nonce, &csr_length, csr])
}

#[cfg(test)]
mod tests {
    use super::binding;

    #[test]
    fn bytes_cannot_wander_between_nonce_and_csr() {
        let all =
            [binding(b"ab", b"c"), binding(b"a", b"bc"), binding(b"abc", b""), binding(b"", b"")];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "binding {index} is not unique");
        }
    }
}
