//! Sessions (DSP0266 section 13.3.4): a token for a password, forgotten when it is not
//! used for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use world::SystemEntropy;
use world::entropy::new_token;

/// Sessions at a time; BMCs of the field allow fewer.
const SESSIONS_MAX: usize = 64;

/// All sessions.
pub(super) struct Sessions {
    kept: Mutex<Kept>,
}

struct Kept {
    /// By id.
    open: BTreeMap<u64, Session>,
    next: u64,
    timeout: Duration,
}

struct Session {
    token: String,
    used: Instant,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let timeout = Duration::from_secs(1_800);
        Self { kept: Mutex::new(Kept { open: BTreeMap::new(), next: 1, timeout }) }
    }

    /// Opens one: its id and its token. Nothing when too many are open.
    pub(super) fn open(&self) -> Option<(u64, String)> {
        let mut kept = self.kept();
        if kept.open.len() >= SESSIONS_MAX {
            return None;
        }
        let (id, token) = (kept.next, new_token::<16>(&mut SystemEntropy));
        kept.next += 1;
        kept.open.insert(id, Session { token: token.clone(), used: Instant::now() });
        Some((id, token))
    }

    /// The session of a token, which is thereby used.
    pub(super) fn admit(&self, token: &str) -> Option<u64> {
        let mut kept = self.kept();
        let (id, session) = kept.open.iter_mut().find(|(_, session)| session.token == token)?;
        session.used = Instant::now();
        Some(*id)
    }

    /// Closes one, and says whether there was one.
    pub(super) fn close(&self, id: u64) -> bool {
        self.kept().open.remove(&id).is_some()
    }

    /// Closes all.
    pub(super) fn close_all(&self) {
        self.kept().open.clear();
    }

    /// Ids of all.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.kept().open.keys().copied().collect()
    }

    /// How long one may go unused.
    pub(super) fn timeout(&self) -> Duration {
        self.kept().timeout
    }

    /// Changes that.
    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.kept().timeout = timeout;
    }

    /// Everybody comes by here, so this is where the old ones leave.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(|broken| broken.into_inner());
        let timeout = kept.timeout;
        kept.open.retain(|_, session| session.used.elapsed() < timeout);
        kept
    }
}
