//! Whether who asks may do this. It stands before every endpoint, of people and
//! of machines, and goes by the table alone: what is not in the table is not
//! served, whatever was routed.
//!
//! A token that is bound to a project looks and uses there and nowhere else (see
//! [`super::scope`]). Hardware, policies, projects and tokens belong to no
//! project, so such a token has no part in running or administering them,
//! whatever its role says.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::ALLOW;

use model::api::EndpointInfo;
use model::project::Permission;
use model::{ErrorCode, Problem};

use super::principal::{Person, Principal};
use super::refusal::Refusal;
use super::table::{Row, row};
use crate::identity::Peer;
use crate::plane::Plane;

/// The middleware. It leaves the [`Principal`] in the extensions of the request
/// and of the response.
pub async fn authorise(
    State(plane): State<Arc<Plane>>,
    mut request: Request,
    next: Next,
) -> Response {
    let info = match row(&request) {
        Row::Endpoint(info) => info,
        Row::OtherMethods(methods) => return other_methods(&request, &methods),
        Row::Nowhere => return nowhere(&request),
    };
    let principal = match admit(&plane, &request, info) {
        Ok(principal) => principal,
        Err((principal, problem)) => {
            tracing::warn!(
                target: "audit",
                actor = principal.actor(),
                endpoint = info.name,
                path = request.uri().path(),
                code = problem.code.name(),
                detail = problem.detail,
                "denied"
            );
            return Refusal(problem).into_response();
        }
    };
    request.extensions_mut().insert(principal.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(principal);
    response
}

/// Who asks, where they may; who asked and why not, where they may not.
fn admit(
    plane: &Plane,
    request: &Request,
    info: &EndpointInfo,
) -> Result<Principal, (Principal, Problem)> {
    let peer = request.extensions().get::<Peer>();
    let now = plane.clock.now();
    let principal = match info.permission {
        Permission::Open => return Ok(Principal::Nobody),
        Permission::Agent => Principal::of_role(peer, now),
        _ => Principal::of_person(request.headers(), peer, &plane.leader.read(), now),
    };
    let principal = principal.map_err(|problem| (Principal::Nobody, problem))?;
    match judge(&principal, info) {
        Ok(()) => Ok(principal),
        Err(problem) => Err((principal, problem)),
    }
}

/// Whether somebody may use an endpoint.
pub(super) fn judge(principal: &Principal, info: &EndpointInfo) -> Result<(), Problem> {
    let word = word(info.permission);
    match principal {
        _ if info.permission == Permission::Open => Ok(()),
        Principal::Nobody if info.permission == Permission::Agent => Err(Problem::new(
            ErrorCode::Unauthenticated,
            format!("{} is for the agent of a machine, by its certificate", info.name),
        )
        .next("This is not for people; see /v1/openapi.json for what is.")),
        Principal::Nobody => Err(Problem::new(
            ErrorCode::Unauthenticated,
            format!("{} asks for the permission `{word}`, and no token was given", info.name),
        )),
        Principal::Person(person) => judge_person(person, info, word),
        Principal::Agent(_) if info.permission == Permission::Agent => Ok(()),
        Principal::Agent(_) | Principal::Control => Err(Problem::new(
            ErrorCode::Forbidden,
            format!("{} asks for the permission `{word}`; the certificate has it not", info.name),
        )),
    }
}

fn judge_person(person: &Person, info: &EndpointInfo, word: &str) -> Result<(), Problem> {
    let forbidden = |detail: String| Err(Problem::new(ErrorCode::Forbidden, detail));
    if !person.role.may(info.permission) {
        return forbidden(format!(
            "{} asks for the permission `{word}`, which the role `{}` of the token {} does not include",
            info.name,
            role_word(person.role),
            person.name
        ));
    }
    let beyond = matches!(info.permission, Permission::Operate | Permission::Administer);
    match &person.project {
        Some(project) if beyond => forbidden(format!(
            "{} asks for the permission `{word}` over what belongs to no project, and the token {} is bound to the project {project}",
            info.name, person.name
        )),
        _ => Ok(()),
    }
}

/// The word for a permission, as the table in the documentation has it.
pub(super) fn word(permission: Permission) -> &'static str {
    match permission {
        Permission::Open => "open",
        Permission::Read => "read",
        Permission::Use => "use",
        Permission::Operate => "operate",
        Permission::Administer => "administer",
        Permission::Agent => "agent",
    }
}

/// The word for a role.
pub(super) fn role_word(role: model::project::Role) -> &'static str {
    use model::project::Role;
    match role {
        Role::Viewer => "viewer",
        Role::Member => "member",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn other_methods(request: &Request, methods: &[&str]) -> Response {
    let methods = methods.join(", ");
    let detail = format!("{} has {methods}, and not {}", request.uri().path(), request.method());
    let mut response = Refusal::new(ErrorCode::MethodNotAllowed, detail).into_response();
    if let Ok(value) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The answer where there is no endpoint.
fn nowhere(request: &Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    Refusal::new(ErrorCode::UnknownPath, format!("there is nothing at {path}")).into_response()
}
