//! Which replies are worth keeping: small objects, asked for with nothing said but the
//! name and who asks. While neither the key nor any bucket's configuration has changed,
//! the same bytes are the answer to the same account: what its policy said then, it says
//! now. Signatures are verified every time.

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
use crate::step::{Answer, Framing, Head, Keep, Plan, Proof, Step};

/// A request for an object that says nothing but its name, and maybe who asks.
pub struct Plain<'h> {
    host: &'h [u8],
    path: &'h str,
    /// It is signed in a header.
    pub signed: bool,
    /// It wants to be told the checksum.
    checksum: bool,
}

/// The longest name that a reply is kept under.
const NAME_BYTES: usize = 1024;

/// A name that a reply is kept under: everything that the answer depends on. It is made
/// for every request, so it takes no memory.
pub struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl std::ops::Deref for Name {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<'h> Plain<'h> {
    /// What a head says, when it is no more than that.
    pub fn of(head: &Head<'h>) -> Option<Self> {
        if head.method != "GET" || !head.query.is_empty() || head.framing != Framing::None {
            return None;
        }
        let mut plain = Self { host: b"", path: head.path, signed: false, checksum: false };
        // What is said of content that is not there matters to who signs it.
        let mut content = false;
        for (name, value) in head.headers {
            match telling(name) {
                Telling::Nothing => {}
                Telling::Host => plain.host = value,
                Telling::Signature if !plain.signed => plain.signed = true,
                Telling::Content => content = true,
                Telling::Checksum => plain.checksum = *value == b"ENABLED",
                Telling::More | Telling::Signature => return None,
            }
        }
        (plain.signed || !content).then_some(plain)
    }

    /// The name of the reply to this, when it is not too long.
    pub fn name(&self, principal: &Principal) -> Option<Name> {
        let (owner, account): (&str, &str) = match principal {
            Principal::Anonymous => ("", ""),
            Principal::Account { owner, name } => (&owner.0, name),
        };
        let flag: &[u8] = if self.checksum { b"c" } else { b"" };
        let pieces = [self.host, self.path.as_bytes(), flag, owner.as_bytes(), account.as_bytes()];
        let mut name = Name { bytes: [0; NAME_BYTES], length: 0 };
        for piece in pieces {
            // No field of a head has this byte, and no account.
            let end = name.length + piece.len() + 1;
            name.bytes.get_mut(name.length..end - 1)?.copy_from_slice(piece);
            *name.bytes.get_mut(end - 1)? = 0;
            name.length = end;
        }
        Some(name)
    }
}

/// What a header is about, for who asks whether its request is a plain one.
enum Telling {
    Nothing,
    Host,
    Signature,
    /// The content of the request.
    Content,
    /// The checksum of the object.
    Checksum,
    /// Something that changes what is answered.
    More,
}

fn telling(name: &str) -> Telling {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    // By length first: that tells nearly all of them apart.
    match name.len() {
        4 if is("host") => Telling::Host,
        5 if is("range") => Telling::More,
        6 if is("origin") => Telling::More,
        7 if is("referer") => Telling::More,
        8 if is("if-match") || is("if-range") => Telling::More,
        13 if is("authorization") => Telling::Signature,
        13 if is("if-none-match") => Telling::More,
        17 if is("if-modified-since") => Telling::More,
        19 if is("if-unmodified-since") => Telling::More,
        10 if is("x-amz-date") => Telling::Nothing,
        20 if is("x-amz-content-sha256") => Telling::Content,
        19 if is("x-amz-checksum-mode") => Telling::Checksum,
        _ if name.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("x-amz-")) => {
            Telling::More
        }
        _ => Telling::Nothing,
    }
}

/// A kept reply is still the answer.
pub fn holds(store: &Store<Directory>, proof: Proof) -> bool {
    proof.bucket_stamp == store.buckets_stamp() && proof.stamp == store.stamp_at(proof.place)
}

/// A number for an account, for sharing time out.
pub fn number(owner: &Owner) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
}

/// Carries a request out, and says when its answer is worth keeping under a name.
pub fn run(ask: &Arc<Ask>, name: Option<&Name>) -> Step {
    let Some((name, proof)) = name.and_then(|name| Some((name, proof(ask)?))) else {
        return ask.settle(operation::run(ask));
    };
    match ask.settle(operation::run(ask)) {
        Step::Answer(mut answer) if worth(&answer) => {
            // The mover gives each one a name of its own.
            answer.headers.retain(|(known, _)| known != REQUEST_ID);
            let stored = ask.stored.get().copied();
            Step::Keep(answer, Keep { name: name.to_vec().into(), proof, stored })
        }
        step => step,
    }
}

fn worth(answer: &Answer) -> bool {
    answer.status == 200 && matches!(answer.body, Plan::Bytes(_))
}

/// What makes an answer true; taken before anything of it is read. None when it
/// depends on more than the key and the bucket.
fn proof(ask: &Ask) -> Option<Proof> {
    if ask.operation != Operation::GetObject {
        return None;
    }
    let store = &ask.gate.store;
    let bucket_stamp = store.buckets_stamp();
    let bucket = store.bucket(&ask.bucket_name().ok()?)?;
    let statements = bucket.config.policy.iter().flat_map(|policy| &policy.statements);
    if statements.into_iter().any(|one| !one.conditions.is_empty()) {
        return None;
    }
    let place = store.stamp_place(bucket.id, &ask.key);
    Some(Proof { place, stamp: store.stamp_at(place), bucket_stamp })
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
