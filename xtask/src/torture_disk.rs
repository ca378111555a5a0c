//! `cargo xtask torture disk`: kill the disk service's engine at random moments, replace
//! it by another at others, and see whether any volume noticed.
//!
//! Several volumes are under load by clients that check everything: one plain, one
//! encrypted, one of which snapshots and clones are taken, one by NBD. Each client knows
//! only what it saw (see `lab::disk_client::ledger`): what was acknowledged must be there,
//! flushed or not; nothing may be done twice, come back, or belong to somebody else; and no
//! request may fail. Afterwards a pool is filled up, another's file is damaged, and others
//! lie on media that have no room or fail.

mod damage;
mod load;
mod medium;
mod strikes;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::run::{command, run as run_command, top};

const USAGE: &str = "usage: cargo xtask torture disk [--kills N] [--replacements N] [--seed N] \
                     [--pool-dir DIR] [--program FILE]";

/// A wait that is worth to be looked into, nanoseconds.
pub const LONG: u64 = 500_000_000;

/// What to do.
pub struct Orders {
    /// The program.
    pub program: PathBuf,
    /// Kills of the engine.
    pub kills: u32,
    /// Live replacements.
    pub replacements: u32,
    /// Where chance begins.
    pub seed: u64,
    /// Where pools lie: memory, or a folder on a disk.
    pub pools: PathBuf,
    /// A folder for everything else.
    pub folder: PathBuf,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Engines that were killed.
    pub kills: u32,
    /// Engines that were replaced live.
    pub replacements: u32,
    /// Snapshots that were taken under load and compared.
    pub snapshots: u32,
    /// Clones that were taken of those and compared.
    pub clones: u32,
    /// Times that the client of NBD was hung up on: once for a kill at most.
    pub hung_up: u64,
    /// Nanoseconds from a kill to the first answer to that client, which connects again.
    pub first_by_nbd: Vec<u64>,
    /// Blocks whose write was acknowledged.
    pub acknowledged: u64,
    /// Acknowledged and not there.
    pub lost: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Answers that were given twice.
    pub doubled: u64,
    /// Older data after newer.
    pub reordered: u64,
    /// Blocks of two versions, of another volume, or of nobody.
    pub strange: u64,
    /// Replacements whose order was not answered.
    pub unanswered: u64,
    /// Engines that ended in a replacement and should not have.
    pub died: u64,
    /// Nanoseconds that each replacement took, by the engine's own account.
    pub cut_overs: Vec<u64>,
    /// Nanoseconds from a kill to the first answer to each client.
    pub first_answers: Vec<u64>,
    /// The longest that any client waited for an answer in a replacement, nanoseconds.
    pub worst_replacement: u64,
    /// Times that a client waited for longer than [`LONG`] for an answer.
    pub long_waits: u64,
    /// What the clients told of what was wrong.
    pub told: Vec<String>,
}

impl Figures {
    fn clean(&self) -> bool {
        self.lost + self.errors + self.doubled + self.reordered + self.strange == 0
            && self.unanswered + self.died == 0
    }
}

/// The value that such a part of all is not above.
fn quantile(values: &[u64], part: f64) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = ((sorted.len() as f64 * part).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

/// Runs `torture disk` with the arguments after these two words, and prints the figures
/// as one line of JSON. An error means that it could not measure.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut kills, mut replacements, mut seed) = (200, 100, 1);
    let (mut pools, mut program) = (None, None);
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match flag.as_str() {
            "--kills" => kills = value.parse().context(USAGE)?,
            "--replacements" => replacements = value.parse().context(USAGE)?,
            "--seed" => seed = value.parse().context(USAGE)?,
            "--pool-dir" => pools = Some(PathBuf::from(value)),
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
    let folder = PathBuf::from(format!("/dev/shm/bedplate-torture-{}", std::process::id()));
    let pools = pools.unwrap_or_else(|| folder.clone());
    let pools = pools.join(format!("pools-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::create_dir_all(&pools)?;
    let orders = Orders { program, kills, replacements, seed, pools, folder };
    let result = torture(&orders);
    let _ = std::fs::remove_dir_all(&orders.pools);
    let _ = std::fs::remove_dir_all(&orders.folder);
    let again = format!(
        "to do it again: cargo xtask torture disk --kills {kills} --replacements {replacements} --seed {seed}"
    );
    match result {
        Ok(true) => Ok(()),
        Ok(false) => {
            println!("{again}");
            Ok(())
        }
        Err(error) => Err(error.context(again)),
    }
}

/// Whether volumes noticed nothing.
fn torture(orders: &Orders) -> Result<bool> {
    let seen = strikes::strike(orders)?;
    for line in &seen.told {
        println!("{line}");
    }
    let full = damage::full(orders)?;
    let damage = damage::corrupt(orders)?;
    let media = medium::refuse(orders)?;
    let told = media
        .is_none_or(|media| media.without_room > 0 && media.of_writes > 0 && media.of_reads > 0);
    let media = media.unwrap_or_default();
    let lost = seen.lost + full.lost + media.lost;
    let micros = |nanos: u64| (nanos as f64 / 10.0).round() / 100.0;
    let figures = json!({
        "kills": seen.kills,
        "replacements": seen.replacements,
        "snapshots": seen.snapshots,
        "acknowledged": seen.acknowledged,
        "clones": seen.clones,
        "lost": lost,
        "errors": seen.errors,
        "doubled": seen.doubled,
        "reordered": seen.reordered,
        "strange": seen.strange,
        "unanswered": seen.unanswered,
        "died": seen.died,
        "cutover_p50_us": micros(quantile(&seen.cut_overs, 0.5)),
        "cutover_p99_us": micros(quantile(&seen.cut_overs, 0.99)),
        "long_waits": seen.long_waits,
        "worst_wait_in_replacement_ms": micros(seen.worst_replacement) / 1000.0,
        "first_io_p99_ms": micros(quantile(&seen.first_answers, 0.99)) / 1000.0,
        "first_io_by_nbd_p99_ms": micros(quantile(&seen.first_by_nbd, 0.99)) / 1000.0,
        "nbd_hung_up": seen.hung_up,
        "refused_when_full": full.refused,
        "refused_without_room": media.without_room,
        "refused_by_eio_of_writes": media.of_writes,
        "refused_by_eio_of_reads": media.of_reads,
        "damaged": damage.injected,
        "damage_found": damage.found,
        "damage_returned": damage.returned,
    });
    let aims = json!({
        "lost": 0, "errors": 0, "doubled": 0, "reordered": 0, "strange": 0, "damage_returned": 0,
        "unanswered": 0, "died": 0,
        "cutover_p50_us": "<= 100", "cutover_p99_us": "<= 1000", "first_io_p99_ms": "<= 50",
    });
    let quick = quantile(&seen.cut_overs, 0.5) <= 100_000
        && quantile(&seen.cut_overs, 0.99) <= 1_000_000
        && quantile(&seen.first_answers, 0.99) <= 50_000_000;
    let told = told && damage.found == damage.injected && damage.named && full.refused > 0;
    let well = seen.clean() && lost == 0 && damage.returned == 0 && told;
    let met = well && quick;
    println!("{}", json!({ "name": "torture disk", "figures": figures, "aims": aims, "met": met }));
    Ok(well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        assert_eq!(quantile(&[], 0.5), 0);
        let values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99)), (100, 198));
    }
}
