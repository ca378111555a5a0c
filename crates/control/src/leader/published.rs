//! What is recorded, as readers and watchers see it: the nouns, and the last
//! events in memory, from which watches resume.

use std::collections::VecDeque;
use std::sync::Arc;

use model::event::Event;
use model::problem::{ErrorCode, Problem};
use record::{Change, EventRow, State, Store, StoreError};

use crate::nouns::{Meaning, Nouns};

/// Events kept in memory, and the bytes of their texts. A watch that falls further
/// behind lists again.
const EVENTS_KEPT: usize = 32_768;
const BYTES_KEPT: usize = 64 << 20;
/// Events read back at the start.
const EVENTS_AT_START: u64 = 8_192;

/// What everybody may know.
pub struct Published {
    nouns: Nouns,
    revision: u64,
    events: VecDeque<Arc<EventRow>>,
    /// The bytes of all `events`.
    bytes: usize,
    /// Watches resume after this revision or a later one.
    kept_after: u64,
    /// The first revision that this version could not read.
    unreadable: Option<u64>,
}

/// A change that is recorded, and what it means.
pub struct Recorded {
    row: EventRow,
    /// Absent where it means nothing to this version.
    meaning: Option<Meaning>,
}

impl Recorded {
    /// A change that this process decided.
    pub const fn ours(row: EventRow, meaning: Meaning) -> Self {
        Self { row, meaning: Some(meaning) }
    }

    /// A change that another process recorded, perhaps one of another version.
    pub fn read(row: EventRow) -> Self {
        let meaning = Meaning::of(&row.change)
            .inspect_err(|error| tracing::error!(revision = row.revision, "{error}"))
            .ok();
        Self { row, meaning }
    }
}

impl Published {
    /// What a loaded record says.
    pub fn load(state: &State, store: &mut dyn Store) -> Result<Self, StoreError> {
        let nouns = Nouns::load(state).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let revision = state.revision();
        let mut published = Self {
            nouns,
            revision,
            events: VecDeque::new(),
            bytes: 0,
            kept_after: revision,
            unreadable: None,
        };
        published.remember_tail(store)?;
        Ok(published)
    }

    /// Reads the newest events back, so that watches resume over a restart.
    fn remember_tail(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let mut after = self.revision.saturating_sub(EVENTS_AT_START);
        self.kept_after = after;
        while after < self.revision {
            let rows = match store.events(after, 1_024) {
                Ok(rows) => rows,
                Err(StoreError::Pruned { kept }) if kept > after && self.events.is_empty() => {
                    after = kept;
                    self.kept_after = kept.min(self.revision);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.revision;
            // Whoever leads goes on meanwhile: what is newer than what was loaded
            // comes later, by `take`.
            let newest = self.revision;
            let known = rows.into_iter().filter(|row| row.revision <= newest);
            known.for_each(|row| self.keep(row));
        }
        Ok(())
    }

    /// Takes in what was just recorded, by this process or another.
    pub fn take(&mut self, recorded: Recorded) {
        let Recorded { row, meaning } = recorded;
        assert_eq!(row.revision, self.revision + 1, "changes come in order, without a gap");
        match meaning {
            Some(meaning) => self.nouns.take(meaning),
            None => self.unreadable = self.unreadable.or(Some(row.revision)),
        }
        self.revision = row.revision;
        self.keep(row);
    }

    fn keep(&mut self, row: EventRow) {
        if !is_shown(&row.change) {
            return;
        }
        self.bytes += row.change.bytes();
        self.events.push_back(Arc::new(row));
        while self.events.len() > EVENTS_KEPT || self.bytes > BYTES_KEPT {
            let Some(gone) = self.events.pop_front() else { return };
            self.bytes -= gone.change.bytes();
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

    /// The first revision that this version could not read, where there is one. To
    /// decide on what is only half understood would do harm.
    pub const fn unreadable(&self) -> Option<u64> {
        self.unreadable
    }

    /// The rows of the events after a revision.
    pub(super) fn after(&self, after: u64, limit: usize) -> Result<Vec<Arc<EventRow>>, Problem> {
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
        let first = self.events.partition_point(|row| row.revision <= after);
        Ok(self.events.range(first..).take(limit).cloned().collect())
    }
}

/// Kept replies are nobody's business.
const fn is_shown(change: &Change) -> bool {
    !matches!(
        change,
        Change::Idempotent(_) | Change::IdempotentForgotten { .. } | Change::StepForgotten { .. }
    )
}

/// A change as watchers see it. Effects are shown without what is in them: they
/// hold tokens.
pub fn event(row: &EventRow) -> Option<Event> {
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
        Change::OperationForgotten { id } => {
            ("operation.forgotten".to_owned(), "operation", *id, None, None)
        }
        Change::Idempotent(_) | Change::IdempotentForgotten { .. } => return None,
        Change::StepForgotten { .. } => return None,
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
