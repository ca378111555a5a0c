//! What all clients share: the keys with their histories, the time, and whether the
//! gateway may be silent now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::body::Stamp;
use super::client::{Account, Answer, Client, Request};
use super::history::{History, Moment, Seen, Wrong};

/// The bucket of objects without versions…
pub const PLAIN: &str = "plain";
/// …with versions…
pub const KEPT: &str = "kept";
/// …of objects that are made once…
pub const RACES: &str = "races";
/// …and of those that are copied from.
pub const SOURCES: &str = "sources";
/// Keys in the first of them, and in the second.
const KEYS: (usize, usize) = (96, 32);
/// Words about what is wrong that are kept.
const TOLD: usize = 20;

/// A version, by its name in the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// It was acknowledged, and must be there.
    There(u64),
    /// Somebody deletes it, or did without an answer.
    Going,
    /// It was deleted.
    Gone,
}

/// A key.
pub struct Key {
    /// Its bucket.
    pub bucket: &'static str,
    /// Its name.
    pub name: String,
    /// What was done to it.
    pub history: Mutex<History>,
    /// Its versions.
    pub versions: Mutex<BTreeMap<String, Version>>,
}

impl Key {
    /// Nothing was done to it yet.
    pub fn new(bucket: &'static str, name: String) -> Arc<Self> {
        let (history, versions) = (Mutex::default(), Mutex::default());
        Arc::new(Self { bucket, name, history, versions })
    }

    /// What was done to it.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its versions.
    pub fn versions(&self) -> MutexGuard<'_, BTreeMap<String, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Seens {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Answers of all kinds.
    pub answers: u64,
    /// Reads that missed something acknowledged.
    pub lost: u64,
    /// Bodies that were not what their object says it is.
    pub wrong_bytes: u64,
    /// What nobody wrote, what came back, two winners, lists that disagree.
    pub strange: u64,
    /// Requests that failed while nothing was killed.
    pub errors: u64,
    /// In words; the first of them.
    pub told: Vec<String>,
}

/// What all share.
pub struct Site {
    /// Keys that are written all the while.
    pub keys: Vec<Arc<Key>>,
    /// Keys that were made once, the latest last.
    pub races: Mutex<Vec<Arc<Key>>>,
    /// What can be copied.
    pub sources: Mutex<Vec<(String, Stamp)>>,
    /// Who asks, and whom.
    pub account: Account,
    /// Clients wait.
    pub paused: AtomicBool,
    /// Clients end.
    pub over: AtomicBool,
    /// It is killed, or was, and does not serve yet.
    pub down: AtomicBool,
    /// How often it was killed.
    pub era: AtomicU64,
    numbers: AtomicU64,
    began: Instant,
    seen: Mutex<Seens>,
}

/// Names that some stores stumble over.
const ODD: [&str; 8] =
    ["../up", "a//b", "/first", "é\u{301} \u{1F600}", "a+b c%20", "dir/", "q?x=1&y", "index"];

impl Site {
    /// Nothing was done yet.
    pub fn new(account: Account) -> Self {
        let plain = (0..KEYS.0).map(|number| match ODD.get(number) {
            Some(odd) => (*odd).to_owned(),
            None => format!("k/{:02}/{number}", number % 7),
        });
        let plain = plain.map(|name| Key::new(PLAIN, name));
        let kept = (0..KEYS.1).map(|number| Key::new(KEPT, format!("v{number}")));
        Self {
            keys: plain.chain(kept).collect(),
            races: Mutex::default(),
            sources: Mutex::default(),
            account,
            paused: AtomicBool::new(false),
            over: AtomicBool::new(false),
            down: AtomicBool::new(false),
            era: AtomicU64::new(0),
            numbers: AtomicU64::new(1),
            began: Instant::now(),
            seen: Mutex::default(),
        }
    }

    /// A number that no other write has.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.began.elapsed().as_nanos() as Moment
    }

    /// What was counted.
    pub fn seen(&self) -> MutexGuard<'_, Seens> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something is wrong.
    pub fn tell(&self, what: String) {
        let mut seen = self.seen();
        if seen.told.len() < TOLD {
            seen.told.push(format!("{:.3} s: {what}", self.began.elapsed().as_secs_f64()));
        }
    }

    /// Something was wrong with a request while nothing was killed.
    pub fn error(&self, what: String) {
        self.seen().errors += 1;
        self.tell(what);
    }

    /// Something is there that cannot be.
    pub fn strange(&self, what: String) {
        self.seen().strange += 1;
        self.tell(what);
    }

    /// Judges what was read of a key between these moments.
    pub fn judge(&self, key: &Key, seen: Seen, during: (Moment, Moment)) {
        let judged = key.history().read(seen, during);
        let what = || format!("{}/{}: {seen:?} during {during:?}", key.bucket, key.name);
        match judged {
            Ok(()) => {}
            Err(Wrong::Lost) => {
                self.seen().lost += 1;
                self.tell(format!("lost: {}, of {:?}", what(), key.history()));
            }
            Err(Wrong::Strange) => self.strange(format!("strange: {}", what())),
        }
    }

    /// Judges an object that was read. Its number, when it is whole.
    pub fn body(&self, key: &Key, answer: &Answer) -> Option<(u64, Stamp)> {
        let number = answer.field("x-amz-meta-number").and_then(|number| number.parse().ok());
        let stamp = answer.field("x-amz-meta-stamp").and_then(Stamp::read);
        match (number, stamp) {
            (Some(number), Some(stamp)) if stamp.is(&answer.body) => Some((number, stamp)),
            other => {
                self.seen().wrong_bytes += 1;
                let (bucket, name, length) = (key.bucket, &key.name, answer.body.len());
                self.tell(format!("wrong bytes: {bucket}/{name}: {length} bytes of {other:?}"));
                None
            }
        }
    }
}

/// A client that knows when silence is excused.
pub struct Guest<'s> {
    /// What all share.
    pub site: &'s Site,
    client: Client,
    era: u64,
}

impl<'s> Guest<'s> {
    /// Without a connection.
    pub fn new(site: &'s Site) -> Self {
        Self { site, client: Client::new(site.account.clone()), era: 0 }
    }

    /// Asks. None: nobody answered, or not with what can be.
    pub fn ask(&mut self, request: &Request<'_>) -> Option<Answer> {
        let now = || self.site.era.load(Ordering::Acquire);
        if !self.client.connected() {
            self.era = now();
        }
        let answer = self.client.ask(request);
        let excused = self.site.down.load(Ordering::Acquire) || self.era != now();
        let wrong = match answer {
            Ok(answer) if answer.status < 500 => {
                self.site.seen().answers += 1;
                return Some(answer);
            }
            Ok(answer) => format!("{}: {}", answer.status, answer.text()),
            Err(error) => error.to_string(),
        };
        if !excused {
            let Request { method, bucket, key, .. } = request;
            self.site.error(format!("{method} {bucket}/{key}: {wrong}"));
        }
        std::thread::sleep(Duration::from_millis(2));
        None
    }

    /// The same until there is an answer: of what can be asked twice.
    pub fn insist(&mut self, request: &Request<'_>) -> Option<Answer> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until && !self.site.over.load(Ordering::Acquire) {
            if let Some(answer) = self.ask(request) {
                return Some(answer);
            }
        }
        None
    }
}
