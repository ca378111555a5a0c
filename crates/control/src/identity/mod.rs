//! Who is who: our own certificate authority from the first second, the keys that
//! seal secrets at rest, and the tokens by which people prove themselves.
//!
//! Read in this order: [`authority`] (makes certificates), [`peer`] (reads them),
//! [`tls`] (both in a TLS configuration), [`sanitised`] (signs what was wiped),
//! [`keys`] (seals passwords), [`tokens`].

pub mod authority;
mod durable;
pub mod error;
mod issue;
pub mod keys;
pub mod peer;
mod renewed;
pub mod sanitised;
pub mod tls;
pub mod tokens;

pub use authority::{Authority, Names};
pub(crate) use durable::sync_directory;
pub use error::IdentityError;
pub use issue::AgentCertificate;
pub use keys::{KeyProvider, Purpose};
pub use peer::Peer;
pub use sanitised::verify_certificate;
pub use tls::ClientAuth;
