//! The trees of real machines, as their BMCs served them: every one must give a
//! sensible inventory. They are not part of this project; the test looks for them
//! where `BEDPLATE_REDFISH_MOCKUPS` says.

use std::path::{Component, Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::bmc::{BmcAbilities, BmcCommand, BmcFact};
use model::inventory::Inventory;
use tokio::net::TcpListener;

use crate::{enter, limits, run};

/// Trees that are no whole server, and what they cannot have.
const PARTIAL: [(&str, &str); 3] =
    [("forbidden", "all"), ("nvidia_gbswitch", "a switch"), ("nvidia_dpu", "a network card")];

async fn serve_tree(State(root): State<PathBuf>, request: Request) -> Response {
    if request.method() != "GET" {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = Path::new(request.uri().path().trim_start_matches('/')).to_owned();
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match tokio::fs::read(root.join(path).join("index.json")).await {
        Ok(bytes) => bytes.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn inspect(tree: &Path) -> Result<(Inventory, BmcAbilities), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(serve_tree).with_state(tree.to_owned());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut bmc = enter(format!("http://{address}"), "x", limits());
    let outcome = run(&mut bmc, BmcCommand::Inspect).await;
    server.abort();
    match outcome {
        Ok(BmcFact::Inventory { inventory, abilities, .. }) => Ok((*inventory, abilities)),
        Ok(fact) => Err(format!("{fact:?}")),
        Err(failure) => Err(failure.to_string()),
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

fn is_sensible(inventory: &Inventory) -> bool {
    !inventory.system.serial.is_empty()
        && !inventory.system.product.is_empty()
        && !inventory.processors.is_empty()
        && inventory.cores() > 0
        && inventory.memory_total().0 > 0
        && !inventory.nics.is_empty()
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
    let mut wrong = Vec::new();
    for tree in &trees {
        let name = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partial = PARTIAL.iter().find(|(partial, _)| *partial == name);
        let sensible = match inspect(tree).await {
            Ok((inventory, abilities)) => {
                println!("{}", line(&name, &inventory, abilities));
                is_sensible(&inventory)
            }
            Err(failure) => {
                println!("{name:16} {failure}");
                false
            }
        };
        if !sensible && partial.is_none() {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "no sensible inventory of {wrong:?}");
}
