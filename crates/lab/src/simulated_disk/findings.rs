//! What a simulation found.

use std::collections::HashSet;

/// How many faults are told in full.
const TOLD: usize = 5;

/// What one run, or many, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Sequences of acts that were run.
    pub runs: u64,
    /// Crashes that were recovered from and judged.
    pub recoveries: u64,
    /// Digests of the different contents of disk and log tail that a crash left.
    pub states: HashSet<u64>,
    /// Sectors that were judged.
    pub sectors: u64,
    /// Times that something promised was not there.
    pub lost: u64,
    /// Times that something was there that never was written there.
    pub wrong_reads: u64,
    /// Other things that must not be: refused recoveries, failures for no reason.
    pub wrong: u64,
    /// Blocks that the disk had corrupted and that were reported, not returned.
    pub detected: u64,
    /// Takeovers by a next engine.
    pub replacements: u64,
    /// The first faults, told.
    pub faults: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn clean(&self) -> bool {
        self.lost + self.wrong_reads + self.wrong == 0
    }
    /// Something promised is not there.
    pub fn lost(&mut self, what: String) {
        self.lost += 1;
        self.tell("lost", what);
    }
    /// Something is there that never was.
    pub fn wrong_read(&mut self, what: String) {
        self.wrong_reads += 1;
        self.tell("wrong read", what);
    }
    /// Something else is wrong.
    pub fn wrong(&mut self, what: String) {
        self.wrong += 1;
        self.tell("wrong", what);
    }
    fn tell(&mut self, kind: &str, what: String) {
        if self.faults.len() < TOLD {
            self.faults.push(format!("{kind}: {what}"));
        }
    }
    /// Takes another's findings in.
    pub fn add(&mut self, other: Findings) {
        self.runs += other.runs;
        self.recoveries += other.recoveries;
        self.states.extend(other.states);
        self.sectors += other.sectors;
        self.lost += other.lost;
        self.wrong_reads += other.wrong_reads;
        self.wrong += other.wrong;
        self.detected += other.detected;
        self.replacements += other.replacements;
        let room = TOLD.saturating_sub(self.faults.len());
        self.faults.extend(other.faults.into_iter().take(room));
    }
}
