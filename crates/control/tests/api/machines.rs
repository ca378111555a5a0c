//! Machines: enrol, discover, timeline, certificate, console.

use model::ErrorCode;
use model::Timestamp;
use model::api::Timeline;
use model::machine::Lifecycle;
use serde_json::Value;

use crate::house::{House, NOW, get, json, problem, sending};
use crate::seed;

#[tokio::test]
async fn a_password_is_sealed_before_it_is_recorded() {
    let house = House::new().await;
    let body = "{\"name\":\"m-new\",\"bmc\":\"10.1.1.1\",\"username\":\"root\",\"password\":\"hunter2\",\"labels\":{\"a\":\"b\"}}";
    let response = house.send(sending("POST", "operator", "/v1/machines", &[], body)).await;
    assert_eq!(response.status(), 202, "{:?}", json(response).await);
    let machine = house.plane.leader.read().machines.by_name("m-new").unwrap().clone();
    let bmc = machine.spec.bmc.as_ref().unwrap();
    assert_eq!(bmc.address, "https://10.1.1.1");
    assert_eq!(house.plane.keys.open_sealed(&bmc.password).unwrap().expose(), "hunter2");
    let page: Value = house.get("admin", "/v1/events?limit=1000").await;
    assert!(!page.to_string().contains("hunter2"));
    let range = body.replace("10.1.1.1", "10.1.1.1-9").replace("m-new", "m-more");
    let refused = house.send(sending("POST", "operator", "/v1/machines", &[], &range)).await;
    assert_eq!(problem(refused).await.code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn discovery_says_who_did_not_answer() {
    let house = House::new().await;
    let path = "/v1/machines:discover";
    let body = "{\"addresses\":[\"https://127.0.0.1:1\"]}";
    let response = house.send(sending("POST", "operator", path, &[], body)).await;
    assert_eq!(response.status(), 200);
    let discovered = json(response).await;
    assert_eq!(discovered["silent"][0][0], "https://127.0.0.1:1");
    assert_eq!(discovered["found"].as_array().unwrap().len(), 0);
    for body in
        ["{\"addresses\":[]}", "{\"addresses\":[\"a b\"]}", "{\"addresses\":[\"10.0.0.0/8\"]}"]
    {
        let refused = house.send(sending("POST", "operator", path, &[], body)).await;
        assert_eq!(problem(refused).await.code, ErrorCode::InvalidRequest, "{body}");
    }
}

#[tokio::test]
async fn a_timeline_is_whole() {
    let house = House::new().await;
    let timeline: Timeline = house.get("viewer", "/v1/machines/m-alpha/timeline").await;
    assert_eq!(timeline.to, NOW);
    let ago = |at: Timestamp| NOW.since(at).micros() / 1_000_000;
    let told: Vec<_> = timeline
        .spans
        .iter()
        .map(|span| (span.lifecycle, span.step.is_some(), ago(span.from)))
        .collect();
    assert_eq!(
        told,
        [
            (Lifecycle::Discovered, false, 1000),
            (Lifecycle::Deploying, true, 300),
            (Lifecycle::Deploying, true, 250),
            (Lifecycle::Active, false, 100),
        ]
    );
    // A project sees what happened for it, and nothing of the time before.
    let own: Timeline = house.get("alpha-member", "/v1/machines/m-alpha/timeline").await;
    assert_eq!(ago(own.from), 300);
    let free: Timeline = house.get("alpha-member", "/v1/machines/m-free/timeline").await;
    assert_eq!((ago(free.from), free.spans.len()), (100, 1));
}

#[tokio::test]
async fn a_machine_is_found_by_name_and_by_id() {
    let house = House::new().await;
    let by_name: Value = house.get("viewer", "/v1/machines/m-free").await;
    let path = format!("/v1/machines/{}", seed::machine_id(1));
    let by_id: Value = house.get("viewer", &path).await;
    assert_eq!(by_name, by_id);
    let none = problem(house.send(get("viewer", "/v1/machines/nobody")).await).await;
    assert_eq!(none.code, ErrorCode::NotFound);
    let none = house.send(get("viewer", "/v1/machines/m-free/certificate")).await;
    assert_eq!(problem(none).await.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_console_that_cannot_be_reached_is_a_problem() {
    let house = House::new().await;
    // The seeded password was sealed by nobody.
    let response = house.send(get("member", "/v1/machines/m-alpha/console")).await;
    assert!(response.status().is_server_error() || response.status().is_client_error());
    problem(response).await;
}
