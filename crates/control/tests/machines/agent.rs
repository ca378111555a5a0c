//! The agent's side of the talk, as `deploy` has it: over real TLS, with a TPM.

use std::net::SocketAddr;

use attest::tpm::{SocketTransport, Tpm};
use model::agent::{Admission, AgentNews, AgentOrder, AgentReport, Challenge, Hello, Proof};
use model::api::Acknowledged;
use model::{Encoded, Problem};
use rcgen::{CertificateParams, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::played_bmc::mac_of;

/// An HTTPS client that trusts the house's authority, with or without a certificate.
pub struct Web {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Web {
    pub fn new(
        address: SocketAddr,
        authority: &str,
        certificate: Option<(&str, &KeyPair)>,
    ) -> Self {
        let tls = tls(authority, certificate);
        let client =
            reqwest::Client::builder().use_preconfigured_tls(tls).build().expect("a client");
        Self { client, address }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str, range: Option<&str>) -> reqwest::Response {
        let mut request = self.client.get(self.url(path));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        request.send().await.expect("an answer")
    }

    /// Whether a request gets through at all.
    pub async fn reaches(&self, path: &str) -> bool {
        self.client.get(self.url(path)).send().await.is_ok()
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        let response = self.client.post(self.url(path)).json(body).send().await.expect("an answer");
        read(response).await
    }

    /// Calls home as cloud-init does.
    pub async fn call(&self, path: &str, form: &str) -> Result<Acknowledged, Problem> {
        let request = self.client.post(self.url(path)).body(form.to_owned());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        read(request.send().await.expect("an answer")).await
    }

    pub async fn orders(&self, wait: u32) -> Result<Vec<AgentOrder>, Problem> {
        read(self.get(&format!("/v1/agent/orders?wait={wait}"), None).await).await
    }

    pub async fn report(
        &self,
        order: &AgentOrder,
        news: AgentNews,
    ) -> Result<Acknowledged, Problem> {
        self.post("/v1/agent/reports", &AgentReport { id: order.id, news }).await
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, Problem> {
    let good = response.status().is_success();
    let body = response.bytes().await.expect("a whole body");
    match good {
        true => Ok(serde_json::from_slice(&body).expect("a document of ours")),
        false => Err(serde_json::from_slice(&body).expect("a problem of ours")),
    }
}

/// What a client of the house trusts and shows.
pub fn tls(authority: &str, certificate: Option<(&str, &KeyPair)>) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(root).expect("an authority");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let Some((chain, key)) = certificate else { return config.with_no_client_auth() };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).map(|one| one.expect("PEM")).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    config.with_client_auth_cert(chain, key).expect("a key of its certificate")
}

/// A signing request, and its key.
pub fn request() -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let request = CertificateParams::default().serialize_request(&key).expect("a request");
    (request.der().to_vec(), key)
}

/// An agent on the machine with this name, with a key made on this boot.
pub struct Agent {
    pub hello: Hello,
    pub key: KeyPair,
    pub tpm: Option<Tpm<SocketTransport>>,
}

impl Agent {
    pub fn new(name: &str, mut tpm: Option<Tpm<SocketTransport>>) -> Self {
        let (csr, key) = request();
        let keys = tpm.as_mut().map(|tpm| tpm.keys().expect("a TPM tells its keys"));
        let hello = Hello {
            uuid: String::new(),
            serial: format!("serial-{name}"),
            macs: vec![mac_of(name)],
            version: "test".to_owned(),
            csr: Encoded(csr),
            tpm: keys,
        };
        Self { hello, key, tpm }
    }

    pub async fn hello(&self, web: &Web) -> Result<Challenge, Problem> {
        web.post("/v1/agent/hello", &self.hello).await
    }

    /// The answer to a challenge.
    pub fn proof(&mut self, challenge: &Challenge) -> Proof {
        let Some(tpm) = &mut self.tpm else {
            return Proof { session: challenge.session, secret: None, quote: None };
        };
        let credential = challenge.credential.as_ref().expect("a TPM was announced");
        let secret = tpm.activate(credential).expect("it is for this TPM").to_vec();
        let binding = attest::binding(challenge.nonce.as_ref(), self.hello.csr.as_ref());
        let quote = tpm.quote(&binding, &challenge.pcrs, Vec::new()).expect("a quote");
        Proof { session: challenge.session, secret: Some(Encoded(secret)), quote: Some(quote) }
    }

    /// The whole way in.
    pub async fn enter(&mut self, web: &Web) -> Result<Admission, Problem> {
        let challenge = self.hello(web).await?;
        let proof = self.proof(&challenge);
        web.post("/v1/agent/prove", &proof).await
    }
}
