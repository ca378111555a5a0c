//! Placement against a small, obvious model: whatever is done to a cell, its books balance,
//! what it chooses is allowed, and when it says that nothing fits, nothing does.

use std::collections::BTreeMap;

use bedplate_fleet::placement::optimise::Budget;
use bedplate_fleet::placement::{
    Allocation, Cell, Choice, Domain, Group, GroupSpec, Host, HostSpec, Kind, KindId, Level,
    Lifetime, Numa, Place, Refusal, Request, Spread, fits::Share,
};
use model::Resources;
use proptest::prelude::*;

fn resources(millicores: u32, memory_mib: u32) -> Resources {
    Resources { millicores, memory_mib, ..Resources::default() }
}

fn host(rack: u32, nodes: Vec<Resources>) -> HostSpec {
    let domains = [Domain(rack), Domain(rack), Domain(rack / 2), Domain(0)];
    HostSpec { nodes, place: Place { domains }, labels: BTreeMap::new() }
}

/// Racks of four hosts with 8 cores and 32 GiB each; two racks on a power feed.
fn cell(racks: u32) -> Cell {
    let mut cell = Cell::new();
    for rack in 0..racks {
        for _ in 0..4 {
            cell.add_host(host(rack, vec![resources(8_000, 32_768)])).expect("a usual host");
        }
    }
    cell
}

fn kind(cell: &mut Cell, millicores: u32, memory_mib: u32) -> KindId {
    cell.kind(&Kind { resources: resources(millicores, memory_mib), ..Kind::default() })
}

fn place(cell: &mut Cell, request: &Request) -> Result<Allocation, Refusal> {
    let choice = cell.decide(request, 7)?;
    cell.commit(request, choice)
}

fn spread(cell: &mut Cell, level: Level, most: u32) -> Group {
    cell.group(GroupSpec { spread: vec![Spread { level, most }], together: None })
}

fn all_hosts(cell: &Cell) -> Vec<Host> {
    (0..cell.hosts()).map(|number| cell.host(number as u32).expect("it exists")).collect()
}

fn hosts_of_rack(cell: &Cell, rack: u32) -> Vec<Host> {
    let all = all_hosts(cell).into_iter();
    all.filter(|host| cell.domain(Level::Rack, *host) == Domain(rack)).collect()
}

/// Puts an instance on a host of the test's choice.
fn place_at(cell: &mut Cell, request: &Request, host: Host) -> Allocation {
    let choice = cell.fits_at(request, host).expect("it fits there");
    cell.commit(request, choice).expect("it fits there")
}

#[test]
fn the_fullest_host_that_fits_is_taken() {
    let mut cell = cell(1);
    let (large, small) = (kind(&mut cell, 6_000, 1_024), kind(&mut cell, 2_000, 1_024));
    let first = place(&mut cell, &Request::of(large)).expect("an empty cell");
    let second = place(&mut cell, &Request::of(small)).expect("room is left");
    assert_eq!(cell.host_of(first), cell.host_of(second));
    assert_eq!(cell.hosts_in_use(), 1);
    let third = place(&mut cell, &Request::of(small)).expect("other hosts are empty");
    assert_ne!(cell.host_of(first), cell.host_of(third));
}

#[test]
fn a_host_with_gpus_is_the_last_to_take_what_needs_none() {
    let mut cell = Cell::new();
    let gpus = Resources { gpus: 8, ..resources(8_000, 32_768) };
    let dear = cell.add_host(host(0, vec![gpus])).expect("a host");
    let plain = cell.add_host(host(0, vec![resources(8_000, 32_768)])).expect("a host");
    let whole = kind(&mut cell, 8_000, 1_024);
    assert_eq!(cell.decide(&Request::of(whole), 0).expect("room").host, plain);
    place(&mut cell, &Request::of(whole)).expect("room");
    assert_eq!(cell.decide(&Request::of(whole), 0).expect("room").host, dear);
}

#[test]
fn labels_are_asked_for() {
    let mut cell = cell(1);
    let labels = BTreeMap::from([("disk".to_owned(), "nvme".to_owned())]);
    let wanted =
        Kind { resources: resources(1_000, 512), labels: labels.clone(), ..Kind::default() };
    let wanted = Request::of(cell.kind(&wanted));
    assert_eq!(cell.decide(&wanted, 0), Err(Refusal::NoRoom));
    let spec = HostSpec { labels, ..host(9, vec![resources(8_000, 32_768)]) };
    let right = cell.add_host(spec).expect("a host");
    let choice = cell.decide(&wanted, 0).expect("room");
    assert_eq!(choice.host, right);
    // Nor can it be committed elsewhere, whoever chose.
    let elsewhere = Choice { host: hosts_of_rack(&cell, 0)[0], ..choice };
    assert_eq!(cell.commit(&wanted, elsewhere), Err(Refusal::NoRoom));
}

#[test]
fn a_group_is_spread_over_racks_and_power() {
    let mut cell = cell(6);
    let kind = kind(&mut cell, 1_000, 512);
    let rules =
        vec![Spread { level: Level::Rack, most: 1 }, Spread { level: Level::Power, most: 1 }];
    let group = cell.group(GroupSpec { spread: rules, together: None });
    let request = Request { group: Some(group), ..Request::of(kind) };
    let mut feeds = Vec::new();
    for _ in 0..3 {
        let one = place(&mut cell, &request).expect("a feed is left");
        feeds.push(cell.domain(Level::Power, cell.host_of(one).expect("it runs")));
    }
    feeds.sort_unstable();
    assert_eq!(feeds, [Domain(0), Domain(1), Domain(2)]);
    assert!(matches!(place(&mut cell, &request), Err(Refusal::Group(_))));
    let told = cell.explain(&request);
    assert_eq!((told.fit, told.removed.iter().map(|entry| entry.1).sum::<u64>()), (0, 24));
}

#[test]
fn a_gang_is_placed_whole_or_not_at_all() {
    let mut cell = cell(3);
    let (whole, small) = (kind(&mut cell, 8_000, 1_024), kind(&mut cell, 1_000, 1_024));
    // Something in the first two racks, so that only the third has four empty hosts.
    for rack in 0..2 {
        let first = hosts_of_rack(&cell, rack)[0];
        place_at(&mut cell, &Request::of(small), first);
    }
    let group = cell.group(GroupSpec { spread: Vec::new(), together: Some(Level::Rack) });
    let request = Request { group: Some(group), ..Request::of(whole) };
    let choices = cell.decide_gang(&[request; 4], 3).expect("the third rack is empty");
    for choice in &choices {
        assert_eq!(cell.domain(Level::Rack, choice.host), Domain(2));
    }
    assert_eq!(cell.placed(), 2, "deciding leaves nothing behind");
    assert!(cell.decide_gang(&[request; 5], 3).is_err());
    assert_eq!(cell.placed(), 2);
    for choice in choices {
        cell.commit(&request, choice).expect("it was decided for all of them at once");
    }
}

#[test]
fn what_is_less_important_makes_room() {
    let mut cell = cell(1);
    let lesser = |millicores| Kind { resources: resources(millicores, 512), ..Kind::default() };
    let (two, four) = (cell.kind(&lesser(2_000)), cell.kind(&lesser(4_000)));
    while place(&mut cell, &Request::of(four)).is_ok() {}
    assert_eq!(cell.placed(), 8);
    let important = Kind { priority: 1, ..lesser(3_000) };
    let important = Request::of(cell.kind(&important));
    assert_eq!(cell.decide(&important, 0), Err(Refusal::NoRoom));
    assert_eq!(cell.decide_eviction(&Request::of(two), 0), Err(Refusal::NoRoom), "an equal stays");
    let eviction = cell.decide_eviction(&important, 0).expect("the lesser can go");
    assert_eq!(eviction.victims.len(), 1, "one of two is enough");
    for victim in &eviction.victims {
        cell.release(*victim).expect("it runs");
    }
    place_at(&mut cell, &important, eviction.host);
}

#[test]
fn a_quota_is_kept_and_given_back() {
    let mut cell = cell(2);
    let kind = kind(&mut cell, 2_000, 1_024);
    let project = cell.project(Some([4_000, u64::MAX, u64::MAX, u64::MAX, u64::MAX]));
    let request = Request { project: Some(project), ..Request::of(kind) };
    let first = place(&mut cell, &request).expect("within");
    place(&mut cell, &request).expect("just within");
    assert_eq!(place(&mut cell, &request), Err(Refusal::Quota(0)));
    assert_eq!(cell.explain(&request).quota, Some(0));
    cell.release(first).expect("it runs");
    place(&mut cell, &request).expect("within again");
    cell.set_quota(project, None);
    place(&mut cell, &request).expect("without limit");
}

#[test]
fn one_memory_node_is_one() {
    let mut cell = Cell::new();
    let host = cell.add_host(host(0, vec![resources(4_000, 16_384); 2])).expect("a host");
    let ask = |numa, cores| Kind { resources: resources(cores, 1_024), numa, ..Kind::default() };
    let (three, six) = (cell.kind(&ask(Numa::One, 3_000)), cell.kind(&ask(Numa::One, 6_000)));
    let across = cell.kind(&ask(Numa::Any, 2_000));
    assert_eq!(cell.decide(&Request::of(six), 0), Err(Refusal::NoRoom), "no node is so large");
    let ones = [(); 2].map(|()| place(&mut cell, &Request::of(three)).expect("a node each"));
    assert_eq!(cell.decide(&Request::of(three), 0), Err(Refusal::NoRoom));
    assert_eq!(cell.capacity(three), 0);
    let split = place(&mut cell, &Request::of(across)).expect("a core of each node");
    assert_eq!(cell.free(host).millicores, 0);
    for one in ones.into_iter().chain([split]) {
        cell.release(one).expect("it runs");
    }
    assert_eq!(cell.free(host), cell.whole(host));
    assert_eq!(cell.capacity(three), 2);
}

#[test]
fn the_handle_of_one_that_left_is_nobodys() {
    let mut cell = cell(1);
    let kind = kind(&mut cell, 1_000, 512);
    let old = place(&mut cell, &Request::of(kind)).expect("room");
    cell.release(old).expect("it runs");
    let new = place(&mut cell, &Request::of(kind)).expect("room");
    assert_eq!(cell.release(old), Err(Refusal::Gone));
    assert_eq!(cell.host_of(old), None);
    cell.release(new).expect("it runs");
}

#[test]
fn hosts_are_emptied_by_moving() {
    let mut cell = cell(1);
    let (four, one) = (kind(&mut cell, 4_000, 512), kind(&mut cell, 1_000, 512));
    let place_all = |cell: &mut Cell| -> Vec<Allocation> {
        (0..8).map(|_| place(cell, &Request::of(four)).expect("room")).collect()
    };
    for first in place_all(&mut cell).iter().step_by(2) {
        cell.release(*first).expect("it runs");
    }
    let keeper = place(&mut cell, &Request::of(one)).expect("room");
    assert_eq!(cell.hosts_in_use(), 4);
    let plan = cell.optimise(Budget { moves: 10, hosts: 4, worth: 50 });
    assert_eq!((plan.emptied.len(), cell.hosts_in_use()), (1, 3), "{plan:?}");
    assert!(cell.host_of(keeper).is_some(), "handles stay what they are");
    assert!(cell.optimise(Budget { moves: 0, hosts: 4, worth: 50 }).moves.is_empty());
}

#[test]
fn instances_end_beside_those_that_end_with_them() {
    let mut cell = cell(1);
    let mut ask = |lifetime| {
        let kind = Kind { resources: resources(2_000, 512), lifetime, ..Kind::default() };
        Request::of(cell.kind(&kind))
    };
    let (short, long) = (ask(Lifetime::Hours), ask(Lifetime::Months));
    let one = place(&mut cell, &short).expect("room");
    let beside = cell.host_of(one).expect("it runs");
    let other = all_hosts(&cell).into_iter().find(|host| *host != beside).expect("of four");
    place_at(&mut cell, &long, other);
    for request in [short, short] {
        let next = place(&mut cell, &request).expect("room");
        assert_eq!(cell.host_of(next), Some(beside));
    }
    let next = place(&mut cell, &long).expect("room");
    assert_eq!(cell.host_of(next), Some(other));
}

/// What is done to a cell in a property test.
#[derive(Clone, Debug)]
enum Act {
    Place { kind: usize, group: Option<usize>, salt: u64 },
    Release { which: usize },
    Open { host: usize, open: bool },
    Optimise,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..6_usize, proptest::option::of(0..3_usize), any::<u64>())
            .prop_map(|(kind, group, salt)| Act::Place { kind, group, salt }),
        3 => any::<usize>().prop_map(|which| Act::Release { which }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(host, open)| Act::Open { host, open }),
        1 => Just(Act::Optimise),
    ]
}

/// A cell of two shapes, the kinds that are asked for, and three groups.
fn mixed() -> (Cell, Vec<KindId>, Vec<Group>) {
    let mut cell = cell(3);
    for rack in 3..5 {
        cell.add_host(host(rack, vec![resources(6_000, 20_000); 2])).expect("a host");
    }
    let sizes = [
        (500, 1_000),
        (1_000, 9_000),
        (2_000, 2_000),
        (4_000, 30_000),
        (6_000, 4_000),
        (7_000, 32_000),
    ];
    let kinds = sizes.iter().enumerate().map(|(at, (cores, memory))| {
        cell.kind(&Kind {
            resources: resources(*cores, *memory),
            numa: if at % 2 == 0 { Numa::One } else { Numa::Any },
            lifetime: Lifetime::ALL[at % 4],
            ..Kind::default()
        })
    });
    let kinds = kinds.collect();
    let groups = vec![
        spread(&mut cell, Level::Host, 1),
        spread(&mut cell, Level::Rack, 2),
        cell.group(GroupSpec { spread: Vec::new(), together: Some(Level::Power) }),
    ];
    (cell, kinds, groups)
}

/// What a host has free is what it has, less what its instances take.
fn check_books(cell: &Cell) {
    let mut placed = 0;
    for host in all_hosts(cell) {
        let taken = cell.instances(host).fold(Resources::default(), |sum, one| {
            placed += 1;
            assert_eq!(cell.host_of(one), Some(host));
            sum.plus(&cell.kind_of(one).expect("it runs").resources)
        });
        assert_eq!(cell.free(host).plus(&taken), cell.whole(host));
    }
    assert_eq!(placed, cell.placed());
}

/// Does one thing, and checks what the cell says of it.
fn perform(
    cell: &mut Cell,
    act: Act,
    kinds: &[KindId],
    groups: &[Group],
    running: &mut Vec<Allocation>,
) {
    match act {
        Act::Place { kind, group, salt } => {
            let request = Request { group: group.map(|at| groups[at]), ..Request::of(kinds[kind]) };
            if let Ok(choice) = cell.decide(&request, salt) {
                assert!(cell.fits_at(&request, choice.host).is_some());
                running.push(cell.commit(&request, choice).expect("it was just chosen"));
            } else {
                let fits = |host: &Host| cell.fits_at(&request, *host).is_some();
                assert_eq!(all_hosts(cell).into_iter().find(fits), None);
                assert_eq!(cell.explain(&request).fit, 0);
            }
        }
        Act::Release { which } if !running.is_empty() => {
            let one = running.swap_remove(which % running.len());
            cell.release(one).expect("it runs");
        }
        Act::Release { .. } => {}
        Act::Open { host, open } => {
            let hosts = all_hosts(cell);
            cell.set_open(hosts[host % hosts.len()], open);
        }
        Act::Optimise => {
            let before = cell.hosts_in_use();
            let plan = cell.optimise(Budget { moves: 20, hosts: 5, worth: 50 });
            assert_eq!(cell.hosts_in_use() + plan.emptied.len(), before);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn books_balance_and_refusals_are_true(acts in proptest::collection::vec(act(), 1..120)) {
        let (mut cell, kinds, groups) = mixed();
        let mut running: Vec<Allocation> = Vec::new();
        for act in acts {
            perform(&mut cell, act, &kinds, &groups, &mut running);
            check_books(&cell);
        }
        for host in all_hosts(&cell) {
            cell.set_open(host, true);
        }
        for one in running {
            cell.release(one).expect("it runs");
        }
        prop_assert_eq!((cell.placed(), cell.states()), (0, 2), "two shapes, all empty");
    }
}

/// What was decided in one order is restored in another, on nodes that deciding would not
/// choose then: the books are the same.
#[test]
fn what_was_recorded_lies_again_as_it_lay() {
    let mut cell = Cell::new();
    let two_nodes = || host(0, vec![resources(4_000, 8_192), resources(4_000, 8_192)]);
    cell.add_host(two_nodes()).expect("a usual host");
    let (large, wide) = (kind(&mut cell, 3_000, 6_000), kind(&mut cell, 2_000, 4_000));
    let mut choices = Vec::new();
    for kind in [large, large, wide] {
        let request = Request::of(kind);
        let choice = cell.decide(&request, 0).expect("there is room");
        cell.commit(&request, choice).expect("a moment ago there was");
        choices.push((request, choice));
    }
    assert!(matches!(choices[2].1.share, Share::Split(_)), "the last one lies on both");
    let mut again = Cell::new();
    let same = again.add_host(two_nodes()).expect("a usual host");
    // Handles of kinds follow the order in which they were asked for.
    assert_eq!((kind(&mut again, 3_000, 6_000), kind(&mut again, 2_000, 4_000)), (large, wide));
    again.set_open(same, false);
    for (request, choice) in choices.iter().rev() {
        again.restore(request, same, choice.share).expect("it lay there");
    }
    assert_eq!(again.free(same), cell.free(same));
    assert_eq!(again.totals().whole, cell.totals().whole);
    assert_eq!(again.totals().open_hosts, 0);
    let (request, choice) = choices[0];
    assert_eq!(again.restore(&request, same, choice.share), Err(Refusal::Changed), "it is full");
}
