//! Processes that follow each other under load: here they are threads, with descriptors and
//! locks of their own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use world::clock::SystemClock;

use super::*;
use crate::reactor::tests::fixture::{Client, Every, Paths, content};

/// A gateway in a thread.
struct Process {
    events: Sender<Event>,
    serving: Serving,
    thread: JoinHandle<Result<(), ServeError>>,
}

fn options(data: &Path, listen: SocketAddr, replaces: bool) -> Options {
    Options {
        data: data.to_path_buf(),
        listen: vec![(listen, false)],
        admin: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        settings: Settings { reactors: 2, workers: 2, pinned: false, ..Settings::default() },
        replaces,
        drain: Duration::from_secs(30),
    }
}

fn start(options: Options) -> Result<Process, ServeError> {
    start_with(options, Box::new(Every))
}

fn start_with(options: Options, store: Box<dyn Applies>) -> Result<Process, ServeError> {
    let (events, received) = channel();
    let (tell, told) = channel();
    let sender = events.clone();
    let thread = std::thread::spawn(move || {
        let files = options.data.join("files");
        let open = || {
            let parts = Parts {
                service: Arc::new(Paths::new(&files)),
                store,
                clock: Arc::new(SystemClock::default()),
            };
            let metrics = std::sync::Arc::new(|_: &mut String| ());
            Ok(Opened { parts, metrics, administer: None })
        };
        serve(&options, (sender, received), open, |serving| {
            let Serving { addresses, admin, took_over, metrics } = serving;
            let (addresses, metrics) = (addresses.clone(), metrics.clone());
            let (admin, took_over) = (*admin, *took_over);
            let _ = tell.send(Serving { addresses, admin, took_over, metrics });
        })
    });
    match told.recv() {
        Ok(serving) => Ok(Process { events, serving, thread }),
        Err(_) => Err(thread.join().expect("no panic").expect_err("it did not serve")),
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("bedplate-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Asks on and on: on one connection, or each time on another. Any fault panics.
fn ask(address: SocketAddr, over: &AtomicBool, asked: &AtomicU64, reconnects: bool) {
    let large = content(300_000);
    let connect = || Client::new(TcpStream::connect(address).expect("never refused"));
    let mut client = connect();
    while !over.load(Ordering::Relaxed) {
        assert_eq!(client.get("/hello").body, b"hello");
        assert_eq!(client.get("/commit/mine").body, b"true");
        assert!(client.get("/file/300000").body == large);
        assert_eq!(client.put("/sum", &large).status, 200);
        asked.fetch_add(1, Ordering::Relaxed);
        if reconnects {
            client = connect();
        }
    }
}

#[test]
fn replacements_under_load_fail_no_request() {
    let directory = Directory::new("replaced");
    let mut process = start(options(&directory.0, ANY, false)).expect("it serves");
    let address = process.serving.addresses[0].0;
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let until = |count: u64| {
        let from = asked.load(Ordering::Relaxed);
        while asked.load(Ordering::Relaxed) < from + count {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (over, asked) = (&over, &asked);
            scope.spawn(move || ask(address, over, asked, number % 2 == 0));
        }
        for _ in 0..3 {
            until(20);
            let next = start(options(&directory.0, address, true)).expect("it takes over");
            assert!(next.serving.took_over);
            assert_eq!(next.serving.addresses, [(address, false)]);
            let before = std::mem::replace(&mut process, next);
            before.thread.join().expect("no panic").expect("it ended well");
        }
        until(20);
        over.store(true, Ordering::Relaxed);
    });
    process.events.send(Event::Stop).expect("it listens");
    process.thread.join().expect("no panic").expect("it ended well");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_directory_is_served_once() {
    let directory = Directory::new("once");
    let process = start(options(&directory.0, ANY, false)).expect("it serves");
    let second = start(options(&directory.0, ANY, false)).map(|_| ());
    assert!(matches!(second, Err(ServeError::Taken(_))));
    let mut admin = Client::new(
        TcpStream::connect(process.serving.admin.expect("it was asked for")).expect("there"),
    );
    let metrics = admin.get("/metrics");
    let text = String::from_utf8(metrics.body).expect("text");
    assert!(text.contains("bedplate_gateway_waiting_changes 0"), "{text}");
    process.events.send(Event::Stop).expect("it listens");
    process.thread.join().expect("no panic").expect("it ended well");
    // Nobody to take over from: it begins as if it had not been asked to.
    let third = start(options(&directory.0, ANY, true)).expect("it serves");
    assert!(!third.serving.took_over);
    third.events.send(Event::Stop).expect("it listens");
    third.thread.join().expect("no panic").expect("it ended well");
}

/// A store whose medium fails with the first change.
#[derive(Default)]
struct Fails(bool);

impl Applies for Fails {
    fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>> {
        self.0 = true;
        batch.iter().map(|_| Err(Refusal::Medium("no sync".to_owned()))).collect()
    }
    fn tick(&mut self) -> Duration {
        Duration::from_secs(1)
    }
    fn dead(&self) -> Option<String> {
        self.0.then(|| "no sync".to_owned())
    }
    fn close(&mut self) {}
}

#[test]
fn a_store_that_takes_no_more_changes_ends_the_process_with_an_error() {
    let directory = Directory::new("broken");
    let store = Box::new(Fails::default());
    let process = start_with(options(&directory.0, ANY, false), store).expect("it serves");
    let address = process.serving.addresses[0].0;
    let mut client = Client::new(TcpStream::connect(address).expect("never refused"));
    assert_eq!(client.get("/hello").body, b"hello");
    // Who asked for the change is told.
    assert_eq!(client.get("/commit/mine").body, b"false");
    let ended = process.thread.join().expect("no panic");
    assert!(matches!(&ended, Err(ServeError::Broken(why)) if why == "no sync"), "{ended:?}");
    // The next one may have the directory.
    let next = start(options(&directory.0, ANY, false)).expect("it serves");
    next.events.send(Event::Stop).expect("it listens");
    next.thread.join().expect("no panic").expect("it ended well");
}
