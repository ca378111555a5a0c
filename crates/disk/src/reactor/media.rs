//! What the pools and raw volumes of a lane lie on, and the port through which the lane
//! reaches it: io_uring for files and devices, plain memory for memory.

use std::os::fd::OwnedFd;

use volume::lane::command::{Answered, CommandError};
use volume::lane::{MediumIndex, Op, Port};
use volume::{Outcome, Region, Segment, Tag};
use world::disk::{FileSlot, Medium, Ring};

use crate::shared::submit;

/// One medium.
#[derive(Debug)]
enum Slot {
    /// A file or device, in the table of the ring.
    File { medium: Medium, file: FileSlot },
    /// Memory. The lane takes it when it is told of the medium.
    Memory(Option<Region>),
}

/// All media of a lane, by index.
#[derive(Debug, Default)]
pub struct Media {
    slots: Vec<Option<Slot>>,
}

impl Media {
    /// The next one's index.
    fn free(&mut self) -> usize {
        let free = self.slots.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }
    /// A file or device.
    pub fn add_file(
        &mut self,
        medium: Medium,
        ring: &mut Ring,
    ) -> Result<MediumIndex, world::disk::RingError> {
        let file = ring.add_file(medium.descriptor())?;
        let at = self.free();
        self.slots[at] = Some(Slot::File { medium, file });
        Ok(MediumIndex(at as u16))
    }
    /// Memory.
    pub fn add_memory(&mut self, region: Region) -> MediumIndex {
        let at = self.free();
        self.slots[at] = Some(Slot::Memory(Some(region)));
        MediumIndex(at as u16)
    }
    /// Lets go of one that nothing is in flight on.
    pub fn remove(
        &mut self,
        medium: MediumIndex,
        ring: &mut Ring,
    ) -> Result<(), world::disk::RingError> {
        match self.slots.get_mut(usize::from(medium.0)).and_then(Option::take) {
            Some(Slot::File { file, .. }) => ring.remove_file(file),
            Some(Slot::Memory(_)) | None => Ok(()),
        }
    }
    /// The descriptors of all files and devices by index, for a successor. The lock of
    /// each goes with it.
    pub fn descriptors(&self) -> std::io::Result<Vec<(u16, std::path::PathBuf, OwnedFd)>> {
        let files = self.slots.iter().enumerate().filter_map(|(at, slot)| match slot {
            Some(Slot::File { medium, .. }) => Some((at, medium)),
            Some(Slot::Memory(_)) | None => None,
        });
        files
            .map(|(at, medium)| {
                Ok((at as u16, medium.path().to_owned(), medium.descriptor().try_clone_to_owned()?))
            })
            .collect()
    }
    /// Puts one where its predecessor had it.
    pub fn put_file(
        &mut self,
        at: u16,
        medium: Medium,
        ring: &mut Ring,
    ) -> Result<(), world::disk::RingError> {
        let file = ring.add_file(medium.descriptor())?;
        self.put(at, Slot::File { medium, file });
        Ok(())
    }
    /// Puts memory where its predecessor had it.
    pub fn put_memory(&mut self, at: u16, region: Region) {
        self.put(at, Slot::Memory(Some(region)));
    }
    fn put(&mut self, at: u16, slot: Slot) {
        let at = usize::from(at);
        while self.slots.len() <= at {
            self.slots.push(None);
        }
        assert!(self.slots[at].is_none(), "a place for one medium");
        self.slots[at] = Some(slot);
    }
    fn file(&self, medium: MediumIndex) -> FileSlot {
        match &self.slots[usize::from(medium.0)] {
            Some(Slot::File { file, .. }) => *file,
            _ => panic!("operations are asked for on media that are files"),
        }
    }
}

/// What a lane said in a turn, until it is passed on.
#[derive(Debug, Default)]
pub struct Said {
    /// Requests that are done.
    pub replies: Vec<(Tag, Outcome)>,
    /// Commands that are done.
    pub answers: Vec<(Tag, Result<Answered, CommandError>)>,
}

/// The port of a lane for the time of a call.
pub struct Driver<'a> {
    /// Where operations go.
    pub ring: &'a mut Ring,
    /// What they are about.
    pub media: &'a mut Media,
    /// What the lane says.
    pub said: &'a mut Said,
}

impl Port for Driver<'_> {
    fn memory(&mut self, medium: MediumIndex) -> Option<Region> {
        match &mut self.media.slots[usize::from(medium.0)] {
            Some(Slot::Memory(region)) => region.take(),
            _ => None,
        }
    }
    #[inline]
    fn read(&mut self, op: Op, medium: MediumIndex, at: u64, into: &[Segment]) {
        submit::read(self.ring, op.0, self.media.file(medium), at, into);
    }
    #[inline]
    fn write(&mut self, op: Op, medium: MediumIndex, at: u64, from: &[Segment]) {
        submit::write(self.ring, op.0, self.media.file(medium), at, from);
    }
    #[inline]
    fn sync(&mut self, op: Op, medium: MediumIndex) {
        self.ring.sync(op.0, self.media.file(medium));
    }
    #[inline]
    fn reply(&mut self, tag: Tag, outcome: Outcome) {
        self.said.replies.push((tag, outcome));
    }
    #[inline]
    fn answer(&mut self, tag: Tag, answer: Result<Answered, CommandError>) {
        self.said.answers.push((tag, answer));
    }
}
