//! A control plane of the test's own: lets agents in by the book (with the
//! control plane's half of `attest`), hands out what the test puts on the list,
//! keeps what is reported.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::agent::{Admission, AgentOrder, AgentReport, Challenge, Hello, Proof};
use model::api::Acknowledged;
use model::attestation::{PolicySpec, Verdict};
use model::{Duration, Encoded, Id, Timestamp};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

const NONCE: &[u8] = b"fresh in this test";
const SECRET: [u8; 32] = [42; 32];

#[derive(Default)]
pub struct State {
    pub hello: Option<Hello>,
    pub verdict: Option<Verdict>,
    pub hellos: u32,
    /// Handed out again and again, until the test takes them away.
    pub orders: Vec<AgentOrder>,
    pub reports: Vec<AgentReport>,
    /// Say this once to the next request for orders.
    pub deny_orders: Option<StatusCode>,
    /// So many reports are answered with an error before one is taken.
    pub deaf: u32,
    /// Answer reports with `stale`.
    pub stale: bool,
}

pub struct Control {
    pub state: Arc<Mutex<State>>,
    pub changed: Arc<Notify>,
    pub url: String,
    pub authority: Arc<Authority>,
}

impl Control {
    pub async fn start() -> Self {
        let authority = Arc::new(Authority::new());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let acceptor = TlsAcceptor::from(authority.server());
        let control = Self { state: Arc::default(), changed: Arc::default(), url, authority };
        let (state, changed) = (control.state.clone(), control.changed.clone());
        let authority = control.authority.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, authority) = (acceptor.clone(), authority.clone());
                let (state, changed) = (state.clone(), changed.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let proven = stream.get_ref().1.peer_certificates().is_some();
                    let service = service_fn(move |request| {
                        let (state, changed) = (state.clone(), changed.clone());
                        let authority = authority.clone();
                        async move { answer(&state, &changed, &authority, proven, request).await }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        control
    }

    /// Waits until `found` finds something in the state.
    pub async fn wait_for<R>(&self, mut found: impl FnMut(&mut State) -> Option<R>) -> R {
        loop {
            let changed = self.changed.notified();
            if let Some(result) = found(&mut self.state.lock().unwrap()) {
                return result;
            }
            changed.await;
        }
    }
}

async fn answer(
    state: &Mutex<State>,
    changed: &Notify,
    authority: &Authority,
    proven: bool,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap_or_default().to_bytes();
    if path == "/v1/agent/orders" && state.lock().unwrap().orders.is_empty() {
        // A long poll, shortened.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut state = state.lock().unwrap();
    let answer = match (path.as_str(), proven) {
        ("/v1/agent/hello", _) => json(&state.challenge(&body)),
        ("/v1/agent/prove", _) => json(&state.admit(&body, authority)),
        ("/v1/agent/orders", true) => match state.deny_orders.take() {
            Some(status) => plain(status),
            None => json(&state.orders),
        },
        ("/v1/agent/reports", true) if state.deaf > 0 => {
            state.deaf -= 1;
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
        ("/v1/agent/reports", true) => {
            state.reports.push(serde_json::from_slice(&body).unwrap());
            json(&Acknowledged { stale: state.stale })
        }
        _ => plain(StatusCode::FORBIDDEN),
    };
    drop(state);
    changed.notify_waiters();
    Ok(answer)
}

impl State {
    fn challenge(&mut self, body: &[u8]) -> Challenge {
        let hello: Hello = serde_json::from_slice(body).unwrap();
        let credential = hello.tpm.as_ref().map(|keys| {
            let mut entropy = |bytes: &mut [u8]| bytes.fill(3);
            let (endorsement, attestation) = (keys.endorsement.as_ref(), keys.attestation.as_ref());
            attest::make_credential(endorsement, attestation, &SECRET, &mut entropy).unwrap()
        });
        self.hello = Some(hello);
        self.hellos += 1;
        let session = Id::new(Timestamp::from_micros(1), [1; 10]);
        let pcrs = attest::pcrs_to_quote(&PolicySpec::default());
        Challenge { session, credential, nonce: Encoded(NONCE.to_vec()), pcrs }
    }

    fn admit(&mut self, body: &[u8], authority: &Authority) -> Admission {
        let proof: Proof = serde_json::from_slice(body).unwrap();
        let hello = self.hello.clone().unwrap();
        if let Some(keys) = &hello.tpm {
            attest::check_secret(&SECRET, proof.secret.as_ref().map(AsRef::as_ref)).unwrap();
            let pcrs = attest::pcrs_to_quote(&PolicySpec::default());
            let question = attest::Question {
                attestation: keys.attestation.as_ref(),
                nonce: NONCE,
                csr: hello.csr.as_ref(),
                pcrs: &pcrs,
            };
            let spec = PolicySpec::default();
            let rules = attest::Rules { name: "test", generation: 1, spec: &spec };
            let now = Timestamp::from_micros(1);
            self.verdict = Some(attest::judge(&proof.quote.unwrap(), &question, &rules, now));
        }
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        Admission {
            machine: Id::new(now, [9; 10]),
            certificate: authority.sign(hello.csr.as_ref()),
            expires: now + Duration::from_secs(3600),
            now,
        }
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    Response::new(Full::new(serde_json::to_vec(value).unwrap().into()))
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::default()).unwrap()
}
