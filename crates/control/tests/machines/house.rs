//! A control plane of its own for each test, in a folder of its own, with a clock
//! that the test sets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use control::agents::Orders;
use control::api::Metrics;
use control::carriers::{CarrierSettings, Carriers, Retention, start_with};
use control::cell::{Ask, Call, Reply};
use control::identity::{Authority, ClientAuth, KeyProvider, Names};
use control::images::ImageStore;
use control::leader::{Leader, LeaderSettings, Leading};
use control::nouns::Nouns;
use control::plane::Plane;
use model::id::MachineId;
use model::machine::{BmcSpec, Machine};
use model::{Problem, Secret, Timestamp};
use record::store::sqlite::Sqlite;
use world::clock::ManualClock;
use world::{Clock as _, SystemClock};

use crate::played_bmc::PlayedBmcs;

/// How long anything may take before a test says that it never came. Nothing waits
/// for it to pass.
const NEVER: Duration = Duration::from_secs(60);

/// A folder that goes when the test does.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-control-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new folder");
        Self(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running control plane. The fields are dropped in this order.
pub struct House {
    pub plane: Arc<Plane>,
    pub clock: Arc<ManualClock>,
    pub bmcs: Arc<PlayedBmcs>,
    _leading: Leading,
    _folder: Folder,
}

impl House {
    pub fn new() -> Self {
        Self::with(machine::Settings::default())
    }

    pub fn with(settings: machine::Settings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Folder::new();
        let clock = Arc::new(ManualClock::at(SystemClock::default().now()));
        let record = folder.path().join("record.sqlite");
        let leader_settings = LeaderSettings {
            holder: "test".to_owned(),
            machine: Arc::new(settings),
            clock: clock.clone(),
            committed: Box::new(|_, _, _| {}),
            keep_events: 1_000_000,
        };
        let open = move || {
            let store: Box<dyn record::Store> = Box::new(Sqlite::open(&record)?);
            Ok(store)
        };
        let (leader, leading) =
            Leader::start(Box::new(open), leader_settings).expect("a record of its own");
        let plane = Plane {
            leader,
            authority: authority(folder.path(), clock.clone()),
            keys: KeyProvider::open(folder.path()).expect("keys of its own"),
            images: ImageStore::open(folder.path()).expect("room for images"),
            orders: Orders::new(),
            metrics: Metrics::new().into(),
            clock: clock.clone(),
            retention: Retention::default(),
            directory: folder.path().to_owned(),
            agent_url: String::new(),
        };
        let bmcs = Arc::new(PlayedBmcs::default());
        Self { plane: Arc::new(plane), clock, bmcs, _leading: leading, _folder: folder }
    }

    /// Sets the clock forward.
    pub fn pass(&self, seconds: u64) -> Timestamp {
        let now = self.clock.now() + model::Duration::from_secs(seconds);
        self.clock.set(now);
        now
    }

    /// Starts the carriers.
    pub fn carry(&self, settings: CarrierSettings) -> Carriers {
        start_with(self.plane.clone(), self.bmcs.clone(), settings)
    }

    /// Waits until this process leads.
    pub async fn leads(&self) {
        let wait = async {
            while !self.plane.leader.leads() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(NEVER, wait).await.expect("it leads");
    }

    /// Asks in the name of an administrator.
    pub async fn ask(&self, call: Call) -> Result<Reply, Problem> {
        self.leads().await;
        self.plane.leader.ask(Ask::from("test", call)).await.map(|answer| answer.reply)
    }

    /// Takes in a machine whose BMC is at `http://NAME`.
    pub async fn enroll(&self, name: &str) -> MachineId {
        let password = self.plane.keys.seal(&Secret::new("calvin"));
        let bmc = BmcSpec {
            address: format!("http://{name}"),
            username: "root".to_owned(),
            password,
            certificate: None,
        };
        let call = Call::Enroll {
            name: name.to_owned(),
            bmc,
            rack: None,
            policy: None,
            labels: Default::default(),
        };
        match self.ask(call).await.expect("it is taken in") {
            Reply::Operation(operation) => operation.machine,
            other => panic!("an enrolment begins an operation, not {other:?}"),
        }
    }

    /// The machine as it is recorded.
    pub fn machine(&self, id: MachineId) -> Machine {
        Machine::clone(self.plane.leader.read().machines.get(id.uuid()).expect("it is known"))
    }

    /// Waits until the record is as the test wants it, and says what it then is.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&Nouns) -> Option<T>) -> T {
        let mut changed = self.plane.leader.changed();
        let wait = async {
            loop {
                if let Some(found) = look(&self.plane.leader.read()) {
                    return found;
                }
                changed.changed().await.expect("the leader runs");
            }
        };
        match tokio::time::timeout(NEVER, wait).await {
            Ok(found) => found,
            Err(_) => panic!("it never came: {what}"),
        }
    }

    /// Waits until a machine is as the test wants it.
    pub async fn until_machine(
        &self,
        id: MachineId,
        what: &str,
        is: impl Fn(&Machine) -> bool,
    ) -> Machine {
        let look = |nouns: &Nouns| {
            let machine = nouns.machines.get(id.uuid())?;
            is(machine).then(|| Machine::clone(machine))
        };
        self.until(what, look).await
    }

    /// Serves the endpoints of agents on a port of their own. The listener goes with
    /// the test's runtime.
    pub fn serve(&self) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let tls = self.plane.authority.server_config(ClientAuth::Optional).expect("good keys");
        let router = control::api::agent_router(self.plane.clone());
        control::api::serve(listener, tls, router, std::future::pending()).expect("it listens");
        address
    }
}

/// The authority in a folder, for `127.0.0.1`.
pub fn authority(folder: &Path, clock: Arc<ManualClock>) -> Authority {
    let names = Names { dns: vec!["localhost".to_owned()], addresses: vec![[127, 0, 0, 1].into()] };
    Authority::open(folder, &names, clock).expect("an authority of its own")
}
