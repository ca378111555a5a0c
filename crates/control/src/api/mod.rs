//! The API of people and scripts: HTTPS, JSON, one endpoint for each row of the
//! table in [`model::api`].
//!
//! The way of a request: [`listener`] (TLS, who is at the other end), [`observe`]
//! (its id, log and metrics), [`authorise`] (may they), [`incoming`] (path, query,
//! headers, body, all bounded), one handler in the file of its noun, and back by
//! [`route`]. Whatever goes wrong on the way leaves by [`refusal`].
//!
//! Endpoints are made by [`route`] from the table, so that neither method nor path
//! nor permission nor the types can differ from it. What a token of a project has
//! to do with is in [`scope`], and what is never shown in [`shown`].

mod authorise;
mod console;
mod deploy;
mod discover;
mod documentation;
mod enroll;
mod events;
mod explain;
mod fleet;
mod hosts;
mod house;
mod image_content;
mod images;
mod incoming;
mod instance_types;
mod instances;
mod listener;
mod machines;
mod metrics;
mod observe;
mod openapi;
mod operations;
mod page;
mod placement_groups;
mod policies;
mod power;
mod principal;
mod projects;
mod quarantine;
mod query;
mod refusal;
mod replies;
mod route;
mod scope;
mod shown;
mod table;
pub mod timeline;
mod tokens;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::plane::Plane;

pub use documentation::endpoint_table;
pub use listener::serve;
pub use metrics::{Metrics, Open};
pub use observe::RequestName;
pub use openapi::{openapi, openapi_text};
pub use refusal::Refusal;
use route::Routes;

/// Every endpoint of people, and the names of those that are served.
fn people() -> (Router<Arc<Plane>>, Vec<&'static str>) {
    let files = [
        house::routes,
        machines::routes,
        discover::routes,
        enroll::routes,
        power::routes,
        deploy::routes,
        quarantine::routes,
        timeline::routes,
        console::routes,
        fleet::routes,
        hosts::routes,
        instance_types::routes,
        placement_groups::routes,
        instances::routes,
        explain::routes,
        images::routes,
        image_content::routes,
        policies::routes,
        operations::routes,
        events::routes,
        projects::routes,
        tokens::routes,
    ];
    files.into_iter().fold(Routes::new(), |routes, add| add(routes)).finish()
}

/// Names of the endpoints that [`router`] serves.
pub fn served() -> Vec<&'static str> {
    people().1
}

/// The endpoints of people, ready to be served.
pub fn router(plane: Arc<Plane>) -> Router {
    surrounded(people().0.with_state(plane.clone()), plane)
}

/// The endpoints of machines, surrounded by the same observation and authorisation.
pub fn agent_router(plane: Arc<Plane>) -> Router {
    surrounded(crate::agents::router().with_state(plane.clone()), plane)
}

fn surrounded(router: Router, plane: Arc<Plane>) -> Router {
    router
        .layer(from_fn_with_state(plane.clone(), authorise::authorise))
        .layer(from_fn_with_state(plane, observe::observe))
}
