//! What was asked of one key, and what may therefore be read there. Nothing in here
//! knows how the gateway works: a key is a register, and each write takes effect in one
//! moment between its beginning and its end, or, when nobody answered, maybe never.

/// A moment, in nanoseconds of one clock.
pub type Moment = u64;

/// How a write came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It is under way, or nobody answered: it took effect before the end, or never.
    Doubtful,
    /// It took effect before the end.
    Done,
    /// It never took effect.
    Never,
}

/// A write: a value has a number of its own; none is a deletion.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: u64,
    value: bool,
    begun: Moment,
    end: Moment,
    came: Came,
}

/// What is wrong with what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Something that was acknowledged is not there.
    Lost,
    /// Something is there that cannot be.
    Strange,
}

/// What was read of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// Something; not said what.
    Something,
    /// What this write wrote.
    Value(u64),
}

/// The history of a key.
#[derive(Clone, Debug)]
pub struct History {
    writes: Vec<Written>,
    /// Writes before this that were overwritten are forgotten.
    horizon: Moment,
}

/// How long nothing is forgotten: longer than any request takes.
const MEMORY: Moment = 60_000_000_000;

impl Default for History {
    /// In the beginning, nothing was there.
    fn default() -> Self {
        let nothing = Written { number: 0, value: false, begun: 0, end: 0, came: Came::Done };
        Self { writes: vec![nothing], horizon: 0 }
    }
}

impl History {
    /// A write begins: of a value, or a deletion.
    pub fn begin(&mut self, number: u64, value: bool, begun: Moment) {
        let (end, came) = (Moment::MAX, Came::Doubtful);
        self.writes.push(Written { number, value, begun, end, came });
        self.forget(begun);
    }

    fn find(&mut self, number: u64) -> &mut Written {
        let found = self.writes.iter_mut().rev().find(|write| write.number == number);
        found.expect("what ends has begun")
    }

    /// It was acknowledged.
    pub fn done(&mut self, number: u64, end: Moment) {
        let write = self.find(number);
        (write.end, write.came) = (write.end.min(end), Came::Done);
    }

    /// It was refused: it never takes effect.
    pub fn refused(&mut self, number: u64) {
        self.find(number).came = Came::Never;
    }

    /// Nobody answered, and whoever could is dead: it took effect before, or never.
    pub fn doubtful(&mut self, number: u64, end: Moment) {
        let write = self.find(number);
        write.end = write.end.min(end);
    }

    /// How many values were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writes.iter().filter(|write| write.value && write.came == Came::Done).count()
    }

    /// Whether a write was acknowledged that began after this one had ended.
    pub fn overwritten(&self, number: u64) -> bool {
        let end = self.writes.iter().find(|write| write.number == number).map(|write| write.end);
        end.is_some_and(|end| self.later(end).is_some())
    }

    /// The end of the first write that was done and began after this moment.
    fn later(&self, end: Moment) -> Option<Moment> {
        let done = self.writes.iter().filter(|write| write.came == Came::Done);
        done.filter(|write| write.begun > end).map(|write| write.end).min()
    }

    /// Whether what this write wrote may be read between these moments.
    fn may(&self, write: &Written, (from, to): (Moment, Moment)) -> bool {
        write.came != Came::Never
            && write.begun < to
            && self.later(write.end).is_none_or(|overwritten| overwritten >= from)
    }

    /// Judges a read that began and ended then.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&mut self, seen: Seen, (from, to): (Moment, Moment)) -> Result<(), Wrong> {
        let fits = |write: &Written| match seen {
            Seen::Nothing => !write.value,
            Seen::Something => write.value,
            Seen::Value(number) => write.value && write.number == number,
        };
        let found = self.writes.iter().position(|write| fits(write) && self.may(write, (from, to)));
        let Some(found) = found else {
            let there = self.writes.iter().any(|write| fits(write) && write.came != Came::Never);
            return Err(if there || seen == Seen::Nothing { Wrong::Lost } else { Wrong::Strange });
        };
        if let Seen::Value(_) = seen {
            let write = self.writes[found];
            // It has taken effect, then; and what ended in doubt before this read began,
            // and began after what was read had ended, never has.
            self.writes[found].came = Came::Done;
            self.writes[found].end = write.end.min(to);
            let end = self.writes[found].end;
            for other in &mut self.writes {
                if other.came == Came::Doubtful && other.begun > end && other.end < from {
                    other.came = Came::Never;
                }
            }
        }
        Ok(())
    }

    /// Forgets what was overwritten long ago.
    fn forget(&mut self, now: Moment) {
        if self.writes.len() < 64 || now < self.horizon + MEMORY / 4 {
            return;
        }
        self.horizon = now;
        let old = now.saturating_sub(MEMORY);
        let gone = |history: &Self, write: &Written| {
            history.later(write.end).is_some_and(|overwritten| overwritten < old)
        };
        let keep: Vec<Written> =
            self.writes.iter().filter(|write| !gone(self, write)).copied().collect();
        self.writes = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(writes: &[(u64, bool, Moment, Option<Moment>)]) -> History {
        let mut history = History::default();
        for (number, value, begun, end) in writes {
            history.begin(*number, *value, *begun);
            if let Some(end) = end {
                history.done(*number, *end);
            }
        }
        history
    }

    #[test]
    fn what_was_acknowledged_is_read_afterwards() {
        let mut history = of(&[(1, true, 10, Some(20)), (2, true, 30, Some(40))]);
        assert_eq!(history.read(Seen::Value(2), (50, 60)), Ok(()));
        assert_eq!(history.read(Seen::Value(1), (50, 60)), Err(Wrong::Lost));
        assert_eq!(history.read(Seen::Nothing, (50, 60)), Err(Wrong::Lost));
        assert_eq!(history.read(Seen::Something, (50, 60)), Ok(()));
        assert_eq!(history.read(Seen::Value(3), (50, 60)), Err(Wrong::Strange));
        assert_eq!(history.read(Seen::Value(1), (35, 60)), Ok(()), "both were under way");
    }

    #[test]
    fn what_is_in_doubt_is_there_or_not_and_does_not_come_back() {
        let mut history = of(&[(1, true, 10, Some(20)), (2, true, 30, None)]);
        history.doubtful(2, 40);
        let mut other = history.clone();
        assert_eq!(history.read(Seen::Value(2), (50, 60)), Ok(()));
        assert_eq!(history.read(Seen::Value(1), (70, 80)), Err(Wrong::Lost), "it was there");
        assert_eq!(other.read(Seen::Value(1), (50, 60)), Ok(()));
        assert_eq!(other.read(Seen::Value(2), (70, 80)), Err(Wrong::Strange), "it was not");
    }

    #[test]
    fn what_is_deleted_stays_so() {
        let mut history = of(&[(1, true, 10, Some(20)), (2, false, 30, Some(40))]);
        assert_eq!(history.read(Seen::Nothing, (50, 60)), Ok(()));
        assert_eq!(history.read(Seen::Something, (50, 60)), Err(Wrong::Lost));
        assert!(history.overwritten(1) && !history.overwritten(2));
    }

    #[test]
    fn what_was_refused_is_never_read() {
        let mut history = of(&[(1, true, 10, None)]);
        history.refused(1);
        assert_eq!(history.read(Seen::Value(1), (20, 30)), Err(Wrong::Strange));
        assert_eq!(history.read(Seen::Nothing, (20, 30)), Ok(()));
    }

    #[test]
    fn what_was_overwritten_long_ago_is_forgotten() {
        let mut history = History::default();
        for number in 1..1000 {
            let begun = number * 1_000_000_000;
            history.begin(number, true, begun);
            history.done(number, begun + 10);
        }
        assert!(history.writes.len() < 100, "{}", history.writes.len());
        let last = 999 * 1_000_000_000;
        assert_eq!(history.read(Seen::Value(999), (last + 20, last + 30)), Ok(()));
    }
}
