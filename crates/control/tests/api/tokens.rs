//! Tokens: shown once, used, taken back.

use model::ErrorCode;
use serde_json::Value;

use crate::house::{House, json, problem, request, sending};

async fn make(
    house: &House,
    headers: &[(&str, &str)],
    body: &str,
) -> http::Response<axum::body::Body> {
    house.send(sending("POST", "admin", "/v1/tokens", headers, body)).await
}

#[tokio::test]
async fn a_new_token_works_until_it_is_taken_back() {
    let house = House::new().await;
    let made = make(&house, &[], "{\"name\":\"ci\",\"role\":\"viewer\",\"ttl\":60000000}").await;
    assert_eq!(made.status(), 201);
    let made = json(made).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("bp_"));
    assert_eq!(made["token"]["status"]["digest"], "");
    let caller: Value = house.get(&secret, "/v1/self").await;
    assert_eq!(caller["name"], "ci");
    let list: Value = house.get("admin", "/v1/tokens").await;
    assert!(!list.to_string().contains(&secret));
    house.send(request("DELETE", "admin", "/v1/tokens/ci")).await;
    let refused = house.send(request("GET", &secret, "/v1/self")).await;
    assert_eq!(problem(refused).await.code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_secret_is_not_told_twice() {
    let house = House::new().await;
    let (key, body) = ([("idempotency-key", "k")], "{\"name\":\"ci\",\"role\":\"viewer\"}");
    assert_eq!(make(&house, &key, body).await.status(), 201);
    let again = problem(make(&house, &key, body).await).await;
    assert_eq!(again.code, ErrorCode::Conflict);
    assert!(again.next.contains("take the token back"));
}

#[tokio::test]
async fn a_token_of_a_project_is_of_a_viewer_or_a_member() {
    let house = House::new().await;
    for (role, status) in [("viewer", 201), ("member", 201), ("operator", 400), ("admin", 400)] {
        let body = format!("{{\"name\":\"t-{role}\",\"role\":\"{role}\",\"project\":\"alpha\"}}");
        assert_eq!(make(&house, &[], &body).await.status(), status, "{role}");
    }
    let nowhere = "{\"name\":\"t\",\"role\":\"viewer\",\"project\":\"nowhere\"}";
    assert_eq!(problem(make(&house, &[], nowhere).await).await.code, ErrorCode::NotFound);
}
