//! The client: keeps so many requests under way, measures each, and checks what it
//! reads when it has a ledger.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::connection::Connection;
use super::ledger::{Content, Ledger, Wrong, stamp};
use super::measured::Measured;
use super::plan::{Chooser, MOST_BLOCKS, Next, Plan};
use super::queue::{BLOCK, Queue, Work};
use super::ticks::{self, Scale};

const SECTORS_OF_BLOCK: u64 = 8;
/// What stands in a buffer before a read: a read that was not done is garbage.
const POISON: u64 = 0x6f6e_5f65_6e6f_5f6f;
/// Longest without any answer before we give up.
const PATIENCE: u64 = 30_000_000_000;
/// How often somebody is asked whether to go on.
const ATTEND: u64 = 1_000_000;
/// A client that polls spins for so long before it lets others go first.
const SPIN: u64 = 50_000;
/// Longest sleep without an answer, so that whoever wants something is heard.
const NAP: Duration = Duration::from_millis(5);

/// A request under way, or a place for one.
#[derive(Clone, Copy, Debug)]
struct Slot {
    busy: bool,
    next: Next,
    since: u64,
    /// Of each block: the floor of a read.
    floors: [u32; MOST_BLOCKS as usize],
}

/// A client of one disk.
#[derive(Debug)]
pub struct Client {
    queues: Vec<Queue>,
    slots: Vec<Vec<Slot>>,
    /// What is known of the disk, when it is checked.
    pub ledger: Option<Ledger>,
    connection: Option<Connection>,
}

impl Client {
    /// A client of a connected disk.
    pub fn new(mut connection: Connection, depth: u16, ledger: Option<Ledger>) -> Self {
        let queues = std::mem::take(&mut connection.queues);
        let mut client = Self::of_queues(queues, depth, ledger);
        client.connection = Some(connection);
        client
    }

    /// A client of queues that somebody in this process serves.
    pub fn of_queues(mut queues: Vec<Queue>, depth: u16, ledger: Option<Ledger>) -> Self {
        for queue in &mut queues {
            queue.wipe = ledger.is_some();
            dirty(queue, depth);
        }
        let next = Next { work: Work::Read, block: 0, count: 0 };
        let slot = Slot { busy: false, next, since: 0, floors: [0; MOST_BLOCKS as usize] };
        let slots = vec![vec![slot; usize::from(depth)]; queues.len()];
        Self { queues, slots, ledger, connection: None }
    }

    /// Stops the disk's queues.
    pub fn close(mut self) -> io::Result<()> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        std::mem::swap(&mut self.queues, &mut connection.queues);
        connection.close()
    }

    /// Carries a plan out. `attend` is asked about every millisecond whether to go on.
    /// Ends when everything that was sent has been answered; an error when the disk
    /// does not answer any more.
    pub fn run(
        &mut self,
        plan: &Plan,
        mut attend: impl FnMut(Option<&Ledger>, &Measured) -> bool,
    ) -> io::Result<Measured> {
        let mut run = Run {
            plan,
            chooser: Chooser::new(plan.seed),
            going: true,
            under_way: 0,
            measured: Measured::default(),
        };
        let mut watch = Watch::begin(plan);
        for (queue, slots) in self.queues.iter_mut().zip(&mut self.slots) {
            run.start(queue, slots, &mut self.ledger)?;
        }
        while run.under_way > 0 {
            let mut came = 0;
            for (queue, slots) in self.queues.iter_mut().zip(&mut self.slots) {
                came += run.turn(queue, slots, &mut self.ledger)?;
            }
            let now = ticks::now();
            if came > 0 {
                watch.answered(now, &mut run.measured);
            } else if !plan.polling {
                sleep(&mut self.queues)?;
            } else if now - watch.last < watch.spin {
                std::hint::spin_loop();
            } else {
                // Whoever is to answer may need this processor.
                std::thread::yield_now();
            }
            if now >= watch.attend_at {
                watch.in_time(now)?;
                if now >= watch.end || !attend(self.ledger.as_ref(), &run.measured) {
                    run.going = false;
                }
            }
        }
        watch.finish(&mut run.measured);
        Ok(run.measured)
    }
}

/// The moments of a run, in ticks.
pub(super) struct Watch {
    scale: Scale,
    began: u64,
    /// When a run of limited time ends.
    pub end: u64,
    /// When the last answer came.
    last: u64,
    /// When somebody is asked the next time whether to go on.
    pub attend_at: u64,
    pause: u64,
    every: u64,
    spin: u64,
}

impl Watch {
    pub fn begin(plan: &Plan) -> Self {
        let scale = Scale::begin();
        let began = ticks::now();
        let end = plan.nanos.map_or(u64::MAX, |nanos| began + scale.ticks(nanos));
        let (pause, every, spin) =
            (scale.ticks(plan.pause), scale.ticks(ATTEND), scale.ticks(SPIN));
        Self { scale, began, end, last: began, attend_at: began + every, pause, every, spin }
    }

    /// Something was answered.
    #[inline]
    pub fn answered(&mut self, now: u64, measured: &mut Measured) {
        let gap = now - self.last;
        measured.gap = measured.gap.max(gap);
        if gap > self.pause {
            measured.note_pause(self.scale.nanos(gap));
        }
        self.last = now;
    }

    /// Whether the disk still answers; when to look the next time.
    pub fn in_time(&mut self, now: u64) -> io::Result<()> {
        self.attend_at = now + self.every;
        if self.scale.nanos(now - self.last) > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"));
        }
        Ok(())
    }

    /// The run is over.
    pub fn finish(mut self, measured: &mut Measured) {
        self.scale.refine();
        measured.end(self.scale, self.last - self.began);
    }
}

/// A plan that is being carried out.
struct Run<'a> {
    plan: &'a Plan,
    chooser: Chooser,
    going: bool,
    under_way: usize,
    measured: Measured,
}

impl Run<'_> {
    fn start(
        &mut self,
        queue: &mut Queue,
        slots: &mut [Slot],
        ledger: &mut Option<Ledger>,
    ) -> io::Result<()> {
        for slot in 0..slots.len() as u16 {
            self.send(queue, slot, &mut slots[usize::from(slot)], ledger);
        }
        let now = ticks::now();
        slots.iter_mut().for_each(|slot| slot.since = now);
        queue.publish()
    }

    /// Takes what came back and sends as much again. How many came back.
    #[inline]
    fn turn(
        &mut self,
        queue: &mut Queue,
        slots: &mut [Slot],
        ledger: &mut Option<Ledger>,
    ) -> io::Result<usize> {
        let (mut done, mut count) = ([0; 256], 0);
        let mut strange = 0;
        let came = queue.poll(|slot| match slot {
            Some(slot)
                if count < done.len() && slots.get(usize::from(slot)).is_some_and(|it| it.busy) =>
            {
                slots[usize::from(slot)].busy = false;
                done[count] = slot;
                count += 1;
            }
            _ => strange += 1,
        });
        if came == 0 {
            return Ok(0);
        }
        let now = ticks::now();
        self.measured.strange += strange;
        if strange > 0
            && let Some(ledger) = ledger
        {
            ledger.blame(Wrong::Doubled, 0, 0, Content::Garbage);
        }
        for slot in &done[..count] {
            let place = &mut slots[usize::from(*slot)];
            self.receive(queue, *slot, place, ledger, now);
            self.send(queue, *slot, place, ledger);
        }
        let now = ticks::now();
        done[..count].iter().for_each(|slot| slots[usize::from(*slot)].since = now);
        queue.publish()?;
        Ok(count)
    }

    #[inline]
    fn receive(
        &mut self,
        queue: &Queue,
        slot: u16,
        place: &mut Slot,
        ledger: &mut Option<Ledger>,
        now: u64,
    ) {
        self.under_way -= 1;
        let Next { work, block, count } = place.next;
        let status = queue.status(slot);
        self.measured.record(work, count, status, now.saturating_sub(place.since));
        let Some(ledger) = ledger else { return };
        for index in 0..count {
            let block = block + u32::from(index);
            match work {
                Work::Write | Work::Zero => ledger.settle(block, status == 0),
                Work::Discard => ledger.discarded(block),
                Work::Read if status == 0 => {
                    let mut data = [0; BLOCK];
                    queue
                        .memory()
                        .copy_out(queue.data(slot) + usize::from(index) * BLOCK, &mut data);
                    ledger.check(block, place.floors[usize::from(index)], &data);
                }
                _ => {}
            }
        }
    }

    /// Sends the next request, when there is one.
    #[inline]
    fn send(
        &mut self,
        queue: &mut Queue,
        slot: u16,
        place: &mut Slot,
        ledger: &mut Option<Ledger>,
    ) {
        if !self.going {
            return;
        }
        let Some(next) = self.chooser.next(self.plan, ledger.as_ref()) else {
            self.going = false;
            return;
        };
        if let Some(ledger) = ledger {
            enter(queue, slot, next, place, ledger);
        }
        (place.next, place.busy) = (next, true);
        self.under_way += 1;
        let bytes = u32::from(next.count) * BLOCK as u32;
        queue.submit(slot, next.work, u64::from(next.block) * SECTORS_OF_BLOCK, bytes);
    }
}

/// Enters a request into the ledger, and fills its buffer.
fn enter(queue: &Queue, slot: u16, next: Next, place: &mut Slot, ledger: &mut Ledger) {
    for index in 0..next.count {
        let block = next.block + u32::from(index);
        let at = queue.data(slot) + usize::from(index) * BLOCK;
        match next.work {
            Work::Write => {
                let version = ledger.send(block, false);
                let mut data = [0; BLOCK];
                stamp(ledger.volume(), block, version, &mut data);
                queue.memory().copy_in(at, &data);
            }
            Work::Zero | Work::Discard => {
                ledger.send(block, true);
            }
            Work::Read => {
                place.floors[usize::from(index)] = ledger.floor(block);
                (0..BLOCK)
                    .step_by(512)
                    .for_each(|sector| queue.memory().store(at + sector, POISON));
            }
            Work::Flush => {}
        }
    }
}

/// Puts something into the buffers that no compression makes small.
fn dirty(queue: &Queue, depth: u16) {
    let mut chance = Chooser::new(17);
    for slot in 0..depth {
        for word in (0..BLOCK).step_by(8) {
            queue.memory().store(queue.data(slot) + word, chance.chance());
        }
    }
}

/// Sleeps until a queue has something, or for a moment.
fn sleep(queues: &mut [Queue]) -> io::Result<()> {
    let mut came = false;
    for queue in queues.iter_mut() {
        // Every queue is armed, whatever the others say.
        came |= queue.arm();
    }
    if came {
        return Ok(());
    }
    let mut fds: Vec<PollFd<'_>> =
        queues.iter().map(|queue| PollFd::from_borrowed_fd(queue.call(), PollFlags::IN)).collect();
    let nap = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(NAP.subsec_nanos()) };
    match poll(&mut fds, Some(&nap)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let told: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    for (queue, _) in queues.iter().zip(told).filter(|(_, told)| *told) {
        let mut count = [0; 8];
        // Whatever it says: the ring says how much came.
        let _ = rustix::io::read(queue.call(), &mut count);
    }
    Ok(())
}
