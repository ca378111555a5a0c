//! Which gateway, and which access key: from flags, else from the variables that every
//! client of S3 knows, else from what a gateway of this host left in its directory.
//!
//! Keys go where their address came from: the key in a directory is for the gateway of
//! that directory and goes to no other address, and the variables' key does not go to
//! the directory's gateway.

use std::path::{Path, PathBuf};

use clap::Args;
use client::objects::{AccessKey, ObjectSettings, Objects};
use model::Secret;
use model::gateway::{GATEWAY_ACCESS, GatewayAccess};

use crate::Failure;
use crate::session::Session;

/// Heading of the options that say which gateway.
const HEADING: &str = "Which gateway";
/// The region of who says none.
const REGION: &str = "us-east-1";

/// Which gateway, and which access key.
#[derive(Args, Clone, Debug, Default)]
pub struct Reach {
    /// The gateway: http://host:port or https://host:port; AWS_ENDPOINT_URL does the same
    #[arg(long, global = true, value_name = "URL", help_heading = HEADING)]
    pub endpoint: Option<String>,
    /// Its region; AWS_REGION does the same [default: us-east-1]
    #[arg(long, global = true, value_name = "NAME", help_heading = HEADING)]
    pub region: Option<String>,
    /// The access key's id; AWS_ACCESS_KEY_ID does the same. The secret is read from AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN where there is one, or from --secret-file
    #[arg(long, global = true, value_name = "ID", help_heading = HEADING)]
    pub access_key: Option<String>,
    /// File with the secret
    #[arg(long, global = true, value_name = "FILE", requires = "access_key", help_heading = HEADING)]
    pub secret_file: Option<PathBuf>,
    /// Ask without an access key
    #[arg(long, global = true, conflicts_with = "access_key", help_heading = HEADING)]
    pub anonymous: bool,
    /// Directory of a gateway on this host, whose address and first key are used [default: gateway in the data directory]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "endpoint", help_heading = HEADING)]
    pub gateway: Option<PathBuf>,
}

impl Reach {
    /// The directory of a gateway on this host.
    pub fn directory(&self, data: &Path) -> PathBuf {
        self.gateway.clone().unwrap_or_else(|| data.join("gateway"))
    }

    /// A client. `ca`: what `--ca` says.
    ///
    /// # Errors
    /// When nobody says where the gateway is, or with which key, or a file cannot be read.
    pub fn connect(&self, session: &Session) -> Result<Objects, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let ca_pem = session.authority_file()?;
        let settings = self.settings(&session.directory(), &variable, ca_pem)?;
        Ok(Objects::new(settings)?)
    }

    /// What is known, from where it is to be known.
    ///
    /// # Errors
    /// As [`Reach::connect`].
    pub fn settings(
        &self,
        data: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
        ca_pem: Option<String>,
    ) -> Result<ObjectSettings, Failure> {
        let said = match self.gateway {
            Some(_) => None,
            None => self.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL")),
        };
        let directory = self.directory(data);
        let local = match &said {
            Some(_) => None,
            None => Some(access(&directory)?.ok_or_else(|| nowhere(&directory))?),
        };
        let region = self.region.clone();
        let region = region.or_else(|| local.as_ref().map(|local| local.region.clone()));
        let region = region.or_else(|| variable("AWS_REGION")).unwrap_or_else(|| REGION.to_owned());
        let key = match (self.anonymous, &self.access_key, &local) {
            (true, ..) => None,
            (false, Some(id), _) => Some(self.named(id, variable)?),
            (false, None, Some(local)) => Some(AccessKey {
                id: local.access_key.clone(),
                secret: local.secret_key.clone(),
                session: None,
            }),
            (false, None, None) => Some(of_variables(variable)?),
        };
        let endpoint = said.or_else(|| local.map(|local| local.endpoint)).unwrap_or_default();
        Ok(ObjectSettings { endpoint, region, key, ca_pem })
    }

    /// A key whose id is on the command line.
    fn named(
        &self,
        id: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<AccessKey, Failure> {
        let secret = match &self.secret_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Failure::file(path, &error))?;
                text.trim().to_owned()
            }
            None => variable("AWS_SECRET_ACCESS_KEY").ok_or_else(no_secret)?,
        };
        let session = variable("AWS_SESSION_TOKEN").map(Secret::new);
        Ok(AccessKey { id: id.to_owned(), secret: Secret::new(secret), session })
    }
}

fn of_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<AccessKey, Failure> {
    let id = variable("AWS_ACCESS_KEY_ID").ok_or_else(no_key)?;
    let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(no_secret)?;
    let session = variable("AWS_SESSION_TOKEN").map(Secret::new);
    Ok(AccessKey { id, secret: Secret::new(secret), session })
}

/// What a gateway of this host left for clients; `None` where none ever ran.
///
/// # Errors
/// When it is another user's, or not understood.
pub fn access(directory: &Path) -> Result<Option<GatewayAccess>, Failure> {
    let path = directory.join(GATEWAY_ACCESS);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::file(&path, &error)
                .next("Run it as the user who runs the gateway, or give --endpoint and a key."));
        }
    };
    let strange = |error: serde_json::Error| {
        Failure::new("file", format!("{} is not understood", path.display()))
            .why(error.to_string())
            .next("Start the gateway again: it writes the file anew. Or give --endpoint and a key.")
    };
    serde_json::from_slice(&text).map(Some).map_err(strange)
}

fn nowhere(directory: &Path) -> Failure {
    Failure::new("gateway-unknown", "Nobody said where the gateway is")
        .why(format!("no gateway has run with {}", directory.display()))
        .next("Start one with: bedplate gateway\nElsewhere? Say where with --endpoint or AWS_ENDPOINT_URL, or its directory with --gateway.")
}

fn no_key() -> Failure {
    Failure::new("access-key-missing", "There is no access key").next(
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ask without a key: --anonymous\nA new key: bedplate gateway key create ACCOUNT, on the gateway's host.",
    )
}

fn no_secret() -> Failure {
    Failure::new("access-key-missing", "There is no secret for the access key")
        .next("Set AWS_SECRET_ACCESS_KEY, or give a file with --secret-file.")
}
