//! What a gateway leaves in its directory for clients of the same user: where it serves,
//! and its first access key. Whoever can read this file can read the key that opens all
//! accounts, which lies beside it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use model::gateway::{GATEWAY_ACCESS, GatewayAccess};

use crate::accounts::AccessKey;
use crate::serve::Serving;

/// An address as it is asked at from this host.
pub fn endpoint((mut address, tls): (SocketAddr, bool)) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// What is there, if it is anything.
pub fn read(data: &Path) -> Option<GatewayAccess> {
    serde_json::from_slice(&std::fs::read(data.join(GATEWAY_ACCESS)).ok()?).ok()
}

/// Writes it anew: with the first key, or with the one that is there already. Where there
/// is neither, there is nothing to write.
///
/// # Errors
/// When it cannot be written.
pub fn leave(
    data: &Path,
    serving: &Serving,
    region: &str,
    first: Option<&AccessKey>,
) -> io::Result<()> {
    let known = read(data).map(|known| (known.access_key.clone(), known.secret_key.clone()));
    let first = first.map(|key| (key.id.to_string(), model::Secret::new(key.secret.expose())));
    let Some((access_key, secret_key)) = first.or(known) else { return Ok(()) };
    // Without encryption it is only asked from this host, where a certificate would be
    // for another name.
    let best = serving.addresses.iter().min_by_key(|(_, tls)| *tls);
    let Some(best) = best else { return Ok(()) };
    let access = GatewayAccess {
        endpoint: endpoint(*best),
        region: region.to_owned(),
        access_key,
        secret_key,
        admin: serving.admin.map(|admin| format!("http://{admin}")),
    };
    let text = serde_json::to_vec_pretty(&access)?;
    let written = crate::sealing::write_private(&data.join(GATEWAY_ACCESS), &text);
    written.map_err(|error| io::Error::other(error.to_string()))
}
