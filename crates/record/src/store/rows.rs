//! Between changes and the columns of the tables, in both directions.

use std::collections::BTreeMap;

use model::Timestamp;
use uuid::Uuid;

use super::StoreError;
use super::database::{Database, Row, Value};
use super::statements::{
    BASE, CHUNKS, EVENTS, IDEMPOTENCY, OBJECTS, OPERATIONS, OUTBOX, STEPS, Table,
};
use crate::{
    Change, EffectRow, EventRow, IdempotentRow, ObjectRow, OperationRow, Revision, State, StepRow,
    Transaction,
};

/// Which row a change writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key<'a> {
    Object(&'a str, Uuid),
    Operation(Uuid),
    Step(Uuid, u32),
    Effect(Uuid),
    Idempotent(&'a str),
}

/// The last change of each row, in the order of tables and keys. One statement
/// must not write a row twice, and the last one is all that a table shows.
pub(crate) fn last_of_each<'a>(
    changes: impl IntoIterator<Item = &'a Change>,
) -> BTreeMap<Key<'a>, &'a Change> {
    changes.into_iter().map(|change| (Key::of(change), change)).collect()
}

impl<'a> Key<'a> {
    fn of(change: &'a Change) -> Key<'a> {
        match change {
            Change::Object(row) => Key::Object(&row.kind, row.id),
            Change::ObjectRemoved { kind, id } => Key::Object(kind, *id),
            Change::Operation(row) => Key::Operation(row.id),
            Change::Step(row) => Key::Step(row.operation, row.index),
            Change::EffectQueued(row) => Key::Effect(row.id),
            Change::EffectSettled { id, .. } => Key::Effect(*id),
            Change::Idempotent(row) => Key::Idempotent(&row.key),
            Change::IdempotentForgotten { key } => Key::Idempotent(key),
            Change::OperationForgotten { id } => Key::Operation(*id),
            Change::StepForgotten { operation, index } => Key::Step(*operation, *index),
        }
    }

    /// As the key of the base. An id ends the key of an object, so that no kind
    /// can be taken for another.
    fn text(&self) -> String {
        match self {
            Key::Object(kind, id) => format!("object/{kind}/{id}"),
            Key::Operation(id) => format!("operation/{id}"),
            Key::Step(operation, index) => format!("step/{operation}/{index}"),
            Key::Effect(id) => format!("effect/{id}"),
            Key::Idempotent(key) => format!("idempotent/{key}"),
        }
    }
}

/// A value that owns its text.
enum Cell<'a> {
    Int(i64),
    Text(&'a str),
    Owned(String),
    Null,
}

impl Cell<'_> {
    fn value(&self) -> Value<'_> {
        match self {
            Cell::Int(number) => Value::Int(*number),
            Cell::Text(text) => Value::Text(text),
            Cell::Owned(text) => Value::Text(text),
            Cell::Null => Value::Null,
        }
    }
}

fn cell_id<'a>(id: &Uuid) -> Cell<'a> {
    Cell::Owned(id.to_string())
}

fn cell_u64<'a>(number: u64) -> Cell<'a> {
    Cell::Int(i64::try_from(number).expect("checked by Transaction::fault"))
}

/// The table of a change, and its cells: all columns of a row that is put, or
/// only the keys of one that is deleted.
fn cells(change: &Change) -> (&'static Table, Vec<Cell<'_>>) {
    use Cell::{Int, Text};
    match change {
        Change::Object(row) => {
            let generation = cell_u64(row.generation);
            let (kind, name) = (Text(&row.kind), Text(&row.name));
            (&OBJECTS, vec![kind, cell_id(&row.id), name, generation, Text(&row.body)])
        }
        Change::ObjectRemoved { kind, id } => (&OBJECTS, vec![Text(kind), cell_id(id)]),
        Change::Operation(row) => {
            let (kind, state) = (Text(&row.kind), Text(&row.state));
            let (id, target) = (cell_id(&row.id), cell_id(&row.target));
            (&OPERATIONS, vec![id, kind, target, state, Text(&row.body)])
        }
        Change::Step(row) => {
            let index = Int(i64::from(row.index));
            (&STEPS, vec![cell_id(&row.operation), index, Text(&row.body)])
        }
        Change::EffectQueued(row) => {
            let (id, target) = (cell_id(&row.id), cell_id(&row.target));
            (&OUTBOX, vec![id, target, cell_u64(row.sequence), Text(&row.body)])
        }
        Change::EffectSettled { id, .. } => (&OUTBOX, vec![cell_id(id)]),
        Change::Idempotent(row) => {
            let (key, digest, reply) = (Text(&row.key), Text(&row.digest), Text(&row.reply));
            (&IDEMPOTENCY, vec![key, digest, reply, Int(row.expires.micros())])
        }
        Change::IdempotentForgotten { key } => (&IDEMPOTENCY, vec![Text(key)]),
        Change::OperationForgotten { id } => (&OPERATIONS, vec![cell_id(id)]),
        Change::StepForgotten { operation, index } => {
            (&STEPS, vec![cell_id(operation), Int(i64::from(*index))])
        }
    }
}

/// Whether a change takes its row away.
fn removes(change: &Change) -> bool {
    matches!(
        change,
        Change::ObjectRemoved { .. }
            | Change::EffectSettled { .. }
            | Change::IdempotentForgotten { .. }
            | Change::OperationForgotten { .. }
            | Change::StepForgotten { .. }
    )
}

/// How rows are written.
#[derive(Clone, Copy)]
enum Verb {
    Insert,
    Put,
    Delete,
}

/// Writes rows of one table in few statements.
fn write<D: Database>(
    database: &mut D,
    table: &Table,
    verb: Verb,
    rows: &[Vec<Cell<'_>>],
) -> Result<(), StoreError> {
    let mut rest = rows;
    for size in CHUNKS {
        while rest.len() >= size {
            let (chunk, later) = rest.split_at(size);
            let values: Vec<Value<'_>> = chunk.iter().flatten().map(Cell::value).collect();
            let sql = match verb {
                Verb::Insert => table.insert(size),
                Verb::Put => table.put(size),
                Verb::Delete => table.delete(size),
            };
            database.execute(&sql, &values)?;
            rest = later;
        }
    }
    assert!(rest.is_empty(), "the smallest chunk is one row");
    Ok(())
}

/// Writes events.
pub(crate) fn write_events<'a, D: Database>(
    database: &mut D,
    events: impl IntoIterator<Item = (Revision, &'a Transaction, &'a Change)>,
) -> Result<(), StoreError> {
    let rows: Vec<Vec<Cell<'_>>> = events
        .into_iter()
        .map(|(revision, transaction, change)| {
            vec![
                cell_u64(revision),
                Cell::Int(transaction.at.micros()),
                Cell::Text(&transaction.actor),
                transaction.request.as_deref().map_or(Cell::Null, Cell::Text),
                Cell::Owned(to_json(change)),
            ]
        })
        .collect();
    write(database, &EVENTS, Verb::Insert, &rows)
}

/// Writes the rows of changes into their tables.
pub(crate) fn write_rows<'a, D: Database>(
    database: &mut D,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<(), StoreError> {
    struct Group<'a> {
        table: &'static Table,
        rows: Vec<Vec<Cell<'a>>>,
    }
    let mut groups: BTreeMap<(&str, bool), Group<'_>> = BTreeMap::new();
    for change in last_of_each(changes).into_values() {
        let (table, cells) = cells(change);
        let group = groups.entry((table.name, removes(change)));
        group.or_insert(Group { table, rows: Vec::new() }).rows.push(cells);
    }
    for ((_, removes), group) in groups {
        let verb = if removes { Verb::Delete } else { Verb::Put };
        write(database, group.table, verb, &group.rows)?;
    }
    Ok(())
}

/// Folds changes into the base.
pub(crate) fn write_base<'a, D: Database>(
    database: &mut D,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<(), StoreError> {
    let (mut put, mut delete) = (Vec::new(), Vec::new());
    for (key, change) in last_of_each(changes) {
        let key = Cell::Owned(key.text());
        if removes(change) {
            delete.push(vec![key]);
        } else {
            put.push(vec![key, Cell::Owned(to_json(change))]);
        }
    }
    write(database, &BASE, Verb::Put, &put)?;
    write(database, &BASE, Verb::Delete, &delete)
}

fn to_json(change: &Change) -> String {
    serde_json::to_string(change).expect("a change is plain data")
}

/// A change from its JSON.
pub(crate) fn from_json(text: &str) -> Result<Change, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("a change: {error}")))
}

/// Text that must be there.
pub(crate) fn text(row: &dyn Row, column: usize) -> Result<String, StoreError> {
    row.text_or_null(column)?
        .ok_or_else(|| StoreError::Corrupt(format!("nothing in column {column}")))
}

/// A number that cannot be negative.
pub(crate) fn number(row: &dyn Row, column: usize) -> Result<u64, StoreError> {
    let number = row.int(column)?;
    u64::try_from(number)
        .map_err(|_| StoreError::Corrupt(format!("{number} in column {column} is negative")))
}

fn id(row: &dyn Row, column: usize) -> Result<Uuid, StoreError> {
    let text = text(row, column)?;
    Uuid::parse_str(&text).map_err(|_| StoreError::Corrupt(format!("{text:?} is no id")))
}

/// An event, in the columns of [`EVENTS`].
pub(crate) fn event(row: &dyn Row) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        revision: number(row, 0)?,
        at: Timestamp::from_micros(row.int(1)?),
        actor: text(row, 2)?,
        request: row.text_or_null(3)?,
        change: from_json(&text(row, 4)?)?,
    })
}

/// Reads all rows of all tables into a state.
pub(crate) fn read_rows<D: Database>(
    database: &mut D,
    state: &mut State,
) -> Result<(), StoreError> {
    type Reader = fn(&dyn Row) -> Result<Change, StoreError>;
    let tables: [(Table, Reader); 5] = [
        (OBJECTS, object),
        (OPERATIONS, operation),
        (STEPS, step),
        (OUTBOX, effect),
        (IDEMPOTENCY, idempotent),
    ];
    for (table, read) in tables {
        database.query(&table.select(), &[], &mut |row| {
            state.apply_change(&read(row)?);
            Ok(())
        })?;
    }
    Ok(())
}

fn object(row: &dyn Row) -> Result<Change, StoreError> {
    Ok(Change::Object(ObjectRow {
        kind: text(row, 0)?,
        id: id(row, 1)?,
        name: text(row, 2)?,
        generation: number(row, 3)?,
        body: text(row, 4)?,
    }))
}

fn operation(row: &dyn Row) -> Result<Change, StoreError> {
    Ok(Change::Operation(OperationRow {
        id: id(row, 0)?,
        kind: text(row, 1)?,
        target: id(row, 2)?,
        state: text(row, 3)?,
        body: text(row, 4)?,
    }))
}

fn step(row: &dyn Row) -> Result<Change, StoreError> {
    let index = number(row, 1)?;
    Ok(Change::Step(StepRow {
        operation: id(row, 0)?,
        index: u32::try_from(index)
            .map_err(|_| StoreError::Corrupt(format!("a step has the number {index}")))?,
        body: text(row, 2)?,
    }))
}

fn effect(row: &dyn Row) -> Result<Change, StoreError> {
    Ok(Change::EffectQueued(EffectRow {
        id: id(row, 0)?,
        target: id(row, 1)?,
        sequence: number(row, 2)?,
        body: text(row, 3)?,
    }))
}

fn idempotent(row: &dyn Row) -> Result<Change, StoreError> {
    Ok(Change::Idempotent(IdempotentRow {
        key: text(row, 0)?,
        digest: text(row, 1)?,
        reply: text(row, 2)?,
        expires: Timestamp::from_micros(row.int(3)?),
    }))
}
