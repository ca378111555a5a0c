//! What was decided becomes so; what ended gives its room back.

use super::cell::{Allocation, Cell, Host, InstanceRow, NONE, SPLIT, WHOLE};
use super::decide::{Choice, Request};
use super::fits::{Share, fits};
use super::kind::Lifetime;
use super::refusal::Refusal;

impl Cell {
    /// Puts an instance on the host that was chosen, after the same test again: between the
    /// decision and now something else may have gone there. On a refusal nothing is changed.
    pub fn commit(&mut self, request: &Request, choice: Choice) -> Result<Allocation, Refusal> {
        self.check_quota(request)?;
        let host = choice.host.0;
        let kind = &self.kinds[request.kind.0 as usize].kind;
        let state = self.state_of(host);
        if !state.open {
            return Err(Refusal::Closed);
        }
        if !self.pools[state.pool.0 as usize].shape.has_labels(kind) {
            return Err(Refusal::NoRoom);
        }
        let share = fits(kind, &state.free, &state.nodes).ok_or(Refusal::Changed)?;
        if let Some(group) = request.group {
            let broken = self.groups[group.0 as usize].broken(|level| self.domain_at(level, host));
            if let Some(level) = broken {
                return Err(Refusal::Group(level));
            }
        }
        Ok(self.put(request, host, share))
    }

    /// Puts an instance where it is known to fit.
    pub(super) fn put(&mut self, request: &Request, host: u32, share: Share) -> Allocation {
        let row = InstanceRow {
            generation: 0,
            host: NONE,
            kind: request.kind,
            group: request.group.map_or(NONE, |group| group.0),
            project: request.project.map_or(NONE, |project| project.0),
            next: NONE,
            previous: NONE,
            node: WHOLE,
        };
        let (at, generation) = match self.spare.pop() {
            Some(at) => {
                let generation = self.instances[at as usize].generation;
                self.instances[at as usize] = InstanceRow { generation, ..row };
                (at, generation)
            }
            None => {
                self.instances.push(row);
                (u32::try_from(self.instances.len() - 1).expect("fewer than 2^32 instances"), 0)
            }
        };
        self.set_down(at, host, share);
        Allocation { at, generation }
    }

    /// Gives the room of an instance back.
    pub fn release(&mut self, allocation: Allocation) -> Result<Host, Refusal> {
        self.row_of(allocation).ok_or(Refusal::Gone)?;
        let (host, _) = self.lift(allocation.at);
        self.bury(allocation.at);
        Ok(Host(host))
    }

    /// The handle of an instance that is nowhere becomes nobody's.
    pub(super) fn bury(&mut self, at: u32) {
        let row = &mut self.instances[at as usize];
        row.generation = row.generation.wrapping_add(1);
        self.spare.push(at);
    }

    /// Puts an instance that is nowhere on a host, where it is known to fit.
    pub(super) fn set_down(&mut self, at: u32, host: u32, share: Share) {
        let request = self.request_of(at);
        let mut state = self.changed(host, request.kind, &share, true);
        state.lifetime = state.lifetime.max(self.kinds[request.kind.0 as usize].kind.lifetime);
        self.change_state(host, state);
        self.count(&request, host, true);
        self.link(at, host, share);
    }

    /// Takes an instance off its host: which that was, and how it lay there.
    pub(super) fn lift(&mut self, at: u32) -> (u32, Share) {
        let (host, share, request) =
            (self.instances[at as usize].host, self.share_of(at), self.request_of(at));
        let mut state = self.changed(host, request.kind, &share, false);
        self.unlink(at);
        self.count(&request, host, false);
        state.lifetime = self.longest(host, state.lifetime, request.kind);
        self.change_state(host, state);
        (host, share)
    }

    /// Counts an instance for its group and its project, in or out.
    fn count(&mut self, request: &Request, host: u32, arrives: bool) {
        if let Some(group) = request.group {
            let place = self.hosts[host as usize].place;
            let places = &self.places;
            self.groups[group.0 as usize].count(|level| places.domain(level, host, place), arrives);
        }
        if let Some(project) = request.project {
            let resources = &self.kinds[request.kind.0 as usize].kind.resources;
            self.projects[project.0 as usize].count(resources, arrives);
        }
    }

    /// Puts an instance at the front of its host's list.
    fn link(&mut self, at: u32, host: u32, share: Share) {
        let next = std::mem::replace(&mut self.hosts[host as usize].first, at);
        if next != NONE {
            self.instances[next as usize].previous = at;
        }
        let row = &mut self.instances[at as usize];
        (row.host, row.next, row.previous) = (host, next, NONE);
        row.node = match share {
            Share::Whole => WHOLE,
            Share::Node(node) => node,
            Share::Split(shares) => {
                self.splits.insert(at, shares);
                SPLIT
            }
        };
    }

    /// What an instance was asked for with.
    pub(super) fn request_of(&self, at: u32) -> Request {
        let row = &self.instances[at as usize];
        Request {
            kind: row.kind,
            group: (row.group != NONE).then_some(super::group::Group(row.group)),
            project: (row.project != NONE).then_some(super::project::Project(row.project)),
        }
    }

    /// How long the longest of a host's instances is thought to run, now that one of a kind
    /// has left.
    fn longest(&self, host: u32, before: Lifetime, left: super::KindId) -> Lifetime {
        let left = self.kinds[left.0 as usize].kind.lifetime;
        if left < before || before == Lifetime::Unknown {
            return before;
        }
        let rest = self.instances(Host(host));
        rest.filter_map(|one| self.kind_of(one)).map(|kind| kind.lifetime).max().unwrap_or_default()
    }

    /// Takes an instance out of its host's list.
    fn unlink(&mut self, at: u32) {
        let row = &mut self.instances[at as usize];
        let (next, previous) = (row.next, row.previous);
        let host = std::mem::replace(&mut row.host, NONE);
        if row.node == SPLIT {
            self.splits.remove(&at);
        }
        match previous {
            NONE => self.hosts[host as usize].first = next,
            previous => self.instances[previous as usize].next = next,
        }
        if next != NONE {
            self.instances[next as usize].previous = previous;
        }
    }
}
