//! A queue as a reactor sees it: fetch, finish, publish, and sleep between.

#![allow(unsafe_code, reason = "status bytes in the memory of a guest")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use volume::{Fault, Outcome};

use crate::guest::{GuestMemory, Hint};
use crate::in_flight::InFlight;
use crate::virtio_blk::{feature, status};

use super::area::put;
use super::chain::{Chain, Parsed, Plan, Rules, Scratch};
use super::packed::{Lap, Packed};
use super::split::Split;
use super::{Addresses, Broken, Fetched, Position, QueueConfig};

/// Requests that are answered here before a caller of `fetch` gets a turn again.
const ANSWERS: u32 = 64;

/// A guest's queue. Belongs to one thread.
#[derive(Debug)]
pub struct Queue {
    pub(super) ring: Layout,
    pub(super) record: InFlight,
    pub(super) pending: Box<[Pending]>,
    /// Heads that a crash left in flight, the oldest last.
    pub(super) again: Vec<u16>,
    /// The number of the next request.
    pub(super) order: u64,
    pub(super) in_flight: u32,
    /// The guest may have missed to be told: a process died in between.
    pub(super) owes_notice: bool,
    pub(super) slots: Slots,
    pub(super) memory: Arc<GuestMemory>,
    pub(super) hint: Hint,
    /// Memory that requests in flight may still point into.
    older: Vec<Arc<GuestMemory>>,
    rules: Rules,
    /// Heads that are finished and not visible.
    pub(super) batch: Vec<u16>,
    pub(super) broken: Option<Broken>,
    index: u16,
    addresses: Addresses,
    kick: Option<OwnedFd>,
    call: Option<OwnedFd>,
    err: Option<OwnedFd>,
}

#[derive(Debug)]
pub(super) enum Layout {
    Split(Split),
    Packed(Packed),
}

/// What is remembered of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) stage: Stage,
    /// The guest address of the status byte, and where that is.
    pub(super) status: u64,
    pub(super) place: NonNull<u8>,
    pub(super) written: u32,
    /// In a packed ring: how many descriptors, and the first slot that keeps one.
    pub(super) descriptors: u16,
    pub(super) slot: u16,
}

// SAFETY: the place is in guest memory, which the queue holds.
unsafe impl Send for Pending {}

/// How far a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The guest's.
    Free,
    /// Left by a crash, to be fetched again.
    Again,
    /// Fetched.
    Fetched,
    /// Finished, in the batch.
    Finished,
}

impl Pending {
    pub(super) const FREE: Pending = Pending {
        stage: Stage::Free,
        status: 0,
        place: NonNull::dangling(),
        written: 0,
        descriptors: 0,
        slot: 0,
    };
}

/// Slots of the record that keep descriptors of packed rings: which are free, and which
/// follows which.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) free: Vec<u16>,
    pub(super) next: Box<[u16]>,
}

/// What one look at the ring gave.
enum Step {
    Nothing,
    Answered,
    Do(u16, Plan),
}

impl Queue {
    /// Begins to serve a queue. When the record says that it was served and not closed,
    /// it is recovered: what was in flight comes out of `fetch` first.
    pub fn new(
        config: QueueConfig,
        memory: Arc<GuestMemory>,
        record: InFlight,
    ) -> Result<Queue, Broken> {
        let (size, start) = (config.size, config.start);
        let mut queue = Self::idle(config, memory, record)?;
        if queue.record.is_active(size, matches!(queue.ring, Layout::Packed(_))) {
            queue.recover()?;
            return Ok(queue);
        }
        let used = match &mut queue.ring {
            Layout::Split(ring) => {
                ring.go_to(start.0 as u16, ring.used_index());
                ring.published()
            }
            Layout::Packed(ring) => {
                let (next, used) = (Lap::of(start.0 as u16), Lap::of((start.0 >> 16) as u16));
                ring.go_to(next, used, 0)?;
                used.bits()
            }
        };
        queue.record.begin(size, matches!(queue.ring, Layout::Packed(_)), used);
        Ok(queue)
    }

    pub(super) fn idle(
        config: QueueConfig,
        memory: Arc<GuestMemory>,
        record: InFlight,
    ) -> Result<Queue, Broken> {
        let QueueConfig { index, size, features, addresses, serial, kick, call, err, .. } = config;
        let packed = features & feature::RING_PACKED != 0;
        let ring = match packed {
            true => Layout::Packed(Packed::new(&memory, size, features, &addresses)?),
            false => Layout::Split(Split::new(&memory, size, features, &addresses)?),
        };
        let slots = match packed {
            true => Slots { free: (0..size).rev().collect(), next: (0..size).collect() },
            false => Slots::default(),
        };
        Ok(Queue {
            ring,
            record,
            pending: vec![Pending::FREE; usize::from(size)].into(),
            again: Vec::new(),
            order: 1,
            in_flight: 0,
            owes_notice: false,
            slots,
            memory,
            hint: Hint::default(),
            older: Vec::new(),
            rules: Rules { features, serial },
            batch: Vec::with_capacity(usize::from(size)),
            broken: None,
            index,
            addresses,
            kick,
            call,
            err,
        })
    }

    /// Which of the device's queues it is.
    pub fn index(&self) -> u16 {
        self.index
    }
    /// How many requests were fetched and not finished.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
    /// Whether a crash left requests that were not fetched again yet. Also a queue that
    /// is to be closed is fetched from until there are none.
    pub fn has_left_over(&self) -> bool {
        !self.again.is_empty() && self.broken.is_none()
    }
    /// How many requests wait to be fetched, roughly: only a count of a few is exact.
    #[inline]
    pub fn waiting(&self) -> u16 {
        if self.broken.is_some() {
            return 0;
        }
        let count = match &self.ring {
            Layout::Split(ring) => ring.waiting(),
            Layout::Packed(ring) => ring.waiting(),
        };
        count.max(self.again.len() as u16)
    }
    /// Whether answers wait for `publish`.
    pub fn has_answers(&self) -> bool {
        !self.batch.is_empty() || self.owes_notice
    }
    /// Why it is served no more.
    pub fn broken(&self) -> Option<Broken> {
        self.broken
    }
    /// What the guest writes to when it has made something available.
    pub fn kick(&self) -> Option<BorrowedFd<'_>> {
        self.kick.as_ref().map(AsFd::as_fd)
    }
    /// What tells the guest of answers.
    pub fn call(&self) -> Option<BorrowedFd<'_>> {
        self.call.as_ref().map(AsFd::as_fd)
    }
    /// What tells the VMM that the queue is broken.
    pub fn err(&self) -> Option<BorrowedFd<'_>> {
        self.err.as_ref().map(AsFd::as_fd)
    }
    /// Answers are told there from now on.
    pub fn set_call(&mut self, call: Option<OwnedFd>) {
        self.call = call;
    }

    /// The next request. `None`: nothing is there now, or the guest has had its turn
    /// (`arm` tells which). A queue that breaks says so once, and gives `None` then.
    #[inline]
    pub fn fetch<'s>(&mut self, scratch: &'s mut Scratch) -> Option<Result<Fetched<'s>, Broken>> {
        for _ in 0..ANSWERS {
            match self.step(scratch) {
                Ok(Step::Nothing) => return None,
                Ok(Step::Answered) => {}
                Ok(Step::Do(head, plan)) => {
                    return Some(Ok(Fetched { head, request: plan.request(scratch) }));
                }
                Err(broken) => {
                    self.broken = Some(broken);
                    return Some(Err(broken));
                }
            }
        }
        None
    }

    #[inline]
    fn step(&mut self, scratch: &mut Scratch) -> Result<Step, Broken> {
        if self.broken.is_some() {
            return Ok(Step::Nothing);
        }
        if !self.again.is_empty() {
            return self.step_again(scratch);
        }
        let mut chain = Chain::new(&self.memory, &mut self.hint, scratch);
        let (head, descriptors) = match &mut self.ring {
            Layout::Split(ring) => {
                let Some(head) = ring.take()? else { return Ok(Step::Nothing) };
                if self.pending[usize::from(head)].stage != Stage::Free {
                    return Err(Broken::Twice);
                }
                self.record.fetched(head, self.order);
                ring.walk(head, &mut chain)?;
                (head, 1)
            }
            Layout::Packed(ring) => {
                let Some(id) = ring.take(&mut chain)? else { return Ok(Step::Nothing) };
                if self.pending[usize::from(id)].stage != Stage::Free {
                    return Err(Broken::Twice);
                }
                let taken = ring.taken();
                self.pending[usize::from(id)].slot = self.slots.keep(id, taken, &self.record);
                self.record.fetched(id, self.order);
                (id, taken.len() as u16)
            }
        };
        self.order += 1;
        let pending = &mut self.pending[usize::from(head)];
        (pending.status, pending.place) = chain.status()?;
        (pending.stage, pending.descriptors) = (Stage::Fetched, descriptors);
        self.in_flight += 1;
        let parsed = chain.parse(&self.rules);
        Ok(self.begin(head, parsed))
    }

    /// Walks the chain of a head again that a crash left.
    #[cold]
    fn step_again(&mut self, scratch: &mut Scratch) -> Result<Step, Broken> {
        let head = self.again.pop().expect("there is one");
        let mut chain = Chain::new(&self.memory, &mut self.hint, scratch);
        let pending = &mut self.pending[usize::from(head)];
        match &mut self.ring {
            Layout::Split(ring) => ring.walk(head, &mut chain)?,
            Layout::Packed(ring) => {
                let slots = (pending.slot, pending.descriptors);
                for kept in self.record.kept(slots) {
                    ring.add(&mut chain, kept.1)?;
                }
            }
        }
        (pending.status, pending.place) = chain.status()?;
        pending.stage = Stage::Fetched;
        self.in_flight += 1;
        let parsed = chain.parse(&self.rules);
        Ok(self.begin(head, parsed))
    }

    #[inline]
    fn begin(&mut self, head: u16, parsed: Parsed) -> Step {
        match parsed {
            Parsed::Do(plan, written) => {
                self.pending[usize::from(head)].written = written;
                Step::Do(head, plan)
            }
            Parsed::Answer { status, written } => {
                self.answer(head, status, written);
                Step::Answered
            }
        }
    }

    /// A request is done. The guest sees it with the next `publish`.
    ///
    /// # Panics
    /// When the head is not in flight: that is a fault of ours, not of a guest.
    #[inline]
    pub fn finish(&mut self, head: u16, outcome: Outcome) {
        let written = self.pending[usize::from(head)].written;
        match outcome {
            Ok(()) => self.answer(head, status::OK, written),
            Err(Fault::Unsupported) => self.answer(head, status::UNSUPP, 0),
            Err(_) => self.answer(head, status::IOERR, 0),
        }
    }

    #[inline]
    fn answer(&mut self, head: u16, status: u8, written: u32) {
        let pending = &mut self.pending[usize::from(head)];
        assert!(pending.stage == Stage::Fetched, "only what was fetched is finished, once");
        pending.stage = Stage::Finished;
        // SAFETY: looked up in memory that is held while the request is in flight.
        unsafe { put(pending.place, status) };
        self.in_flight -= 1;
        self.record.finished(head);
        let length = written.saturating_add(1);
        match &mut self.ring {
            Layout::Split(ring) => ring.fill(head, length),
            Layout::Packed(ring) => ring.fill(head, length, pending.descriptors),
        }
        self.batch.push(head);
    }

    /// Makes all answers visible with one store. `true`: the guest wants to be told,
    /// by one write to `call`.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.batch.is_empty() {
            return std::mem::take(&mut self.owes_notice);
        }
        let (first, next) = match &self.ring {
            Layout::Split(ring) => ring.batch(),
            Layout::Packed(ring) => ring.batch(),
        };
        self.record.note(first, next);
        let wanted = match &mut self.ring {
            Layout::Split(ring) => ring.publish(),
            Layout::Packed(ring) => ring.publish(),
        };
        self.record.visible(&self.batch, next);
        for head in self.batch.drain(..) {
            let pending = &mut self.pending[usize::from(head)];
            pending.stage = Stage::Free;
            if let Layout::Packed(_) = self.ring {
                self.slots.give_back(pending.slot, pending.descriptors);
            }
        }
        if self.in_flight == 0 && !self.older.is_empty() {
            self.older.clear();
        }
        wanted | std::mem::take(&mut self.owes_notice)
    }

    /// Tells the guest of answers, after `publish` said so. A counter that is full
    /// tells it already.
    pub fn notify(&self) {
        signal(self.call.as_ref());
    }
    /// Tells the VMM that the queue is broken.
    pub fn complain(&self) {
        signal(self.err.as_ref());
    }

    /// Asks for a kick before sleeping. `true`: there is something already, do not sleep.
    pub fn arm(&mut self) -> bool {
        let come = match &mut self.ring {
            _ if self.broken.is_some() => return false,
            Layout::Split(ring) => ring.arm(),
            Layout::Packed(ring) => ring.arm(),
        };
        come || !self.again.is_empty()
    }
    /// Asks for no kicks: it is polled.
    pub fn disarm(&mut self) {
        match &mut self.ring {
            Layout::Split(ring) => ring.disarm(),
            Layout::Packed(ring) => ring.disarm(),
        }
    }

    /// The guest's memory has changed. Requests in flight keep what they point to.
    pub fn set_memory(&mut self, memory: Arc<GuestMemory>) -> Result<(), Broken> {
        let moved = match &mut self.ring {
            Layout::Split(ring) => ring.moved(&memory, &self.addresses),
            Layout::Packed(ring) => ring.moved(&memory, &self.addresses),
        };
        // When the ring is not in it, the old memory stays: the ring still points there.
        match moved {
            Ok(()) => self.older.push(std::mem::replace(&mut self.memory, memory)),
            Err(broken) => self.broken = Some(broken),
        }
        moved
    }

    /// Where it would go on.
    pub fn position(&self) -> Position {
        match &self.ring {
            Layout::Split(ring) => Position(u32::from(ring.next())),
            Layout::Packed(ring) => {
                let (next, used) = (ring.next().bits(), ring.published().bits());
                Position(u32::from(next) | u32::from(used) << 16)
            }
        }
    }

    /// Ends it. Answers that are there are published and told. The record stays as it
    /// is: the session ends it when the end is deposited.
    ///
    /// # Panics
    /// When requests are in flight: they are waited for first.
    pub fn close(mut self) -> Position {
        assert!(self.in_flight == 0, "a queue is closed when nothing is in flight");
        if self.publish() {
            self.notify();
        }
        self.position()
    }
}

impl Drop for Queue {
    /// Memory that requests in flight point to is never unmapped under them.
    fn drop(&mut self) {
        if self.in_flight > 0 {
            Box::leak(Box::new((Arc::clone(&self.memory), std::mem::take(&mut self.older))));
        }
    }
}

fn signal(to: Option<&OwnedFd>) {
    if let Some(file) = to {
        // A full counter has told already; a VMM that closed its end wants no news.
        let _ = rustix::io::write(file, &1u64.to_ne_bytes());
    }
}
