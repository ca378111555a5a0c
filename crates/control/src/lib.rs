//! The control plane: the API, identities, and the loops that carry out what the
//! engines decide.
//!
//! The way of a change: a request comes in by [`api`] (people), [`agents`]
//! (machines) or [`carriers`] (BMCs, timers), becomes a [`cell::Ask`], is decided
//! by [`cell::Cell`] (pure), recorded by [`leader`] (one thread, group commit),
//! and only then answered, shown to watchers and carried out.

pub mod agents;
pub mod api;
pub mod carriers;
pub mod cell;
pub mod identity;
pub mod images;
pub mod leader;
pub mod nouns;
pub mod placing;
pub mod plane;
pub mod server;
