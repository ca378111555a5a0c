//! Every endpoint by every role, from the table: who is let in and who is not.

use control::api;
use control::identity::Peer;
use model::api::{ENDPOINTS, EndpointInfo};
use model::identity::RoleIdentity;
use model::project::{Permission, Role};
use model::{Duration, ErrorCode, Problem};

use crate::house::{House, NOW, body, over, problem, request};
use crate::seed;

/// Endpoints without an authorisation test. It may only shrink.
const UNCOVERED: [&str; 0] = [];

/// Who asks in a test.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Stranger,
    Expired,
    Bearer(&'static str, Role),
    /// Of the project that the things in the paths belong to.
    OfProject,
    /// Of another project.
    OfAnother,
    /// Of another project, with the highest role.
    AdminOfAnother,
    Certificate(RoleIdentity),
    ExpiredCertificate,
}

fn everybody() -> Vec<Who> {
    let agent = RoleIdentity::Agent(seed::machine_id(2));
    vec![
        Who::Nobody,
        Who::Stranger,
        Who::Expired,
        Who::Bearer("viewer", Role::Viewer),
        Who::Bearer("member", Role::Member),
        Who::Bearer("operator", Role::Operator),
        Who::Bearer("admin", Role::Admin),
        Who::OfProject,
        Who::OfAnother,
        Who::AdminOfAnother,
        Who::Certificate(agent),
        Who::Certificate(RoleIdentity::Control),
        Who::ExpiredCertificate,
    ]
}

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Past the authorisation, whatever comes then.
    LetIn,
    Unauthenticated,
    Forbidden,
    /// Let in, and the thing is out of the caller's sight.
    NotFound,
}

/// The rule, written down a second time and in another way than in the product.
fn expected(who: Who, info: &EndpointInfo) -> Expected {
    use Expected::{Forbidden, LetIn, NotFound, Unauthenticated};
    if info.permission == Permission::Open {
        return LetIn;
    }
    let for_agents = info.permission == Permission::Agent;
    let by_role = |role: Role| if role.may(info.permission) { LetIn } else { Forbidden };
    let of_everything = matches!(info.permission, Permission::Operate | Permission::Administer)
        || ["getMetrics", "getFleet", "listHosts", "getCapacity"].contains(&info.name);
    let of_alpha = ["{machine}", "{image}", "{operation}", "{instance}", "{group}", "{project}"]
        .iter()
        .any(|it| info.path.contains(it));
    match who {
        Who::Nobody | Who::ExpiredCertificate => Unauthenticated,
        Who::Stranger | Who::Expired => Unauthenticated,
        // A token does not make an agent.
        Who::Bearer(..) | Who::OfProject | Who::OfAnother | Who::AdminOfAnother if for_agents => {
            Unauthenticated
        }
        Who::Bearer(_, role) => by_role(role),
        Who::OfProject | Who::OfAnother | Who::AdminOfAnother if of_everything => Forbidden,
        Who::OfProject => LetIn,
        Who::OfAnother | Who::AdminOfAnother if of_alpha => NotFound,
        Who::OfAnother | Who::AdminOfAnother => LetIn,
        Who::Certificate(RoleIdentity::Agent(_)) if for_agents => LetIn,
        Who::Certificate(_) => Forbidden,
    }
}

/// A request to an endpoint about things of alpha's. It does nothing where it is
/// let in: either it is a dry run, or its body is missing.
fn asking(who: Who, info: &EndpointInfo) -> http::Request<axum::body::Body> {
    let operation = seed::operation(1).to_string();
    let dry = info.query.iter().any(|(name, _)| *name == "dry_run");
    let path = info
        .path
        .replace("{machine}", "m-alpha")
        .replace("{image}", "image-alpha")
        .replace("{policy}", "default")
        .replace("{operation}", &operation)
        .replace("{project}", "alpha")
        .replace("{instance}", "i-alpha")
        .replace("{group}", "group-alpha")
        .replace("{type}", "small")
        .replace("{token}", "victim")
        + if dry { "?dry_run=true" } else { "" };
    let token = match who {
        Who::Nobody | Who::Certificate(_) | Who::ExpiredCertificate => "",
        Who::Stranger => "bp_nobody_has_this",
        Who::Expired => "expired",
        Who::Bearer(token, _) => token,
        Who::OfProject => "alpha-member",
        Who::OfAnother => "beta-member",
        Who::AdminOfAnother => "beta-admin",
    };
    let request = request(info.method.name(), token, &path);
    let peer = |identity, expires| Peer {
        identity,
        certificate: "0".repeat(64),
        expires,
        attestation: None,
    };
    match who {
        Who::Certificate(identity) => over(request, peer(identity, NOW + Duration::from_secs(60))),
        Who::ExpiredCertificate => {
            let agent = RoleIdentity::Agent(seed::machine_id(2));
            over(request, peer(agent, NOW))
        }
        _ => request,
    }
}

#[tokio::test]
async fn every_endpoint_lets_in_whom_the_table_says() {
    let house = House::new().await;
    let served = api::served();
    let mut covered = 0;
    for info in ENDPOINTS.iter().filter(|info| !UNCOVERED.contains(&info.name)) {
        for who in everybody() {
            let request = asking(who, info);
            let response = match served.contains(&info.name) {
                true => house.send(request).await,
                false => house.send_to_agents(request).await,
            };
            let status = response.status().as_u16();
            let code = match status {
                200..=299 => None,
                _ => Some(problem(response).await.code),
            };
            let got = format!("{} by {who:?}: {status} {code:?}", info.name);
            match expected(who, info) {
                Expected::LetIn => {
                    let denied = [ErrorCode::Unauthenticated, ErrorCode::Forbidden];
                    assert!(code.is_none_or(|code| !denied.contains(&code)), "{got}");
                    assert!(code != Some(ErrorCode::UnknownPath) && status != 500, "{got}");
                }
                Expected::Unauthenticated => {
                    assert_eq!(code, Some(ErrorCode::Unauthenticated), "{got}");
                }
                Expected::Forbidden => assert_eq!(code, Some(ErrorCode::Forbidden), "{got}"),
                // Where there is a body to be missing, that is found first.
                Expected::NotFound if info.has_request => {
                    assert_eq!(code, Some(ErrorCode::InvalidRequest), "{got}");
                }
                Expected::NotFound => assert_eq!(code, Some(ErrorCode::NotFound), "{got}"),
            }
        }
        covered += 1;
    }
    assert_eq!(covered + UNCOVERED.len(), ENDPOINTS.len());
}

#[tokio::test]
async fn a_denial_says_what_was_missing() {
    let house = House::new().await;
    let denied: Problem =
        problem(house.send(request("POST", "viewer", "/v1/machines/m-free/recover")).await).await;
    for word in ["recoverMachine", "`operate`", "`viewer`"] {
        assert!(denied.detail.contains(word), "{word} is not in {}", denied.detail);
    }
    let response = house.send(request("GET", "", "/v1/machines")).await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert!(problem(response).await.next.contains("--token"));
}

#[tokio::test]
async fn an_agents_words_count_on_neither_side_for_people() {
    let house = House::new().await;
    // The certificate does not help a token that is not good.
    let agent = RoleIdentity::Agent(seed::machine_id(2));
    let expires = NOW + Duration::from_secs(60);
    let peer = Peer { identity: agent, certificate: "0".repeat(64), expires, attestation: None };
    let response = house.send(over(request("GET", "expired", "/v1/self"), peer)).await;
    assert_eq!(problem(response).await.code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_token_that_expires_is_refused_from_then_on() {
    let house = House::new().await;
    assert_eq!(house.send(request("GET", "operator", "/v1/self")).await.status(), 200);
    house.clock.set(NOW + Duration::from_secs(1000));
    let response = house.send(request("GET", "operator", "/v1/self")).await;
    assert_eq!(problem(response).await.code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn nothing_secret_leaves_whoever_asks() {
    let house = House::new().await;
    let paths = [
        "/v1/machines",
        "/v1/machines/m-alpha",
        "/v1/machines/m-free",
        "/v1/images",
        "/v1/operations",
        "/v1/attestation-policies",
        "/v1/projects",
        "/v1/instances",
        "/v1/placement-groups",
        "/v1/tokens",
        "/v1/events?limit=1000",
        "/metrics",
    ];
    let digest = control::identity::tokens::digest("admin");
    for token in ["viewer", "member", "operator", "admin", "alpha-member", "alpha-viewer"] {
        for path in paths {
            let text = body(house.send(request("GET", token, path)).await).await;
            let text = String::from_utf8(text).unwrap();
            for secret in seed::SECRETS.iter().chain([&digest.as_str()]) {
                assert!(!text.contains(secret), "{path} by {token} shows {secret}");
            }
            let sees = token != "viewer" && token != "alpha-viewer";
            assert!(sees || !text.contains(seed::USER_DATA), "{path} by {token}");
            let bound = token.starts_with("alpha");
            assert!(!bound || !text.contains("10.0.0."), "{path} by {token} shows a BMC");
            assert!(!bound || !text.contains("m-beta"), "{path} by {token} shows beta's");
        }
    }
    let text = body(house.send(request("GET", "alpha-member", "/v1/machines/m-alpha")).await).await;
    assert!(String::from_utf8(text).unwrap().contains(seed::USER_DATA));
}

#[tokio::test]
async fn a_project_sees_its_own_and_what_is_free() {
    let house = House::new().await;
    let names = async |token: &str, path: &str| -> Vec<String> {
        let page: serde_json::Value = house.get(token, path).await;
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("alpha-member", "/v1/machines").await, ["m-free", "m-alpha"]);
    assert_eq!(names("viewer", "/v1/machines").await, seed::MACHINES);
    assert_eq!(names("alpha-member", "/v1/images").await, ["everybody", "image-alpha"]);
    assert_eq!(names("alpha-member", "/v1/projects").await, ["alpha"]);
    let page: serde_json::Value = house.get("alpha-member", "/v1/operations").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["project"], "alpha");
}

#[tokio::test]
async fn a_project_uses_only_what_is_its_own() {
    let house = House::new().await;
    // It sees a free machine, and may not switch it off under others' feet.
    let power = crate::house::sending(
        "POST",
        "alpha-member",
        "/v1/machines/m-free/power",
        &[],
        "{\"action\":\"off\"}",
    );
    assert_eq!(problem(house.send(power).await).await.code, ErrorCode::Forbidden);
    let deploy = |project: &str, image: &str| {
        let text = format!(
            "{{\"project\":\"{project}\",\"image\":\"{image}\",\"hostname\":\"h\",\"ssh_keys\":[]}}"
        );
        let path = "/v1/machines/m-free/deploy?dry_run=true";
        crate::house::sending("POST", "alpha-member", path, &[], &text)
    };
    let refused = problem(house.send(deploy("beta", "everybody")).await).await;
    assert_eq!(refused.code, ErrorCode::Forbidden);
    let refused = problem(house.send(deploy("alpha", "image-beta")).await).await;
    assert_eq!(refused.code, ErrorCode::NotFound);
    let remove = request("DELETE", "alpha-member", "/v1/images/everybody");
    assert_eq!(problem(house.send(remove).await).await.code, ErrorCode::Forbidden);
}
