//! BMCs that fail: silent, busy, senseless, expired, hostile.

use std::time::Duration;

use bedplate_bmc::Limits;
use model::bmc::{BmcCommand, BmcFact, BmcFailureKind};
use model::inventory::Inventory;
use serde_json::json;

use crate::fake::{Fake, Fault, Instead, PASSWORD};
use crate::{enter, kind, limits, run};

const SYSTEM: &str = "/redfish/v1/Systems/1";

/// What a command ends in, when one document is not what it should be.
async fn with(
    path: &str,
    instead: Instead,
    limits: Limits,
) -> Result<BmcFact, model::bmc::BmcFailure> {
    let fake = Fake::new();
    fake.send(path, instead);
    let running = fake.start().await;
    run(&mut enter(running.url(), PASSWORD, limits), BmcCommand::Inspect).await
}

fn inventory(outcome: Result<BmcFact, model::bmc::BmcFailure>) -> Inventory {
    match outcome.expect("the rest is readable") {
        BmcFact::Inventory { inventory, .. } => *inventory,
        fact => panic!("{fact:?}"),
    }
}

#[tokio::test]
async fn failures_of_the_system_are_sorted() {
    let info = json!({"error": {"@Message.ExtendedInfo": [{"Message": "Try\u{7} later."}]}});
    let failure = with(SYSTEM, Instead::Status(503, info), limits()).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Busy);
    assert!(failure.message.ends_with("Try  later."), "{failure}");
    let endless = json!({"Id": "1", "PowerState": "On", "Padding": "x".repeat(5 << 20)});
    for (instead, wanted) in [
        (Instead::Status(403, json!({})), BmcFailureKind::Unauthorised),
        (Instead::Status(404, json!({})), BmcFailureKind::Unsupported),
        (Instead::Status(418, json!({})), BmcFailureKind::Refused),
        (Instead::Text("{\"Id\": ".to_owned()), BmcFailureKind::Malformed),
        (Instead::Json(json!([1, 2])), BmcFailureKind::Malformed),
        // All that is asked of it, and more than is borne.
        (Instead::Json(endless), BmcFailureKind::Malformed),
    ] {
        let shown = format!("{instead:.40?}");
        assert_eq!(kind(with(SYSTEM, instead, limits()).await), wanted, "{shown}");
    }
}

#[tokio::test]
async fn one_bad_part_does_not_spoil_the_rest() {
    let lies = json!({"@odata.id": "x", "Id": 7, "Name": [], "TotalCores": "many"});
    for instead in [
        Instead::Status(404, json!({})),
        Instead::Status(503, json!({})),
        Instead::Status(403, json!({})),
        Instead::Text("<html>".to_owned()),
        Instead::Text("x".repeat(5 << 20)),
        Instead::Json(lies),
    ] {
        let shown = format!("{instead:.40?}");
        let one = with("/redfish/v1/Systems/1/Processors/CPU1", instead.clone(), limits()).await;
        let one = inventory(one);
        assert_eq!((one.processors.len(), one.disks.len()), (1, 2), "{shown}");
        let all = inventory(with("/redfish/v1/Systems/1/Storage", instead, limits()).await);
        assert_eq!((all.processors.len(), all.disks.len(), all.nics.len()), (2, 0, 2), "{shown}");
    }
}

#[tokio::test]
async fn a_silent_part_is_left_out_and_a_silent_bmc_is_unreachable() {
    let short = Limits { request: Duration::from_millis(300), ..limits() };
    let part = with("/redfish/v1/Systems/1/Memory", Instead::Hang, short).await;
    assert_eq!(inventory(part).disks.len(), 2);
    assert_eq!(kind(with(SYSTEM, Instead::Hang, short).await), BmcFailureKind::Unreachable);

    let hasty = Limits { inspect: Duration::from_millis(200), ..limits() };
    let failure = with(SYSTEM, Instead::Hang, hasty).await.unwrap_err();
    assert!(failure.message.contains("not done within"), "{failure}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut bmc = enter(format!("http://{address}"), PASSWORD, limits());
    assert_eq!(kind(run(&mut bmc, BmcCommand::ReadPower).await), BmcFailureKind::Unreachable);
}

#[tokio::test]
async fn an_expired_session_is_renewed() {
    let fake = Fake::new();
    fake.state().session_lasts = Some(6);
    let running = fake.start().await;
    let mut bmc = enter(running.url(), PASSWORD, limits());
    let found = inventory(run(&mut bmc, BmcCommand::Inspect).await);
    assert_eq!((found.processors.len(), found.disks.len(), found.nics.len()), (2, 2, 2));
    assert!(fake.count("POST /redfish/v1/SessionService/Sessions") > 2);
}

#[tokio::test]
async fn a_session_that_is_never_valid_is_not_renewed_for_ever() {
    let fake = Fake::new();
    fake.state().session_lasts = Some(1);
    let running = fake.start().await;
    let mut bmc = enter(running.url(), PASSWORD, limits());
    assert_eq!(kind(run(&mut bmc, BmcCommand::ReadPower).await), BmcFailureKind::Unauthorised);
    assert_eq!(fake.count("POST /redfish/v1/SessionService/Sessions"), 2);
}

#[tokio::test]
async fn without_sessions_basic_does() {
    let fake = Fake::new();
    fake.state().faults.insert(Fault::NoSessions);
    let running = fake.start().await;
    let mut bmc = enter(running.url(), PASSWORD, limits());
    run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    assert_eq!(fake.count("POST /redfish/v1/SessionService/Sessions"), 1);
    let mut wrong = enter(running.url(), "hobbes", limits());
    assert_eq!(kind(run(&mut wrong, BmcCommand::ReadPower).await), BmcFailureKind::Unauthorised);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let fake = Fake::new();
    let running = fake.start().await;
    let mut bmc = enter(running.url(), "hobbes", limits());
    assert_eq!(kind(run(&mut bmc, BmcCommand::ReadPower).await), BmcFailureKind::Unauthorised);
    assert_eq!(fake.count("POST /redfish/v1/SessionService/Sessions"), 1);
    assert_eq!(fake.count("GET /redfish/v1/Systems"), 0);
}

#[tokio::test]
async fn a_way_that_leads_nowhere_any_more_is_found_anew() {
    let fake = Fake::new();
    let running = fake.start().await;
    let mut bmc = enter(running.url(), PASSWORD, limits());
    run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    let moved = json!({"Members": [{"@odata.id": "/redfish/v1/Systems/Moved"}]});
    let system = json!({"Id": "Moved", "PowerState": "On"});
    fake.send(SYSTEM, Instead::Status(404, json!({})));
    fake.send("/redfish/v1/Systems", Instead::Json(moved));
    fake.send("/redfish/v1/Systems/Moved", Instead::Json(system));
    let fact = run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    assert_eq!(fact, BmcFact::Power { state: model::bmc::PowerState::On });
}

#[tokio::test]
async fn links_to_elsewhere_are_not_followed() {
    let elsewhere = Fake::new();
    let other = elsewhere.start().await;
    let away = json!({"Members": [{"@odata.id": format!("{}{SYSTEM}", other.url())}]});
    let outcome = with("/redfish/v1/Systems", Instead::Json(away), limits()).await;
    assert_eq!(kind(outcome), BmcFailureKind::Malformed);
    assert!(elsewhere.state().log.is_empty(), "credentials would have gone there");
}
