//! The wire of a rack: a network namespace with one bridge, and one tap device for
//! each machine. Nothing of the host's own network is touched.

use model::Duration;
use world::network::Namespace;
use world::process;

use crate::error::LabError;
use crate::spec::NetworkSpec;

/// `ip` answers at once or hangs.
const IP_LIMIT: Duration = Duration::from_secs(20);

/// Whether a namespace of that name exists.
pub(crate) fn exists(namespace: &str) -> bool {
    Namespace::named(namespace).path().exists()
}

/// The tap device of the n-th machine.
pub(crate) fn tap(index: usize) -> String {
    format!("tap{index}")
}

/// Builds the wire for so many machines. On failure nothing is left of it.
pub(crate) async fn build(spec: &NetworkSpec, machines: usize) -> Result<Namespace, LabError> {
    if exists(&spec.namespace) {
        return Err(LabError::NamespaceTaken { name: spec.namespace.clone() });
    }
    let built = lay_out(spec, machines).await;
    if built.is_err() {
        let _ = remove(&spec.namespace).await;
    }
    built.map(|()| Namespace::named(spec.namespace.clone()))
}

/// Takes the wire away; nothing when there is none.
pub(crate) async fn remove(namespace: &str) -> Result<(), LabError> {
    if exists(namespace) {
        process::run("ip", ["netns", "delete", namespace], IP_LIMIT).await?;
    }
    Ok(())
}

async fn lay_out(spec: &NetworkSpec, machines: usize) -> Result<(), LabError> {
    let bridge = spec.bridge.as_str();
    let address = format!("{}/{}", spec.server, spec.prefix);
    process::run("ip", ["netns", "add", &spec.namespace], IP_LIMIT).await?;
    let mut batch = vec![
        "link set lo up".to_owned(),
        // No spanning tree and no delay: a machine's first packet must get through.
        format!("link add {bridge} type bridge stp_state 0 forward_delay 0"),
        format!("address add {address} dev {bridge}"),
        format!("link set {bridge} up"),
    ];
    for index in 0..machines {
        let tap = tap(index);
        batch.push(format!("tuntap add dev {tap} mode tap"));
        batch.push(format!("link set {tap} master {bridge}"));
        batch.push(format!("link set {tap} up"));
    }
    for line in batch {
        let words = ["-n", &spec.namespace].into_iter().chain(line.split(' '));
        process::run("ip", words, IP_LIMIT).await?;
    }
    Ok(())
}
