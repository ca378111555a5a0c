//! The system event log, and the same events as they happen.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use model::Timestamp;
use tokio::sync::broadcast;

/// Entries kept; the oldest give way.
const ENTRIES_MAX: usize = 512;

/// What can happen: the messages of our registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// Power is `On` or `Off`.
    PowerChanged(String),
    /// The boot has come to a state.
    BootProgressed(String),
    /// The machine restarted itself.
    Restarted,
    /// An image was put into the virtual drive.
    MediaInserted(String),
    /// The virtual drive was emptied.
    MediaEjected,
    /// The BMC restarted.
    BmcRestarted,
}

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: u64,
    pub at: Timestamp,
    pub what: Happening,
}

impl Happening {
    /// Messages by their key: text, and the number of its arguments.
    pub(super) const MESSAGES: [(&'static str, &'static str, usize); 6] = [
        ("PowerChanged", "The power state is now %1.", 1),
        ("BootProgressed", "The boot has come to %1.", 1),
        ("Restarted", "The system restarted itself.", 0),
        ("MediaInserted", "The image %1 was put into the virtual drive.", 1),
        ("MediaEjected", "The virtual drive was emptied.", 0),
        ("BmcRestarted", "The BMC restarted.", 0),
    ];

    /// Key of the message and its argument.
    pub(super) fn message(&self) -> (&'static str, Option<&str>) {
        match self {
            Happening::PowerChanged(state) => ("PowerChanged", Some(state)),
            Happening::BootProgressed(state) => ("BootProgressed", Some(state)),
            Happening::Restarted => ("Restarted", None),
            Happening::MediaInserted(image) => ("MediaInserted", Some(image)),
            Happening::MediaEjected => ("MediaEjected", None),
            Happening::BmcRestarted => ("BmcRestarted", None),
        }
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let (key, argument) = self.message();
        let found = Self::MESSAGES.iter().find(|(name, ..)| *name == key);
        let (_, text, _) = found.expect("every happening has its message");
        text.replace("%1", argument.unwrap_or_default())
    }

    /// The resource that it happened to.
    pub(super) const fn origin(&self) -> &'static str {
        match self {
            Happening::MediaInserted(_) | Happening::MediaEjected => {
                "/redfish/v1/Managers/1/VirtualMedia/Cd"
            }
            Happening::BmcRestarted => "/redfish/v1/Managers/1",
            _ => "/redfish/v1/Systems/1",
        }
    }
}

/// The log.
pub(super) struct Journal {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Entry>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), live: broadcast::channel(256).0 }
    }

    /// Writes something down, and tells those who listen.
    pub(super) fn write(&self, at: Timestamp, what: Happening) {
        let mut kept = self.kept();
        kept.last += 1;
        let entry = Entry { id: kept.last, at, what };
        if kept.entries.len() == ENTRIES_MAX {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry.clone());
        let _ = self.live.send(entry);
    }

    /// All entries, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.kept().entries.iter().cloned().collect()
    }

    /// Forgets all entries; numbers go on.
    pub(super) fn clear(&self) {
        self.kept().entries.clear();
    }

    /// What happens from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Entry> {
        self.live.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}
