//! TLS configurations for listeners and clients among roles. They check dates by
//! the control plane's clock, and sessions are never resumed: a resumed session
//! would skip the check of the client's certificate, and with it its expiry.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use world::Clock;

use super::{Authority, IdentityError};

/// Whether whoever connects must show a certificate of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It may; people come without one. One that is shown must be good.
    Optional,
    /// It must.
    Required,
}

impl Authority {
    /// For a listener of the control plane. HTTP/2 and HTTP/1.1 are offered.
    pub fn server_config(&self, auth: ClientAuth) -> Result<Arc<ServerConfig>, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone());
        let verifier = match auth {
            ClientAuth::Optional => verifier.allow_unauthenticated(),
            ClientAuth::Required => verifier,
        };
        let verifier = verifier.build().map_err(making)?;
        let mut config = ServerConfig::builder_with_details(provider, self.time())
            .with_safe_default_protocol_versions()
            .map_err(making)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.own.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// For a connection from the control plane to another role: it trusts only our
    /// authority, and shows the control plane's certificate.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_details(provider, self.time())
            .with_safe_default_protocol_versions()
            .map_err(making)?
            .with_root_certificates(self.roots.clone())
            .with_client_cert_resolver(self.own.clone());
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::new(ByClock(self.clock.clone()))
    }
}

fn making(error: impl fmt::Display) -> IdentityError {
    IdentityError::Making(error.to_string())
}

/// The control plane's clock, as rustls asks for it.
struct ByClock(Arc<dyn Clock>);

impl fmt::Debug for ByClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByClock")
    }
}

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
