//! Everything that is stored is read and compared with its checksums, over and over, so
//! that what rots is known before somebody asks for it. A thread of its own does it, so
//! much in a second, and nobody waits for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use object::store::{Scrubber, Store};
use world::clock::monotonic_nanos;
use world::files::Files;

/// Read at once, at most.
const PIECE: u64 = 1 << 20;
/// A round begins at most so often, in nanoseconds: a small store is soon read.
const ROUND: u64 = 86_400_000_000_000;

/// The thread. It ends when this is dropped.
pub struct Scrub {
    over: Arc<Over>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Over {
    ended: Mutex<bool>,
    bell: Condvar,
}

impl Scrub {
    /// Begins to read so many bytes in a second.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start<F: Files>(store: &Store<F>, per_second: u64) -> io::Result<Self> {
        let over = Arc::new(Over::default());
        let (scrubber, ends) = (store.scrubber(), Arc::clone(&over));
        let name = "scrub".to_owned();
        let thread = std::thread::Builder::new().name(name);
        let thread = thread.spawn(move || run(scrubber, per_second.max(1), &ends))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        *self.over.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            // What it found it has told.
            let _ = thread.join();
        }
    }
}

impl Over {
    /// Waits for so many nanoseconds. Whether it is over.
    fn wait(&self, nanos: u64) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = Duration::from_nanos(nanos);
        let waited = self.bell.wait_timeout_while(ended, patience, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn run<F: Files>(mut scrubber: Scrubber<F>, per_second: u64, over: &Over) {
    let (mut began, mut read, mut damaged) = (monotonic_nanos(), 0, 0);
    loop {
        let step = scrubber.step(PIECE.min(per_second));
        read += step.bytes;
        damaged += step.damaged.len();
        for what in &step.damaged {
            tracing::error!(what, "what is stored is damaged");
        }
        let mut pause = step.bytes.saturating_mul(1_000_000_000) / per_second;
        if step.bytes == 0 && !step.round {
            // Not even the index can be read now.
            pause = 1_000_000_000;
        }
        if step.round {
            tracing::info!(bytes = read, damaged, "all that is stored was compared");
            pause += (began + ROUND).saturating_sub(monotonic_nanos());
        }
        if over.wait(pause) {
            return;
        }
        if step.round {
            (began, read, damaged) = (monotonic_nanos(), 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use object::store::Settings;
    use world::entropy::Seeded;
    use world::files::{ModelFiles, Troubles};

    use super::*;

    #[test]
    fn it_ends_at_once_when_it_is_dropped() {
        let files = ModelFiles::new(Troubles::default(), Seeded::new(1));
        let (store, _writer, _) = Store::open(files, Settings::default()).expect("it opens");
        // An empty store is read at once: the next round is a day away.
        let scrub = Scrub::start(&store, 1).expect("a thread");
        drop(scrub);
    }
}
