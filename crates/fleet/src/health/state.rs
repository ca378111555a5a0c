//! What the engine knows. A machine that is well is one row of sixteen bytes; only what is in
//! doubt, and what is being repaired, has more. All of it can be encoded, and decodes to the
//! same: maps are ordered, so that equal states have equal bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::case::{Case, CaseNumber};
use super::domains::RackState;
use super::fact::{BmcSays, Load};
use super::rules::Partial;
use crate::placement::{Domain, Level, Place};
use crate::repair::Experience;

/// What is thought of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// It is heard.
    #[default]
    Alive,
    /// Its kernel answers, and its agent is not heard.
    Slow,
    /// It runs, and reaches nobody.
    Isolated,
    /// It does not run: there is positive evidence.
    Dead,
    /// It is not heard, and nothing is sure.
    Unknown,
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which of [`State`]'s places.
    pub(super) place: u32,
    /// How often its host has booted.
    pub boot: u32,
    /// Its open case, if there is one.
    pub case: Option<CaseNumber>,
    /// Its type of hardware.
    pub kind: u16,
    /// What runs on it.
    pub load: Load,
    /// What is thought of it.
    pub verdict: Verdict,
    /// Whether repairs have it out of service within the budget.
    pub out: bool,
}

/// A machine that is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// When it was heard last.
    pub since: Timestamp,
    /// When it is asked about again.
    pub due: Timestamp,
    /// How often it was asked about.
    pub round: u8,
    /// Neighbours that reached it, in this round.
    pub yes: u8,
    /// Neighbours that did not.
    pub no: u8,
    /// The word of its BMC, in this round.
    pub says: Option<BmcSays>,
}

/// What wants to be looked at, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// A machine that is not heard.
    Quiet(u32),
    /// A rack that is not heard.
    Rack(Domain),
    /// A case.
    Case(CaseNumber),
}

/// All that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) rows: Vec<Row>,
    pub(super) places: Vec<Place>,
    pub(super) place_numbers: BTreeMap<Place, u32>,
    pub(super) racks: BTreeMap<Domain, RackState>,
    pub(super) doubts: BTreeMap<u32, Doubt>,
    pub(crate) timers: BTreeSet<(Timestamp, Timer)>,
    pub(crate) cases: BTreeMap<CaseNumber, Case>,
    /// The open case of a domain; of the fleet under its own key.
    pub(super) domain_cases: BTreeMap<Option<(Level, Domain)>, CaseNumber>,
    pub(super) partials: BTreeMap<(u32, u16), Partial>,
    /// What worked before.
    pub(crate) experience: Experience,
    /// When machines had their last cases; only those that had some.
    pub(crate) history: BTreeMap<u32, Vec<Timestamp>>,
    pub(super) cases_opened: u32,
    /// Racks that are quiet, and known not to be reachable otherwise.
    pub(super) racks_quiet: u32,
    /// Machines that fell into doubt lately, in order of time.
    pub(super) lately: VecDeque<(Timestamp, u32)>,
    /// Where the stream of random numbers stands.
    pub(crate) random: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rows: Vec::new(),
            places: Vec::new(),
            place_numbers: BTreeMap::new(),
            racks: BTreeMap::new(),
            doubts: BTreeMap::new(),
            timers: BTreeSet::new(),
            cases: BTreeMap::new(),
            domain_cases: BTreeMap::new(),
            partials: BTreeMap::new(),
            experience: Experience::default(),
            history: BTreeMap::new(),
            cases_opened: 0,
            racks_quiet: 0,
            lately: VecDeque::new(),
            random: seed,
        }
    }

    pub(super) fn join(&mut self, place: Place, kind: u16) -> u32 {
        let machine = u32::try_from(self.rows.len()).expect("fewer machines than numbers");
        let number = match self.place_numbers.get(&place) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.places.len()).expect("fewer places than machines");
                self.places.push(place);
                self.place_numbers.insert(place, number);
                number
            }
        };
        self.racks.entry(place.domains[0]).or_default().members.push(machine);
        let (load, verdict) = (Load::default(), Verdict::Alive);
        let row = Row { place: number, boot: 0, case: None, kind, load, verdict, out: false };
        self.rows.push(row);
        machine
    }

    pub(super) fn row(&mut self, machine: u32) -> &mut Row {
        &mut self.rows[machine as usize]
    }

    /// A machine; `None` when there is none of this number.
    pub fn machine(&self, machine: u32) -> Option<&Row> {
        self.rows.get(machine as usize)
    }

    /// Where a machine stands.
    pub fn place(&self, machine: u32) -> Place {
        self.places[self.rows[machine as usize].place as usize]
    }

    /// How many machines there are.
    pub fn machines(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The open cases, by number.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// An open case.
    pub fn case(&self, number: CaseNumber) -> Option<&Case> {
        self.cases.get(&number)
    }

    /// Machines that are not heard now.
    pub fn doubts(&self) -> impl Iterator<Item = (u32, &Doubt)> {
        self.doubts.iter().map(|(machine, doubt)| (*machine, doubt))
    }

    /// What is known of a machine that is not heard now.
    pub fn doubt(&self, machine: u32) -> Option<&Doubt> {
        self.doubts.get(&machine)
    }

    /// Whether a machine is not heard now.
    pub fn doubted(&self, machine: u32) -> bool {
        self.doubts.contains_key(&machine)
    }

    /// What worked before.
    pub fn experience(&self) -> &Experience {
        &self.experience
    }

    /// Bytes for each machine that is well.
    pub const fn bytes_per_machine() -> usize {
        // The row, and its number among the members of its rack.
        size_of::<Row>() + size_of::<u32>()
    }
}

/// The next random number of a stream: SplitMix64, as in `world::entropy`.
pub(crate) fn draw(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
