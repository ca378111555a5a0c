//! What was recorded becomes so again, as it lay then.

use super::cell::{Allocation, Cell, Host};
use super::decide::Request;
use super::fits::{Share, fits_as};
use super::refusal::Refusal;

impl Cell {
    /// Puts an instance where the record says that it is: on this host, with this share of its
    /// memory nodes. Rules of groups, quotas and closed hosts do not hold what is there
    /// already; room does.
    pub fn restore(
        &mut self,
        request: &Request,
        host: Host,
        share: Share,
    ) -> Result<Allocation, Refusal> {
        if host.0 as usize >= self.hosts.len() {
            return Err(Refusal::Gone);
        }
        let resources = &self.kinds[request.kind.0 as usize].kind.resources;
        let state = self.state_of(host.0);
        if !fits_as(resources, &state.free, &state.nodes, &share) {
            return Err(Refusal::Changed);
        }
        Ok(self.put(request, host.0, share))
    }
}
