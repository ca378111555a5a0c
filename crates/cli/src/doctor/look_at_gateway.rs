//! What the doctor looks at of an object gateway: its directory, what it says to its
//! administrator, and its endpoint as a client sees it.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use client::ClientSettings;
use client::gateway_orders;
use client::objects::Objects;
use model::Bytes;
use model::gateway::{GatewayOrder, GatewayStatus};
use world::{Clock as _, SystemClock};

use super::gateway::Seen;
use super::{Check, certificate, checks, gateway};
use crate::gateway::reach::{self, Reach};
use crate::{Failure, Global};

/// Everything about the gateway of a data directory, and about the endpoint that the
/// environment names.
pub async fn all(global: &Global) -> Vec<Check> {
    let data = global.directory().join("gateway");
    let known = data.join("objects").is_dir();
    let place = data.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let status = gateway_orders::order::<GatewayStatus>(&place, &GatewayOrder::Status);
        (status.map_err(Failure::from), known.then(|| look(&place)))
    });
    let (status, seen) = asked.await.expect("looking does not panic");
    let mut found = vec![gateway::service(&status, known)];
    if let Ok(status) = &status {
        found.push(gateway::version(env!("CARGO_PKG_VERSION"), &status.version));
        found.extend(gateway::store(status));
        found.push(gateway::files(status));
    }
    if let Some(seen) = &seen {
        found.extend(gateway::directory(seen));
    }
    if status.is_err() {
        found.push(gateway::port(TcpListener::bind((Ipv4Addr::LOCALHOST, 9000)).is_err()));
    }
    let named = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| !url.is_empty());
    if named || (status.is_ok() && matches!(reach::access(&data), Ok(Some(_)))) {
        found.extend(endpoint(global).await);
    }
    found
}

/// The endpoint, as verbs reach it.
async fn endpoint(global: &Global) -> Vec<Check> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let settings = global
        .authority_file()
        .and_then(|ca_pem| Reach::default().settings(&global.directory(), &variable, ca_pem));
    let settings = match settings {
        Ok(settings) => settings,
        Err(failure) => return vec![gateway::endpoint("S3", &Err(failure))],
    };
    let url = settings.endpoint.clone();
    let mut found = Vec::new();
    let listener =
        ClientSettings { url: url.clone(), ca_pem: settings.ca_pem.clone(), token: None };
    let objects = match Objects::new(settings) {
        Ok(objects) => objects,
        Err(error) => return vec![gateway::endpoint(&url, &Err(error.into()))],
    };
    let clock = SystemClock::default();
    let answer = objects.buckets().await.map(|buckets| buckets.len()).map_err(Failure::from);
    found.push(gateway::endpoint(&url, &answer));
    if let Some(there) = objects.time().await {
        found.push(gateway::clock(clock.now(), there));
    }
    if let Some(life) = certificate::of_listener(&listener).await {
        let fix = "Renew it, and start the gateway again with the new one: --replace";
        found.push(checks::certificate("S3 certificate", life, clock.now(), fix));
    }
    found
}

/// Looks at a directory. What is written there is removed again.
fn look(data: &Path) -> Seen {
    let statfs = rustix::fs::statfs(data).ok();
    let room = rustix::fs::statvfs(data).ok().map(|told| {
        let bytes = |blocks: u64| Bytes(blocks.saturating_mul(told.f_frsize));
        (bytes(told.f_bavail), bytes(told.f_blocks))
    });
    let mode = std::fs::metadata(data).map_or(0o700, |metadata| metadata.permissions().mode());
    Seen {
        place: data.display().to_string(),
        written: write(data).err().map(|error| error.to_string()),
        room,
        kind: statfs.map(|told| told.f_type as u64 & 0xffff_ffff),
        mode,
    }
}

fn write(data: &Path) -> std::io::Result<()> {
    let path = data.join(format!("doctor.{}", std::process::id()));
    let mut file = std::fs::File::create_new(&path)?;
    let written = file.write_all(b"doctor").and_then(|()| file.sync_all());
    std::fs::remove_file(&path)?;
    written
}
