//! The contract on SQLite, and what a file can do to us: a full disk, a foreign
//! file, a newer schema, open permissions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use record::store::sqlite::Sqlite;
use record::{State, Store, StoreError, Transaction};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use crate::contract::{self, Ground, Place, lead, object, single, transaction};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-record-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
    fn file(&self) -> PathBuf {
        self.0.join("record.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Folders;

impl Ground for Folders {
    fn place(&mut self) -> Arc<dyn Place> {
        Arc::new(Folder::new())
    }
}

impl Place for Folder {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Sqlite::open(self.file()).unwrap())
    }
}

macro_rules! on_sqlite {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            contract::$name(&mut Folders);
        }
    )* };
}
contract::contract!(on_sqlite);

/// A transaction whose object has a large body.
fn large(number: u128, bytes: usize) -> Transaction {
    transaction(vec![object(number, "large", &"x".repeat(bytes))])
}

/// Commits until the disk is full, and gives the last state that was durable.
fn fill(store: &mut Sqlite, fence: &record::Fence, bytes: usize) -> State {
    let mut state = State::new();
    for number in 0..10_000 {
        let batch = [single(1), large(number, bytes)];
        match store.commit(fence.clone(), state.revision() + 1, &batch) {
            Ok(()) => batch.iter().for_each(|tx| {
                state.apply(state.revision() + 1, tx);
            }),
            Err(StoreError::Full(_)) => return state,
            Err(other) => panic!("full, but: {other}"),
        }
    }
    panic!("the disk never filled");
}

#[test]
fn a_limit_is_a_full_disk() {
    let folder = Folder::new();
    let mut store = Sqlite::open(folder.file()).unwrap();
    let fence = lead(&mut store);
    store.limit_bytes(400_000).unwrap();
    let state = fill(&mut store, &fence, 8_000);
    assert!(state.revision() > 10, "it was full at once");
    assert_eq!(store.load().unwrap(), state, "a full record cannot be read");
    assert_eq!(store.replay().unwrap(), state);

    store.limit_bytes(4_000_000).unwrap();
    store.commit(fence, state.revision() + 1, &[large(1, 8_000)]).unwrap();
    assert_eq!(store.load().unwrap().revision(), state.revision() + 1);
}

/// A small disk in a mount namespace of this thread: nobody else sees it, and it
/// goes away with the thread. False when we may not make one.
#[allow(unsafe_code, reason = "a mount namespace has no safe wrapper")]
fn mount_small_disk(at: &Path) -> bool {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: only the mount namespace of this thread changes, which was started
    // for this test; no file descriptor or memory is unshared.
    let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    unshared.is_ok()
        && mount_change("/", private).is_ok()
        && mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"size=2m").is_ok()
}

#[test]
fn a_full_disk_leaves_a_record_that_works() {
    let folder = Folder::new();
    let test = || {
        if !mount_small_disk(&folder.0) {
            println!("skipped: a small disk needs the right to mount (run as root)");
            return;
        }
        let ballast = folder.0.join("ballast");
        fs::write(&ballast, vec![0; 600_000]).unwrap();
        let mut store = Sqlite::open(folder.file()).unwrap();
        let fence = lead(&mut store);
        let state = fill(&mut store, &fence, 8_000);
        assert!(state.revision() > 10, "it was full at once");
        assert_eq!(store.load().unwrap(), state, "a full record cannot be read");

        fs::remove_file(&ballast).unwrap();
        let first = state.revision() + 1;
        store.commit(fence, first, &[large(1, 8_000)]).expect("there is room again");
        drop(store);
        let mut again = Sqlite::open(folder.file()).unwrap();
        assert_eq!(again.load().unwrap().revision(), first);
        assert_eq!(again.replay().unwrap(), again.load().unwrap());
    };
    thread::scope(|scope| scope.spawn(test).join().unwrap());
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let folder = Folder::new();
    drop(Sqlite::open(folder.file()).unwrap());
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute("UPDATE meta SET schema_version = 7", []).unwrap();
    let refused = Sqlite::open(folder.file()).unwrap_err();
    assert!(matches!(refused, StoreError::Schema { found: 7, known: 1 }), "{refused}");
    assert!(refused.to_string().contains("start a newer bedplate"));
    other.execute("UPDATE meta SET schema_version = 1", []).unwrap();
    Sqlite::open(folder.file()).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    let text = "this is no database, it is a letter ".repeat(100);
    fs::write(folder.file(), &text).unwrap();
    let refused = Sqlite::open(folder.file()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    let nowhere = Sqlite::open(folder.0.join("no/such/folder")).unwrap_err();
    assert!(matches!(nowhere, StoreError::Refused(_)), "{nowhere}");
}

#[test]
fn what_was_tampered_with_is_noticed() {
    let folder = Folder::new();
    let mut store = Sqlite::open(folder.file()).unwrap();
    let fence = lead(&mut store);
    store.commit(fence, 1, &[single(1), single(2), single(3)]).unwrap();
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute("UPDATE objects SET body = '{\"a\":1}' WHERE name = 'm2'", []).unwrap();
    let (loaded, replayed) = (store.load().unwrap(), store.replay().unwrap());
    assert_ne!(loaded.hash(), replayed.hash(), "the hash does not cover the body");

    other.execute("DELETE FROM events WHERE revision = 2", []).unwrap();
    let noticed = store.replay().unwrap_err();
    assert!(matches!(noticed, StoreError::Corrupt(_)), "{noticed}");
    assert!(store.events(1, 10).is_err());
    other.execute("UPDATE objects SET id = 'nonsense' WHERE name = 'm3'", []).unwrap();
    assert!(matches!(store.load().unwrap_err(), StoreError::Corrupt(_)));
}

#[test]
fn only_the_owner_can_read_it() {
    let folder = Folder::new();
    let mut store = Sqlite::open(folder.file()).unwrap();
    let fence = lead(&mut store);
    store.commit(fence, 1, &[single(1)]).unwrap();
    for entry in fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
    }
}
