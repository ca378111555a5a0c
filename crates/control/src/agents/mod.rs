//! What a machine's own agent can ask: to be let in, its orders, its image, and to
//! tell what came of them; and the one call of a deployed system.
//!
//! Before an agent is let in nothing that it says is believed; afterwards it speaks
//! by its certificate, about its own machine only, and only as long as no other
//! agent has taken its place.
//!
//! Read in this order: [`hello`] (who are you, and prove it), [`prove`] (let in),
//! [`orders`], [`reports`], [`image`], [`home`].

mod caller;
mod hello;
mod home;
mod image;
mod incoming;
mod orders;
mod prove;
mod recognise;
mod reports;
mod sessions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::FromRequestParts;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::request::Parts;
use model::api::{
    AgentHello, AgentImage, AgentNewsPosted, AgentOrders, AgentProve, CallHome, Endpoint,
};
use model::id::{EffectId, MachineId};

use crate::api::Refusal;
use crate::plane::Plane;
pub use orders::Orders;
pub use sessions::SESSIONS_MOST;
use sessions::Sessions;

/// What the handlers share.
#[derive(Clone)]
struct Agents {
    plane: Arc<Plane>,
    talks: Talks,
}

/// What is going on between us and agents; in memory only.
#[derive(Clone, Default)]
struct Talks {
    // Std mutexes: held for a look into a map, never across an await.
    sessions: Arc<Mutex<Sessions>>,
    given: Arc<Mutex<HashMap<MachineId, Given>>>,
}

/// An agent's certificate, and the orders that it was given last.
type Given = (String, Vec<EffectId>);

impl FromRequestParts<Arc<Plane>> for Agents {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Refusal> {
        let talks = parts.extensions.get::<Talks>().expect("the router adds it to each request");
        Ok(Self { plane: plane.clone(), talks: talks.clone() })
    }
}

/// The endpoints of agents and systems. It relies on the listener to put the
/// [`crate::identity::Peer`] of an mTLS connection and axum's `ConnectInfo` into
/// the extensions of each request.
pub fn router() -> Router<Arc<Plane>> {
    Router::new()
        .route(AgentHello::INFO.path, post(hello::hello))
        .route(AgentProve::INFO.path, post(prove::prove))
        .route(AgentOrders::INFO.path, get(orders::orders))
        .route(AgentNewsPosted::INFO.path, post(reports::report))
        .route(AgentImage::INFO.path, get(image::image))
        .route(CallHome::INFO.path, post(home::call_home))
        .layer(Extension(Talks::default()))
}
