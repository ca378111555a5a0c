//! What is routed is the table, all of it and nothing else.

use std::collections::BTreeSet;

use control::api;
use model::api::ENDPOINTS;
use model::verbs;

use crate::house::{House, header, problem, request};
use model::ErrorCode;

fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn every_row_is_routed_once() {
    let served = api::served();
    let names: BTreeSet<&str> = ENDPOINTS.iter().map(|info| info.name).collect();
    assert!(served.iter().all(|name| names.contains(name)));
    assert_eq!(served.iter().collect::<BTreeSet<_>>().len(), served.len());
    let house = House::new().await;
    for info in ENDPOINTS {
        let request = request(info.method.name(), "admin", &filled(info.path));
        let for_machines = verbs::verb(info.name) == Some(verbs::MACHINE_ONLY);
        assert_ne!(for_machines, served.contains(&info.name), "{}", info.name);
        let response = match for_machines {
            true => house.send_to_agents(request).await,
            false => house.send(request).await,
        };
        if !response.status().is_success() {
            let code = problem(response).await.code;
            let lost = [ErrorCode::UnknownPath, ErrorCode::MethodNotAllowed, ErrorCode::Internal];
            assert!(!lost.contains(&code), "{}: {code}", info.name);
        }
    }
}

#[tokio::test]
async fn nothing_else_is_routed() {
    let house = House::new().await;
    let paths: BTreeSet<&str> = ENDPOINTS.iter().map(|info| info.path).collect();
    for path in &paths {
        let methods: BTreeSet<&str> = ENDPOINTS
            .iter()
            .filter(|info| info.path == *path)
            .map(|info| info.method.name())
            .collect();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            if methods.contains(method) {
                continue;
            }
            let answers = [
                house.send(request(method, "admin", &filled(path))).await,
                house.send_to_agents(request(method, "admin", &filled(path))).await,
            ];
            for response in answers {
                let status = response.status();
                if status == 405 {
                    let allowed: BTreeSet<&str> = header(&response, "allow").split(", ").collect();
                    assert_eq!(allowed, methods, "{method} {path}");
                }
                let code = problem(response).await.code;
                let none = [ErrorCode::UnknownPath, ErrorCode::MethodNotAllowed];
                assert!(none.contains(&code), "{method} {path}: {status} {code}");
            }
        }
    }
    for path in
        ["/", "/v1", "/v1/", "/v1/machine", "/v2/machines", "/v1/machines/", "/v1/machines:list"]
    {
        let refused = problem(house.send(request("GET", "admin", path)).await).await;
        assert_eq!(refused.code, ErrorCode::UnknownPath, "{path}");
    }
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let house = House::new().await;
    let response = house.send(request("HEAD", "viewer", "/v1/machines/m-free")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "etag"), "\"3\"");
    assert!(crate::house::body(response).await.is_empty());
    assert_eq!(house.send(request("HEAD", "", "/v1/machines/m-free")).await.status(), 401);
}
