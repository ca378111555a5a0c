//! What was measured: lines for people while it goes on, then a table of the figures
//! with what is aimed at, and one line of JSON.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

/// How a figure has to be.
#[derive(Clone, Copy)]
enum Aim {
    Least(f64),
    Most(f64),
    None,
}

/// What is measured, in the order of the table in SPECIFICATION.md.
const FIGURES: [(&str, Aim); 29] = [
    ("ratio_null_iops_qd32_qsd", Aim::Least(6.0)),
    ("ratio_null_iops_qd32_rustvmm", Aim::Least(2.0)),
    ("null_iops_qd32", Aim::None),
    ("ratio_null_p50_qd1_qsd", Aim::Most(0.4)),
    ("ratio_full_iops_qsd_luks", Aim::Least(7.0)),
    ("ratio_full_of_aes", Aim::Least(0.6)),
    ("ratio_full_of_aes_in_memory", Aim::None),
    ("ratio_thin_iops_qcow2", Aim::Least(5.0)),
    ("ratio_first_write_after_snapshot", Aim::Least(0.5)),
    ("snapshot_us", Aim::Most(1000.0)),
    ("added_us_qd1_disk", Aim::Most(3.0)),
    ("ratio_disk_iops_qd32", Aim::Least(0.95)),
    ("ratio_nbd_iops_per_cpu", Aim::Least(1.5)),
    ("qos_error_percent", Aim::Most(1.0)),
    ("ratio_victim_p99", Aim::Most(1.5)),
    ("engine_mib", Aim::Most(10.0)),
    ("idle_volume_kib", Aim::Most(64.0)),
    ("tail_engine_p99999_us", Aim::None),
    ("tail_machine_p99999_us", Aim::None),
    ("tail_virtual_read_p99999_us", Aim::None),
    ("instructions_null", Aim::None),
    ("instructions_limits", Aim::None),
    ("instructions_limits_packed", Aim::None),
    ("instructions_raw_read", Aim::None),
    ("instructions_raw_write", Aim::None),
    ("instructions_thin_read", Aim::None),
    ("instructions_thin_write", Aim::None),
    ("instructions_encrypted_read", Aim::None),
    ("instructions_encrypted_write", Aim::None),
];

/// What was measured so far.
#[derive(Default)]
pub struct Report {
    figures: Map<String, Value>,
    absent: Vec<String>,
}

impl Report {
    /// A line for people.
    pub fn say(&self, line: &str) {
        println!("  {line}");
    }
    /// A figure, by its key.
    pub fn figure(&mut self, key: &str, value: f64) {
        assert!(FIGURES.iter().any(|(name, _)| *name == key), "{key} has a place in the table");
        self.figures.insert(key.into(), json!(rounded(value)));
    }
    /// A row that could not be measured, or not to its end.
    pub fn cannot(&mut self, row: &str, error: &anyhow::Error) {
        let line = format!("{row} cannot be measured here: {error:#}");
        println!("  {line}");
        self.absent.push(line);
    }
    /// The table and the line. An error when nothing was measured.
    pub fn print(&self) -> Result<()> {
        println!("\n{:<36} {:>14} {:>10}", "FIGURE", "SEEN", "AIM");
        let (mut aims, mut met) = (Map::new(), true);
        for (key, aim) in FIGURES {
            let Some(seen) = self.figures.get(key).and_then(Value::as_f64) else { continue };
            let (told, well) = match aim {
                Aim::Least(least) => (format!(">= {least}"), seen >= least),
                Aim::Most(most) => (format!("<= {most}"), seen <= most),
                Aim::None => (String::new(), true),
            };
            println!("{key:<36} {seen:>14} {told:>10}{}", if well { "" } else { "  not met" });
            met &= well;
            if !told.is_empty() {
                aims.insert(key.into(), json!(told));
            }
        }
        for line in &self.absent {
            println!("{line}");
        }
        let (figures, absent) = (&self.figures, &self.absent);
        println!(
            "{}",
            json!({
                "name": "bench disk", "figures": figures, "aims": aims,
                "met": met && absent.is_empty(), "absent": absent,
            })
        );
        ensure!(!self.figures.is_empty(), "nothing could be measured");
        Ok(())
    }
}

/// Three places where they matter, none where they do not.
fn rounded(value: f64) -> f64 {
    if value.abs() >= 1000.0 { value.round() } else { (value * 1000.0).round() / 1000.0 }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_some_is_one_and_of_two_is_between() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!((rounded(4_812_345.6), rounded(0.123_456)), (4_812_346.0, 0.123));
    }
}
