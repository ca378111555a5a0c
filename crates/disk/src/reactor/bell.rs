//! How other threads get a lane's attention: work in a channel, and a descriptor that
//! is written only when the lane sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// The bell of a lane.
#[derive(Debug)]
pub struct Bell {
    wake: OwnedFd,
    rung: AtomicBool,
    asleep: AtomicBool,
}

impl Bell {
    /// A bell that nobody rang.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { wake, rung: AtomicBool::new(false), asleep: AtomicBool::new(false) })
    }
    /// There is work. Wakes the lane when it sleeps.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            crate::shared::knock(self.wake.as_fd());
        }
    }
    /// Whether it was rung since this was last asked.
    #[inline]
    pub fn was_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst)
    }
    /// The lane is about to sleep: `false` when it was rung meanwhile, and may not.
    pub fn sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let quiet = !self.rung.load(Ordering::SeqCst);
        if !quiet {
            self.awake();
        }
        quiet
    }
    /// The lane is awake.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
    /// What becomes readable when the bell is rung while the lane sleeps.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_between_work_and_sleep() {
        let bell = Bell::new().expect("bell");
        bell.ring();
        assert!(!bell.sleep(), "rung before the sleep");
        assert!(bell.was_rung() && !bell.was_rung());
        assert!(bell.sleep());
        bell.ring();
        let mut count = [0; 8];
        rustix::io::read(bell.descriptor(), &mut count).expect("it was written");
        bell.awake();
        assert!(bell.was_rung());
        bell.ring();
        rustix::io::read(bell.descriptor(), &mut count).expect_err("nobody slept");
    }
}
