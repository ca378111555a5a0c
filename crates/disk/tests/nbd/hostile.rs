//! Bytes that nobody should send, and clients that say nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bedplate_disk::nbd::wire::{self, Header, option};
use bedplate_disk::nbd::{Agreed, Broken, Export, Negotiation, Progress, Rules, TlsMode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bytes::{Client, agreed, replies};
use crate::server::{Disk, Server};

fn exports() -> Arc<Vec<Export>> {
    Arc::new(vec![agreed(true, 1 << 20).export])
}

/// An option with its data.
fn ask(option: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = wire::OPTION.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_be_bytes().to_vec();
    bytes.extend(text.bytes());
    bytes
}

/// Gives bytes in pieces; says what was answered and how far it got.
fn negotiate(mode: TlsMode, bytes: &[u8], step: usize) -> (Vec<u8>, Negotiation) {
    let mut negotiation = Negotiation::new(exports(), mode);
    let mut heard = Vec::new();
    let mut pieces = bytes.chunks(step);
    loop {
        while !negotiation.output().is_empty() {
            let count = negotiation.output().len().min(step);
            heard.extend(&negotiation.output()[..count]);
            negotiation.sent(count);
        }
        match (negotiation.progress(), pieces.next()) {
            (Progress::Going, Some(piece)) => negotiation.received(piece),
            (Progress::StartTls, _) => negotiation.tls_started(),
            _ => return (heard, negotiation),
        }
    }
}

fn kinds(heard: &[u8]) -> Vec<u32> {
    let mut rest = &heard[18..];
    let mut kinds = Vec::new();
    while rest.len() >= 20 {
        kinds.push(u32::from_be_bytes(rest[12..16].try_into().expect("4 bytes")));
        let length = u32::from_be_bytes(rest[16..20].try_into().expect("4 bytes")) as usize;
        rest = &rest[20 + length..];
    }
    kinds
}

fn agreed_on(negotiation: &Negotiation) -> &Agreed {
    match negotiation.progress() {
        Progress::Agreed(agreed) => agreed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_negotiation_in_any_pieces() {
    let mut contexts = text("disk");
    contexts.extend(2_u32.to_be_bytes());
    contexts.extend(text("x-other:thing"));
    contexts.extend(text("base:allocation"));
    let mut go = text("disk");
    go.extend([0, 2, 0, 1, 0, 3]);
    let mut bytes = 3_u32.to_be_bytes().to_vec();
    bytes.extend(ask(11, &[]));
    bytes.extend(ask(option::STRUCTURED_REPLY, &[]));
    bytes.extend(ask(option::LIST, &[]));
    bytes.extend(ask(option::SET_META_CONTEXT, &contexts));
    bytes.extend(ask(option::GO, &go));
    bytes.extend(b"first request");
    for step in [1, 3, 17, 1000] {
        let (heard, negotiation) = negotiate(TlsMode::Off, &bytes, step);
        assert_eq!(kinds(&heard), [0x8000_0001, 1, 2, 1, 4, 1, 3, 3, 3, 1]);
        let agreed = agreed_on(&negotiation);
        assert!(agreed.structured && agreed.status && agreed.export.name == "disk");
        let rest = negotiation.into_rest();
        assert!(b"first request".starts_with(&rest[..]), "{rest:?}");
    }
}

#[test]
fn the_old_way_to_name_an_export() {
    let mut bytes = 1_u32.to_be_bytes().to_vec();
    bytes.extend(ask(option::EXPORT_NAME, b""));
    let (heard, negotiation) = negotiate(TlsMode::Off, &bytes, 100);
    assert_eq!(heard.len(), 18 + 10 + 124);
    assert_eq!(heard[18..28], [0, 0, 0, 0, 0, 0x10, 0, 0, 1, 0x6d]);
    assert!(!agreed_on(&negotiation).structured);
}

#[test]
fn contexts_do_not_outlive_what_they_were_asked_for() {
    let mut contexts = text("");
    contexts.extend(1_u32.to_be_bytes());
    contexts.extend(text("base:allocation"));
    let mut go = text("disk");
    go.extend([0, 0]);
    let mut bytes = 3_u32.to_be_bytes().to_vec();
    bytes.extend(ask(option::SET_META_CONTEXT, &contexts));
    bytes.extend(ask(option::STRUCTURED_REPLY, &[]));
    bytes.extend(ask(option::SET_META_CONTEXT, &contexts));
    bytes.extend(ask(option::GO, &go));
    let (heard, negotiation) = negotiate(TlsMode::Off, &bytes, 100);
    assert_eq!(kinds(&heard)[0], 0x8000_0003, "not before structured replies");
    assert!(!agreed_on(&negotiation).status, "asked for by another name");
}

#[test]
fn tls_forgets_what_was_said_in_the_clear() {
    let mut bytes = 3_u32.to_be_bytes().to_vec();
    bytes.extend(ask(option::LIST, &[]));
    bytes.extend(ask(option::STRUCTURED_REPLY, &[]));
    bytes.extend(ask(option::STARTTLS, &[]));
    let (heard, negotiation) = negotiate(TlsMode::Required, &bytes, 1000);
    assert_eq!(kinds(&heard), [0x8000_0005, 0x8000_0005, 1]);
    assert_eq!(*negotiation.progress(), Progress::Going);
    // Bytes after it, in the clear, are an attempt to have them taken for encrypted.
    bytes.extend(ask(option::LIST, &[]));
    let (_, negotiation) = negotiate(TlsMode::Offered, &bytes, 1000);
    assert!(matches!(negotiation.progress(), Progress::Ended(_)));
}

#[test]
fn a_request_that_is_none_breaks_the_connection() {
    let mut client = Client::new(true, 1 << 20);
    client.give(&[0; 28]);
    assert_eq!(client.connection.next().map(|wanted| wanted.err()), Some(Some(Broken::Magic)));
    assert!(client.connection.space().is_empty());
}

#[test]
fn who_says_nothing_is_hung_up_on_and_others_are_served() {
    let rules = Rules { patience: Duration::from_millis(300), negotiating: 2, ..Rules::default() };
    let server = Server::start(Disk::new(1 << 20), rules);
    let connect = || UnixStream::connect(server.socket()).expect("connected");
    let mut silent: Vec<UnixStream> = (0..6).map(|_| connect()).collect();
    // All six wait in turn for two places; the seventh comes after them.
    let mut served = connect();
    served.write_all(&3_u32.to_be_bytes()).expect("written");
    served.write_all(&ask(option::EXPORT_NAME, b"disk")).expect("written");
    let mut hello = [0; 28];
    served.read_exact(&mut hello).expect("served in the end");
    for stream in &mut silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("hung up on");
        assert_eq!(rest.len(), 18, "nothing after the greeting");
    }
    drop(served);
}

#[test]
fn connections_are_counted() {
    let rules = Rules { connections: 2, ..Rules::default() };
    let server = Server::start(Disk::new(1 << 20), rules);
    let connect = || UnixStream::connect(server.socket()).expect("connected");
    let mut hello = [0; 18];
    let mut two = [connect(), connect()];
    for one in &mut two {
        one.read_exact(&mut hello).expect("a greeting");
    }
    assert_eq!(server.open(), 2);
    assert_eq!(connect().read(&mut hello).expect("hung up on"), 0, "there are two already");
}

/// Options that begin well.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        vec(any::<u8>(), 0..64),
        vec(any::<u8>(), 0..32).prop_map(|rest| [text("disk"), rest].concat()),
    ];
    let one = (0_u32..14, data).prop_map(|(option, data)| ask(option, &data));
    vec(one, 0..8).prop_map(|all| [3_u32.to_be_bytes().to_vec(), all.concat()].concat())
}

/// Requests that begin well: on a small disk, so that many are right.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0_u32..40, 400_u32..600].prop_map(|sectors| sectors * 512);
    let any_length = prop_oneof![9 => length, 1 => any::<u32>()];
    let one = (0_u16..10, 0_u16..20, any::<u64>(), 0_u64..300, any_length).prop_map(
        |(kind, flags, cookie, sector, length)| {
            let kind = if kind == 2 { 9 } else { kind };
            let header = Header { flags, kind, cookie, offset: sector * 512, length };
            let data = if kind == 1 { length.min(1 << 20) as usize } else { 0 };
            [header.encode().to_vec(), vec![0x5a; data]].concat()
        },
    );
    vec(one, 0..20).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn negotiation_never_panics(bytes in vec(any::<u8>(), 0..400), step in 1_usize..50) {
        negotiate(TlsMode::Offered, &bytes, step);
    }

    #[test]
    fn options_never_panic_and_pieces_do_not_matter(bytes in options(), step in 1_usize..90) {
        let (heard, cut) = negotiate(TlsMode::Off, &bytes, step);
        let (whole_heard, whole) = negotiate(TlsMode::Off, &bytes, usize::MAX);
        prop_assert_eq!(heard, whole_heard);
        prop_assert_eq!(cut.progress(), whole.progress());
    }

    #[test]
    fn transmission_never_panics(bytes in vec(any::<u8>(), 0..400), structured: bool) {
        let mut client = Client::new(structured, 1 << 18);
        client.give(&bytes);
        while let Some(Ok(wanted)) = client.connection.next() {
            client.answer(&wanted);
        }
        client.hear(usize::MAX);
    }

    #[test]
    fn requests_never_panic_and_pieces_do_not_matter(
        bytes in requests(),
        step in 1_usize..9000,
        structured: bool,
    ) {
        let talk = |step: usize| {
            let mut client = Client::new(structured, 1 << 18);
            let mut left = &bytes[..];
            // One at a time, so that the order of answers does not depend on the pieces.
            while !left.is_empty() {
                let given = client.give(&left[..step.min(left.len())]);
                left = &left[given..];
                while let Some(Ok(wanted)) = client.connection.next() {
                    client.answer(&wanted);
                }
                while client.connection.has_output() {
                    client.hear(step);
                }
            }
            client.heard
        };
        prop_assert_eq!(talk(step), talk(1 << 20));
        if structured {
            replies(&talk(step), (0, 0));
        }
    }
}
