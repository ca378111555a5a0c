//! The row of many objects: listing them, what they take of memory, and starting with them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use super::http::{Client, fill};
use super::ours::Gateway;
use crate::bench::process::resident_kib;
use crate::bench::report::{Report, median};

/// Keys in a folder of theirs.
const TOGETHER: usize = 1000;
/// Pages that are timed.
const PAGES: usize = 2_000;

/// Lists all keys, then folders by chance; then how much memory that left in use, and how
/// long a start takes.
pub fn list(bench: &Bench, report: &mut Report) -> Result<()> {
    let keys = bench.number("--keys").max(1) as usize;
    let (ours, data) = Gateway::fresh(bench, None)?;
    Client::new(&ours.host)?.ask("PUT", "/many", "", b"")?;
    let began = Instant::now();
    fill(&ours.host, keys, |number| {
        let path = format!("/many/f{:04}/k{:06}", number / TOGETHER, number % TOGETHER);
        (path, number.to_string().into_bytes())
    })?;
    report.say(&format!("{keys} objects were put in {:.0} s", began.elapsed().as_secs_f64()));
    walk(bench, report, &ours, keys)?;
    folders(report, &ours, keys)?;
    // What it gives back, it gives back soon.
    std::thread::sleep(Duration::from_secs(3));
    let worked = resident_kib(ours.pid())? as f64 / 1024.0;
    ours.stop()?;
    start(bench, report, &data, worked)
}

/// All keys, page by page, over one connection.
fn walk(bench: &Bench, report: &mut Report, ours: &Gateway, keys: usize) -> Result<()> {
    let mut client = Client::new(&ours.host)?;
    let mut rates = Vec::new();
    for _ in 0..bench.rounds.min(3) {
        let (began, mut found, mut after) = (Instant::now(), 0, String::new());
        loop {
            let token = if after.is_empty() {
                String::new()
            } else {
                format!("continuation-token={}&", escaped(&after))
            };
            let answer = client.ask("GET", "/many", &format!("{token}list-type=2"), b"")?;
            found += answer.matches("<Key>").count();
            match between(&answer, "<NextContinuationToken>", "</NextContinuationToken>") {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        ensure!(found == keys, "{found} keys were listed, of {keys}");
        rates.push(found as f64 / began.elapsed().as_secs_f64());
    }
    report.figure("list_keys_per_s", median(&rates));
    Ok(())
}

/// Pages of what is in a folder, or of the folders.
fn folders(report: &mut Report, ours: &Gateway, keys: usize) -> Result<()> {
    let mut client = Client::new(&ours.host)?;
    let (folders, mut state) = (keys.div_ceil(TOGETHER), 1_usize);
    let mut took = Vec::with_capacity(PAGES);
    for page in 0..PAGES {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let folder = (state >> 33) % folders;
        let prefix = if page % 2 == 0 { format!("f{folder:04}%2F") } else { String::new() };
        let began = Instant::now();
        let query = format!("delimiter=%2F&list-type=2&prefix={prefix}");
        let answer = client.ask("GET", "/many", &query, b"")?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(answer.contains("<Contents>") || answer.contains("<CommonPrefixes>"), "no page");
    }
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    report.say(&format!("a page of a folder or of folders: p50 {:.2} ms", at(0.5)));
    report.figure("list_page_p99_ms", at(0.99));
    Ok(())
}

/// How long it takes until the objects are there again, and what it holds then.
fn start(bench: &Bench, report: &mut Report, data: &std::path::Path, worked: f64) -> Result<()> {
    let (mut took, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds.min(3) {
        let began = Instant::now();
        let again = Gateway::start(bench, data, None)?;
        Client::new(&again.host)?.ask("GET", "/many/f0000/k000000", "", b"")?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_secs(1));
        resident.push(resident_kib(again.pid())? as f64 / 1024.0);
        again.stop()?;
    }
    let rested = median(&resident);
    report.say(&format!("resident: {worked:.1} MiB after the lists, {rested:.1} after a start"));
    report.figure("resident_mib", worked.max(rested));
    report.figure("start_ms", median(&took));
    Ok(())
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inside, _)| inside)
}

/// As a query has it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}
