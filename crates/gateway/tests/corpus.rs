//! Real requests, spoiled in many ways, through everything that reads them: the head, the
//! framing, signatures, queries, chunks, forms, XML, policies, and the operations behind
//! them. Whatever comes, there is an answer, and nothing panics. The requests are kept in
//! `corpus`, one in each file, as they are sent; what once did harm is put there as well.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bedplate_gateway::http::{Content, Limits, Progress, read_head};
use bedplate_gateway::objects::{self, Opening};
use bedplate_gateway::run::Parts;
use bedplate_gateway::s3::{self, policy};
use bedplate_gateway::step::{Answer, Peer, Step};
use object::bucket::Config;
use object::{BucketName, Mutation, Owner, Refusal};
use proptest::prelude::*;

/// A data directory that goes away with its owner, with a bucket that is everybody's.
struct House {
    parts: Parts,
    directory: PathBuf,
}

impl House {
    fn new(name: &str) -> Self {
        let folder = format!("corpus-{name}-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        let opened = objects::open(&directory, s3::Settings::default(), Opening::default());
        let (opened, _) = opened.unwrap_or_else(|error| panic!("{error}"));
        let mut parts = opened.parts;
        let everything = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
            "Action":"s3:*","Resource":["arn:aws:s3:::open","arn:aws:s3:::open/*"]}]}"#;
        let policy = Some(policy::parse(everything, "open").expect("a policy"));
        let create = Mutation::CreateBucket {
            name: BucketName::new("open").expect("a name"),
            owner: Owner("owner".into()),
            config: Box::new(Config { policy, ..Config::default() }),
        };
        let made = parts.store.apply(vec![create]);
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        Self { parts, directory }
    }

    /// What a mover does with these bytes. `refuses`: the store makes no change. `None`:
    /// there is no whole request.
    fn serve(&mut self, bytes: &[u8], refuses: bool) -> Option<Answer> {
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), tls: false };
        let service = self.parts.service.clone();
        let read = read_head(bytes, Limits::default(), |head, manner| {
            (service.begin(head, &peer), manner)
        });
        let (length, (mut step, manner)) = match read {
            Ok(Some(read)) => read,
            Ok(None) => return None,
            Err(broken) => return Some(service.refuse(broken.status, broken.why)),
        };
        let (mut content, mut rest) = (Content::new(manner.framing), &bytes[length..]);
        loop {
            step = match step {
                Step::Answer(answer) | Step::Keep(answer, _) => return Some(answer),
                Step::Kept => panic!("nothing is kept here"),
                Step::Elsewhere(work) => work(),
                Step::Commit(mutation, then) => {
                    let result = match refuses {
                        true => Err(Refusal::Full),
                        false => self.parts.store.apply(vec![*mutation]).remove(0),
                    };
                    then(result)
                }
                Step::Commits(mutations, then) => match refuses {
                    true => then(mutations.iter().map(|_| Err(Refusal::NoKey)).collect()),
                    false => then(self.parts.store.apply(mutations)),
                },
                Step::Receive(mut receive) => loop {
                    match content.read(rest) {
                        Ok(Progress::Some(from, to)) => {
                            // In pieces, as they come from a socket.
                            let mut pieces = rest[from..to].chunks(7);
                            if let Some(refused) =
                                pieces.find_map(|piece| receive.take(piece).err())
                            {
                                return Some(*refused);
                            }
                            rest = &rest[to..];
                        }
                        Ok(Progress::End(_)) => break receive.end(),
                        Ok(Progress::More) => return None,
                        Err(broken) => return Some(service.refuse(broken.status, broken.why)),
                    }
                },
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.parts.store.close();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut requests: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| {
            let entry = entry.expect("a file");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("it reads"))
        })
        .collect();
    requests.sort();
    requests
}

#[test]
fn every_request_is_answered_as_it_is() {
    let mut house = House::new("whole");
    for (name, request) in corpus() {
        for refuses in [true, false] {
            let answer = house.serve(&request, refuses).expect("it is a whole request");
            // Each is a request in order: what is wrong with it is wrong with the world.
            assert!((200..600).contains(&answer.status), "{name}: {answer:?}");
            assert_ne!(answer.status, 500, "{name}: {answer:?}");
        }
    }
}

/// What is done to a request.
#[derive(Clone, Debug)]
enum Edit {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize, usize),
    Insert(usize, &'static str),
    /// Goes on as another one does.
    Splice(usize, usize),
}

const WORDS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    "\0",
    "%",
    "%00",
    "%FF",
    "%2e%2e%2f",
    "..",
    "//",
    "&",
    "=",
    ";",
    ":",
    "\"",
    "'",
    "<",
    ">",
    "</",
    "<!DOCTYPE a [",
    "<![CDATA[",
    "]]>",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "--x-y",
    "--x-y--",
    "0\r\n\r\n",
    "ffffffffffffffff",
    "18446744073709551616",
    "-1",
    "bytes=",
    "*",
    "$",
    "${",
    "{",
    "}",
    "[",
    "]",
    "null",
    "true",
    "\u{fffd}",
    "ü",
    "\u{1f600}",
    "9999-99-99T99:99:99Z",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = || any::<usize>();
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        (at(), 1_usize..40).prop_map(|(at, count)| Edit::Cut(at, count)),
        (at(), 1_usize..60, 2_usize..40)
            .prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        (at(), proptest::sample::select(WORDS)).prop_map(|(at, word)| Edit::Insert(at, word)),
        (at(), at()).prop_map(|(at, other)| Edit::Splice(at, other)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, all: &[(String, Vec<u8>)]) {
    let place = |at: &usize| at % (bytes.len() + 1);
    match edit {
        Edit::Flip(at, bits) if !bytes.is_empty() => {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        Edit::Flip(..) => {}
        Edit::Cut(at, count) => {
            let at = place(at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Edit::Repeat(at, count, times) => {
            let at = place(at);
            let piece = bytes[at..(at + count).min(bytes.len())].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Edit::Insert(at, word) => {
            let at = place(at);
            bytes.splice(at..at, word.bytes());
        }
        Edit::Splice(at, other) => {
            let at = place(at);
            let other = &all[other % all.len()].1;
            bytes.truncate(at);
            bytes.extend_from_slice(&other[at.min(other.len())..]);
        }
    }
}

/// Puts the length of what comes behind the head into it, so that it is read.
fn say_length(bytes: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"Content-Length: ";
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let at = bytes.windows(NAME.len()).position(|window| window == NAME);
    let (Some(end), Some(at)) = (end, at) else { return bytes.to_vec() };
    let line = bytes[at..].windows(2).position(|window| window == b"\r\n").map(|it| at + it);
    let Some(line) = line.filter(|line| *line <= end) else { return bytes.to_vec() };
    let length = (bytes.len() - end - 4).to_string();
    [&bytes[..at + NAME.len()], length.as_bytes(), &bytes[line..]].concat()
}

#[test]
fn spoiled_requests_do_no_harm() {
    let house = Mutex::new(House::new("spoiled"));
    let all = corpus();
    let cases = ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() };
    let edits = (any::<usize>(), proptest::collection::vec(edit(), 1..4), 0_u8..8);
    let mut runner = proptest::test_runner::TestRunner::new(cases);
    let done = runner.run(&edits, |(which, edits, turn)| {
        let mut bytes = all[which % all.len()].1.clone();
        edits.iter().for_each(|edit| apply(&mut bytes, edit, &all));
        let bytes = say_length(&bytes);
        // Changes cost a sync each: most are refused.
        let mut house = house.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(answer) = house.serve(&bytes, turn > 0) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!((200..600).contains(&answer.status), "{text}");
            prop_assert_ne!(answer.status, 500, "{}", text);
            for (name, value) in &answer.headers {
                let legal =
                    |text: &str| !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
                prop_assert!(legal(name) && legal(value), "{name}: {value:?} for {text}");
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
    // And all is well afterwards.
    let mut house = house.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let again = house.serve(b"GET /absent/x HTTP/1.1\r\nHost: h\r\n\r\n", true).expect("answered");
    assert!(matches!(again.status, 403 | 404), "{again:?}");
}
