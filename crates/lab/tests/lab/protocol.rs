//! The BMC's protocol over a pretended machine: sessions, etags, power, boot, media,
//! console, events, faults.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bedplate_lab::{BootStage, Fault, Hardware};
use futures_util::StreamExt;
use model::bmc::BootTarget;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::bench;

const SYSTEM: &str = "/redfish/v1/Systems/1";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

fn http_boot(enabled: &str) -> Value {
    json!({"Boot": {
        "BootSourceOverrideEnabled": enabled,
        "BootSourceOverrideTarget": "UefiHttp",
        "HttpBootUri": "http://10.77.0.1/image.efi",
    }})
}

#[tokio::test]
async fn only_who_is_known_comes_in() {
    let bench = bench("lab-sessions").await;
    let client = &bench.client;
    let status = |answer: reqwest::Response| answer.status().as_u16();
    let bare = |method, path: &str| client.bare(method, path).send();
    assert_eq!(status(bare(Method::GET, "/redfish/v1/").await.unwrap()), 200);
    assert_eq!(status(bare(Method::GET, SYSTEM).await.unwrap()), 401);
    assert_eq!(status(bare(Method::GET, "/console/1").await.unwrap()), 401);
    let wrong = json!({"UserName": "admin", "Password": "wrong"});
    let refused = client.bare(Method::POST, SESSIONS).json(&wrong).send().await.unwrap();
    assert_eq!(status(refused), 401);
    let right = json!({"UserName": client.username, "Password": client.password.expose()});
    let opened = client.bare(Method::POST, SESSIONS).json(&right).send().await.unwrap();
    assert_eq!(opened.status(), 201);
    let token = opened.headers()["X-Auth-Token"].to_str().unwrap().to_owned();
    let place = opened.headers()["Location"].to_str().unwrap().to_owned();
    let with =
        |method: Method, path: &str| client.bare(method, path).header("X-Auth-Token", &token);
    assert_eq!(status(with(Method::GET, SYSTEM).send().await.unwrap()), 200);
    assert_eq!(status(with(Method::DELETE, &place).send().await.unwrap()), 204);
    assert_eq!(status(with(Method::GET, SYSTEM).send().await.unwrap()), 401);
}

#[tokio::test]
async fn a_password_can_be_changed_and_stays_changed() {
    let bench = bench("lab-password").await;
    let account = "/redfish/v1/AccountService/Accounts/1";
    let short = bench.client.patch(account, json!({"Password": "short"})).await;
    assert_eq!(short.status(), 400);
    let changed = bench.client.patch(account, json!({"Password": "a longer one"})).await;
    assert_eq!(changed.status(), 200);
    let old = bench.client.request(Method::GET, SYSTEM).send().await.unwrap();
    assert_eq!(old.status(), 401);
    assert_eq!(bench.bmc.account().1.expose(), "a longer one");
}

#[tokio::test]
async fn a_change_to_what_has_changed_meanwhile_is_refused() {
    let bench = bench("lab-etags").await;
    let client = &bench.client;
    let read = client.request(Method::GET, SYSTEM).send().await.unwrap();
    let etag = read.headers()["ETag"].clone();
    // Power is no setting: it does not make the etag another.
    client.reset("On").await;
    client.await_power("On").await;
    let change = |etag| client.request(Method::PATCH, SYSTEM).header("If-Match", etag);
    let done = change(etag.clone()).json(&http_boot("Once")).send().await.unwrap();
    assert_eq!(done.status(), 200);
    let late = change(etag).json(&http_boot("Continuous")).send().await.unwrap();
    assert_eq!(late.status(), 412);
    assert_eq!(client.get(SYSTEM).await["Boot"]["BootSourceOverrideEnabled"], "Once");
}

#[tokio::test]
async fn an_override_counts_once() {
    let bench = bench("lab-boot-once").await;
    let client = &bench.client;
    let none = json!({"Boot": {"BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideEnabled": "Once"}});
    assert_eq!(client.patch(SYSTEM, none).await.status(), 400);
    let odd = json!({"Boot": {"BootSourceOverrideTarget": "Floppy"}});
    assert_eq!(client.patch(SYSTEM, odd).await.status(), 400);
    assert_eq!(client.patch(SYSTEM, http_boot("Once")).await.status(), 200);
    client.reset("On").await;
    client.await_power("On").await;
    client.reset("ForceOff").await;
    client.await_power("Off").await;
    client.reset("PowerCycle").await;
    client.await_power("On").await;
    let uri = "http://10.77.0.1/image.efi".to_owned();
    assert_eq!(bench.hardware.boots(), [Some(BootTarget::Http { uri }), None]);
    let odd = json!({"ResetType": "Explode"});
    let path = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
    assert_eq!(client.post(path, odd).await.status(), 400);
}

#[tokio::test]
async fn a_machine_that_restarts_itself_boots_as_is_wished() {
    let bench = bench("lab-boot-itself").await;
    bench.client.reset("On").await;
    bench.client.await_power("On").await;
    let disk =
        json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Hdd"}});
    assert_eq!(bench.client.patch(SYSTEM, disk).await.status(), 200);
    let mut events = bench.hardware.events();
    bench.hardware.restart_itself();
    // Off, then on with the wish.
    for _ in 0..3 {
        events.recv().await.unwrap();
    }
    assert_eq!(bench.hardware.boots(), [None, Some(BootTarget::Disk)]);
}

#[tokio::test]
async fn an_image_is_really_fetched() {
    let bench = bench("lab-media").await;
    let client = &bench.client;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let images = Router::new().route("/image.iso", get(async || "an image"));
    tokio::spawn(async move { axum::serve(listener, images).await });
    let drive = "/redfish/v1/Managers/1/VirtualMedia/Cd";
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    let nothing = json!({"Image": format!("http://{address}/nothing")});
    assert_eq!(client.post(&insert, nothing).await.status(), 400);
    assert_eq!(client.post(&insert, json!({"Image": "file:///etc/passwd"})).await.status(), 400);
    assert_eq!(client.post(&insert, json!({})).await.status(), 400);
    assert_eq!(bench.hardware.media(), None);
    let image = json!({"Image": format!("http://{address}/image.iso")});
    assert_eq!(client.post(&insert, image).await.status(), 204);
    let path = bench.hardware.media().unwrap();
    let bytes = std::fs::read(path).unwrap();
    assert_eq!((&bytes[..8], bytes.len()), (&b"an image"[..], 512));
    let told = client.get(drive).await;
    assert_eq!((&told["Inserted"], &told["ImageName"]), (&json!(true), &json!("image.iso")));
    let eject = format!("{drive}/Actions/VirtualMedia.EjectMedia");
    assert_eq!(client.post(&eject, json!({})).await.status(), 204);
    assert_eq!(bench.hardware.media(), None);
    assert_eq!(client.get(drive).await["Inserted"], false);
}

#[tokio::test]
async fn events_are_pushed_and_logged() {
    let bench = bench("lab-events").await;
    let sse = bench.client.request(Method::GET, "/redfish/v1/EventService/SSE");
    let mut stream = sse.send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    bench.client.reset("On").await;
    let pushed = stream.next().await.unwrap().unwrap();
    let text = String::from_utf8(pushed.to_vec()).unwrap();
    assert!(text.contains("BedplateLab.1.0.PowerChanged"), "{text}");
    bench.hardware.reach(BootStage::OSRunning);
    let pushed = stream.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&pushed).contains("OSRunning"));
    let entries = "/redfish/v1/Systems/1/LogServices/Sel/Entries";
    let log = bench.client.get(entries).await;
    assert_eq!(log["Members"][0]["MessageArgs"][0], "OSRunning");
    assert_eq!(bench.client.get(SYSTEM).await["BootProgress"]["LastState"], "OSRunning");
    let clear = "/redfish/v1/Systems/1/LogServices/Sel/Actions/LogService.ClearLog";
    assert_eq!(bench.client.post(clear, json!({})).await.status(), 204);
    assert_eq!(bench.client.get(entries).await["Members@odata.count"], 0);
}

#[tokio::test]
async fn a_console_is_heard_from_its_first_byte() {
    let bench = bench("lab-console").await;
    bench.hardware.console().feed(b"first ");
    let whole = bench.client.request(Method::GET, "/console/1").send().await.unwrap();
    assert_eq!(whole.text().await.unwrap(), "first ");
    let follow = bench.client.request(Method::GET, "/console/1?follow=true").send().await.unwrap();
    let mut stream = follow.bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), "first ");
    bench.hardware.console().feed(b"second");
    assert_eq!(stream.next().await.unwrap().unwrap(), "second");
    let typed = bench.client.request(Method::POST, "/console/1").body("x").send().await.unwrap();
    assert_eq!(typed.status(), 409);
}

#[tokio::test]
async fn a_bmc_can_be_made_to_fail() {
    let bench = bench("lab-faults").await;
    let (client, faults) = (&bench.client, bench.bmc.faults());
    let get = || client.request(Method::GET, SYSTEM).timeout(Duration::from_millis(500)).send();
    faults.replace([Fault::Unavailable]);
    assert_eq!(get().await.unwrap().status(), 503);
    faults.replace([Fault::Hang]);
    assert!(get().await.unwrap_err().is_timeout());
    faults.replace([Fault::Malformed]);
    assert!(get().await.unwrap().json::<Value>().await.is_err());
    faults.replace([Fault::PowerLies, Fault::BootForgotten]);
    client.reset("On").await;
    assert_eq!(client.patch(SYSTEM, http_boot("Once")).await.status(), 200);
    let system = client.get(SYSTEM).await;
    assert_eq!((&system["PowerState"], bench.hardware.boots().len()), (&json!("Off"), 0));
    assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    faults.replace([Fault::SessionsExpire]);
    let right = json!({"UserName": client.username, "Password": client.password.expose()});
    let opened = client.bare(Method::POST, SESSIONS).json(&right).send().await.unwrap();
    let token = opened.headers()["X-Auth-Token"].clone();
    let used = client.bare(Method::GET, SYSTEM).header("X-Auth-Token", token).send().await.unwrap();
    assert_eq!(used.status(), 401);
    let endpoint = "/redfish/v1/Oem/Bedplate/Faults";
    assert_eq!(client.get(endpoint).await["Active"], json!(["sessions-expire"]));
    assert_eq!(client.patch(endpoint, json!({"Active": []})).await.status(), 200);
    assert!(faults.active().is_empty());
}

#[tokio::test]
async fn a_bmc_that_restarts_forgets_its_sessions() {
    let bench = bench("lab-restart").await;
    let client = &bench.client;
    let right = json!({"UserName": client.username, "Password": client.password.expose()});
    let opened = client.bare(Method::POST, SESSIONS).json(&right).send().await.unwrap();
    let token = opened.headers()["X-Auth-Token"].clone();
    let reset = "/redfish/v1/Managers/1/Actions/Manager.Reset";
    assert_eq!(client.post(reset, json!({"ResetType": "ForceRestart"})).await.status(), 204);
    let with = || client.bare(Method::GET, SYSTEM).header("X-Auth-Token", token.clone()).send();
    assert_eq!(with().await.unwrap().status(), 503);
    let mut status = 503;
    while status == 503 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        status = with().await.unwrap().status().as_u16();
    }
    assert_eq!(status, 401);
}
