//! Which replies are worth keeping: small objects that anybody may read, asked for by
//! nobody in particular with nothing said but the name. While neither the key nor any
//! bucket's configuration has changed, the same bytes are the answer.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use object::Owner;
use object::access::Principal;
use object::store::Store;
use world::files::Directory;

use super::REQUEST_ID;
use super::ask::Ask;
use super::operation;
use super::route::Operation;
use crate::step::{Answer, Head, Keep, Plan, Proof, Step};

/// Headers that change what is answered, or who asks.
const TELLING: [&str; 9] = [
    "authorization",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "origin",
    "referer",
];

/// The name that a reply to this request is kept under, when it may be.
pub fn name(head: &Head<'_>) -> Option<Box<[u8]>> {
    if head.method != "GET" || !head.query.is_empty() {
        return None;
    }
    let mut host: &[u8] = b"";
    for (name, value) in head.headers {
        if name.eq_ignore_ascii_case("host") {
            host = value;
        } else if telling(name) {
            return None;
        }
    }
    let mut kept = Vec::with_capacity(host.len() + 1 + head.path.len());
    kept.extend_from_slice(host);
    kept.push(0);
    kept.extend_from_slice(head.path.as_bytes());
    Some(kept.into())
}

/// A header that changes what is answered, or who asks.
fn telling(name: &str) -> bool {
    name.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("x-amz-"))
        || TELLING.iter().any(|telling| name.eq_ignore_ascii_case(telling))
}

/// A kept reply is still the answer.
pub fn holds(store: &Store<Directory>, proof: &Proof) -> bool {
    proof.bucket_stamp == store.buckets_stamp()
        && proof.stamp == store.stamp(proof.bucket, &proof.key)
}

/// A number for an account, for sharing time out.
pub fn number(owner: &Owner) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
}

/// Carries a request out, and says when its answer is worth keeping.
pub fn run(ask: &Arc<Ask>, head: &Head<'_>) -> Step {
    let proof = proof(ask);
    let step = ask.settle(operation::run(ask));
    match (step, proof) {
        (Step::Answer(mut answer), Some(proof)) if worth(&answer) => match name(head) {
            Some(name) => {
                // The mover gives each one a name of its own.
                answer.headers.retain(|(known, _)| known != REQUEST_ID);
                Step::Keep(answer, Keep { name, proof })
            }
            None => Step::Answer(answer),
        },
        (step, _) => step,
    }
}

fn worth(answer: &Answer) -> bool {
    answer.status == 200 && matches!(answer.body, Plan::Bytes(_))
}

/// What makes an answer true; taken before anything of it is read. None when it
/// depends on more than the key and the bucket.
fn proof(ask: &Ask) -> Option<Proof> {
    if ask.operation != Operation::GetObject
        || *ask.caller() != Principal::Anonymous
        || !ask.query.none()
    {
        return None;
    }
    let store = &ask.gate.store;
    let bucket_stamp = store.buckets_stamp();
    let bucket = store.snapshot().bucket(&ask.bucket_name().ok()?)?;
    let statements = bucket.config.policy.iter().flat_map(|policy| &policy.statements);
    if statements.into_iter().any(|one| !one.conditions.is_empty()) {
        return None;
    }
    let stamp = store.stamp(bucket.id, &ask.key);
    Some(Proof { bucket: bucket.id, key: ask.key.as_str().into(), stamp, bucket_stamp })
}
