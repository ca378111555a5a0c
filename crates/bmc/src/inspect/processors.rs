//! Processors: one entry a socket. GPUs and FPGAs are in the same collection, but
//! are none of them.

use model::inventory::Processor;
use nv_redfish::schema::processor::{Processor as Resource, ProcessorType};
use nv_redfish::schema::resource::State;
use serde_json::Value;

use super::walk::{Walk, small, text};
use crate::document::Document;
use crate::failure::clean;

/// The most sockets that a summary may claim.
const MOST_SOCKETS: u64 = 64;

pub(super) async fn read(walk: &mut Walk, system: &Document) -> Vec<Processor> {
    let mut sockets = Vec::new();
    if let Some(collection) = system.link("/Processors") {
        let members = walk.members::<Resource>(&collection).await;
        sockets = members.iter().filter(|member| is_populated(member)).map(|m| part(m)).collect();
    }
    if sockets.is_empty() {
        sockets = from_summary(system);
    }
    sockets
}

fn is_populated(member: &Resource) -> bool {
    let kind = member.processor_type.flatten();
    let state = member.status.as_ref().and_then(|status| status.state.flatten());
    matches!(kind, None | Some(ProcessorType::Cpu)) && state != Some(State::Absent)
}

fn part(member: &Resource) -> Processor {
    Processor {
        model: text(&member.model),
        cores: small(member.total_cores),
        threads: small(member.total_threads),
    }
}

/// What the system says of its processors as a whole.
fn from_summary(system: &Document) -> Vec<Processor> {
    let Some(summary) = system.body.get("ProcessorSummary") else { return Vec::new() };
    let number = |name: &str| summary.get(name).and_then(Value::as_u64).unwrap_or(0);
    let sockets = number("Count").min(MOST_SOCKETS);
    let model = summary.get("Model").and_then(Value::as_str);
    let each = |total: u64| u32::try_from(total / sockets.max(1)).unwrap_or(0);
    let socket = Processor {
        model: model.map(|model| clean(model, 128)).unwrap_or_default(),
        cores: each(number("CoreCount")),
        threads: each(number("LogicalProcessorCount")),
    };
    (0..sockets).map(|_| socket.clone()).collect()
}
