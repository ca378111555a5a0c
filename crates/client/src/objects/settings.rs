//! Which gateway, and who asks.

use model::Secret;

/// What signs.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The access key's id.
    pub id: String,
    /// The secret.
    pub secret: Secret,
    /// What goes along with session credentials.
    pub session: Option<Secret>,
}

/// Which gateway, and who asks.
#[derive(Clone, Debug)]
pub struct ObjectSettings {
    /// `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// The region that signatures are for.
    pub region: String,
    /// Nobody in particular asks when there is none.
    pub key: Option<AccessKey>,
    /// The certificate of a CA (PEM), and then no other is trusted.
    pub ca_pem: Option<String>,
}
