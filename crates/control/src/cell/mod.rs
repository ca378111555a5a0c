//! The cell: everything that there is, and the one place that decides what
//! happens to it. Pure: an [`Ask`], the time and entropy go in; a transaction and
//! a [`Reply`] come out. Production and the simulator run this same code.
//!
//! One file for each group of calls: [`machines`], [`operations`], [`arrivals`]
//! (what machines cause), [`hosts`], [`instances`], [`images`], [`policies`], [`projects`].

mod arrivals;
mod call;
mod hosts;
mod images;
mod instances;
mod machines;
mod operations;
mod policies;
mod projects;

use std::collections::VecDeque;
use std::sync::Arc;

use machine::Settings;
use model::problem::{ErrorCode, Problem};
use model::{Duration, Timestamp};
use record::{Change, IdempotentRow, ObjectRow, State, Transaction};
use world::Entropy;

pub use call::{Alarm, Ask, Call, FoundBmc, HoldKind, Idempotency, Reply};

use crate::nouns::{Meaning, Nouns, Shelved, UnreadableRow};

/// How long a reply is repeated for its idempotency key.
const IDEMPOTENT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Everything that there is, as decided. What was decided may not be recorded
/// yet: only [`crate::leader`] knows, and tells nobody before it is.
pub struct Cell {
    nouns: Nouns,
    settings: Arc<Settings>,
    /// Idempotency keys in the order in which they are forgotten.
    forgetting: VecDeque<(Timestamp, String)>,
}

/// What was decided.
#[derive(Debug)]
pub struct Decided {
    /// To be recorded; without changes when nothing is to be.
    pub transaction: Transaction,
    /// What its changes mean, one for each.
    pub meanings: Vec<Meaning>,
    /// To be answered when it is.
    pub reply: Reply,
    /// The reply is one that was given before, for the same idempotency key.
    pub replayed: bool,
}

/// A decision on its way: changes so far.
struct Draft<'a> {
    now: Timestamp,
    entropy: &'a mut dyn Entropy,
    ask: &'a Ask,
    changes: Vec<Change>,
}

impl Cell {
    /// The cell that a loaded record holds.
    pub fn load(state: &State, settings: Arc<Settings>) -> Result<Self, UnreadableRow> {
        Ok(Self::new(Nouns::load(state)?, settings))
    }

    /// A cell that goes on from what is recorded.
    pub fn new(nouns: Nouns, settings: Arc<Settings>) -> Self {
        let mut forgetting: Vec<_> =
            nouns.idempotent.values().map(|row| (row.expires, row.key.clone())).collect();
        forgetting.sort();
        Self { nouns, settings, forgetting: forgetting.into() }
    }

    /// What there is, as decided.
    pub const fn nouns(&self) -> &Nouns {
        &self.nouns
    }

    /// Decides, and takes in what it decided. On a problem nothing changed.
    pub fn decide(
        &mut self,
        ask: &Ask,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Decided, Problem> {
        if let Some(reply) = self.repeated(ask)? {
            let transaction = self.transaction(ask, now, Vec::new());
            return Ok(Decided { transaction, meanings: Vec::new(), reply, replayed: true });
        }
        let mut draft = Draft { now, entropy, ask, changes: Vec::new() };
        let reply = self.answer(&mut draft)?;
        let mut changes = draft.changes;
        if ask.dry_run {
            changes.clear();
        } else if !changes.is_empty() {
            self.remember(ask, now, &reply, &mut changes);
        }
        let transaction = self.transaction(ask, now, changes);
        if let Some(fault) = transaction.fault() {
            return Err(Problem::new(ErrorCode::InvalidRequest, fault));
        }
        // What the cell wrote a moment ago, it can read.
        let read = |change| Meaning::of(change).expect("own rows are readable");
        let meanings: Vec<Meaning> = transaction.changes.iter().map(read).collect();
        meanings.iter().for_each(|meaning| self.take(meaning.clone()));
        Ok(Decided { transaction, meanings, reply, replayed: false })
    }

    fn take(&mut self, meaning: Meaning) {
        match &meaning {
            Meaning::Idempotent(row) => {
                self.forgetting.push_back((row.expires, row.key.clone()));
            }
            Meaning::IdempotentForgotten(_) => drop(self.forgetting.pop_front()),
            _ => {}
        }
        self.nouns.take(meaning);
    }

    fn transaction(&self, ask: &Ask, at: Timestamp, changes: Vec<Change>) -> Transaction {
        Transaction { at, actor: ask.actor.clone(), request: ask.request.clone(), changes }
    }

    fn answer(&self, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
        match &draft.ask.call {
            Call::Discovered { .. }
            | Call::Enroll { .. }
            | Call::UpdateMachine { .. }
            | Call::RemoveMachine { .. }
            | Call::Power { .. }
            | Call::Deploy { .. }
            | Call::Release { .. }
            | Call::Quarantine { .. }
            | Call::SetAside { .. }
            | Call::Recover { .. } => machines::answer(self, draft),
            Call::Settle { .. } => operations::settle(self, draft),
            Call::Forget { operations } => Ok(operations::forget(self, draft, operations)),
            Call::CreateImage { .. } | Call::ImageReady { .. } | Call::RemoveImage { .. } => {
                images::answer(self, draft)
            }
            Call::UpdatePolicy { .. } | Call::LearnPolicy { .. } => policies::answer(self, draft),
            Call::Hold { .. } | Call::OfferHost { .. } | Call::WithdrawHost { .. } => {
                hosts::answer(self, draft)
            }
            Call::CreateInstanceType(_)
            | Call::RemoveInstanceType { .. }
            | Call::CreatePlacementGroup(_)
            | Call::RemovePlacementGroup { .. }
            | Call::CreateInstance(_)
            | Call::RemoveInstance { .. }
            | Call::PlaceInstance { .. }
            | Call::MakeRoom { .. } => instances::answer(self, draft),
            Call::CreateProject { .. }
            | Call::UpdateProject { .. }
            | Call::RemoveProject { .. }
            | Call::CreateToken { .. }
            | Call::RemoveToken { .. } => projects::answer(self, draft),
            Call::Sighted { .. }
            | Call::Admit { .. }
            | Call::Reported { .. }
            | Call::Settled { .. }
            | Call::PowerSeen { .. }
            | Call::CalledHome { .. }
            | Call::Due { .. } => arrivals::answer(self, draft),
        }
    }

    /// The reply that was given for this idempotency key.
    fn repeated(&self, ask: &Ask) -> Result<Option<Reply>, Problem> {
        let Some(asked) = &ask.idempotency else { return Ok(None) };
        let Some(known) = self.nouns.idempotent.get(&asked.key) else { return Ok(None) };
        if known.digest != asked.digest {
            let detail = "this key came with another request before".to_owned();
            return Err(Problem::new(ErrorCode::KeyReused, detail));
        }
        serde_json::from_str(&known.reply).map(Some).map_err(|error| {
            Problem::new(ErrorCode::Internal, format!("the kept reply cannot be read: {error}"))
        })
    }

    fn remember(&self, ask: &Ask, now: Timestamp, reply: &Reply, changes: &mut Vec<Change>) {
        let Some(asked) = &ask.idempotency else { return };
        let expires = now + IDEMPOTENT_FOR;
        let reply = serde_json::to_string(reply).expect("a reply is plain data");
        let (key, digest) = (asked.key.clone(), asked.digest.clone());
        changes.push(Change::Idempotent(IdempotentRow { key, digest, reply, expires }));
        // One comes, at most two go: the table neither grows for ever nor stops the line.
        let old = self.forgetting.iter().take(2).take_while(|(expires, _)| *expires < now);
        changes.extend(old.map(|(_, key)| Change::IdempotentForgotten { key: key.clone() }));
    }
}

impl Draft<'_> {
    /// Writes a resource.
    fn put<T: Shelved + serde::Serialize>(&mut self, thing: &T) {
        self.changes.push(Change::Object(row(thing)));
    }

    /// Removes a resource.
    fn remove<T: Shelved>(&mut self, thing: &T) {
        self.changes.push(Change::ObjectRemoved { kind: T::KIND.to_owned(), id: thing.uuid() });
    }

    /// Refuses when the caller knows another generation (`If-Match`).
    fn expect(&self, generation: u64) -> Result<(), Problem> {
        match self.ask.generation {
            Some(known) if known != generation => Err(Problem::new(
                ErrorCode::GenerationMismatch,
                format!("you read generation {known}, and it is {generation} now"),
            )),
            _ => Ok(()),
        }
    }
}

/// A resource as the record keeps it.
fn row<T: Shelved + serde::Serialize>(thing: &T) -> ObjectRow {
    ObjectRow {
        kind: T::KIND.to_owned(),
        id: thing.uuid(),
        name: thing.name().to_owned(),
        generation: thing.generation(),
        body: serde_json::to_string(thing).expect("a resource is plain data"),
    }
}

/// That something is not there.
fn not_found(kind: &str, which: impl std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("there is no {kind} {which}"))
}

/// Names are short and plain, so that they fit in paths, host names and tables.
fn check_name(kind: &str, name: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if (1..=63).contains(&name.len()) && starts_well && name.chars().all(plain) {
        return Ok(());
    }
    let detail = format!(
        "{name:?} is not a name for a {kind}: 1 to 63 letters, digits, '-', '_' or '.', the first a letter or digit"
    );
    Err(Problem::new(ErrorCode::InvalidRequest, detail))
}

/// That a name is taken.
fn taken(kind: &str, name: &str) -> Problem {
    Problem::new(ErrorCode::NameTaken, format!("there is a {kind} {name} already"))
}
