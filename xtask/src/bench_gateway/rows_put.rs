//! The row of durable writes, beside an object server that makes nothing durable.

use anyhow::Result;

use super::Bench;
use super::http::Client;
use super::ours::Gateway;
use super::s3s::S3s;
use super::sign::Signer;
use super::wrk::{Load, script, turns};
use crate::bench::report::Report;

/// Bytes of an object, keys, clients.
const LENGTH: usize = 4096;
const KEYS: usize = 4_000;
const CLIENTS: u32 = 64;

/// 4 KiB to one of many keys, signed, by 64 clients at once.
pub fn durable(bench: &Bench, report: &mut Report) -> Result<()> {
    let (ours, _) = Gateway::fresh(bench, None)?;
    let peer = S3s::start(bench);
    let mut sides = vec![side(bench, "bedplate", &ours.host, ours.pid())?];
    if let Ok(peer) = &peer {
        sides.push(side(bench, "s3s-fs 0.14.1", &peer.host, peer.pid())?);
    }
    let (synced, put) = (ours.metric("syncs_total")?, ours.metric("changes_total")?);
    let seen = turns(bench, CLIENTS, &sides)?;
    let (synced, put) = (ours.metric("syncs_total")? - synced, ours.metric("changes_total")? - put);
    for (side, seen) in sides.iter().zip(&seen) {
        report.say(&format!(
            "{:<24} {:>9.0} PUT/s  {:>9.2} us of CPU each",
            side.name, seen.rate, seen.micros
        ));
    }
    report.say(&format!("bedplate synced {synced} times for {put} objects; s3s-fs never does"));
    report.figure("fsyncs_per_put", synced / put.max(1.0));
    peer?;
    report.figure("ratio_put_4k_durable", seen[0].rate / seen[1].rate);
    Ok(())
}

fn side(bench: &Bench, name: &'static str, host: &str, pid: u32) -> Result<Load> {
    Client::new(host)?.ask("PUT", "/put", "", b"")?;
    let signer = Signer::new(host)?;
    let heads: Vec<String> = (0..KEYS)
        .map(|number| signer.head("PUT", &format!("/put/{number}"), "", Some(LENGTH)))
        .collect();
    let script = Some(script(bench, &heads, LENGTH)?);
    Ok(Load { name, url: format!("http://{host}/"), script, processes: vec![pid] })
}
