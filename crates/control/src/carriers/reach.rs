//! How a machine's BMC is reached. Its password is opened here and nowhere else.

use bmc::{Bmc, Endpoint};
use model::bmc::{BmcFailure, BmcFailureKind};
use model::machine::BmcSpec;

use crate::identity::KeyProvider;

/// Makes connections to BMCs; a seam for tests and for other kinds of BMC.
pub trait Connector: Send + Sync {
    /// Prepares the way; nothing needs to be sent before the first command.
    fn connect(&self, endpoint: Endpoint) -> Result<Box<dyn Bmc>, BmcFailure>;
}

/// BMCs behind Redfish.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverRedfish;

impl Connector for OverRedfish {
    fn connect(&self, endpoint: Endpoint) -> Result<Box<dyn Bmc>, BmcFailure> {
        Ok(Box::new(bmc::connect(endpoint)?))
    }
}

/// Where a machine's BMC is, with its password opened.
pub(super) fn endpoint(keys: &KeyProvider, spec: &BmcSpec) -> Result<Endpoint, BmcFailure> {
    let password = keys.open_sealed(&spec.password).map_err(|error| BmcFailure {
        kind: BmcFailureKind::Unauthorised,
        message: format!("the BMC's password: {error}"),
    })?;
    Ok(Endpoint {
        address: spec.address.clone(),
        username: spec.username.clone(),
        password,
        certificate: spec.certificate.clone(),
    })
}
