//! Etags, idempotency keys and dry runs.

use http::Response;
use model::ErrorCode;
use serde_json::json;

use crate::house::{House, header, json, problem, sending};

const LABELS: &str = "{\"labels\":{\"a\":\"b\"}}";

async fn update(house: &House, headers: &[(&str, &str)], body: &str) -> Response<axum::body::Body> {
    house.send(sending("PUT", "operator", "/v1/machines/m-free", headers, body)).await
}

#[tokio::test]
async fn a_change_of_spec_names_the_generation_that_it_changes() {
    let house = House::new().await;
    let refused = problem(update(&house, &[], LABELS).await).await;
    assert_eq!(refused.code, ErrorCode::PreconditionRequired);
    assert!(refused.detail.contains("\"3\""), "{}", refused.detail);
    let refused = problem(update(&house, &[("if-match", "\"2\"")], LABELS).await).await;
    assert_eq!(refused.code, ErrorCode::GenerationMismatch);
    let refused = problem(update(&house, &[("if-match", "3")], LABELS).await).await;
    assert_eq!(refused.code, ErrorCode::InvalidRequest);
    let response = update(&house, &[("if-match", "\"3\"")], LABELS).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "etag"), "\"4\"");
    assert_eq!(json(response).await["labels"], json!({"a": "b"}));
    let refused = problem(update(&house, &[("if-match", "\"3\"")], LABELS).await).await;
    assert_eq!(refused.code, ErrorCode::GenerationMismatch);
    let response = update(&house, &[("if-match", "*")], LABELS).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_policy_is_made_without_an_etag_and_changed_with_one() {
    let house = House::new().await;
    let put = |name: &str, headers: &[(&str, &str)]| {
        let path = format!("/v1/attestation-policies/{name}");
        house.send(sending("PUT", "operator", &path, headers, "{\"mode\":\"enforce\"}"))
    };
    assert_eq!(put("fresh", &[]).await.status(), 200);
    assert_eq!(problem(put("fresh", &[]).await).await.code, ErrorCode::PreconditionRequired);
    let response = put("fresh", &[("if-match", "\"1\"")]).await;
    assert_eq!(header(&response, "etag"), "\"2\"");
    let gone = problem(put("never", &[("if-match", "\"1\"")]).await).await;
    assert_eq!(gone.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_repeated_request_is_done_once_and_answered_the_same() {
    let house = House::new().await;
    let make = |key: &str, name: &str| {
        let body = format!("{{\"name\":\"{name}\"}}");
        house.send(sending("POST", "admin", "/v1/projects", &[("idempotency-key", key)], &body))
    };
    let first = make("k1", "gamma").await;
    assert_eq!(first.status(), 201);
    assert_eq!(header(&first, "idempotency-replayed"), "");
    let revision = house.plane.leader.revision();
    let again = make("k1", "gamma").await;
    assert_eq!(again.status(), 201);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    assert_eq!(json(first).await, json(again).await);
    assert_eq!(house.plane.leader.revision(), revision);
    assert_eq!(problem(make("k1", "delta").await).await.code, ErrorCode::KeyReused);
    assert_eq!(problem(make("k2", "gamma").await).await.code, ErrorCode::NameTaken);
    assert_eq!(problem(make("", "epsilon").await).await.code, ErrorCode::InvalidRequest);
    // Another caller's key is another key.
    let other = sending(
        "PUT",
        "operator",
        "/v1/machines/m-free",
        &[("idempotency-key", "k1"), ("if-match", "\"3\"")],
        "{}",
    );
    assert_eq!(house.send(other).await.status(), 200);
}

#[tokio::test]
async fn what_was_removed_is_removed_once_by_its_key() {
    let house = House::new().await;
    let cases = [
        ("operator", "/v1/machines/m-seen"),
        ("operator", "/v1/images/image-beta"),
        ("admin", "/v1/tokens/victim"),
    ];
    for (token, path) in cases {
        let [one, other] = ["first", "second"].map(|key| format!("{key}:{path}"));
        let remove =
            |key: &str| house.send(sending("DELETE", token, path, &[("idempotency-key", key)], ""));
        let first = remove(&one).await;
        assert_eq!(first.status(), 200, "{path}");
        let again = remove(&one).await;
        assert_eq!(header(&again, "idempotency-replayed"), "true", "{path}");
        assert_eq!(json(first).await, json(again).await);
        assert_eq!(problem(remove(&other).await).await.code, ErrorCode::NotFound, "{path}");
    }
}

#[tokio::test]
async fn a_dry_run_decides_and_leaves_nothing() {
    let house = House::new().await;
    let before = house.plane.leader.revision();
    let headers = [("idempotency-key", "k1")];
    let path = "/v1/machines/m-alpha/release?dry_run=true";
    let response = house.send(sending("POST", "operator", path, &headers, "")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "location"), "");
    assert_eq!(json(response).await["kind"], "release");
    let body = "{\"name\":\"gamma\",\"role\":\"viewer\"}";
    let response =
        house.send(sending("POST", "admin", "/v1/tokens?dry_run=true", &headers, body)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(json(response).await["secret"], "");
    assert_eq!(house.plane.leader.revision(), before);
    // The key of a dry run is still free.
    let path = "/v1/machines/m-alpha/release";
    let response = house.send(sending("POST", "operator", path, &headers, "")).await;
    assert_eq!(response.status(), 202);
    assert!(house.plane.leader.revision() > before);
}

#[tokio::test]
async fn long_work_is_accepted_and_names_its_operation() {
    let house = House::new().await;
    let response = house
        .send(sending("POST", "alpha-member", "/v1/machines/m-alpha/release", &[], "{}"))
        .await;
    assert_eq!(response.status(), 202);
    let location = header(&response, "location").to_owned();
    let operation = json(response).await;
    assert_eq!(location, format!("/v1/operations/{}", operation["id"].as_str().unwrap()));
    let detail: serde_json::Value = house.get("alpha-member", &location).await;
    assert_eq!(detail["operation"]["id"], operation["id"]);
    assert_eq!(detail["operation"]["actor"], "alpha-member");
}

#[tokio::test]
async fn a_change_leaves_who_and_by_which_request() {
    let house = House::new().await;
    let headers = [("x-request-id", "audit-1")];
    let body = "{\"name\":\"gamma\"}";
    house.send(sending("POST", "admin", "/v1/projects", &headers, body)).await;
    let page: serde_json::Value = house.get("viewer", "/v1/events?limit=5").await;
    let event = &page["items"][0];
    assert_eq!(event["kind"], "project.changed");
    assert_eq!(event["actor"], "admin");
    assert_eq!(event["request"], "audit-1");
}
