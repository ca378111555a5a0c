//! The machine's TPM, as the agent uses it: announce the keys, open the
//! credential, quote. A TPM is slow, so each call runs on a thread of its own,
//! and only one at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use attest::tpm::{DeviceTransport, SocketTransport, Tpm, TpmError, Transport, read_event_log};
use model::Encoded;
use model::agent::{AgentFailure, Credential, Quote, TpmKeys};
use model::inventory;

use crate::failure;

/// Where the TPM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TpmPlace {
    /// The kernel's device.
    Device,
    /// A simulator's socket; there is no event log with it.
    Socket(PathBuf),
    /// There is none.
    Absent,
}

enum Way {
    Device(DeviceTransport),
    Socket(SocketTransport),
}

impl Transport for Way {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        match self {
            Way::Device(device) => device.transmit(command),
            Way::Socket(socket) => socket.transmit(command),
        }
    }
}

/// A handle on the TPM; clones share it.
#[derive(Clone)]
pub struct Chip {
    place: TpmPlace,
    open: Arc<Mutex<Option<Tpm<Way>>>>,
}

impl Chip {
    /// Opened when it is first used.
    pub fn new(place: TpmPlace) -> Self {
        Self { place, open: Arc::default() }
    }

    /// Public keys for the hello; `None` when the machine has no TPM.
    pub async fn keys(&self) -> Result<Option<TpmKeys>, AgentFailure> {
        self.with(|tpm| tpm.keys()).await
    }

    /// Opens a credential.
    pub async fn activate(&self, credential: Credential) -> Result<Encoded, AgentFailure> {
        let secret = self.with(move |tpm| tpm.activate(&credential)).await?;
        secret.map(|secret| Encoded(secret.to_vec())).ok_or_else(absent)
    }

    /// Quotes PCRs over a nonce and the CSR (empty when the agent was let in before).
    pub async fn quote(
        &self,
        nonce: Encoded,
        csr: Vec<u8>,
        pcrs: Vec<u8>,
    ) -> Result<Quote, AgentFailure> {
        let binding = attest::binding(nonce.as_ref(), &csr);
        let has_log = self.place == TpmPlace::Device;
        let quoted = self.with(move |tpm| {
            let log = if has_log { read_event_log()? } else { Vec::new() };
            tpm.quote(&binding, &pcrs, log)
        });
        quoted.await?.ok_or_else(absent)
    }

    /// For the inventory. Without an answer it is left out.
    pub async fn about(&self) -> Option<inventory::Tpm> {
        let about = self.with(|tpm| Ok((tpm.about()?, tpm.keys()?))).await.ok()??;
        let (about, keys) = about;
        Some(inventory::Tpm {
            manufacturer: about.manufacturer,
            family: about.family,
            endorsement: attest::endorsement_digest(keys.endorsement.as_ref()),
        })
    }

    /// Runs `work` with the TPM; `None` when there is none. After an error it is opened anew.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tpm<Way>) -> Result<R, TpmError> + Send + 'static,
    ) -> Result<Option<R>, AgentFailure> {
        let chip = self.clone();
        let working = tokio::task::spawn_blocking(move || {
            let mut open = chip.open.lock().unwrap_or_else(PoisonError::into_inner);
            let tpm = match open.take() {
                Some(tpm) => Some(tpm),
                None => chip.open()?,
            };
            let Some(mut tpm) = tpm else { return Ok(None) };
            let done = work(&mut tpm)?;
            *open = Some(tpm);
            Ok(Some(done))
        });
        let done = working.await.map_err(|panic| failure::tpm(panic.to_string()))?;
        done.map_err(|error: TpmError| failure::tpm(error.to_string()))
    }

    fn open(&self) -> Result<Option<Tpm<Way>>, TpmError> {
        let way = match &self.place {
            TpmPlace::Absent => return Ok(None),
            TpmPlace::Socket(path) => Way::Socket(SocketTransport::unix(path)?),
            TpmPlace::Device => match DeviceTransport::open() {
                Ok(device) => Way::Device(device),
                Err(TpmError::NoDevice) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Ok(Some(Tpm::new(way)))
    }
}

fn absent() -> AgentFailure {
    failure::tpm("the machine has no TPM")
}
