//! What clients were told, and what they may therefore see. It knows nothing of how
//! the engine works: only what was asked and answered, and when.
//!
//! For each sector it keeps the writes that may be in it. A write that was answered
//! before another began lies below it. So a read may give any write that no other,
//! answered before the read began, lies above. After a power cut only those lie above
//! that were flushed; after the death of the process all that were answered.

use std::collections::BTreeSet;

use super::stamp::{Number, SECTOR};

/// Moments in the order of what happened.
pub type Moment = u64;

/// A write as one sector saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    number: Number,
    began: Moment,
    /// When it was answered, well or not. `None`: it is in flight.
    ended: Option<Moment>,
    /// It was answered well: it is there. Otherwise it may be.
    certain: bool,
    /// A flush covers it.
    durable: bool,
    /// The disk said that it had it, and has not: what covers it is worth nothing.
    missing: bool,
}

/// The writes of a sector, in the order in which they began.
#[derive(Clone, Debug)]
struct Sector {
    versions: Vec<Version>,
    /// What was there once, and may not be again.
    past: Vec<Number>,
}

/// How a value that was read is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be there.
    Right,
    /// It was there once, and something that was promised to be above it is not.
    Lost,
    /// It was never written to that place of that volume.
    Wrong,
}

/// What happened before somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing: the read began at this moment.
    Life(Moment),
    /// The process died.
    Kill,
    /// The power went.
    Cut,
}

/// What clients know of one volume.
#[derive(Clone, Debug)]
pub struct History {
    sectors: Vec<Sector>,
}

impl History {
    /// A new volume of so many bytes: zeros, for good.
    pub fn new(bytes: u64) -> Self {
        let zeros = Version {
            number: 0,
            began: 0,
            ended: Some(0),
            certain: true,
            durable: true,
            missing: false,
        };
        let sector = Sector { versions: vec![zeros], past: Vec::new() };
        Self { sectors: vec![sector; bytes as usize / SECTOR] }
    }

    /// How many sectors it has.
    pub fn sectors(&self) -> u64 {
        self.sectors.len() as u64
    }

    /// The volume was made larger. What is new is zeros.
    pub fn grow(&mut self, bytes: u64) {
        let more = Self::new(bytes).sectors.split_off(self.sectors.len());
        self.sectors.extend(more);
    }

    /// It is as small again as it was before it was made larger.
    pub fn shrink(&mut self, bytes: u64) {
        self.sectors.truncate(bytes as usize / SECTOR);
    }

    /// A write began, to sectors from `first`. A write of zeros has number 0.
    pub fn begin(&mut self, now: Moment, first: u64, count: u64, number: Number) {
        let version = Version {
            number,
            began: now,
            ended: None,
            certain: false,
            durable: false,
            missing: false,
        };
        for sector in self.range(first, count) {
            sector.versions.push(version);
        }
    }

    /// The write that began at `began` was answered. `certain`: it is done; otherwise
    /// nobody can know. `durable`: it was promised to be so at once.
    pub fn end(
        &mut self,
        began: Moment,
        now: Moment,
        first: u64,
        count: u64,
        certain: bool,
        durable: bool,
    ) {
        for sector in self.range(first, count) {
            let version = sector.versions.iter_mut().find(|version| version.began == began);
            let version = version.expect("it began, and is kept while it is in flight");
            version.ended = Some(now);
            version.certain = certain;
            version.durable = certain && durable;
        }
    }

    /// A flush that began at this moment was answered well.
    pub fn flushed(&mut self, began: Moment) {
        for sector in &mut self.sectors {
            if sector.versions.len() == 1 && sector.versions[0].durable {
                continue;
            }
            for version in &mut sector.versions {
                version.durable |=
                    version.certain && version.ended.is_some_and(|ended| ended < began);
            }
        }
    }

    /// Forgets what is below something that was durable before this moment: nobody who
    /// may still look will see it.
    pub fn forget(&mut self, before: Moment) {
        self.sectors.iter_mut().for_each(|sector| sector.forget(before));
    }

    /// The disk has lost these writes, or some of each, and did not say so. Recovery after
    /// a loss of power cannot tell them from such as were never flushed.
    pub fn missing(&mut self, numbers: &BTreeSet<Number>) {
        for version in self.sectors.iter_mut().flat_map(|sector| &mut sector.versions) {
            version.missing |= numbers.contains(&version.number);
        }
    }

    /// What a snapshot that was asked for at `began` may hold, now. When it was
    /// answered, all that was answered before it is as durable as itself.
    pub fn snapshot(&self, began: Moment, now: Moment, answered: bool) -> Self {
        let mut copy = self.clone();
        if answered {
            copy.flushed(began);
        }
        let settled = |version: &mut Version| {
            // What was answered after it was asked for may be in it or not, and what is
            // in flight too; but nothing comes later.
            if version.ended.is_none_or(|ended| ended > began) {
                (version.certain, version.durable) = (false, false);
            }
            version.ended.get_or_insert(now);
        };
        copy.sectors.iter_mut().flat_map(|sector| &mut sector.versions).for_each(settled);
        copy
    }

    /// Whether this may be in a sector. `number` is `None` for what is no write at all.
    pub fn judge(&self, sector: u64, number: Option<Number>, after: After) -> Verdict {
        let Some(number) = number else { return Verdict::Wrong };
        let sector = &self.sectors[sector as usize];
        let mut known = sector.past.contains(&number);
        for version in sector.versions.iter().filter(|version| version.number == number) {
            known = true;
            if !sector.versions.iter().any(|other| other.above(version, after)) {
                return Verdict::Right;
            }
        }
        if known { Verdict::Lost } else { Verdict::Wrong }
    }

    /// Somebody read this while nothing was in flight: now it is known which of several
    /// writes lies above the others.
    pub fn observe(&mut self, now: Moment, sector: u64, number: Number) {
        let sector = &mut self.sectors[sector as usize];
        if sector.versions.len() == 1 {
            return;
        }
        // The last of that number that may be it: they cannot be told apart.
        let candidates = sector.versions.iter().rposition(|version| version.number == number);
        let Some(which) = candidates else { return };
        let mut version = sector.versions.remove(which);
        version.began = now;
        version.ended = Some(now);
        version.certain = true;
        sector.versions.push(version);
    }

    /// The process died: what was in flight may have happened.
    pub fn killed(&mut self, now: Moment) {
        for version in self.sectors.iter_mut().flat_map(|sector| &mut sector.versions) {
            version.ended.get_or_insert(now);
        }
    }

    /// The power went: what no flush covers may be gone, whatever was answered. It is
    /// settled when somebody reads it, if that can be.
    pub fn cut(&mut self) {
        for version in self.sectors.iter_mut().flat_map(|sector| &mut sector.versions) {
            version.certain &= version.durable;
        }
    }

    /// The power went, and this was read of a sector afterwards: so it is.
    pub fn settle(&mut self, now: Moment, sector: u64, number: Number) {
        let sector = &mut self.sectors[sector as usize];
        let before = std::mem::take(&mut sector.versions);
        sector.past.extend(before.iter().map(|version| version.number));
        let ended = Some(now);
        sector.versions.push(Version {
            number,
            began: now,
            ended,
            certain: true,
            durable: true,
            missing: false,
        });
    }

    /// What is known of a sector, for people.
    pub fn tell(&self, sector: u64) -> String {
        format!("{:?}", self.sectors[sector as usize].versions)
    }

    fn range(&mut self, first: u64, count: u64) -> &mut [Sector] {
        &mut self.sectors[first as usize..(first + count) as usize]
    }
}

impl Version {
    /// Whether this certainly lies above the other, for who looks then.
    fn above(&self, other: &Version, after: After) -> bool {
        let promised = match after {
            After::Life(began) => self.certain && self.ended.is_some_and(|ended| ended < began),
            After::Kill => self.certain,
            After::Cut => self.durable && !self.missing,
        };
        promised && other.ended.is_some_and(|ended| ended < self.began)
    }
}

impl Sector {
    fn forget(&mut self, before: Moment) {
        if self.versions.len() < 2 {
            return;
        }
        let versions = self.versions.clone();
        let old = |other: &Version| other.ended.is_some_and(|ended| ended < before);
        let below = |version: &Version| {
            versions.iter().any(|other| old(other) && other.above(version, After::Cut))
        };
        let gone = versions.iter().filter(|version| below(version));
        self.past.extend(gone.map(|version| version.number));
        self.versions.retain(|version| !below(version));
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Lost, Right, Wrong};
    use super::*;

    fn written(history: &mut History, number: Number, began: Moment, ended: Moment) {
        history.begin(began, 0, 1, number);
        history.end(began, ended, 0, 1, true, false);
    }

    fn after(history: &History, after: After, numbers: &[u64]) -> Vec<Verdict> {
        numbers.iter().map(|number| history.judge(0, Some(*number), after)).collect()
    }

    #[test]
    fn what_was_answered_outlives_the_process_and_what_was_flushed_the_power() {
        let mut history = History::new(512);
        written(&mut history, 1, 1, 2);
        written(&mut history, 2, 3, 4);
        assert_eq!(after(&history, After::Kill, &[0, 1, 2, 3]), [Lost, Lost, Right, Wrong]);
        assert_eq!(after(&history, After::Cut, &[0, 1, 2, 3]), [Right, Right, Right, Wrong]);
        history.flushed(3);
        assert_eq!(after(&history, After::Cut, &[0, 1, 2]), [Lost, Right, Right]);
        history.flushed(5);
        assert_eq!(after(&history, After::Cut, &[0, 1, 2]), [Lost, Lost, Right]);
        history.forget(6);
        assert_eq!(after(&history, After::Cut, &[0, 1, 2, 3]), [Lost, Lost, Right, Wrong]);
        assert_eq!(history.judge(0, None, After::Cut), Wrong);
    }

    #[test]
    fn writes_at_the_same_time_come_in_any_order_until_somebody_has_looked() {
        let mut history = History::new(512);
        history.begin(1, 0, 1, 1);
        history.begin(2, 0, 1, 2);
        assert_eq!(after(&history, After::Life(2), &[0, 1, 2]), [Right, Right, Right]);
        history.end(2, 3, 0, 1, true, false);
        assert_eq!(after(&history, After::Life(4), &[0, 1, 2]), [Lost, Right, Right]);
        history.end(1, 4, 0, 1, true, false);
        assert_eq!(after(&history, After::Life(5), &[0, 1, 2]), [Lost, Right, Right]);
        history.observe(5, 0, 1);
        assert_eq!(after(&history, After::Life(6), &[0, 1, 2]), [Lost, Right, Lost]);
        assert_eq!(after(&history, After::Cut, &[0, 1, 2]), [Right, Right, Right]);
    }

    #[test]
    fn what_failed_may_be_there_and_takes_nothing_away() {
        let mut history = History::new(512);
        history.begin(1, 0, 1, 1);
        history.end(1, 2, 0, 1, false, true);
        assert_eq!(after(&history, After::Life(3), &[0, 1]), [Right, Right]);
        history.flushed(4);
        assert_eq!(after(&history, After::Cut, &[0, 1]), [Right, Right]);
        written(&mut history, 2, 5, 6);
        assert_eq!(after(&history, After::Life(7), &[0, 1, 2]), [Lost, Lost, Right]);
    }

    #[test]
    fn a_snapshot_has_what_was_answered_before_it_and_nothing_of_later() {
        let mut history = History::new(512);
        written(&mut history, 1, 1, 2);
        history.begin(3, 0, 1, 2);
        let snapshot = history.snapshot(4, 4, true);
        written(&mut history, 3, 5, 6);
        assert_eq!(after(&snapshot, After::Cut, &[0, 1, 2, 3]), [Lost, Right, Right, Wrong]);
        let unsure = history.snapshot(4, 6, false);
        assert_eq!(after(&unsure, After::Cut, &[0, 1, 2]), [Right, Right, Right]);
    }

    #[test]
    fn what_a_cut_may_have_taken_is_not_made_durable_by_a_later_flush() {
        let mut history = History::new(512);
        written(&mut history, 1, 1, 2);
        history.cut();
        history.flushed(4);
        assert_eq!(after(&history, After::Cut, &[0, 1]), [Right, Right]);
    }

    #[test]
    fn after_a_cut_it_is_what_was_read() {
        let mut history = History::new(512);
        written(&mut history, 1, 1, 2);
        history.settle(3, 0, 0);
        assert_eq!(after(&history, After::Cut, &[0, 1]), [Right, Lost]);
    }
}
