//! The control plane about itself: health, who asks, its CA, its document, its metrics.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use model::api::{Caller, GetAuthority, GetHealth, GetMetrics, GetOpenapi, GetSelf, Health};
use model::machine::Lifecycle;

use super::incoming::Incoming;
use super::metrics::{OPERATION_STATES, StateCounts};
use super::principal::Principal;
use super::refusal::internal;
use super::route::{Answered, Outcome, Routes};
use crate::nouns::Nouns;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<GetHealth, _, _>(health)
        .add::<GetOpenapi, _, _>(openapi)
        .add::<GetAuthority, _, _>(authority)
        .add::<GetMetrics, _, _>(metrics)
        .add::<GetSelf, _, _>(whoami)
}

async fn health(incoming: Incoming<GetHealth>) -> Outcome<GetHealth> {
    let leader = &incoming.plane.leader;
    Ok(Answered::document(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        leader: leader.leads(),
        revision: leader.revision(),
        now: incoming.plane.clock.now(),
    }))
}

async fn openapi(_: Incoming<GetOpenapi>) -> Outcome<GetOpenapi> {
    Ok(Answered::document(super::openapi::openapi()))
}

async fn authority(incoming: Incoming<GetAuthority>) -> Outcome<GetAuthority> {
    let pem = incoming.plane.authority.pem().to_owned();
    Ok(text(pem, "application/x-pem-file"))
}

/// Metrics count what everybody does, so they are not for those who are bound to a project.
async fn metrics(incoming: Incoming<GetMetrics>) -> Outcome<GetMetrics> {
    incoming.of_no_project()?;
    let plane = &incoming.plane;
    let counts = count(&plane.leader.read());
    plane.metrics.state(plane.leader.revision(), plane.leader.leads(), &counts);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(text(plane.metrics.text(), kind))
}

fn count(nouns: &Nouns) -> StateCounts {
    let mut counts = StateCounts { outstanding: nouns.outbox.len(), ..StateCounts::default() };
    for (_, machine) in nouns.machines.iter() {
        let lifecycle = machine.status.lifecycle;
        let place = Lifecycle::ALL.iter().position(|it| *it == lifecycle);
        counts.machines[place.expect("every lifecycle is among all of them")] += 1;
    }
    for operation in nouns.operations.values() {
        let place = OPERATION_STATES.iter().position(|it| *it == operation.state);
        counts.operations[place.expect("every state is among all of them")] += 1;
    }
    counts
}

async fn whoami(incoming: Incoming<GetSelf>) -> Outcome<GetSelf> {
    match &incoming.principal {
        Principal::Person(person) => Ok(Answered::document(Caller {
            name: person.name.clone(),
            role: person.role,
            project: person.project.clone(),
        })),
        _ => Err(internal("somebody without a token came past the authorisation")),
    }
}

fn text<E: model::api::Endpoint>(text: String, kind: &'static str) -> Answered<E> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Answered::raw(response)
}
