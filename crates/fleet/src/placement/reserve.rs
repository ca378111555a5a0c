//! Reservations: room that is kept for instances that come later. Placeholders lie where the
//! instances will; so what is kept is kept whole, in places where they fit, and everything
//! else that asks about room (capacity, quotas, the optimiser) counts it without knowing why.

use std::collections::HashMap;

use super::cell::{Allocation, Cell};
use super::decide::{Choice, Request};
use super::refusal::Refusal;

/// A reservation that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation(pub(super) u32);

/// Reservations, and whose placeholder an instance is.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    rows: Vec<Vec<Allocation>>,
    of: HashMap<u32, Reservation>,
}

impl Cell {
    /// Finds room for so many instances at once, as for a gang. The project pays from now on.
    pub fn decide_reservation(
        &mut self,
        request: &Request,
        count: usize,
        salt: u64,
    ) -> Result<Vec<Choice>, Refusal> {
        self.decide_gang(&vec![*request; count], salt)
    }

    /// Keeps the room that was chosen: all of it, or none.
    pub fn commit_reservation(
        &mut self,
        request: &Request,
        choices: &[Choice],
    ) -> Result<Reservation, Refusal> {
        let mut placed = Vec::with_capacity(choices.len());
        for choice in choices {
            match self.commit(request, *choice) {
                Ok(one) => placed.push(one),
                Err(refusal) => {
                    for one in placed {
                        self.release(one).expect("it was placed a moment ago");
                    }
                    return Err(refusal);
                }
            }
        }
        let count = u32::try_from(self.reservations.rows.len());
        let id = Reservation(count.expect("fewer than 2^32 reservations"));
        self.reservations.of.extend(placed.iter().map(|one| (one.at, id)));
        self.reservations.rows.push(placed);
        Ok(id)
    }

    /// How many instances there is still room for.
    pub fn reserved(&self, reservation: Reservation) -> usize {
        self.reservations.rows[reservation.0 as usize].len()
    }

    /// Whether an instance is a placeholder: nothing runs there, and nothing makes it go.
    pub fn is_placeholder(&self, one: Allocation) -> bool {
        self.row_of(one).is_some() && self.reservations.of.contains_key(&one.at)
    }

    /// Where an instance goes that may use a reservation: to the place of a placeholder. It
    /// may take less than was kept, or more where there is room beside it. The cell is as it
    /// was when it returns.
    pub fn decide_reserved(
        &mut self,
        reservation: Reservation,
        request: &Request,
    ) -> Result<Choice, Refusal> {
        let kept = self.reservations.rows[reservation.0 as usize].clone();
        let mut refused = Refusal::NoRoom;
        for one in kept {
            let (host, share) = self.lift(one.at);
            let found = self.check_quota(request).and_then(|()| {
                let choice = self.fits_at(request, super::Host(host));
                choice.ok_or(Refusal::NoRoom)
            });
            self.set_down(one.at, host, share);
            match found {
                Ok(choice) => return Ok(choice),
                Err(refusal) => refused = refusal,
            }
        }
        Err(refused)
    }

    /// Puts an instance in the place of a placeholder on the host that was chosen. On a
    /// refusal nothing is changed.
    pub fn commit_reserved(
        &mut self,
        reservation: Reservation,
        request: &Request,
        choice: Choice,
    ) -> Result<Allocation, Refusal> {
        let kept = &self.reservations.rows[reservation.0 as usize];
        let here = |one: &&Allocation| self.host_of(**one) == Some(choice.host);
        let one = kept.iter().find(here).copied().ok_or(Refusal::Changed)?;
        let (host, share) = self.lift(one.at);
        match self.commit(request, choice) {
            Ok(placed) => {
                self.bury(one.at);
                self.reservations.of.remove(&one.at);
                self.reservations.rows[reservation.0 as usize].retain(|other| *other != one);
                Ok(placed)
            }
            Err(refusal) => {
                self.set_down(one.at, host, share);
                Err(refusal)
            }
        }
    }

    /// Gives back what is still kept: room for how many instances.
    pub fn end_reservation(&mut self, reservation: Reservation) -> usize {
        let kept = self.reservations.rows[reservation.0 as usize].clone();
        for one in &kept {
            self.reservations.of.remove(&one.at);
            self.release(*one).expect("a placeholder leaves only here");
        }
        self.reservations.rows[reservation.0 as usize].clear();
        kept.len()
    }
}
