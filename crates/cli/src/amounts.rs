//! Amounts on a command line: cores, memory, disk and the rest, as people write them.

use clap::Args;
use model::{Bytes, Resources};

/// What an instance takes, or a host has.
#[derive(Args, Clone, Copy, Debug)]
pub struct Amounts {
    /// Cores; half of one is 0.5
    #[arg(long, value_name = "CORES", value_parser = millicores, default_value = "0")]
    cores: u32,
    /// Memory, such as 8GiB
    #[arg(long, value_name = "SIZE", default_value = "0")]
    memory: Bytes,
    /// Local disk, such as 100GiB
    #[arg(long, value_name = "SIZE", default_value = "0")]
    disk: Bytes,
    /// Network, in megabits a second
    #[arg(long, value_name = "MBIT", default_value_t = 0)]
    network: u32,
    /// Whole GPUs
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    gpus: u32,
}

impl Amounts {
    /// As a vector. Parts of a MiB of memory or a GiB of disk are dropped.
    pub fn resources(&self) -> Resources {
        let most = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX);
        Resources {
            millicores: self.cores,
            memory_mib: most(self.memory.0 >> 20),
            disk_gib: most(self.disk.0 >> 30),
            network_mbps: self.network,
            gpus: self.gpus,
        }
    }
}

/// Thousandths of a core, from cores.
pub fn millicores(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no number of cores, such as 4 or 0.5");
    let cores: f64 = text.parse().map_err(|_| wrong())?;
    match (0.0..=4_000_000.0).contains(&cores) {
        true => Ok((cores * 1_000.0).round() as u32),
        false => Err(wrong()),
    }
}

/// Sums of a cell or a project in words: `80 cores, 576.0 GiB of memory`.
pub fn sums(amounts: &model::fleet::Amounts) -> String {
    let mut told = Vec::new();
    if amounts.millicores > 0 {
        told.push(format!("{} cores", amounts.millicores as f64 / 1_000.0));
    }
    if amounts.memory_mib > 0 {
        told.push(format!("{} of memory", Bytes(amounts.memory_mib << 20)));
    }
    if amounts.disk_gib > 0 {
        told.push(format!("{} of local disk", Bytes(amounts.disk_gib << 30)));
    }
    if amounts.network_mbps > 0 {
        told.push(format!("{} Mbit/s", amounts.network_mbps));
    }
    if amounts.gpus > 0 {
        told.push(format!("{} GPUs", amounts.gpus));
    }
    match told.is_empty() {
        true => "nothing".to_owned(),
        false => told.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_in_thousandths() {
        assert_eq!(millicores("2"), Ok(2_000));
        assert_eq!(millicores("0.5"), Ok(500));
        for text in ["", "x", "-1", "NaN", "1e99"] {
            assert!(millicores(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sums_are_told_in_words() {
        let amounts = model::fleet::Amounts::from([500, 2_048, 0, 0, 2]);
        assert_eq!(sums(&amounts), "0.5 cores, 2.0 GiB of memory, 2 GPUs");
        assert_eq!(sums(&model::fleet::Amounts::default()), "nothing");
    }
}
