//! Whatever goes wrong is a problem document with the id of its request.

use http::Request;
use model::ErrorCode;

use crate::house::{House, body, header, json, problem, request, sending};

#[tokio::test]
async fn every_reply_has_the_id_of_its_request() {
    let house = House::new().await;
    let own = [("x-request-id", "build-17")];
    let response = house.send(sending("GET", "viewer", "/v1/self", &own, "")).await;
    assert_eq!(header(&response, "x-request-id"), "build-17");
    let response = house.send(sending("GET", "", "/v1/self", &own, "")).await;
    assert_eq!(header(&response, "x-request-id"), "build-17");
    assert_eq!(problem(response).await.request.as_deref(), Some("build-17"));
    let bad = [("x-request-id", "no spaces please")];
    let response = house.send(sending("GET", "viewer", "/nowhere", &bad, "")).await;
    let made = header(&response, "x-request-id").to_owned();
    assert_eq!(made.len(), 36);
    assert_eq!(problem(response).await.request, Some(made));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let house = House::new().await;
    let path = "/v1/machines/m-alpha/power";
    for text in ["", "{", "{\"action\":\"explode\"}", "[]", "\u{feff}{}", &"[".repeat(5000)] {
        let refused = problem(house.send(sending("POST", "operator", path, &[], text)).await).await;
        assert_eq!(refused.code, ErrorCode::InvalidRequest, "{text:.20}");
        assert!(refused.detail.contains("body") || refused.detail.contains("document"));
    }
    let large = "x".repeat((1 << 20) + 1);
    for headers in [&[][..], &[("content-length", "99999999")]] {
        let request = sending("POST", "operator", path, headers, &large);
        assert_eq!(problem(house.send(request).await).await.code, ErrorCode::TooLarge);
    }
    let release = "/v1/machines/m-alpha/release?dry_run=true";
    let refused = house.send(sending("POST", "operator", release, &[], "{\"force\":1}")).await;
    assert_eq!(problem(refused).await.code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn what_was_mistyped_does_nothing() {
    let house = House::new().await;
    let before = house.plane.leader.revision();
    for path in [
        "/v1/machines/m-alpha/release?dryrun=true",
        "/v1/machines/m-alpha/release?dry_run=yes",
        "/v1/machines/m-alpha/release?dry_run=true&dry_run=false",
        "/v1/machines/m-alpha/release?%zz",
    ] {
        let refused = problem(house.send(request("POST", "operator", path)).await).await;
        assert_eq!(refused.code, ErrorCode::InvalidRequest, "{path}");
    }
    assert_eq!(house.plane.leader.revision(), before);
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_refused() {
    let house = House::new().await;
    let refused = problem(house.send(request("GET", "viewer", "/v1/machines/%ff")).await).await;
    assert_eq!(refused.code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn authorisation_headers_that_make_no_sense_are_refused() {
    let house = House::new().await;
    for value in ["", "Bearer", "Basic dmlld2VyOg==", "Bearer viewer extra", "viewer"] {
        let request = Request::builder().uri("/v1/self").header("authorization", value);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let refused = problem(house.send(request).await).await;
        assert_eq!(refused.code, ErrorCode::Unauthenticated, "{value}");
    }
}

#[tokio::test]
async fn health_authority_and_metrics_are_told() {
    let house = House::new().await;
    let health = json(house.send(request("GET", "", "/v1/health")).await).await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["leader"], true);
    let pem = body(house.send(request("GET", "", "/v1/ca.pem")).await).await;
    assert_eq!(String::from_utf8(pem).unwrap(), house.plane.authority.pem());
    let caller = json(house.send(request("GET", "alpha-member", "/v1/self")).await).await;
    assert_eq!(
        caller,
        serde_json::json!({"name": "alpha-member", "role": "member", "project": "alpha"})
    );
    let text = body(house.send(request("GET", "viewer", "/metrics")).await).await;
    let text = String::from_utf8(text).unwrap();
    for line in [
        "bedplate_machines{lifecycle=\"active\"} 2",
        "bedplate_operations{state=\"done\"} 2",
        "bedplate_requests_total{endpoint=\"getHealth\",status=\"200\"} 1",
        "bedplate_leader 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
