//! The control plane brought up: from a directory and some addresses to listeners
//! that answer. Everything else in this crate can be had without sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Secret;
use model::problem::Problem;
use model::project::{ProjectSpec, Role, TokenSpec};
use record::StoreError;
use record::store::postgres::Postgres;
use record::store::sqlite::Sqlite;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::network::Namespace;
use world::{Clock, SystemClock, SystemEntropy};

use crate::agents::Orders;
use crate::api::Metrics;
use crate::carriers::{self, BootDirectory, Carriers, Retention};
use crate::cell::{Ask, Call};
use crate::identity::tokens::{bootstrap_admin, digest};
use crate::identity::{Authority, ClientAuth, IdentityError, KeyProvider, Names};
use crate::images::ImageStore;
use crate::leader::{Leader, LeaderSettings, Leading, Opener};
use crate::plane::Plane;

/// Where the control plane listens and keeps things.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The data directory. Made when it is not there.
    pub directory: PathBuf,
    /// `postgres://…`; SQLite in the data directory when absent.
    pub database: Option<String>,
    /// Where people are served.
    pub listen: SocketAddr,
    /// Names and addresses, besides those listened on, that people use.
    pub names: Vec<String>,
    /// Where machines are served.
    pub agents: AgentNetwork,
    /// The knobs of machines; addresses and the CA are filled in here.
    pub machine: machine::Settings,
    /// How long ended operations and events are kept.
    pub retention: Retention,
}

/// The network on which machines boot and their agents speak.
#[derive(Clone, Debug)]
pub struct AgentNetwork {
    /// In which network namespace, when not in ours.
    pub namespace: Option<Namespace>,
    /// Address and port of the agents' listener.
    pub listen: SocketAddr,
    /// Port of HTTP boot, on the same address.
    pub boot_port: u16,
    /// Where BMCs fetch virtual media: `http://address:port`; as for HTTP boot when absent.
    pub media_url: Option<String>,
}

impl AgentNetwork {
    /// On loopback: for a control plane without a boot network.
    pub fn loopback(port: u16) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = SocketAddr::new(address, port);
        Self { namespace: None, listen, boot_port: 0, media_url: None }
    }
}

/// Why it could not be brought up.
#[derive(Debug, Error)]
pub enum StartError {
    /// The record.
    #[error("{0}")]
    Record(#[from] StoreError),
    /// Keys and certificates.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The first project and token could not be recorded.
    #[error("the first steps could not be recorded: {0}")]
    First(#[from] Problem),
    /// A socket or file.
    #[error("{what}: {source}. {next}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
        /// What to do.
        next: &'static str,
    },
}

/// A control plane that runs.
pub struct Server {
    /// Held as long as it runs: one control plane a directory.
    _lock: std::fs::File,
    /// Its parts.
    pub plane: Arc<Plane>,
    /// Where people are served, with the port that was taken.
    pub url: String,
    /// The administrator's token, when it was made just now.
    pub first_token: Option<Secret>,
    carriers: Carriers,
    leading: Leading,
    listeners: Vec<JoinHandle<()>>,
    stopping: watch::Sender<bool>,
}

impl Server {
    /// Brings it up. When this returns it serves, and leads if nobody else does.
    pub async fn start(settings: ServerSettings) -> Result<Self, StartError> {
        make_directory(&settings.directory)?;
        let lock = lock(&settings.directory)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let people = bind(None, settings.listen)?;
        let machines = bind(settings.agents.namespace.as_ref(), settings.agents.listen)?;
        let address = local(&people)?;
        let agents = machines.local_addr().unwrap_or(settings.agents.listen);
        let names = names(&settings, address.ip(), agents.ip());
        let authority = Authority::open(&settings.directory, &names, clock.clone())?;
        let metrics = Arc::new(Metrics::new());
        let knobs = Arc::new(knobs(&settings, agents, &authority));
        let agent_url = knobs.agent_url.clone();
        let (leader, leading) = lead(&settings, knobs, clock.clone(), metrics.clone()).await?;
        let plane = Arc::new(Plane {
            leader,
            keys: KeyProvider::open(&settings.directory)?,
            images: ImageStore::open(&settings.directory)?,
            authority,
            orders: Orders::new(),
            metrics,
            clock,
            retention: settings.retention,
            directory: settings.directory.clone(),
            agent_url,
        });
        let (stopping, stopped) = watch::channel(false);
        let listeners = vec![
            listen(&plane, people, ClientAuth::Optional, crate::api::router, stopped.clone())?,
            listen(&plane, machines, ClientAuth::Optional, crate::api::agent_router, stopped)?,
        ];
        let first_token = first_steps(&plane).await?;
        // What a crash left of images that nobody knows any more.
        let known = plane.leader.read().images.iter().map(|(_, image)| image.id).collect();
        plane.images.sweep(&known)?;
        let carriers = carriers::start(plane.clone());
        let url = format!("https://{address}");
        write_url(&settings.directory, &url)?;
        Ok(Self { _lock: lock, plane, url, first_token, carriers, leading, listeners, stopping })
    }

    /// Who may boot, for the servers of a boot network.
    pub fn boot_directory(&self) -> Arc<BootDirectory> {
        self.carriers.directory()
    }

    /// Ends it: no new requests, loops ended, the lease given back.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        self.carriers.stop().await;
        for listener in self.listeners {
            let _ = listener.await;
        }
        let leading = self.leading;
        // It waits for its thread.
        let _ = tokio::task::spawn_blocking(move || drop(leading)).await;
    }
}

fn make_directory(directory: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(|source| StartError::Io {
        what: format!("making the data directory {}", directory.display()),
        source,
        next: "Choose another with --dir, or make it for this user.",
    })
}

/// Makes sure that this is the only control plane on the directory.
fn lock(directory: &Path) -> Result<std::fs::File, StartError> {
    let path = directory.join("lock");
    let failed = |source| StartError::Io {
        what: format!("locking {}", path.display()),
        source,
        next: "Another bedplate runs on this directory: end it, or choose another with --dir.",
    };
    let file = std::fs::File::create(&path).map_err(failed)?;
    file.try_lock().map_err(|error| failed(error.into()))?;
    Ok(file)
}

/// The name under which this directory's control plane holds the lease. It stays the
/// same over restarts: one that was killed takes its own lease back at once, and the
/// lock makes sure that it is alone.
fn node(directory: &Path) -> Result<String, StartError> {
    let path = directory.join("node");
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = world::entropy::new_token::<8>(&mut SystemEntropy);
            std::fs::write(&path, &name).map_err(|source| StartError::Io {
                what: format!("writing {}", path.display()),
                source,
                next: "Is the disk full?",
            })?;
            Ok(name)
        }
    }
}

fn bind(
    namespace: Option<&Namespace>,
    address: SocketAddr,
) -> Result<std::net::TcpListener, StartError> {
    world::network::listen(namespace, address).map_err(|source| StartError::Io {
        what: format!("listening on {address}"),
        source,
        next: "Is another bedplate running? Choose another address with --listen.",
    })
}

fn local(listener: &std::net::TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Io {
        what: "reading the address of a listener".to_owned(),
        source,
        next: "Try again.",
    })
}

fn names(settings: &ServerSettings, people: IpAddr, machines: IpAddr) -> Names {
    let mut names = Names {
        dns: vec!["localhost".to_owned()],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), people, machines],
    };
    for name in &settings.names {
        match name.parse() {
            Ok(address) => names.addresses.push(address),
            Err(_) => names.dns.push(name.clone()),
        }
    }
    names.addresses.sort();
    names.addresses.dedup();
    names
}

/// The knobs of machines, with the addresses at which this control plane serves.
fn knobs(
    settings: &ServerSettings,
    agents: SocketAddr,
    authority: &Authority,
) -> machine::Settings {
    let boot = SocketAddr::new(agents.ip(), settings.agents.boot_port);
    let boot_url = format!("http://{boot}");
    machine::Settings {
        agent_url: format!("https://{agents}"),
        media_url: settings.agents.media_url.clone().unwrap_or_else(|| boot_url.clone()),
        boot_url,
        ca_pem: authority.pem().to_owned(),
        pcrs: attest::DEFAULT_PCRS.to_vec(),
        ..settings.machine.clone()
    }
}

/// Opens the record on a thread that may block, and waits until somebody leads.
async fn lead(
    settings: &ServerSettings,
    machine: Arc<machine::Settings>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<(Leader, Leading), StartError> {
    let holder = node(&settings.directory)?;
    let open: Opener = match settings.database.clone() {
        Some(url) => Box::new(move || Ok(Box::new(Postgres::connect(&url)?))),
        None => {
            let path = settings.directory.join("record.db");
            Box::new(move || Ok(Box::new(Sqlite::open(&path)?)))
        }
    };
    let committed = Box::new(move |_: usize, changes: usize, took| {
        metrics.commit(changes as u64, took);
    });
    let keep_events = settings.retention.events_most;
    let wishes = LeaderSettings { holder, machine, clock, committed, keep_events };
    let started = tokio::task::spawn_blocking(move || Leader::start(open, wishes)).await;
    Ok(started.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?)
}

fn listen(
    plane: &Arc<Plane>,
    listener: std::net::TcpListener,
    auth: ClientAuth,
    router: fn(Arc<Plane>) -> axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let tls = plane.authority.server_config(auth)?;
    let shutdown = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let served = crate::api::serve(listener, tls, router(plane.clone()), shutdown);
    served.map_err(|source| StartError::Io {
        what: "serving a listener".to_owned(),
        source,
        next: "Try again.",
    })
}

/// The first project and the administrator's token, once in the life of a record.
async fn first_steps(plane: &Plane) -> Result<Option<Secret>, StartError> {
    let mut changed = plane.leader.changed();
    let waited = async {
        // A leader that was killed a moment ago still holds the lease for a while.
        while !plane.leader.leads() {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(100), changed.changed())
                .await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(3), waited).await.is_err() {
        return Ok(None);
    }
    let (tokens, projects) = {
        let read = plane.leader.read();
        (read.tokens.is_empty(), read.projects.is_empty())
    };
    let token = bootstrap_admin(&plane.directory, tokens, &mut SystemEntropy)?;
    if projects {
        let spec =
            ProjectSpec { description: "The first project".to_owned(), ..ProjectSpec::default() };
        let call = Call::CreateProject { name: "default".to_owned(), spec };
        plane.leader.ask(Ask::from("bedplate", call)).await?;
    }
    if let Some(token) = token.as_ref().filter(|_| tokens) {
        let spec = TokenSpec { role: Role::Admin, project: None, expires: None };
        let digest = digest(token.secret.expose());
        let call = Call::CreateToken { name: "admin".to_owned(), spec, digest };
        plane.leader.ask(Ask::from("bedplate", call)).await?;
    }
    Ok(token.filter(|token| token.fresh).map(|token| token.secret))
}

/// So that the verbs on this machine find the control plane.
fn write_url(directory: &Path, url: &str) -> Result<(), StartError> {
    let path = directory.join("url");
    std::fs::write(&path, format!("{url}\n")).map_err(|source| StartError::Io {
        what: format!("writing {}", path.display()),
        source,
        next: "Is the disk full?",
    })
}
