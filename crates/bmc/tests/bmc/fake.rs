//! A small BMC with faults that can be switched on, on a loopback port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "calvin";

const SYSTEM: &str = "/redfish/v1/Systems/1";
const DRIVE: &str = "/redfish/v1/Managers/1/VirtualMedia/Cd";
const OLD_ETAG: &str = "\"0\"";

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No session service; Basic only.
    NoSessions,
    /// The first PATCH meets another etag.
    EtagMismatchOnce,
    /// Each PATCH may change one property only.
    OnePropertyEach,
    /// Boot changes are accepted and forgotten.
    BootLie,
    /// `Inserted` and `WriteProtected` are refused.
    ImageOnly,
    /// Images are accepted and forgotten.
    MediaLie,
    /// Resets become tasks, which succeed.
    Task,
    /// Resets become tasks, which fail.
    FailingTask,
    /// Resets are refused, always.
    RefuseResets,
}

/// What is sent instead of one document.
#[derive(Clone, Debug)]
pub enum Instead {
    Hang,
    Status(u16, Value),
    Text(String),
    Json(Value),
}

#[derive(Default)]
pub struct Inner {
    pub power: String,
    pub boot: Value,
    pub image: Option<String>,
    pub faults: BTreeSet<Fault>,
    pub instead: BTreeMap<String, Instead>,
    /// Sessions end after so many requests.
    pub session_lasts: Option<u32>,
    pub sessions: BTreeMap<String, u32>,
    /// Every request: method and path.
    pub log: Vec<String>,
    pub under_way: u32,
    pub most_under_way: u32,
    sessions_made: u32,
    etag: u32,
    task_polls: u32,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Inner>>);

/// A running fake; it ends when this is dropped.
pub struct Running {
    pub fake: Fake,
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Fake {
    pub fn new() -> Self {
        let fake = Self::default();
        fake.state().power = "Off".to_owned();
        fake.state().boot = json!({
            "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
            "BootSourceOverrideMode": "UEFI", "HttpBootUri": null});
        fake
    }

    pub fn state(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Sends something else than the document at a path.
    pub fn send(&self, path: &str, instead: Instead) {
        self.state().instead.insert(path.to_owned(), instead);
    }

    /// How often a request was made.
    pub fn count(&self, request: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(request)).count()
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    pub async fn start(&self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Running { fake: self.clone(), address, task }
    }
}

async fn serve(State(fake): State<Fake>, request: Request<Body>) -> Response {
    {
        let mut state = fake.state();
        state.under_way += 1;
        state.most_under_way = state.most_under_way.max(state.under_way);
    }
    // Long enough for a second request to be noticed, if there were one.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let response = answer(&fake, request).await;
    fake.state().under_way -= 1;
    response
}

async fn answer(fake: &Fake, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    fake.state().log.push(format!("{} {path}", parts.method));
    let instead = fake.state().instead.get(&path).cloned();
    match instead {
        Some(Instead::Hang) => std::future::pending::<()>().await,
        Some(Instead::Status(status, body)) => {
            return (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
        }
        Some(Instead::Text(text)) => return text.into_response(),
        Some(Instead::Json(json)) => return json.to_string().into_response(),
        None => {}
    }
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut state = fake.state();
    if path == "/redfish/v1" {
        return root().to_string().into_response();
    }
    if path == "/redfish/v1/SessionService/Sessions" {
        return state.log_in(&body);
    }
    if !state.lets_in(&parts.headers) {
        return refusal(401, "NoValidSession");
    }
    state.act(&parts.method, &path, &parts.headers, &body)
}

fn refusal(status: u16, message: &str) -> Response {
    let body = json!({"error": {"code": "Base.1.8.GeneralError", "message": "see the info",
        "@Message.ExtendedInfo": [{"MessageId": format!("Base.1.8.{message}"), "Message": message}]}});
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

fn root() -> Value {
    json!({"@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Id": "RootService", "Name": "Root", "RedfishVersion": "1.8.0", "Vendor": "Fake",
        "Product": "Fake BMC", "UUID": "92384634-2938-2342-8820-489239905423",
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "Managers": {"@odata.id": "/redfish/v1/Managers"},
        "EventService": {"@odata.id": "/redfish/v1/EventService"},
        "Links": {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}}})
}

impl Inner {
    fn log_in(&mut self, body: &Value) -> Response {
        if self.faults.contains(&Fault::NoSessions) {
            return refusal(404, "ResourceMissing");
        }
        if body["Password"] != PASSWORD {
            return refusal(401, "ResourceAtUriUnauthorized");
        }
        self.sessions_made += 1;
        let token = format!("token-{}", self.sessions_made);
        let place = format!("/redfish/v1/SessionService/Sessions/{}", self.sessions_made);
        self.sessions.insert(token.clone(), self.session_lasts.unwrap_or(u32::MAX));
        let headers = [("X-Auth-Token", token), ("Location", place.clone())];
        (StatusCode::CREATED, headers, json!({"@odata.id": place}).to_string()).into_response()
    }

    fn lets_in(&mut self, headers: &HeaderMap) -> bool {
        if let Some(token) = headers.get("x-auth-token").and_then(|token| token.to_str().ok()) {
            let Some(left) = self.sessions.get_mut(token) else { return false };
            *left = left.saturating_sub(1);
            let lasts = *left > 0;
            if !lasts {
                self.sessions.remove(token);
            }
            return lasts;
        }
        // admin:calvin
        headers.get("authorization").is_some_and(|basic| basic == "Basic YWRtaW46Y2Fsdmlu")
    }

    fn act(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &Value) -> Response {
        match (method.as_str(), path) {
            ("GET", SYSTEM) => self.with_etag(self.system()),
            ("GET", DRIVE) => self.drive().to_string().into_response(),
            ("GET", "/redfish/v1/TaskService/Tasks/1") => self.task(),
            ("GET", "/console/1") => "login: ".into_response(),
            ("GET", "/sse") => sse(),
            ("GET", _) => part(path).map_or_else(
                || refusal(404, "ResourceMissing"),
                |part| part.to_string().into_response(),
            ),
            ("PATCH", SYSTEM) => self.patch(headers, body),
            ("POST", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset") => self.reset(body),
            ("POST", "/redfish/v1/Managers/1/Actions/Manager.Reset") => no_content(),
            ("POST", "/insert") => self.insert(body),
            ("POST", "/eject") => {
                self.image = None;
                no_content()
            }
            ("DELETE", _) => {
                self.sessions.clear();
                no_content()
            }
            _ => refusal(405, "OperationNotAllowed"),
        }
    }

    fn with_etag(&self, body: Value) -> Response {
        ([("ETag", format!("\"{}\"", self.etag + 1))], body.to_string()).into_response()
    }

    fn system(&self) -> Value {
        let mut boot = self.boot.clone();
        boot["BootSourceOverrideTarget@Redfish.AllowableValues"] =
            json!(["None", "Pxe", "Hdd", "Cd", "UefiHttp"]);
        json!({"@odata.id": SYSTEM, "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
            "Id": "1", "Name": "System", "Manufacturer": "Fake", "Model": "Box", "SerialNumber": "S1",
            "UUID": "27946B59-9E44-4FA7-8E91-F3527A1EF094", "BiosVersion": "1.2",
            "PowerState": self.power, "Boot": boot,
            "TrustedModules": [{"InterfaceType": "TPM2_0", "Status": {"State": "Enabled"}}],
            "Processors": {"@odata.id": "/redfish/v1/Systems/1/Processors"},
            "Memory": {"@odata.id": "/redfish/v1/Systems/1/Memory"},
            "Storage": {"@odata.id": "/redfish/v1/Systems/1/Storage"},
            "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces"},
            "Links": {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/1"}]},
            "Actions": {"#ComputerSystem.Reset": {
                "target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
                "@Redfish.ActionInfo": "/redfish/v1/Systems/1/ResetActionInfo"}}})
    }

    fn drive(&self) -> Value {
        json!({"@odata.id": DRIVE, "Id": "Cd", "Name": "Cd", "MediaTypes": ["CD", "DVD"],
            "Image": self.image, "Inserted": self.image.is_some(),
            "Actions": {"#VirtualMedia.InsertMedia": {"target": "/insert"},
                "#VirtualMedia.EjectMedia": {"target": "/eject"}}})
    }

    fn patch(&mut self, headers: &HeaderMap, body: &Value) -> Response {
        let etag = headers.get("if-match").and_then(|etag| etag.to_str().ok());
        if self.faults.remove(&Fault::EtagMismatchOnce) {
            self.etag += 1;
        }
        if etag != Some(&format!("\"{}\"", self.etag + 1)) && etag != Some("*") {
            return refusal(412, if etag == Some(OLD_ETAG) { "Old" } else { "PreconditionFailed" });
        }
        let boot = body["Boot"].as_object().cloned().unwrap_or_default();
        if self.faults.contains(&Fault::OnePropertyEach)
            && boot.contains_key("HttpBootUri")
            && boot.len() > 1
        {
            return refusal(400, "PropertyUnknown");
        }
        if !self.faults.contains(&Fault::BootLie) {
            for (name, value) in boot {
                self.boot[name] = value;
            }
        }
        self.etag += 1;
        no_content()
    }

    fn reset(&mut self, body: &Value) -> Response {
        if self.faults.contains(&Fault::RefuseResets) {
            return refusal(409, "InvalidOperationForSystemState");
        }
        self.power = match body["ResetType"].as_str() {
            Some("On" | "ForceRestart") => "On".to_owned(),
            Some("ForceOff" | "GracefulShutdown") => "Off".to_owned(),
            _ => return refusal(400, "ActionParameterNotSupported"),
        };
        if self.faults.contains(&Fault::Task) || self.faults.contains(&Fault::FailingTask) {
            let place = [("Location", "/redfish/v1/TaskService/Tasks/1")];
            return (StatusCode::ACCEPTED, place, json!({"TaskState": "New"}).to_string())
                .into_response();
        }
        no_content()
    }

    fn task(&mut self) -> Response {
        self.task_polls += 1;
        if self.task_polls < 3 {
            return (StatusCode::ACCEPTED, json!({"TaskState": "Running"}).to_string())
                .into_response();
        }
        if self.faults.contains(&Fault::FailingTask) {
            return json!({"TaskState": "Exception", "Messages": [{"Message": "The fuse is gone."}]})
                .to_string()
                .into_response();
        }
        json!({"TaskState": "Completed"}).to_string().into_response()
    }

    fn insert(&mut self, body: &Value) -> Response {
        if self.image.is_some() {
            return refusal(400, "ResourceInUse");
        }
        if self.faults.contains(&Fault::ImageOnly) && body.as_object().is_some_and(|o| o.len() > 1)
        {
            return refusal(400, "PropertyUnknown");
        }
        if !self.faults.contains(&Fault::MediaLie) {
            self.image = body["Image"].as_str().map(str::to_owned);
        }
        no_content()
    }
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn sse() -> Response {
    let text = "id: 1\ndata: {\"Events\": [{\"EventId\": \"1\", \"MessageId\": \"Base.1.0.PowerOn\", \
        \"Message\": \"On.\", \"Severity\": \"OK\", \
        \"OriginOfCondition\": {\"@odata.id\": \"/redfish/v1/Systems/1\"}}]}\n\n";
    ([("Content-Type", "text/event-stream")], text).into_response()
}

fn collection(path: &str, members: &[&str]) -> Value {
    let members: Vec<Value> =
        members.iter().map(|id| json!({"@odata.id": format!("{path}/{id}")})).collect();
    json!({"@odata.id": path, "@odata.type": "#Collection.Collection", "Name": "All",
        "Members": members, "Members@odata.count": members.len()})
}

fn part(path: &str) -> Option<Value> {
    let mut part = match path {
        "/redfish/v1/Systems" => collection(path, &["1"]),
        "/redfish/v1/Systems/1/Processors" => collection(path, &["CPU1", "CPU2", "GPU1"]),
        "/redfish/v1/Systems/1/Memory" => collection(path, &["A1", "A2", "A3"]),
        "/redfish/v1/Systems/1/Storage" => collection(path, &["RAID"]),
        "/redfish/v1/Systems/1/EthernetInterfaces" => {
            collection(path, &["NIC1", "NIC2", "ToManager"])
        }
        "/redfish/v1/Managers/1/VirtualMedia" => collection(path, &["Usb", "Cd"]),
        "/redfish/v1/Systems/1/Storage/RAID" => json!({"Drives": [
            {"@odata.id": "/redfish/v1/Systems/1/Storage/RAID/Drives/0"},
            {"@odata.id": "/redfish/v1/Systems/1/Storage/RAID/Drives/1"}]}),
        "/redfish/v1/Managers/1/VirtualMedia/Usb" => {
            json!({"MediaTypes": ["USBStick"], "Image": null})
        }
        "/redfish/v1/Managers/1" => json!({"FirmwareVersion": "7.1",
            "VirtualMedia": {"@odata.id": "/redfish/v1/Managers/1/VirtualMedia"},
            "Actions": {"#Manager.Reset": {"target": "/redfish/v1/Managers/1/Actions/Manager.Reset"}}}),
        "/redfish/v1/EventService" => json!({"ServiceEnabled": true, "ServerSentEventUri": "/sse"}),
        "/redfish/v1/Systems/1/ResetActionInfo" => json!({"Parameters": [{"Name": "ResetType",
            "AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]}]}),
        _ => leaf(path)?,
    };
    let id = path.rsplit('/').next().unwrap_or_default();
    let fields = part.as_object_mut().expect("an object");
    fields.entry("@odata.id").or_insert_with(|| path.into());
    fields.entry("Id").or_insert_with(|| id.into());
    fields.entry("Name").or_insert_with(|| id.into());
    Some(part)
}

fn leaf(path: &str) -> Option<Value> {
    let (parent, id) = path.rsplit_once('/')?;
    Some(match (parent.rsplit('/').next()?, id) {
        ("Processors", "GPU1") => json!({"ProcessorType": "GPU", "TotalCores": 9000}),
        ("Processors", _) => {
            json!({"ProcessorType": "CPU", "Model": "Z80", "TotalCores": 8, "TotalThreads": 16})
        }
        ("Memory", "A3") => json!({"CapacityMiB": null, "Status": {"State": "Absent"}}),
        ("Memory", _) => json!({"CapacityMiB": 16384, "DeviceLocator": id}),
        ("Drives", _) => {
            json!({"CapacityBytes": 480_103_981_056_u64, "Model": "SSD", "MediaType": "SSD",
            "SerialNumber": format!("D{id}"), "Protocol": "NVMe"})
        }
        ("EthernetInterfaces", "NIC1") => {
            json!({"MACAddress": "B8:3F:D2:90:97:C4", "LinkStatus": "LinkUp", "SpeedMbps": 25000})
        }
        ("EthernetInterfaces", "NIC2") => {
            json!({"MACAddress": "B8:3F:D2:90:97:C5", "LinkStatus": "NoLink"})
        }
        ("EthernetInterfaces", "ToManager") => json!({"MACAddress": "B8:3F:D2:90:97:C6"}),
        _ => return None,
    })
}
