//! A control plane for one test: real, on a simulated disk, with a clock that
//! stands still, and what the tests need in it ([`crate::seed`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use control::agents::Orders;
use control::api::{self, Metrics};
use control::carriers::Retention;
use control::cell::{Ask, Call, Reply};
use control::identity::{Authority, KeyProvider, Names, Peer};
use control::images::ImageStore;
use control::leader::{Leader, LeaderSettings, Leading};
use control::plane::Plane;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use model::problem::Problem;
use model::{Duration, Timestamp};
use record::store::simulated::{Disk, Simulated};
use record::{Store, Transaction};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;
use world::clock::ManualClock;

use crate::seed;

/// Now, in every test: 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A directory that goes when the test ends.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-api-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A control plane.
pub struct House {
    pub plane: Arc<Plane>,
    pub clock: Arc<ManualClock>,
    pub disk: Disk,
    people: Router,
    agents: Router,
    _leading: Leading,
    _directory: Directory,
}

impl House {
    /// With everything of [`seed::changes`] in it.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, after something was done to the stored record.
    pub async fn with(prepare: impl FnOnce(&mut Simulated)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let disk = Disk::new(1);
        let mut store = Simulated::open(&disk);
        write(&mut store, seed::changes());
        prepare(&mut store);
        let directory = Directory::new();
        let clock = Arc::new(ManualClock::at(NOW));
        let settings = LeaderSettings {
            holder: "test".to_owned(),
            machine: Arc::new(machine::Settings::default()),
            clock: clock.clone(),
            committed: Box::new(|_, _, _| {}),
            keep_events: 1_000_000,
        };
        let stored = disk.clone();
        let open = Box::new(move || Ok(Box::new(Simulated::open(&disk)) as Box<dyn Store>));
        let (leader, leading) = Leader::start(open, settings).unwrap();
        let names = Names { dns: vec!["localhost".to_owned()], addresses: Vec::new() };
        let plane = Arc::new(Plane {
            leader,
            authority: Authority::open(&directory.0, &names, clock.clone()).unwrap(),
            keys: KeyProvider::open(&directory.0).unwrap(),
            images: ImageStore::open(&directory.0).unwrap(),
            orders: Orders::new(),
            metrics: Arc::new(Metrics::new()),
            clock: clock.clone(),
            retention: Retention::default(),
            directory: directory.0.clone(),
            agent_url: "https://localhost:1".to_owned(),
        });
        while !plane.leader.leads() {
            tokio::task::yield_now().await;
        }
        let (people, agents) = (api::router(plane.clone()), api::agent_router(plane.clone()));
        Self {
            plane,
            clock,
            disk: stored,
            people,
            agents,
            _leading: leading,
            _directory: directory,
        }
    }

    /// The router of people.
    pub fn router(&self) -> Router {
        self.people.clone()
    }

    /// Sends a request to the listener of people.
    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.people.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request to the listener of machines.
    pub async fn send_to_agents(&self, request: Request<Body>) -> Response<Body> {
        self.agents.clone().oneshot(request).await.unwrap()
    }

    /// Asks the cell, past the API.
    pub async fn ask(&self, call: Call) -> Reply {
        self.plane.leader.ask(Ask::from("test", call)).await.unwrap().reply
    }

    /// GET with a token: the document.
    pub async fn get<T: DeserializeOwned>(&self, token: &str, path: &str) -> T {
        let response = self.send(get(token, path)).await;
        let status = response.status();
        let bytes = body(response).await;
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            panic!("{path}: {status}: {error}: {}", String::from_utf8_lossy(&bytes))
        })
    }
}

/// Writes changes as a transaction of their own.
pub fn write(store: &mut Simulated, changes: Vec<record::Change>) {
    let fence = store.acquire("leader", "seed", NOW, Duration::from_secs(10)).unwrap().unwrap();
    let first = store.load().unwrap().revision() + 1;
    let transaction = Transaction { at: NOW, actor: "seed".to_owned(), request: None, changes };
    store.commit(fence.clone(), first, &[transaction]).unwrap();
    store.release(&fence).unwrap();
}

/// A request without a body.
pub fn request(method: &str, token: &str, path: &str) -> Request<Body> {
    sending(method, token, path, &[], "")
}

/// A GET.
pub fn get(token: &str, path: &str) -> Request<Body> {
    request("GET", token, path)
}

/// A request with headers and a body; without a token when that is empty.
pub fn sending(
    method: &str,
    token: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body.to_owned())).unwrap()
}

/// As it would come over a connection with a certificate.
pub fn over(mut request: Request<Body>, peer: Peer) -> Request<Body> {
    request.extensions_mut().insert(peer);
    request
}

/// All bytes of a body.
pub async fn body(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

/// The JSON of a body.
pub async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&body(response).await).unwrap()
}

/// The problem of a response, which must be one and have the status that it tells.
pub async fn problem(response: Response<Body>) -> Problem {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Problem = serde_json::from_slice(&body(response).await).unwrap();
    assert_eq!(problem.status, status);
    problem
}

/// The value of a header.
pub fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}
