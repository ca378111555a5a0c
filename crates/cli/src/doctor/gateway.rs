//! What the findings about an object gateway mean: pure functions, one for each check.

use model::gateway::GatewayStatus;
use model::{Bytes, Duration, Timestamp};

use super::Check;
use crate::Failure;

/// Signatures are refused when clocks differ by more: 15 minutes, as S3 has it.
const SKEW_FAIL: Duration = Duration::from_secs(15 * 60);
/// They will be, if nobody sets a clock.
const SKEW_WARN: Duration = Duration::from_secs(60);
/// A gateway with fewer open files takes few connections.
const FILES_ENOUGH: u64 = 8192;
/// File systems whose syncs do not reach a disk, or that have no holes, by their magic
/// numbers (`statfs(2)`).
const WEAK: [(u64, &str, &str); 7] = [
    (0x0102_1994, "tmpfs", "all is lost when the machine restarts"),
    (0x8584_58f6, "ramfs", "all is lost when the machine restarts"),
    (0x6969, "NFS", "locks and syncs hang on the server"),
    (0xff53_4d42, "CIFS", "locks and syncs hang on the server"),
    (0xfe53_4d42, "SMB", "locks and syncs hang on the server"),
    (0x6573_5546, "FUSE", "whether a sync reaches the disk depends on its program"),
    (0x794c_7630, "overlayfs", "it goes with its container"),
];

/// What was seen of a gateway's directory.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where it is.
    pub place: String,
    /// Whether a file could be made, synced and removed there: the error, where not.
    pub written: Option<String>,
    /// Bytes that are free, and all.
    pub room: Option<(Bytes, Bytes)>,
    /// The kind of the file system, by its magic number.
    pub kind: Option<u64>,
    /// Who may look into it, as a mode.
    pub mode: u32,
}

/// Whether the gateway answers its administrator. `known` says whether this directory had
/// one before.
pub fn service(answer: &Result<GatewayStatus, Failure>, known: bool) -> Check {
    match answer {
        Ok(status) => Check::ok(
            "gateway",
            format!(
                "version {}, process {}, {} buckets",
                status.version, status.process, status.buckets
            ),
        ),
        Err(failure) if known => Check::fail(
            "gateway",
            format!("{}: {}", failure.what, failure.why),
            failure.next.clone(),
        ),
        Err(_) => Check::ok("gateway", "none in this directory; bedplate gateway starts one"),
    }
}

/// Whether the gateway is of this version.
pub fn version(here: &str, there: &str) -> Check {
    match here == there {
        true => Check::ok("gateway version", format!("{here} here and there")),
        false => Check::warn(
            "gateway version",
            format!("{here} here and {there} there"),
            "Replace it; no request fails: bedplate gateway --replace, with its other options",
        ),
    }
}

/// Whether its store is whole and takes changes.
pub fn store(status: &GatewayStatus) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(why) = &status.refuses {
        checks.push(Check::fail(
            "objects",
            format!("no changes are made: {why}"),
            "Mend or replace the disk (dmesg says more), then start the gateway again: it reads what is there anew.",
        ));
    }
    if let Some(first) = status.damaged.first() {
        checks.push(Check::fail(
            "objects",
            format!("{} damaged, first {first}", status.damaged.len()),
            "Reads of it fail, others go on. Store these objects again from a copy, and replace the disk; see docs/gateway.md, Damage.",
        ));
    }
    if checks.is_empty() {
        let (log, live, bodies) = (status.log, status.log_live, status.bodies);
        let found = format!("whole, as far as was read: log {log} ({live} count), bodies {bodies}");
        checks.push(Check::ok("objects", found));
    }
    checks
}

/// How many files it may have open.
pub fn files(status: &GatewayStatus) -> Check {
    let found = format!("{} files and connections can be open", status.files);
    match status.files < FILES_ENOUGH {
        true => Check::warn(
            "gateway limits",
            found,
            "Allow more: LimitNOFILE=65536 in its unit of systemd, or ulimit -n 65536 before it starts.",
        ),
        false => Check::ok("gateway limits", found),
    }
}

/// Whether the clocks agree well enough for signatures.
pub fn clock(here: Timestamp, there: Timestamp) -> Check {
    let apart = if here > there { here.since(there) } else { there.since(here) };
    let found = format!("the gateway's clock and this one are {apart} apart");
    let fix = "Set both by NTP: timedatectl set-ntp true. Signatures are refused at 15 minutes.";
    match apart {
        apart if apart >= SKEW_FAIL => Check::fail("gateway clock", found, fix),
        apart if apart >= SKEW_WARN => Check::warn("gateway clock", found, fix),
        _ => Check::ok("gateway clock", found),
    }
}

/// Whether the endpoint answers a signed request.
pub fn endpoint(url: &str, answer: &Result<usize, Failure>) -> Check {
    match answer {
        Ok(buckets) => {
            Check::ok("S3 endpoint", format!("{url} takes the access key: {buckets} buckets"))
        }
        Err(failure) => {
            let found = format!("{url}: {}: {}", failure.what, failure.why);
            Check::fail("S3 endpoint", found, failure.next.clone())
        }
    }
}

/// What was seen of the directory.
pub fn directory(seen: &Seen) -> Vec<Check> {
    let mut checks = Vec::new();
    let place = &seen.place;
    match &seen.written {
        Some(why) => checks.push(Check::fail(
            "gateway data",
            format!("{place} cannot be written: {why}"),
            "Run it as the gateway's user, and see that the file system is not mounted read-only.",
        )),
        None => {
            checks.push(Check::ok("gateway data", format!("{place} can be written and synced")))
        }
    }
    let kind = seen.kind.and_then(|kind| WEAK.iter().find(|(weak, ..)| *weak == kind));
    if let Some((_, name, why)) = kind {
        checks.push(Check::warn(
            "gateway data",
            format!("{place} lies on {name}: {why}"),
            "Keep objects on a local file system (ext4, XFS) on a disk: --data",
        ));
    }
    if seen.mode & 0o077 != 0 {
        checks.push(Check::warn(
            "gateway data",
            format!("others may look into {place}"),
            format!("Close it: chmod 700 {place}"),
        ));
    }
    if let Some((free, whole)) = seen.room {
        let found = format!("{free} of {whole} are free under {place}");
        let fix = "Free room, or move it to a larger disk. A full one refuses writes with 507; reads and deletions go on.";
        checks.push(match free {
            free if free < Bytes::mib(256) => Check::fail("gateway space", found, fix),
            free if free.0 < whole.0 / 20 => Check::warn("gateway space", found, fix),
            _ => Check::ok("gateway space", found),
        });
    }
    checks
}

/// Whether the usual port is free for a gateway that does not run here.
pub fn port(taken: bool) -> Check {
    match taken {
        true => Check::warn(
            "gateway port",
            "127.0.0.1:9000 is taken by another program",
            "See which: ss -ltnp 'sport = :9000'. Or take another: bedplate gateway --listen 127.0.0.1:9010",
        ),
        false => Check::ok("gateway port", "127.0.0.1:9000 is free"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    #[test]
    fn clocks_that_spoil_signatures_fail() {
        assert_eq!(clock(at(1000), at(1059)).level, Level::Ok);
        assert_eq!(clock(at(1000), at(1060)).level, Level::Warn);
        assert_eq!(clock(at(2000), at(1100)).level, Level::Fail);
    }

    #[test]
    fn a_directory_is_judged_by_what_is_seen() {
        let room = Some((Bytes::gib(100), Bytes::gib(200)));
        let well = Seen { place: "d".into(), room, mode: 0o700, ..Seen::default() };
        assert!(directory(&well).iter().all(|check| check.level == Level::Ok));
        let worst = |seen: Seen| {
            let checks = directory(&seen);
            let rank = |check: &&Check| match check.level {
                Level::Ok => 0,
                Level::Warn => 1,
                Level::Fail => 2,
            };
            checks.iter().max_by_key(rank).map(|check| (check.level, !check.fix.is_empty()))
        };
        let weak = Seen { kind: Some(0x0102_1994), ..well.clone() };
        assert_eq!(worst(weak), Some((Level::Warn, true)));
        assert_eq!(worst(Seen { mode: 0o755, ..well.clone() }), Some((Level::Warn, true)));
        let full = Seen { room: Some((Bytes::mib(1), Bytes::gib(1))), ..well.clone() };
        assert_eq!(worst(full), Some((Level::Fail, true)));
        let closed = Seen { written: Some("read-only".into()), ..well };
        assert_eq!(worst(closed), Some((Level::Fail, true)));
    }

    #[test]
    fn a_store_is_well_only_when_nothing_is_wrong() {
        let mut status = GatewayStatus {
            version: "1".into(),
            now: at(0),
            process: 1,
            buckets: 0,
            free: Bytes::gib(1),
            log: Bytes(0),
            log_live: Bytes(0),
            bodies: Bytes(0),
            damaged: Vec::new(),
            refuses: None,
            files: 65_536,
        };
        assert_eq!(store(&status)[0].level, Level::Ok);
        assert_eq!(files(&status).level, Level::Ok);
        status.damaged.push("a body".into());
        status.refuses = Some("EIO".into());
        status.files = 1024;
        assert!(store(&status).iter().all(|check| check.level == Level::Fail));
        assert_eq!(store(&status).len(), 2);
        assert_eq!(files(&status).level, Level::Warn);
    }
}
