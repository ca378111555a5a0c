//! What is read of processes from outside: time and memory.

use std::fs;

use anyhow::{Context, Result};

/// Seconds of processor time that a process has used.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may have spaces; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64)
}

/// KiB of memory that a process holds.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|it| it.parse().ok()).context("a process without memory")
}

/// Nanoseconds that all threads of these processes have run, as the scheduler counts them.
/// A thread that is gone is not counted: ask for servers whose threads stay.
pub fn ran_nanos(processes: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in processes {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = thread?.path().join("schedstat");
            let Ok(text) = fs::read_to_string(path) else { continue };
            let first = text.split_whitespace().next();
            sum += first.and_then(|it| it.parse::<u64>().ok()).context("a thread without time")?;
        }
    }
    Ok(sum)
}

/// A process with all that it started.
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return all };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|it| it.parse().ok()).flat_map(family));
    }
    all
}
