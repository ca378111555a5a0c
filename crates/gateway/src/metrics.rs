//! What is counted: each reactor has its own counters and is the only one that writes
//! them, so that counting takes no lock and no shared line of the cache.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bounds of the histogram of durations: 16 µs, and on by factors of four.
const BOUNDS: usize = 11;

/// One reactor's counters.
#[derive(Debug, Default)]
pub struct Counters {
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
    /// A request was answered, with so many bytes of content, after so many nanoseconds.
    pub fn answered(&self, status: u16, content: u64, nanos: u64) {
        add(&self.answered[usize::from(status / 100).min(5)], 1);
        add(&self.content, content);
        let micros = nanos / 1000;
        let bound = (0..BOUNDS).position(|bound| micros < 16 << (2 * bound));
        add(&self.took[bound.unwrap_or(BOUNDS)], 1);
        add(&self.took_nanos, nanos);
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
        let label = if bound == BOUNDS {
            "{le=\"+Inf\"}".to_owned()
        } else {
            format!("{{le=\"{}\"}}", f64::from(16_u32 << (2 * bound)) / 1e6)
        };
        line(into, "request_seconds_bucket", &label, total);
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
        let all = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        all[0].answered(200, 4096, 20_000);
        all[1].answered(404, 10, 3_000_000_000_000);
        all[0].opened();
        all[1].opened();
        all[1].closed();
        let mut text = String::new();
        render(&all, &mut text);
        for expected in [
            "bedplate_gateway_requests_total{status=\"2xx\"} 1\n",
            "bedplate_gateway_requests_total{status=\"4xx\"} 1\n",
            "bedplate_gateway_connections 1\n",
            "bedplate_gateway_content_bytes_total 4106\n",
            "bedplate_gateway_request_seconds_bucket{le=\"0.000016\"} 0\n",
            "bedplate_gateway_request_seconds_bucket{le=\"0.000064\"} 1\n",
            "bedplate_gateway_request_seconds_bucket{le=\"+Inf\"} 2\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        assert_eq!(all[0].requests(), 1);
    }
}
