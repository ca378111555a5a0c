//! How many hosts recorded requests need when none is refused: by the engine, by the engine
//! with its optimiser, by plain best fit, and by Kubernetes' default scorer.
//!
//! A way that fills hosts before it opens another needs as many as it ever opens. A way that
//! spreads uses all that it is given, so the smallest number without a refusal is searched.

use std::collections::{BTreeMap, BTreeSet};

use fleet::placement::optimise::Budget;
use fleet::placement::{Allocation, Cell, HostSpec, Kind, KindId, Request};
use model::Resources;

use super::demand::Asked;
use super::plain::Scorer;

/// What a host has.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// When it is empty.
    pub whole: Resources,
}

/// How the engine is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// When nothing has room, and this long after the last time, the optimiser may move
    /// instances; 0 for never.
    pub optimise_hours: f64,
    /// Moves at most each time.
    pub moves: usize,
    /// Hosts that it looks at each time, those with the most free.
    pub hosts: usize,
    /// Moves that an emptied host is worth.
    pub worth: usize,
}

/// What was needed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Packed {
    /// Hosts.
    pub machines: usize,
    /// Instances that were moved.
    pub migrations: u64,
    /// Days of all instances together, within the time that was recorded.
    pub instance_days: f64,
    /// Requests that found no room.
    pub refused: u64,
}

/// Something happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    at: f64,
    comes: bool,
    which: u32,
}

/// Everything in its order: at one moment, who goes makes room for who comes. What ends as it
/// begins takes nothing.
fn events(asked: &[Asked]) -> Vec<Event> {
    let mut events = Vec::with_capacity(asked.len() * 2);
    for (which, one) in (0..).zip(asked).filter(|(_, one)| one.end > one.start) {
        events.push(Event { at: one.start, comes: true, which });
        if one.end.is_finite() {
            events.push(Event { at: one.end, comes: false, which });
        }
    }
    events.sort_by(|one, two| {
        let order = one.at.total_cmp(&two.at);
        order.then_with(|| (one.comes, one.which).cmp(&(two.comes, two.which)))
    });
    events
}

/// The engine: a host is opened whenever no other has room.
pub fn by_engine(asked: &[Asked], host: Host, way: Way) -> Packed {
    let mut packing = Packing::new(asked, host);
    let mut next = f64::NEG_INFINITY;
    for event in events(asked) {
        match event.comes {
            true => {
                let asked = &asked[event.which as usize];
                if way.optimise_hours > 0.0 && event.at >= next && !packing.has_room(asked) {
                    packing.optimise(way);
                    next = event.at + way.optimise_hours / 24.0;
                }
                packing.comes(event.which, asked);
            }
            false => packing.goes(event.which),
        }
    }
    packing.told(asked)
}

struct Packing {
    cell: Cell,
    spec: HostSpec,
    kinds: BTreeMap<Resources, KindId>,
    placed: Vec<Option<Allocation>>,
    migrations: u64,
}

impl Packing {
    fn new(asked: &[Asked], host: Host) -> Self {
        Self {
            cell: Cell::new(),
            spec: HostSpec { nodes: vec![host.whole], ..HostSpec::default() },
            kinds: BTreeMap::new(),
            placed: vec![None; asked.len()],
            migrations: 0,
        }
    }

    fn request(&mut self, asked: &Asked) -> Request {
        let cell = &mut self.cell;
        let kind = *self
            .kinds
            .entry(asked.resources)
            .or_insert_with(|| cell.kind(&Kind { resources: asked.resources, ..Kind::default() }));
        Request::of(kind)
    }

    fn has_room(&mut self, asked: &Asked) -> bool {
        let request = self.request(asked);
        self.cell.decide(&request, 0).is_ok()
    }

    fn comes(&mut self, which: u32, asked: &Asked) {
        let request = self.request(asked);
        let choice = self.cell.decide(&request, which.into()).or_else(|_| {
            self.cell.add_host(self.spec.clone())?;
            self.cell.decide(&request, which.into())
        });
        // What is larger than a host is refused whatever is opened.
        let Ok(choice) = choice else { return };
        self.placed[which as usize] = self.cell.commit(&request, choice).ok();
    }

    fn goes(&mut self, which: u32) {
        if let Some(allocation) = self.placed[which as usize].take() {
            self.cell.release(allocation).expect("it runs");
        }
    }

    fn optimise(&mut self, way: Way) {
        let budget = Budget { moves: way.moves, hosts: way.hosts, worth: way.worth };
        self.migrations += self.cell.optimise(budget).moves.len() as u64;
    }

    fn told(&self, asked: &[Asked]) -> Packed {
        let largest = &self.spec.nodes[0];
        let refused = asked.iter().filter(|one| !one.resources.fits_in(largest)).count();
        Packed {
            machines: self.cell.hosts(),
            migrations: self.migrations,
            instance_days: instance_days(asked),
            refused: refused as u64,
        }
    }
}

/// Days of all instances together, from the start of the recording to its last request.
fn instance_days(asked: &[Asked]) -> f64 {
    let last = asked.iter().map(|one| one.start).fold(0.0, f64::max);
    asked.iter().map(|one| (one.end.min(last) - one.start.max(0.0)).max(0.0)).sum()
}

/// Whether a plain scorer over hosts that are all there from the beginning refuses nothing that
/// fits a host. Ends at the first refusal: what comes after it decides nothing.
fn refuses_nothing(
    asked: &[Asked],
    events: &[Event],
    host: Host,
    scorer: Scorer,
    most: usize,
) -> bool {
    let mut plain = Ordered::new(host, scorer, most);
    let mut placed: Vec<u32> = vec![u32::MAX; asked.len()];
    for event in events {
        let (which, wanted) = (event.which as usize, &asked[event.which as usize].resources);
        if !wanted.fits_in(&host.whole) {
            continue;
        }
        if !event.comes {
            plain.change(placed[which], |free| free.plus(wanted));
            continue;
        }
        let Some(at) = plain.first(wanted) else { return false };
        plain.change(at, |free| free.minus(wanted).expect("it was found to fit"));
        placed[which] = at;
    }
    true
}

/// The smallest number of hosts with which a plain scorer refuses nothing that fits a host.
pub fn by_scorer(asked: &[Asked], host: Host, scorer: Scorer) -> Packed {
    let events = events(asked);
    let too_large = asked.iter().filter(|one| !one.resources.fits_in(&host.whole)).count() as u64;
    let enough = |most: usize| refuses_nothing(asked, &events, host, scorer, most);
    let mut high = 64;
    while !enough(high) {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        match enough(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    Packed {
        machines: high,
        migrations: 0,
        instance_days: instance_days(asked),
        refused: too_large,
    }
}

/// Hosts in the order of a scorer: the same choice as by looking at all of them, sooner.
struct Ordered {
    host: Host,
    scorer: Scorer,
    free: Vec<Resources>,
    order: BTreeSet<(u64, u32)>,
}

impl Ordered {
    fn new(host: Host, scorer: Scorer, hosts: usize) -> Self {
        let cost = scorer.cost(&host.whole, &host.whole);
        let order = (0..hosts as u32).map(|at| (cost, at)).collect();
        Self { host, scorer, free: vec![host.whole; hosts], order }
    }

    fn first(&self, wanted: &Resources) -> Option<u32> {
        // What has less free than is wanted comes before it in these orders, and is passed over.
        let least = match self.scorer {
            Scorer::BestFit | Scorer::MostAllocated => self.scorer.cost(wanted, &self.host.whole),
            Scorer::FirstFit | Scorer::LeastAllocated => 0,
        };
        let mut hosts = self.order.range((least, 0)..).map(|(_, at)| *at);
        hosts.find(|at| wanted.fits_in(&self.free[*at as usize]))
    }

    fn change(&mut self, at: u32, to: impl Fn(&Resources) -> Resources) {
        let free = &mut self.free[at as usize];
        self.order.remove(&(self.scorer.cost(free, &self.host.whole), at));
        *free = to(free);
        self.order.insert((self.scorer.cost(free, &self.host.whole), at));
    }
}
