//! Bytes that come in any pieces, and bytes that nobody should send.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use world::entropy::{Entropy as _, Seeded};

use super::fixture::{House, content};

/// One of several requests, and the status that it gets.
fn request(source: &mut Seeded) -> (Vec<u8>, u16) {
    let length = source.below(90_000) as usize;
    let body = content(length);
    let text = |text: String| text.into_bytes();
    match source.below(7) {
        0 => (text("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()), 200),
        1 => (text("GET /kept/x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()), 200),
        2 => (text(format!("GET /file/{length} HTTP/1.1\r\nHost: h\r\n\r\n")), 200),
        3 => (text("GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()), 200),
        4 => {
            let head = format!("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
            ([head.as_bytes(), &body].concat(), 200)
        }
        5 => {
            let head =
                format!("PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
            ([head.as_bytes(), &body].concat(), 403)
        }
        _ => {
            let mut all = text(
                "PUT /sum HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            );
            for chunk in body.chunks(1 + source.below(30_000) as usize) {
                all.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                all.extend_from_slice(chunk);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\nX: y\r\n\r\n");
            (all, 200)
        }
    }
}

#[test]
fn requests_are_the_same_in_whatever_pieces_they_come() {
    let house = House::new();
    for seed in 0..12 {
        let mut source = Seeded::new(seed);
        let requests: Vec<(Vec<u8>, u16)> = (0..30).map(|_| request(&mut source)).collect();
        let expected: Vec<u16> = requests.iter().map(|(_, status)| *status).collect();
        let bytes: Vec<u8> = requests.into_iter().flat_map(|(bytes, _)| bytes).collect();
        let mut client = house.connect();
        client.socket.set_nodelay(true).expect("set");
        let mut writer = client.socket.try_clone().expect("a descriptor");
        let sender = std::thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let most = [1, 7, 100, 5000, 300_000][source.below(5) as usize];
                let (piece, after) = rest.split_at(rest.len().min(1 + source.below(most) as usize));
                writer.write_all(piece).expect("sent");
                rest = after;
            }
        });
        let got: Vec<u16> = expected.iter().map(|_| client.answer().status).collect();
        sender.join().expect("sent");
        assert_eq!(got, expected, "seed {seed}");
    }
}

#[test]
fn bytes_that_nobody_should_send_harm_nobody() {
    let house = House::new();
    for seed in 0..200 {
        let mut source = Seeded::new(1000 + seed);
        let (mut bytes, _) = request(&mut source);
        // Something is changed, something cut out, and it may end anywhere.
        for _ in 0..1 + source.below(3) {
            let at = source.below(bytes.len().min(200) as u64) as usize;
            match source.below(3) {
                0 => bytes[at] = source.next() as u8,
                1 => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
                _ => bytes.insert(at, b"\r\n\0 :,;\xff"[source.below(8) as usize]),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let mut client = house.connect();
        let _ = client.socket.write_all(&bytes);
        let _ = client.socket.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        // It ends, whatever it says.
        match client.socket.read_to_end(&mut answers) {
            Ok(_) => {}
            Err(error) => {
                let kind = error.kind();
                assert!(kind == std::io::ErrorKind::ConnectionReset, "seed {seed}: {kind:?}");
            }
        }
    }
    assert_eq!(house.connect().get("/hello").status, 200);
}
