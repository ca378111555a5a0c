//! Watches: what comes, what resumes, what is hidden, and how they end.

use std::time::Duration;

use control::cell::Call;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use model::ErrorCode;
use model::api::MachineUpdate;
use model::event::Event;
use model::machine::Deployment;
use model::problem::Problem;
use record::Store as _;
use serde_json::Value;

use crate::house::{House, get, problem, write};
use crate::seed;

/// Nothing here takes long; whoever waits for this has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lines of a watch.
struct Lines {
    chunks: BoxStream<'static, bytes::Bytes>,
    buffer: Vec<u8>,
}

impl Lines {
    async fn of(house: &House, token: &str, path: &str) -> Self {
        let response = house.send(get(token, path)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let chunks = response.into_body().into_data_stream().map(Result::unwrap).boxed();
        Self { chunks, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim().to_owned());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.chunks.next()).await.unwrap()?;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    async fn event(&mut self) -> Event {
        let line = self.next().await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

async fn label(house: &House, machine: u128, rack: &str) {
    let update = MachineUpdate {
        labels: [("rack".to_owned(), rack.to_owned())].into(),
        ..MachineUpdate::default()
    };
    let machine = seed::machine_id(machine);
    house.ask(Call::UpdateMachine { machine, update }).await;
}

#[tokio::test]
async fn a_list_and_a_watch_from_it_miss_nothing() {
    let house = House::new().await;
    let page: Value = house.get("viewer", "/v1/machines").await;
    label(&house, 1, "new").await;
    let path = format!("/v1/machines?watch=true&from={}", page["revision"]);
    let mut lines = Lines::of(&house, "viewer", &path).await;
    let first = lines.event().await;
    assert_eq!((first.kind.as_str(), first.name.as_deref()), ("machine.changed", Some("m-free")));
    assert_eq!(first.object.unwrap()["labels"]["rack"], "new");
    // What comes while it is open.
    house.ask(Call::CreateProject { name: "gamma".to_owned(), spec: Default::default() }).await;
    label(&house, 2, "newer").await;
    let second = lines.event().await;
    assert_eq!(second.name.as_deref(), Some("m-alpha"));
    // Whoever comes back goes on after what was seen.
    let path = format!("/v1/machines?watch=true&from={}", first.revision);
    let mut again = Lines::of(&house, "viewer", &path).await;
    assert_eq!(again.event().await, second);
}

#[tokio::test]
async fn all_events_in_order_from_the_first() {
    let house = House::new().await;
    let mut lines = Lines::of(&house, "admin", "/v1/events?watch=true&from=0").await;
    for revision in 1..=house.plane.leader.revision() {
        assert_eq!(lines.event().await.revision, revision);
    }
    label(&house, 1, "new").await;
    assert_eq!(lines.event().await.subject, "machine");
}

#[tokio::test]
async fn what_is_pruned_is_gone() {
    let house = House::with(|store| {
        write(store, Vec::from_iter((0..10_u32).map(|_| seed::changes().remove(0))));
        store.prune(30).unwrap();
    })
    .await;
    let refused = problem(house.send(get("admin", "/v1/events?watch=true&from=3")).await).await;
    assert_eq!(refused.code, ErrorCode::Gone);
    assert!(refused.next.contains("list"), "{}", refused.next);
    let future = house.plane.leader.revision() + 1;
    let path = format!("/v1/events?watch=true&from={future}");
    assert_eq!(problem(house.send(get("admin", &path)).await).await.code, ErrorCode::Gone);
    let page: Value = house.get("admin", "/v1/events?limit=1000").await;
    assert_eq!(page["items"].as_array().unwrap().len() as u64, house.plane.leader.revision() - 30);
    assert_eq!(page["next_page"], Value::Null);
}

#[tokio::test]
async fn labels_select_and_what_loses_them_is_said_to_be_hidden() {
    let house = House::new().await;
    let path = "/v1/machines?watch=true&label=rack%3Dnew";
    let mut lines = Lines::of(&house, "viewer", path).await;
    label(&house, 1, "new").await;
    label(&house, 1, "other").await;
    label(&house, 1, "another").await;
    label(&house, 1, "new").await;
    let kinds = [("machine.changed", true), ("machine.hidden", false), ("machine.changed", true)];
    for (kind, shown) in kinds {
        let event = lines.event().await;
        assert_eq!((event.kind.as_str(), event.object.is_some()), (kind, shown));
        assert_eq!(event.id, seed::machine_id(1).to_string());
    }
}

#[tokio::test]
async fn a_project_hears_of_its_own_and_when_something_is_no_longer() {
    let house = House::new().await;
    let mut lines = Lines::of(&house, "alpha-member", "/v1/events?watch=true").await;
    let deployment = Deployment {
        project: "beta".to_owned(),
        image: "everybody".to_owned(),
        hostname: "h".to_owned(),
        ssh_keys: Vec::new(),
        user_data: None,
        disk: None,
        kexec: false,
    };
    // Beta takes the machine that was free; alpha must drop it from its list.
    house.ask(Call::Deploy { machine: seed::machine_id(1), deployment }).await;
    label(&house, 3, "beta's").await;
    label(&house, 2, "alpha's").await;
    let mut heard = Vec::new();
    loop {
        let event = lines.event().await;
        assert_ne!(event.name.as_deref(), Some("m-beta"));
        let own = event.name.as_deref() == Some("m-alpha");
        heard.push((event.kind, event.id, event.actor));
        if own {
            break;
        }
    }
    let hidden =
        |number| ("machine.hidden".to_owned(), seed::machine_id(number).to_string(), String::new());
    assert!(heard.contains(&hidden(1)), "{heard:?}");
    assert!(heard.iter().filter(|it| it.0 != "machine.hidden").count() == 1, "{heard:?}");
}

#[tokio::test]
async fn a_watch_ends_with_the_token() {
    let house = House::new().await;
    let mut lines = Lines::of(&house, "victim", "/v1/machines?watch=true").await;
    house.ask(Call::RemoveToken { token: "victim".to_owned() }).await;
    let last: Problem = serde_json::from_str(&lines.next().await.unwrap()).unwrap();
    assert_eq!(last.code, ErrorCode::Unauthenticated);
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_quiet_watch_gives_signs_of_life() {
    let house = House::new().await;
    let mut lines = Lines::of(&house, "viewer", "/v1/machines?watch=true").await;
    assert_eq!(lines.next().await.as_deref(), Some(""));
    let text = house.plane.metrics.text();
    assert!(text.contains("bedplate_watches 1"));
    drop(lines);
    assert!(house.plane.metrics.text().contains("bedplate_watches 0"));
}
