//! Room that is kept: who may use it, who may not, and what it costs.

use std::collections::BTreeMap;

use bedplate_fleet::placement::optimise::Budget;
use bedplate_fleet::placement::overcommit::Overcommit;
use bedplate_fleet::placement::{
    Allocation, Cell, Domain, GroupSpec, HostSpec, Kind, Level, Place, Refusal, Request,
    Reservation, Spread,
};
use model::Resources;
use proptest::prelude::*;

fn resources(millicores: u32, memory_mib: u32) -> Resources {
    Resources { millicores, memory_mib, ..Resources::default() }
}

/// Hosts of 8 cores and 32 GiB, two in a rack.
fn cell(hosts: u32) -> Cell {
    let mut cell = Cell::new();
    for host in 0..hosts {
        let domains = [Domain(host / 2), Domain(0), Domain(0), Domain(0)];
        let nodes = vec![resources(8_000, 32_768)];
        let spec = HostSpec { nodes, place: Place { domains }, labels: BTreeMap::new() };
        cell.add_host(spec).expect("a usual host");
    }
    cell
}

fn request(cell: &mut Cell, millicores: u32, priority: u8) -> Request {
    let resources = resources(millicores, 1_024);
    Request::of(cell.kind(&Kind { resources, priority, ..Kind::default() }))
}

fn place(cell: &mut Cell, request: &Request) -> Result<Allocation, Refusal> {
    let choice = cell.decide(request, 3)?;
    cell.commit(request, choice)
}

fn reserve(cell: &mut Cell, request: &Request, count: usize) -> Result<Reservation, Refusal> {
    let choices = cell.decide_reservation(request, count, 1)?;
    cell.commit_reservation(request, &choices)
}

fn claim(cell: &mut Cell, from: Reservation, request: &Request) -> Result<Allocation, Refusal> {
    let choice = cell.decide_reserved(from, request)?;
    cell.commit_reserved(from, request, choice)
}

#[test]
fn kept_room_is_there_when_all_else_is_full() {
    let mut cell = cell(2);
    let (large, small) = (request(&mut cell, 6_000, 0), request(&mut cell, 1_000, 0));
    let kept = reserve(&mut cell, &large, 2).expect("both hosts are empty");
    while place(&mut cell, &small).is_ok() {}
    assert_eq!(place(&mut cell, &large), Err(Refusal::NoRoom));
    assert_eq!(cell.capacity(large.kind), 0);
    for left in [1, 0] {
        claim(&mut cell, kept, &large).expect("that is what it was kept for");
        assert_eq!(cell.reserved(kept), left);
    }
    assert_eq!(claim(&mut cell, kept, &large), Err(Refusal::NoRoom), "all of it is used");
    assert_eq!(cell.end_reservation(kept), 0);
}

#[test]
fn all_of_it_is_kept_or_none() {
    let mut cell = cell(2);
    let large = request(&mut cell, 6_000, 0);
    assert_eq!(reserve(&mut cell, &large, 3), Err(Refusal::NoRoom));
    assert_eq!((cell.placed(), cell.hosts_in_use()), (0, 0));
    let choices = cell.decide_reservation(&large, 2, 1).expect("two fit");
    place(&mut cell, &large).expect("somebody was quicker");
    assert_eq!(cell.commit_reservation(&large, &choices), Err(Refusal::Changed));
    assert_eq!(cell.placed(), 1);
}

#[test]
fn less_than_was_kept_may_be_used_and_more_where_there_is_room() {
    let mut cell = cell(1);
    let (two, six) = (request(&mut cell, 2_000, 0), request(&mut cell, 6_000, 0));
    let nine = request(&mut cell, 9_000, 0);
    let kept = reserve(&mut cell, &two, 2).expect("room");
    assert_eq!(claim(&mut cell, kept, &nine), Err(Refusal::NoRoom));
    claim(&mut cell, kept, &six).expect("two of its own, four beside them");
    assert_eq!(cell.reserved(kept), 1);
    let host = cell.host(0).expect("it exists");
    assert_eq!(cell.free(host).millicores, 0);
}

#[test]
fn nobody_pushes_a_placeholder_out() {
    let mut cell = cell(1);
    let (lesser, important) = (request(&mut cell, 4_000, 0), request(&mut cell, 6_000, 9));
    let kept = reserve(&mut cell, &lesser, 1).expect("room");
    let other = place(&mut cell, &lesser).expect("room");
    assert_eq!(cell.decide_eviction(&important, 0), Err(Refusal::NoRoom));
    let four = request(&mut cell, 4_000, 9);
    let eviction = cell.decide_eviction(&four, 0).expect("what runs can go");
    assert_eq!(eviction.victims, [other]);
    assert_eq!(cell.end_reservation(kept), 1);
    cell.release(other).expect("it runs");
    place(&mut cell, &important).expect("the room is free again");
}

#[test]
fn the_project_pays_from_the_beginning_and_once() {
    let mut cell = cell(2);
    let project = cell.project(Some([4_000, u64::MAX, u64::MAX, u64::MAX, u64::MAX]));
    let two = Request { project: Some(project), ..request(&mut cell, 2_000, 0) };
    let kept = reserve(&mut cell, &two, 2).expect("just within");
    assert_eq!(place(&mut cell, &two), Err(Refusal::Quota(0)));
    assert_eq!(reserve(&mut cell, &two, 1), Err(Refusal::Quota(0)));
    let used = claim(&mut cell, kept, &two).expect("it is paid already");
    let four = Request { project: Some(project), ..request(&mut cell, 4_000, 0) };
    assert_eq!(claim(&mut cell, kept, &four), Err(Refusal::Quota(0)));
    assert_eq!(cell.reserved(kept), 1, "a refusal changes nothing");
    cell.release(used).expect("it runs");
    assert_eq!(cell.end_reservation(kept), 1);
    place(&mut cell, &four).expect("all of the quota is free again");
}

#[test]
fn rules_of_a_group_hold_for_kept_room_too() {
    let mut cell = cell(4);
    let spread = vec![Spread { level: Level::Rack, most: 1 }];
    let group = cell.group(GroupSpec { spread, together: None });
    let one = Request { group: Some(group), ..request(&mut cell, 1_000, 0) };
    assert!(reserve(&mut cell, &one, 3).is_err(), "there are two racks");
    let kept = reserve(&mut cell, &one, 2).expect("a rack each");
    let (first, second) = (claim(&mut cell, kept, &one), claim(&mut cell, kept, &one));
    let rack = |one: Result<Allocation, Refusal>| {
        cell.domain(Level::Rack, cell.host_of(one.expect("kept")).expect("it runs"))
    };
    assert_ne!(rack(first), rack(second));
}

#[test]
fn promised_cores_are_placed_and_held_memory_is_not() {
    let dense = Overcommit { cores_percent: 200, ..Overcommit::default() };
    let nodes = dense.offered(&[resources(8_000, 32_768)]).expect("within bounds");
    let mut cell = Cell::new();
    cell.add_host(HostSpec { nodes, ..HostSpec::default() }).expect("a host");
    let many = request(&mut cell, 1_000, 0);
    assert_eq!(cell.capacity(many.kind), 16);
    let kind = Kind { resources: resources(100, 30_000), ..Kind::default() };
    let held = Request::of(cell.kind(&kind));
    assert_eq!(cell.capacity(held.kind), 1);
}

#[derive(Clone, Debug)]
enum Act {
    Place(u32),
    Release(usize),
    Reserve { cores: u32, count: usize },
    Claim { which: usize, cores: u32 },
    End(usize),
    Optimise,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..5_u32).prop_map(Act::Place),
        3 => any::<usize>().prop_map(Act::Release),
        2 => (1..5_u32, 1..4_usize).prop_map(|(cores, count)| Act::Reserve { cores, count }),
        4 => (any::<usize>(), 1..5_u32).prop_map(|(which, cores)| Act::Claim { which, cores }),
        1 => any::<usize>().prop_map(Act::End),
        1 => Just(Act::Optimise),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What is kept for a size is there for it at any time, whatever else comes and goes.
    #[test]
    fn what_is_kept_is_there(acts in prop::collection::vec(act(), 1..80)) {
        let mut cell = cell(5);
        let (mut running, mut kept) = (Vec::new(), Vec::new());
        for act in acts {
            match act {
                Act::Place(cores) => {
                    let request = request(&mut cell, cores * 1_000, 0);
                    running.extend(place(&mut cell, &request));
                }
                Act::Release(which) if !running.is_empty() => {
                    let one = running.swap_remove(which % running.len());
                    cell.release(one).expect("it runs");
                }
                Act::Reserve { cores, count } => {
                    let request = request(&mut cell, cores * 1_000, 0);
                    if let Ok(made) = reserve(&mut cell, &request, count) {
                        kept.push((made, cores, count));
                    }
                }
                Act::Claim { which, cores } if !kept.is_empty() => {
                    let at = which % kept.len();
                    let (from, size, left) = kept[at];
                    let request = request(&mut cell, cores * 1_000, 0);
                    match claim(&mut cell, from, &request) {
                        Ok(one) => {
                            running.push(one);
                            kept[at].2 -= 1;
                        }
                        Err(_) => prop_assert!(cores > size || left == 0),
                    }
                }
                Act::End(which) if !kept.is_empty() => {
                    let (from, _, left) = kept.swap_remove(which % kept.len());
                    prop_assert_eq!(cell.end_reservation(from), left);
                }
                Act::Optimise => drop(cell.optimise(Budget { moves: 20, hosts: 5, worth: 50 })),
                _ => {}
            }
            let placeholders: usize = kept.iter().map(|one| one.2).sum();
            prop_assert_eq!(cell.placed(), running.len() + placeholders);
            for (from, _, left) in &kept {
                prop_assert_eq!(cell.reserved(*from), *left);
            }
        }
    }
}
