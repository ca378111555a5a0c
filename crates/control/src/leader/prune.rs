//! Events that are kept no longer. A little at each beat, between commits: who asks does not
//! wait for it.

use record::StoreError;

use super::writer::Writer;

/// Events that go at one beat: some ten milliseconds.
const AT_ONCE: u64 = 4_000;
/// It is not done for fewer.
const WORTH: u64 = 1_000;

impl Writer {
    /// Prunes some, where there are more than are to be kept.
    pub(super) fn prune_some(&mut self) -> Result<(), StoreError> {
        let target = self.revision().saturating_sub(self.settings.keep_events);
        if target < WORTH {
            return Ok(());
        }
        let kept = match self.pruned {
            Some(kept) => kept,
            None => match self.store()?.events(0, 1) {
                Err(StoreError::Pruned { kept }) => kept,
                other => other.map(|_| 0)?,
            },
        };
        if target < kept + WORTH {
            self.pruned = Some(kept);
            return Ok(());
        }
        let to = target.min(kept + AT_ONCE);
        self.store()?.prune(to)?;
        self.pruned = Some(to);
        Ok(())
    }
}
