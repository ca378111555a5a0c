//! What was measured, and how it is told.

use serde_json::{Map, Value, json};

use super::histogram::Histogram;
use super::queue::Work;
use super::ticks::{self, Scale};

const KINDS: [(Work, &str); 5] = [
    (Work::Read, "read"),
    (Work::Write, "write"),
    (Work::Flush, "flush"),
    (Work::Discard, "discard"),
    (Work::Zero, "zero"),
];
/// Pauses that are kept one by one.
const PAUSES: usize = 100_000;

/// A time without any answer, in nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The last answer before.
    pub from: u64,
    /// The first after.
    pub to: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Latencies by kind, in ticks.
    latencies: [Histogram; KINDS.len()],
    /// Requests that were answered well.
    pub requests: u64,
    /// Blocks of writes that were acknowledged.
    pub acknowledged: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Answers to what was not asked.
    pub strange: u64,
    /// The longest time between two answers: ticks, and nanoseconds at the end.
    pub gap: u64,
    /// The pauses that were longer than wished.
    pub pauses: Vec<Pause>,
    /// From the first request to the last answer, in seconds.
    pub seconds: f64,
    scale: Option<Scale>,
}

impl Measured {
    /// Counts an answer.
    #[inline]
    pub fn record(&mut self, work: Work, blocks: u16, status: u8, ticks: u64) {
        if status != 0 {
            self.errors += 1;
            return;
        }
        self.requests += 1;
        if matches!(work, Work::Write | Work::Zero) {
            self.acknowledged += u64::from(blocks);
        }
        let kind = match work {
            Work::Read => 0,
            Work::Write => 1,
            Work::Flush => 2,
            Work::Discard => 3,
            Work::Zero => 4,
        };
        self.latencies[kind].record(ticks);
    }
    /// Notes a pause that ends now.
    pub fn note_pause(&mut self, nanos: u64) {
        let to = ticks::monotonic();
        if self.pauses.len() < PAUSES {
            self.pauses.push(Pause { from: to.saturating_sub(nanos), to });
        }
    }
    /// Ends the measuring.
    pub fn end(&mut self, scale: Scale, took: u64) {
        self.gap = scale.nanos(self.gap);
        self.seconds = scale.nanos(took) as f64 / 1e9;
        self.scale = Some(scale);
    }
    /// Requests a second.
    pub fn iops(&self) -> f64 {
        if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 }
    }

    /// As JSON: latencies in microseconds.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("iops".into(), json!(self.iops().round()));
        all.insert("requests".into(), json!(self.requests));
        all.insert("acknowledged".into(), json!(self.acknowledged));
        all.insert("errors".into(), json!(self.errors));
        all.insert("strange".into(), json!(self.strange));
        all.insert("seconds".into(), json!(self.seconds));
        all.insert("gap_us".into(), json!(micros(self.gap)));
        for ((_, name), histogram) in KINDS.iter().zip(&self.latencies) {
            if histogram.total() > 0 {
                all.insert((*name).into(), self.kind(histogram));
            }
        }
        Value::Object(all)
    }

    fn kind(&self, histogram: &Histogram) -> Value {
        json!({
            "requests": histogram.total(),
            "iops": (histogram.total() as f64 / self.seconds.max(1e-9)).round(),
            "p50_us": self.quantile(histogram, 0.5),
            "p99_us": self.quantile(histogram, 0.99),
            "p999_us": self.quantile(histogram, 0.999),
            "p9999_us": self.quantile(histogram, 0.9999),
            "p99999_us": self.quantile(histogram, 0.99999),
            "max_us": self.micros(histogram.largest()),
        })
    }

    fn quantile(&self, histogram: &Histogram, part: f64) -> f64 {
        self.micros(histogram.quantile(part))
    }

    fn micros(&self, ticks: u64) -> f64 {
        micros(self.scale.map_or(ticks, |scale| scale.nanos(ticks)))
    }

    /// As a table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<8} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
            "", "IOPS", "p50 us", "p99", "p99.9", "p99.99", "p99.999", "max"
        );
        for ((_, name), histogram) in KINDS.iter().zip(&self.latencies) {
            if histogram.total() == 0 {
                continue;
            }
            let iops = histogram.total() as f64 / self.seconds.max(1e-9);
            text += &format!("{name:<8} {iops:>11.0}");
            for part in [0.5, 0.99, 0.999, 0.9999, 0.99999, 1.0] {
                text += &format!(" {:>10.2}", self.quantile(histogram, part));
            }
            text.push('\n');
        }
        let (requests, errors, gap) = (self.requests, self.errors, micros(self.gap));
        text + &format!(
            "{requests} requests in {:.2} s, {errors} errors, longest gap {gap:.1} us\n",
            self.seconds
        )
    }
}

fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 10.0).round() / 100.0
}

/// How long the machine itself holds a spinning thread up: the longest gaps between
/// two readings of the counter, as a histogram of everything above 0.2 microseconds; and
/// how long pieces of work of a microsecond took, the twin of a server's requests.
pub fn noise(nanos: u64) -> Value {
    let mut scale = Scale::begin();
    let mut histogram = Histogram::default();
    let began = ticks::now();
    let (end, least) = (began + scale.ticks(nanos), scale.ticks(200));
    let (mut work, piece) = (Histogram::default(), scale.ticks(1_000));
    let (mut last, mut readings, mut start) = (began, 0_u64, began);
    while last < end {
        let now = ticks::now();
        if now - last > least {
            histogram.record(now - last);
        }
        if now - start >= piece {
            work.record(now - start);
            start = now;
        }
        (last, readings) = (now, readings + 1);
    }
    scale.refine();
    let of = |ticks: u64| micros(scale.nanos(ticks));
    let lost = |part: f64| of(histogram.quantile(part));
    json!({
        "readings": readings, "held_up": histogram.total(),
        "p50_us": lost(0.5), "p99_us": lost(0.99), "max_us": of(histogram.largest()),
        "work_p50_us": of(work.quantile(0.5)), "work_p999_us": of(work.quantile(0.999)),
        "work_p99999_us": of(work.quantile(0.99999)),
    })
}
