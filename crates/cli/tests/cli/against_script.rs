//! Whole verbs against an API that says what it is told: work that goes well, with
//! its steps and its bar, without any hardware.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use model::api::{Health, OperationDetail, Page};
use model::machine::{Lifecycle, Machine, Progress, StepKind, SystemPresence};
use model::operation::{Operation, OperationKind, OperationState};
use serde_json::Value;

use crate::samples::{Scratch, at, machine, operation, run, step, step_state};

/// What is said at each look at the operation, in order; the last one stays.
struct Script {
    looks: Vec<(OperationDetail, Machine)>,
    look: AtomicUsize,
    /// Looks before this one meet a control plane that is away.
    away_until: usize,
    asked: Mutex<Vec<(String, Value)>>,
}

type Shared = Arc<Script>;

impl Script {
    fn now(&self) -> &(OperationDetail, Machine) {
        &self.looks[self.look.load(Ordering::SeqCst).saturating_sub(1).min(self.looks.len() - 1)]
    }
}

async fn show_operation(State(script): State<Shared>) -> Result<Json<OperationDetail>, StatusCode> {
    let look = script.look.fetch_add(1, Ordering::SeqCst);
    match look < script.away_until {
        true => Err(StatusCode::BAD_REQUEST),
        false => Ok(Json(script.now().0.clone())),
    }
}

async fn begin(
    State(script): State<Shared>,
    Segments((name, verb)): Segments<(String, String)>,
    body: Option<Json<Value>>,
) -> (StatusCode, Json<Operation>) {
    let body = body.map_or(Value::Null, |Json(body)| body);
    script.asked.lock().unwrap().push((format!("{verb} {name}"), body));
    (StatusCode::ACCEPTED, Json(script.looks[0].0.operation.clone()))
}

/// Serves a script on loopback, and writes a data directory that leads there.
async fn serve(script: Shared, directory: &Path) {
    let health = Health {
        status: "ok".to_owned(),
        version: "0".to_owned(),
        leader: true,
        revision: 9,
        now: at(100),
    };
    let operations = Page::<Operation> { items: Vec::new(), next_page: None, revision: 9 };
    let router = Router::new()
        .route("/v1/health", get(|| async move { Json(health) }))
        .route("/v1/operations", get(|| async move { Json(operations) }))
        .route("/v1/operations/{id}", get(show_operation))
        .route(
            "/v1/machines/{machine}",
            get(|State(script): State<Shared>| async move { Json(script.now().1.clone()) }),
        )
        .route("/v1/machines/{machine}/{verb}", post(begin))
        .with_state(script);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::fs::write(directory.join("url"), url).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
}

/// A deployment that goes well, in three looks.
fn going_well() -> Vec<(OperationDetail, Machine)> {
    let mut deploying = machine("m1", Lifecycle::Deploying);
    let mut state = step_state(1, StepKind::WriteImage, 3, 900);
    let progress = Progress { doing: "writing image".to_owned(), done: 3 << 20, total: 4 << 20 };
    state.progress = Some(progress);
    deploying.status.step = Some(state);
    let mut active = machine("m1", Lifecycle::Active);
    active.status.system =
        Some(SystemPresence { address: Some("10.0.0.5".to_owned()), ..SystemPresence::default() });
    let detail = |state, steps| OperationDetail {
        operation: operation(OperationKind::Deploy, state),
        steps,
    };
    let attest = step(0, StepKind::Attest, 0, Some(3));
    let begun = step(1, StepKind::WriteImage, 3, None);
    let written = step(1, StepKind::WriteImage, 3, Some(63));
    vec![
        (detail(OperationState::Running, vec![attest.clone()]), deploying.clone()),
        (detail(OperationState::Running, vec![attest.clone(), begun]), deploying),
        (detail(OperationState::Done, vec![attest, written]), active),
    ]
}

fn script(looks: Vec<(OperationDetail, Machine)>) -> Shared {
    let (look, asked) = (AtomicUsize::new(0), Mutex::default());
    Arc::new(Script { looks, look, away_until: 0, asked })
}

const DEPLOY: &str = "machine deploy m1 --image debian-12 --project web --ssh-key";

#[tokio::test]
async fn a_deployment_is_followed_to_its_end() {
    let scratch = Scratch::new("deploy");
    let script = script(going_well());
    serve(script.clone(), &scratch.0).await;
    let key = scratch.0.join("key.pub");
    std::fs::write(&key, "# mine\nssh-ed25519 AAAA ada\n").unwrap();
    let ran = run(&scratch.0, &format!("{DEPLOY} {}", key.display())).await.done();
    let expected = "\
deploy m1 (operation 3f9c1a2b)
  ✓ deploying   attest               3.0 s  its evidence
  … deploying   write-image           97 s  ███████████████░░░░░ 75 % 3.0 MiB of 4.0 MiB  writing image (usually 60 s)
  ✓ deploying   write-image      1 min 0 s  its evidence
deploy m1 done after 1 min 30 s
";
    assert_eq!(ran.err, expected, "\n{}", ran.err);
    assert!(ran.out.starts_with("m1 is active\nssh USER@10.0.0.5"), "{}", ran.out);
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[0].0, "deploy m1");
    assert_eq!(asked[0].1["ssh_keys"], serde_json::json!(["ssh-ed25519 AAAA ada"]));
    assert_eq!(asked[0].1["hostname"], "m1");
}

#[tokio::test]
async fn with_json_the_operation_is_printed_with_its_steps() {
    let scratch = Scratch::new("json");
    let script = script(going_well());
    serve(script.clone(), &scratch.0).await;
    let detail: OperationDetail = {
        let ran =
            run(&scratch.0, "operation wait 01990000-0000-7000-8000-00003f9c1a2b --output json");
        serde_json::from_value(ran.await.done().json()).unwrap()
    };
    assert_eq!(detail.operation, script.looks[2].0.operation);
    assert_eq!(detail.steps, script.looks[2].0.steps);
}

#[tokio::test]
async fn what_destroys_data_is_not_done_unasked() {
    let scratch = Scratch::new("unasked");
    let script = script(going_well());
    serve(script.clone(), &scratch.0).await;
    let ran = run(&scratch.0, "machine release m1").await;
    assert_eq!(ran.exit.code(), 2);
    assert!(ran.err.contains("Say --yes"), "{}", ran.err);
    assert!(script.asked.lock().unwrap().is_empty());
    let ran = run(&scratch.0, "machine release m1 --yes --detach").await.done();
    assert_eq!(ran.out, "01990000-0000-7000-8000-00003f9c1a2b\n");
    assert_eq!(script.asked.lock().unwrap()[0].0, "release m1");
}

#[tokio::test]
async fn what_needs_attention_ends_with_three_and_the_way_on() {
    let scratch = Scratch::new("attention");
    let mut looks = going_well();
    let failed = step(1, StepKind::WriteImage, 3, Some(63));
    let operation = operation(OperationKind::Deploy, OperationState::NeedsAttention);
    looks[2] =
        (OperationDetail { operation, steps: vec![failed] }, crate::samples::quarantined("m1"));
    serve(script(looks), &scratch.0).await;
    let ran = run(&scratch.0, "operation wait 01990000-0000-7000-8000-00003f9c1a2b").await;
    assert_eq!(ran.exit.code(), 3);
    assert!(ran.err.contains("attention[bmc-unreachable]: The deploy of m1 needs attention"));
    assert!(ran.err.contains("bedplate operation retry|skip|abandon 3f9c1a2b"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() {
    let scratch = Scratch::new("nonsense");
    let (look, asked) = (AtomicUsize::new(0), Mutex::default());
    let script = Arc::new(Script { looks: going_well(), look, away_until: 1, asked });
    serve(script, &scratch.0).await;
    let ran = run(&scratch.0, "operation wait 01990000-0000-7000-8000-00003f9c1a2b").await;
    assert_eq!(ran.exit.code(), 1);
    assert!(ran.err.starts_with("error[unexpected]: "), "{}", ran.err);
}
