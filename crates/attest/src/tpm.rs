//! The machine's side: a TPM 2.0 over a character device, without tpm2-tss.
//!
//! Commands and answers are those of the crate `tpm2-protocol`; here is their
//! order. A TPM has room for about three objects and sessions at once, so what was
//! loaded is flushed: sessions at the end of each operation, keys when the [`Tpm`]
//! is dropped.
//!
//! The endorsement and owner hierarchies are used with empty authorisation: that is
//! how machines come, and whoever set one has to clear it before the machine is
//! handed over.

mod certificate;
mod error;
mod exchange;
mod keys;
mod quote;
mod transport;

pub use error::TpmError;
pub use quote::{EVENT_LOG, read_event_log};
pub use transport::{DeviceTransport, SocketTransport, Transport};

use tpm2_protocol::basic::TpmUint32;
use tpm2_protocol::data::{TpmCap, TpmPt, TpmuCapabilities};
use tpm2_protocol::frame::{TpmGetCapabilityCommand, TpmGetCapabilityResponse};

use keys::Loaded;

/// A TPM, with the keys that were made in it.
pub struct Tpm<T: Transport> {
    transport: T,
    endorsement: Option<Loaded>,
    attestation: Option<Loaded>,
}

/// What a TPM says of itself (TPM 2.0 part 2 section 6.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Vendor ID: `IBM`, `IFX`, `STM`, `AMD`, `INTC`.
    pub manufacturer: String,
    /// Family of the specification: `2.0`.
    pub family: String,
    /// Firmware version, as the two words that the vendor makes up.
    pub firmware: (u32, u32),
}

impl<T: Transport> Tpm<T> {
    /// A TPM behind a transport. Nothing is sent yet.
    pub fn new(transport: T) -> Self {
        Self { transport, endorsement: None, attestation: None }
    }

    /// Who made the TPM.
    ///
    /// # Errors
    /// When the TPM cannot be reached or refuses.
    pub fn about(&mut self) -> Result<About, TpmError> {
        Ok(About {
            manufacturer: word(self.property(TpmPt::Manufacturer)?),
            family: word(self.property(TpmPt::FamilyIndicator)?),
            firmware: (
                self.property(TpmPt::FirmwareVersion1)?,
                self.property(TpmPt::FirmwareVersion2)?,
            ),
        })
    }

    /// A fixed property, by `TPM2_GetCapability`.
    fn property(&mut self, property: TpmPt) -> Result<u32, TpmError> {
        let command = TpmGetCapabilityCommand {
            cap: TpmCap::TpmProperties,
            property: TpmUint32::new(property.value()),
            property_count: TpmUint32::new(1),
            handles: [],
        };
        let answer: TpmGetCapabilityResponse = self.plain(&command)?;
        let TpmuCapabilities::TpmProperties(properties) = &answer.capability_data.data else {
            return Err(TpmError::Answer("a capability of another kind".into()));
        };
        // A TPM that lacks a property answers with the next one.
        let found = properties.iter().find(|found| found.property.value() == property.value());
        let found = found.ok_or_else(|| TpmError::Answer(format!("no {property}")))?;
        Ok(found.value.value())
    }
}

impl<T: Transport> Drop for Tpm<T> {
    fn drop(&mut self) {
        for key in [self.attestation.take(), self.endorsement.take()].into_iter().flatten() {
            if key.transient {
                // Nobody is left to tell; through the kernel's resource manager the
                // handle ends with the file anyway.
                let _ = self.flush(key.handle);
            }
        }
    }
}

/// Four characters in a word, zero padded.
fn word(value: u32) -> String {
    let bytes = value.to_be_bytes();
    let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
    printable.map(|byte| char::from(*byte)).collect::<String>().trim().into()
}
