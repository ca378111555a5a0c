//! The real side against a real file in a directory of its own.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::entropy::{Entropy, Seeded, SystemEntropy, new_token};

const BLOCK: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that goes with the test. In the target directory, since a temporary
/// file system may be memory, which knows no direct I/O.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("world-disk-{}", new_token::<8>(&mut SystemEntropy));
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp").join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
    fn medium(&self, size: u64) -> Medium {
        Medium::create(&self.0.join("disk"), size, false, Opening::default()).expect("a medium")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Memory that is aligned as direct I/O wants it.
struct Buffer(Vec<u8>, usize);

impl Buffer {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + BLOCK];
        let skip = memory.as_ptr().align_offset(BLOCK);
        Self(memory, skip)
    }
    fn start(&mut self) -> *mut u8 {
        let skip = self.1;
        self.0[skip..].as_mut_ptr()
    }
    fn part(&mut self, block: usize) -> &mut [u8] {
        let at = self.1 + block * BLOCK;
        &mut self.0[at..at + BLOCK]
    }
    fn at(&mut self, block: usize) -> *mut u8 {
        self.part(block).as_mut_ptr()
    }
}

/// A ring, or nothing where the kernel gives none.
fn ring(way: Way) -> Option<Ring> {
    match Ring::new(RingSettings { entries: 32, files: 4, pieces: 4, way }) {
        Ok(ring) => Some(ring),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn all(ring: &mut Ring) -> HashMap<u64, Ended> {
    let mut ended = HashMap::new();
    let drained = ring.drain(PATIENCE, |done| {
        assert!(ended.insert(done.user_data, done.result).is_none(), "answered twice");
    });
    drained.expect("everything comes back");
    ended
}

#[test]
fn patterns_come_back_by_each_way_and_each_kind_of_memory() {
    for way in Way::ALL {
        let (place, Some(mut ring)) = (Place::new(), ring(way)) else { return };
        let medium = place.medium(1 << 20);
        let file = ring.add_file(medium.descriptor()).expect("a place");
        let (mut fixed, mut plain) = (Buffer::new(64 * BLOCK), Buffer::new(64 * BLOCK));
        // SAFETY: the buffer outlives the ring's use of it.
        unsafe { ring.add_memory(fixed.start(), 64 * BLOCK) }.expect("it is little");
        for block in 0..64 {
            fixed.part(block).fill(block as u8 + 1);
            // SAFETY: the buffers live until all has come back.
            unsafe {
                ring.write(block as u64, file, (block * BLOCK) as u64, fixed.at(block), 4096)
            };
        }
        assert_eq!(ring.in_flight(), 64);
        assert!(all(&mut ring).values().all(|ended| *ended == Ok(4096)));
        ring.sync(99, file);
        assert_eq!(all(&mut ring)[&99], Ok(0));
        let pieces: Vec<_> = (0..64).rev().map(|block| (plain.at(block), 4096)).collect();
        // SAFETY: as above.
        unsafe { ring.read_list(7, file, 0, pieces.into_iter()) };
        assert_eq!(all(&mut ring)[&7], Ok(64 * 4096));
        assert!((0..64).all(|block| plain.part(block) == [64 - block as u8; BLOCK]));
        ring.remove_memory(fixed.start(), 64 * BLOCK).expect("it was added");
        ring.remove_file(file).expect("it was added");
    }
}

#[test]
fn what_fails_says_so_and_the_rest_goes_on() {
    let (place, Some(mut ring)) = (Place::new(), ring(Way::Deferred)) else { return };
    let medium = place.medium(64 << 10);
    let file = ring.add_file(medium.descriptor()).expect("a place");
    let gone = ring.add_file(medium.descriptor()).expect("a place");
    ring.remove_file(gone).expect("it was added");
    let mut buffer = Buffer::new(4 * BLOCK);
    // SAFETY: the buffer lives until all has come back.
    unsafe {
        ring.read(1, file, 64 << 10, buffer.at(0), 4096);
        ring.read(2, file, 60 << 10, buffer.at(1), 8192);
        ring.read(3, gone, 0, buffer.at(3), 4096);
        ring.write(4, file, 0, buffer.at(3), 4096);
        ring.write(5, file, 0, std::ptr::null(), 4096);
    }
    let ended = all(&mut ring);
    assert_eq!((ended[&1], ended[&2]), (Ok(0), Ok(4096)), "beyond the end there is nothing");
    assert_eq!(ended[&3], Err(libc::EBADF));
    assert_eq!(ended[&4], Ok(4096));
    assert_eq!(ended[&5], Err(libc::EFAULT));
}

#[test]
fn a_poll_wakes_each_time_until_it_is_cancelled() {
    let Some(mut ring) = ring(Way::Deferred) else { return };
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    ring.poll(5, reader.as_fd());
    ring.wait(1, Some(Duration::from_millis(1))).expect("nothing comes, and that is fine");
    assert_eq!(ring.completions(|_| panic!("nobody wrote")), 0);
    for _ in 0..3 {
        rustix::io::write(&writer, b"x").expect("room");
        ring.wait(1, Some(PATIENCE)).expect("it wakes");
        let mut heard = Vec::new();
        ring.completions(|done| heard.push(done));
        assert_eq!(heard.len(), 1);
        let ready = heard[0].result.expect("no error") & libc::POLLIN as u32;
        assert!(heard[0].user_data == 5 && heard[0].more && ready != 0);
        rustix::io::read(&reader, &mut [0; 8][..]).expect("a byte");
    }
    assert_eq!(ring.in_flight(), 0, "a poll is not in flight");
    ring.cancel_poll(5);
    ring.wait(1, Some(PATIENCE)).expect("it ends");
    let mut last = None;
    while last.is_none() {
        ring.completions(|done| last = Some(done));
        ring.wait(0, None).expect("it goes on");
    }
    let last = last.expect("it came");
    assert_eq!((last.result, last.more), (Err(libc::ECANCELED), false));
}

#[test]
fn a_poll_is_cancelled_also_when_an_event_has_just_come() {
    for way in Way::ALL {
        let Some(mut ring) = ring(way) else { return };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ring.poll(5, ours.as_fd());
        ring.submit().expect("room");
        // Nothing was worked off since: the event lies in the kernel.
        rustix::io::write(&theirs, b"x").expect("room");
        ring.cancel_poll(5);
        ring.submit().expect("room");
        drop(ours);
        let mut over = false;
        while !over {
            ring.wait(1, Some(PATIENCE)).expect("it goes on");
            let came = ring.completions(|done| over |= !done.more);
            assert!(came > 0 || over, "the poll goes on: {way:?}");
        }
        // Only when the ring has let go of it, its other end sees the end of it.
        ring.submit().expect("room");
        theirs.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let end = rustix::io::read(&theirs, &mut [0; 8][..]);
        assert!(matches!(end, Ok(0) | Err(rustix::io::Errno::CONNRESET)), "{end:?}");
    }
}

#[test]
fn thousands_of_random_operations_agree_with_a_shadow() {
    let (place, Some(mut ring)) = (Place::new(), ring(Way::Deferred)) else { return };
    let medium = place.medium(1 << 20);
    let file = ring.add_file(medium.descriptor()).expect("a place");
    let mut buffer = Buffer::new(128 * BLOCK);
    // Half of it, so that some operations lie inside, some outside and some across.
    // SAFETY: the buffer outlives the ring's use of it.
    unsafe { ring.add_memory(buffer.start(), 64 * BLOCK) }.expect("it is little");
    let (mut shadow, mut entropy) = (vec![0_u8; 256], Seeded::new(11));
    for _ in 0..150 {
        // 20 operations at once, on blocks of their own.
        let mut expected = HashMap::new();
        for turn in 0..20_usize {
            let length = 1 + entropy.below(6) as usize;
            let block = turn * 12 + entropy.below(6) as usize;
            let slot = turn * 6 + (entropy.below(2) as usize).min(6 - length);
            let at = (block * BLOCK) as u64;
            let mut pieces = Vec::new();
            if entropy.below(2) == 0 {
                for index in 0..length {
                    shadow[block + index] = entropy.next() as u8;
                    buffer.part(slot + index).fill(shadow[block + index]);
                    pieces.push((buffer.at(slot + index), 4096));
                }
                // SAFETY: the buffer lives until all has come back.
                unsafe { ring.write_list(turn as u64, file, at, pieces.into_iter()) };
            } else {
                let start = buffer.at(slot);
                // SAFETY: as above.
                unsafe { ring.read(turn as u64, file, at, start, (length * BLOCK) as u32) };
                expected.insert(slot, shadow[block..block + length].to_vec());
            }
        }
        assert!(all(&mut ring).values().all(Result::is_ok));
        for (slot, bytes) in expected {
            for (index, byte) in bytes.iter().enumerate() {
                assert!(buffer.part(slot + index) == [*byte; BLOCK], "block {slot}+{index}");
            }
        }
    }
}

#[test]
fn a_medium_is_made_once_held_by_one_and_only_grows() {
    let place = Place::new();
    let path = place.0.join("disk");
    let mut medium = place.medium(1 << 20);
    let again = Medium::create(&path, 1 << 20, false, Opening::default());
    assert!(matches!(again, Err(MediumError::Exists { .. })));
    let wait = Opening { lock_within: Duration::from_millis(10), ..Opening::default() };
    assert!(matches!(Medium::open(&path, wait), Err(MediumError::Busy { .. })));
    let mut block = Buffer::new(BLOCK);
    block.part(0).fill(3);
    medium.write_now(8192, block.part(0)).expect("room");
    medium.sync_now().expect("a disk");
    medium.grow(2 << 20, true).expect("room");
    assert_eq!((medium.size(), medium.kind()), (2 << 20, MediumKind::File));
    if medium.discard(8192, 4096).expect("no error") {
        medium.read_now(8192, block.part(0)).expect("it is there");
        assert!(block.part(0) == [0; BLOCK]);
    }
    drop(medium);
    let medium = Medium::open(&path, Opening { direct: false, ..Opening::default() });
    let medium = medium.expect("nobody has it any more");
    assert_eq!((medium.size(), medium.direct(), medium.alignment()), (2 << 20, false, 1));
    let copy = medium.descriptor().try_clone_to_owned().expect("a descriptor");
    drop(medium);
    assert!(
        matches!(Medium::open(&path, wait), Err(MediumError::Busy { .. })),
        "the lock went along"
    );
    assert_eq!(Medium::adopt(copy, path).expect("a file").size(), 2 << 20);
}

#[test]
fn room_is_taken_before_it_is_written() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let medium = place.medium(4 << 20);
    let taken = || std::fs::metadata(place.0.join("disk")).expect("a file").blocks() * 512;
    let before = taken();
    if medium.reserve(0, 1 << 20).expect("no error") {
        assert!(taken() >= before + (1 << 20), "{before} bytes, then {}", taken());
        assert_eq!(medium.size(), 4 << 20);
        let mut block = Buffer::new(BLOCK);
        medium.read_now(8192, block.part(0)).expect("it is there");
        assert!(block.part(0) == [0; BLOCK], "what is there stays");
    }
}

#[test]
fn memory_is_a_medium_and_a_directory_is_not() {
    let medium = Medium::memory("test", 1 << 20).expect("memory");
    assert_eq!(
        (medium.kind(), medium.size(), medium.direct()),
        (MediumKind::Memory, 1 << 20, false)
    );
    let place = Place::new();
    assert!(matches!(Medium::open(&place.0, Opening::default()), Err(MediumError::Kind { .. })));
    let gone = Medium::open(&place.0.join("none"), Opening::default());
    assert!(gone.expect_err("it is not there").to_string().contains("look at it"));
}

#[test]
fn the_kernel_says_what_it_allows() {
    match probe() {
        Ok(abilities) => assert!(abilities.files && abilities.memory, "{abilities:?}"),
        Err(error) => println!("skipped: {error}"),
    }
}
