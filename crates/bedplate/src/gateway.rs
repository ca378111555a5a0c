//! `bedplate gateway`: objects over HTTP, in the dialect S3.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ::disk::shared::signals::Signals;
use ::gateway::access;
use ::gateway::accounts::AccessKey;
use ::gateway::objects;
use ::gateway::reactor::Timeouts;
use ::gateway::run;
use ::gateway::s3;
use ::gateway::serve::{Event, Options, Serving, serve};
use ::gateway::tls;
use anyhow::{Context as _, Result};
use clap::Args;
use model::Bytes;

/// Objects over HTTP.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bedplate gateway --data objects
        on this machine only; the first start shows an access key, once
  bedplate gateway --data objects --listen 0.0.0.0:9000
        for everybody who reaches this machine
  bedplate gateway --data objects --listen-tls 0.0.0.0:443 --tls-certificate c.pem --tls-key k.pem
        encrypted
  bedplate gateway --data objects --replace
        in the place of the one that runs; no request fails")]
#[command(args_conflicts_with_subcommands = true, subcommand_help_heading = "Administration")]
pub struct Arguments {
    /// Instead of running one: administer the one that runs.
    #[command(subcommand)]
    pub verb: Option<cli::gateway::Verb>,
    /// The directory of all it keeps. The usual one: gateway in the data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen here, without encryption. Port 0: any that is free
    #[arg(long, value_name = "ADDRESS", default_values = ["127.0.0.1:9000"])]
    listen: Vec<SocketAddr>,
    /// Listen here, by TLS
    #[arg(long, value_name = "ADDRESS", requires = "tls_certificate")]
    listen_tls: Vec<SocketAddr>,
    /// The certificate chain for TLS, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Listen here for administrators: /metrics and /healthz
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Take over from the gateway that runs with this directory
    #[arg(long)]
    replace: bool,
    /// The region that clients are told
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    region: String,
    /// A name under which buckets are hosts: BUCKET.NAME
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<String>,
    /// Take over the access keys in this file: a JSON list of objects with access_key,
    /// secret_key, and of the account id, name, display_name, email
    #[arg(long, value_name = "FILE")]
    access_keys: Option<PathBuf>,
    /// Accept signatures of version 2 as well, which are weak: for clients of old
    #[arg(long)]
    signature_v2: bool,
    /// How long a day is for rules by age, in seconds: for tests of such rules
    #[arg(long, value_name = "SECONDS", hide = true)]
    day_seconds: Option<u64>,
    /// Write a line of JSON for each request; `-` is standard output
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Only for one of so many requests
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "access_log")]
    access_log_every: u32,
    /// Memory for replies that are kept
    #[arg(long, value_name = "SIZE", default_value = "16M")]
    cache: Bytes,
    /// Compare so many stored bytes a second with their checksums, all of them at most once
    /// a day; 0: never
    #[arg(long, value_name = "SIZE", default_value = "8M")]
    scrub: Bytes,
    /// Cores that serve. The usual number: all
    #[arg(long, value_name = "NUMBER")]
    cores: Option<usize>,
    /// The most connections
    #[arg(long, value_name = "NUMBER", default_value_t = 16_384)]
    connections: usize,
    /// How long a client may take for a head, for some progress, and between requests, in
    /// seconds: for tests of slow clients
    #[arg(long, value_name = "SECONDS", hide = true)]
    patience: Option<u64>,
    /// At the end, what has begun may take so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

/// Serves until it is told to end. It has threads of its own, and wants no runtime.
pub fn run(arguments: Arguments, directory: &Path) -> Result<()> {
    let options = options(&arguments, directory)?;
    let dialect = s3::Settings {
        auth: s3::auth::Settings {
            region: arguments.region.as_str().into(),
            version_2: arguments.signature_v2,
            ..Default::default()
        },
        domains: arguments.domains,
    };
    let (sender, events) = channel();
    hear(sender.clone())?;
    let region = arguments.region.clone();
    let first = RefCell::new(None);
    let open = || {
        let opening = objects::Opening {
            day_seconds: arguments.day_seconds,
            access_keys: arguments.access_keys.as_deref(),
            scrub: arguments.scrub.0,
        };
        let (opened, key) = objects::open(&options.data, dialect, opening)?;
        *first.borrow_mut() = key;
        Ok(opened)
    };
    serve(&options, (sender, events), open, |serving| {
        let first = first.take();
        if let Err(error) = access::leave(&options.data, serving, &region, first.as_ref()) {
            tracing::warn!(%error, "verbs on this host will not know where it is");
        }
        // Who does not listen does not need it.
        let told = told(&options.data, serving, first.as_ref().map(|key| (key, &region[..])));
        let _ = std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes());
    })?;
    Ok(())
}

fn options(arguments: &Arguments, directory: &Path) -> Result<Options> {
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::configuration(certificate, key)?),
        _ => None,
    };
    let usual = run::Settings::default();
    let reactors = arguments.cores.unwrap_or(usual.reactors).max(1);
    let settings = run::Settings {
        reactors,
        pinned: usual.pinned && reactors <= usual.reactors,
        cache: usize::try_from(arguments.cache.0).unwrap_or(usize::MAX),
        connections: arguments.connections,
        timeouts: timeouts(arguments.patience),
        tls,
        access_log: arguments
            .access_log
            .as_ref()
            .map(|path| (path.clone(), arguments.access_log_every)),
        ..usual
    };
    let plain = arguments.listen.iter().map(|address| (*address, false));
    let encrypted = arguments.listen_tls.iter().map(|address| (*address, true));
    let data = arguments.data.clone().unwrap_or_else(|| directory.join("gateway"));
    Ok(Options {
        data: std::path::absolute(data)?,
        listen: plain.chain(encrypted).collect(),
        admin: arguments.admin,
        settings,
        replaces: arguments.replace,
        drain: Duration::from_secs(arguments.drain),
    })
}

fn timeouts(patience: Option<u64>) -> Timeouts {
    let usual = Timeouts::default();
    let nanos = patience.map(|seconds| seconds.max(1).saturating_mul(1_000_000_000));
    nanos.map_or(usual, |nanos| Timeouts { head: nanos, progress: nanos, idle: nanos, ..usual })
}

/// Has SIGTERM and SIGINT end the service.
fn hear(events: Sender<Event>) -> Result<()> {
    // Before any other thread is started, so that none is ended by one.
    let signals = Signals::block()?;
    let wait = move || {
        loop {
            let mut polled = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
            // An interrupted wait is repeated.
            let _ = rustix::event::poll(&mut polled, None);
            if signals.take() && events.send(Event::Stop).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).context("starting a thread")?;
    Ok(())
}

/// What who started it is told.
fn told(data: &Path, serving: &Serving, first: Option<(&AccessKey, &str)>) -> String {
    let came = if serving.took_over { " (took over)" } else { "" };
    let mut lines = vec![format!("Bedplate serves objects{came}")];
    for (address, tls) in &serving.addresses {
        let scheme = if *tls { "https" } else { "http" };
        lines.push(format!("  S3         {scheme}://{address}"));
    }
    if let Some(admin) = serving.admin {
        lines.push(format!("  metrics    http://{admin}/metrics"));
    }
    lines.push(format!("  directory  {}", data.display()));
    if let Some((key, region)) = first {
        let endpoint = access::endpoint(serving.addresses[0]);
        lines.extend([
            String::new(),
            format!("The first access key, kept in {}/access.json:", data.display()),
            format!("  export AWS_ACCESS_KEY_ID={}", key.id),
            format!("  export AWS_SECRET_ACCESS_KEY={}", key.secret.expose()),
            format!("  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region}"),
            String::new(),
            "Next, in another terminal, after these:".to_owned(),
            "  bedplate bucket create first            or: aws s3 mb s3://first".to_owned(),
            "  bedplate object put README.md first/    or: aws s3 cp README.md s3://first/"
                .to_owned(),
            "  bedplate object list first              or: aws s3 ls s3://first".to_owned(),
        ]);
    }
    lines.join("\n") + "\n"
}
