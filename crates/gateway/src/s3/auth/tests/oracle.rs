//! Requests that botocore (the Python client of the real service) signed must pass, and
//! fail when anything that is signed changes.

use std::process::Command;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Line {
    kind: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    fields: Vec<(String, String)>,
}

fn lines() -> Option<Vec<Line>> {
    let found = Command::new("python3").args(["-c", "import botocore.auth"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        println!("skipped: botocore is not installed (pip install botocore)");
        return None;
    }
    let run = Command::new("python3")
        .args(["-W", "ignore", "-c", include_str!("oracle.py"), ID, SECRET])
        .output()
        .expect("it just ran");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).expect("text");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect())
}

/// When a request was signed, near enough.
fn moment(sent: &Sent) -> Timestamp {
    let find = |name: &str| sent.with_head(|head| head.header(name).map(str::to_owned));
    let dated = find("x-amz-date").and_then(|text| date::basic(&text));
    let dated = dated.or_else(|| find("date").and_then(|text| date::http(&text)));
    let in_query = || parameter(&sent.query, "X-Amz-Date").and_then(|text| date::basic(&text));
    let expires = || {
        let seconds: i64 = parameter(&sent.query, "Expires")?.parse().ok()?;
        Some(Timestamp::from_micros((seconds - 600) * 1_000_000))
    };
    dated.or_else(in_query).or_else(expires).expect("every request says when it is from")
}

#[test]
fn what_botocore_signs_passes_and_what_is_changed_does_not() {
    let Some(lines) = lines() else { return };
    let mut checked = 0;
    for line in lines {
        if !line.fields.is_empty() {
            form(&line);
            continue;
        }
        let sent = Sent {
            method: line.method,
            path: line.path,
            query: line.query,
            headers: line.headers,
            framing: Framing::Length(7),
        };
        let now = moment(&sent);
        let found = sent.check(&old(), now);
        let found = found.unwrap_or_else(|error| panic!("{} {sent:?}: {error:?}", line.kind));
        let version = if line.kind.ends_with('4') { 4 } else { 2 };
        assert_eq!((found.version, found.key.is_some()), (version, true));
        let mut other = sent.clone();
        other.path.push('x');
        assert!(other.check(&old(), now).is_err(), "{other:?}");
        let mut other = sent.clone();
        other.query.push_str("&versionId=7");
        assert!(other.check(&old(), now).is_err(), "{other:?}");
        let mut other = sent;
        other.method = "GET".into();
        assert!(other.check(&old(), now).is_err(), "{other:?}");
        checked += 1;
    }
    assert_eq!(checked, 12 * 5 * 4);
}

fn form(line: &Line) {
    let own = |(name, value): &(String, String)| (name.as_str().into(), value.as_str().into());
    let fields = line.fields.iter().map(own).collect();
    let mut fields = Fields { fields, ..Fields::default() };
    let now = at("20260101T000000Z");
    let found = authorise(&fields, "bucket", &example(), &old(), now);
    let found = found.unwrap_or_else(|error| panic!("{} {fields:?}: {error:?}", line.kind));
    assert_eq!((found.key.as_str(), found.sender.scheme), ("foo", Scheme::Form));
    for (name, value) in &mut fields.fields {
        if &**name == "policy" {
            *value = value.replacen('e', "f", 1).into();
        }
    }
    let refused = authorise(&fields, "bucket", &example(), &old(), now).expect_err("changed");
    assert_eq!(refused.code, "SignatureDoesNotMatch");
}
