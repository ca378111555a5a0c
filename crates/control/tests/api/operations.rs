//! Operations: shown with their steps, and waited for.

use std::time::Duration;

use control::cell::{Call, Reply};
use model::ErrorCode;
use model::operation::OperationState;
use record::Store as _;
use record::store::simulated::Simulated;
use serde_json::Value;

use crate::house::{House, get, problem, sending};
use crate::seed;

#[tokio::test]
async fn an_operation_comes_with_its_steps() {
    let house = House::new().await;
    let path = format!("/v1/operations/{}?wait=60", seed::operation(1));
    // It has ended, so nobody waits.
    let detail: Value = house.get("viewer", &path).await;
    let steps: Vec<&str> =
        detail["steps"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(steps, ["write-image", "await-system"]);
    for id in ["x", "00000000-0000-0000-0000-000000000000"] {
        let none = problem(house.send(get("viewer", &format!("/v1/operations/{id}"))).await).await;
        assert_eq!(none.code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn whoever_waits_hears_of_the_end_at_once() {
    let house = House::new().await;
    let Reply::Operation(operation) =
        house.ask(Call::Release { machine: seed::machine_id(2) }).await
    else {
        panic!("a release begins an operation");
    };
    assert_eq!(operation.state, OperationState::Running);
    let path = format!("/v1/operations/{}?wait=60", operation.id);
    let waiting = house.get::<Value>("viewer", &path);
    let ending = async {
        let machine = seed::machine_id(2);
        let reason = "the test says so".to_owned();
        house.ask(Call::Quarantine { machine, reason }).await;
    };
    let both = async { tokio::join!(waiting, ending) };
    let (detail, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    assert_ne!(detail["operation"]["state"], "running");
}

#[tokio::test]
async fn whoever_does_not_wait_gets_it_as_it_is() {
    let house = House::new().await;
    house.ask(Call::Release { machine: seed::machine_id(2) }).await;
    let page: Value = house.get("viewer", "/v1/operations?limit=1").await;
    let path = format!("/v1/operations/{}?wait=1", page["items"][0]["id"].as_str().unwrap());
    let detail: Value = house.get("viewer", &path).await;
    assert_eq!(detail["operation"]["state"], "running");
}

#[tokio::test]
async fn only_what_needs_attention_is_settled() {
    let house = House::new().await;
    let path = format!("/v1/operations/{}/settle", seed::operation(1));
    let body = "{\"settlement\":\"retry\"}";
    let refused = problem(house.send(sending("POST", "operator", &path, &[], body)).await).await;
    assert_eq!(refused.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn what_has_ended_can_be_forgotten_with_its_steps_and_nothing_else() {
    let house = House::new().await;
    let running = match house.ask(Call::Release { machine: seed::machine_id(2) }).await {
        Reply::Operation(operation) => operation.id,
        other => panic!("{other:?}"),
    };
    let operations = vec![seed::operation(1), running];
    house.ask(Call::Forget { operations: operations.clone() }).await;
    let gone = house.send(get("admin", &format!("/v1/operations/{}", operations[0]))).await;
    assert_eq!(gone.status(), 404);
    let page: serde_json::Value = house.get("admin", "/v1/operations").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "one of beta's, and the one that runs");
    let state = Simulated::open(&house.disk).load().unwrap();
    assert!(state.operation(seed::operation(1).uuid()).is_none());
    assert_eq!(state.steps(seed::operation(1).uuid()).count(), 0);
    assert!(state.operation(running.uuid()).is_some() && state.steps(running.uuid()).count() > 0);
    assert_eq!(Simulated::open(&house.disk).replay().unwrap().hash(), state.hash());
}
