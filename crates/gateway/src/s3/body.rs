//! How the content of a request is taken in: documents in memory, with a bound; bodies
//! of objects into a [`Sink`], which hashes, seals and stores them as they come.

use std::sync::Arc;

use bytes::Bytes;
use object::Body;
use object::entry::{Algorithm, Checksum, INLINE_BYTES};
use object::store::Intake;
use world::files::Directory;

use super::ask::{Ask, Gate, Shared, elsewhere};
use super::auth::{Content, Trailers};
use super::error::{Code, Failure, Outcome};
use super::xml;
use super::xml::Element;
use crate::checksum::{Digests, Expected, Sums, Wanted};
use crate::sealing::{BodyKey, Sealer, sealed_length};
use crate::step::{Answer, Framing, Receive, Step};

/// The longest document: 10,000 parts with checksums, or 1,000 long keys.
const DOCUMENT_BYTES: usize = 4 << 20;
/// The longest body in one request.
pub const MOST_BYTES: u64 = 5 << 30;

/// Refuses a body whose length nobody says.
fn framed(ask: &Ask) -> Outcome<()> {
    let known = ask.framing != Framing::None || ask.headers.has("content-length");
    if known { Ok(()) } else { Err(Code::MissingContentLength.into()) }
}

fn content(ask: &Ask) -> Outcome<(Content, Expected)> {
    let mut content = ask.content.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    content.take().ok_or_else(|| Code::InternalError.into())
}

/// The algorithm whose checksum comes with the content.
pub fn algorithm(ask: &Ask) -> Option<Algorithm> {
    let content = ask.content.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    content.as_ref().and_then(|(_, expected)| expected.algorithm())
}

/// Takes a document in and goes on with it, where waiting hurts nobody.
pub fn document(
    ask: &Shared,
    then: impl FnOnce(&Shared, Vec<u8>) -> Outcome<Step> + Send + 'static,
) -> Step {
    let begun = content(ask).map(|(content, expected)| {
        let digests = Digests::new(expected.wanted(false));
        Document { ask: Arc::clone(ask), content, expected, digests, bytes: Vec::new(), then }
    });
    match begun {
        Ok(document) => Step::Receive(Box::new(document)),
        Err(failure) => Step::Answer(ask.fail(*failure)),
    }
}

/// Takes an XML document in and goes on with it.
pub fn xml(
    ask: &Shared,
    then: impl FnOnce(&Shared, Element) -> Outcome<Step> + Send + 'static,
) -> Step {
    document(ask, |ask, bytes| {
        if bytes.is_empty() {
            return Err(Code::MissingRequestBodyError.into());
        }
        let root = xml::parse(&bytes).map_err(|_| Code::MalformedXML)?;
        then(ask, root)
    })
}

struct Document<F> {
    ask: Shared,
    content: Content,
    expected: Expected,
    digests: Digests,
    bytes: Vec<u8>,
    then: F,
}

impl<F: FnOnce(&Shared, Vec<u8>) -> Outcome<Step> + Send + 'static> Receive for Document<F> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Box<Answer>> {
        let (into, digests) = (&mut self.bytes, &mut self.digests);
        let taken = self.content.take::<Box<Failure>>(bytes, &mut |content| {
            if into.len() + content.len() > DOCUMENT_BYTES {
                return Err(Code::MaxMessageLengthExceeded.into());
            }
            digests.update(content);
            into.extend_from_slice(content);
            Ok(())
        });
        taken.map_err(|failure| closing(&self.ask, *failure))
    }

    fn end(self: Box<Self>) -> Step {
        let Self { ask, content, expected, digests, bytes, then } = *self;
        elsewhere(&ask, move |ask| {
            let trailers = content.end()?;
            expected.verify(&digests.finish(), &trailers)?;
            then(ask, bytes)
        })
    }
}

/// The answer to content that is not taken: the rest of it is not read.
fn closing(ask: &Ask, failure: Failure) -> Box<Answer> {
    Box::new(Answer { close: true, ..ask.fail(failure) })
}

/// A body that is stored, but not yet anybody's.
#[derive(Debug)]
pub struct Stored {
    /// Where it is.
    pub body: Body,
    /// Its content's length.
    pub size: u64,
    /// Its content's MD5.
    pub md5: [u8; 16],
    /// Its content's digests.
    pub sums: Sums,
    /// Its content's checksum, which is kept.
    pub checksum: Option<Checksum>,
}

/// Takes content: hashes, seals, stores.
pub struct Sink {
    gate: Arc<Gate>,
    digests: Digests,
    sealer: Option<Sealer>,
    sealed: Vec<u8>,
    inline: Vec<u8>,
    intake: Option<Intake<Directory>>,
    length: Option<u64>,
    /// Up to so many stored bytes go beside the attributes.
    inline_most: u64,
    size: u64,
}

impl Sink {
    /// Begins. `length`: the content's, when it is known.
    pub fn new(
        gate: &Arc<Gate>,
        key: Option<&BodyKey>,
        wanted: Wanted,
        length: Option<u64>,
    ) -> Self {
        let length =
            length.map(|length| if key.is_some() { sealed_length(length) } else { length });
        let intake = length.filter(|length| *length > INLINE_BYTES);
        Self {
            gate: Arc::clone(gate),
            digests: Digests::new(wanted),
            sealer: key.map(Sealer::new),
            sealed: Vec::new(),
            inline: Vec::new(),
            intake: intake.map(|length| gate.store.intake(Some(length))),
            length,
            inline_most: INLINE_BYTES,
            size: 0,
        }
    }

    /// However short it is, it goes into a segment: the parts of an upload do, because
    /// completing it moves them.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.inline_most = 0;
        self
    }

    /// Takes content.
    ///
    /// # Errors
    /// When it is too long, or cannot be stored.
    pub fn take(&mut self, content: &[u8]) -> Outcome<()> {
        self.size += content.len() as u64;
        if self.size > MOST_BYTES {
            let failure: Box<Failure> = Code::EntityTooLarge.into();
            return Err(failure.with("MaxSizeAllowed", MOST_BYTES.to_string()));
        }
        self.digests.update(content);
        match &mut self.sealer {
            None => self.store(content),
            Some(sealer) => {
                let mut sealed = std::mem::take(&mut self.sealed);
                sealer.take(content, &mut sealed);
                let stored = self.store(&sealed);
                sealed.clear();
                self.sealed = sealed;
                stored
            }
        }
    }

    fn store(&mut self, bytes: &[u8]) -> Outcome<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.intake.is_none() {
            if (self.inline.len() + bytes.len()) as u64 <= self.inline_most {
                if self.inline.is_empty() {
                    self.inline.reserve(self.length.unwrap_or(0).min(INLINE_BYTES) as usize);
                }
                self.inline.extend_from_slice(bytes);
                return Ok(());
            }
            let mut intake = self.gate.store.intake(self.length);
            if !self.inline.is_empty() {
                intake.write(&std::mem::take(&mut self.inline)).map_err(full)?;
            }
            self.intake = Some(intake);
        }
        let intake = self.intake.as_mut().ok_or(Code::InternalError)?;
        intake.write(bytes).map_err(full)
    }

    /// All of it came.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn finish(mut self) -> Outcome<Stored> {
        if let Some(sealer) = self.sealer.take() {
            let mut rest = Vec::new();
            sealer.finish(&mut rest);
            self.store(&rest)?;
        }
        let body = match self.intake {
            Some(intake) => Body::Extents(intake.finish().map_err(full)?),
            None if self.inline.is_empty() => Body::Empty,
            None => Body::Inline(Bytes::from(self.inline)),
        };
        let sums = self.digests.finish();
        let md5 = sums.md5.ok_or(Code::InternalError)?;
        Ok(Stored { body, size: self.size, md5, sums, checksum: None })
    }
}

impl Sink {
    /// All of it came, and is what was expected.
    ///
    /// # Errors
    /// When it is not, or cannot be stored. What was stored is given back then.
    pub fn verified(self, expected: &Expected, trailers: &Trailers) -> Outcome<Stored> {
        let gate = Arc::clone(&self.gate);
        let mut stored = self.finish()?;
        match expected.verify(&stored.sums, trailers) {
            Ok(checksum) => {
                stored.checksum = checksum;
                Ok(stored)
            }
            Err(error) => {
                discard(&gate, stored.body);
                Err(error.into())
            }
        }
    }
}

fn full(error: object::store::StoreError) -> Box<Failure> {
    match error {
        object::store::StoreError::Full => Code::InsufficientStorage.into(),
        other => other.into(),
    }
}

/// Takes the content of an object in.
///
/// # Errors
/// When the request does not say how long the content is, or contradicts itself.
pub fn upload(
    ask: &Shared,
    key: Option<&BodyKey>,
    then: impl FnOnce(&Shared, Stored) -> Outcome<Step> + Send + 'static,
) -> Outcome<Step> {
    take(ask, key, None, |sink| sink, then)
}

/// Takes the content of a part in. `algorithm`: the checksum that is kept when the
/// request does not say another.
///
/// # Errors
/// When the request does not say how long the content is, or contradicts itself.
pub fn part(
    ask: &Shared,
    key: Option<&BodyKey>,
    algorithm: Option<Algorithm>,
    then: impl FnOnce(&Shared, Stored) -> Outcome<Step> + Send + 'static,
) -> Outcome<Step> {
    take(ask, key, algorithm, Sink::apart, then)
}

fn take(
    ask: &Shared,
    key: Option<&BodyKey>,
    algorithm: Option<Algorithm>,
    place: fn(Sink) -> Sink,
    then: impl FnOnce(&Shared, Stored) -> Outcome<Step> + Send + 'static,
) -> Outcome<Step> {
    framed(ask)?;
    let (content, mut expected) = content(ask)?;
    if let Some(algorithm) = algorithm {
        expected = expected.or(algorithm);
    }
    let wanted = expected.wanted(true);
    if content.length().is_some_and(|length| length > MOST_BYTES) {
        let failure: Box<Failure> = Code::EntityTooLarge.into();
        return Err(failure.with("MaxSizeAllowed", MOST_BYTES.to_string()));
    }
    let sink = place(Sink::new(&ask.gate, key, wanted, content.length()));
    Ok(Step::Receive(Box::new(Upload { ask: Arc::clone(ask), content, expected, sink, then })))
}

struct Upload<F> {
    ask: Shared,
    content: Content,
    expected: Expected,
    sink: Sink,
    then: F,
}

impl<F: FnOnce(&Shared, Stored) -> Outcome<Step> + Send + 'static> Receive for Upload<F> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Box<Answer>> {
        let sink = &mut self.sink;
        let taken = self.content.take::<Box<Failure>>(bytes, &mut |content| sink.take(content));
        taken.map_err(|failure| closing(&self.ask, *failure))
    }

    fn end(self: Box<Self>) -> Step {
        let Self { ask, content, expected, sink, then } = *self;
        let verified = || sink.verified(&expected, &content.end()?);
        match verified() {
            Ok(stored) => ask.settle(then(&ask, stored)),
            // Where client and server see different content, its end may be in doubt too.
            Err(failure) => Step::Answer(*closing(&ask, *failure)),
        }
    }
}

/// Gives back a body that nobody wants.
pub fn discard(gate: &Gate, body: Body) {
    if let Body::Extents(extents) = body {
        gate.store.discard(extents);
    }
}
