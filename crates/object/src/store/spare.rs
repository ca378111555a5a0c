//! Room that is set aside, for a medium that is full when a store is opened: what a
//! running store has reserved ahead, for deletions, is gone with its process, and without
//! room nothing can be recorded, not even what would make some. One file without content
//! has it; it goes when the room is needed, and comes again when there is plenty.

use std::io;

use world::files::{File, Files};

use super::writer::Writer;

/// The file.
pub const NAME: &str = "spare";
/// What is set aside: the log's preface and a few deletions, some pages of the index, and
/// those that a start writes after a crash.
const BYTES: u64 = 16 << 20;
/// It is made when there is so much, and more.
const PLENTY: u64 = 8 * BYTES;

/// Gives the room back. Whether there was any.
pub fn release<F: Files>(files: &F) -> io::Result<bool> {
    match files.remove(NAME) {
        Ok(()) => files.sync_names().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl<F: Files> Writer<F> {
    /// Takes what is set aside. Whether there was any.
    pub(super) fn take_spare(&mut self) -> bool {
        self.spare = false;
        release(&self.core.segments.files).unwrap_or(false)
    }

    /// Sets room aside, when there is plenty and it was not done yet.
    pub(super) fn keep_spare(&mut self) {
        let files = &self.core.segments.files;
        if self.spare || files.free().unwrap_or(0) < PLENTY {
            return;
        }
        let made = files.open(NAME).and_then(|file| file.allocate(0, BYTES));
        self.spare = made.is_ok();
        if !self.spare {
            let _ = files.remove(NAME);
        }
        // Without its name the room is nobody's: that is no loss.
        let _ = files.sync_names();
    }

    /// When little room is left at start, what deletions need is reserved at once: later
    /// somebody else may have it.
    pub(super) fn brace(&mut self) {
        let wanted = self.ahead() + 2 * super::writer::LOG_AHEAD;
        if self.core.segments.files.free().is_ok_and(|free| free > wanted) {
            return;
        }
        if self.prepare().and_then(|()| self.room()).is_err() && self.dead.is_none() {
            self.core.tell("no room is left, not even for deletions".to_owned());
        }
    }
}
