//! The process that is killed: clients, an engine that decides in memory, and a
//! writer that commits in groups. It says on standard output what it
//! acknowledges, and nothing else.
#![allow(clippy::exit, reason = "what is tested is an end without goodbye")]

use std::collections::VecDeque;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use record::group::Limits;
use record::store::{postgres::Postgres, sqlite::Sqlite};
use record::{
    Change, EffectRow, Fence, IdempotentRow, ObjectRow, OperationRow, Revision, State, StepRow,
    Store, StoreError, Transaction,
};
use serde_json::json;
use uuid::Uuid;

/// The first argument of a child: then store, session, and for each client the
/// number of the order to begin with.
pub const FLAG: &str = "--child";
/// The word before the path of a SQLite file.
pub const SQLITE: &str = "sqlite:";
/// The word before the address of a PostgreSQL database.
pub const POSTGRES: &str = "postgres:";
/// The kind of the objects that are ordered.
pub const KIND: &str = "order";
/// Events that pruning leaves.
const KEPT_EVENTS: u64 = 2_000;
/// Batches between two prunings.
const PRUNE_EVERY: u64 = 64;
/// How long a database server may take to recover.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// The first id of a session: ids of a later session are greater.
pub fn session_start(session: u64) -> Uuid {
    Uuid::from_u64_pair(session, 0)
}

/// An order that waits to be durable.
struct Waiting {
    transaction: Transaction,
    id: Uuid,
    reply: Sender<Uuid>,
}

/// What is decided, ahead of what is durable.
struct Engine {
    state: State,
    waiting: VecDeque<Waiting>,
    session: u64,
    made: u64,
}

struct Shared {
    engine: Mutex<Engine>,
    work: Condvar,
}

/// Serves until it is killed, or until the store fails.
pub fn run(arguments: &[String]) -> Result<()> {
    let [place, session, from @ ..] = arguments else { bail!("a child needs more arguments") };
    let session: u64 = session.parse()?;
    let from: Vec<u64> = from.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let mut store = open(place)?;
    let now = Timestamp::from_micros(session.cast_signed() * 1_000_000);
    let fence = store
        .acquire("leader", "torture", now, model::Duration::from_secs(10))?
        .context("somebody else leads")?;
    let state = store.load()?;
    let durable = state.revision();
    say(format_args!("ready {durable}"));
    let engine = Engine { state, waiting: VecDeque::new(), session, made: 0 };
    let shared = Shared { engine: Mutex::new(engine), work: Condvar::new() };
    thread::scope(|scope| {
        for (client, number) in (0_u64..).zip(from) {
            let shared = &shared;
            scope.spawn(move || be_client(shared, client, number));
        }
        let Err(error) = write(&shared, &mut *store, &fence, durable);
        // The clients wait for ever: only the end of the process frees them.
        eprintln!("{error}");
        std::process::exit(3);
    })
}

/// Opens the store. A server that recovers is tried again.
fn open(place: &str) -> Result<Box<dyn Store>> {
    if let Some(path) = place.strip_prefix(SQLITE) {
        return Ok(Box::new(Sqlite::open(path)?));
    }
    let url = place.strip_prefix(POSTGRES).context("a child needs a store")?;
    let until = Instant::now() + CONNECT_LIMIT;
    loop {
        match Postgres::connect(url) {
            Ok(store) => return Ok(Box::new(store)),
            Err(StoreError::Unreachable(_)) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints one line in one piece.
fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone has no use for us.
    if out.write_all(format!("{line}\n").as_bytes()).is_err() || out.flush().is_err() {
        std::process::exit(4);
    }
}

/// One order after the other, each when the one before was acknowledged.
fn be_client(shared: &Shared, client: u64, from: u64) {
    for number in from.. {
        let acknowledged = {
            let mut engine = shared.engine.lock().unwrap_or_else(PoisonError::into_inner);
            engine.decide(client, number)
        };
        shared.work.notify_one();
        let Ok(id) = acknowledged.recv() else { return };
        say(format_args!("ack {client} {number} {id}"));
    }
}

/// Commits what waits, as much as fits, and answers once it is durable.
fn write(
    shared: &Shared,
    store: &mut dyn Store,
    fence: &Fence,
    mut durable: Revision,
) -> Result<std::convert::Infallible, StoreError> {
    for round in 1_u64.. {
        let batch: Vec<Waiting> = {
            let engine = shared.engine.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = |engine: &mut Engine| engine.waiting.is_empty();
            let mut engine =
                shared.work.wait_while(engine, idle).unwrap_or_else(PoisonError::into_inner);
            let waiting = engine.waiting.iter().map(|waiting| &waiting.transaction);
            let taken = Limits::CELL.take(waiting);
            engine.waiting.drain(..taken).collect()
        };
        let (transactions, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.transaction, (waiting.reply, waiting.id)))
            .unzip();
        store.commit(fence.clone(), durable + 1, &transactions)?;
        durable += transactions.iter().map(|tx| tx.changes.len() as u64).sum::<u64>();
        for (reply, id) in replies {
            let _ = reply.send(id);
        }
        if round % PRUNE_EVERY == 0 {
            store.prune(durable.saturating_sub(KEPT_EVENTS))?;
        }
    }
    unreachable!("no writer commits so often")
}

impl Engine {
    /// Decides one order. The answer comes when everything before it is durable,
    /// also for an order that was carried out before.
    fn decide(&mut self, client: u64, number: u64) -> Receiver<Uuid> {
        let key = format!("{client}-{number}");
        let remembered = self.state.idempotent(&key).map(|row| row.reply.clone());
        let (id, changes) = match remembered {
            Some(reply) => (Uuid::parse_str(&reply).expect("our own reply"), Vec::new()),
            None => {
                self.made += 1;
                let id = Uuid::from_u64_pair(self.session, self.made);
                (id, order(client, number, key, id))
            }
        };
        let transaction = Transaction {
            at: Timestamp::from_micros(number.cast_signed()),
            actor: format!("client-{client}"),
            request: Some(id.to_string()),
            changes,
        };
        self.state.apply(self.state.revision() + 1, &transaction);
        let (reply, acknowledged) = channel();
        self.waiting.push_back(Waiting { transaction, id, reply });
        acknowledged
    }
}

/// What an order changes: something in every table.
fn order(client: u64, number: u64, key: String, id: Uuid) -> Vec<Change> {
    let body = json!({ "client": client, "number": number, "note": "x".repeat(200) }).to_string();
    let effect = |number: u64| Uuid::from_u64_pair(u64::MAX - client, number);
    let object = ObjectRow {
        kind: KIND.to_owned(),
        id,
        name: key.clone(),
        generation: 1,
        body: body.clone(),
    };
    let operation = OperationRow {
        id,
        kind: KIND.to_owned(),
        target: id,
        state: "running".to_owned(),
        body: body.clone(),
    };
    let queued = EffectRow { id: effect(number), target: id, sequence: number, body: body.clone() };
    let (digest, reply) = (key.clone(), id.to_string());
    let expires = Timestamp::from_micros(number.cast_signed() + 1);
    let mut changes = vec![
        Change::Object(object),
        Change::Operation(operation),
        Change::Step(StepRow { operation: id, index: 0, body }),
        Change::EffectQueued(queued),
        Change::Idempotent(IdempotentRow { key, digest, reply, expires }),
    ];
    if let Some(before) = number.checked_sub(1) {
        changes.push(Change::EffectSettled { id: effect(before), outcome: "{}".to_owned() });
    }
    // A client repeats its last order at most, so the one before can go.
    if let Some(before) = number.checked_sub(2) {
        changes.push(Change::IdempotentForgotten { key: format!("{client}-{before}") });
    }
    changes
}
