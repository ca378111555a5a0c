//! The endorsement certificate in the TPM's NV memory (TCG EK Credential Profile,
//! section 2.2.1.4).

use tpm2_protocol::basic::{TpmHandle, TpmUint16};
use tpm2_protocol::constant::MAX_NV_BUFFER_SIZE;
use tpm2_protocol::data::{TpmPt, TpmRh, TpmaNv};
use tpm2_protocol::frame::{
    TpmNvReadCommand, TpmNvReadPublicCommand, TpmNvReadPublicResponse, TpmNvReadResponse,
};

use super::exchange::empty_password;
use super::{Tpm, TpmError, Transport};

/// NV index of the RSA 2048 endorsement certificate.
const CERTIFICATE: u32 = 0x01c0_0002;
/// Longer than any endorsement certificate (they take 1 to 2 KB).
const MAX_CERTIFICATE: u16 = 8 * 1024;

impl<T: Transport> Tpm<T> {
    /// The endorsement certificate (X.509, DER); `None` when the maker put none there.
    pub(super) fn endorsement_certificate(&mut self) -> Result<Option<Vec<u8>>, TpmError> {
        let index = TpmHandle::new(CERTIFICATE);
        let command = TpmNvReadPublicCommand { handles: [index] };
        let public = match self.plain::<TpmNvReadPublicResponse>(&command) {
            Ok(answer) => answer.nv_public.inner,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        if !public.attributes.contains(TpmaNv::WRITTEN) {
            return Ok(None);
        }
        let size = public.data_size.value();
        if size > MAX_CERTIFICATE {
            return Err(TpmError::Answer(format!("an endorsement certificate of {size} bytes")));
        }
        let reader = if public.attributes.contains(TpmaNv::AUTHREAD) {
            index
        } else {
            TpmHandle::new(TpmRh::Owner as u32)
        };
        self.read_index(index, reader, size).map(|bytes| Some(whole_der(bytes)))
    }

    /// Reads an NV index in pieces that the TPM can answer with.
    fn read_index(
        &mut self,
        index: TpmHandle,
        reader: TpmHandle,
        size: u16,
    ) -> Result<Vec<u8>, TpmError> {
        let most = self.property(TpmPt::NvBufferMax)?.clamp(1, MAX_NV_BUFFER_SIZE as u32) as u16;
        let mut bytes = Vec::with_capacity(usize::from(size));
        while bytes.len() < usize::from(size) {
            let offset = bytes.len() as u16;
            let wanted = most.min(size - offset);
            let command = TpmNvReadCommand {
                handles: [reader, index],
                size: TpmUint16::new(wanted),
                offset: TpmUint16::new(offset),
            };
            let answer: TpmNvReadResponse = self.authorised(&command, &[empty_password()])?;
            if answer.data.len() != usize::from(wanted) {
                return Err(TpmError::Answer("an NV index that ends too early".into()));
            }
            bytes.extend_from_slice(&answer.data);
        }
        Ok(bytes)
    }
}

/// Cuts off what follows the certificate: makers fill up the index they reserved.
fn whole_der(mut bytes: Vec<u8>) -> Vec<u8> {
    if let [0x30, 0x82, high, low, ..] = bytes[..] {
        bytes.truncate(4 + usize::from(u16::from_be_bytes([high, low])));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::whole_der;

    #[test]
    fn padding_is_cut_off() {
        assert_eq!(whole_der(vec![0x30, 0x82, 0, 1, 7, 0xff, 0xff]), [0x30, 0x82, 0, 1, 7]);
        assert_eq!(whole_der(vec![0x30, 0x82, 0, 9, 7]), [0x30, 0x82, 0, 9, 7]);
        assert_eq!(whole_der(vec![0x30]), [0x30]);
    }
}
