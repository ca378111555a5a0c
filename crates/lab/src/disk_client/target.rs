//! The least that can serve a ring: a thread of this process that answers every
//! request, from nothing or from memory. It shows what the client itself can reach,
//! and, made to misbehave, that the ledger notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::JoinHandle;
use std::{io, thread};

use super::chain::{INDIRECT, NEXT, WRITE};
use super::client::Client;
use super::ledger::Ledger;
use super::memory::{GUEST_START, Memory};
use super::queue::{BLOCK, Queue, Shape};
use super::split::Parts;

/// Looks in vain before others may go first.
const SPINS: u32 = 5_000;

/// How a target serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Says yes to everything and does nothing.
    Nothing,
    /// Keeps blocks in memory.
    Memory,
    /// As memory, but forgets each hundredth write.
    #[cfg(test)]
    Loses,
    /// As memory, but does each hundredth write a second time, some requests later.
    #[cfg(test)]
    Repeats,
    /// As memory, but writes each hundredth to the block beside it.
    #[cfg(test)]
    Misplaces,
    /// As memory, but answers each hundredth request twice.
    #[cfg(test)]
    AnswersTwice,
}

/// A target that runs until it is dropped.
#[derive(Debug)]
pub struct Target {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    /// A client and the target that serves its one queue.
    pub fn pair(
        shape: Shape,
        behaviour: Behaviour,
        blocks: usize,
        ledger: Option<Ledger>,
    ) -> io::Result<(Client, Target)> {
        let memory = Arc::new(Memory::new(shape.memory(1))?);
        let (queue, _) = Queue::new(memory.clone(), shape, 0)?;
        let call = rustix::io::dup(queue.call())?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server {
            memory,
            parts: queue.parts(),
            event_index: shape.event_index,
            packed: shape.packed,
            next: 0,
            round: true,
            told: 0,
            given: 0,
            behaviour,
            blocks: vec![0; if behaviour == Behaviour::Nothing { 0 } else { blocks * BLOCK }],
            requests: 0,
            repeat: None,
        };
        let thread = {
            let stop = stop.clone();
            thread::spawn(move || server.serve(&stop, &call))
        };
        let client = Client::of_queues(vec![queue], shape.depth, ledger);
        Ok((client, Target { stop, thread: Some(thread) }))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A target that fell has said why.
            let _ = thread.join();
        }
    }
}

/// A descriptor as the device reads it.
#[derive(Clone, Copy, Default)]
struct Piece {
    at: usize,
    length: usize,
    flags: u16,
    next: u16,
}

struct Server {
    memory: Arc<Memory>,
    parts: Parts,
    event_index: bool,
    packed: bool,
    next: u16,
    round: bool,
    /// What was given back when the driver was last told.
    told: u16,
    given: u16,
    behaviour: Behaviour,
    blocks: Vec<u8>,
    requests: u64,
    /// A write to be done again: when, where and what.
    repeat: Option<(u64, usize, Vec<u8>)>,
}

impl Server {
    fn serve(mut self, stop: &AtomicBool, call: &rustix::fd::OwnedFd) {
        if self.packed {
            // Never tell us: we look all the time.
            self.memory.word(self.parts.device + 2).store(1, Ordering::Relaxed);
        } else {
            self.memory.word(self.parts.device).store(1, Ordering::Relaxed);
        }
        let mut idle = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            let came = if self.packed { self.packed_batch() } else { self.split_batch() };
            idle = if came { 0 } else { idle + 1 };
            if idle > SPINS {
                thread::yield_now();
            } else if !came {
                std::hint::spin_loop();
            } else if self.wanted() {
                // The other side has hung up, at worst.
                let _ = rustix::io::write(call, &1_u64.to_ne_bytes());
            }
        }
    }

    #[inline]
    fn split_batch(&mut self) -> bool {
        let available = self.memory.word(self.parts.driver + 2).load(Ordering::Acquire);
        if available == self.next {
            return false;
        }
        while self.next != available {
            let index = usize::from(self.next & (self.parts.size - 1));
            let head = self.memory.word(self.parts.driver + 4 + index * 2).load(Ordering::Relaxed);
            self.next = self.next.wrapping_add(1);
            let first = self.piece(self.parts.descriptors, head);
            let twice = match first.flags & INDIRECT {
                0 => self.walk(self.parts.descriptors, head),
                _ => self.walk(first.at, 0),
            };
            for _ in 0..1 + usize::from(twice) {
                let place =
                    self.parts.device + 4 + usize::from(self.given & (self.parts.size - 1)) * 8;
                self.memory.word(place).store(head, Ordering::Relaxed);
                self.given = self.given.wrapping_add(1);
            }
        }
        self.memory.word(self.parts.device + 2).store(self.given, Ordering::Release);
        true
    }

    /// Does what a chain asks; whether it is answered twice.
    #[inline]
    fn walk(&mut self, table: usize, head: u16) -> bool {
        let mut pieces = [Piece::default(); 3];
        let (mut count, mut index) = (0, head);
        loop {
            pieces[count] = self.piece(table, index);
            count += 1;
            if pieces[count - 1].flags & NEXT == 0 {
                break;
            }
            index = pieces[count - 1].next;
        }
        self.carry_out(&pieces[..count])
    }

    #[inline]
    fn piece(&self, table: usize, index: u16) -> Piece {
        let place = table + usize::from(index) * 16;
        // The flags first: in a packed ring they say whether the rest is there.
        let rest = self.memory.number(place + 8).load(Ordering::Acquire);
        let address = self.memory.number(place).load(Ordering::Relaxed);
        let at = address.wrapping_sub(GUEST_START) as usize;
        let flags = if self.packed { rest >> 48 } else { rest >> 32 } as u16;
        Piece { at, length: rest as u32 as usize, flags, next: (rest >> 48) as u16 }
    }

    fn packed_batch(&mut self) -> bool {
        const AVAILABLE: u16 = 1 << 7;
        const USED: u16 = 1 << 15;
        let mut came = false;
        loop {
            let first = self.piece(self.parts.descriptors, self.next);
            if (first.flags & AVAILABLE != 0) != self.round
                || (first.flags & USED != 0) == self.round
            {
                return came;
            }
            came = true;
            let place = self.parts.descriptors + usize::from(self.next) * 16 + 8;
            let id = (self.memory.number(place).load(Ordering::Relaxed) >> 32) as u16;
            let (mut pieces, mut count) = ([first; 3], 1);
            if first.flags & INDIRECT != 0 {
                count = first.length / 16;
                (0..count).for_each(|it| pieces[it] = self.piece(first.at, it as u16));
            } else {
                while pieces[count - 1].flags & NEXT != 0 {
                    let index = (self.next + count as u16) % self.parts.size;
                    pieces[count] = self.piece(self.parts.descriptors, index);
                    count += 1;
                }
            }
            self.carry_out(&pieces[..count]);
            let turn = if self.round { AVAILABLE | USED } else { 0 };
            let rest = u64::from(id) << 32 | u64::from(turn) << 48;
            self.memory.number(place).store(rest, Ordering::Release);
            self.given = self.given.wrapping_add(1);
            self.next += if first.flags & INDIRECT == 0 { count as u16 } else { 1 };
            if self.next >= self.parts.size {
                (self.next, self.round) = (self.next - self.parts.size, !self.round);
            }
        }
    }

    /// Whether the driver wants to be told of what was just given back.
    fn wanted(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let old = std::mem::replace(&mut self.told, self.given);
        if self.packed {
            // Telling too often is allowed, and simple.
            return self.memory.word(self.parts.driver + 2).load(Ordering::Relaxed) != 1;
        }
        if !self.event_index {
            return self.memory.word(self.parts.driver).load(Ordering::Relaxed) == 0;
        }
        let place = self.parts.driver + 4 + usize::from(self.parts.size) * 2;
        let event = self.memory.word(place).load(Ordering::Relaxed);
        super::chain::wanted(event, self.given, old)
    }

    #[inline]
    fn carry_out(&mut self, pieces: &[Piece]) -> bool {
        let status = pieces[pieces.len() - 1].at;
        let mut twice = false;
        if self.behaviour != Behaviour::Nothing {
            twice = self.remember(pieces);
        }
        self.memory.byte(status).store(0, Ordering::Relaxed);
        twice
    }

    /// Reads or writes blocks, well or badly; whether it is answered twice.
    fn remember(&mut self, pieces: &[Piece]) -> bool {
        self.requests += 1;
        let kind = self.memory.number(pieces[0].at).load(Ordering::Relaxed) as u32;
        let sector = self.memory.number(pieces[0].at + 8).load(Ordering::Relaxed) as usize;
        let (data, mut from) = (pieces[1], sector * 512);
        let mut turn = false;
        if self.repeat.as_ref().is_some_and(|(when, ..)| self.requests > *when)
            && let Some((_, at, old)) = self.repeat.take()
        {
            self.blocks[at..at + old.len()].copy_from_slice(&old);
        }
        if kind == 1 {
            turn = self.requests.is_multiple_of(100);
        }
        match kind {
            0 if data.flags & WRITE != 0 => {
                self.memory.copy_in(data.at, &self.blocks[from..from + data.length]);
            }
            1 => {
                if turn && self.misbehaves(&mut from, data) {
                    return false;
                }
                self.memory.copy_out(data.at, &mut self.blocks[from..from + data.length]);
            }
            13 => {
                let word = |at| self.memory.number(data.at + at).load(Ordering::Relaxed) as usize;
                let (first, bytes) = (word(0) * 512, (word(8) & 0xffff_ffff) * 512);
                self.blocks[first..first + bytes].fill(0);
            }
            _ => {}
        }
        self.twice(turn)
    }

    #[cfg(test)]
    fn twice(&self, turn: bool) -> bool {
        turn && self.behaviour == Behaviour::AnswersTwice
    }
    #[cfg(not(test))]
    fn twice(&self, _turn: bool) -> bool {
        false
    }

    /// Whether a write is not to be done at all.
    #[cfg(test)]
    fn misbehaves(&mut self, from: &mut usize, data: Piece) -> bool {
        match self.behaviour {
            Behaviour::Loses => return true,
            Behaviour::Misplaces => *from = (*from + BLOCK) % (self.blocks.len() - data.length),
            Behaviour::Repeats if self.repeat.is_none() => {
                let mut old = vec![0; data.length];
                self.memory.copy_out(data.at, &mut old);
                self.repeat = Some((self.requests + 500, *from, old));
            }
            _ => {}
        }
        false
    }
    #[cfg(not(test))]
    fn misbehaves(&mut self, _from: &mut usize, _data: Piece) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Wrong;
    use super::super::plan::{Pattern, Plan};
    use super::*;

    const BLOCKS: u32 = 64;

    fn shape(packed: bool, indirect: bool) -> Shape {
        Shape { depth: 8, packed, indirect, event_index: true, most_blocks: 4 }
    }

    fn plan(polling: bool) -> Plan {
        Plan {
            pattern: Pattern::Random,
            nanos: None,
            writes: 500,
            zeroes: 50,
            discards: 0,
            flushes: 10,
            polling,
            first: 0,
            blocks: BLOCKS,
            request: 4,
            sizes: true,
            seed: 3,
            pause: u64::MAX,
        }
    }

    /// What the ledger says of a target after some thousand requests.
    fn judged(shape: Shape, polling: bool, behaviour: Behaviour) -> Vec<Wrong> {
        let blocks = BLOCKS as usize;
        let ledger = Some(Ledger::new(9, blocks));
        let (mut client, _target) = Target::pair(shape, behaviour, blocks, ledger).expect("memory");
        let run = client.run(&plan(polling), |_, measured| measured.requests < 5_000);
        let measured = run.expect("the target answers");
        assert_eq!(measured.errors, 0);
        assert!(measured.requests >= 5_000 && measured.acknowledged > 0);
        let ledger = client.ledger.expect("it had one");
        ledger.wrongs.keys().copied().collect()
    }

    #[test]
    fn memory_keeps_its_word_through_every_kind_of_ring() {
        for (packed, indirect, polling) in
            [(false, false, true), (false, true, false), (true, false, true), (true, true, false)]
        {
            let wrongs = judged(shape(packed, indirect), polling, Behaviour::Memory);
            assert_eq!(wrongs, [], "packed {packed}, indirect {indirect}, polling {polling}");
        }
    }

    #[test]
    fn a_disk_that_breaks_its_word_is_found_out() {
        let wrongs = |behaviour| judged(shape(false, false), true, behaviour);
        assert!(wrongs(Behaviour::Loses).contains(&Wrong::Lost));
        assert!(wrongs(Behaviour::Repeats).contains(&Wrong::Reordered));
        assert!(wrongs(Behaviour::Misplaces).contains(&Wrong::Foreign));
        assert!(wrongs(Behaviour::AnswersTwice).contains(&Wrong::Doubled));
    }
}
