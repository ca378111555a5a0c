//! Clients that others wrote: boto3 in suites of their own (see `python`), and the aws CLI.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::content;
use crate::process::{Gateway, Scratch};
use crate::signature::ONE;

/// A Python that has boto3, when there is one.
fn python() -> Option<PathBuf> {
    let own = std::env::var_os("BEDPLATE_PYTHON").map(PathBuf::from);
    let found = [own, Some("python3".into())].into_iter().flatten().find(|python| {
        let asked = Command::new(python).args(["-c", "import boto3, awscrt"]).output();
        asked.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("skipped: boto3 is not installed (cargo xtask test gateway does it)");
    }
    found
}

fn suite(name: &str) {
    let Some(python) = python() else { return };
    let scratch = Scratch::new(name);
    let Some((certificate, key)) = scratch.certificate() else { return };
    let text = |path: &Path| path.display().to_string();
    let (certificate, key) = (text(&certificate), text(&key));
    let gateway = Gateway::start(
        &scratch,
        &[
            "--listen-tls",
            "127.0.0.1:0",
            "--tls-certificate",
            &certificate,
            "--tls-key",
            &key,
            "--day-seconds",
            "2",
        ],
    );
    let suites = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/python");
    let output = Command::new(python)
        .arg(suites.join(format!("{name}.py")))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GATEWAY", format!("http://{}", gateway.address))
        .env("GATEWAY_TLS", format!("https://{}", gateway.tls.expect("by TLS")))
        .env("GATEWAY_CERTIFICATE", certificate)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}\nthe gateway:\n{}", gateway.said());
    assert!(said.contains("ok test_"), "there was something to test: {said}");
    gateway.stop();
}

#[test]
fn objects_and_buckets() {
    suite("objects");
}

#[test]
fn uploads_in_parts() {
    suite("uploads");
}

#[test]
fn versions_holding_and_rules_by_age() {
    suite("versions");
}

#[test]
fn checksums_of_all_kinds() {
    suite("checksums");
}

#[test]
fn signatures_forms_and_streams() {
    suite("signing");
}

#[test]
fn policies_access_lists_and_other_sites() {
    suite("rules");
}

#[test]
fn encryption_by_the_gateway_and_by_clients() {
    suite("encryption");
}

/// The aws CLI, with an address and keys.
struct Aws<'a> {
    program: PathBuf,
    gateway: &'a Gateway,
    scratch: &'a Scratch,
}

impl Aws<'_> {
    fn run(&self, words: &[&str]) -> String {
        let output = Command::new(&self.program)
            .args(words)
            .env("AWS_ACCESS_KEY_ID", ONE.0)
            .env("AWS_SECRET_ACCESS_KEY", ONE.1)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.gateway.address))
            .env("AWS_CONFIG_FILE", self.scratch.path("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.scratch.path("credentials"))
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_PAGER", "")
            .output()
            .expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws {words:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn the_aws_cli() {
    let Some(python) = python() else { return };
    let program = python.with_file_name("aws");
    if Command::new(&program).arg("--version").output().is_err() {
        eprintln!("skipped: the aws CLI is not installed (cargo xtask test gateway does it)");
        return;
    }
    let scratch = Scratch::new("aws");
    let gateway = Gateway::start(&scratch, &[]);
    let aws = Aws { program, gateway: &gateway, scratch: &scratch };
    let tree = scratch.path("tree");
    std::fs::create_dir_all(tree.join("deep/er")).expect("a directory");
    let files = [("small", 100), ("large", 20_000_000), ("empty", 0), ("deep/er/ü", 70_000)];
    for (number, (name, length)) in files.iter().enumerate() {
        std::fs::write(tree.join(name), content(number as u64, *length)).expect("written");
    }
    let text = |path: &Path| path.display().to_string();
    aws.run(&["s3", "mb", "s3://first"]);
    aws.run(&["s3", "cp", &text(&tree.join("small")), "s3://first/"]);
    assert!(aws.run(&["s3", "ls", "s3://first"]).contains(" 100 small"));
    aws.run(&["s3", "sync", &text(&tree), "s3://first/tree"]);
    let listed = aws.run(&["s3", "ls", "--recursive", "s3://first/tree"]);
    assert_eq!(listed.lines().count(), files.len(), "{listed}");
    let back = scratch.path("back");
    aws.run(&["s3", "sync", "s3://first/tree", &text(&back)]);
    for (name, _) in files {
        let (there, here) = (std::fs::read(tree.join(name)), std::fs::read(back.join(name)));
        assert!(there.expect("it reads") == here.expect("it came"), "{name}");
    }
    // Nothing is left to do the second time.
    assert_eq!(aws.run(&["s3", "sync", &text(&tree), "s3://first/tree"]), "");
    aws.run(&["s3", "mv", "s3://first/small", "s3://first/moved"]);
    assert_eq!(aws.run(&["s3", "cp", "s3://first/moved", "-"]).len(), {
        String::from_utf8_lossy(&content(0, 100)).len()
    });
    let head = aws.run(&["s3api", "head-object", "--bucket", "first", "--key", "tree/large"]);
    assert!(head.contains("20000000"), "{head}");
    aws.run(&["s3", "rm", "--recursive", "s3://first"]);
    aws.run(&["s3", "rb", "s3://first"]);
    assert_eq!(aws.run(&["s3", "ls"]), "");
    gateway.stop();
}
