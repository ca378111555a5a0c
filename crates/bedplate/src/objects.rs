//! The object gateway beside a control plane, in the same process: `bedplate up`. Its data
//! lie under the data directory, where verbs find its address and its first key; its
//! metrics are told with the control plane's.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ::gateway::access;
use ::gateway::admin;
use ::gateway::objects::{self, Opening};
use ::gateway::run;
use ::gateway::s3;
use ::gateway::serve::{Event, Options, ServeError, serve};
use ::gateway::tls;
use anyhow::{Context as _, Result, anyhow};
use clap::Args;

/// Where objects are served when nobody says it, and any other port when that is taken.
const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9000);
/// At the end, what has begun may take so long.
const DRAIN: Duration = Duration::from_secs(30);
/// Stored bytes that are read over in a second.
const SCRUB: u64 = 8 << 20;
const REGION: &str = "us-east-1";

/// Whether and where objects are served.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "objects")]
pub struct Arguments {
    /// Where objects are served, in the dialect S3 [default: 127.0.0.1:9000, or another port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<SocketAddr>,
    /// Serve no objects
    #[arg(long, conflicts_with_all = ["gateway", "gateway_certificate"])]
    pub no_gateway: bool,
    /// Serve objects by TLS, with the certificate chain in this file (PEM)
    #[arg(long, value_name = "FILE", requires = "gateway_key")]
    pub gateway_certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "gateway_certificate")]
    pub gateway_key: Option<PathBuf>,
}

/// A gateway that runs.
pub struct Objects {
    /// Where it serves.
    pub endpoint: String,
    /// It has just made its first access key.
    pub first: bool,
    metrics: admin::Metrics,
    events: Sender<Event>,
    thread: JoinHandle<()>,
}

/// What the gateway says when it serves.
struct Told {
    endpoint: String,
    first: bool,
    metrics: admin::Metrics,
}

impl Objects {
    /// Starts it. Waits until it serves.
    pub fn start(arguments: &Arguments, data: &Path) -> Result<Self> {
        let options = options(arguments, data)?;
        let (events, heard) = channel();
        let own = events.clone();
        let (tell, told) = sync_channel(1);
        let run = move || {
            let ended = serve_until(&options, (own, heard), |answer| {
                let _ = tell.send(Ok(answer));
            });
            if let Err(error) = ended {
                tracing::error!(%error, "objects are not served");
                let _ = tell.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("gateway".to_owned()).spawn(run)?;
        match told.recv() {
            Ok(Ok(Told { endpoint, first, metrics })) => {
                Ok(Self { endpoint, first, metrics, events, thread })
            }
            Ok(Err(error)) => Err(anyhow!(error).context("starting the object gateway")),
            Err(_) => Err(anyhow!("the object gateway ended before it served")),
        }
    }

    /// Its metrics, as the control plane tells its own.
    pub fn metrics(&self) -> Box<dyn Fn(&mut String) + Send + Sync> {
        let metrics = Arc::clone(&self.metrics);
        Box::new(move |into| {
            let mut text = String::new();
            metrics(&mut text);
            into.push_str(&open_metrics(&text));
        })
    }

    /// Takes no more connections, finishes what has begun, and ends.
    pub fn stop(self) {
        // When nobody hears it has ended already, and said why.
        let _ = self.events.send(Event::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the object gateway ended by a fault");
        }
    }
}

fn options(arguments: &Arguments, data: &Path) -> Result<Options> {
    let tls = match (&arguments.gateway_certificate, &arguments.gateway_key) {
        (Some(certificate), Some(key)) => Some(tls::configuration(certificate, key)?),
        _ => None,
    };
    // Probed without sharing: two gateways at one address would share its clients.
    let free = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let address = match arguments.gateway {
        Some(address) => {
            free(address).with_context(|| format!("listening on {address} for objects"))?;
            address
        }
        None if free(USUAL).is_ok() => USUAL,
        None => SocketAddr::new(USUAL.ip(), 0),
    };
    let encrypted = tls.is_some();
    // It shares the machine with the control plane: no core is its own.
    let settings = run::Settings { tls, pinned: false, ..run::Settings::default() };
    Ok(Options {
        data: std::path::absolute(data)?,
        listen: vec![(address, encrypted)],
        admin: None,
        settings,
        replaces: false,
        drain: DRAIN,
    })
}

/// Serves until an event says to end. `told` when it serves.
fn serve_until(
    options: &Options,
    events: (Sender<Event>, std::sync::mpsc::Receiver<Event>),
    told: impl FnOnce(Told),
) -> Result<(), ServeError> {
    let auth = s3::auth::Settings { region: REGION.into(), ..Default::default() };
    let dialect = s3::Settings { auth, domains: Vec::new() };
    let first = std::cell::RefCell::new(None);
    let open = || {
        let opening = Opening { scrub: SCRUB, ..Opening::default() };
        let (opened, key) = objects::open(&options.data, dialect, opening)?;
        *first.borrow_mut() = key;
        Ok(opened)
    };
    serve(options, events, open, |serving| {
        let first = first.take();
        if let Err(error) = access::leave(&options.data, serving, REGION, first.as_ref()) {
            tracing::warn!(%error, "verbs on this host will not know where objects are");
        }
        told(Told {
            endpoint: access::endpoint(serving.addresses[0]),
            first: first.is_some(),
            metrics: Arc::clone(&serving.metrics),
        });
    })
}

/// The text format of Prometheus as that of OpenMetrics: there a counter's family has a
/// name without `_total`.
fn open_metrics(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        let family = line.strip_prefix("# ").and_then(|rest| rest.split_whitespace().nth(1));
        match family.and_then(|family| Some((family, family.strip_suffix("_total")?))) {
            Some((family, short)) => lines.push_str(&line.replacen(family, short, 1)),
            None => lines.push_str(line),
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_as_openmetrics_has_them() {
        let text = "# HELP b_a_total Of a_total.\n# TYPE b_a_total counter\nb_a_total 1\n# TYPE c gauge\nc 2\n";
        let told = "# HELP b_a Of a_total.\n# TYPE b_a counter\nb_a_total 1\n# TYPE c gauge\nc 2\n";
        assert_eq!(open_metrics(text), told);
    }
}
