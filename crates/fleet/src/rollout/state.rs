//! Everything that an engine of rollouts knows. All of it is encoded as it is, so that a
//! state can be kept, compared and taken up again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::fact::{End, RolloutId, Signal};
use super::gate::{Blame, Verdict};
use super::release::{Policy, Spec};
use crate::placement::{Domain, Place};

/// Rollouts at once: each has one bit in a machine's [`Pattern`].
pub const MOST_AT_ONCE: usize = 64;

/// Which rollouts a machine was changed by, one bit each.
pub(super) type Pattern = u64;

/// A machine as rollouts see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub place: Place,
    pub kind: u16,
    /// Its rack, as an index.
    pub rack: u32,
    pub pattern: Pattern,
    /// Its last fault that counted.
    pub last_fault: Option<Timestamp>,
}

/// A rack: the domain in which at most one rollout changes machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rack {
    pub domain: Domain,
    pub machines: Vec<u32>,
    /// Which rollout has it.
    pub owner: Option<RolloutId>,
    /// Machines that are being changed or taken back right now.
    pub in_flight: u32,
    /// When the last of them began or ended.
    pub last: Timestamp,
    /// Machines of it are to go back: nobody goes forward here before.
    pub wanted: bool,
    /// Its last faults that counted.
    pub faults: Vec<Timestamp>,
    /// The last change that failed here and counted.
    pub failed: Option<Timestamp>,
}

/// Where one machine is in one rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    #[default]
    Untouched,
    /// Both releases are on their way to it.
    Staging,
    /// Both releases lie ready.
    Staged,
    Changing(Timestamp),
    Done(Timestamp),
    /// The change failed or said nothing; a person was told.
    Failed(Timestamp),
    /// Going back, for which time.
    Reverting(Timestamp, u8),
    /// Is to be told again to go back.
    Again(u8),
    Reverted,
    /// It gave nothing back: a person has it.
    Person,
}

impl Stage {
    /// Whether the release is on it, or may be.
    pub fn has_it(self) -> bool {
        use Stage::{Again, Changing, Done, Failed, Reverting};
        matches!(self, Changing(_) | Done(_) | Failed(_) | Reverting(..) | Again(_))
    }
}

/// What a rollout is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Running,
    Paused,
    /// Nothing new begins; it ends when nothing is under way.
    Aborting,
    Reverting(Blame),
    Ended(End),
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub id: RolloutId,
    pub spec: Spec,
    pub phase: Phase,
    /// Its bit in a [`Pattern`].
    pub slot: u8,
    pub begun: Timestamp,
    pub wave: u32,
    /// By machine; empty when it has ended.
    pub stages: Vec<Stage>,
    /// By hardware type: machines that there are, and those that were begun with.
    pub total: Vec<u32>,
    pub reached: Vec<u32>,
    /// By hardware type: racks that were begun with in this order.
    pub opened: Vec<Vec<u32>>,
    /// By hardware type: racks with untouched machines, in the order in which they come.
    pub left: Vec<VecDeque<u32>>,
    /// Machines that wait to be changed.
    pub staged: BTreeSet<u32>,
    /// Machines that are being staged, changed or taken back, with when that began.
    pub in_flight: BTreeMap<u32, Timestamp>,
    /// Machines that are to go back, and from when on.
    pub to_revert: VecDeque<(Timestamp, u32)>,
    /// Machines with it, and those that a person has.
    pub with: u32,
    pub persons: u32,
    /// When a machine was changed last.
    pub started: Timestamp,
    /// The hour, and machines begun in it.
    pub pace: (Timestamp, u32),
    /// Machines by when they were changed, within the longest span of the evidence.
    pub recent: VecDeque<(Timestamp, u32)>,
    /// When the last machine of this wave was done.
    pub last_done: Timestamp,
    /// Seconds of changed machines that were seen in this wave.
    pub seen: u64,
    /// Of changed machines, the part that was heard of at the last look.
    pub heard: f64,
    pub evidence: Evidence,
    pub verdict: Verdict,
    /// The rollout that it waits for.
    pub rival: Option<RolloutId>,
    /// Faults on changed machines that have another rollout too, and those expected.
    pub shared: BTreeMap<RolloutId, (u32, f64)>,
}

impl Run {
    pub fn bit(&self) -> Pattern {
        1 << self.slot
    }

    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    pub fn reverting(&self) -> bool {
        matches!(self.phase, Phase::Reverting(_))
    }

    /// Whether it is being judged.
    pub fn judged(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }
}

/// A fault as it came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub at: Timestamp,
    pub machine: u32,
    pub signal: Signal,
    pub pattern: Pattern,
}

/// What came in since the last look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    pub opened: Timestamp,
    /// By rack: how busy it was, if it was watched.
    pub loads: BTreeMap<u32, u8>,
    pub silent: BTreeSet<u32>,
    pub faults: Vec<Seen>,
    /// Machines whose pattern changed: when, and what it was before.
    pub moves: Vec<(Timestamp, u32, Pattern)>,
}

/// The rollouts of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollouts {
    pub(super) policy: Policy,
    pub(super) rows: Vec<Row>,
    pub(super) racks: Vec<Rack>,
    pub(super) rack_of: BTreeMap<Domain, u32>,
    pub(super) kinds: u16,
    pub(super) runs: Vec<Run>,
    pub(super) window: Window,
    pub(super) now: Timestamp,
    /// Machines that were not heard of at the last look.
    pub(super) quiet: BTreeSet<u32>,
    /// Rollouts that may do harm: machines are matched by whether they have these.
    pub(super) suspects: Pattern,
}

/// How a rollout stands, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// When it was created.
    pub begun: Timestamp,
    /// The wave, from 1.
    pub wave: u32,
    /// Machines that have the release.
    pub with: u32,
    /// Machines that a person has.
    pub persons: u32,
    /// Machines that it is about.
    pub total: u32,
    /// What the gate said last.
    pub verdict: Verdict,
    /// How it ended, if it has.
    pub end: Option<End>,
}

impl Rollouts {
    /// An engine without machines.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            rows: Vec::new(),
            racks: Vec::new(),
            rack_of: BTreeMap::new(),
            kinds: 0,
            runs: Vec::new(),
            window: Window::default(),
            now: Timestamp::default(),
            quiet: BTreeSet::new(),
            suspects: 0,
        }
    }

    /// How a rollout stands.
    pub fn progress(&self, id: RolloutId) -> Option<Progress> {
        let run = self.runs.get(id.0 as usize)?;
        Some(Progress {
            begun: run.begun,
            wave: run.wave + 1,
            with: run.with,
            persons: run.persons,
            total: run.total.iter().sum(),
            verdict: run.verdict.clone(),
            end: match run.phase {
                Phase::Ended(end) => Some(end),
                _ => None,
            },
        })
    }

    /// Rollouts that have not ended.
    pub fn active(&self) -> impl Iterator<Item = RolloutId> + '_ {
        self.runs.iter().filter(|run| !run.ended()).map(|run| run.id)
    }

    /// The rollout that changes machines of a rack right now, or took it for that.
    pub fn owner(&self, rack: Domain) -> Option<RolloutId> {
        self.racks[*self.rack_of.get(&rack)? as usize].owner
    }

    pub(super) fn set_pattern(&mut self, machine: u32, pattern: Pattern) {
        let row = &mut self.rows[machine as usize];
        if row.pattern != pattern {
            self.window.moves.push((self.now, machine, row.pattern));
            row.pattern = pattern;
        }
    }
}
