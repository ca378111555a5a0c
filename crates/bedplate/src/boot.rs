//! The boot network of a control plane: the signed image that machines boot, and
//! the servers that hand it out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use control::server::{AgentNetwork, Server};
use lab::NetworkSpec;
use model::image::Checksum;
use netboot::image::{self, Flavour, ModuleSet};
use netboot::{BootFiles, Running, Sockets, dhcp, keys};
use world::network::{Namespace, datagrams, listen};
use world::{SystemClock, process};

/// Where machines are served on the boot network.
const AGENT_PORT: u16 = 7444;
/// Where firmware fetches images.
const BOOT_PORT: u16 = 7480;

/// A network on which machines boot.
#[derive(Clone, Debug)]
pub struct BootNetwork {
    /// In which network namespace, when not in ours.
    pub namespace: Option<Namespace>,
    /// The device: an interface or a bridge.
    pub device: String,
    /// Our address on it.
    pub address: Ipv4Addr,
    /// Bits of its subnet.
    pub prefix: u8,
    /// Whose machines: QEMU's or anybody's. Decides the kernel and its drivers.
    pub virtual_machines: bool,
}

impl BootNetwork {
    /// The wire of a virtual rack.
    pub fn of_rack(network: &NetworkSpec) -> Self {
        Self {
            namespace: Some(Namespace::named(network.namespace.clone())),
            device: network.bridge.clone(),
            address: network.server,
            prefix: network.prefix,
            virtual_machines: true,
        }
    }

    /// A real interface, by its name and our address on it, `ADDRESS/BITS`.
    pub fn on_device(device: &str, address: &str) -> Result<Self> {
        let expected = "expected ADDRESS/BITS, such as 10.0.0.1/24";
        let (address, bits) = address.split_once('/').context(expected)?;
        let prefix: u8 = bits.parse().context(expected)?;
        if !(8..=29).contains(&prefix) {
            bail!("a boot network has 8 to 29 bits, not {prefix}");
        }
        Ok(Self {
            namespace: None,
            device: device.to_owned(),
            address: address.parse().context(expected)?,
            prefix,
            virtual_machines: false,
        })
    }

    /// Where the control plane serves machines on this network.
    pub fn agents(&self) -> AgentNetwork {
        AgentNetwork {
            namespace: self.namespace.clone(),
            listen: SocketAddr::new(IpAddr::V4(self.address), AGENT_PORT),
            boot_port: BOOT_PORT,
            media_url: None,
        }
    }

    /// The half of the subnet that we are not in is given to machines.
    fn subnet(&self) -> dhcp::Subnet {
        const MACHINES_MAX: u32 = 32_768;
        let size = 1_u32 << (32 - u32::from(self.prefix));
        let network = u32::from(self.address) & !(size - 1);
        let half = size / 2;
        let upper = u32::from(self.address) - network < half;
        // Neither the network's own address nor its broadcast.
        let first = if upper { network + half } else { network + 1 };
        let count = half.min(MACHINES_MAX) - 2;
        dhcp::Subnet {
            prefix: self.prefix,
            first: Ipv4Addr::from(first),
            last: Ipv4Addr::from(first + count),
            router: None,
            dns: Vec::new(),
        }
    }

    fn sockets(&self) -> std::io::Result<Sockets> {
        let namespace = self.namespace.as_ref();
        let any = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        let device = Some(self.device.as_str());
        Ok(Sockets {
            dhcp: Some(datagrams(namespace, any(67), device)?),
            tftp: Some(datagrams(namespace, any(69), device)?),
            http: Some(listen(namespace, SocketAddr::new(IpAddr::V4(self.address), BOOT_PORT))?),
            https: None,
        })
    }
}

/// The secure-boot key of the control plane in `directory`, made at the first start.
pub async fn secure_boot_keys(directory: &Path) -> Result<keys::Keys> {
    Ok(keys::generate(&directory.join("secure-boot")).await?)
}

/// Builds the boot image where it is not there yet, and serves the boot network.
pub async fn serve(
    server: &Server,
    network: &BootNetwork,
    cache: &Path,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Running> {
    let files = files(server, network, cache, say).await?;
    let boot_url = format!("http://{}:{BOOT_PORT}", network.address);
    let dhcp = dhcp::Settings::one(network.address, network.subnet(), boot_url);
    let settings = netboot::Settings { dhcp: Some(dhcp), tls: None };
    let sockets = network.sockets().with_context(|| {
        format!(
            "the boot network on {} cannot be served; ports 67 and 69 need root and no other DHCP server",
            network.device
        )
    })?;
    let clock = Arc::new(SystemClock::default());
    Ok(netboot::serve(sockets, settings, server.boot_directory(), files, clock)?)
}

/// The files that machines boot, built anew when any part of them changed.
async fn files(
    server: &Server,
    network: &BootNetwork,
    cache: &Path,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<BootFiles> {
    let (flavour, set) = match network.virtual_machines {
        true => (Flavour::Cloud, ModuleSet::Lab),
        false => (Flavour::General, ModuleSet::Hardware),
    };
    let kernel = image::fetch_kernel(&cache.join("kernel"), flavour, say).await?;
    let keys = secure_boot_keys(&server.plane.directory).await?;
    let folder = server.plane.directory.join("boot");
    std::fs::create_dir_all(&folder)?;
    let control = serde_json::json!({
        "url": server.plane.agent_url,
        "ca": server.plane.authority.pem(),
    });
    let order = image::Order {
        stub: image::STUB.into(),
        kernel: kernel.image.clone(),
        modules_dir: kernel.modules.clone(),
        modules: set.names(),
        agent: agent()?,
        control_json: serde_json::to_vec(&control)?,
        cmdline: image::CMDLINE.to_owned(),
        key: keys.key,
        cert: keys.cert,
        out: folder.join("bedplate.efi"),
    };
    let iso = folder.join("bedplate.iso");
    let stamp = folder.join("made-of");
    let parts = made_of(&order)?;
    let same = std::fs::read_to_string(&stamp).is_ok_and(|known| known == parts);
    if !same || !order.out.is_file() {
        say("building and signing the boot image");
        image::build(&order).await?;
        // Virtual media are the second road: without the tools for them it is closed.
        match process::find("xorriso").and(process::find("mformat")) {
            Some(_) => image::iso(&order.out, &iso).await?,
            None => say("no virtual media: install xorriso and mtools for them"),
        }
        std::fs::write(&stamp, parts)?;
    }
    let iso = iso.is_file().then_some(iso.as_path());
    Ok(BootFiles::load(&order.out, iso)?)
}

/// What an image is made of, in one line: another line, another image.
fn made_of(order: &image::Order) -> Result<String> {
    use sha2::Digest as _;
    let mut digest = sha2::Sha256::new();
    for part in [&order.stub, &order.kernel, &order.agent, &order.cert] {
        digest.update(std::fs::read(part).with_context(|| part.display().to_string())?);
    }
    digest.update(&order.control_json);
    digest.update(order.cmdline.as_bytes());
    digest.update(order.modules.join(" ").as_bytes());
    digest.update(env!("CARGO_PKG_VERSION").as_bytes());
    Ok(Checksum::from_digest(digest.finalize().into()).to_string())
}

/// The agent that becomes PID 1: beside this program, or where `BEDPLATE_AGENT` says.
fn agent() -> Result<PathBuf> {
    let named = std::env::var_os("BEDPLATE_AGENT").map(PathBuf::from);
    let beside = std::env::current_exe()?.with_file_name("bedplate-deploy");
    let agent = named.unwrap_or(beside);
    if !agent.is_file() {
        bail!(
            "the agent of the boot image is not at {}; build it with `cargo xtask agent`, or name it in BEDPLATE_AGENT",
            agent.display()
        );
    }
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_get_the_half_that_we_are_not_in() {
        let pool = |address: &str| {
            let subnet = BootNetwork::on_device("eth1", address).unwrap().subnet();
            (subnet.first.to_string(), subnet.last.to_string())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(pool("10.0.0.1/24"), pair("10.0.0.128", "10.0.0.254"));
        assert_eq!(pool("10.0.0.200/24"), pair("10.0.0.1", "10.0.0.127"));
        assert_eq!(pool("10.0.0.1/8"), pair("10.128.0.0", "10.128.127.254"));
        assert!(BootNetwork::on_device("eth1", "10.0.0.1").is_err());
    }
}
