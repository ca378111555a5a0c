//! How quickly the engine decides: hosts of one shape in racks and on power feeds, filled to
//! four fifths, then instances come and go. One request in four belongs to a group of five
//! that must not share a rack nor a power feed.

use std::collections::BTreeMap;

use fleet::placement::{
    Allocation, Cell, Domain, Group, GroupSpec, HostSpec, KindId, Level, Place, Request, Spread,
};
use model::Resources;
use rustix::time::{ClockId, clock_gettime};

use super::demand::{Dice, any_size, size};
use super::plain::{Hosts, Scorer};

/// Hosts in a rack, racks on a power feed.
const RACK: u32 = 40;
const FEED: u32 = 20;
/// The members of a group.
const GROUP: usize = 5;

/// A fleet and what runs on it.
pub struct Fleet {
    cell: Cell,
    running: Vec<Allocation>,
    /// The group that is being filled, and how many it has.
    group: Option<(Group, usize)>,
    dice: Dice,
    kinds: BTreeMap<Resources, KindId>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Speed {
    /// Hosts.
    pub machines: usize,
    /// Instances that ran.
    pub instances: usize,
    /// States that hosts were in.
    pub states: usize,
    /// Decisions a second of one core's time: each is decided and committed, after another
    /// instance has left.
    pub decisions_per_s: f64,
    /// From the request to its place, in microseconds: half of them, 99 of 100, all.
    pub p50_us: f64,
    /// See above.
    pub p99_us: f64,
    /// See above.
    pub max_us: f64,
    /// What hosts and states take, by host, in bytes.
    pub bytes_per_machine: f64,
    /// What an instance takes, in bytes.
    pub bytes_per_instance: f64,
    /// Requests that found no room.
    pub refused: u64,
}

/// A host as the published comparison has it: 80 cores, 576 GiB.
pub const HOST: (u32, u32) = (8_000, 2_304);

impl Fleet {
    /// A fleet that is four fifths full.
    pub fn filled(machines: u32, seed: u64) -> Self {
        let mut cell = Cell::new();
        let whole = size(HOST.0, HOST.1);
        for host in 0..machines {
            let rack = host / RACK;
            let domains = [Domain(rack), Domain(rack / 2), Domain(rack / FEED), Domain(host % 20)];
            let spec =
                HostSpec { nodes: vec![whole], place: Place { domains }, labels: BTreeMap::new() };
            cell.add_host(spec).expect("a usual host");
        }
        let mut fleet = Self {
            cell,
            running: Vec::new(),
            group: None,
            dice: Dice(seed),
            kinds: BTreeMap::new(),
        };
        let mut left = u64::from(machines) * u64::from(whole.millicores) * 4 / 5;
        while left > 0 {
            let (request, taken) = fleet.request();
            if let Some(allocation) = fleet.place(&request) {
                fleet.running.push(allocation);
            }
            left = left.saturating_sub(taken.millicores.into());
        }
        fleet
    }

    fn request(&mut self) -> (Request, Resources) {
        let resources = any_size(&mut self.dice);
        let cell = &mut self.cell;
        let kind = *self.kinds.entry(resources).or_insert_with(|| {
            cell.kind(&fleet::placement::Kind { resources, ..Default::default() })
        });
        let mut request = Request::of(kind);
        if self.dice.below(4) == 0 {
            let (group, members) = match self.group {
                Some((group, members)) if members < GROUP => (group, members),
                _ => (self.cell.group(anti_affinity()), 0),
            };
            self.group = Some((group, members + 1));
            request.group = Some(group);
        }
        (request, resources)
    }

    fn place(&mut self, request: &Request) -> Option<Allocation> {
        let choice = self.cell.decide(request, self.dice.roll()).ok()?;
        Some(self.cell.commit(request, choice).expect("nothing came in between"))
    }

    /// One instance leaves, another comes; whether it found room.
    fn turn_over(&mut self) -> bool {
        let at = self.dice.below(self.running.len() as u64) as usize;
        self.cell.release(self.running[at]).expect("it runs");
        let (request, _) = self.request();
        match self.place(&request) {
            Some(allocation) => {
                self.running[at] = allocation;
                true
            }
            None => {
                self.running.swap_remove(at);
                false
            }
        }
    }

    /// Lets instances come and go: first all at full speed, then each with a clock beside it.
    pub fn measure(&mut self, decisions: usize) -> Speed {
        for _ in 0..decisions / 4 {
            self.turn_over();
        }
        let began = own_time();
        let refused = (0..decisions).filter(|_| !self.turn_over()).count();
        let seconds = own_time() - began;
        let mut waits: Vec<u32> = (0..decisions).map(|_| self.timed()).collect();
        waits.sort_unstable();
        let at = |share: f64| f64::from(waits[((waits.len() - 1) as f64 * share) as usize]) / 1e3;
        let (hosts, instances) = self.cell.bytes();
        Speed {
            machines: self.cell.hosts(),
            instances: self.cell.placed(),
            states: self.cell.states(),
            decisions_per_s: decisions as f64 / seconds,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
            bytes_per_machine: hosts as f64 / self.cell.hosts() as f64,
            bytes_per_instance: instances as f64 / self.cell.placed() as f64,
            refused: refused as u64,
        }
    }

    /// How long one decision takes, in nanoseconds, without the one that leaves.
    fn timed(&mut self) -> u32 {
        let at = self.dice.below(self.running.len() as u64) as usize;
        self.cell.release(self.running[at]).expect("it runs");
        let (request, _) = self.request();
        let began = clock(ClockId::Monotonic);
        let placed = self.place(&request);
        let wait = (clock(ClockId::Monotonic) - began) * 1e9;
        match placed {
            Some(allocation) => self.running[at] = allocation,
            None => drop(self.running.swap_remove(at)),
        }
        wait as u32
    }

    /// The same fleet for those who look at every host.
    pub fn plain(&self) -> Hosts {
        let free = (0..self.cell.hosts() as u32)
            .map(|number| self.cell.free(self.cell.host(number).expect("it exists")))
            .collect();
        Hosts { whole: size(HOST.0, HOST.1), free, rack: RACK, feed: FEED }
    }
}

/// The processor time of this thread, in seconds: what others do on the same core does not
/// count.
fn own_time() -> f64 {
    clock(ClockId::ThreadCPUTime)
}

fn clock(which: ClockId) -> f64 {
    let now = clock_gettime(which);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn anti_affinity() -> GroupSpec {
    let spread = [Level::Rack, Level::Power].map(|level| Spread { level, most: 1 }).to_vec();
    GroupSpec { spread, together: None }
}

/// Decisions a second of a plain way, on the same fleet: half of its requests find four
/// others of their group placed already.
pub fn plain_speed(hosts: &Hosts, scorer: Scorer, decisions: u32, dice: &mut Dice) -> f64 {
    let mut hosts = hosts.clone();
    let (mut racks, mut feeds): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let began = own_time();
    for _ in 0..decisions {
        let wanted = any_size(dice);
        if racks.len() == GROUP {
            (racks, feeds) = (Vec::new(), Vec::new());
        }
        if let Some(host) = hosts.place(&wanted, scorer, &racks, &feeds) {
            let free = &mut hosts.free[host as usize];
            *free = free.minus(&wanted).expect("it was found to fit");
            racks.push(host / RACK);
            feeds.push(host / RACK / FEED);
        }
    }
    f64::from(decisions) / (own_time() - began)
}
