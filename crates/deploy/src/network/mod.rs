//! The ramdisk's network: every interface with a link gets an address by DHCP,
//! keeps it, and listens to who is at the other end. It never gives up: a cable
//! may be plugged in later.

pub mod dhcp;
pub mod interfaces;
pub mod lldp;
pub mod reply;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use model::inventory::Nic;
use tokio::sync::watch;

use crate::kernel::interface::Interface;
use crate::settings::Roots;
use dhcp::{Client, Lease};
use lldp::Heard;

/// How often new interfaces and links are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// After an address could not be had.
const AGAIN: Duration = Duration::from_secs(5);

/// Brings the network up and keeps it up, for ever. `ready` becomes `true` with the first address.
pub async fn keep_up(roots: Roots, heard: Heard, ready: watch::Sender<bool>) {
    let loopback = Interface::open("lo").and_then(|lo| lo.up());
    if let Err(error) = loopback {
        crate::say!("the loopback interface does not come up: {error}");
    }
    let mut known = BTreeSet::new();
    loop {
        for nic in interfaces::list(&roots) {
            if known.insert(nic.name.clone()) {
                crate::say!("found network interface {} ({})", nic.name, nic.mac);
                tokio::spawn(one(roots.clone(), nic, heard.clone(), ready.clone()));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One interface, for ever.
async fn one(roots: Roots, nic: Nic, heard: Heard, ready: watch::Sender<bool>) {
    if let Err(error) = Interface::open(&nic.name).and_then(|interface| interface.up()) {
        crate::say!("{} does not come up: {error}", nic.name);
        return;
    }
    if let Some(index) = interfaces::index(&roots, &nic.name) {
        let name = nic.name.clone();
        tokio::spawn(async move {
            if let Err(error) = lldp::listen(name.clone(), index, heard).await {
                crate::say!("cannot listen for neighbours on {name}: {error}");
            }
        });
    }
    loop {
        while !has_link(&roots, &nic.name) {
            tokio::time::sleep(LOOK).await;
        }
        if let Err(error) = hold_address(&roots, &nic, &ready).await {
            crate::say!("{} has no address: {error}", nic.name);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn has_link(roots: &Roots, name: &str) -> bool {
    interfaces::list(roots).iter().any(|nic| nic.name == name && nic.link)
}

/// Gets an address and renews it until that fails.
async fn hold_address(
    roots: &Roots,
    nic: &Nic,
    ready: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let mac = interfaces::mac_bytes(&nic.mac)
        .ok_or_else(|| std::io::Error::other("its hardware address makes no sense"))?;
    let interface = Interface::open(&nic.name)?;
    let client = Client::open(&nic.name, mac)?;
    let Some(mut lease) = client.acquire().await? else {
        crate::say!("no DHCP server answers on {}", nic.name);
        return Ok(());
    };
    set(&interface, &lease)?;
    crate::say!("{} has {} from {}", nic.name, lease.address, lease.server);
    ready.send_replace(true);
    loop {
        // Half of the lease; the second half is for trying.
        tokio::time::sleep(lease.span / 2).await;
        if !has_link(roots, &nic.name) {
            crate::say!("{} lost its link", nic.name);
            return Ok(());
        }
        match client.renew(&lease).await? {
            Some(renewed) if renewed.address == lease.address => lease = renewed,
            Some(other) => {
                set(&interface, &other)?;
                crate::say!("{} now has {}", nic.name, other.address);
                lease = other;
            }
            None => {
                crate::say!("the lease of {} on {} was not renewed", lease.address, nic.name);
                interface.set_address(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)?;
                return Ok(());
            }
        }
    }
}

fn set(interface: &Interface, lease: &Lease) -> std::io::Result<()> {
    interface.set_address(lease.address, lease.mask)?;
    if let Some(mtu) = lease.mtu {
        interface.set_mtu(mtu)?;
    }
    match lease.router {
        Some(router) => interface.add_default_route(router),
        None => Ok(()),
    }
}
