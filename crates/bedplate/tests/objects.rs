//! Objects as a user has them: the gateway as a process, alone and beside the control
//! plane, and the verbs of buckets and objects against it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A directory that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = format!("bedplate-objects-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("it can be made");
        Self(path)
    }
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
        std::fs::write(&path, content).expect("it can be written");
        path.display().to_string()
    }
    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("it is there")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, without what the environment says of other gateways.
fn bedplate(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bedplate"));
    for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(name);
    }
    command.env_remove("AWS_SESSION_TOKEN").env_remove("AWS_REGION").env_remove("BEDPLATE_URL");
    command.env("BEDPLATE_DIR", directory).stdin(Stdio::null());
    command
}

/// A role that serves.
struct Role {
    child: Child,
    /// What it said until it served.
    said: String,
}

impl Role {
    /// Starts it, and waits for a line that begins so.
    fn start(directory: &Path, words: &[&str], last: &str) -> Self {
        let child = bedplate(directory)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut role = Self { child, said: String::new() };
        let mut lines = BufReader::new(role.child.stdout.take().expect("it was piped")).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            role.said.push_str(&format!("{line}\n"));
            if line.trim_start().starts_with(last) {
                // The rest is read, so that nobody waits for it to be.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return role;
            }
        }
        panic!("it ended before it served:\n{}", role.said);
    }

    fn gateway(scratch: &Scratch) -> Self {
        let words =
            ["gateway", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", "1"];
        Self::start(&scratch.0, &words, "directory")
    }

    /// The word behind a word of what it said.
    fn told(&self, of: &str) -> String {
        let mut words = self.said.split_whitespace().skip_while(|word| *word != of);
        words.nth(1).expect("it says it").to_owned()
    }

    /// SIGTERM: it drains. Whether it ended well.
    fn end(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(directory: &Path, words: &[&str]) -> Output {
    bedplate(directory).args(words).output().expect("the program runs")
}

/// What a verb prints that must go well.
fn well(scratch: &Scratch, words: &[&str]) -> String {
    let output = run(&scratch.0, words);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {text}");
    String::from_utf8(output.stdout).expect("it is text")
}

fn json(scratch: &Scratch, words: &[&str]) -> Value {
    let words = [words, &["--output", "json"]].concat();
    serde_json::from_str(&well(scratch, &words)).expect("it is JSON")
}

/// What a verb says that must fail.
fn fails(scratch: &Scratch, words: &[&str], code: &str) {
    let output = run(&scratch.0, words);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("error[{code}]")), "{words:?}: {text}");
    assert!(text.contains("next:"), "{words:?} has no next step: {text}");
    assert!(!output.status.success());
}

/// Fetches an address without anything but a GET.
fn fetch(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("it is plain");
    let (host, path) = rest.split_once('/').expect("it has a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    let head = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it is answered");
    reply
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn objects_are_stored_fetched_shared_and_deleted() {
    let scratch = Scratch::new("verbs");
    let gateway = Role::gateway(&scratch);
    well(&scratch, &["bucket", "create", "first"]);
    let small = scratch.file("small.txt", b"hello\n");
    well(&scratch, &["object", "put", &small, "first/docs/", "--metadata", "step=7"]);
    let shown = json(&scratch, &["object", "show", "first/docs/small.txt"]);
    assert_eq!(shown["object"]["size"], 6);
    assert_eq!(shown["object"]["content_type"], "text/plain; charset=utf-8");
    assert_eq!(shown["object"]["metadata"]["step"], "7");
    assert_eq!(well(&scratch, &["object", "get", "first/docs/small.txt", "-"]), "hello\n");
    let listed = json(&scratch, &["object", "list", "s3://first"]);
    assert_eq!(listed["prefixes"][0], "docs/");
    fails(&scratch, &["object", "get", "first/none", &scratch.at("x")], "no-such-key");
    fails(&scratch, &["object", "list", "nowhere"], "no-such-bucket");
    fails(&scratch, &["bucket", "delete", "first", "--yes"], "bucket-not-empty");
    let again = ["object", "put", &small, "first/docs/small.txt", "--if-absent"];
    fails(&scratch, &again, "precondition-failed");
    let source = "first/docs/small.txt";
    well(&scratch, &["object", "copy", source, "first/copies/a b+c.txt"]);
    let url = well(&scratch, &["object", "presign", "first/copies/a b+c.txt", "--ttl", "5m"]);
    let reply = fetch(url.trim());
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("hello\n"), "{reply}");
    fails(&scratch, &["object", "show", "--anonymous", source], "access-denied");
    well(&scratch, &["bucket", "policy", "first", "--public-read", "--yes"]);
    json(&scratch, &["object", "show", "--anonymous", source]);
    well(&scratch, &["object", "delete", "first/", "--recursive", "--yes"]);
    well(&scratch, &["bucket", "delete", "first", "--yes"]);
    let page = fetch(&gateway.told("metrics"));
    for operation in ["PutObject", "GetObject", "CopyObject", "DeleteObjects"] {
        let line = format!("operation_requests_total{{operation=\"{operation}\",status=\"2xx\"}}");
        assert!(page.contains(&line), "{operation}: {page}");
    }
    assert!(page.contains("operation_requests_total{operation=\"PutObject\",status=\"4xx\"} 1"));
    assert!(gateway.end(), "it drains and ends well");
    fails(&scratch, &["bucket", "list"], "gateway-unreachable");
    fails(&scratch, &["gateway", "status"], "gateway-absent");
}

#[test]
fn large_objects_go_in_parts_and_downloads_go_on() {
    let scratch = Scratch::new("large");
    let _gateway = Role::gateway(&scratch);
    let content = noise((20 << 20) + 12_345);
    let file = scratch.file("large.bin", &content);
    well(&scratch, &["bucket", "create", "big"]);
    let put = json(&scratch, &["object", "put", &file, "big/"]);
    assert_eq!(put["parts"], 3);
    let shown = json(&scratch, &["object", "show", "big/large.bin"]);
    assert_eq!(shown["object"]["checksums"]["CRC64NVME"], put["crc64nvme"]);
    let target = scratch.at("back.bin");
    // What an interrupted download leaves: the first half, under the name of this version.
    let tag: String = put["etag"].as_str().expect("text").chars().take(16).collect();
    let part = format!("back.bin.{tag}.part");
    scratch.file(&part, &content[..7_654_321]);
    let got = json(&scratch, &["object", "get", "big/large.bin", &target]);
    assert_eq!(got["verified_by"], "CRC64NVME");
    assert!(scratch.read("back.bin") == content);
    // Other bytes than the object's are found out, and the next download begins anew.
    scratch.file(&part, &[0; 100]);
    let words = ["object", "get", "big/large.bin", &target, "--yes"];
    fails(&scratch, &words, "content-damaged");
    well(&scratch, &words);
    assert!(scratch.read("back.bin") == content);
    assert_eq!(json(&scratch, &["object", "uploads", "big"]), serde_json::json!([]));
}

#[test]
fn directories_go_up_and_down_and_what_is_there_is_passed_over() {
    let scratch = Scratch::new("trees");
    let _gateway = Role::gateway(&scratch);
    for at in 0..20 {
        scratch.file(&format!("up/{}/{at}.txt", at % 3), format!("file {at}").as_bytes());
    }
    well(&scratch, &["bucket", "create", "trees"]);
    let (up, down) = (scratch.at("up"), scratch.at("down"));
    // A file that was written in the same second as it is stored is stored again.
    let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for at in 0..20 {
        let path = scratch.0.join(format!("up/{}/{at}.txt", at % 3));
        let file = std::fs::File::options().write(true).open(path).expect("it is there");
        file.set_modified(before).expect("it can be set");
    }
    let words = ["object", "put", "--recursive", &up, "trees/a"];
    assert_eq!(json(&scratch, &words)["files"], 20);
    let again = json(&scratch, &words);
    assert_eq!((&again["files"], &again["there_already"]), (&0.into(), &20.into()));
    let words = ["object", "get", "--recursive", "trees/a/", &down];
    assert_eq!(json(&scratch, &words)["files"], 20);
    assert_eq!(scratch.read("down/1/19.txt"), b"file 19");
    assert_eq!(json(&scratch, &words)["there_already"], 20);
    // Keys of strangers name no files outside: this one is told, the others come.
    let small = scratch.file("small.txt", b"x");
    well(&scratch, &["object", "put", &small, "trees/a//etc/passwd"]);
    fails(&scratch, &words, "some-failed");
    assert!(!scratch.0.join("down/etc").exists());
}

#[test]
fn buckets_are_set_up_by_verbs() {
    let scratch = Scratch::new("buckets");
    let _gateway = Role::gateway(&scratch);
    well(&scratch, &["bucket", "create", "one", "--versioning"]);
    let file = scratch.file("a.txt", b"1");
    well(&scratch, &["object", "put", &file, "one/"]);
    well(&scratch, &["object", "delete", "one/a.txt", "--yes"]);
    let listed = json(&scratch, &["object", "list", "one", "--versions"]);
    assert_eq!(listed["objects"].as_array().map(Vec::len), Some(2), "{listed}");
    well(&scratch, &["bucket", "lifecycle", "one", "--expire", "30", "--prefix", "logs/"]);
    let rules = well(&scratch, &["bucket", "lifecycle", "one"]);
    assert!(rules.contains("<Days>30</Days>") && rules.contains("<Prefix>logs/</Prefix>"));
    well(&scratch, &["bucket", "cors", "one", "--origin", "https://app.example"]);
    assert!(well(&scratch, &["bucket", "cors", "one"]).contains("https://app.example"));
    well(&scratch, &["bucket", "encryption", "one", "--on"]);
    let shown = json(&scratch, &["bucket", "show", "one"]);
    assert_eq!((&shown["versioning"], &shown["encryption"]), (&"on".into(), &"AES256".into()));
    well(&scratch, &["bucket", "versioning", "one", "--suspend"]);
    well(&scratch, &["bucket", "lifecycle", "one", "--remove"]);
    assert_eq!(json(&scratch, &["bucket", "lifecycle", "one"]), Value::Null);
    let quota = json(&scratch, &["bucket", "quota", "one", "--bytes", "2"]);
    assert_eq!(quota["bytes_quota"], 2);
    let two = scratch.file("two.txt", b"22");
    fails(&scratch, &["object", "put", &two, "one/"], "quota-exceeded");
    well(&scratch, &["object", "delete", "one/", "--recursive", "--versions", "--yes"]);
    well(&scratch, &["object", "put", &two, "one/"]);
}

#[test]
fn accounts_have_keys_sessions_and_quotas() {
    let scratch = Scratch::new("accounts");
    let gateway = Role::gateway(&scratch);
    let status = json(&scratch, &["gateway", "status"]);
    assert_eq!(status["buckets"], 0);
    let words = ["gateway", "key", "create", "training", "--project", "research"];
    let key = json(&scratch, &words);
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    let as_account = |key: &Value, words: &[&str]| {
        let mut command = bedplate(&scratch.0);
        command.env("AWS_ENDPOINT_URL", gateway.told("S3"));
        command.env("AWS_ACCESS_KEY_ID", text(&key["access_key"]));
        command.env("AWS_SECRET_ACCESS_KEY", text(&key["secret_key"]));
        if let Some(token) = key["session_token"].as_str() {
            command.env("AWS_SESSION_TOKEN", token);
        }
        let output = command.args(words).output().expect("the program runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(as_account(&key, &["bucket", "create", "models"]).0);
    let file = scratch.file("ten.bin", &[7; 10]);
    let words = ["gateway", "project", "quota", "research", "--bytes", "15", "--objects", "9"];
    assert_eq!(json(&scratch, &words)["bytes_quota"], 15);
    assert!(as_account(&key, &["object", "put", &file, "models/1"]).0);
    let (done, said) = as_account(&key, &["object", "put", &file, "models/2"]);
    assert!(!done && said.contains("error[quota-exceeded]"), "{said}");
    let projects = json(&scratch, &["gateway", "project", "list"]);
    assert_eq!((&projects[0]["bytes"], &projects[0]["objects"]), (&10.into(), &1.into()));
    // Short credentials sign as the key does, and end with it.
    let id = text(&key["access_key"]);
    let session = json(&scratch, &["gateway", "session", &id, "--ttl", "5m"]);
    assert!(as_account(&session, &["object", "show", "models/1"]).0);
    let removed = json(&scratch, &["gateway", "key", "remove", &id, "--yes"]);
    assert_eq!(removed["account"], "training");
    let (done, said) = as_account(&session, &["object", "show", "models/1"]);
    assert!(!done, "{said}");
    fails(&scratch, &["gateway", "session", &id], "access-key-unknown");
}

#[test]
fn the_doctor_knows_a_gateway() {
    let scratch = Scratch::new("doctor");
    let _gateway = Role::gateway(&scratch);
    let output = run(&scratch.0, &["doctor", "--output", "json"]);
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).expect("it is JSON");
    for name in ["gateway", "objects", "gateway data", "S3 endpoint", "gateway clock"] {
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no check of {name}: {checks:?}"));
        assert_ne!(check["level"], "fail", "{check}");
    }
}

#[test]
fn the_control_plane_brings_a_gateway_with_it() {
    let scratch = Scratch::new("up");
    let up = Role::start(&scratch.0, &["up", "--listen", "127.0.0.1:0"], "bedplate machine enroll");
    assert!(up.said.contains("Objects (S3) are at http://127.0.0.1:"), "{}", up.said);
    well(&scratch, &["bucket", "create", "beside"]);
    let metrics = well(&scratch, &["metrics"]);
    let line =
        "bedplate_gateway_operation_requests_total{operation=\"CreateBucket\",status=\"2xx\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    assert!(up.end(), "it drains and ends well");
}
