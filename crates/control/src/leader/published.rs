//! What is recorded, as readers and watchers see it: the nouns, and the last
//! events in memory, from which watches resume.

use std::collections::VecDeque;

use model::Timestamp;
use model::event::Event;
use model::problem::{ErrorCode, Problem};
use record::{Change, EventRow, State, Store, StoreError};

use crate::nouns::Nouns;

/// Events kept in memory. A watch that falls further behind lists again.
const EVENTS_KEPT: usize = 32_768;

/// What everybody may know.
pub struct Published {
    nouns: Nouns,
    revision: u64,
    events: VecDeque<Event>,
    /// Watches resume after this revision or a later one.
    kept_after: u64,
}

impl Published {
    /// What a loaded record says.
    pub fn load(state: &State, store: &mut dyn Store) -> Result<Self, StoreError> {
        let nouns = Nouns::load(state).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let revision = state.revision();
        let mut published = Self { nouns, revision, events: VecDeque::new(), kept_after: revision };
        published.remember_tail(store)?;
        Ok(published)
    }

    /// Reads the newest events back, so that watches resume over a restart.
    fn remember_tail(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let mut after = self.revision.saturating_sub(EVENTS_KEPT as u64 / 4);
        loop {
            let rows = match store.events(after, 1_024) {
                Ok(rows) => rows,
                Err(StoreError::Pruned { kept }) if kept > after => {
                    after = kept;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.events.is_empty() {
                self.kept_after = after;
            }
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.revision;
            self.events.extend(rows.iter().filter_map(event));
            if after >= self.revision {
                return Ok(());
            }
        }
    }

    /// Takes in what was just recorded (or what another leader recorded).
    pub fn take(&mut self, row: &EventRow) {
        assert_eq!(row.revision, self.revision + 1, "changes come in order, without a gap");
        // Rows that another version wrote and that mean nothing here stay in the record.
        if let Err(error) = self.nouns.apply(&row.change) {
            tracing::error!(revision = row.revision, "{error}");
        }
        self.revision = row.revision;
        if let Some(event) = event(row) {
            self.events.push_back(event);
        }
        while self.events.len() > EVENTS_KEPT {
            let gone = self.events.pop_front().expect("there are more than are kept");
            self.kept_after = gone.revision;
        }
    }

    /// Everything that there is.
    pub const fn nouns(&self) -> &Nouns {
        &self.nouns
    }

    /// The newest revision.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The events after a revision.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, Problem> {
        if after < self.kept_after {
            let detail = format!(
                "events after revision {after} are no longer kept; the oldest is {}",
                self.kept_after
            );
            return Err(Problem::new(ErrorCode::Gone, detail));
        }
        if after > self.revision {
            let detail = format!("revision {after} has not come yet; it is {} now", self.revision);
            return Err(Problem::new(ErrorCode::InvalidRequest, detail));
        }
        let first = self.events.partition_point(|event| event.revision <= after);
        Ok(self.events.range(first..).take(limit).cloned().collect())
    }
}

/// A change as watchers see it. Effects are shown without what is in them (they
/// hold tokens); kept replies are nobody's business.
fn event(row: &EventRow) -> Option<Event> {
    let (kind, subject, id, name, body) = match &row.change {
        Change::Object(object) => {
            let kind = format!("{}.changed", object.kind);
            (kind, object.kind.as_str(), object.id, Some(object.name.clone()), Some(&object.body))
        }
        Change::ObjectRemoved { kind, id } => {
            (format!("{kind}.removed"), kind.as_str(), *id, None, None)
        }
        Change::Operation(operation) => {
            let body = Some(&operation.body);
            ("operation.changed".to_owned(), "operation", operation.id, None, body)
        }
        Change::Step(step) => {
            ("step.changed".to_owned(), "step", step.operation, None, Some(&step.body))
        }
        Change::EffectQueued(effect) => {
            ("effect.queued".to_owned(), "effect", effect.id, None, None)
        }
        Change::EffectSettled { id, .. } => {
            ("effect.settled".to_owned(), "effect", *id, None, None)
        }
        Change::Idempotent(_) | Change::IdempotentForgotten { .. } => return None,
    };
    Some(Event {
        revision: row.revision,
        at: row.at,
        kind,
        subject: subject.to_owned(),
        id: id.to_string(),
        name,
        actor: row.actor.clone(),
        request: row.request.clone(),
        object: body.and_then(|body| serde_json::from_str(body).ok()),
    })
}

/// The rows of a transaction, as the store keeps them.
pub fn rows(first: u64, transaction: &record::Transaction) -> impl Iterator<Item = EventRow> + '_ {
    let at: Timestamp = transaction.at;
    transaction.changes.iter().enumerate().map(move |(index, change)| EventRow {
        revision: first + index as u64,
        at,
        actor: transaction.actor.clone(),
        request: transaction.request.clone(),
        change: change.clone(),
    })
}
