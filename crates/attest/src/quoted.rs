//! What a quote says (`TPMS_ATTEST` of type quote, TPM 2.0 part 2 section 10.12.8),
//! and whether the PCR values that came with it are the ones that it signed.

use std::collections::BTreeMap;

use model::Encoded;
use model::attestation::RefusalCode;
use tpm2_protocol::constant::TPM_GENERATED_VALUE;
use tpm2_protocol::data::{TpmAlgId, TpmSt, TpmsAttest, TpmuAttest};
use tpm2_protocol::{TpmError, TpmUnmarshal};

use crate::digest::{Sha256Value, sha256};
use crate::refusal::Refusal;

/// PCRs of a PC Client TPM.
pub(crate) const PCR_COUNT: u8 = 24;
/// Longer than any `TPMS_ATTEST`.
const MAX_ATTEST: usize = 2048;

/// The parts of a quote that are judged.
pub(crate) struct Quoted {
    /// The verifier's 32 bytes, as the TPM signed them.
    pub(crate) qualifying: Vec<u8>,
    /// PCRs of the SHA-256 bank, ascending.
    pub(crate) selection: Vec<u8>,
    /// SHA-256 over their values.
    pub(crate) digest: Vec<u8>,
}

/// Reads a `TPMS_ATTEST` that must be a quote of the SHA-256 bank.
pub(crate) fn parse(attest: &[u8]) -> Result<Quoted, Refusal> {
    if attest.len() > MAX_ATTEST {
        return Err(Refusal::malformed("the quote is longer than a TPM can make one"));
    }
    let parsed = match TpmsAttest::unmarshal(attest) {
        Ok((parsed, [])) => parsed,
        Ok(_) => return Err(Refusal::malformed("bytes follow the quote")),
        Err(TpmError::InvalidMagicNumber { .. }) => {
            return Err(Refusal::malformed(format!(
                "the quote does not begin with {TPM_GENERATED_VALUE:08x}: no TPM made it"
            )));
        }
        Err(error) => return Err(Refusal::malformed(format!("the quote does not parse: {error}"))),
    };
    let TpmuAttest::Quote(quote) = &parsed.attested else {
        return Err(Refusal::malformed("the TPM signed something other than a quote"));
    };
    assert!(parsed.attest_type == TpmSt::AttestQuote, "the type selects what is attested");
    let [selection] = &*quote.pcr_select else {
        return Err(Refusal::malformed("the quote is not over exactly one bank of PCRs"));
    };
    if selection.hash != TpmAlgId::Sha256 {
        return Err(Refusal::malformed("the quote is not over the SHA-256 bank"));
    }
    Ok(Quoted {
        qualifying: parsed.extra_data.to_vec(),
        selection: selected(&selection.pcr_select),
        digest: quote.pcr_digest.to_vec(),
    })
}

/// PCR numbers of a selection bitmap, ascending.
pub(crate) fn selected(bitmap: &[u8]) -> Vec<u8> {
    (0_u8..)
        .zip(bitmap.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)))
        .filter_map(|(pcr, set)| set.then_some(pcr))
        .collect()
}

/// The PCR values that came with a quote, once they are shown to be what it signed.
pub(crate) fn values(
    quoted: &Quoted,
    claimed: &[(u8, Encoded)],
) -> Result<BTreeMap<u8, Sha256Value>, Refusal> {
    let mismatch = |message: String| Refusal::new(RefusalCode::PcrMismatch, message);
    let numbers: Vec<u8> = claimed.iter().map(|(pcr, _)| *pcr).collect();
    if numbers != quoted.selection {
        return Err(mismatch(format!(
            "the quote is over PCRs {:?}, but values came for {numbers:?}",
            quoted.selection
        )));
    }
    let mut values = BTreeMap::new();
    for (pcr, value) in claimed {
        let Ok(value) = Sha256Value::try_from(value.as_ref()) else {
            return Err(mismatch(format!("the value of PCR {pcr} is not 32 bytes long")));
        };
        values.insert(*pcr, value);
    }
    if pcr_digest(values.values()).as_slice() != quoted.digest {
        return Err(mismatch(
            "the PCR values that came with the quote are not the ones that it signed".into(),
        ));
    }
    Ok(values)
}

/// SHA-256 over PCR values in ascending order of their numbers (part 3 section 18.4).
pub(crate) fn pcr_digest<'a>(values: impl Iterator<Item = &'a Sha256Value>) -> Sha256Value {
    let parts: Vec<&[u8]> = values.map(<[u8; 32]>::as_slice).collect();
    sha256(&parts)
}
