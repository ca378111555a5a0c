//! The client against a server that answers what a test has written down.

use std::sync::{Arc, Mutex};

use client::{Client, ClientError, ClientSettings, Options};
use model::Secret;
use model::api::{ListMachines, PowerMachine, PowerRequest};
use model::bmc::PowerAction;
use model::problem::{ErrorCode, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What the server does with one connection.
enum Answer {
    /// Sends this and closes.
    Text(String),
    /// Closes without a word.
    Silence,
}

/// A server that takes one connection for each answer, and the requests that came.
async fn server(answers: Vec<Answer>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            requests.lock().unwrap().push(request);
            if let Answer::Text(text) = answer {
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    });
    let token = Some(Secret::new("bp_test"));
    (Client::new(ClientSettings { url, ca_pem: None, token }).unwrap(), seen)
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).to_string();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let wanted = length.map_or(0, |length| length.parse().unwrap());
        if read == 0 || body.len() >= wanted {
            return text;
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    Answer::Text(format!("{head}{headers}\r\n{body}"))
}

fn problem(code: ErrorCode) -> Answer {
    let body = serde_json::to_string(&Problem::new(code, "because of a test")).unwrap();
    reply(&format!("{} X", code.status()), "retry-after: 0\r\n", &body)
}

fn lines(revisions: &[u64]) -> String {
    let lines = revisions.iter().map(|revision| {
        format!(
            "{{\"revision\":{revision},\"at\":0,\"kind\":\"machine.changed\",\"subject\":\"machine\",\"id\":\"x\",\"actor\":\"a\"}}\n"
        )
    });
    lines.collect()
}

/// A stream that breaks off after these lines: its length says that more would come.
fn broken(text: &str) -> Answer {
    Answer::Text(format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{text}"))
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines();
    let mut values = lines.filter_map(|line| line.split_once(": "));
    values.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

const PAGE: &str = "{\"items\":[],\"revision\":4}";

#[tokio::test]
async fn a_mutation_is_sent_again_with_the_same_key() {
    let (client, seen) = server(vec![
        Answer::Silence,
        problem(ErrorCode::Unavailable),
        problem(ErrorCode::TooManyRequests),
        problem(ErrorCode::Conflict),
    ])
    .await;
    let request = PowerRequest { action: PowerAction::On };
    let outcome = client.call::<PowerMachine>(&["m1"], &[], &request, Options::at(3)).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ErrorCode::Conflict);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    let keys: Vec<_> = seen.iter().map(|it| header(it, "idempotency-key").unwrap()).collect();
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");
    assert!(seen[0].starts_with("POST /v1/machines/m1/power HTTP/1.1\r\n"), "{}", seen[0]);
    assert_eq!(header(&seen[0], "if-match").unwrap(), "\"3\"");
    assert_eq!(header(&seen[0], "authorization").unwrap(), "Bearer bp_test");
    assert!(seen[0].ends_with("{\"action\":\"on\"}"));
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let (client, seen) = server(vec![problem(ErrorCode::Forbidden)]).await;
    let error = client.whoami().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ErrorCode::Forbidden);
    assert!(error.next().contains("administrator"));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_says_how_to_start_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(ClientSettings { url, ca_pem: None, token: None }).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.next().contains("bedplate up"));
}

#[tokio::test]
async fn what_is_no_document_is_told_as_such() {
    let answers =
        vec![reply("200 OK", "", "<html>"), reply("404 Not Found", "", "<html>nginx</html>")];
    let (client, _) = server(answers).await;
    for _ in 0..2 {
        let error = client.whoami().await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn pages_are_put_together_and_labels_repeated() {
    let first = "{\"items\":[],\"revision\":4,\"next_page\":\"abc\"}";
    let (client, seen) = server(vec![reply("200 OK", "", first), reply("200 OK", "", PAGE)]).await;
    let labels = ["rack=1".to_owned(), "row=ü".to_owned()];
    let (machines, revision) = client.machines(&labels).await.unwrap();
    assert!(machines.is_empty());
    assert_eq!(revision, 4);
    let seen = seen.lock().unwrap();
    let target = "/v1/machines?limit=500&label=rack%3D1&label=row%3D%C3%BC";
    assert!(seen[0].starts_with(&format!("GET {target} HTTP")), "{}", seen[0]);
    assert!(seen[1].starts_with(&format!("GET {target}&page=abc HTTP")), "{}", seen[1]);
}

#[tokio::test]
async fn a_watch_comes_back_where_it_broke_off() {
    let half = format!("{}\n{}{{\"revision\":9", lines(&[5, 6]), lines(&[8]));
    let (client, seen) = server(vec![
        broken(&half),
        Answer::Silence,
        broken(&lines(&[9])),
        problem(ErrorCode::Gone),
    ])
    .await;
    let mut watch = client.watch::<ListMachines>(4, &[]);
    let mut revisions = Vec::new();
    let error = loop {
        match watch.next().await {
            Ok(event) => revisions.push(event.revision),
            Err(error) => break error,
        }
    };
    assert_eq!(revisions, [5, 6, 8, 9]);
    assert_eq!(error.problem().unwrap().code, ErrorCode::Gone);
    let seen = seen.lock().unwrap();
    let from: Vec<&str> =
        seen.iter().map(|it| it.lines().next().unwrap().split("from=").nth(1).unwrap()).collect();
    assert_eq!(from, ["4 HTTP/1.1", "8 HTTP/1.1", "8 HTTP/1.1", "9 HTTP/1.1"]);
}

#[tokio::test]
async fn a_problem_ends_a_watch() {
    let last = serde_json::to_string(&Problem::new(ErrorCode::Unauthenticated, "gone")).unwrap();
    let (client, _) = server(vec![broken(&format!("{}{last}\n", lines(&[5])))]).await;
    let mut watch = client.watch::<ListMachines>(4, &[]);
    assert_eq!(watch.next().await.unwrap().revision, 5);
    let error = watch.next().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn an_upload_tells_how_far_it_is() {
    let (client, seen) = server(vec![problem(ErrorCode::ChecksumMismatch)]).await;
    let path = std::env::temp_dir().join(format!("bedplate-upload-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; 3000]).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let progress = told.clone();
    let outcome = client
        .upload_file("debian", &path, move |sent, all| progress.lock().unwrap().push((sent, all)))
        .await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(outcome.unwrap_err().problem().unwrap().code, ErrorCode::ChecksumMismatch);
    assert_eq!(told.lock().unwrap().last(), Some(&(3000, 3000)));
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("PUT /v1/images/debian/content HTTP/1.1"), "{}", seen[0]);
    assert_eq!(header(&seen[0], "content-length").unwrap(), "3000");
}
