//! A gate at rest, for a successor of the process.

use model::volume::Limits;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::gate::Node;
use crate::units::Nanos;

/// A gate at rest. Times are of the clock that the gate was asked by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When it was last asked.
    pub now: Nanos,
    /// The nodes by number; none where one was removed.
    pub nodes: Vec<Option<SavedNode>>,
}

/// The meters of a gate at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMeters {
    /// When it was last asked.
    pub now: Nanos,
    /// For each node by number what [`SavedNode::clear_at`] is; empty where one was removed.
    pub nodes: Vec<Vec<Nanos>>,
}

/// A node at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedNode {
    /// The node above.
    pub parent: Option<Node>,
    /// Its limits.
    pub limits: Limits,
    /// When each of its meters is clear: requests, requests in a burst, bytes, bytes in
    /// a burst; those that there are.
    pub clear_at: Vec<Nanos>,
}

impl Saved {
    /// Whether the way up from here ends.
    pub(super) fn reaches_the_top(&self, mut at: u32) -> bool {
        for _ in 0..=self.nodes.len() {
            match self.nodes.get(at as usize) {
                Some(Some(SavedNode { parent: None, .. })) => return true,
                Some(Some(SavedNode { parent: Some(parent), .. })) => at = parent.0,
                _ => return false,
            }
        }
        false
    }
}

/// Why a saved gate is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SavedError {
    /// The limits of a node are refused.
    #[error("the limits of node {node} are none")]
    Limits {
        /// Which.
        node: usize,
    },
    /// The way up from a node leads nowhere.
    #[error("the way up from node {node} does not end at a node without a parent")]
    Parent {
        /// Which.
        node: usize,
    },
    /// A node has not as many meters as its limits ask for.
    #[error("the meters of node {node} are not those of its limits")]
    Meters {
        /// Which.
        node: usize,
    },
}
