//! `cargo xtask torture record`: kill the record at random moments and look
//! whether it kept its word.
//!
//! A child process takes orders from several clients and commits them, with an
//! idempotency key each, through a group commit. It prints what it has
//! acknowledged. The parent kills it with SIGKILL, at work or while it recovers,
//! and PostgreSQL's processes as well. Then it reads the tables with SQL of its
//! own: every acknowledged order must be there, whole, once, and under the id
//! that was acknowledged. The next child repeats what was not acknowledged, and
//! the last thing that was.

mod child;
mod parent;
#[path = "../../crates/record/tests/record/postgres_server.rs"]
mod postgres_server;
mod reader;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// How to use it.
const USAGE: &str =
    "usage: cargo xtask torture record [--kills N] [--store sqlite|postgres|both] [--seed N]";

/// Which databases to torture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stores {
    Sqlite,
    Postgres,
    Both,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Times that something was killed.
    pub kills: u32,
    /// Orders that were acknowledged.
    pub acknowledged: u64,
    /// Acknowledged orders that are not there, not whole or not as acknowledged.
    pub lost: u64,
    /// Orders that were carried out more than once.
    pub doubled: u64,
    /// Milliseconds from the start after each kill until the first new commit
    /// could be taken.
    pub recoveries_ms: Vec<f64>,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.recoveries_ms.extend(&other.recoveries_ms);
    }

    /// The 99th percentile of the recoveries, to the tenth of a millisecond.
    fn recovery_p99_ms(&self) -> f64 {
        let mut sorted = self.recoveries_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        sorted.get(place).map_or(0.0, |millis| (millis * 10.0).round() / 10.0)
    }

    fn write(&self, into: &mut Map<String, Value>, prefix: &str) {
        let mut put = |key: &str, value: Value| into.insert(format!("{prefix}{key}"), value);
        put("kills", json!(self.kills));
        put("acknowledged", json!(self.acknowledged));
        put("lost", json!(self.lost));
        put("doubled", json!(self.doubled));
        put("recovery_p99_ms", json!(self.recovery_p99_ms()));
    }
}

/// What is tortured, and how often.
struct Asked {
    kills: u32,
    stores: Stores,
    seed: u64,
}

fn asked(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked { kills: 200, stores: Stores::Both, seed: 1 };
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match (flag.as_str(), value.as_str()) {
            ("--kills", number) => asked.kills = number.parse().context(USAGE)?,
            ("--seed", number) => asked.seed = number.parse().context(USAGE)?,
            ("--store", "sqlite") => asked.stores = Stores::Sqlite,
            ("--store", "postgres") => asked.stores = Stores::Postgres,
            ("--store", "both") => asked.stores = Stores::Both,
            _ => bail!(USAGE),
        }
    }
    Ok(asked)
}

/// Runs `torture record` with the arguments after these two words, and prints
/// the figures as one line of JSON. An error means that it could not measure.
pub fn run(arguments: &[String]) -> Result<()> {
    if let [flag, rest @ ..] = arguments
        && flag == child::FLAG
    {
        return child::run(rest);
    }
    let Asked { kills, stores, seed } = asked(arguments)?;
    let mut figures = Map::new();
    let mut all = Figures::default();
    for (name, store) in [("sqlite", Stores::Sqlite), ("postgres", Stores::Postgres)] {
        if stores != store && stores != Stores::Both {
            continue;
        }
        let started = Instant::now();
        let one = parent::torture(store == Stores::Postgres, kills, seed)?;
        println!("{name}: {kills} kills in {:.1} s", started.elapsed().as_secs_f64());
        if stores == Stores::Both {
            one.write(&mut figures, &format!("{name}_"));
        }
        all.add(&one);
    }
    all.write(&mut figures, "");
    let met = all.lost == 0 && all.doubled == 0;
    let aims = json!({ "lost": 0, "doubled": 0 });
    println!(
        "{}",
        json!({ "name": "torture record", "figures": figures, "aims": aims, "met": met })
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_is_the_slowest_but_one_in_a_hundred() {
        let mut figures = Figures::default();
        assert_eq!(figures.recovery_p99_ms(), 0.0);
        figures.recoveries_ms = (1..=200).rev().map(f64::from).collect();
        assert_eq!(figures.recovery_p99_ms(), 198.0);
        figures.recoveries_ms = vec![2.24];
        assert_eq!(figures.recovery_p99_ms(), 2.2);
    }
}
