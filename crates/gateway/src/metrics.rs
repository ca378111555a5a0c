//! What is counted: each reactor has its own counters and is the only one that writes
//! them, so that counting takes no lock and no shared line of the cache.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bounds of the histogram of durations: 16 µs, and on by factors of four.
const BOUNDS: usize = 11;

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// What it was: a place in the names of operations.
    pub operation: u8,
    /// The status of the reply.
    pub status: u16,
    /// Bytes of the reply's content.
    pub sent: u64,
    /// Bytes of its own content.
    pub received: u64,
    /// From its head to the end of the reply.
    pub nanos: u64,
}

/// What is counted of one operation.
#[derive(Debug, Default)]
struct ByOperation {
    /// By the hundreds of the status.
    answered: [AtomicU64; 6],
    sent: AtomicU64,
    received: AtomicU64,
    took: [AtomicU64; BOUNDS + 1],
    took_nanos: AtomicU64,
}

/// How requests are named that were refused before it was known what they are.
const UNKNOWN: &str = "Unknown";

/// One reactor's counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Names of operations.
    names: &'static [&'static str],
    /// By operation; the last one is of those that are unknown.
    operations: Box<[ByOperation]>,
    /// By the hundreds of the status.
    answered: [AtomicU64; 6],
    kept: AtomicU64,
    content: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    took: [AtomicU64; BOUNDS + 1],
    took_nanos: AtomicU64,
}

/// There is one writer: no other addition can come in between.
fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Counters {
    /// For operations of these names.
    pub fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() < usize::from(u8::MAX), "the last number is for the unknown");
        let operations = (0..=names.len()).map(|_| ByOperation::default()).collect();
        Self { names, operations, ..Self::default() }
    }

    /// A request was answered.
    pub fn answered(&self, request: &Answered) {
        let Answered { operation, status, sent, received, nanos } = *request;
        let class = usize::from(status / 100).min(5);
        let micros = nanos / 1000;
        let bound = (0..BOUNDS).position(|bound| micros < 16 << (2 * bound));
        let bound = bound.unwrap_or(BOUNDS);
        add(&self.answered[class], 1);
        add(&self.content, sent);
        add(&self.took[bound], 1);
        add(&self.took_nanos, nanos);
        let place = usize::from(operation).min(self.names.len());
        if let Some(of) = self.operations.get(place) {
            add(&of.answered[class], 1);
            add(&of.sent, sent);
            add(&of.received, received);
            add(&of.took[bound], 1);
            add(&of.took_nanos, nanos);
        }
    }
    /// From the kept replies.
    pub fn kept(&self) {
        add(&self.kept, 1);
    }
    /// Bytes came.
    pub fn received(&self, bytes: u64) {
        add(&self.received, bytes);
    }
    /// Bytes went.
    pub fn sent(&self, bytes: u64) {
        add(&self.sent, bytes);
    }
    /// A connection came.
    pub fn opened(&self) {
        add(&self.opened, 1);
    }
    /// A connection went.
    pub fn closed(&self) {
        add(&self.closed, 1);
    }
    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.answered.iter().map(|counter| counter.load(Relaxed)).sum()
    }
}

fn sum(all: &[Arc<Counters>], of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
    all.iter().map(|counters| of(counters).load(Relaxed)).sum()
}

/// All reactors' counters together, in Prometheus's text format.
pub fn render(all: &[Arc<Counters>], into: &mut String) {
    let plain: [(&str, &str, u64); 5] = [
        ("kept_replies_total", "Requests answered by a kept reply.", sum(all, |it| &it.kept)),
        ("content_bytes_total", "Bytes of replies' content.", sum(all, |it| &it.content)),
        ("received_bytes_total", "Bytes received.", sum(all, |it| &it.received)),
        ("sent_bytes_total", "Bytes sent.", sum(all, |it| &it.sent)),
        ("connections_total", "Connections accepted.", sum(all, |it| &it.opened)),
    ];
    for (name, help, value) in plain {
        total(into, name, help, value);
    }
    let open = sum(all, |it| &it.opened).saturating_sub(sum(all, |it| &it.closed));
    gauge(into, "connections", "Connections that are open.", open);
    head(into, "requests_total", "Requests answered, by class of status.", "counter");
    for class in 1..6 {
        let labels = format!("{{status=\"{class}xx\"}}");
        line(into, "requests_total", &labels, sum(all, |it| &it.answered[class]));
    }
    durations(all, into);
    operations(all, into);
}

/// One of the counters of an operation.
type Of = fn(&ByOperation) -> &AtomicU64;

/// What was counted by operation; only of those that were asked for.
fn operations(all: &[Arc<Counters>], into: &mut String) {
    let names = all.first().map_or(&[][..], |first| first.names);
    let sum = |place: usize, of: Of| -> u64 {
        let each = all.iter().filter_map(|counters| counters.operations.get(place));
        each.map(|one| of(one).load(Relaxed)).sum()
    };
    let class = |place: usize, class: usize| -> u64 {
        let each = all.iter().filter_map(|counters| counters.operations.get(place));
        each.map(|one| one.answered[class].load(Relaxed)).sum()
    };
    let asked: Vec<(usize, &str)> = names
        .iter()
        .copied()
        .chain([UNKNOWN])
        .enumerate()
        .filter(|(place, _)| (1..6).any(|hundred| class(*place, hundred) > 0))
        .collect();
    let name = "operation_requests_total";
    head(into, name, "Requests answered, by operation and class of status.", "counter");
    for (place, operation) in &asked {
        for hundred in (1..6).filter(|hundred| class(*place, *hundred) > 0) {
            let labels = format!("{{operation=\"{operation}\",status=\"{hundred}xx\"}}");
            line(into, name, &labels, class(*place, hundred));
        }
    }
    let bytes: [(&str, &str, Of); 2] = [
        ("operation_sent_bytes_total", "Bytes of replies' content, by operation.", |it| &it.sent),
        ("operation_received_bytes_total", "Bytes of content received, by operation.", |it| {
            &it.received
        }),
    ];
    for (name, help, of) in bytes {
        head(into, name, help, "counter");
        for (place, operation) in &asked {
            line(into, name, &format!("{{operation=\"{operation}\"}}"), sum(*place, of));
        }
    }
    operation_durations(all, &asked, into);
}

fn operation_durations(all: &[Arc<Counters>], asked: &[(usize, &str)], into: &mut String) {
    let name = "operation_seconds";
    head(into, name, "From a request's head to the end of its reply, by operation.", "histogram");
    for (place, operation) in asked {
        let each = || all.iter().filter_map(|counters| counters.operations.get(*place));
        let mut total = 0;
        for bound in 0..=BOUNDS {
            total += each().map(|one| one.took[bound].load(Relaxed)).sum::<u64>();
            let labels = format!("{{operation=\"{operation}\",le=\"{}\"}}", told(bound));
            line(into, "operation_seconds_bucket", &labels, total);
        }
        let nanos: u64 = each().map(|one| one.took_nanos.load(Relaxed)).sum();
        let seconds = nanos as f64 / 1e9;
        let labels = format!("{{operation=\"{operation}\"}}");
        let _ = writeln!(into, "bedplate_gateway_operation_seconds_sum{labels} {seconds}");
        line(into, "operation_seconds_count", &labels, total);
    }
}

/// A bound of the histogram, in seconds.
fn told(bound: usize) -> String {
    match bound {
        BOUNDS => "+Inf".to_owned(),
        bound => (f64::from(16_u32 << (2 * bound)) / 1e6).to_string(),
    }
}

/// One number that goes up and down.
pub fn gauge(into: &mut String, name: &str, help: &str, value: u64) {
    head(into, name, help, "gauge");
    line(into, name, "", value);
}

/// One number that only goes up.
pub fn total(into: &mut String, name: &str, help: &str, value: u64) {
    head(into, name, help, "counter");
    line(into, name, "", value);
}

fn durations(all: &[Arc<Counters>], into: &mut String) {
    let name = "request_seconds";
    head(into, name, "From a request's head to the end of its reply.", "histogram");
    let mut total = 0;
    for bound in 0..=BOUNDS {
        total += sum(all, |it| &it.took[bound]);
        line(into, "request_seconds_bucket", &format!("{{le=\"{}\"}}", told(bound)), total);
    }
    let seconds = sum(all, |it| &it.took_nanos) as f64 / 1e9;
    let _ = writeln!(into, "bedplate_gateway_request_seconds_sum {seconds}");
    line(into, "request_seconds_count", "", total);
}

fn head(into: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(into, "# HELP bedplate_gateway_{name} {help}");
    let _ = writeln!(into, "# TYPE bedplate_gateway_{name} {kind}");
}

fn line(into: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(into, "bedplate_gateway_{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let counters = || Arc::new(Counters::new(&["GetObject", "PutObject", "ListParts"]));
        let all = [counters(), counters()];
        let (operation, nanos) = (0, 20_000);
        let found = Answered { operation, status: 200, sent: 4096, received: 0, nanos };
        all[0].answered(&found);
        let nanos = 3_000_000_000_000;
        all[1].answered(&Answered { status: 404, sent: 10, nanos, ..found });
        let stored = Answered { operation: 1, status: 200, sent: 0, received: 7, nanos: 500_000 };
        all[1].answered(&stored);
        all[1].answered(&Answered { operation: u8::MAX, status: 403, ..found });
        all[0].opened();
        all[1].opened();
        all[1].closed();
        let mut text = String::new();
        render(&all, &mut text);
        for expected in [
            "bedplate_gateway_requests_total{status=\"2xx\"} 2\n",
            "bedplate_gateway_requests_total{status=\"4xx\"} 2\n",
            "bedplate_gateway_operation_requests_total{operation=\"GetObject\",status=\"4xx\"} 1\n",
            "bedplate_gateway_operation_requests_total{operation=\"PutObject\",status=\"2xx\"} 1\n",
            "bedplate_gateway_operation_requests_total{operation=\"Unknown\",status=\"4xx\"} 1\n",
            "bedplate_gateway_operation_sent_bytes_total{operation=\"GetObject\"} 4106\n",
            "bedplate_gateway_operation_received_bytes_total{operation=\"PutObject\"} 7\n",
            "bedplate_gateway_operation_seconds_bucket{operation=\"GetObject\",le=\"0.000064\"} 1\n",
            "bedplate_gateway_operation_seconds_count{operation=\"GetObject\"} 2\n",
            "bedplate_gateway_operation_seconds_sum{operation=\"PutObject\"} 0.0005\n",
            "bedplate_gateway_connections 1\n",
            "bedplate_gateway_content_bytes_total 8202\n",
            "bedplate_gateway_request_seconds_bucket{le=\"0.000016\"} 0\n",
            "bedplate_gateway_request_seconds_bucket{le=\"0.000064\"} 2\n",
            "bedplate_gateway_request_seconds_bucket{le=\"+Inf\"} 4\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        assert!(!text.contains("ListParts"), "{text}");
        assert_eq!(all[0].requests(), 1);
    }
}
