//! One request, with everything that an operation needs to know of it, owned: steps
//! outlive the head that they began with.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use model::Timestamp;
use object::access::Principal;
use object::bucket::Bucket;
use object::mutation::Which;
use object::store::{Snapshot, Store};
use object::{BucketName, Key, Mutation, Owner, Reply};
use world::clock::Clock;
use world::files::Directory;

use super::auth::Authenticated;
use super::error::{Code, Failure, Outcome};
use super::fields::Fields;
use super::route::Operation;
use crate::accounts::Accounts;
use crate::checksum::Expected;
use crate::sealing::KeyProvider;
use crate::step::{Answer, Framing, Peer, Plan, Step, Stored};

/// What all requests share.
pub struct Gate {
    /// Where objects are.
    pub store: Arc<Store<Directory>>,
    /// Who may sign.
    pub accounts: Arc<Accounts>,
    /// What wraps the keys of bodies.
    pub keys: Arc<KeyProvider>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What an administrator says.
    pub settings: Settings,
}

/// What an administrator says about the dialect.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The region, and which signatures are taken.
    pub auth: super::auth::Settings,
    /// Names under which buckets are hosts.
    pub domains: Vec<String>,
}

impl Settings {
    /// The region's name.
    pub fn region(&self) -> &str {
        &self.auth.region
    }
}

/// One request.
pub struct Ask {
    /// What all share.
    pub gate: Arc<Gate>,
    /// What it is.
    pub operation: Operation,
    /// The bucket's name, as it came.
    pub bucket: String,
    /// The key, as it came.
    pub key: String,
    /// The query, decoded.
    pub query: Fields,
    /// The headers, by lower-case name.
    pub headers: Fields,
    /// How the body is framed.
    pub framing: Framing,
    /// The answer has no content (HEAD).
    pub bare: bool,
    /// The query, as it came.
    pub raw_query: String,
    /// Who asks.
    pub sender: Authenticated,
    /// When it came.
    pub now: Timestamp,
    /// Its name.
    pub id: String,
    /// From where.
    pub peer: Peer,
    /// How the body is verified; taken by who receives it.
    pub content: Mutex<Option<(super::auth::Content, Expected)>>,
    /// A form that is about to come.
    pub form: Mutex<Option<super::auth::FormParser>>,
    /// Where the answer's content is stored, when that is all of a small object.
    pub stored: OnceLock<Stored>,
    /// Headers that let a page of another origin see the answer.
    pub cors: super::cors::Headers,
}

/// A request that is passed on from step to step.
pub type Shared = Arc<Ask>;

impl Ask {
    /// Who asks.
    pub fn caller(&self) -> &Principal {
        self.sender.principal()
    }

    /// The bucket that is asked for, when it is there and whose it should be.
    ///
    /// # Errors
    /// When it is not.
    pub fn bucket(&self, snapshot: &Snapshot<'_>) -> Outcome<Arc<Bucket>> {
        let bucket = snapshot.bucket(&self.bucket_name()?).ok_or_else(|| self.no_bucket())?;
        match self.headers.get("x-amz-expected-bucket-owner") {
            Some(owner) if *owner != *bucket.owner.0 => Err(Code::AccessDenied.into()),
            _ => Ok(bucket),
        }
    }

    fn no_bucket(&self) -> Box<Failure> {
        let failure: Box<Failure> = Code::NoSuchBucket.into();
        failure.with("BucketName", self.bucket.clone())
    }

    /// The bucket's name.
    ///
    /// # Errors
    /// When no bucket may be called so.
    pub fn bucket_name(&self) -> Outcome<BucketName> {
        BucketName::new(&self.bucket).map_err(|_| Code::InvalidBucketName.into())
    }

    /// The key.
    ///
    /// # Errors
    /// When it is too long.
    pub fn key(&self) -> Outcome<Key> {
        Key::new(&self.key).map_err(|_| Code::KeyTooLongError.into())
    }

    /// The version that is asked for; none when the query does not say.
    ///
    /// # Errors
    /// When it is no name of a version.
    pub fn which(&self) -> Outcome<Option<Which>> {
        super::header::which(self.query.get("versionId"))
    }

    /// A header's value, when there is one and it is not empty.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.filled(name)
    }

    /// Whose the things are that this request makes.
    ///
    /// # Errors
    /// When nobody in particular asks.
    pub fn owner(&self) -> Outcome<Owner> {
        match self.caller() {
            Principal::Account { owner, .. } => Ok(owner.clone()),
            Principal::Anonymous => Err(Code::AccessDenied.into()),
        }
    }

    /// Whose the things are that this request makes, anonymous ones too.
    pub fn maker(&self) -> Owner {
        match self.caller() {
            Principal::Account { owner, .. } => owner.clone(),
            Principal::Anonymous => Owner("anonymous".into()),
        }
    }

    /// What people call an owner.
    pub fn display(&self, owner: &Owner) -> String {
        let accounts = self.gate.accounts.snapshot();
        accounts.owner(owner).map_or_else(|| owner.0.to_string(), |known| known.display.to_string())
    }

    /// Begins an answer.
    pub fn say(&self, status: u16) -> Say {
        let mut headers: Vec<(Cow<'static, str>, Cow<'static, str>)> = Vec::with_capacity(12);
        headers.push((super::REQUEST_ID.into(), self.id.clone().into()));
        headers.push(("x-amz-id-2".into(), super::HOST_ID.into()));
        headers.extend(self.cors.iter().cloned());
        Say(Answer { status, headers, body: Plan::Empty, close: false })
    }

    /// The answer for what is not done.
    pub fn fail(&self, failure: Failure) -> Answer {
        let resource = match self.key.as_str() {
            "" => format!("/{}", self.bucket),
            key => format!("/{}/{key}", self.bucket),
        };
        let mut answer = failure.answer(&resource, &self.id, self.bare);
        answer.headers.extend(self.cors.iter().cloned());
        answer
    }

    /// The step for what an operation came to.
    pub fn settle(&self, outcome: Outcome<Step>) -> Step {
        outcome.unwrap_or_else(|failure| Step::Answer(self.fail(*failure)))
    }
}

/// Makes a change and goes on with what was done.
pub fn commit(
    ask: &Shared,
    mutation: Mutation,
    then: impl FnOnce(&Shared, Reply) -> Outcome<Step> + Send + 'static,
) -> Step {
    let ask = Arc::clone(ask);
    let after = move |result: Result<Reply, object::Refusal>| {
        ask.settle(result.map_err(Box::<Failure>::from).and_then(|reply| then(&ask, reply)))
    };
    Step::Commit(Box::new(mutation), Box::new(after))
}

/// Goes on where waiting hurts nobody.
pub fn elsewhere(
    ask: &Shared,
    work: impl FnOnce(&Shared) -> Outcome<Step> + Send + 'static,
) -> Step {
    let ask = Arc::clone(ask);
    Step::Elsewhere(Box::new(move || ask.settle(work(&ask))))
}

/// An answer that is being made.
pub struct Say(Answer);

impl Say {
    /// With a header.
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// With a header, when there is a value.
    pub fn maybe(self, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// With these headers.
    pub fn headers(mut self, more: Vec<(Cow<'static, str>, Cow<'static, str>)>) -> Self {
        self.0.headers.extend(more);
        self
    }

    /// With a document.
    pub fn xml(self, document: String) -> Outcome<Step> {
        self.header("Content-Type", "application/xml").body(Plan::Bytes(Bytes::from(document)))
    }

    /// With content.
    pub fn body(mut self, body: Plan) -> Outcome<Step> {
        self.0.body = body;
        Ok(Step::Answer(self.0))
    }

    /// With nothing more.
    pub fn empty(self) -> Outcome<Step> {
        Ok(Step::Answer(self.0))
    }
}
