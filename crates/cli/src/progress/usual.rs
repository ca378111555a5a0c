//! How long each step usually takes: the middle of what it took here lately, or what
//! it takes on the field's hardware while nothing is known here.

use std::collections::BTreeMap;

use client::{Client, ClientError, Options};
use model::Duration;
use model::api::{GetOperation, ListOperations};
use model::machine::StepKind;
use model::operation::{OperationKind, OperationState, StepRecord, StepResult};

/// Past operations that are looked at.
const LOOKED_AT: usize = 5;
/// Among how many of the newest.
const AMONG: &str = "100";

/// How long each step usually takes.
#[derive(Debug, Default)]
pub struct Usual {
    seen: BTreeMap<StepKind, Duration>,
}

impl Usual {
    /// Learns from the last operations of a kind that came to their end. Knows less
    /// when they cannot be read.
    pub async fn learn(client: &Client, kind: OperationKind) -> Self {
        let records = records(client, kind).await.unwrap_or_default();
        Self::from_records(&records)
    }

    /// The middle of what steps took that came to their evidence.
    pub fn from_records(records: &[StepRecord]) -> Self {
        let mut spans: BTreeMap<StepKind, Vec<Duration>> = BTreeMap::new();
        for step in records.iter().filter(|step| step.result == Some(StepResult::Done)) {
            if let Some(ended) = step.ended {
                spans.entry(step.kind).or_default().push(ended.since(step.started));
            }
        }
        let middle = |mut spans: Vec<Duration>| {
            spans.sort();
            spans[spans.len() / 2]
        };
        Self { seen: spans.into_iter().map(|(kind, spans)| (kind, middle(spans))).collect() }
    }

    /// How long a step usually takes.
    pub fn of(&self, step: StepKind) -> Duration {
        let secs = match step {
            StepKind::ReadParts => 5,
            StepKind::PointAtImage => 3,
            StepKind::Restart => 120,
            StepKind::AwaitAgent => 30,
            StepKind::ReportParts => 3,
            StepKind::Attest => 3,
            StepKind::BurnIn => 15,
            StepKind::WriteImage => 60,
            StepKind::BootDisk => 3,
            StepKind::AwaitSystem => 120,
            StepKind::Sanitise => 60,
        };
        self.seen.get(&step).copied().unwrap_or(Duration::from_secs(secs))
    }
}

async fn records(client: &Client, kind: OperationKind) -> Result<Vec<StepRecord>, ClientError> {
    let query = [("limit", AMONG)];
    let page = client.call::<ListOperations>(&[], &query, &(), Options::default()).await?;
    let alike =
        |it: &&model::operation::Operation| it.kind == kind && it.state == OperationState::Done;
    let mut records = Vec::new();
    for operation in page.items.iter().filter(alike).take(LOOKED_AT) {
        let id = operation.id.to_string();
        let detail = client.call::<GetOperation>(&[&id], &[], &(), Options::default()).await?;
        records.extend(detail.steps);
    }
    Ok(records)
}
