//! The one test of feasibility. Deciding asks it about a state, committing about the host
//! that was chosen, the optimiser about a host as it would be; an agent asks it before it
//! starts an instance. Two tests that disagree would send an instance back and forth for ever.

use model::Resources;

use super::kind::{Kind, Numa};
use super::state::NODES;

/// What an instance takes from each memory node of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The host has one node, or only things that belong to no node are taken.
    Whole,
    /// All from one node.
    Node(u8),
    /// From several, first to last.
    Split([Resources; NODES]),
}

/// What of a vector belongs to a memory node: cores, memory and GPUs do.
fn of_node(resources: &Resources) -> Resources {
    Resources { disk_gib: 0, network_mbps: 0, ..*resources }
}

/// Whether an instance fits on a host with so much free, and how it lies there.
pub fn fits(kind: &Kind, free: &Resources, nodes: &[Resources]) -> Option<Share> {
    if !kind.resources.fits_in(free) {
        return None;
    }
    if nodes.is_empty() {
        return Some(Share::Whole);
    }
    let wanted = of_node(&kind.resources);
    // The fullest node that has room, so that the others keep theirs whole.
    let one = (0..nodes.len())
        .filter(|at| wanted.fits_in(&nodes[*at]))
        .min_by_key(|at| (nodes[*at].millicores, nodes[*at].memory_mib, *at));
    match (one, kind.numa) {
        (Some(at), _) => Some(Share::Node(at as u8)),
        (None, Numa::One) => None,
        (None, Numa::Any) => Some(Share::Split(split(wanted, nodes))),
    }
}

/// Takes from the nodes in order until all is there. The sum is known to suffice.
fn split(mut wanted: Resources, nodes: &[Resources]) -> [Resources; NODES] {
    let mut shares = [Resources::default(); NODES];
    for (share, free) in shares.iter_mut().zip(nodes) {
        *share = wanted.at_most(free);
        wanted = wanted.minus(share).expect("at most what is wanted");
    }
    assert!(wanted.is_none(), "nodes of a host sum up to less than the host: {wanted} missing");
    shares
}

/// What is free with an instance taken out of it, or put back.
pub fn change(
    free: &mut Resources,
    nodes: &mut [Resources],
    taken: &Resources,
    share: &Share,
    arrives: bool,
) {
    let step = |have: &Resources, amount: &Resources| match arrives {
        true => have.minus(amount).expect("it was found to fit"),
        false => have.plus(amount),
    };
    *free = step(free, taken);
    match share {
        Share::Whole => assert!(nodes.is_empty(), "a host with nodes says which"),
        Share::Node(at) => {
            let node = &mut nodes[usize::from(*at)];
            *node = step(node, &of_node(taken));
        }
        Share::Split(shares) => {
            for (node, amount) in nodes.iter_mut().zip(shares) {
                *node = step(node, amount);
            }
        }
    }
}

/// Whether an instance can lie so on what is free: how it lay when it was decided.
pub fn fits_as(taken: &Resources, free: &Resources, nodes: &[Resources], share: &Share) -> bool {
    if !taken.fits_in(free) {
        return false;
    }
    match share {
        Share::Whole => nodes.is_empty(),
        Share::Node(at) => {
            nodes.get(usize::from(*at)).is_some_and(|node| of_node(taken).fits_in(node))
        }
        Share::Split(shares) => {
            let there = shares.iter().zip(nodes).all(|(share, node)| share.fits_in(node));
            let beyond = shares.iter().skip(nodes.len()).all(Resources::is_none);
            // Each is at most what a host has free, so that the sum can be counted.
            let sum = || shares.iter().fold(Resources::default(), |sum, share| sum.plus(share));
            !nodes.is_empty() && there && beyond && sum() == of_node(taken)
        }
    }
}
