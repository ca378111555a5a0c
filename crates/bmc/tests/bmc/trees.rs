//! The trees of real machines, as their BMCs served them: every one must give a
//! sensible inventory. They are not part of this project; the test looks for them
//! where `BEDPLATE_REDFISH_MOCKUPS` says.

use std::path::{Component, Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::bmc::{BmcAbilities, BmcCommand, BmcFact, BmcFailure, BmcFailureKind};
use model::inventory::Inventory;
use tokio::net::TcpListener;

use crate::{enter, limits, run};

/// What some trees do not tell of their machine, whoever asks.
const SILENT_ABOUT: [(&str, &[&str]); 4] = [
    // These leave their network cards to the operating system.
    ("nvidia_gb200", &["nics"]),
    ("nvidia_gh200", &["nics"]),
    // A switch and a network card; neither lists its processors.
    ("nvidia_gbswitch", &["processors", "memory", "nics"]),
    ("nvidia_dpu", &["processors", "memory"]),
];

async fn serve_tree(State(root): State<PathBuf>, request: Request) -> Response {
    if request.method() != "GET" {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = Path::new(request.uri().path().trim_start_matches('/')).to_owned();
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let place = root.join(path);
    if let Ok(bytes) = tokio::fs::read(place.join("index.json")).await {
        return bytes.into_response();
    }
    // Some trees have refusals instead: a status and a body.
    let custom = tokio::fs::read(place.join("custom.json")).await.unwrap_or_default();
    let custom: serde_json::Value = serde_json::from_slice(&custom).unwrap_or_default();
    let status = custom["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    status.unwrap_or(StatusCode::NOT_FOUND).into_response()
}

async fn inspect(tree: &Path) -> Result<(Inventory, BmcAbilities), BmcFailure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(serve_tree).with_state(tree.to_owned());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut bmc = enter(format!("http://{address}"), "x", limits());
    let outcome = run(&mut bmc, BmcCommand::Inspect).await;
    server.abort();
    match outcome {
        Ok(BmcFact::Inventory { inventory, abilities, .. }) => Ok((*inventory, abilities)),
        Ok(fact) => panic!("{fact:?}"),
        Err(failure) => Err(failure),
    }
}

fn line(tree: &str, inventory: &Inventory, abilities: BmcAbilities) -> String {
    let Inventory { system, processors, disks, nics, firmware, .. } = inventory;
    let versions: Vec<_> = firmware.iter().map(|part| part.version.as_str()).collect();
    format!(
        "{tree:16} {:14.14} {:24.24} {:16.16} {:2} sockets {:4} cores {:9} {:2} disks {:2} nics {} {} {} {:?}",
        system.manufacturer,
        system.product,
        system.serial,
        processors.len(),
        inventory.cores(),
        inventory.memory_total().to_string(),
        disks.len(),
        nics.len(),
        if abilities.http_boot { "http" } else { "-" },
        if abilities.virtual_media { "media" } else { "-" },
        if abilities.events { "events" } else { "-" },
        versions,
    )
}

/// What an inventory lacks.
fn missing(inventory: &Inventory) -> Vec<&'static str> {
    let has = [
        ("serial", !inventory.system.serial.is_empty()),
        ("product", !inventory.system.product.is_empty()),
        ("processors", inventory.cores() > 0),
        ("memory", inventory.memory_total().0 > 0),
        ("nics", !inventory.nics.is_empty()),
    ];
    has.into_iter().filter(|(_, has)| !has).map(|(part, _)| part).collect()
}

#[tokio::test]
async fn real_trees_give_sensible_inventories() {
    let Some(mockups) = std::env::var_os("BEDPLATE_REDFISH_MOCKUPS") else {
        println!("skipped: BEDPLATE_REDFISH_MOCKUPS names no directory of Redfish trees");
        return;
    };
    let mut trees: Vec<PathBuf> = std::fs::read_dir(&mockups)
        .expect("BEDPLATE_REDFISH_MOCKUPS is a directory")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("redfish/v1").is_dir())
        .collect();
    trees.sort();
    assert!(!trees.is_empty(), "no tree below {mockups:?}");
    for tree in &trees {
        let name = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inspected = inspect(tree).await;
        if name == "forbidden" {
            assert_eq!(inspected.unwrap_err().kind, BmcFailureKind::Unauthorised);
            continue;
        }
        let (inventory, abilities) =
            inspected.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        println!("{}", line(&name, &inventory, abilities));
        let silent = SILENT_ABOUT.iter().find(|(tree, _)| *tree == name);
        let expected = silent.map_or(&[][..], |(_, parts)| parts);
        assert_eq!(missing(&inventory), expected, "{name}");
    }
}
