//! The program as a user has it: started on an empty directory, killed with SIGKILL
//! in the middle of its work, started again. What it acknowledged must be there
//! once, by the word of a client that knows nothing of the inside.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use client::{Client, ClientSettings, Options};
use model::Secret;
use model::api::{CreateProject, CreateProjectRequest, ListProjects};
use model::project::{Project, ProjectSpec};

/// A directory that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = format!("bedplate-program-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `bedplate up`, and what it has printed so far.
struct Up {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Up {
    /// Starts it and waits until it says that it serves.
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bedplate"))
            .args(["up", "--listen", "127.0.0.1:0", "--dir"])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let (serves, served) = std::sync::mpsc::channel();
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let last = line.starts_with("  bedplate machine enroll");
                heard.lock().unwrap().push_str(&format!("{line}\n"));
                if last {
                    let _ = serves.send(());
                }
            }
        });
        let patience = std::time::Duration::from_secs(60);
        served.recv_timeout(patience).expect("it says that it serves, and what comes next");
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// SIGKILL: nothing is said, nothing is written.
    fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it was killed");
    }
}

fn client(directory: &Path) -> Client {
    let read = |name: &str| {
        let text = std::fs::read_to_string(directory.join(name));
        text.expect("the program wrote it").trim().to_owned()
    };
    let settings = ClientSettings {
        url: read("url"),
        ca_pem: Some(read("ca/ca.pem")),
        token: Some(Secret::new(read("admin.token"))),
    };
    Client::new(settings).expect("what the program wrote makes sense")
}

fn request(number: u32) -> CreateProjectRequest {
    CreateProjectRequest { name: format!("p{number}"), spec: ProjectSpec::default() }
}

/// Makes projects, one after the other, until told to stop; gives those acknowledged.
async fn make(client: Client, numbers: Arc<AtomicU32>, stop: Arc<AtomicBool>) -> Vec<u32> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let options =
            Options { idempotency_key: Some(format!("key-{number}")), ..Options::default() };
        let made = client.call::<CreateProject>(&[], &[], &request(number), options).await;
        match made {
            Ok(_) => acknowledged.push(number),
            Err(_) => break,
        }
    }
    acknowledged
}

fn ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill_and_is_there_once() {
    ring();
    let scratch = Scratch::new("kill");
    let numbers = Arc::new(AtomicU32::new(0));
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let up = Up::start(&scratch.0);
        let stop = Arc::new(AtomicBool::new(false));
        let makers: Vec<_> = (0..4)
            .map(|_| tokio::spawn(make(client(&scratch.0), numbers.clone(), stop.clone())))
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(150 + round * 70)).await;
        up.kill();
        stop.store(true, Ordering::Relaxed);
        for maker in makers {
            acknowledged.extend(maker.await.expect("a maker ends"));
        }
    }
    let up = Up::start(&scratch.0);
    let client = client(&scratch.0);
    // Asked again with the same key, what was done is told again and not done again.
    for number in acknowledged.iter().take(20) {
        let options =
            Options { idempotency_key: Some(format!("key-{number}")), ..Options::default() };
        let again = client.call::<CreateProject>(&[], &[], &request(*number), options).await;
        assert_eq!(again.expect("it is repeated").name, format!("p{number}"));
    }
    let (projects, _) = client.all::<ListProjects, Project>(&[]).await.expect("they are listed");
    let mut names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "nothing is there twice");
    assert!(acknowledged.len() > 20, "the makers were heard: {}", acknowledged.len());
    for number in acknowledged {
        let name = format!("p{number}");
        assert!(names.binary_search(&name.as_str()).is_ok(), "{name} was acknowledged and is lost");
    }
    up.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_shows_the_token_once_and_it_works() {
    ring();
    let scratch = Scratch::new("token");
    let first = Up::start(&scratch.0);
    let said = first.said();
    let token = std::fs::read_to_string(scratch.0.join("admin.token")).expect("it is kept");
    assert!(said.contains(token.trim()), "it is shown at the first start:\n{said}");
    assert_eq!(client(&scratch.0).whoami().await.expect("it works").name, "admin");
    first.kill();
    let second = Up::start(&scratch.0);
    assert!(!second.said().contains(token.trim()), "and never again");
    let health = client(&scratch.0).health().await.expect("it is healthy");
    assert!(health.leader, "what a killed one held is taken over");
    second.kill();
}
