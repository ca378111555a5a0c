//! The first contact: is this a BMC, and which. Without credentials, since the
//! service root is open to all (DSP0266 section 13.3.1).

use model::Secret;
use model::bmc::BmcFailure;

use crate::document::ROOT;
use crate::failure::{Failure, Outcome};
use crate::wire::Wire;
use crate::{Endpoint, Limits, address};

/// What a BMC says of itself to a stranger. Nothing of it is proven, except that
/// it has the key of the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// `https://host[:port]`, as it was reached.
    pub address: String,
    /// SHA-256 of the certificate (DER), hexadecimal: pin it. `None` with `http`.
    pub certificate: Option<String>,
    /// Maker, or empty.
    pub vendor: String,
    /// Product, or empty.
    pub product: String,
    /// UUID of the service, lower case, or empty. Not the machine's.
    pub uuid: String,
    /// Version of Redfish.
    pub version: String,
}

/// Reads a BMC's service root as a stranger.
///
/// # Errors
///
/// [`BmcFailure`]: nobody there, or somebody who is no Redfish service.
pub async fn probe(address: &str) -> Result<Probe, BmcFailure> {
    probe_with(address, Limits::default()).await
}

/// [`probe`] with other bounds than the usual.
///
/// # Errors
///
/// As [`probe`].
pub async fn probe_with(address: &str, limits: Limits) -> Result<Probe, BmcFailure> {
    let within = limits.probe;
    let outcome = tokio::time::timeout(within, look(address, limits)).await;
    let late = || Failure::unreachable(format!("no answer within {within:?}"));
    Ok(outcome.unwrap_or_else(|_| Err(late()))?)
}

async fn look(address: &str, limits: Limits) -> Outcome<Probe> {
    let base = address::base(address).map_err(|e| Failure::refused(e.to_string()))?;
    let endpoint = Endpoint {
        address: address.to_owned(),
        username: String::new(),
        password: Secret::new(""),
        certificate: None,
    };
    let wire = Wire::new(&endpoint, limits)?;
    let root = wire.get_unauthorised(ROOT).await?;
    let version = root.text("/RedfishVersion");
    if version.is_empty() && root.link("/Systems").is_none() && root.link("/Managers").is_none() {
        return Err(Failure::malformed(format!("{address} answers, but not with Redfish")));
    }
    Ok(Probe {
        address: base.as_str().trim_end_matches('/').to_owned(),
        certificate: wire.certificate(),
        vendor: root.text("/Vendor"),
        product: root.text("/Product"),
        uuid: root.text("/UUID").to_lowercase(),
        version,
    })
}
