//! Quotas of projects: what the buckets of several owners may hold together.
//!
//! Who belongs to which project is no matter of the log: an administrator says it, and
//! may say something else at any time. The store is told by [`Projects::set`], and its
//! writer decides each new version against what is there at that moment, so that two
//! writes never use the same room.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::name::Owner;

/// What may be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The most bytes of all versions; none: no limit.
    pub bytes: Option<u64>,
    /// The most versions, with delete markers; none: no limit.
    pub objects: Option<u64>,
}

/// Owners who share a quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: Box<str>,
    /// Whose buckets count.
    pub members: Vec<Owner>,
    /// What they may hold together.
    pub quota: Quota,
}

/// Projects by member.
type Table = HashMap<Owner, Arc<Project>>;

/// The projects that have a quota, as they are now.
#[derive(Debug, Default)]
pub struct Projects(RwLock<Arc<Table>>);

impl Projects {
    /// All projects from now on. An owner is in one of them: the last that names it.
    pub fn set(&self, projects: Vec<Project>) {
        let mut table = Table::new();
        for project in projects.into_iter().filter(|project| project.quota != Quota::default()) {
            let project = Arc::new(project);
            let members = project.members.iter().cloned();
            table.extend(members.map(|member| (member, Arc::clone(&project))));
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// The project whose quota an owner uses; none when there is no limit.
    pub fn of(&self, owner: &Owner) -> Option<Arc<Project>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }
}
