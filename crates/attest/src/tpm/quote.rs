//! PCRs: reading them and quoting them.

use std::fs::File;
use std::io::{ErrorKind, Read};

use model::agent::Quote;
use tpm2_protocol::data::{
    Tpm2bData, TpmAlgId, TpmlPcrSelection, TpmsPcrSelect, TpmsPcrSelection, TpmtSigScheme,
    TpmuAttest,
};
use tpm2_protocol::frame::{
    TpmPcrReadCommand, TpmPcrReadResponse, TpmQuoteCommand, TpmQuoteResponse,
};

use super::exchange::empty_password;
use super::{Tpm, TpmError, Transport};
use crate::eventlog::MAX_LOG;
use crate::public::marshal;
use crate::quoted::{PCR_COUNT, pcr_digest, selected};

/// Where Linux has the event log of TPM 0 (securityfs must be mounted).
pub const EVENT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";

/// How often a quote is tried again because a PCR was extended meanwhile.
const QUOTE_ATTEMPTS: usize = 5;

/// The firmware's event log; empty when the firmware left none.
///
/// # Errors
/// [`TpmError::Transport`] when it is there and cannot be read, or is longer than
/// [`MAX_LOG`].
pub fn read_event_log() -> Result<Vec<u8>, TpmError> {
    let failed = |error| TpmError::transport(format!("read {EVENT_LOG}"), error);
    let file = match File::open(EVENT_LOG) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut log = Vec::new();
    file.take(MAX_LOG as u64 + 1).read_to_end(&mut log).map_err(failed)?;
    if log.len() > MAX_LOG {
        return Err(failed(ErrorKind::FileTooLarge.into()));
    }
    Ok(log)
}

impl<T: Transport> Tpm<T> {
    /// Quotes PCRs of the SHA-256 bank with the attestation key. `binding` is of
    /// [`crate::binding`]; the event log goes along as it is.
    ///
    /// # Errors
    /// When the TPM cannot be reached or refuses, a PCR does not exist, or the PCRs
    /// change faster than they can be read.
    pub fn quote(
        &mut self,
        binding: &[u8; 32],
        pcrs: &[u8],
        event_log: Vec<u8>,
    ) -> Result<Quote, TpmError> {
        let selection = selection(pcrs)?;
        let key = self.attestation()?;
        let command = TpmQuoteCommand {
            handles: [key],
            qualifying_data: Tpm2bData::try_from(binding.as_slice()).unwrap_or_default(),
            // The key has its scheme.
            in_scheme: TpmtSigScheme::default(),
            pcr_select: selection,
        };
        for _ in 0..QUOTE_ATTEMPTS {
            let answer: TpmQuoteResponse = self.authorised(&command, &[empty_password()])?;
            let TpmuAttest::Quote(quoted) = &answer.quoted.inner.attested else {
                return Err(TpmError::Answer("something other than a quote".into()));
            };
            // Values are read by another command: a PCR may be extended in between.
            let values = self.read_pcrs(pcrs)?;
            let digest = pcr_digest(values.iter().map(|(_, value)| value));
            if digest.as_slice() == &*quoted.pcr_digest {
                return Ok(Quote {
                    attest: marshal(&answer.quoted.inner).into(),
                    signature: marshal(&answer.signature).into(),
                    pcrs: values
                        .into_iter()
                        .map(|(pcr, value)| (pcr, value.to_vec().into()))
                        .collect(),
                    event_log: event_log.into(),
                });
            }
        }
        Err(TpmError::Answer("PCR values that are never the quoted ones".into()))
    }

    /// Values of PCRs of the SHA-256 bank, ascending. A TPM answers with eight at the
    /// most, so this asks until all are there.
    ///
    /// # Errors
    /// When the TPM cannot be reached, or a PCR or the bank does not exist.
    pub fn read_pcrs(&mut self, pcrs: &[u8]) -> Result<Vec<(u8, [u8; 32])>, TpmError> {
        let mut wanted = pcrs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut values = Vec::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let command = TpmPcrReadCommand { handles: [], pcr_selection_in: selection(&wanted)? };
            let answer: TpmPcrReadResponse = self.plain(&command)?;
            let read: Vec<u8> = answer
                .pcr_selection_out
                .iter()
                .flat_map(|bank| selected(&bank.pcr_select))
                .collect();
            let expected = read.len() == answer.pcr_values.len() && wanted.starts_with(&read);
            if read.is_empty() || !expected {
                return Err(TpmError::Answer(format!("no SHA-256 value of PCR {}", wanted[0])));
            }
            for (pcr, value) in wanted.drain(..read.len()).zip(answer.pcr_values.iter()) {
                let value = <[u8; 32]>::try_from(&**value)
                    .map_err(|_| TpmError::Answer(format!("a short value of PCR {pcr}")))?;
                values.push((pcr, value));
            }
        }
        Ok(values)
    }
}

/// `TPML_PCR_SELECTION` of the SHA-256 bank.
fn selection(pcrs: &[u8]) -> Result<TpmlPcrSelection, TpmError> {
    let mut bitmap = [0_u8; PCR_COUNT as usize / 8];
    for pcr in pcrs {
        let byte = bitmap.get_mut(usize::from(pcr / 8));
        *byte.ok_or_else(|| TpmError::Request(format!("there is no PCR {pcr}")))? |= 1 << (pcr % 8);
    }
    let bank = TpmsPcrSelection {
        hash: TpmAlgId::Sha256,
        pcr_select: TpmsPcrSelect::try_from(bitmap.as_slice()).unwrap_or_default(),
    };
    let mut selection = TpmlPcrSelection::new();
    let pushed = selection.try_push(bank);
    assert!(pushed.is_ok(), "a new selection has room for a bank");
    Ok(selection)
}
