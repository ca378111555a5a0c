//! The ring that reads and writes media, and wakes us when a descriptor is ready.
//!
//! One thread makes it, submits and reaps; nothing in it is shared. What is asked
//! waits until [`Ring::submit`] or [`Ring::wait`], so that one system call carries
//! many operations. Memory is registered where its owner says so: an operation inside
//! registered memory saves the kernel from pinning its pages. Files are not registered,
//! though each operation would be some nanoseconds cheaper: the kernel lets go of the
//! table of a ring some ten milliseconds after its process was killed, and of the locks on
//! the files in it only then. Whoever goes on with a medium waits for its lock.
//!
//! Three things that cost others days: with deferred completions nothing arrives
//! unless a call asks for events, so the flag that says "there is work" is watched;
//! lists of pieces must stay in place until the kernel has read them, so they lie in
//! an arena that is emptied after each submission; and a poll that ends by itself
//! (its completion says so) must be asked for again.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::Ended;
use super::setup::{self, RingError, Way};

/// Pieces of lists that wait for submission. A list has at most [`LONGEST`].
const ARENA: usize = 8 * LONGEST;
/// The longest list the kernel takes (`UIO_MAXIOV`).
const LONGEST: usize = 1024;
/// The most that the kernel registers in one piece.
const PIECE: usize = 1 << 30;
/// Marks completions that are ours and nobody hears of.
const INTERNAL: u64 = 1 << 63;
/// Marks completions of polls, which are not counted as in flight.
const POLL: u64 = 1 << 62;

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub struct RingSettings {
    /// Operations in one submission; a power of two. More may be in flight.
    pub entries: u32,
    /// Places for files.
    pub files: u32,
    /// Places for pieces of registered memory, of at most 1 GiB each.
    pub pieces: u32,
    /// The best way to try: tests ask for worse ones.
    pub way: Way,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self { entries: 256, files: 64, pieces: 1024, way: Way::Deferred }
    }
}

/// A file of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSlot(RawFd);

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The number it was asked with.
    pub user_data: u64,
    /// How it ended. For a poll: the events that are there.
    pub result: Ended,
    /// A poll goes on by itself. When this is false, it must be asked for again.
    pub more: bool,
}

/// Registered memory.
#[derive(Clone, Copy, Debug)]
struct Registered {
    start: usize,
    end: usize,
    index: u16,
}

/// Operations that are given to the kernel at once when few are under way: as many as it
/// begins one by one.
const EAGER: usize = 2;
/// And the part of those under way, when they are many: one in so many.
const AT_ONCE: usize = 8;

/// An io_uring of one thread.
pub struct Ring {
    ring: IoUring,
    way: Way,
    /// Those it holds open, and how many it may.
    files: Vec<OwnedFd>,
    most_files: usize,
    pieces: Vec<bool>,
    registered: Vec<Registered>,
    /// Lists that the kernel has not read yet. Never grows: entries point into it.
    arena: Vec<libc::iovec>,
    in_flight: u32,
    /// The kernel ties a ring to the thread that made it.
    stays: PhantomData<*const ()>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Ring")
            .field("way", &self.way)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

impl Ring {
    /// A ring for this thread.
    pub fn new(settings: RingSettings) -> Result<Self, RingError> {
        let (ring, way) = setup::build(settings.entries, settings.way)?;
        if way != Way::Deferred {
            tracing::warn!("{}", way.sentence());
        }
        let submitter = ring.submitter();
        submitter
            .register_buffers_sparse(settings.pieces)
            .map_err(RingError::failed("make a table of memory"))?;
        Ok(Self {
            ring,
            way,
            files: Vec::new(),
            most_files: settings.files as usize,
            pieces: vec![false; settings.pieces as usize],
            registered: Vec::with_capacity(settings.pieces as usize),
            arena: Vec::with_capacity(ARENA),
            in_flight: 0,
            stays: PhantomData,
        })
    }

    /// How completions come.
    pub fn way(&self) -> Way {
        self.way
    }
    /// Operations that were asked for and have not come back; polls are not counted.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Takes a file. The ring holds it open until it is removed.
    pub fn add_file(&mut self, descriptor: BorrowedFd<'_>) -> Result<FileSlot, RingError> {
        if self.files.len() >= self.most_files {
            return Err(RingError::Files(self.most_files as u32));
        }
        let file = descriptor.try_clone_to_owned();
        let file = file.map_err(RingError::failed("hold a file open"))?;
        let slot = FileSlot(file.as_raw_fd());
        self.files.push(file);
        Ok(slot)
    }

    /// Lets go of a file. What is in flight on it goes on.
    pub fn remove_file(&mut self, slot: FileSlot) -> Result<(), RingError> {
        let at = self.files.iter().position(|file| file.as_raw_fd() == slot.0);
        let at = at.expect("the file is the ring's");
        // What waits for submission has only its number.
        self.submit()?;
        self.files.swap_remove(at);
        Ok(())
    }

    /// Registers memory: operations inside it become cheaper. Without it they work
    /// too, so a caller may go on after an error (a limit of locked memory, mostly).
    ///
    /// # Safety
    /// The memory must stay mapped until it is removed or the ring is dropped.
    pub unsafe fn add_memory(&mut self, start: *mut u8, length: usize) -> Result<(), RingError> {
        let mut done = 0;
        while done < length {
            let here = PIECE.min(length - done);
            let added = self.add_piece(start.wrapping_add(done), here);
            if added.is_err() {
                let _ = self.remove_memory(start, length);
                return added;
            }
            done += here;
        }
        Ok(())
    }

    fn add_piece(&mut self, start: *mut u8, length: usize) -> Result<(), RingError> {
        let places = self.pieces.len() as u32;
        let free = self.pieces.iter().position(|used| !used).ok_or(RingError::Memory(places))?;
        self.put_piece(free, start, length)?;
        self.pieces[free] = true;
        let index = u16::try_from(free).expect("tables of memory are small");
        let start = start as usize;
        self.registered.push(Registered { start, end: start + length, index });
        self.registered.sort_unstable_by_key(|piece| piece.start);
        Ok(())
    }

    /// Takes what was registered inside this memory out again.
    pub fn remove_memory(&mut self, start: *mut u8, length: usize) -> Result<(), RingError> {
        self.submit()?;
        let inside = start as usize..start as usize + length;
        while let Some(at) = self.registered.iter().position(|piece| inside.contains(&piece.start))
        {
            let piece = self.registered.remove(at);
            self.put_piece(usize::from(piece.index), std::ptr::null_mut(), 0)?;
            self.pieces[usize::from(piece.index)] = false;
        }
        Ok(())
    }

    fn put_piece(&mut self, at: usize, start: *mut u8, length: usize) -> Result<(), RingError> {
        let pieces = [libc::iovec { iov_base: start.cast(), iov_len: length }];
        // SAFETY: who added the memory promised that it stays; a null piece clears its place.
        let put =
            unsafe { self.ring.submitter().register_buffers_update(at as u32, &pieces, None) };
        put.map_err(RingError::failed("register memory"))
    }

    /// How much memory is registered.
    pub fn registered_bytes(&self) -> usize {
        self.registered.iter().map(|piece| piece.end - piece.start).sum()
    }

    /// The registered piece that holds all of a range.
    fn piece_of(&self, start: usize, length: usize) -> Option<u16> {
        let after = self.registered.partition_point(|piece| piece.start <= start);
        let piece = self.registered.get(after.checked_sub(1)?)?;
        (start + length <= piece.end).then_some(piece.index)
    }

    /// Reads into one piece of memory.
    ///
    /// # Safety
    /// `length` bytes at `into` must be writable until the completion was handed out,
    /// also when the ring is dropped before.
    pub unsafe fn read(
        &mut self,
        user_data: u64,
        file: FileSlot,
        at: u64,
        into: *mut u8,
        length: u32,
    ) {
        let entry = match self.piece_of(into as usize, length as usize) {
            Some(piece) => {
                opcode::ReadFixed::new(types::Fd(file.0), into, length, piece).offset(at).build()
            }
            None => opcode::Read::new(types::Fd(file.0), into, length).offset(at).build(),
        };
        self.push(entry, user_data);
    }

    /// Writes one piece of memory.
    ///
    /// # Safety
    /// `length` bytes at `from` must be readable until the completion was handed out,
    /// also when the ring is dropped before.
    pub unsafe fn write(
        &mut self,
        user_data: u64,
        file: FileSlot,
        at: u64,
        from: *const u8,
        length: u32,
    ) {
        let entry = match self.piece_of(from as usize, length as usize) {
            Some(piece) => {
                opcode::WriteFixed::new(types::Fd(file.0), from, length, piece).offset(at).build()
            }
            None => opcode::Write::new(types::Fd(file.0), from, length).offset(at).build(),
        };
        self.push(entry, user_data);
    }

    /// Reads into a list of pieces, at most 1,024.
    ///
    /// # Safety
    /// As for [`Ring::read`], for each piece.
    pub unsafe fn read_list(
        &mut self,
        user_data: u64,
        file: FileSlot,
        at: u64,
        into: impl ExactSizeIterator<Item = (*mut u8, u32)>,
    ) {
        let mut into = into;
        if into.len() == 1 {
            let (start, length) = into.next().expect("it has one");
            // SAFETY: passed on to the caller.
            return unsafe { self.read(user_data, file, at, start, length) };
        }
        let (list, count) = self.list(into);
        self.push(opcode::Readv::new(types::Fd(file.0), list, count).offset(at).build(), user_data);
    }

    /// Writes a list of pieces, at most 1,024.
    ///
    /// # Safety
    /// As for [`Ring::write`], for each piece.
    pub unsafe fn write_list(
        &mut self,
        user_data: u64,
        file: FileSlot,
        at: u64,
        from: impl ExactSizeIterator<Item = (*mut u8, u32)>,
    ) {
        let mut from = from;
        if from.len() == 1 {
            let (start, length) = from.next().expect("it has one");
            // SAFETY: passed on to the caller.
            return unsafe { self.write(user_data, file, at, start, length) };
        }
        let (list, count) = self.list(from);
        self.push(
            opcode::Writev::new(types::Fd(file.0), list, count).offset(at).build(),
            user_data,
        );
    }

    /// Puts a list where it stays until it is submitted.
    fn list(
        &mut self,
        pieces: impl ExactSizeIterator<Item = (*mut u8, u32)>,
    ) -> (*const libc::iovec, u32) {
        let count = pieces.len();
        assert!(count <= LONGEST, "the kernel takes lists of at most {LONGEST} pieces");
        if self.arena.len() + count > ARENA {
            self.make_room();
        }
        let first = self.arena.len();
        for (start, length) in pieces.take(count) {
            self.arena.push(libc::iovec { iov_base: start.cast(), iov_len: length as usize });
        }
        (self.arena[first..].as_ptr(), (self.arena.len() - first) as u32)
    }

    /// Makes what is written to a file durable (`fdatasync`). It covers what had
    /// completed when it was asked for.
    pub fn sync(&mut self, user_data: u64, file: FileSlot) {
        let entry = opcode::Fsync::new(types::Fd(file.0)).flags(types::FsyncFlags::DATASYNC);
        self.push(entry.build(), user_data);
    }

    /// Tells each time that a descriptor becomes readable, until it is cancelled. The
    /// completion has the number given here, and says whether the poll goes on.
    pub fn poll(&mut self, user_data: u64, descriptor: BorrowedFd<'_>) {
        self.poll_for(user_data, descriptor, libc::POLLIN, true);
    }

    /// Tells once that a descriptor is readable, at once if it is already. Who does not
    /// want to be woken by more of it while it works asks so, each time it waits.
    pub fn poll_once(&mut self, user_data: u64, descriptor: BorrowedFd<'_>) {
        self.poll_for(user_data, descriptor, libc::POLLIN, false);
    }

    /// Tells once that a descriptor takes bytes, at once if it does already.
    pub fn poll_writable_once(&mut self, user_data: u64, descriptor: BorrowedFd<'_>) {
        self.poll_for(user_data, descriptor, libc::POLLOUT, false);
    }

    fn poll_for(
        &mut self,
        user_data: u64,
        descriptor: BorrowedFd<'_>,
        events: libc::c_short,
        always: bool,
    ) {
        let descriptor = types::Fd(descriptor.as_raw_fd());
        let entry = opcode::PollAdd::new(descriptor, events as u32).multi(always);
        assert!(user_data < POLL, "the two highest bits are the ring's");
        self.put(entry.build().user_data(user_data | POLL));
    }

    /// Ends a poll. Its last completion comes, with `ECANCELED`, unless it had ended. The
    /// ring holds what was polled open until it has worked off the end: after the next
    /// [`Ring::wait`] or so.
    pub fn cancel_poll(&mut self, user_data: u64) {
        // Not by `IORING_OP_POLL_REMOVE`: that refuses (`EALREADY`) when an event has come
        // and was not worked off yet, and the poll goes on for ever, with its descriptor.
        let entry = opcode::AsyncCancel::new(user_data | POLL).build();
        self.put(entry.user_data(INTERNAL));
    }

    fn push(&mut self, entry: squeue::Entry, user_data: u64) {
        assert!(user_data < POLL, "the two highest bits are the ring's");
        self.put(entry.user_data(user_data));
        self.in_flight += 1;
        self.begin_early();
    }

    /// Gives operations to the kernel before the whole batch is there, when a disk has
    /// little to do meanwhile. Of more than two in a call the kernel begins none before
    /// the last is prepared, a microsecond each; and one disk after the other completes
    /// what it has at once, so that it would have nothing to do all that time.
    fn begin_early(&mut self) {
        let waiting = self.ring.submission().len();
        let begun = (self.in_flight as usize).saturating_sub(waiting);
        if waiting >= EAGER.max(begun / AT_ONCE) {
            self.make_room();
        }
    }

    fn put(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: the caller answers for the memory of the entry; lists are in the arena.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.make_room();
        }
    }

    /// Submits because a queue is full. A kernel that refuses even that leaves us
    /// nothing to go on with.
    fn make_room(&mut self) {
        self.enter(0, None).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Gives what was asked to the kernel, and lets it work off what is done. Makes no
    /// system call when there is nothing to do.
    pub fn submit(&mut self) -> Result<(), RingError> {
        let queue = self.ring.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if idle { Ok(()) } else { self.enter(0, None) }
    }

    /// Submits, then waits until so many completions are there, or so long.
    pub fn wait(&mut self, least: usize, timeout: Option<Duration>) -> Result<(), RingError> {
        if least == 0 { self.submit() } else { self.enter(least, timeout) }
    }

    fn enter(&mut self, least: usize, timeout: Option<Duration>) -> Result<(), RingError> {
        let submitter = self.ring.submitter();
        let entered = match timeout {
            Some(timeout) => {
                let limit = types::Timespec::from(timeout);
                submitter.submit_with_args(least, &types::SubmitArgs::new().timespec(&limit))
            }
            None => submitter.submit_and_wait(least),
        };
        if self.ring.submission().is_empty() {
            self.arena.clear();
        }
        let patience = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN];
        match entered {
            Ok(_) => Ok(()),
            // Time is up, or the queue of completions must be emptied first.
            Err(error) if error.raw_os_error().is_some_and(|code| patience.contains(&code)) => {
                Ok(())
            }
            Err(error) => Err(RingError::failed("submit")(error)),
        }
    }

    /// Hands out what has come back, and says how many that were.
    pub fn completions(&mut self, mut each: impl FnMut(Completion)) -> usize {
        let mut count = 0;
        for entry in self.ring.completion() {
            let user_data = entry.user_data();
            if user_data & INTERNAL != 0 {
                continue;
            }
            if user_data & POLL == 0 {
                self.in_flight -= 1;
            }
            let result = u32::try_from(entry.result()).map_err(|_| -entry.result());
            let more = cqueue::more(entry.flags());
            each(Completion { user_data: user_data & !POLL, result, more });
            count += 1;
        }
        count
    }

    /// Waits for everything that is in flight, at most so long, and throws polls away.
    /// For the end of a process and for tests.
    pub fn drain(&mut self, timeout: Duration, mut each: impl FnMut(Completion)) -> io::Result<()> {
        while self.in_flight > 0 {
            let before = self.in_flight;
            self.wait(1, Some(timeout)).map_err(io::Error::other)?;
            if self.completions(&mut each) == 0 && self.in_flight == before {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}
