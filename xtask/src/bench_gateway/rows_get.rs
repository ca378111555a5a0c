//! The rows of reading, beside nginx.

use anyhow::Result;

use super::Bench;
use super::http::{Client, fill};
use super::nginx::{Nginx, certificate};
use super::ours::Gateway;
use super::sign::Signer;
use super::wrk::{Load, Seen, random as random_script, script, turns};
use crate::bench::report::Report;

/// Bytes of a small object, and of a large one.
const SMALL: usize = 4096;
const LARGE: usize = 8 << 20;
/// Connections of the client.
const MANY: u32 = 64;
const FEW: u32 = 16;
/// Signed requests that differ, and objects that they ask for.
const SIGNED: usize = 2_000;
const APART: usize = 100;

/// Bytes that no two objects share.
fn content(number: usize, length: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Says what the sides did.
fn tell(report: &Report, sides: &[Load], seen: &[Seen]) {
    for (side, seen) in sides.iter().zip(seen) {
        let Seen { rate, micros, .. } = seen;
        report.say(&format!("{:<24} {rate:>9.0} req/s  {micros:>9.2} us of CPU each", side.name));
    }
}

/// 4 KiB that are asked for again and again: by nobody, and by somebody who signs.
pub fn small(bench: &Bench, report: &mut Report) -> Result<()> {
    let nginx = Nginx::start(bench, None)?;
    let (ours, _) = Gateway::fresh(bench, None)?;
    ours.bucket("open", true)?;
    ours.bucket("signed", false)?;
    std::fs::create_dir_all(nginx.files.join("open"))?;
    std::fs::write(nginx.files.join("open/hot"), content(0, SMALL))?;
    Client::new(&ours.host)?.ask("PUT", "/open/hot", "", &content(0, SMALL))?;
    let path = |number: usize| format!("/signed/{}", number % APART);
    fill(&ours.host, APART, |number| (path(number), content(number, SMALL)))?;
    let signer = Signer::new(&ours.host)?;
    let heads: Vec<String> =
        (0..SIGNED).map(|number| signer.head("GET", &path(number), "", None)).collect();
    let signed = Some(script(bench, &heads, 0)?);
    let packaged = nginx.packaged(bench)?;
    let sides = [
        load("nginx", &nginx.host, "/open/hot", nginx.processes()),
        load("bedplate, anonymous", &ours.host, "/open/hot", vec![ours.pid()]),
        Load { script: signed, ..load("bedplate, signed", &ours.host, "/", vec![ours.pid()]) },
        load("nginx as packaged", &packaged.host, "/open/hot", packaged.processes()),
    ];
    let seen = turns(bench, MANY, &sides)?;
    tell(report, &sides, &seen);
    report.figure("ratio_cpu_get_4k_anonymous", seen[1].micros / seen[0].micros);
    report.figure("ratio_rps_get_4k_anonymous", seen[1].rate / seen[0].rate);
    report.figure("ratio_cpu_get_4k_signed", seen[2].micros / seen[0].micros);
    report.figure("ratio_cpu_get_4k_packaged", seen[1].micros / seen[3].micros);
    report.figure("ratio_rps_get_4k_packaged", seen[1].rate / seen[3].rate);
    report.figure("ratio_cpu_get_4k_signed_packaged", seen[2].micros / seen[3].micros);
    Ok(())
}

fn load(name: &'static str, host: &str, path: &str, processes: Vec<u32>) -> Load {
    Load { name, url: format!("http://{host}{path}"), script: None, processes }
}

/// 4 KiB out of many objects, by chance: more than either keeps ready.
pub fn random(bench: &Bench, report: &mut Report) -> Result<()> {
    let objects = bench.number("--objects").max(1);
    let nginx = Nginx::start(bench, None)?;
    let (ours, _) = Gateway::fresh(bench, None)?;
    ours.bucket("random", true)?;
    let folder = nginx.files.join("random");
    std::fs::create_dir_all(&folder)?;
    for number in 0..objects as usize {
        std::fs::write(folder.join(number.to_string()), content(number, SMALL))?;
    }
    fill(&ours.host, objects as usize, |number| {
        (format!("/random/{number}"), content(number, SMALL))
    })?;
    let script = random_script(bench, objects)?;
    let packaged = nginx.packaged(bench)?;
    let sides = [
        ("nginx", &nginx.host, nginx.processes()),
        ("bedplate", &ours.host, vec![ours.pid()]),
        ("nginx as packaged", &packaged.host, packaged.processes()),
    ]
    .map(|(name, host, processes)| Load {
        script: Some(script.clone()),
        ..load(name, host, "/", processes)
    });
    let seen = turns(bench, MANY, &sides)?;
    tell(report, &sides, &seen);
    report.figure("ratio_cpu_get_4k_random", seen[1].micros / seen[0].micros);
    report.figure("ratio_cpu_get_4k_random_packaged", seen[1].micros / seen[2].micros);
    Ok(())
}

/// 8 MiB, plain.
pub fn large(bench: &Bench, report: &mut Report) -> Result<()> {
    let seen = eight(bench, report, false)?;
    report.figure("ratio_gbps_get_8m", seen[1].rate / seen[0].rate);
    report.figure("ratio_cpu_get_8m", seen[1].micros / seen[0].micros);
    Ok(())
}

/// 8 MiB, by TLS 1.3.
pub fn encrypted(bench: &Bench, report: &mut Report) -> Result<()> {
    let seen = eight(bench, report, true)?;
    report.figure("ratio_cpu_get_8m_tls", seen[1].micros / seen[0].micros);
    Ok(())
}

fn eight(bench: &Bench, report: &Report, tls: bool) -> Result<Vec<Seen>> {
    let folder = if tls { Some(certificate(bench)?) } else { None };
    let nginx = Nginx::start(bench, folder.as_deref())?;
    let (ours, _) = Gateway::fresh(bench, folder.as_deref())?;
    ours.bucket("open", true)?;
    std::fs::create_dir_all(nginx.files.join("open"))?;
    std::fs::write(nginx.files.join("open/large"), content(0, LARGE))?;
    Client::new(&ours.host)?.ask("PUT", "/open/large", "", &content(0, LARGE))?;
    let (scheme, theirs, mine) = match tls {
        true => ("https", &nginx.tls, &ours.tls),
        false => ("http", &nginx.host, &ours.host),
    };
    let sides = [("nginx", theirs, nginx.processes()), ("bedplate", mine, vec![ours.pid()])].map(
        |(name, host, processes)| Load {
            url: format!("{scheme}://{host}/open/large"),
            ..load(name, host, "", processes)
        },
    );
    let seen = turns(bench, FEW, &sides)?;
    tell(report, &sides, &seen);
    Ok(seen)
}
