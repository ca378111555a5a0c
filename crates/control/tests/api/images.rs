//! Images: announced, sent, checked, ready.

use control::identity::tokens::hex_digest;
use model::ErrorCode;
use serde_json::Value;

use crate::house::{House, header, json, problem, request, sending};

/// 1 MiB of a disk.
fn content() -> String {
    "disk".repeat(1 << 18)
}

async fn announce(house: &House, token: &str, name: &str, more: &str) -> Value {
    let body = format!("{{\"name\":\"{name}\",\"format\":\"raw\",\"compression\":\"none\"{more}}}");
    let response = house.send(sending("POST", token, "/v1/images", &[], &body)).await;
    let status = response.status();
    let image = json(response).await;
    assert_eq!(status, 201, "{image}");
    image
}

#[tokio::test]
async fn an_image_is_ready_when_its_bytes_are_right() {
    let house = House::new().await;
    let digest = hex_digest(content().as_bytes());
    let checksum = format!(",\"checksum\":\"sha256:{digest}\"");
    let image = announce(&house, "alpha-member", "debian", &checksum).await;
    assert_eq!(image["spec"]["project"], "alpha");
    assert_eq!(image["status"]["ready"], false);
    let path = "/v1/images/debian/content";
    let wrong = house.send(sending("PUT", "alpha-member", path, &[], "not a disk")).await;
    assert_eq!(problem(wrong).await.code, ErrorCode::ChecksumMismatch);
    let response = house.send(sending("PUT", "alpha-member", path, &[], &content())).await;
    assert_eq!(response.status(), 200);
    assert_ne!(header(&response, "etag"), "");
    let image = json(response).await;
    assert_eq!(image["status"]["ready"], true);
    assert_eq!(image["status"]["stored"], content().len());
    let again = house.send(sending("PUT", "alpha-member", path, &[], &content())).await;
    assert_eq!(problem(again).await.code, ErrorCode::Conflict);
    let id = image["id"].as_str().unwrap().parse().unwrap();
    assert!(house.plane.images.open_image(id).is_ok());
    let removed = house.send(request("DELETE", "alpha-member", "/v1/images/debian")).await;
    assert_eq!(removed.status(), 200);
    assert!(house.plane.images.open_image(id).is_err());
}

#[tokio::test]
async fn whose_an_image_is_follows_from_the_token() {
    let house = House::new().await;
    let everybodys = announce(&house, "member", "debian", "").await;
    assert_eq!(everybodys["spec"].get("project"), None);
    let body = "{\"name\":\"x\",\"format\":\"raw\",\"compression\":\"none\",\"project\":\"beta\"}";
    let refused = house.send(sending("POST", "alpha-member", "/v1/images", &[], body)).await;
    assert_eq!(problem(refused).await.code, ErrorCode::Forbidden);
    let path = "/v1/images/debian/content";
    let refused = house.send(sending("PUT", "alpha-member", path, &[], "x")).await;
    assert_eq!(problem(refused).await.code, ErrorCode::Forbidden);
    let path = "/v1/images/image-beta/content";
    let refused = house.send(sending("PUT", "alpha-member", path, &[], "x")).await;
    assert_eq!(problem(refused).await.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn only_operators_have_an_address_fetched_and_a_failure_leaves_nothing() {
    let house = House::new().await;
    let body = |url: &str| {
        format!("{{\"name\":\"x\",\"format\":\"raw\",\"compression\":\"none\",\"url\":\"{url}\"}}")
    };
    let address = body("http://127.0.0.1:1/image");
    for token in ["member", "alpha-member"] {
        let refused = house.send(sending("POST", token, "/v1/images", &[], &address)).await;
        assert_eq!(problem(refused).await.code, ErrorCode::Forbidden);
    }
    let text = body("ftp://127.0.0.1/image");
    let refused = house.send(sending("POST", "operator", "/v1/images", &[], &text)).await;
    assert_eq!(problem(refused).await.code, ErrorCode::InvalidRequest);
    let gone = house.send(request("GET", "operator", "/v1/images/x")).await;
    assert_eq!(problem(gone).await.code, ErrorCode::NotFound);
}
