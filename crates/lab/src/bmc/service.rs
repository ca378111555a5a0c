//! The way of a request: faults, authentication, then reading or changing.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::header::{AUTHORIZATION, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, Request, Response, StatusCode};
use model::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::Instant;
use world::{Clock, SystemClock};

use crate::error::LabError;
use crate::hardware::{Hardware, HardwareEvent};

use super::account::{Account, new_uuid};
use super::faults::{Fault, Faults, SLOW};
use super::journal::{Happening, Journal};
use super::media::Media;
use super::power::Switch;
use super::reply::{self, Refusal};
use super::session::Sessions;
use super::{BmcSpec, change, console, stream, tree};

/// The longest request that is read.
const BODY_MAX: usize = 256 << 10;
/// How long the BMC is away when it restarts.
const RESTART: Duration = Duration::from_secs(2);

/// A BMC's state.
pub(super) struct Service {
    pub spec: BmcSpec,
    pub hardware: Arc<dyn Hardware>,
    pub account: Account,
    pub sessions: Sessions,
    pub faults: Faults,
    pub journal: Journal,
    pub switch: Switch,
    pub media: Media,
    pub uuid: String,
    pub heat: tree::Heat,
    clock: SystemClock,
    away_until: Mutex<Option<Instant>>,
}

impl Service {
    pub(super) fn new(spec: BmcSpec, hardware: Arc<dyn Hardware>) -> Result<Self, LabError> {
        Ok(Self {
            account: Account::load(&spec.dir)?,
            sessions: Sessions::new(),
            faults: Faults::default(),
            journal: Journal::new(),
            switch: Switch::default(),
            media: Media::new(spec.dir.join("media.img")),
            uuid: new_uuid(),
            heat: tree::Heat::default(),
            clock: SystemClock::default(),
            away_until: Mutex::new(None),
            hardware,
            spec,
        })
    }

    /// The port that it listens on.
    pub(super) fn port(&self) -> u16 {
        self.spec.listen.port()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes down what the machine does, and gives it the boot that is wished for when
    /// it restarts by itself.
    pub(super) async fn attend(self: Arc<Self>, mut events: broadcast::Receiver<HardwareEvent>) {
        use broadcast::error::RecvError;
        loop {
            let event = match events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let what = match event {
                HardwareEvent::Power(power) => {
                    Happening::PowerChanged(tree::power_word(power).into())
                }
                HardwareEvent::Stage(stage) => Happening::BootProgressed(stage.name().into()),
                HardwareEvent::Restarted => {
                    if self.switch.wishes() {
                        // Flash can be written only while the machine is off.
                        self.restart_for_wish();
                    }
                    Happening::Restarted
                }
            };
            self.journal.write(self.now(), what);
        }
    }

    /// Restarts the BMC: sessions are forgotten, and for two seconds nobody answers.
    pub(super) fn restart(&self) {
        self.sessions.close_all();
        *self.away() = Some(Instant::now() + RESTART);
        self.journal.write(self.now(), Happening::BmcRestarted);
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Answers a request.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        if path == "/redfish/v1/Oem/Bedplate/Faults" && self.spec.fault_endpoint {
            return self.switch_faults(request).await.unwrap_or_else(|refusal| refusal.answer());
        }
        let away = self.away().is_some_and(|until| Instant::now() < until);
        if away || self.faults.has(Fault::Unavailable) {
            return Refusal::busy().answer();
        }
        if self.faults.has(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        if self.faults.has(Fault::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        let response = self.route(&path, request).await.unwrap_or_else(|refusal| refusal.answer());
        if self.faults.has(Fault::SessionsExpire) {
            self.sessions.close_all();
        }
        if self.faults.has(Fault::Malformed) { maim(response).await } else { response }
    }

    async fn route(
        self: &Arc<Self>,
        path: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let opens = matches!(
            path,
            "/redfish/v1/SessionService/Sessions" | "/redfish/v1/SessionService/Sessions/Members"
        );
        if opens && request.method() == Method::POST {
            return change::open_session(self, &read_json(request).await?);
        }
        let public = matches!(path, "/redfish" | "/redfish/v1" | "/redfish/v1/odata")
            || path == "/redfish/v1/$metadata";
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !(public && reads) {
            self.admit(&request)?;
        }
        if path == "/console/1" {
            return console::answer(self, request).await;
        }
        if path == "/redfish/v1/EventService/SSE" && request.method() == Method::GET {
            return Ok(stream::events(self));
        }
        if path == "/redfish/v1/$metadata" && reads {
            return Ok(tree::metadata());
        }
        if reads {
            return self.read(path, &request);
        }
        self.change(path, request).await
    }

    /// Lets in whoever has a session's token or the password.
    fn admit(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let token =
            header("X-Auth-Token").is_some_and(|token| self.sessions.admit(token).is_some());
        let basic = || header(AUTHORIZATION.as_str()).is_some_and(|h| self.account.admits_basic(h));
        if token || basic() { Ok(()) } else { Err(Refusal::unauthorised()) }
    }

    fn read(&self, path: &str, request: &Request<Body>) -> Result<Response<Body>, Refusal> {
        let value = tree::read(self, path).ok_or_else(|| Refusal::missing(path))?;
        let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if known.is_some_and(|known| reply::names(known, &reply::etag(&value))) {
            let mut response = reply::done();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Ok(reply::resource(StatusCode::OK, &value, change::allowed(path)))
    }

    async fn change(
        self: &Arc<Self>,
        path: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let method = request.method().clone();
        if let Some(wanted) = request.headers().get(IF_MATCH) {
            let wanted = wanted.to_str().unwrap_or_default();
            let current = tree::read(self, path).map(|value| reply::etag(&value));
            if !current.is_some_and(|etag| reply::names(wanted, &etag)) {
                let message =
                    "The ETag supplied did not match the ETag required to change this resource.";
                let status = StatusCode::PRECONDITION_FAILED;
                return Err(Refusal::new(status, "PreconditionFailed", message));
            }
        }
        match method {
            Method::DELETE => change::delete(self, path),
            Method::PATCH => change::patch(self, path, &read_json(request).await?),
            Method::POST => change::post(self, path, &read_json(request).await?).await,
            _ => Err(change::not_allowed(self, path)),
        }
    }

    /// `{"Active": ["hang", …]}`, read and set; immune to the faults that it switches.
    async fn switch_faults(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        self.admit(&request)?;
        if request.method() == Method::PATCH {
            let wish = read_json(request).await?;
            let faults: Vec<Fault> = serde_json::from_value(wish["Active"].clone())
                .map_err(|_| Refusal::bad_value("Active", &wish["Active"]))?;
            self.faults.replace(faults);
        }
        Ok(reply::json_answer(StatusCode::OK, &json!({"Active": self.faults.active()})))
    }
}

/// Reads a request's JSON; none is an empty object.
async fn read_json(request: Request<Body>) -> Result<Value, Refusal> {
    let malformed = |why: String| Refusal::new(StatusCode::BAD_REQUEST, "MalformedJSON", why);
    let body = Limited::new(request.into_body(), BODY_MAX).collect().await;
    let bytes = body.map_err(|error| malformed(error.to_string()))?.to_bytes();
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(malformed("The body is not an object.".into())) }
}

/// Cuts an answer short.
async fn maim(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let bytes = Limited::new(body, BODY_MAX).collect().await.map(|b| b.to_bytes());
    let mut bytes = bytes.unwrap_or_default();
    bytes.truncate(bytes.len() * 2 / 3);
    Response::from_parts(parts, Body::from(bytes))
}
