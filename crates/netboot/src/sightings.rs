//! Tells the directory of fetches, each token once.
//!
//! A client asks for one file by many requests (a question for the size, ranges,
//! tries again). The directory is to hear of the first sign and of the end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::sighting::Sighting;

use crate::Directory;

/// Tokens that are remembered; older ones may be told of twice.
const REMEMBERED_MAX: usize = 4_096;

/// What was told already.
pub(crate) struct Sightings {
    directory: Arc<dyn Directory>,
    begun: Mutex<VecDeque<String>>,
    ended: Mutex<VecDeque<String>>,
}

impl Sightings {
    /// With nothing told yet.
    pub(crate) fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory, begun: Mutex::default(), ended: Mutex::default() }
    }

    /// The directory behind it.
    pub(crate) fn directory(&self) -> &dyn Directory {
        &*self.directory
    }

    /// The first byte was asked for.
    pub(crate) fn fetching(&self, token: &str) {
        if first(&self.begun, token) {
            self.directory.sighting(Sighting::Fetching { token: token.to_owned() });
        }
    }

    /// The last byte was sent.
    pub(crate) fn fetched(&self, token: &str) {
        if first(&self.ended, token) {
            self.directory.sighting(Sighting::Fetched { token: token.to_owned() });
        }
    }
}

fn first(told: &Mutex<VecDeque<String>>, token: &str) -> bool {
    // A panic elsewhere leaves the list whole: each change to it is one call.
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.iter().any(|one| one == token) {
        return false;
    }
    if told.len() == REMEMBERED_MAX {
        told.pop_front();
    }
    told.push_back(token.to_owned());
    true
}
