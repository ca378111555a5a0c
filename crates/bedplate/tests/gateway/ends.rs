//! A process ends: told to, or in the middle of everything. What was answered is there
//! when the next one starts.

use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::client::{Client, content};
use crate::process::{Gateway, Scratch};

const SIZES: [usize; 9] = [0, 1, 4096, 65_535, 65_536, 65_537, 1 << 20, 3_333_333, 9_000_000];

fn names(client: &mut Client) -> Vec<String> {
    let listed = String::from_utf8(client.get("/kept?list-type=2&max-keys=1000")).expect("text");
    let names = listed.split("<Key>").skip(1);
    names.map(|rest| rest.split('<').next().expect("a name").to_owned()).collect()
}

#[test]
fn everything_is_there_after_each_end() {
    let scratch = Scratch::new("ends");
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    client.put("/kept", b"");
    for size in SIZES {
        client.put(&format!("/kept/{size}"), &content(size as u64, size));
    }
    let begun = String::from_utf8(client.done("POST", "/kept/whole?uploads=", b"").body);
    let begun = begun.expect("text");
    let upload = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next());
    let upload = upload.expect("an upload").to_owned();
    let part = |number: u64| content(1000 + number, 5 << 20);
    let target = |number: u64| format!("/kept/whole?partNumber={number}&uploadId={upload}");
    let first = client.done("PUT", &target(1), &part(1));
    gateway.stop();
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    let second = client.done("PUT", &target(2), &part(2));
    gateway.kill();
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    let line = |number: u64, tag: Option<&str>| {
        let tag = tag.expect("a tag");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    };
    let parts = [line(1, first.field("ETag")), line(2, second.field("ETag"))].concat();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client.done("POST", &format!("/kept/whole?uploadId={upload}"), document.as_bytes());
    client.put("/kept/9000000", b"another");
    client.done("DELETE", "/kept/1", b"");
    gateway.kill();
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    assert!(client.get("/kept/whole") == [part(1), part(2)].concat());
    for size in SIZES {
        let reply = client.ask("GET", &format!("/kept/{size}"), b"").expect("answered");
        match size {
            1 => assert_eq!(reply.status, 404),
            9_000_000 => assert_eq!(reply.body, b"another"),
            _ => assert!(reply.status == 200 && reply.body == content(size as u64, size), "{size}"),
        }
    }
    assert_eq!(names(&mut client).len(), SIZES.len());
    gateway.stop();
}

#[test]
fn what_was_acknowledged_is_there_after_each_kill() {
    let scratch = Scratch::new("kills");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let gateway = Gateway::start(&scratch, &[]);
    gateway.client().put("/kept", b"");
    gateway.stop();
    for round in 0..4_u64 {
        let gateway = Gateway::start(&scratch, &[]);
        let before = acknowledged.lock().unwrap().len();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (mut client, acknowledged) = (gateway.client(), acknowledged.clone());
                std::thread::spawn(move || {
                    for number in 0.. {
                        let size = [100, 5000, 70_000, 300_000][number as usize % 4];
                        let name = format!("{round}-{writer}-{number}");
                        let seed = round << 40 | writer << 32 | number;
                        let put = client.ask("PUT", &format!("/kept/{name}"), &content(seed, size));
                        match put {
                            Ok(reply) if reply.status == 200 => {
                                acknowledged.lock().unwrap().push((name, seed, size));
                            }
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        crate::process::until("writes", || acknowledged.lock().unwrap().len() >= before + 60);
        gateway.kill();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        let gateway = Gateway::start(&scratch, &[]);
        let mut client = gateway.client();
        for (name, seed, size) in acknowledged.lock().unwrap().iter() {
            assert!(client.get(&format!("/kept/{name}")) == content(*seed, *size), "{name}");
        }
        gateway.stop();
    }
}

#[test]
fn what_runs_is_finished_when_it_is_told_to_end() {
    let scratch = Scratch::new("drain");
    let mut gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    client.put("/kept", b"");
    let large = content(7, 64 << 20);
    client.put("/kept/large", &large);
    let (mut down, mut up) = (gateway.client(), gateway.client());
    let (mut down_tail, idle) = (Vec::new(), gateway.client());
    down.begin("GET", "/kept/large", None).expect("asked");
    assert_eq!(down.reply_head().expect("answered").status, 200);
    let begin = down.read(100_000).expect("it comes");
    let body = content(8, 3_000_000);
    up.begin("PUT", "/kept/up", Some(body.len())).expect("asked");
    up.send(&body[..1_000_000]).expect("sent");
    gateway.signal(Signal::TERM);
    // It takes nobody new any more: this comes after it has heard.
    let address = gateway.address;
    crate::process::until("nobody is taken", || std::net::TcpStream::connect(address).is_err());
    let mut idle = idle;
    assert!(idle.rest().is_empty(), "who asks for nothing is let go");
    assert!(!gateway.has_ended());
    up.send(&body[1_000_000..]).expect("sent");
    let reply = up.reply().expect("answered");
    assert_eq!((reply.status, reply.field("Connection")), (200, Some("close")));
    down_tail.extend(down.read(large.len() - begin.len()).expect("all of it comes"));
    assert!([begin, down_tail].concat() == large);
    let status = gateway.ended();
    assert!(status.success(), "{status}");
    let gateway = Gateway::start(&scratch, &[]);
    assert!(gateway.client().get("/kept/up") == body);
    gateway.stop();
}

#[test]
fn two_cannot_have_one_directory() {
    let scratch = Scratch::new("two");
    let gateway = Gateway::start(&scratch, &[]);
    let output = crate::process::command(&scratch, &[]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--replace"), "it says what to do: {said}");
    gateway.stop();
}
