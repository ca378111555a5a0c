//! How long requests took, by volume and kind.
//!
//! What is answered with the `now` that it came with has no second time of its own: a
//! clock read for each would cost more than the request. Such requests are counted, and
//! put in the histogram with the time between the `now` of their batch and the moment
//! when their answers were visible, which the driver reads once for the whole batch (see
//! [`super::Lane::settle`]). None of them took longer.

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::request::{Fault, Kind, Outcome};
use crate::units::Nanos;

/// How many kinds of requests there are.
pub const KINDS: usize = 5;

/// What a volume did since it was opened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// For each [`Kind`], in its order: how long it took. None: nobody asked for it.
    #[serde(default)]
    latency: [Option<Box<Histogram>>; KINDS],
    /// Bytes that were read and written.
    #[serde(default)]
    bytes: [u64; 2],
    /// Requests that failed.
    #[serde(default)]
    failed: u64,
    /// Those of them that failed because of what the medium gave.
    #[serde(default)]
    corrupt: u64,
    /// Answered at once and not in a histogram yet.
    #[serde(skip)]
    fresh: [u32; KINDS],
    #[serde(skip)]
    batch: Nanos,
}

impl Statistics {
    /// How long requests of a kind took.
    pub fn latency(&self, kind: Kind) -> Option<&Histogram> {
        self.latency[kind as usize].as_deref()
    }
    /// Bytes that were read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes[0]
    }
    /// Bytes that were written.
    pub fn bytes_written(&self) -> u64 {
        self.bytes[1]
    }
    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }
    /// Requests that failed because the medium gave something else than was written.
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }
    /// A request was answered in the batch that began at `now`. True: it is the first
    /// since the volume was settled, and the lane notes the volume.
    #[inline]
    pub(crate) fn at_once(&mut self, kind: Kind, bytes: u64, now: Nanos) -> bool {
        let first = self.fresh == [0; KINDS];
        if self.batch != now {
            self.settle(now);
            self.batch = now;
        }
        self.count_bytes(kind, bytes);
        self.fresh[kind as usize] += 1;
        first
    }
    /// A request was answered that came at `since`.
    #[inline]
    pub(crate) fn later(
        &mut self,
        kind: Kind,
        bytes: u64,
        since: Nanos,
        now: Nanos,
        outcome: Outcome,
    ) {
        match outcome {
            Ok(()) => self.count_bytes(kind, bytes),
            Err(fault) => self.fault(fault),
        }
        self.latency[kind as usize].get_or_insert_default().record(now.since(since));
    }
    /// A request failed.
    #[cold]
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.failed += 1;
        self.corrupt += u64::from(fault == Fault::Corrupt);
    }
    /// Adds what another counted.
    pub(crate) fn merge(&mut self, other: &Statistics) {
        for (ours, theirs) in self.latency.iter_mut().zip(&other.latency) {
            if let Some(theirs) = theirs {
                ours.get_or_insert_default().merge(theirs);
            }
        }
        for (ours, theirs) in self.bytes.iter_mut().zip(other.bytes) {
            *ours += theirs;
        }
        self.failed += other.failed;
        self.corrupt += other.corrupt;
    }
    /// Puts what was answered at once in the histograms.
    pub(crate) fn settle(&mut self, now: Nanos) {
        let took = now.since(self.batch);
        for (fresh, histogram) in self.fresh.iter_mut().zip(&mut self.latency) {
            if *fresh != 0 {
                let histogram = histogram.get_or_insert_default();
                (0..std::mem::take(fresh)).for_each(|_| histogram.record(took));
            }
        }
    }
    #[inline]
    fn count_bytes(&mut self, kind: Kind, bytes: u64) {
        match kind {
            Kind::Read => self.bytes[0] += bytes,
            Kind::Write => self.bytes[1] += bytes,
            Kind::Flush | Kind::Discard | Kind::WriteZeroes => {}
        }
    }
}
