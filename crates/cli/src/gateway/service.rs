//! The gateway of this host, as its administrator asks it.

use std::path::PathBuf;

use clap::Args;
use client::gateway_orders::{self, GatewayOrderError};
use model::gateway::GatewayOrder;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::session::Session;

/// Which gateway of this host.
#[derive(Args, Clone, Debug, Default)]
pub struct Which {
    /// Its directory [default: gateway in the data directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Which {
    /// Gives an order and waits for its answer.
    ///
    /// # Errors
    /// The failure as people see it: what the gateway says, or that there is none.
    pub async fn order<T>(&self, session: &Session, order: GatewayOrder) -> Result<T, Failure>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let usual = || session.directory().join("gateway");
        at(self.data.clone().unwrap_or_else(usual), order).await
    }
}

/// Gives an order to the gateway of a directory.
///
/// # Errors
/// As [`Which::order`].
pub async fn at<T>(directory: PathBuf, order: GatewayOrder) -> Result<T, Failure>
where
    T: DeserializeOwned + Send + 'static,
{
    let asked = tokio::task::spawn_blocking(move || gateway_orders::order(&directory, &order));
    Ok(asked.await.expect("asking does not panic")?)
}

impl From<GatewayOrderError> for Failure {
    fn from(error: GatewayOrderError) -> Self {
        let why = error.to_string();
        match error {
            GatewayOrderError::Refused(problem) => {
                Failure::new(&problem.code, problem.what).next(problem.next)
            }
            GatewayOrderError::Absent { directory, source } => {
                let next = match source.kind() {
                    std::io::ErrorKind::PermissionDenied => {
                        "Its socket is for its own user: run this as that user, or as root."
                    }
                    _ => {
                        "Start it with: bedplate gateway\nAnother directory? Say it with --data, or --dir."
                    }
                };
                let place = directory.display();
                Failure::new("gateway-absent", format!("No gateway answers in {place}"))
                    .why(source.to_string())
                    .next(next)
            }
            GatewayOrderError::Cut(_) => {
                Failure::new("gateway-silent", "The gateway did not answer")
                    .why(why)
                    .next("It may have done what it was asked: look, and at its log.")
            }
            GatewayOrderError::Strange(_) => {
                Failure::new("gateway-strange", "The answer of the gateway is not understood")
                    .why(why)
                    .next("Compare the versions: bedplate gateway status, bedplate --version")
            }
        }
    }
}
