//! VMMs that send what they like.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vhost::vhost_user::message::FrontendReq as Request;

use super::client::Client;
use super::{Ended, Reactor, Running, Session, device, event};
use crate::guest::RegionSpec;
use crate::ring::tests::{Shape, memory_and_file};

fn memory(length: u64) -> OwnedFd {
    let file = memfd_create("bad", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, length).unwrap();
    file
}

#[test]
fn bad_messages_are_refused_and_the_session_goes_on() {
    let shape = Shape { size: 16, packed: false, indirect: true, event_index: true };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let running = Running::new(Session::new(device(), Reactor::default()), &ours);
    let (mut client, (_memory, file, regions)) = (Client(theirs), memory_and_file());
    client.negotiate(shape);
    let short = memory(4096);
    let (pipe, _end) = rustix::pipe::pipe().unwrap();
    let spec = RegionSpec { guest: 0, length: 8192, user: 0, offset: 0 };
    let mut table = |specs: &[RegionSpec], files: &[&OwnedFd]| {
        client.ask(Request::SET_MEM_TABLE, &Client::table(specs), files)
    };
    assert_eq!(table(&[spec], &[&short]), 1, "shorter than told");
    assert_eq!(table(&[spec], &[&pipe]), 1, "no memory");
    assert_eq!(table(&[spec], &[]), 1, "no file");
    assert_eq!(table(&[RegionSpec { length: 0, ..spec }], &[&short]), 1, "empty");
    let one = RegionSpec { length: 4096, ..spec };
    assert_eq!(
        table(&[one, RegionSpec { user: 4096, ..one }], &[&short, &short]),
        1,
        "overlapping"
    );
    assert_eq!(
        table(&[RegionSpec { offset: u64::MAX - 4095, ..one }], &[&short]),
        1,
        "overflowing"
    );
    assert_eq!(table(&regions, &[&file, &file]), 0);

    let state =
        |queue: u32, number: u32| [queue, number].map(u32::to_le_bytes).as_flattened().to_vec();
    for (queue, size) in [(2, 16), (0, 0), (0, 1025), (u32::MAX, 1), (0, u32::MAX)] {
        assert_eq!(client.ask(Request::SET_VRING_NUM, &state(queue, size), &[]), 1);
    }
    assert_eq!(client.ask(Request::SET_VRING_NUM, &[0; 7], &[]), 1);
    assert_eq!(client.ask(Request::SET_VRING_ADDR, &[0; 40], &[]), 1);
    assert_eq!(client.ask(Request::SET_VRING_KICK, &0u64.to_le_bytes(), &[&pipe]), 1, "no events");
    assert_eq!(client.ask(Request::SET_VRING_KICK, &0u64.to_le_bytes(), &[]), 1);
    assert_eq!(client.ask(Request::SET_FEATURES, &u64::MAX.to_le_bytes(), &[]), 1);
    // Files that belong to no request are let go: they may be those of the next.
    assert_eq!(client.ask(Request::SET_OWNER, &[], &[&pipe]), 0);
    assert_eq!(client.ask(Request::POSTCOPY_ADVISE, &[], &[]), 1);
    let mut body = (2 * crate::in_flight::RECORD as u64).to_le_bytes().to_vec();
    body.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0]);
    let unsealed = memory(2 * crate::in_flight::RECORD as u64);
    assert_eq!(client.ask(Request::SET_INFLIGHT_FD, &body, &[&unsealed]), 1, "could shrink");

    let (kick, call) = (event(), event());
    client.queue(0, shape, &kick, &call);
    assert_eq!(client.ask(Request::SET_VRING_NUM, &state(0, 8), &[]), 1, "it is served");
    drop(client);
    assert!(matches!(running.join().1, Ended::Closed));
}

#[test]
fn a_broken_header_ends_the_session() {
    for header in [[1, 2, 0], [1, 5, 0], [1, 1, 4097], [1, 1, u32::MAX]] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let running = Running::new(Session::new(device(), Reactor::default()), &ours);
        Client(theirs).raw(header.map(u32::to_le_bytes).as_flattened(), &[]).unwrap();
        assert!(matches!(running.join().1, Ended::Failed(_)));
    }
}

#[test]
fn a_message_may_come_in_parts() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let running = Running::new(Session::new(device(), Reactor::default()), &ours);
    let mut client = Client(theirs);
    for byte in Client::bytes(Request::GET_FEATURES as u32, 1, &[]) {
        client.raw(&[byte], &[]).unwrap();
    }
    assert_eq!(client.reply(Request::GET_FEATURES).len(), 8);
    drop(client);
    assert!(matches!(running.join().1, Ended::Closed));
}

/// A message that is near to one that makes sense.
fn message() -> impl Strategy<Value = (u32, u32, Vec<u8>, usize)> {
    let number = prop_oneof![4 => 0u64..4, 2 => Just(0x100), 2 => Just(4096), 2 => Just(0x7000_0000), 1 => any::<u64>()];
    let words = prop::collection::vec(number, 0..8)
        .prop_map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let halves = prop::collection::vec(0u32..20, 0..6)
        .prop_map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let body = prop_oneof![words, halves, prop::collection::vec(any::<u8>(), 0..64)];
    let flags = prop_oneof![8 => Just(1u32 | 8), 2 => Just(1), 1 => any::<u32>()];
    (prop_oneof![8 => 1u32..45, 1 => any::<u32>()], flags, body, 0usize..4)
}

/// Messages that wait behind one another: a reader that peeks at one without files is
/// shown those of the next.
#[test]
fn files_belong_to_the_message_that_brought_them() {
    let shape = Shape { size: 16, packed: false, indirect: true, event_index: true };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut client = Client(theirs);
    let say = |request: Request, flags, number: u64, files: &[&OwnedFd]| {
        let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        let bytes = Client::bytes(request as u32, flags, &number.to_le_bytes());
        client.raw(&bytes, &files).unwrap();
    };
    let features = shape.features() | crate::virtio_blk::feature::PROTOCOL;
    say(Request::SET_PROTOCOL_FEATURES, 1, super::super::features::OFFERED, &[]);
    say(Request::SET_FEATURES, 1, features, &[]);
    say(Request::SET_VRING_CALL, 1 | 8, 0, &[&event()]);
    say(Request::SET_VRING_CALL, 1 | 8, 1 | 1 << 8, &[]);
    say(Request::SET_VRING_CALL, 1 | 8, 1, &[&event()]);
    let running = Running::new(Session::new(device(), Reactor::default()), &ours);
    for _ in 0..3 {
        assert_eq!(client.reply(Request::SET_VRING_CALL), 0_u64.to_le_bytes());
    }
    drop(client);
    assert!(matches!(running.thread.join().unwrap().1, Ended::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_message_does_harm(messages in prop::collection::vec(message(), 1..40)) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let reactor = Reactor::default();
        let running = Running::new(Session::new(device(), reactor.clone()), &ours);
        let shape = Shape { size: 16, packed: false, indirect: true, event_index: true };
        let (mut client, (_memory, file, regions)) = (Client(theirs), memory_and_file());
        client.negotiate(shape);
        prop_assert_eq!(client.ask(Request::SET_MEM_TABLE, &Client::table(&regions), &[&file, &file]), 0);
        let (kick, call) = (event(), event());
        client.queue(1, shape, &kick, &call);
        let files = [kick.as_fd(), file.as_fd(), call.as_fd()];
        for (request, flags, body, count) in messages {
            if client.raw(&Client::bytes(request, flags, &body), &files[..count]).is_err() {
                break;
            }
        }
        drop(client);
        running.join();
        prop_assert!(!reactor.serves(0) && !reactor.serves(1));
    }
}
