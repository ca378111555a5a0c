//! The contract of every store, as functions of a place where one lives. What
//! only one of them promises is tested in its own file.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use model::{Duration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use record::{
    Change, EffectRow, Fence, IdempotentRow, ObjectRow, OperationRow, Revision, State, StepRow,
    Store, StoreError, Transaction,
};
use uuid::Uuid;

/// Where a record lives: it can be opened any number of times, also at once.
pub trait Place: Send + Sync {
    fn open(&self) -> Box<dyn Store>;
}

/// Makes empty places.
pub trait Ground {
    fn place(&mut self) -> Arc<dyn Place>;
}

pub const TTL: Duration = Duration::from_secs(30);

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn lead(store: &mut dyn Store) -> Fence {
    store.acquire("leader", "one", at(0), TTL).unwrap().expect("nobody else leads")
}

pub fn object(number: u128, name: &str, body: &str) -> Change {
    let (kind, name, body) = ("machine".to_owned(), name.to_owned(), body.to_owned());
    Change::Object(ObjectRow { kind, id: id(number), name, generation: 1, body })
}

pub fn transaction(changes: Vec<Change>) -> Transaction {
    let request = Some("request".to_owned());
    Transaction { at: at(1), actor: "tester".to_owned(), request, changes }
}

/// A transaction with one object.
pub fn single(number: u128) -> Transaction {
    transaction(vec![object(number, &format!("m{number}"), "{}")])
}

fn commit(
    store: &mut dyn Store,
    fence: &Fence,
    state: &mut State,
    batch: &[Transaction],
) -> Result<(), StoreError> {
    let first = state.revision() + 1;
    store.commit(fence.clone(), first, batch)?;
    for transaction in batch {
        state.apply(state.revision() + 1, transaction);
    }
    Ok(())
}

/// One of every change, with awkward text in every field.
fn everything() -> Vec<Transaction> {
    let odd = "\"quoted\" \\ 'single' $1 ? ünï 🦀 \u{1} \n".to_owned();
    let operation = OperationRow {
        id: id(7),
        kind: "deploy".to_owned(),
        target: id(1),
        state: "running".to_owned(),
        body: odd.clone(),
    };
    let step = |index| Change::Step(StepRow { operation: id(7), index, body: odd.clone() });
    let effect = |number: u128, sequence| {
        let body = odd.clone();
        Change::EffectQueued(EffectRow { id: id(number), target: id(1), sequence, body })
    };
    let reply = |key: &str, expires| {
        let (digest, reply) = ("digest".to_owned(), odd.clone());
        Change::Idempotent(IdempotentRow { key: key.to_owned(), digest, reply, expires })
    };
    let mut none = transaction(vec![
        effect(20, 3),
        effect(21, u64::try_from(i64::MAX).unwrap()),
        effect(22, 0),
        Change::EffectSettled { id: id(20), outcome: odd.clone() },
        reply("a", at(-5)),
        reply("b", at(50)),
        Change::IdempotentForgotten { key: "b".to_owned() },
        reply("b", at(60)),
    ]);
    none.request = None;
    vec![
        transaction(vec![
            object(1, &odd, &odd),
            object(2, "two", ""),
            object(2, "renamed", "{}"),
            object(3, "three", "{}"),
            Change::ObjectRemoved { kind: "machine".to_owned(), id: id(3) },
            Change::ObjectRemoved { kind: "nothing".to_owned(), id: id(3) },
        ]),
        transaction(vec![]),
        transaction(vec![Change::Operation(operation), step(0), step(u32::MAX), step(0)]),
        none,
    ]
}

pub fn round_trip(ground: &mut dyn Ground) {
    let place = ground.place();
    let mut store = place.open();
    assert_eq!(store.load().unwrap(), State::new());
    let fence = lead(&mut *store);
    let mut state = State::new();
    commit(&mut *store, &fence, &mut state, &everything()).unwrap();

    let loaded = place.open().load().unwrap();
    assert_eq!(loaded, state);
    assert_eq!(loaded.hash(), state.hash());
    assert_eq!(loaded.revision(), 18);
    assert!(loaded.object_named("machine", "two").is_none());
    assert_eq!(loaded.object_named("machine", "renamed").unwrap().id, id(2));
    assert_eq!(loaded.objects("machine").map(|row| row.id).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(loaded.steps(id(7)).map(|row| row.index).collect::<Vec<_>>(), [0, u32::MAX]);
    let queue: Vec<_> = loaded.outbox_of(id(1)).map(|row| row.id).collect();
    assert_eq!(queue, [id(22), id(21)]);
    assert_eq!(store.replay().unwrap(), state);
}

pub fn events_are_the_changes(ground: &mut dyn Ground) {
    let mut store = ground.place().open();
    let fence = lead(&mut *store);
    store.commit(fence, 1, &everything()).unwrap();
    let events = store.events(0, 1_000).unwrap();
    let mut expected = Vec::new();
    for transaction in everything() {
        for change in transaction.changes {
            let revision = expected.len() as Revision + 1;
            let shared = (transaction.at, transaction.actor.clone(), transaction.request.clone());
            expected.push((revision, shared, change));
        }
    }
    let got: Vec<_> = events
        .into_iter()
        .map(|event| (event.revision, (event.at, event.actor, event.request), event.change))
        .collect();
    assert_eq!(got, expected);
}

pub fn all_or_nothing(ground: &mut dyn Ground) {
    let place = ground.place();
    let mut store = place.open();
    let fence = lead(&mut *store);
    let mut large = object(2, "large", "{}");
    if let Change::Object(row) = &mut large {
        row.generation = u64::MAX;
    }
    for bad in [object(2, "zero\0byte", "{}"), large] {
        let batch = [single(1), transaction(vec![object(3, "three", "{}"), bad]), single(4)];
        let refused = store.commit(fence.clone(), 1, &batch).unwrap_err();
        assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
        assert!(!refused.outcome_unknown());
        assert_eq!(store.load().unwrap(), State::new());
        assert_eq!(store.events(0, 10).unwrap(), []);
    }
    store.commit(fence, 1, &[single(1)]).unwrap();
    assert_eq!(place.open().load().unwrap().revision(), 1);
}

pub fn empty_batches_change_nothing(ground: &mut dyn Ground) {
    let mut store = ground.place().open();
    let fence = lead(&mut *store);
    store.commit(fence.clone(), 1, &[]).unwrap();
    store.commit(fence.clone(), 1, &[transaction(vec![])]).unwrap();
    store.commit(fence.clone(), 1, &[single(1)]).unwrap();
    store.commit(fence, 2, &[]).unwrap();
    assert_eq!(store.load().unwrap().revision(), 1);
}

pub fn an_old_leader_is_fenced(ground: &mut dyn Ground) {
    let place = ground.place();
    let (mut old, mut new) = (place.open(), place.open());
    let first = lead(&mut *old);
    old.commit(first.clone(), 1, &[single(1)]).unwrap();
    let second = new.acquire("leader", "two", at(30), TTL).unwrap().expect("it has expired");
    assert!(second.number > first.number);

    let refused = old.commit(first.clone(), 2, &[single(2)]).unwrap_err();
    assert!(
        matches!(refused, StoreError::Fenced { ours: 1, newest: 2, .. }),
        "an old leader wrote: {refused}"
    );
    assert!(!refused.outcome_unknown());
    new.commit(second, 2, &[single(3)]).unwrap();
    let state = old.load().unwrap();
    assert!(state.object("machine", id(2)).is_none());
    assert!(state.object("machine", id(3)).is_some());

    let never = Fence { name: "never".to_owned(), holder: "one".to_owned(), number: 1 };
    let refused = old.commit(never, 3, &[single(4)]).unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { newest: 0, .. }), "{refused}");
}

pub fn leases_pass_from_hand_to_hand(ground: &mut dyn Ground) {
    let place = ground.place();
    let (mut one, mut two) = (place.open(), place.open());
    let first = one.acquire("leader", "one", at(0), TTL).unwrap().unwrap();
    assert_eq!(two.acquire("leader", "two", at(29), TTL).unwrap(), None);
    assert!(two.acquire("other", "two", at(0), TTL).unwrap().is_some());
    assert!(one.renew(&first, at(20), TTL).unwrap());
    assert_eq!(two.acquire("leader", "two", at(49), TTL).unwrap(), None);

    let second = two.acquire("leader", "two", at(50), TTL).unwrap().expect("expired");
    assert!(!one.renew(&first, at(50), TTL).unwrap(), "a lost lease was renewed");
    one.release(&first).unwrap();
    assert_eq!(one.acquire("leader", "one", at(51), TTL).unwrap(), None, "another's was released");

    two.release(&second).unwrap();
    assert!(!two.renew(&second, at(52), TTL).unwrap(), "a released lease was renewed");
    let refused = two.commit(second.clone(), 1, &[single(1)]).unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
    let third = one.acquire("leader", "one", at(52), TTL).unwrap().expect("it is free");
    // The same holder after a restart need not wait, but its former life is fenced.
    let fourth = one.acquire("leader", "one", at(53), TTL).unwrap().expect("it is ours");
    let numbers = [first.number, second.number, third.number, fourth.number];
    assert_eq!(numbers, [1, 2, 3, 4]);
    let refused = one.commit(third, 1, &[single(1)]).unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { ours: 3, newest: 4, .. }), "{refused}");
}

pub fn a_diverged_revision_is_refused(ground: &mut dyn Ground) {
    let mut store = ground.place().open();
    let fence = lead(&mut *store);
    store.commit(fence.clone(), 1, &[single(1), single(2)]).unwrap();
    for first in [0, 1, 2, 4, u64::MAX] {
        let refused = store.commit(fence.clone(), first, &[single(9)]).unwrap_err();
        assert!(matches!(refused, StoreError::Diverged { stored: 2, .. }), "{first}: {refused}");
    }
    store.commit(fence, 3, &[single(3)]).unwrap();
    assert_eq!(store.load().unwrap().revision(), 3);
}

/// Two threads of one leader that lost count: each revision is written once.
pub fn writers_come_one_after_the_other(ground: &mut dyn Ground) {
    let place = ground.place();
    let fence = lead(&mut *place.open());
    let won: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u128)
            .map(|writer| {
                let (place, fence) = (&place, fence.clone());
                scope.spawn(move || {
                    let mut store = place.open();
                    let mut won = 0;
                    for revision in 1..=20 {
                        let batch = [single(writer * 100 + u128::from(revision))];
                        match store.commit(fence.clone(), revision, &batch) {
                            Ok(()) => won += 1,
                            Err(StoreError::Diverged { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    won
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let mut store = place.open();
    let state = store.load().unwrap();
    assert_eq!(state.revision(), won as u64);
    assert_eq!(state.object_count("machine"), won);
    assert_eq!(store.replay().unwrap(), state);
}

pub fn a_watch_resumes_without_a_gap(ground: &mut dyn Ground) {
    let place = ground.place();
    let (mut leader, mut follower) = (place.open(), place.open());
    let fence = lead(&mut *leader);
    let mut next = 1;
    let mut seen = State::new();
    for round in 0..12_u128 {
        let batch: Vec<_> = (0..round).map(|n| single(round * 100 + n)).collect();
        leader.commit(fence.clone(), next, &batch).unwrap();
        next += batch.len() as u64;
        for event in follower.events(seen.revision(), 4).unwrap() {
            seen.apply_event(event.revision, &event.change);
        }
    }
    while seen.revision() + 1 < next {
        let page = follower.events(seen.revision(), 4).unwrap();
        assert!((1..=4).contains(&page.len()));
        for event in page {
            seen.apply_event(event.revision, &event.change);
        }
    }
    assert_eq!(seen, leader.load().unwrap());
    assert_eq!(follower.events(seen.revision(), 4).unwrap(), []);
    assert_eq!(follower.events(0, 0).unwrap(), []);
    let refused = follower.events(seen.revision() + 1, 4).unwrap_err();
    assert!(matches!(refused, StoreError::Diverged { .. }), "{refused}");
}

pub fn pruning_keeps_the_fold_whole(ground: &mut dyn Ground) {
    let place = ground.place();
    let mut store = place.open();
    let fence = lead(&mut *store);
    let mut state = State::new();
    commit(&mut *store, &fence, &mut state, &everything()).unwrap();
    for keep_after in [0, 1, 9, 5] {
        store.prune(keep_after).unwrap();
        assert_eq!(store.load().unwrap(), state);
        assert_eq!(store.replay().unwrap(), state);
    }
    let refused = store.events(8, 10).unwrap_err();
    assert!(matches!(refused, StoreError::Pruned { kept: 9 }), "{refused}");
    let revisions: Vec<_> =
        store.events(9, 100).unwrap().iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (10..=18).collect::<Vec<_>>());

    let gone = Change::ObjectRemoved { kind: "machine".to_owned(), id: id(1) };
    commit(&mut *store, &fence, &mut state, &[transaction(vec![gone]), single(5)]).unwrap();
    store.prune(u64::MAX).unwrap();
    assert_eq!(store.events(20, 10).unwrap(), []);
    commit(&mut *store, &fence, &mut state, &[single(6)]).unwrap();
    let mut again = place.open();
    assert_eq!(again.replay().unwrap(), state);
    assert_eq!(again.load().unwrap(), state);
}

pub fn pruning_many_events_takes_several_rounds(ground: &mut dyn Ground) {
    let mut store = ground.place().open();
    let fence = lead(&mut *store);
    let mut state = State::new();
    for round in 0..5_u128 {
        let batch: Vec<_> = (0..1_000).map(|n| single(round * 500 + n)).collect();
        commit(&mut *store, &fence, &mut state, &batch).unwrap();
    }
    store.prune(4_321).unwrap();
    assert_eq!(store.events(4_321, 1_000).unwrap().len(), 679);
    assert_eq!(store.replay().unwrap(), state);
}

pub fn opening_again_changes_nothing(ground: &mut dyn Ground) {
    let place = ground.place();
    let mut state = State::new();
    for number in 0..5 {
        let mut store = place.open();
        let fence = lead(&mut *store);
        assert_eq!(fence.number, number + 1, "the number of the lease went back");
        assert_eq!(store.load().unwrap(), state);
        let batch = [single(u128::from(number))];
        commit(&mut *store, &fence, &mut state, &batch).unwrap();
    }
}

pub fn replies_are_remembered_until_forgotten(ground: &mut dyn Ground) {
    let place = ground.place();
    let mut store = place.open();
    let fence = lead(&mut *store);
    let mut state = State::new();
    let row = |key: &str, reply: &str, expires| IdempotentRow {
        key: key.to_owned(),
        digest: "d".to_owned(),
        reply: reply.to_owned(),
        expires: at(expires),
    };
    let rows = [row("a", "1", 30), row("b", "2", 10), row("c", "3", 20), row("a", "4", 5)];
    let changes = rows.iter().cloned().map(Change::Idempotent).collect();
    commit(&mut *store, &fence, &mut state, &[transaction(changes)]).unwrap();
    let mut loaded = place.open().load().unwrap();
    assert_eq!(loaded.idempotent("a"), Some(&rows[3]));
    assert_eq!(loaded.expired(at(10)).collect::<Vec<_>>(), ["a", "b"]);
    let forget = loaded
        .expired(at(10))
        .map(|key| Change::IdempotentForgotten { key: key.to_owned() })
        .collect();
    commit(&mut *store, &fence, &mut loaded, &[transaction(forget)]).unwrap();
    assert_eq!(loaded.idempotents().collect::<Vec<_>>(), [&rows[2]]);
    assert_eq!(place.open().load().unwrap(), loaded);
}

/// Few ids and names, so that rows are replaced, renamed, removed and come back.
fn any_change() -> impl Strategy<Value = Change> {
    let few = || (0..4_u128).prop_map(id);
    let word = || prop::sample::select(vec!["a", "b", "a/b", ""]).prop_map(str::to_owned);
    let text = || "[^\0]{0,12}".prop_map(String::from);
    prop_oneof![
        4 => (word(), few(), word(), 0..9_u64, text()).prop_map(
            |(kind, id, name, generation, body)| Change::Object(ObjectRow {
                kind, id, name, generation, body
            })
        ),
        1 => (word(), few()).prop_map(|(kind, id)| Change::ObjectRemoved { kind, id }),
        2 => (few(), word(), few(), word(), text()).prop_map(|(id, kind, target, state, body)| {
            Change::Operation(OperationRow { id, kind, target, state, body })
        }),
        2 => (few(), 0..3_u32, text())
            .prop_map(|(operation, index, body)| Change::Step(StepRow { operation, index, body })),
        3 => (few(), few(), 0..5_u64, text()).prop_map(|(id, target, sequence, body)| {
            Change::EffectQueued(EffectRow { id, target, sequence, body })
        }),
        2 => (few(), text()).prop_map(|(id, outcome)| Change::EffectSettled { id, outcome }),
        3 => (word(), text(), text(), -3..3_i64).prop_map(|(key, digest, reply, expires)| {
            Change::Idempotent(IdempotentRow { key, digest, reply, expires: at(expires) })
        }),
        1 => word().prop_map(|key| Change::IdempotentForgotten { key }),
        1 => few().prop_map(|id| Change::OperationForgotten { id }),
        1 => (few(), 0..3_u32)
            .prop_map(|(operation, index)| Change::StepForgotten { operation, index }),
    ]
}

fn any_transaction(changes: Range<usize>) -> impl Strategy<Value = Transaction> {
    let changes = prop::collection::vec(any_change(), changes);
    (any::<i64>(), "[^\0]{0,6}", prop::option::of("[^\0]{0,6}"), changes).prop_map(
        |(at, actor, request, changes)| Transaction {
            at: Timestamp::from_micros(at),
            actor,
            request,
            changes,
        },
    )
}

/// Batches of transactions, and after some of them a place to prune to.
fn any_history() -> impl Strategy<Value = Vec<(Vec<Transaction>, Option<Revision>)>> {
    let batch = prop::collection::vec(any_transaction(0..5), 0..5);
    prop::collection::vec((batch, prop::option::of(0..40_u64)), 1..7)
}

pub fn any_history_folds_to_its_tables(ground: &mut dyn Ground) {
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let ground = std::cell::RefCell::new(ground);
    runner
        .run(&any_history(), |history| {
            let place = ground.borrow_mut().place();
            let mut store = place.open();
            let fence = lead(&mut *store);
            let mut state = State::new();
            let mut kept = 0;
            for (batch, prune) in history {
                commit(&mut *store, &fence, &mut state, &batch).unwrap();
                if let Some(to) = prune {
                    store.prune(to).unwrap();
                    kept = kept.max(to.min(state.revision()));
                }
                prop_assert_eq!(&store.load().unwrap(), &state);
                prop_assert_eq!(&store.replay().unwrap(), &state);
                let tail = store.events(kept, u32::MAX).unwrap();
                prop_assert_eq!(tail.len() as u64, state.revision() - kept);
            }
            prop_assert_eq!(place.open().load().unwrap().hash(), state.hash());
            Ok(())
        })
        .unwrap();
}

/// Every test of the contract by its name.
macro_rules! contract {
    ($with:ident) => {
        $with!(
            round_trip,
            events_are_the_changes,
            all_or_nothing,
            empty_batches_change_nothing,
            an_old_leader_is_fenced,
            leases_pass_from_hand_to_hand,
            a_diverged_revision_is_refused,
            writers_come_one_after_the_other,
            a_watch_resumes_without_a_gap,
            pruning_keeps_the_fold_whole,
            pruning_many_events_takes_several_rounds,
            opening_again_changes_nothing,
            replies_are_remembered_until_forgotten,
            any_history_folds_to_its_tables
        );
    };
}
pub(crate) use contract;
