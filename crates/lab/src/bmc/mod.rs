//! A Redfish BMC (DSP0266) over any [`Hardware`]: HTTPS with a certificate of its own,
//! sessions and Basic authentication, power, boot override, virtual media, sensors,
//! logs, and events as they happen.
//!
//! `service` takes a request through authentication to `tree` (what can be read) and
//! `change` (what can be changed); `faults` makes it behave like the BMCs of the field.

mod account;
mod change;
mod console;
mod faults;
mod journal;
mod media;
mod power;
mod reply;
mod service;
mod session;
mod stream;
mod tls;
mod tree;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Secret;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use world::network::Namespace;

use crate::error::{LabError, file, system};
use crate::hardware::Hardware;
use crate::spec::NetworkSpec;

pub use faults::{Fault, Faults};

/// What a BMC is asked to be.
#[derive(Clone, Debug)]
pub struct BmcSpec {
    /// Name of the machine that it serves.
    pub name: String,
    /// Where it keeps its certificate, key, account and images.
    pub dir: PathBuf,
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// The machine's wire: images with an address on it are fetched from inside.
    pub wire: Option<(NetworkSpec, Namespace)>,
    /// Whether faults can be switched at `/redfish/v1/Oem/Bedplate/Faults`.
    pub fault_endpoint: bool,
}

/// A BMC that is running. Dropping it stops it.
pub struct Bmc {
    address: SocketAddr,
    certificate: String,
    service: Arc<service::Service>,
    tasks: Vec<AbortHandle>,
}

impl Bmc {
    /// Starts a BMC.
    pub async fn start(spec: BmcSpec, hardware: Arc<dyn Hardware>) -> Result<Self, LabError> {
        fs::create_dir_all(&spec.dir).map_err(file(&spec.dir))?;
        let identity = tls::Identity::load(&spec.dir)?;
        let listen = spec.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(system(format!("listen on {listen} for the BMC of {}", spec.name)))?;
        let address = listener.local_addr().map_err(system("read the address of the BMC"))?;
        let events = hardware.events();
        let service =
            Arc::new(service::Service::new(BmcSpec { listen: address, ..spec }, hardware)?);
        let acceptor = identity.acceptor()?;
        let tasks = vec![
            tokio::spawn(tls::serve(listener, acceptor, Arc::clone(&service))).abort_handle(),
            tokio::spawn(Arc::clone(&service).attend(events)).abort_handle(),
        ];
        Ok(Self { address, certificate: identity.digest(), service, tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// SHA-256 of its certificate, hexadecimal.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its account: name and password, as they are now.
    pub fn account(&self) -> (String, Secret) {
        self.service.account.credentials()
    }

    /// The switch for its faults.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Stops it; its machine goes on. Repeating it does no harm.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options.open(path).and_then(|mut file| file.write_all(bytes)).map_err(file(path))
}
