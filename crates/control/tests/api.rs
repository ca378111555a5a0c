//! The API as callers meet it: every endpoint by every role, etags, idempotency
//! keys, pages, watches, uploads, TLS, and that the documents say what is served.
//!
//! The control plane behind it is the real one on a simulated disk.

#[path = "api/authorisation.rs"]
mod authorisation;
#[path = "api/conditions.rs"]
mod conditions;
#[path = "api/documents.rs"]
mod documents;
#[path = "api/house.rs"]
mod house;
#[path = "api/images.rs"]
mod images;
#[path = "api/instances.rs"]
mod instances;
#[path = "api/listener.rs"]
mod listener;
#[path = "api/machines.rs"]
mod machines;
#[path = "api/operations.rs"]
mod operations;
#[path = "api/pages.rs"]
mod pages;
#[path = "api/problems.rs"]
mod problems;
#[path = "api/routes.rs"]
mod routes;
#[path = "api/seed.rs"]
mod seed;
#[path = "api/tokens.rs"]
mod tokens;
#[path = "api/watches.rs"]
mod watches;
