//! What is stored rots: whoever asks for it gets an error and never wrong bytes, all else
//! is served, and the scrub finds it by itself and names it.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::client::content;
use crate::process::{Gateway, Scratch, until};

/// Finds bytes in the files of a store, and spoils one of them.
fn spoil(scratch: &Scratch, bytes: &[u8]) {
    let needle = &bytes[bytes.len() / 2..bytes.len() / 2 + 64];
    let files = std::fs::read_dir(scratch.path("data/objects")).expect("the store");
    let files: Vec<PathBuf> = files.map(|entry| entry.expect("a file").path()).collect();
    for path in files {
        let stored = std::fs::read(&path).expect("it reads");
        if let Some(at) = stored.windows(64).position(|window| window == needle) {
            let file = std::fs::File::options().write(true).open(&path).expect("it opens");
            file.write_all_at(&[stored[at] ^ 1], at as u64).expect("it writes");
            return;
        }
    }
    panic!("it is not stored");
}

#[test]
fn rotten_bytes_are_an_error_and_are_named() {
    let scratch = Scratch::new("damage");
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    client.put("/kept", b"");
    let sizes = [("small", 3000), ("middle", 200_000), ("large", 9_000_000)];
    for (number, (name, size)) in sizes.iter().enumerate() {
        client.put(&format!("/kept/{name}"), &content(number as u64, *size));
        client.put(&format!("/kept/{name}-good"), &content(100 + number as u64, *size));
    }
    gateway.stop();
    for (number, (_, size)) in sizes.iter().enumerate() {
        spoil(&scratch, &content(number as u64, *size));
    }
    let gateway = Gateway::start(&scratch, &["--scrub", "1G"]);
    for (number, (name, size)) in sizes.iter().enumerate() {
        for _ in 0..2 {
            let mut client = gateway.client();
            let reply = client.ask("GET", &format!("/kept/{name}"), b"").expect("answered");
            assert_eq!(reply.status, 500, "{name}: {}", reply.head);
            assert_eq!(reply.code(), "InternalError", "{name}");
        }
        let mut client = gateway.client();
        let good = client.get(&format!("/kept/{name}-good"));
        assert!(good == content(100 + number as u64, *size), "{name}");
    }
    for (name, _) in sizes {
        until("the scrub names what is damaged", || {
            gateway.said().contains(&format!("\\\"{name}\\\" in kept"))
        });
    }
    until("the scrub comes to its end", || gateway.said().contains("damaged=3"));
    assert!(!gateway.said().contains("-good"), "{}", gateway.said());
    // What is damaged can be replaced.
    let mut client = gateway.client();
    client.put("/kept/large", &content(7, 5000));
    assert!(client.get("/kept/large") == content(7, 5000));
    gateway.stop();
}
