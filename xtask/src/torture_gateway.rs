//! `cargo xtask torture gateway`: kill the gateway at random moments under the load of
//! many clients of S3, replace it by another at others, and see whether it kept its word.
//!
//! The clients are small ones of our own, which know nothing of the gateway's code. They
//! write a few keys at once, over and over: objects of all sizes, in parts, copies,
//! deletions, versions, and objects that only one of them may make. Each body says what
//! it is and is read whole. What was acknowledged must be there, unless something later
//! is; what was not answered may be there or not, and stays as it was found; lists agree
//! with objects. Afterwards bits of some bodies are turned over on the medium: such an
//! object is answered with an error.

mod acts;
mod body;
mod client;
mod damage;
mod history;
mod load;
mod reads;
mod service;
mod site;
mod strikes;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::damage::Damage;
use self::service::Service;
use self::site::Site;
use self::strikes::Struck;
use crate::run::{command, run as run_command, top};

const USAGE: &str = "usage: cargo xtask torture gateway [--kills N] [--takeovers N] [--seed N] \
                     [--dir DIR] [--program FILE]";

/// What to do.
struct Orders {
    program: PathBuf,
    kills: u32,
    takeovers: u32,
    seed: u64,
    /// Where all of it lies: memory, or a folder on a disk.
    folder: PathBuf,
}

/// Runs `torture gateway` with the arguments after these two words, and prints the
/// figures as one line of JSON. An error means that it could not measure.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut kills, mut takeovers, mut seed) = (200, 20, 1);
    let (mut folder, mut program) = (PathBuf::from("/dev/shm"), None);
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match flag.as_str() {
            "--kills" => kills = value.parse().context(USAGE)?,
            "--takeovers" => takeovers = value.parse().context(USAGE)?,
            "--seed" => seed = value.parse().context(USAGE)?,
            "--dir" => folder = PathBuf::from(value),
            "--program" => program = Some(PathBuf::from(value)),
            _ => bail!(USAGE),
        }
    }
    let program = match program {
        Some(program) => program,
        None => {
            run_command(command("cargo", &["build", "--release", "-p", "bedplate", "--locked"]))?;
            top().join("target/release/bedplate")
        }
    };
    let folder = folder.join(format!("bedplate-torture-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let orders = Orders { program, kills, takeovers, seed, folder };
    let done = torture(&orders);
    if !matches!(done, Ok(true)) {
        let kept = std::env::temp_dir().join(format!("torture-gateway-{seed}.log"));
        if std::fs::copy(orders.folder.join("gateway.log"), &kept).is_ok() {
            eprintln!("the log of the gateway: {}", kept.display());
        }
        eprintln!(
            "to do it again: cargo xtask torture gateway --kills {kills} --takeovers {takeovers} \
             --seed {seed}"
        );
    }
    let _ = std::fs::remove_dir_all(&orders.folder);
    done.map(drop)
}

fn torture(orders: &Orders) -> Result<bool> {
    let mut service = Service::start(&orders.program, &orders.folder)?;
    let site = Site::new(service.account.clone());
    let struck = strikes::strike(orders, &mut service, &site)?;
    for line in &struck.seen.told {
        println!("{line}");
    }
    let took = struck.took.as_secs_f64();
    println!("{} kills and {} takeovers in {took:.1} s", struck.kills, struck.takeovers);
    let damage = damage::corrupt(&mut service, &site, orders.seed)?;
    Ok(report(&struck, damage))
}

/// Prints the figures. Whether all is as it should be.
fn report(struck: &Struck, damage: Damage) -> bool {
    let seen = &struck.seen;
    let clean = seen.lost + seen.wrong_bytes + seen.strange + seen.errors == 0;
    let told = damage.found == damage.injected && damage.returned + damage.others == 0;
    let figures = json!({
        "kills": struck.kills,
        "takeovers": struck.takeovers,
        "answers": seen.answers,
        "acknowledged": seen.acknowledged,
        "lost": seen.lost,
        "wrong_bytes": seen.wrong_bytes,
        "strange": seen.strange,
        "errors": seen.errors,
        "recovery_p50_ms": quantile(&struck.recoveries, 50),
        "recovery_p99_ms": quantile(&struck.recoveries, 99),
        "damaged": damage.injected,
        "damage_found": damage.found,
        "damage_returned": damage.returned,
        "damage_elsewhere": damage.others,
        "seconds": struck.took.as_secs(),
    });
    let aims = json!({
        "lost": 0, "wrong_bytes": 0, "strange": 0, "errors": 0, "damage_returned": 0,
        "damage_elsewhere": 0,
    });
    let met = clean && told;
    println!(
        "{}",
        json!({ "name": "torture gateway", "figures": figures, "aims": aims, "met": met })
    );
    met
}

/// The value that so many of a hundred are not above, to the tenth.
fn quantile(values: &[f64], part: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * part).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0.0, |value| (value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        assert_eq!(quantile(&[], 99), 0.0);
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((quantile(&values, 50), quantile(&values, 99)), (100.0, 198.0));
    }
}
