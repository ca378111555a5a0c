//! Accounts and their access keys: who may sign requests, and with which secret.
//!
//! They are kept in one file of the data directory, sealed as a whole by the key
//! provider. Reading is done on a [`Snapshot`]: each thread holds the newest one and
//! compares one number per request, so that a look-up takes no lock.

mod file;
mod session;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::Timestamp;
use object::Owner;
use object::access::Principal;
use ring::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::file::new_account;
pub use self::session::{Session, SessionError};
use crate::sealing::{KeyError, KeyProvider};

/// A secret access key. It does not print, and is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }
    /// The secret, for who signs with it, or shows it once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// An account: who owns buckets and objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its stable id.
    pub owner: Owner,
    /// What policies call it: `NAME`, or `TENANT$NAME`.
    pub name: Box<str>,
    /// What people call it.
    pub display: Box<str>,
    /// Its address, by which grants may name it.
    pub email: Option<Box<str>>,
    /// Whose quota it uses.
    pub project: Option<Box<str>>,
    /// The tenant whose names of buckets it sees.
    pub tenant: Option<Box<str>>,
    /// Its requests are refused.
    pub suspended: bool,
}

impl Account {
    /// As the one who asks.
    pub fn principal(&self) -> Principal {
        Principal::Account { owner: self.owner.clone(), name: self.name.clone() }
    }
}

/// An access key.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its id, as requests say it.
    pub id: Box<str>,
    /// What signs.
    pub secret: Secret,
    /// Whose it is.
    pub account: Arc<Account>,
    /// Its account as the one who asks.
    pub principal: Principal,
}

impl AccessKey {
    /// A key of an account.
    pub fn new(id: &str, secret: Secret, account: Arc<Account>) -> Self {
        let principal = account.principal();
        Self { id: id.into(), secret, account, principal }
    }
}

/// Why accounts cannot be had or changed.
#[derive(Debug, Error)]
pub enum AccountsError {
    /// The file cannot be read or written, or not opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What the file says makes no sense.
    #[error("{path}: {why}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key's id or an account's name is taken.
    #[error("{0} is there already")]
    Taken(String),
    /// There is no such key.
    #[error("there is no access key {0}")]
    Unknown(String),
}

/// All accounts at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows with every change.
    pub generation: u64,
    keys: HashMap<Box<str>, Arc<AccessKey>>,
    owners: HashMap<Box<str>, Arc<Account>>,
    emails: HashMap<Box<str>, Arc<Account>>,
}

impl Snapshot {
    /// An access key by its id.
    pub fn key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.keys.get(id)
    }
    /// An account by its stable id.
    pub fn owner(&self, owner: &Owner) -> Option<&Arc<Account>> {
        self.owners.get(&owner.0)
    }
    /// An account by its address, in any case of letters.
    pub fn email(&self, email: &str) -> Option<&Arc<Account>> {
        self.emails.get(email.to_ascii_lowercase().as_str())
    }
    /// All access keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<AccessKey>> {
        self.keys.values()
    }

    fn of(generation: u64, keys: Vec<AccessKey>) -> Self {
        let mut snapshot = Self { generation, ..Self::default() };
        for key in keys {
            let account = &key.account;
            snapshot.owners.insert(account.owner.0.clone(), Arc::clone(account));
            if let Some(email) = &account.email {
                snapshot.emails.insert(email.to_ascii_lowercase().into(), Arc::clone(account));
            }
            snapshot.keys.insert(key.id.clone(), Arc::new(key));
        }
        snapshot
    }
}

/// The accounts of a gateway. Share it by [`Arc`].
pub struct Accounts {
    /// Tells instances apart in a thread's cache.
    instance: u64,
    generation: AtomicU64,
    current: Mutex<Arc<Snapshot>>,
    place: Option<(PathBuf, Arc<KeyProvider>)>,
    sessions: hmac::Key,
}

static INSTANCES: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static SEEN: RefCell<Option<(u64, Arc<Snapshot>)>> = const { RefCell::new(None) };
}

impl Accounts {
    /// Reads the accounts of a data directory. Where there are none, makes one with one
    /// key: the second value, to be shown once.
    ///
    /// # Errors
    /// When the file cannot be read, opened, understood or written.
    pub fn open(
        directory: &Path,
        keys: Arc<KeyProvider>,
    ) -> Result<(Self, Option<AccessKey>), AccountsError> {
        let path = directory.join("accounts.sealed");
        let known = file::read(&path, &keys)?;
        let first = known.is_none().then(|| file::new_key(file::first_account()));
        let listed = known.unwrap_or_else(|| first.iter().cloned().collect());
        if first.is_some() {
            file::write(&path, &keys, &listed)?;
        }
        let sessions = keys.signing("sessions");
        let current = Mutex::new(Arc::new(Snapshot::of(1, listed)));
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let generation = AtomicU64::new(1);
        let place = Some((path, keys));
        Ok((Self { instance, generation, current, place, sessions }, first))
    }

    /// Accounts that are nowhere but in memory (tests, and a gateway that is told its
    /// accounts by a file).
    pub fn fixed(keys: Vec<AccessKey>) -> Self {
        let provider = KeyProvider::from_key(&{
            let mut key = [0; 32];
            world::entropy::Entropy::fill(&mut world::SystemEntropy, &mut key);
            key
        });
        Self {
            instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
            generation: AtomicU64::new(1),
            current: Mutex::new(Arc::new(Snapshot::of(1, keys))),
            place: None,
            sessions: provider.signing("sessions"),
        }
    }

    /// Reads access keys from plain JSON: a list of objects with `access_key`,
    /// `secret_key`, and of its account `id`, `name`, `display_name`, `email`,
    /// `project`, `tenant`, `suspended`. For tests, and for moving in.
    ///
    /// # Errors
    /// When it is no such list.
    pub fn parse(json: &str) -> Result<Vec<AccessKey>, String> {
        file::parse(json.as_bytes())
    }

    /// Adds access keys and writes them down. An id that is known is replaced.
    ///
    /// # Errors
    /// When they cannot be written; nothing changes then.
    pub fn import(&self, added: Vec<AccessKey>) -> Result<(), AccountsError> {
        self.change(|keys| {
            keys.retain(|key| added.iter().all(|new| new.id != key.id));
            keys.extend(added);
            Ok(())
        })
    }

    /// Makes a new key for an account.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn add_key(&self, account: Arc<Account>) -> Result<AccessKey, AccountsError> {
        let key = file::new_key(account);
        self.import(vec![key.clone()])?;
        Ok(key)
    }

    /// Removes a key. Sessions that were made of it end with it.
    ///
    /// # Errors
    /// When there is no such key, or the change cannot be written down.
    pub fn remove_key(&self, id: &str) -> Result<(), AccountsError> {
        self.change(|keys| {
            let before = keys.len();
            keys.retain(|key| &*key.id != id);
            let gone = keys.len() < before;
            gone.then_some(()).ok_or_else(|| AccountsError::Unknown(id.to_owned()))
        })
    }

    /// The accounts now. One atomic load when this thread has seen them already.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let generation = self.generation.load(Ordering::Acquire);
        SEEN.with_borrow_mut(|seen| match seen {
            Some((instance, snapshot))
                if *instance == self.instance && snapshot.generation == generation =>
            {
                Arc::clone(snapshot)
            }
            _ => {
                let now = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
                *seen = Some((self.instance, Arc::clone(&now)));
                now
            }
        })
    }

    /// What tells this set of accounts and its state from every other in this process.
    pub(crate) fn state(&self) -> (u64, u64) {
        (self.instance, self.generation.load(Ordering::Acquire))
    }

    /// Short credentials of a key's account: they sign like a key until they expire.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn new_session(&self, id: &str, expires: Timestamp) -> Result<Session, AccountsError> {
        let snapshot = self.snapshot();
        let parent = snapshot.key(id).ok_or_else(|| AccountsError::Unknown(id.to_owned()))?;
        Ok(session::issue(&self.sessions, parent, expires))
    }

    /// The key behind session credentials, and until when it is good.
    ///
    /// # Errors
    /// When the token is not ours, is for another key's id, or is no longer good.
    pub fn session_key(
        &self,
        id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<(AccessKey, Timestamp), SessionError> {
        session::accept(&self.sessions, &self.snapshot(), id, token, now)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<AccessKey>) -> Result<(), AccountsError>,
    ) -> Result<(), AccountsError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<AccessKey> =
            current.keys.values().map(|key| AccessKey::clone(key)).collect();
        let mut keys = before.clone();
        change(&mut keys)?;
        if file::alike(&before, &keys) {
            // Nothing to write: a start with the same keys goes on where the disk is full.
            return Ok(());
        }
        if let Some((path, provider)) = &self.place {
            file::write(path, provider, &keys)?;
        }
        let generation = current.generation + 1;
        *current = Arc::new(Snapshot::of(generation, keys));
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
