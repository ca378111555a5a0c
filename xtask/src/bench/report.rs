//! What was measured: lines for people while it goes on, then a table of the figures
//! with what is aimed at, and one line of JSON.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

/// How a figure has to be.
#[derive(Clone, Copy)]
pub enum Aim {
    /// At least so much.
    Least(f64),
    /// At most so much.
    Most(f64),
    /// However it is: it is told, and judged by nobody.
    None,
}

/// Keys of figures, and how each has to be, in the order of the table in
/// SPECIFICATION.md.
pub type Table = &'static [(&'static str, Aim)];

/// What was measured so far.
pub struct Report {
    name: &'static str,
    table: Table,
    figures: Map<String, Value>,
    absent: Vec<String>,
}

impl Report {
    /// An empty one of a benchmark.
    pub fn new(name: &'static str, table: Table) -> Self {
        Self { name, table, figures: Map::new(), absent: Vec::new() }
    }
    /// A line for people.
    pub fn say(&self, line: &str) {
        println!("  {line}");
    }
    /// A figure, by its key.
    pub fn figure(&mut self, key: &str, value: f64) {
        assert!(self.table.iter().any(|(name, _)| *name == key), "{key} has a place in the table");
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
        for (key, aim) in self.table {
            let Some(seen) = self.figures.get(*key).and_then(Value::as_f64) else { continue };
            let (told, well) = match aim {
                Aim::Least(least) => (format!(">= {least}"), seen >= *least),
                Aim::Most(most) => (format!("<= {most}"), seen <= *most),
                Aim::None => (String::new(), true),
            };
            println!("{key:<36} {seen:>14} {told:>10}{}", if well { "" } else { "  not met" });
            met &= well;
            if !told.is_empty() {
                aims.insert((*key).into(), json!(told));
            }
        }
        for line in &self.absent {
            println!("{line}");
        }
        let (figures, absent) = (&self.figures, &self.absent);
        println!(
            "{}",
            json!({
                "name": self.name, "figures": figures, "aims": aims,
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
