//! Storms: many who ask at once, faults by chance, processes that come and go. At
//! the end everything that was acknowledged is there once, and what is in memory,
//! in the tables and in the events is the same.

use std::sync::Arc;

use control::cell::{Ask, Call};
use futures_util::future::join_all;
use model::Duration;
use model::project::{Role, TokenSpec};
use model::sighting::Sighting;
use record::Store;
use record::store::simulated::Rates;

use crate::places::{Database, File, Place, memory};
use crate::process::{Process, Time, Watcher, keyed, off, project, until_done};

/// SplitMix64: the same storm at every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)) % limit
    }
}

/// What one of those who ask does: makes things, each under a key of its own.
fn asks(who: u64, chance: &mut Chance) -> Vec<Ask> {
    (0..12).map(|turn| ask(&format!("w{who}-{turn}"), chance)).collect()
}

fn ask(name: &str, chance: &mut Chance) -> Ask {
    match chance.below(4) {
        0 => {
            let spec = TokenSpec { role: Role::Viewer, project: None, expires: None };
            let (name, digest) = (name.to_owned(), "digest".to_owned());
            keyed(&name.clone(), Call::CreateToken { name, spec, digest })
        }
        1 => {
            let mac = format!("02:00:00:00:00:{:02x}", chance.below(16));
            let client = "HTTPClient:Arch:00016".to_owned();
            let sighting = Sighting::Dhcp { mac, arch: Some(16), client };
            Ask::from("bedplate", Call::Sighted { sighting })
        }
        _ => project(name),
    }
}

/// Rounds of asks between which the leading process changes.
async fn rages(place: Arc<dyn Place>, rounds: u64, quiet: impl Fn()) {
    let (clock, mut chance) = (Time::new(), Chance(7));
    let mut watcher = Watcher::default();
    let mut made = Vec::new();
    let mut processes = [
        Process::lead(place.clone(), "a", &clock).await,
        Process::start(place.clone(), "b", &clock),
    ];
    for round in 0..rounds {
        let [a, b] = &processes;
        let all = (0..8).map(|who| {
            let asks = asks(round * 8 + who, &mut chance);
            made.extend(asks.iter().filter_map(|ask| Some(ask.idempotency.clone()?.key)));
            let clock = clock.clone();
            async move {
                for ask in asks {
                    until_done(&[a, b], &ask).await;
                    clock.pass(Duration::from_millis(100));
                }
            }
        });
        let disturbed = place.clone();
        let disturbing = std::thread::spawn(move || disturbed.disturb());
        join_all(all).await;
        disturbing.join().unwrap();
        watcher.look(&b.leader);
        // One of the two goes and comes back, with its lease or without.
        let which = (round % 2) as usize;
        let holder = ["a", "b"][which];
        let next = Process::start(place.clone(), &format!("{holder}{round}"), &clock);
        std::mem::replace(&mut processes[which], next).crash();
        clock.pass(Duration::from_secs(60));
    }
    quiet();
    until_done(&[&processes[0], &processes[1]], &project("last")).await;
    let leads = processes.iter().find(|it| it.leader.read().projects.by_name("last").is_some());
    let leads = leads.expect("one of them did it");
    watcher.look(&leads.leader);
    let mut store = off(|| place.open()).unwrap();
    off(|| {
        watcher.saw_all(store.as_mut());
        same_everywhere(leads, store.as_mut());
        drop(store);
    });
    assert!(made.iter().all(|name| watcher.made(name) == 1), "each was made once");
}

/// What is published, what the tables hold and what the events say.
fn same_everywhere(process: &Process, store: &mut dyn Store) {
    let (loaded, replayed) = (store.load().unwrap(), store.replay().unwrap());
    assert_eq!(loaded.hash(), replayed.hash());
    assert_eq!(loaded, replayed);
    let read = process.leader.read();
    assert_eq!(read.revision(), loaded.revision());
    let bodies =
        |kind: &str| -> Vec<String> { loaded.objects(kind).map(|row| row.body.clone()).collect() };
    let json = |thing: serde_json::Result<String>| thing.unwrap();
    let projects = read.projects.iter().map(|(_, it)| json(serde_json::to_string(&**it)));
    assert_eq!(projects.collect::<Vec<_>>(), bodies("project"));
    let tokens = read.tokens.iter().map(|(_, it)| json(serde_json::to_string(&**it)));
    assert_eq!(tokens.collect::<Vec<_>>(), bodies("token"));
    let machines = read.machines.iter().map(|(_, it)| json(serde_json::to_string(&**it)));
    assert_eq!(machines.collect::<Vec<_>>(), bodies("machine"));
    assert_eq!(read.idempotent.len(), loaded.idempotents().count());
}

#[tokio::test]
async fn on_the_simulated_store() {
    let disk = memory();
    disk.set_rates(Rates { full_ppm: 80_000, unknown_ppm: 80_000 });
    rages(Arc::new(disk.clone()), 12, || disk.set_rates(Rates::default())).await;
}

#[tokio::test]
async fn on_sqlite() {
    rages(File::new(), 4, || {}).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(database) = off(|| Database::new("storm")) else { return };
    rages(database.clone(), 4, || {}).await;
    off(move || drop(database));
}
