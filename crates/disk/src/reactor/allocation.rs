//! Clients ask which blocks are allocated. The map knows; when a page of it is not in
//! memory, the client's question waits until it is.

use volume::Nanos;
use volume::lane::{Extent, NotYet};

use super::{Front, Reactor};
use crate::nbd::{Ask, Connection, StatusExtent, Ticket, Wanted};

/// What a question costs the core: it looks at many blocks.
pub(super) const COST: u32 = 32;
/// Pages of the map that are read for one question. With a map that cannot be read, the
/// answer is that there is data; who reads it then hears what is wrong.
const MOST_PAGES: u8 = 8;

/// A question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Which.
    pub ticket: Ticket,
    offset: u64,
    length: u64,
    extents: usize,
    /// Pages that were read for it.
    pages: u8,
}

impl Question {
    /// Of a client.
    pub fn of(wanted: &Wanted) -> Self {
        let Wanted { ticket, offset, length, extents, .. } = *wanted;
        Self { ticket, offset, length, extents, pages: 0 }
    }
    /// What a predecessor has left unanswered.
    pub fn left(connection: &Connection) -> Vec<Self> {
        let asked = connection.in_flight().filter(|wanted| wanted.ask == Ask::Status);
        asked.map(|wanted| Self::of(&wanted)).collect()
    }
}

fn told(extent: Extent) -> StatusExtent {
    StatusExtent { length: extent.length, hole: !extent.holds, zero: !extent.holds }
}

impl Reactor {
    /// Answers a question of a client, or notes it.
    pub(super) fn ask_allocation(&mut self, slot: u16, mut question: Question, now: u64) {
        let known = loop {
            let Some(Some(socket)) = self.sockets.get(usize::from(slot)) else { return };
            let Question { offset, length, extents, pages, .. } = question;
            let (volume, patient) = (socket.volume, pages < MOST_PAGES);
            let known = self.drive(|lane, driver| {
                lane.extents(volume, offset, length, extents, patient, Nanos(now), driver)
            });
            match known {
                // In memory it is there at once.
                Err(NotYet { begun: true }) => question.pages += 1,
                other => break other,
            }
        };
        self.pass_on();
        let Some(Some(socket)) = self.sockets.get_mut(usize::from(slot)) else { return };
        match known {
            Ok(extents) => {
                let extents: Vec<_> = extents.into_iter().map(told).collect();
                socket.connection.status(question.ticket, &extents);
                self.touch(Front::Socket(slot));
            }
            Err(NotYet { .. }) => socket.questions.push(question),
        }
    }

    /// Tries again what is not answered.
    pub(super) fn ask_again(&mut self, slot: u16, now: u64) {
        let Some(Some(socket)) = self.sockets.get_mut(usize::from(slot)) else { return };
        for question in std::mem::take(&mut socket.questions) {
            self.ask_allocation(slot, question, now);
        }
    }
}
