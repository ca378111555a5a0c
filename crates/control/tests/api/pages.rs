//! Pages, labels, and events by page.

use model::ErrorCode;
use serde_json::Value;

use crate::house::{House, get, problem};
use crate::seed;

/// All items of a list, page by page.
async fn walk(house: &House, path: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let page: Value = house.get("admin", &format!("{path}{next}")).await;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_page"].as_str() {
            Some(token) => next = format!("&page={token}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pages_together_are_the_whole() {
    let house = House::new().await;
    for path in [
        "/v1/machines",
        "/v1/images",
        "/v1/operations",
        "/v1/projects",
        "/v1/tokens",
        "/v1/attestation-policies",
        "/v1/events",
    ] {
        let whole = walk(&house, &format!("{path}?limit=1000")).await;
        assert!(!whole.is_empty(), "{path}");
        for limit in [1, 2, 3] {
            let pages = walk(&house, &format!("{path}?limit={limit}")).await;
            assert_eq!(pages, whole, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn labels_select() {
    let house = House::new().await;
    let items = walk(&house, "/v1/machines?label=rack%3Dr1").await;
    let names: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, [seed::MACHINES[0], seed::MACHINES[2]]);
    let none = walk(&house, "/v1/machines?label=rack%3Dr1&label=row%3D1").await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn operations_and_events_come_newest_first() {
    let house = House::new().await;
    let items = walk(&house, "/v1/operations?limit=1").await;
    let ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [seed::operation(2).to_string(), seed::operation(1).to_string()]);
    let items = walk(&house, "/v1/events?limit=7").await;
    let revisions: Vec<u64> = items.iter().map(|item| item["revision"].as_u64().unwrap()).collect();
    assert!(revisions.windows(2).all(|two| two[0] > two[1]), "{revisions:?}");
    assert_eq!(revisions[0], house.plane.leader.revision());
}

#[tokio::test]
async fn a_token_of_a_page_is_taken_as_it_was_given() {
    let house = House::new().await;
    for page in ["x", "", "AQ", "%00", "AAAAAAAAAAAAAAAAAAAAAAA"] {
        let path = format!("/v1/machines?page={page}");
        let refused = problem(house.send(get("viewer", &path)).await).await;
        assert_eq!(refused.code, ErrorCode::InvalidRequest, "{page}");
    }
}
