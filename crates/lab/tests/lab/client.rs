//! A Redfish client of the tests: plain requests, nothing clever.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use bedplate_lab::{Bmc, BmcSpec, DummyHardware, Hardware, LabMachine};
use model::Secret;
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// A client of one BMC.
pub struct Client {
    http: reqwest::Client,
    pub base: String,
    pub username: String,
    pub password: Secret,
}

impl Client {
    pub fn new(base: String, username: String, password: Secret) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .no_proxy()
            .build()
            .unwrap();
        Self { http, base, username, password }
    }

    pub fn of(machine: &LabMachine) -> Self {
        let base = machine.bmc_address.clone();
        Self::new(base, machine.username.clone(), machine.password.clone())
    }

    /// A request without authentication.
    pub fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).basic_auth(&self.username, Some(self.password.expose()))
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.request(Method::POST, path).json(&body).send().await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Response {
        self.request(Method::PATCH, path).json(&body).send().await.unwrap()
    }

    pub async fn reset(&self, kind: &str) {
        let path = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
        let answer = self.post(path, json!({"ResetType": kind})).await;
        assert_eq!(answer.status(), 204);
    }

    /// Waits until the system's power is so.
    pub async fn await_power(&self, power: &str) {
        for _ in 0..600 {
            if self.get("/redfish/v1/Systems/1").await["PowerState"] == power {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the system never was {power}");
    }
}

/// A directory of a test, removed at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("bedplate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A BMC over a pretended machine.
pub struct Bench {
    pub hardware: Arc<DummyHardware>,
    pub bmc: Bmc,
    pub client: Client,
    _dir: Scratch,
}

pub async fn bench(name: &str) -> Bench {
    let dir = Scratch::new(name);
    let hardware = DummyHardware::new();
    let spec = BmcSpec {
        name: name.into(),
        dir: dir.0.clone(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        wire: None,
        fault_endpoint: true,
    };
    let bmc = Bmc::start(spec, Arc::clone(&hardware) as Arc<dyn Hardware>).await.unwrap();
    let (username, password) = bmc.account();
    let client = Client::new(format!("https://{}", bmc.address()), username, password);
    Bench { hardware, bmc, client, _dir: dir }
}
