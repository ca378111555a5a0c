//! Packing some hosts anew. Instances that were placed as they came leave cores on hosts whose
//! memory is taken, and memory where the cores are; together they are whole hosts. A few
//! dozen hosts are packed anew at once, one host after the other, each with what leaves its
//! rest in balance, until hosts remain without anything.

use std::collections::BTreeMap;

use model::Resources;

use super::cell::{Allocation, Cell, Host};
use super::fits::Share;
use super::kind::KindId;
use super::optimise::Move;

/// How much worse than an empty corner a lopsided rest is.
const BALANCE: i64 = 3;
/// How much better it is to leave an instance where it is, in millionths of a host.
const STAY: i64 = 40_000;

/// Instances of one kind that have no place yet, by the host that they are on now.
type Waiting = BTreeMap<KindId, BTreeMap<u32, Vec<Allocation>>>;

impl Cell {
    /// Packs hosts of one pool anew when that empties at least one of them for every
    /// `worth` moves, within `most` moves. Changes the cell only then.
    pub(super) fn repack(
        &mut self,
        hosts: &[Host],
        worth: usize,
        most: usize,
    ) -> Option<(Vec<Move>, Vec<Host>)> {
        let (moves, emptied) = self.packed_anew(hosts)?;
        if emptied.is_empty() || moves.len() > most.min(worth * emptied.len()) {
            return None;
        }
        self.carry_out(&moves);
        Some((moves, emptied))
    }

    /// Where everything would go: the moves, and the hosts that are left over. `None` when not
    /// everything finds a place again.
    fn packed_anew(&self, hosts: &[Host]) -> Option<(Vec<Move>, Vec<Host>)> {
        let whole = self.whole(*hosts.first()?);
        let (mut waiting, mut free) = (Waiting::new(), BTreeMap::new());
        for host in hosts {
            let mut room = whole;
            for one in self.instances(*host) {
                let row = &self.instances[one.at as usize];
                let resources = &self.kinds[row.kind.0 as usize].kind.resources;
                // Rules of groups are not weighed here: their members stay.
                if row.group != super::cell::NONE {
                    room = room.minus(resources).expect("it is there");
                    continue;
                }
                let here = waiting.entry(row.kind).or_default().entry(host.0).or_default();
                here.push(one);
            }
            free.insert(host.0, room);
        }
        let (mut moves, mut emptied) = (Vec::new(), Vec::new());
        for host in self.in_order(hosts) {
            let room = free[&host.0];
            if waiting.is_empty() {
                if room == whole {
                    emptied.push(host);
                }
                continue;
            }
            self.fill(host, room, &whole, &mut waiting, &mut moves);
        }
        waiting.is_empty().then_some((moves, emptied))
    }

    /// Hosts with the largest single instances first: those are what others are packed around.
    fn in_order(&self, hosts: &[Host]) -> Vec<Host> {
        let largest = |host: &Host| {
            let sizes = self.instances(*host).filter_map(|one| self.kind_of(one));
            sizes.map(|kind| (kind.resources.memory_mib, kind.resources.millicores)).max()
        };
        let mut order: Vec<Host> = hosts.to_vec();
        order.sort_by_cached_key(|host| (std::cmp::Reverse(largest(host)), host.0));
        order
    }

    /// Fills one host from what waits.
    fn fill(
        &self,
        host: Host,
        mut room: Resources,
        whole: &Resources,
        waiting: &mut Waiting,
        moves: &mut Vec<Move>,
    ) {
        let mut first = true;
        while let Some(kind) = self.next_for(host, &room, whole, waiting, first) {
            first = false;
            let resources = &self.kinds[kind.0 as usize].kind.resources;
            room = room.minus(resources).expect("it was found to fit");
            let (one, from) = take(waiting, kind, host.0);
            if from != host.0 {
                moves.push(Move {
                    allocation: one,
                    from: Host(from),
                    to: host,
                    share: Share::Whole,
                });
            }
        }
    }

    /// The kind that leaves the most balanced rest; the first is the largest of the host's own.
    fn next_for(
        &self,
        host: Host,
        room: &Resources,
        whole: &Resources,
        waiting: &Waiting,
        first: bool,
    ) -> Option<KindId> {
        let fitting = waiting.iter().filter_map(|(kind, by_host)| {
            let resources = &self.kinds[kind.0 as usize].kind.resources;
            let rest = room.minus(resources)?;
            let own = by_host.contains_key(&host.0);
            Some((*kind, resources, rest, own))
        });
        let best = fitting.max_by_key(|(kind, resources, rest, own)| {
            let size = share(resources.millicores, whole.millicores)
                .max(share(resources.memory_mib, whole.memory_mib));
            let lopsided = (share(rest.millicores, whole.millicores)
                - share(rest.memory_mib, whole.memory_mib))
            .abs();
            let stays = if *own { STAY } else { 0 };
            let score = size - BALANCE * lopsided + stays;
            (first && *own, if first && *own { size } else { score }, *kind)
        });
        best.map(|best| best.0)
    }

    fn carry_out(&mut self, moves: &[Move]) {
        // All leave before any arrives: on the way there may be room for neither.
        for one in moves {
            self.lift(one.allocation.at);
        }
        for one in moves {
            self.set_down(one.allocation.at, one.to.0, one.share);
        }
    }
}

/// A share of a host, in millionths.
fn share(amount: u32, whole: u32) -> i64 {
    i64::from(amount) * 1_000_000 / i64::from(whole.max(1))
}

/// Takes one of a kind out of what waits, from the host itself if it has one: which, and from
/// where.
fn take(waiting: &mut Waiting, kind: KindId, host: u32) -> (Allocation, u32) {
    let by_host = waiting.get_mut(&kind).expect("the kind waits");
    let from = if by_host.contains_key(&host) {
        host
    } else {
        // From the end: those hosts come last, and are to be emptied.
        *by_host.keys().next_back().expect("kinds without instances are taken out")
    };
    let here = by_host.get_mut(&from).expect("just found");
    let one = here.pop().expect("hosts without instances are taken out");
    if here.is_empty() {
        by_host.remove(&from);
    }
    if by_host.is_empty() {
        waiting.remove(&kind);
    }
    (one, from)
}
