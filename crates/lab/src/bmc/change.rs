//! What can be changed: sessions, password, boot override, and the actions.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::account::PASSWORD_LENGTHS;
use super::faults::Fault;
use super::power::unknown_property;
use super::reply::{self, Refusal};
use super::service::Service;
use super::tree;

/// How long sessions may be kept, in seconds (SessionService's own limits).
const SESSION_TIMEOUTS: std::ops::RangeInclusive<u64> = 30..=86_400;

/// Methods that a resource allows.
pub(super) fn allowed(path: &str) -> &'static str {
    match path {
        "/redfish/v1/Systems/1"
        | "/redfish/v1/SessionService"
        | "/redfish/v1/AccountService/Accounts/1" => "GET, HEAD, PATCH",
        "/redfish/v1/SessionService/Sessions" => "GET, HEAD, POST",
        _ if path.starts_with("/redfish/v1/SessionService/Sessions/") => "GET, HEAD, DELETE",
        _ => "GET, HEAD",
    }
}

/// Why a method is refused: nothing is there, or it does not allow that.
pub(super) fn not_allowed(service: &Service, path: &str) -> Refusal {
    if tree::read(service, path).is_none() {
        return Refusal::missing(path);
    }
    let message = "The HTTP method is not allowed on this resource.";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "OperationNotAllowed", message)
}

/// Opens a session (DSP0266 section 13.3.4.2).
pub(super) fn open_session(service: &Service, wish: &Value) -> Result<Response<Body>, Refusal> {
    let (username, password) = (wish["UserName"].as_str(), wish["Password"].as_str());
    let (Some(username), Some(password)) = (username, password) else {
        let message = "A session needs the properties UserName and Password.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "PropertyMissing", message));
    };
    if !service.account.admits(username, password) {
        return Err(Refusal::unauthorised());
    }
    let (id, token) = service.sessions.open().ok_or_else(|| {
        let message = "Too many sessions are open.";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "SessionLimitExceeded", message)
    })?;
    let path = format!("/redfish/v1/SessionService/Sessions/{id}");
    let value = tree::read(service, &path).unwrap_or_default();
    let mut response = reply::resource(StatusCode::CREATED, &value, allowed(&path));
    if let Ok(token) = HeaderValue::from_str(&token) {
        response.headers_mut().insert("X-Auth-Token", token);
    }
    Ok(response)
}

/// Removes a resource: only sessions can be.
pub(super) fn delete(service: &Service, path: &str) -> Result<Response<Body>, Refusal> {
    let id = path.strip_prefix("/redfish/v1/SessionService/Sessions/");
    match id.and_then(|id| id.parse().ok()) {
        Some(id) if service.sessions.close(id) => Ok(reply::done()),
        _ => Err(not_allowed(service, path)),
    }
}

/// Changes properties of a resource, and gives it as it is then.
pub(super) fn patch(
    service: &Arc<Service>,
    path: &str,
    wish: &Value,
) -> Result<Response<Body>, Refusal> {
    let fields = wish.as_object().into_iter().flatten();
    match path {
        "/redfish/v1/Systems/1" => {
            for (name, value) in fields {
                match name.as_str() {
                    "Boot" if service.faults.has(Fault::BootForgotten) => {}
                    "Boot" => service.switch.wish().change(value)?,
                    _ => return Err(unknown_property(name)),
                }
            }
        }
        "/redfish/v1/SessionService" => {
            for (name, value) in fields {
                let seconds = value.as_u64().filter(|seconds| SESSION_TIMEOUTS.contains(seconds));
                match (name.as_str(), seconds) {
                    ("SessionTimeout", Some(seconds)) => {
                        service.sessions.set_timeout(Duration::from_secs(seconds));
                    }
                    ("SessionTimeout", None) => return Err(Refusal::bad_value(name, value)),
                    _ => return Err(unknown_property(name)),
                }
            }
        }
        "/redfish/v1/AccountService/Accounts/1" => {
            for (name, value) in fields {
                match name.as_str() {
                    "Password" => change_password(service, value)?,
                    _ => return Err(unknown_property(name)),
                }
            }
        }
        _ => return Err(not_allowed(service, path)),
    }
    let value = tree::read(service, path).ok_or_else(|| Refusal::missing(path))?;
    Ok(reply::resource(StatusCode::OK, &value, allowed(path)))
}

/// Changes the password. Sessions that are open stay open.
fn change_password(service: &Service, value: &Value) -> Result<(), Refusal> {
    let password = value.as_str().filter(|word| PASSWORD_LENGTHS.contains(&word.len()));
    let password = password.ok_or_else(|| {
        let message = "A password has 8 to 128 characters.";
        Refusal::new(StatusCode::BAD_REQUEST, "PropertyValueError", message)
    })?;
    let changed = service.account.set_password(password);
    changed.map_err(|error| Refusal::internal(error.to_string()))
}

/// Carries out an action.
pub(super) async fn post(
    service: &Arc<Service>,
    path: &str,
    wish: &Value,
) -> Result<Response<Body>, Refusal> {
    match path {
        "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset" => {
            service.reset(&wish["ResetType"])?
        }
        "/redfish/v1/Managers/1/Actions/Manager.Reset" => match wish["ResetType"].as_str() {
            None | Some("ForceRestart" | "GracefulRestart") => service.restart(),
            Some(_) => return Err(Refusal::bad_value("ResetType", &wish["ResetType"])),
        },
        "/redfish/v1/Managers/1/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia" => {
            service.insert_media(wish).await?;
        }
        "/redfish/v1/Managers/1/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia" => {
            service.eject_media().await?;
        }
        "/redfish/v1/Systems/1/LogServices/Sel/Actions/LogService.ClearLog" => {
            service.journal.clear();
        }
        _ => return Err(not_allowed(service, path)),
    }
    Ok(reply::done())
}
