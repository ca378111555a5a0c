//! Instances through the API: placed, refused with the reason, counted against a quota,
//! moved off a machine that is drained, and the same cell after the record was read anew.

use control::cell::{Call, HoldKind, Reply};
use control::nouns::Nouns;
use model::ErrorCode;
use model::fleet::{FleetStatus, Instance, PlacementExplanation};
use record::Store as _;
use record::store::simulated::Simulated;
use serde_json::{Value, json};

use crate::house::{House, body, get, json as json_of, problem, request, sending};
use crate::seed;

fn post(token: &str, path: &str, document: &Value) -> http::Request<axum::body::Body> {
    sending("POST", token, path, &[], &document.to_string())
}

async fn create(house: &House, name: &str, more: Value) -> http::Response<axum::body::Body> {
    let mut document = json!({ "name": name, "project": "alpha", "type": "small" });
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    house.send(post("alpha-member", "/v1/instances", &document)).await
}

#[tokio::test]
async fn an_instance_takes_its_room_and_gives_it_back() {
    let house = House::new().await;
    let made = create(&house, "web-1", json!({})).await;
    assert_eq!(made.status(), 201);
    let made: Instance = serde_json::from_slice(&body(made).await).unwrap();
    assert_eq!(made.status.host.unwrap().uuid(), seed::machine_id(3).uuid());
    let before: FleetStatus = house.get("viewer", "/v1/fleet").await;
    // The host has 16 cores; the seed has two instances of two cores there.
    assert_eq!((before.placed, before.free.millicores), (3, 10_000));
    let used = house.get::<Value>("alpha-member", "/v1/projects/alpha").await;
    assert_eq!(used["used"]["millicores"], 4_000);
    assert_eq!(create(&house, "web-1", json!({})).await.status(), 409);
    let removed = house.send(request("DELETE", "alpha-member", "/v1/instances/web-1")).await;
    assert_eq!(removed.status(), 200);
    let after: FleetStatus = house.get("viewer", "/v1/fleet").await;
    assert_eq!((after.placed, after.free.millicores), (2, 12_000));
}

#[tokio::test]
async fn a_full_cell_says_why_and_one_that_waits_is_placed_when_there_is_room() {
    let house = House::new().await;
    for number in 0..6 {
        assert_eq!(create(&house, &format!("web-{number}"), json!({})).await.status(), 201);
    }
    let refused = problem(create(&house, "web-6", json!({})).await).await;
    assert_eq!(refused.code, ErrorCode::NoRoom);
    assert!(refused.detail.contains("1 have too little cores free"), "{}", refused.detail);
    assert!(refused.next.contains("cores on one host"), "{}", refused.next);
    let waits = create(&house, "web-6", json!({ "wait_for_room": true })).await;
    let waits: Instance = serde_json::from_slice(&body(waits).await).unwrap();
    assert!(waits.status.host.is_none() && waits.status.waits.is_some());
    let asked = json!({ "instance": "web-6" });
    let told = house.send(post("alpha-member", "/v1/placements:explain", &asked)).await;
    let told: PlacementExplanation = serde_json::from_slice(&body(told).await).unwrap();
    assert_eq!((told.hosts, told.fit, told.removed.len()), (1, 0, 1));
    house.send(request("DELETE", "alpha-member", "/v1/instances/web-0")).await;
    let Reply::Instance(placed) = house.ask(Call::PlaceInstance { instance: waits.id }).await
    else {
        panic!("it is an instance")
    };
    assert!(placed.status.host.is_some() && placed.status.waits.is_none());
}

#[tokio::test]
async fn a_quota_holds_and_can_be_changed() {
    let house = House::new().await;
    let set = |cores: u64| {
        let document = json!({ "description": "", "quota": { "millicores": cores } });
        let any = [("if-match", "*")];
        sending("PUT", "admin", "/v1/projects/alpha", &any, &document.to_string())
    };
    assert_eq!(house.send(set(4_000)).await.status(), 200);
    assert_eq!(create(&house, "web-1", json!({})).await.status(), 201);
    let refused = problem(create(&house, "web-2", json!({})).await).await;
    assert_eq!(refused.code, ErrorCode::QuotaExceeded);
    assert!(refused.detail.contains("cores"), "{}", refused.detail);
    assert_eq!(house.send(set(6_000)).await.status(), 200);
    assert_eq!(create(&house, "web-2", json!({})).await.status(), 201);
    let foreign = json!({ "name": "x", "project": "beta", "type": "small" });
    let refused = house.send(post("alpha-member", "/v1/instances", &foreign)).await;
    assert_eq!(problem(refused).await.code, ErrorCode::Forbidden);
}

/// Two of a group that keeps apart, on the two hosts that there are.
async fn two_apart() -> House {
    let house = House::new().await;
    let offer = json!({ "nodes": [{ "millicores": 8_000, "memory_mib": 32_768 }] });
    let path = "/v1/machines/m-alpha/host";
    let put = |path: &str| sending("PUT", "operator", path, &[], &offer.to_string());
    assert_eq!(house.send(put(path)).await.status(), 200);
    let refused = problem(house.send(put("/v1/machines/m-free/host")).await).await;
    assert!(refused.detail.contains("active"), "{}", refused.detail);
    let group = json!({ "name": "apart", "spec": {
        "project": "alpha", "spread": [{ "level": "host", "most": 1 }] } });
    let made = house.send(post("alpha-member", "/v1/placement-groups", &group)).await;
    assert_eq!(made.status(), 201);
    let mut hosts = Vec::new();
    for name in ["a", "b"] {
        let made = create(&house, name, json!({ "group": "apart" })).await;
        let made: Instance = serde_json::from_slice(&body(made).await).unwrap();
        hosts.push(made.status.host.unwrap());
    }
    assert_ne!(hosts[0], hosts[1]);
    house
}

#[tokio::test]
async fn groups_keep_apart() {
    let house = two_apart().await;
    let third = problem(create(&house, "c", json!({ "group": "apart" })).await).await;
    assert_eq!(third.code, ErrorCode::NoRoom);
    assert!(third.detail.contains("ruled out by the group"), "{}", third.detail);
}

#[tokio::test]
async fn a_drained_machine_is_emptied_as_far_as_others_have_room() {
    let house = two_apart().await;
    let drain = post("operator", "/v1/machines/m-beta/drain", &json!({ "reason": "new fan" }));
    let drained = json_of(house.send(drain).await).await;
    assert_eq!(drained["spec"]["drain"]["by"], "operator");
    let status: FleetStatus = house.get("viewer", "/v1/fleet").await;
    assert_eq!((status.open_hosts, status.draining, status.to_move), (1, 1, 3));
    let busy = house.send(request("DELETE", "operator", "/v1/machines/m-beta/host")).await;
    assert_eq!(problem(busy).await.code, ErrorCode::Conflict);
    // The two of the seed go; a member of the group cannot, its twin is there.
    let on: Vec<_> = house.plane.leader.read().placing.on(seed::machine_id(3).uuid()).collect();
    let mut stuck = 0;
    for instance in on {
        let instance = model::id::InstanceId::from_uuid(instance);
        let ask = control::cell::Ask::from("bedplate", Call::PlaceInstance { instance });
        stuck += usize::from(house.plane.leader.ask(ask).await.is_err());
    }
    assert_eq!(stuck, 1);
    let status: FleetStatus = house.get("viewer", "/v1/fleet").await;
    assert_eq!(status.to_move, 1);
    let call = Call::Hold { machine: seed::machine_id(3), what: HoldKind::Drain, reason: None };
    house.ask(call).await;
    let status: FleetStatus = house.get("viewer", "/v1/fleet").await;
    assert_eq!((status.open_hosts, status.to_move), (2, 0));
    let shown = json_of(house.send(get("viewer", "/v1/machines/m-beta")).await).await;
    assert!(shown["spec"].get("drain").is_none());
}

#[tokio::test]
async fn reading_the_record_anew_gives_the_same_cell() {
    let house = House::new().await;
    for number in 0..6 {
        create(&house, &format!("web-{number}"), json!({})).await;
    }
    for name in ["web-1", "web-4", "i-alpha"] {
        let path = format!("/v1/instances/{name}");
        assert_eq!(house.send(request("DELETE", "alpha-member", &path)).await.status(), 200);
    }
    assert_eq!(create(&house, "late", json!({})).await.status(), 201);
    let here = house.plane.leader.read().placing.account();
    let state = Simulated::open(&house.disk).replay().unwrap();
    let again = Nouns::load(&state).unwrap().placing;
    assert_eq!(again.account(), here);
    assert_eq!(again.counts(), (6, 0, 0));
}
