//! Clients that are slow, or never come to an end: their time and their bytes are bounded,
//! and nobody else waits.

use std::time::{Duration, Instant};

use crate::client::{Client, content};
use crate::process::{Gateway, Scratch};

fn code(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    text.split(' ').nth(1).unwrap_or("none").to_owned()
}

#[test]
fn slow_clients_are_cut_and_others_are_served() {
    let scratch = Scratch::new("patience");
    let gateway = Gateway::start(&scratch, &["--patience", "2"]);
    let mut good = gateway.client();
    good.put("/kept", b"");
    let large = content(1, 64 << 20);
    good.put("/kept/large", &large);
    // A head that trickles, byte by byte.
    let (mut trickles, mut stuck) = (gateway.client(), gateway.client());
    let head = trickles.head("GET", "/kept/large", "");
    stuck.send(&head.as_bytes()[..30]).expect("sent");
    // Content that does not come, and a reply that nobody reads.
    let (mut silent, mut deaf) = (gateway.client(), gateway.client());
    silent.begin("PUT", "/kept/silent", Some(1000)).expect("sent");
    silent.send(b"so far").expect("sent");
    deaf.begin("GET", "/kept/large", None).expect("sent");
    let began = Instant::now();
    for byte in head.as_bytes() {
        good = served(&gateway, good);
        if began.elapsed() > Duration::from_secs(60) || trickles.send(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() < Duration::from_secs(60), "trickling bytes prolong nothing");
    assert_eq!(code(&stuck.rest()), "408");
    assert_eq!(code(&silent.rest()), "408");
    let heard = deaf.rest();
    assert!(heard.len() < large.len(), "what nobody reads is not kept for ever");
    assert_eq!(good.ask("HEAD", "/kept/silent", b"").map(|it| it.status).unwrap_or(404), 404);
    gateway.stop();
}

/// A good client's request, on a connection that may have been idle for too long.
fn served(gateway: &Gateway, mut good: Client) -> Client {
    match good.ask("GET", "/kept?max-keys=1", b"") {
        Ok(reply) => {
            assert_eq!(reply.status, 200);
            good
        }
        Err(_) => {
            let mut good = gateway.client();
            good.get("/kept?max-keys=1");
            good
        }
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let scratch = Scratch::new("much");
    let gateway = Gateway::start(&scratch, &[]);
    gateway.client().put("/kept", b"");
    let field = format!("X-Much: {}\r\n", "m".repeat(40_000));
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    for more in [field, many] {
        let mut client = gateway.client();
        let head = client.head("GET", "/kept", &more);
        client.send(head.as_bytes()).expect("sent");
        assert_eq!(code(&client.rest()), "431");
    }
    let mut client = gateway.client();
    client.send(format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)).as_bytes()).expect("sent");
    assert_eq!(code(&client.rest()), "431");
    // More than an object may have: refused before a byte of it is sent.
    let mut client = gateway.client();
    client.begin("PUT", "/kept/huge", Some(6 << 30)).expect("sent");
    let reply = client.reply().expect("answered");
    assert_eq!((reply.status, reply.code()), (400, "EntityTooLarge".to_owned()));
    // A document without end.
    let mut client = gateway.client();
    client.begin("POST", "/kept?delete=", Some(100 << 20)).expect("sent");
    let block = vec![b'x'; 1 << 20];
    let sent = (0..100).take_while(|_| client.send(&block).is_ok()).count();
    assert!(sent < 100, "it is not read to its end");
    // A list of more parts than there can be.
    let mut client = gateway.client();
    let begun = String::from_utf8(client.done("POST", "/kept/a?uploads=", b"").body);
    let begun = begun.expect("text");
    let upload = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next());
    let upload = upload.expect("an upload");
    let tag = "00000000000000000000000000000000";
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>");
    let list = part.repeat(10_001);
    let document = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let target = format!("/kept/a?uploadId={upload}");
    let reply = client.ask("POST", &target, document.as_bytes()).expect("answered");
    assert_eq!(reply.status, 400, "{reply:?}");
    gateway.stop();
}
