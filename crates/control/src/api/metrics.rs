//! What happens, in numbers, for Prometheus.
//!
//! Every metric is one field here and is counted by a method, so that the names
//! are in one place. Those that describe the state (machines by lifecycle,
//! operations by state) are set from the committed state when they are asked for.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use model::ErrorCode;
use model::machine::Lifecycle;
use model::operation::OperationState;

/// One label and its value.
type One = [(&'static str, &'static str); 1];
/// Two labels and their values.
type Two = [(&'static str, String); 2];

/// Counts what happens.
pub struct Metrics {
    registry: Registry,
    requests: Family<Two, Counter>,
    latency: Family<One, Histogram>,
    refusals: Family<One, Counter>,
    watches: Gauge,
    machines: Family<One, Gauge>,
    operations: Family<One, Gauge>,
    effects_outstanding: Gauge,
    effects: Family<Two, Counter>,
    commits: Counter,
    changes: Counter,
    commit_latency: Histogram,
    revision: Gauge,
    leader: Gauge,
    agents: Gauge,
    sightings: Counter,
    image_bytes: Counter,
    /// What else this process tells.
    more: OnceLock<More>,
}

/// Appends metrics in the text format of OpenMetrics, without its end.
pub type More = Box<dyn Fn(&mut String) + Send + Sync>;

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn latencies() -> Histogram {
    // From half a millisecond to 16 seconds.
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bedplate"),
            requests: Family::default(),
            latency: Family::new_with_constructor(latencies),
            refusals: Family::default(),
            watches: Gauge::default(),
            machines: Family::default(),
            operations: Family::default(),
            effects_outstanding: Gauge::default(),
            effects: Family::default(),
            commits: Counter::default(),
            changes: Counter::default(),
            commit_latency: latencies(),
            revision: Gauge::default(),
            leader: Gauge::default(),
            agents: Gauge::default(),
            sightings: Counter::default(),
            image_bytes: Counter::default(),
            more: OnceLock::new(),
        };
        metrics.register();
        metrics
    }

    /// Gives every metric its name and its line of help.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("requests", "Requests by endpoint and status", self.requests.clone());
        to.register_with_unit(
            "request_latency",
            "From the head of a request to the head of its reply, by endpoint",
            Unit::Seconds,
            self.latency.clone(),
        );
        to.register("refusals", "Problems told, by code", self.refusals.clone());
        to.register("watches", "Watches that are open", self.watches.clone());
        to.register("machines", "Machines by lifecycle", self.machines.clone());
        to.register("operations", "Operations by state", self.operations.clone());
        to.register(
            "effects_outstanding",
            "Effects that were sent out and have no end yet",
            self.effects_outstanding.clone(),
        );
        to.register("effects", "Effects that ended, by carrier and result", self.effects.clone());
        to.register("commits", "Database transactions committed", self.commits.clone());
        to.register("changes", "Changes recorded", self.changes.clone());
        to.register_with_unit(
            "commit_latency",
            "How long a database transaction took",
            Unit::Seconds,
            self.commit_latency.clone(),
        );
        to.register("revision", "Newest revision recorded", self.revision.clone());
        to.register("leader", "1 while this one leads", self.leader.clone());
        to.register("agents_connected", "Agents that wait for orders", self.agents.clone());
        to.register("sightings", "Signs of life seen on the boot network", self.sightings.clone());
        to.register_with_unit(
            "image_received",
            "Bytes of images received",
            Unit::Bytes,
            self.image_bytes.clone(),
        );
    }

    /// A request was answered.
    pub fn request(&self, endpoint: &'static str, status: u16, took: Duration) {
        let labels = [("endpoint", endpoint.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&[("endpoint", endpoint)]).observe(took.as_secs_f64());
    }

    /// A problem was told.
    pub fn refusal(&self, code: ErrorCode) {
        self.refusals.get_or_create(&[("code", code.name())]).inc();
    }

    /// A watch began; it ends when the guard goes.
    pub fn watch(&self) -> Open {
        Open::new(&self.watches)
    }

    /// An agent waits for orders; it leaves when the guard goes.
    pub fn agent(&self) -> Open {
        Open::new(&self.agents)
    }

    /// An effect ended: `by` is `bmc` or `agent`, `result` is `done` or a kind of failure.
    pub fn effect(&self, by: &'static str, result: &str) {
        let labels = [("by", by.to_owned()), ("result", result.to_owned())];
        self.effects.get_or_create(&labels).inc();
    }

    /// A database transaction with so many changes was committed.
    pub fn commit(&self, changes: u64, took: Duration) {
        self.commits.inc();
        self.changes.inc_by(changes);
        self.commit_latency.observe(took.as_secs_f64());
    }

    /// A sign of life was seen.
    pub fn sighting(&self) {
        self.sightings.inc();
    }

    /// Bytes of an image came in.
    pub fn image_received(&self, bytes: u64) {
        self.image_bytes.inc_by(bytes);
    }

    /// The state as it is now: counts in the order of [`Lifecycle::ALL`] and of
    /// [`OPERATION_STATES`].
    pub(super) fn state(&self, revision: u64, leads: bool, counts: &StateCounts) {
        self.revision.set(signed(revision));
        self.leader.set(i64::from(leads));
        self.effects_outstanding.set(signed(counts.outstanding as u64));
        for (lifecycle, count) in Lifecycle::ALL.iter().zip(counts.machines) {
            let labels = [("lifecycle", lifecycle.name())];
            self.machines.get_or_create(&labels).set(signed(count));
        }
        for (state, count) in OPERATION_STATES.iter().zip(counts.operations) {
            self.operations.get_or_create(&[("state", state.name())]).set(signed(count));
        }
    }

    /// The text of all metrics (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        if let Some(more) = self.more.get() {
            const END: &str = "# EOF\n";
            text.truncate(text.trim_end_matches(END).len());
            more(&mut text);
            text.push_str(END);
        }
        text
    }

    /// Another service of this process tells its metrics here. There is one at most.
    pub fn tell_more(&self, more: More) {
        assert!(self.more.set(more).is_ok(), "one service tells more");
    }
}

/// The states of an operation, in the order in which they are counted.
pub(super) const OPERATION_STATES: [OperationState; 4] = [
    OperationState::Running,
    OperationState::Done,
    OperationState::NeedsAttention,
    OperationState::Abandoned,
];

/// How many there are of each.
#[derive(Default)]
pub(super) struct StateCounts {
    /// By [`Lifecycle::ALL`].
    pub machines: [u64; 13],
    /// By [`OPERATION_STATES`].
    pub operations: [u64; 4],
    /// Effects that are out.
    pub outstanding: usize,
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Something that is open as long as this exists.
pub struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.request("getHealth", 200, Duration::from_millis(3));
        metrics.commit(4, Duration::from_millis(1));
        let watch = metrics.watch();
        let counts = StateCounts { machines: [7; 13], operations: [2; 4], outstanding: 3 };
        metrics.state(12, true, &counts);
        let text = metrics.text();
        for line in [
            "bedplate_requests_total{endpoint=\"getHealth\",status=\"200\"} 1",
            "bedplate_changes_total 4",
            "bedplate_watches 1",
            "bedplate_machines{lifecycle=\"available\"} 7",
            "bedplate_operations{state=\"needs-attention\"} 2",
            "bedplate_effects_outstanding 3",
            "bedplate_revision 12",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(watch);
        assert!(metrics.text().contains("bedplate_watches 0"));
    }
}
