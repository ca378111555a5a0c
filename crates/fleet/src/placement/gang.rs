//! All or none: instances that are of no use without each other.

use super::cell::{Allocation, Cell, Host};
use super::decide::{Choice, Request};
use super::refusal::Refusal;

impl Cell {
    /// Finds a host for each request, so that all of them fit at once, or says why not. The
    /// cell is as it was when it returns: choices are recorded, then committed.
    ///
    /// Members of a group that are to be together start where the first of them fits; when the
    /// rest does not fit there, the next domain is tried.
    pub fn decide_gang(&mut self, requests: &[Request], salt: u64) -> Result<Vec<Choice>, Refusal> {
        let refused = match self.try_gang(requests, None, salt) {
            Ok(choices) => return Ok(choices),
            Err(refused) => refused,
        };
        let Some(first) = requests.first() else { return Err(refused) };
        let Some(level) = self.empty_home(first) else { return Err(refused) };
        let mut tried = std::collections::BTreeSet::new();
        for host in 0..u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts") {
            if !tried.insert(self.domain_at(level, host)) {
                continue;
            }
            if let Some(choices) = self.try_domain(requests, host, level, salt) {
                return Ok(choices);
            }
        }
        Err(refused)
    }

    /// The level at which the members of a group that has none yet are to be together.
    fn empty_home(&self, request: &Request) -> Option<super::Level> {
        let group = &self.groups[request.group?.0 as usize];
        group.spec.together.filter(|_| group.is_empty())
    }

    /// Begins at any host of a domain that takes the first member.
    fn try_domain(
        &mut self,
        requests: &[Request],
        host: u32,
        level: super::Level,
        salt: u64,
    ) -> Option<Vec<Choice>> {
        let domain = self.domain_at(level, host);
        let all = host..u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts");
        let inside: Vec<u32> = all.filter(|at| self.domain_at(level, *at) == domain).collect();
        let start = inside.into_iter().find_map(|at| self.fits_at(&requests[0], Host(at)))?;
        self.try_gang(requests, Some(start), salt).ok()
    }

    /// How an instance would lie on a host, when it may go there.
    pub fn fits_at(&self, request: &Request, host: Host) -> Option<Choice> {
        let kind = &self.kinds[request.kind.0 as usize].kind;
        let state = self.state_of(host.0);
        let labels = self.pools[state.pool.0 as usize].shape.has_labels(kind);
        let share = super::fits::fits(kind, &state.free, &state.nodes)?;
        let rule = request.group.and_then(|group| {
            self.groups[group.0 as usize].broken(|level| self.domain_at(level, host.0))
        });
        (state.open && labels && rule.is_none()).then_some(Choice { host, share })
    }

    /// Places one after the other and takes all back.
    fn try_gang(
        &mut self,
        requests: &[Request],
        start: Option<Choice>,
        salt: u64,
    ) -> Result<Vec<Choice>, Refusal> {
        let mut placed: Vec<Allocation> = Vec::with_capacity(requests.len());
        let mut choices = Vec::with_capacity(requests.len());
        let mut refused = None;
        for (at, request) in requests.iter().enumerate() {
            let begun = if at == 0 { start } else { None };
            let chosen = match begun {
                Some(choice) => Ok(choice),
                None => self.decide(request, salt.wrapping_add(at as u64)),
            };
            match chosen.and_then(|choice| Ok((choice, self.commit(request, choice)?))) {
                Ok((choice, allocation)) => {
                    choices.push(choice);
                    placed.push(allocation);
                }
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            }
        }
        for allocation in placed.into_iter().rev() {
            self.release(allocation).expect("it was placed a moment ago");
        }
        refused.map_or(Ok(choices), Err)
    }
}
